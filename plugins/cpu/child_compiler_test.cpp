// The format gnu-c++: what the compiler makes runs, and a compiler that does not do its work is told
// about in a sentence.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

namespace fs = std::filesystem;

// As a lowering prints it: no header, its own declarations of what flagos_cpu_kernel.h has.
constexpr const char* source = R"(
typedef unsigned int u32;
typedef unsigned long u64;
struct Block {
  u32 struct_size, grid[3], block[3], block_index[3], shared_bytes, padding;
  void* shared;
  void (*fail)(const Block*, int, const char*);
  void* context;
};
struct Parameter { u32 dtype, size_bytes, alignment_bytes, offset_bytes; };
struct Kernel {
  u32 struct_size, abi_version;
  void (*function)(const Block*, const void*);
  const Parameter* parameters;
  u32 parameter_count, argument_bytes, static_shared_bytes, max_block_threads;
};
typedef float v8 __attribute__((vector_size(32), aligned(4)));
#line 7 "author.cpp"
static void twice(const Block* block, const void* arguments) {
  float* x = *(float* const*)arguments + 8ul * block->block_index[0];
  *(v8*)x += *(v8*)x;
}
static const Parameter parameters[] = {{ADDRESS, 8, 8, 0}};
extern "C" __attribute__((visibility("default"))) const Kernel flagos_cpu_kernel_twice = {
    sizeof(Kernel), 0x10000, twice, parameters, 1, 8, 0, 1};
)";

std::string source_text() {
  std::string text = source;
  const std::string address = "ADDRESS";
  text.replace(text.find(address), address.size(), std::to_string(FLAGOS_DTYPE_ADDRESS) + "u");
  return text;
}

// A folder with compilers that do not do their work, and for what they write.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "flagos-cc-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string script(const std::string& name, const std::string& body) const {
    const fs::path file = path / name;
    std::ofstream(file) << "#!/bin/sh\n" << body << "\n";
    fs::permissions(file, fs::perms::owner_all);
    return file.string();
  }
  fs::path path;
};

