#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>

#include "base/error.hpp"
#include "tests/lowering/device.hpp"

namespace flagos::compiler::test {
namespace {

std::string find_compiler() {
  for (const char* name : {"g++", "clang++", "c++"})
    if (std::system(fmt::format("command -v {} > /dev/null 2>&1", name).c_str()) == 0) return name;
  throw_error(FLAGOS_STATUS_NOT_FOUND, "none of g++, clang++ and c++ is there");
}

// A folder that goes with all that is in it.
struct Folder {
  std::string path =
      (std::getenv("TMPDIR") ? std::getenv("TMPDIR") : std::string("/tmp")) + "/flagos_twin_XXXXXX";
  Folder() {
    if (!mkdtemp(path.data())) throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no folder {}", path);
  }
  ~Folder() {
    for (const char* name : {"/kernels.cpp", "/kernels.so", "/log"}) unlink((path + name).c_str());
    rmdir(path.c_str());
  }
};

}  // namespace

ChildCompiler::ChildCompiler() : compiler_(find_compiler()) {}

ChildCompiler::~ChildCompiler() {
  for (void* library : libraries_) dlclose(library);
}

void* ChildCompiler::load(const std::string& source, const std::string& options) {
  const Folder folder;
  const std::string text = folder.path + "/kernels.cpp", library = folder.path + "/kernels.so",
                    log = folder.path + "/log";
  std::ofstream(text) << source;
  const std::string command = fmt::format(
      "{} -O1 -w -ffp-contract=off -shared -fPIC -fvisibility=hidden {} {} -o {} > {} 2>&1",
      compiler_, options, text, library, log);
  if (std::system(command.c_str()) != 0) {
    std::ifstream file(log);
    const std::string said((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    throw_error(FLAGOS_STATUS_COMPILE_FAILED, "{}: {}", compiler_, said.substr(0, 3000));
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw_error(FLAGOS_STATUS_NOT_FOUND, "{}", dlerror());
  libraries_.push_back(handle);
  return handle;
}

namespace {

void* find_entry(void* library, const std::string& name) {
  void* entry = dlsym(library, name.c_str());
  if (!entry) throw_error(FLAGOS_STATUS_NOT_FOUND, "{}", dlerror());
  return entry;
}

// The case's memory, which its kernel changes, and the bits of its arguments.
struct Given {
  explicit Given(const Case& made) {
    for (const Case::Argument& argument : made.arguments) memory.push_back(argument.memory);
    for (std::size_t i = 0; i < memory.size(); ++i) {
      std::uint64_t bits = reinterpret_cast<std::uintptr_t>(memory[i].data());
      if (!made.arguments[i].pointer) {
        bits = 0;
        std::memcpy(&bits, memory[i].data(), memory[i].size());
      }
      arguments.push_back(bits);
    }
  }
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::uint64_t> arguments;
};

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw_error(FLAGOS_STATUS_NOT_FOUND, "no file {}", path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Twin::Twin(std::string include) : include_(std::move(include)) {}

Runner::Loaded Twin::load(const std::string&, const std::string& source) {
  return compiler_.load(source, "-std=c++17 -I" + include_);
}

std::vector<std::vector<std::byte>> Twin::run(Loaded module, const LaunchRecord& record,
                                              const Case& made) {
  using Entry = int (*)(const std::uint32_t*, const std::uint64_t*);
  const auto entry =
      reinterpret_cast<Entry>(find_entry(module, "flagos_tile_run_" + record.kernel));
  Given given(made);
  const int status = entry(made.grid.data(), given.arguments.data());
  if (status != 0) throw_error(status, "running {}", made.name);
  return given.memory;
}

CudaTwin::CudaTwin(const std::string& root)
    : prelude_(read_text(root + "/tests/lowering/cuda_twin.hpp") +
               read_text(root + "/base/testing/cuda_tensor_twin.hpp")) {}

// Halves and words of one memory lie over each other, as CUDA's compiler takes them.
Runner::Loaded CudaTwin::load(const std::string&, const std::string& source) {
  static const std::regex kernel("__launch_bounds__\\(\\d+\\) (\\w+)\\(");
  std::string text = prelude_ + source;
  for (std::sregex_iterator found(source.begin(), source.end(), kernel), end; found != end; ++found)
    text += fmt::format("TWIN_KERNEL({})\n", (*found)[1].str());
  return compiler_.load(text, "-std=c++20 -fno-strict-aliasing");
}

std::vector<std::vector<std::byte>> CudaTwin::run(Loaded module, const LaunchRecord& record,
                                                  const Case& made) {
  using Entry = int (*)(const std::uint32_t*, std::uint32_t, void* const*);
  const auto entry = reinterpret_cast<Entry>(find_entry(module, "twin_run_" + record.kernel));
  Given given(made);
  std::int32_t failure = 0;
  if (record.fails) given.arguments.push_back(reinterpret_cast<std::uintptr_t>(&failure));
  std::vector<void*> addresses;
  for (std::uint64_t& bits : given.arguments) addresses.push_back(&bits);
  if (entry(made.grid.data(), record.threads, addresses.data()) != 0)
    throw_error(FLAGOS_STATUS_INTERNAL,
                "{}: some threads wait at a barrier that others do not reach", made.name);
  // Without the number of the assertion, as core takes it.
  if (failure != 0) throw_error(failure & ~0x00ffff00, "running {}", made.name);
  return given.memory;
}

Bf16Twin::Bf16Twin(const std::string& root)
    : model_(read_text(root + "/tests/lowering/bf16_model.hpp")) {
  if (!has_child_compiler()) throw_error(FLAGOS_STATUS_NOT_FOUND, "no C++ compiler is there");
}

Runner::Loaded Bf16Twin::load(const std::string&, const std::string& source) {
  Lowered text;
  text.source = model_ + source;
  text.options = {"-std=gnu++17",         "-O1",     "-w",    "-ffp-contract=off",
                  "-fno-strict-aliasing", "-fwrapv", "-fPIC", "-shared"};
  libraries_.push_back(std::make_unique<ChildLibrary>(text));
  return libraries_.back().get();
}

std::vector<std::vector<std::byte>> Bf16Twin::run(Loaded library, const LaunchRecord& record,
                                                  const Case& made) {
  Module module;
  Kernel& kernel = module.kernels.emplace_back();
  kernel.name = record.kernel;
  for (const Case::Argument& argument : made.arguments)
    kernel.values.push_back(
        {argument.pointer ? Type::Kind::pointer : Type::Kind::scalar, argument.dtype, 0, {}});
  Given given(made);
  std::vector<ArgumentValue> arguments;
  for (const std::uint64_t bits : given.arguments) arguments.push_back({bits, 0});
  const std::string failure =
      static_cast<ChildLibrary*>(library)->run(record.kernel, made.grid, module, arguments);
  if (!failure.empty())
    throw_error(FLAGOS_STATUS_EXECUTION_FAILED, "running {}: {}", made.name, failure);
  return given.memory;
}

}  // namespace flagos::compiler::test