// A device whose host has these variables.
class Opened {
 public:
  explicit Opened(const std::map<std::string, std::string>& config) {
    host.config = config;
    api.struct_size = sizeof(api);
    REQUIRE(flagos_plugin_open(&host.table(), &api) == FLAGOS_STATUS_OK);
    REQUIRE(api.device->open(api.instance, 0, &device) == FLAGOS_STATUS_OK);
  }
  ~Opened() {
    api.device->close(device);
    api.close(api.instance);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  std::vector<std::string> formats() const {
    std::vector<std::string> names;
    for (std::uint32_t i = 0;; ++i) {
      flagos_format_info_t info{};
      info.struct_size = sizeof(info);
      if (api.module->get_format(device, i, &info) != FLAGOS_STATUS_OK) return names;
      names.emplace_back(info.name);
    }
  }
  bool compiles() const {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    return api.module->get_format(device, 1, &info) == FLAGOS_STATUS_OK &&
           (info.flags & FLAGOS_FORMAT_FLAG_COMPILE) != 0;
  }
  flagos_status_t compile(const std::string& text, const char* options = nullptr) {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "gnu-c++";
    desc.data = text.data();
    desc.size_bytes = text.size();
    desc.options = options;
    flagos_compiled_t compiled{};
    compiled.struct_size = sizeof(compiled);
    const flagos_status_t status = api.module->compile(device, &desc, &compiled);
    log = compiled.log != nullptr ? compiled.log : "";
    const auto* bytes = static_cast<const std::byte*>(compiled.data);
    image.assign(bytes, bytes + (bytes != nullptr ? compiled.size_bytes : 0));
    format = compiled.format != nullptr ? compiled.format : "";
    if (compiled.log != nullptr) api.module->free_compiled(device, &compiled);
    return status;
  }

  TestHost host;
  flagos_plugin_t api{};
  flagos_plugin_device_t* device = nullptr;
  std::string log, format;
  std::vector<std::byte> image;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("gnu-c++: a source is compiled, loaded and run") {
  Opened opened({{"PATH", getenv("PATH")}});
  if (!opened.compiles()) {
    MESSAGE("no C++ compiler on this machine");
    return;
  }
  REQUIRE_MESSAGE(opened.compile(source_text()) == FLAGOS_STATUS_OK, opened.log);
  CHECK(opened.format == "elf-so");
  flagos_module_desc_t desc = module_desc(opened.image.data(), opened.image.size());
  flagos_plugin_module_t* module = nullptr;
  REQUIRE(opened.api.module->load(opened.device, &desc, &module) == FLAGOS_STATUS_OK);
  flagos_kernel_desc_t wanted{};
  wanted.struct_size = sizeof(wanted);
  wanted.name = "twice";
  flagos_plugin_kernel_t* kernel = nullptr;
  REQUIRE(opened.api.module->get_kernel(module, &wanted, &kernel) == FLAGOS_STATUS_OK);
  flagos_stream_desc_t stream_desc{};
  stream_desc.struct_size = sizeof(stream_desc);
  flagos_plugin_stream_t* stream = nullptr;
  REQUIRE(opened.api.stream->create(opened.device, &stream_desc, &stream) == FLAGOS_STATUS_OK);
  std::vector<float> x(64);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const std::uint64_t argument = address_of(x.data());
  const flagos_launch_desc_t launch = launch_desc(&argument, sizeof(argument), 8);
  CHECK(opened.api.kernel->launch(stream, kernel, &launch) == FLAGOS_STATUS_OK);
  CHECK(opened.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == 2 * static_cast<float>(i));
  opened.api.stream->destroy(stream);
  opened.api.module->unload(module);
}

TEST_CASE("gnu-c++: errors have the author's lines, options are checked") {
  Opened opened({{"PATH", getenv("PATH")}});
  if (!opened.compiles()) return;
  std::string wrong = source_text();
  wrong.replace(wrong.find("(v8*)x += "), 10, "(v8*)y += ");
  CHECK(opened.compile(wrong) == FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(contains(opened.log, "author.cpp:9:"));
  CHECK(contains(opened.host.last_error(), "exited with code 1"));
  CHECK(opened.image.empty());
  CHECK(opened.compile(source_text(), "optimize=4") == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(opened.compile(source_text(), "-O2") == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(opened.compile(source_text(), "isa=x86-64-v9") == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(opened.compile(source_text(), " optimize=2  debug") == FLAGOS_STATUS_OK);
  CHECK(opened.compile(std::string("int x\0;", 7)) == FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("gnu-c++: a compiler that is missing, fails, hangs or writes garbage") {
  const Folder folder;
  struct Row {
    std::string compiler;
    flagos_status_t status;
    const char* text;
  };
  const std::string record = "for last; do :; done; while [ \"$1\" != -o ]; do shift; done; ";
  const Row rows[] = {
      {(folder.path / "none-such").string(), FLAGOS_STATUS_COMPILE_FAILED, "cannot be started"},
      {"flagos-none-such", FLAGOS_STATUS_COMPILE_FAILED, "cannot be started"},
      {folder.script("fails", "echo it went wrong >&2; exit 3"), FLAGOS_STATUS_COMPILE_FAILED,
       "exited with code 3: it went wrong"},
      {folder.script("hangs", "sleep 600"), FLAGOS_STATUS_OUT_OF_RESOURCES, "did not end in 1 s"},
      {folder.script("silent", "exec >&- 2>&-; sleep 600"), FLAGOS_STATUS_OUT_OF_RESOURCES,
       "did not end in 1 s"},
      {folder.script("nothing", "exit 0"), FLAGOS_STATUS_COMPILE_FAILED, "wrote no object"},
      {folder.script("garbage", record + "echo garbage > \"$2\""), FLAGOS_STATUS_COMPILE_FAILED,
       "8 bytes that are no object"},
      {folder.script("folder", record + "mkdir \"$2\""), FLAGOS_STATUS_COMPILE_FAILED,
       "wrote no object"},
      {folder.script("dies", "kill -9 $$"), FLAGOS_STATUS_OUT_OF_RESOURCES, "ended by signal 9"},
      {folder.script("full", "echo 'x: No space left on device' >&2; exit 1"),
       FLAGOS_STATUS_OUT_OF_RESOURCES, "no room on the disk"},
      {folder.script("loud", "yes | head -c 10000000; exit 1"), FLAGOS_STATUS_COMPILE_FAILED,
       "exited with code 1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.compiler);
    fs::create_directory(folder.path / "tmp");
    Opened opened({{"PATH", getenv("PATH")},
                   {"FLAGOS_CC", row.compiler},
                   {"FLAGOS_CPU_COMPILE_SECONDS", contains(row.text, "1 s") ? "1" : "30"},
                   {"TMPDIR", (folder.path / "tmp").string()}});
    CHECK(opened.formats() == std::vector<std::string>{"elf-so", "gnu-c++", "flagos.tile"});
    CHECK(opened.compile(source_text()) == row.status);
    CHECK_MESSAGE(contains(opened.host.last_error(), row.text), opened.host.last_error());
    CHECK(opened.log.size() <= 64 * 1024);
    CHECK(opened.image.empty());
    CHECK(fs::is_empty(folder.path / "tmp"));  // nothing is left behind
  }
}

TEST_CASE("gnu-c++: what a compiler leaves behind is ended with it") {
  const Folder folder;
  const std::string file = (folder.path / "alive").string();
  Opened opened({{"PATH", getenv("PATH")},
                 {"FLAGOS_CC", folder.script("forks", "(sleep 2; touch " + file + ") & exit 1")}});
  CHECK(opened.compile(source_text()) == FLAGOS_STATUS_COMPILE_FAILED);
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  CHECK_FALSE(fs::exists(file));
}

TEST_CASE("gnu-c++: no folder for the compiler's files") {
  const Folder folder;
  Opened opened({{"PATH", getenv("PATH")},
                 {"FLAGOS_CC", folder.script("fails", "exit 1")},
                 {"TMPDIR", (folder.path / "none-such").string()}});
  CHECK(opened.compile(source_text()) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(contains(opened.host.last_error(), "no temporary folder"));
}

TEST_CASE("gnu-c++: is not compiled without a compiler") {
  const std::map<std::string, std::string> nowhere{{"PATH", "/none-such"}},
      off{{"FLAGOS_CC", "none"}};
  for (const auto& config : {nowhere, off}) {
    Opened opened(config);
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    REQUIRE(opened.api.module->get_format(opened.device, 1, &info) == FLAGOS_STATUS_OK);
    CHECK(std::string(info.name) == "gnu-c++");
    CHECK(info.flags == FLAGOS_FORMAT_FLAG_REFLECTION);
    CHECK(std::string(info.target).starts_with("gnu-c++;isa="));
    CHECK(opened.compile(source_text()) == FLAGOS_STATUS_UNSUPPORTED);
  }
}

}  // namespace
}  // namespace flagos::cpu::test
