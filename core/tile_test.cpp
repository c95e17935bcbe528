// Portable modules through core: what is lowered, compiled and loaded, and how often; binaries; launches.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "core/log.hpp"
#include "core/test_plugin.hpp"
#include "core/tile_binary.hpp"
#include "core/tile_road.hpp"

namespace flagos::core::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* target = "gnu-c++;isa=x86-64-v3";

// The fake plugin has a kernel "append" of one number: what this text lowers to does not matter to it.
constexpr const char* text = "flagos.tile 1.0\n\nkernel @append(%v: i32) {\n}\n";
constexpr const char* other_text = "flagos.tile 1.0\n\nkernel @append(%w: i32) {\n}\n";

FakeOptions options(bool environment = false) {
  FakeOptions options;
  options.target = target;
  options.environment = environment;
  return options;
}

flagos_module_desc_t desc_of(const std::string& bytes, const char* format = tile_format) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = format;
  desc.data = bytes.data();
  desc.size_bytes = bytes.size();
  return desc;
}

// A module for as long as it is needed.
struct Loaded {
  Loaded(flagos_device_t* device, const std::string& bytes, const char* format = tile_format) {
    const flagos_module_desc_t desc = desc_of(bytes, format);
    status = flagos_module_load(device, &desc, &module);
  }
  ~Loaded() { CHECK(flagos_module_unload(module) == FLAGOS_STATUS_OK); }
  flagos_kernel_t* kernel(const char* name) const {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    flagos_kernel_t* kernel = nullptr;
    REQUIRE_MESSAGE(flagos_module_get_kernel(module, &desc, &kernel) == FLAGOS_STATUS_OK, flagos_last_error());
    return kernel;
  }
  flagos_status_t status;
  flagos_module_t* module = nullptr;
};

bool said(const std::string& words) { return std::string(flagos_last_error()).find(words) != std::string::npos; }

flagos_launch_desc_t launch_of(const std::uint32_t& value) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &value;
  desc.argument_bytes = sizeof(value);
  return desc;
}

std::string as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TileBinary binary(std::uint32_t threads, std::uint32_t shared_bytes) {
  TileBinary made;
  made.plugin = "fake";
  made.target = target;
  made.format = "fake";
  made.image.resize(4);
  made.kernels.push_back({"append", threads, shared_bytes, 0, false, 4, {{FLAGOS_DTYPE_INT32, 4, 4, 0}}});
  return made;
}

TEST_CASE("tile: a device with a road lists the formats, one without does not") {
  const auto names = [](flagos_device_t* device) {
    std::vector<std::string> found;
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    for (std::uint32_t i = 0; flagos_module_get_format(device, i, &info) == FLAGOS_STATUS_OK; ++i) {
      found.emplace_back(info.name);
      if (found.back() == tile_format) {
        CHECK(info.flags == (FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_REFLECTION));
        CHECK(std::string(info.version) == "1.0");
      }
    }
    return found;
  };
  {
    const Fake fake(options());
    CHECK(names(fake.device()) == std::vector<std::string>{"fake", "gnu-c++", "flagos.tile", "flagos.tile-binary"});
  }
  const auto compiles = [](flagos_device_t* device) {
    flagos_support_t support = -1;
    CHECK(flagos_device_get_feature(device, FLAGOS_FEATURE_COMPILE, &support) == FLAGOS_STATUS_OK);
    return support;
  };
  {
    const Fake fake(options());
    CHECK(compiles(fake.device()) == FLAGOS_SUPPORT_NATIVE);
  }
  {
    FakeOptions loads = options();
    loads.change = [](flagos::core::test::FakeTables& tables) {
      tables.module.compile = nullptr;
      tables.module.free_compiled = nullptr;
    };
    const Fake fake(loads);
    CHECK(compiles(fake.device()) == FLAGOS_SUPPORT_EMULATED);
  }
  const Fake plain;
  CHECK(names(plain.device()) == std::vector<std::string>{"fake"});
  CHECK(compiles(plain.device()) == FLAGOS_SUPPORT_ABSENT);
  const Loaded refused(plain.device(), text);
  CHECK(refused.status == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("tile: loads, reflects, launches") {
  Fake fake_runtime(options());
  const Loaded loaded(fake_runtime.device(), text);
  REQUIRE_MESSAGE(loaded.status == FLAGOS_STATUS_OK, flagos_last_error());
  std::uint32_t count = 0;
  CHECK(flagos_module_get_kernel_count(loaded.module, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 1);  // of the text, whatever else the image has
  const char* name = nullptr;
  CHECK(flagos_module_get_kernel_name(loaded.module, 0, &name) == FLAGOS_STATUS_OK);
  CHECK(std::string(name) == "append");
  CHECK(flagos_module_get_kernel_name(loaded.module, 1, &name) == FLAGOS_STATUS_NOT_FOUND);
  flagos_kernel_t* kernel = loaded.kernel("append");
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  CHECK(flagos_kernel_get_info(kernel, &info) == FLAGOS_STATUS_OK);
  CHECK(info.parameter_count == 1);
  CHECK(info.max_block_threads == 1);
  flagos_parameter_t parameter{};
  CHECK(flagos_kernel_get_parameter(kernel, 0, &parameter) == FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_INT32);  // as the text says, the image has another
  flagos_stream_t* stream = fake_runtime.stream();
  const std::uint32_t value = 7;
  flagos_launch_desc_t launch = launch_of(value);
  CHECK(flagos_kernel_launch(stream, kernel, &launch) == FLAGOS_STATUS_OK);
  launch.block[0] = 2;
  CHECK(flagos_kernel_launch(stream, kernel, &launch) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(said("its grid is in programs"));
  CHECK(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{7});
  flagos_kernel_desc_t missing{};
  missing.struct_size = sizeof(missing);
  missing.name = "noop";  // the image has it, the text has not
  CHECK(flagos_module_get_kernel(loaded.module, &missing, &kernel) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(said("there are: append"));
}

TEST_CASE("tile: a target may be asked for, and one that the device does not have is told") {
  Fake fake_runtime(options());
  const auto load = [&](const char* wanted) {
    const std::string bytes = text;
    flagos_module_desc_t desc = desc_of(bytes);
    desc.options = wanted;
    flagos_module_t* module = nullptr;
    const flagos_status_t status = flagos_module_load(fake_runtime.device(), &desc, &module);
    CHECK(flagos_module_unload(module) == FLAGOS_STATUS_OK);
    return status;
  };
  CHECK(load("target=gnu-c++;isa=x86-64-v3 -O1") == FLAGOS_STATUS_OK);
  CHECK(load("-O1 target=gnu-c++;isa=x86-64-v3") == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 2);
  CHECK(load("target=gnu-c++;isa=none") == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(said("target 'gnu-c++;isa=none' is none of device"));
  CHECK(said("gnu-c++;isa=x86-64-v3"));
  CHECK(fake().compiles == 2);
}

TEST_CASE("tile: a target and a compiler that the plugin does not name are made of what the device says") {
  static flagos_schedule_class_t schedule = FLAGOS_SCHEDULE_CLASS_SERIAL;
  FakeOptions used = options();
  used.change = [](FakeTables& tables) {
    static flagos_status_t (*own_format)(flagos_plugin_device_t*, std::uint32_t, flagos_format_info_t*);
    own_format = tables.module.get_format;
    tables.module.get_compiler = nullptr;
    tables.module.get_format = [](flagos_plugin_device_t* device, std::uint32_t index, flagos_format_info_t* out) {
      const flagos_status_t status = own_format(device, index, out);
      if (status == FLAGOS_STATUS_OK && index == 1) {
        out->target[0] = '\0';
        out->schedule_class = schedule;
      }
      return status;
    };
  };
  {
    Fake fake_runtime(used);
    CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
    CHECK(fake().compiles == 1);
  }
  // This dialect has no threads that stand together: the target says so, and is refused.
  schedule = FLAGOS_SCHEDULE_CLASS_SIMT;
  Fake fake_runtime(used);
  CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_UNSUPPORTED);
  CHECK_MESSAGE(said("schedule"), flagos_last_error());
  CHECK(fake().compiles == 0);
}

TEST_CASE("tile: a compiler that gives no image is told") {
  FakeOptions used = options();
  used.change = [](FakeTables& tables) {
    tables.module.compile = [](flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_compiled_t*) {
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
  };
  Fake fake_runtime(used);
  CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK(said("no image from module.compile"));
}

TEST_CASE("tile: the same text is made once for a device, as long as the device is open") {
  Fake fake_runtime(options());
  for (int i = 0; i < 3; ++i) CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 1);
  CHECK(fake().loads == 1);
  CHECK(Loaded(fake_runtime.device(), other_text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 2);
  flagos_device_t* second = fake_runtime.open(1);
  CHECK(Loaded(second, text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 3);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const std::string mine = std::string(text) + "// " + std::to_string(i) + "\n";
        CHECK(Loaded(fake_runtime.device(), mine).status == FLAGOS_STATUS_OK);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(fake().compiles == 23);
}

TEST_CASE("tile: modules that are wrong, compilers that refuse") {
  Fake fake_runtime(options());
  CHECK(Loaded(fake_runtime.device(), "flagos.tile 1.0\nkernel @x() {\n  frobnicate\n}\n").status != FLAGOS_STATUS_OK);
  CHECK(said("frobnicate"));
  CHECK(Loaded(fake_runtime.device(), "garbage").status == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(Loaded(fake_runtime.device(), "flagos.tile 2.0\n").status == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(fake().compiles == 0);
  fake().compile = FLAGOS_STATUS_COMPILE_FAILED;
  for (int i = 0; i < 2; ++i) {
    CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_COMPILE_FAILED);
    CHECK(said("it does not compile"));
  }
  CHECK(fake().compiles == 1);  // the second time it was known
  flagos_blob_t* blob = nullptr;
  const std::string bytes = text;
  const flagos_module_desc_t desc = desc_of(bytes);
  CHECK(flagos_module_compile(fake_runtime.device(), &desc, &blob) == FLAGOS_STATUS_COMPILE_FAILED);
  const char* log = nullptr;
  CHECK(flagos_blob_get_log(blob, &log) == FLAGOS_STATUS_OK);
  CHECK(std::string(log) == "the compiler's words");
  CHECK(flagos_blob_destroy(blob) == FLAGOS_STATUS_OK);
  const std::string garbage = "garbage";
  const flagos_module_desc_t wrong = desc_of(garbage);
  CHECK(flagos_module_compile(fake_runtime.device(), &wrong, &blob) == FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(flagos_blob_get_log(blob, &log) == FLAGOS_STATUS_OK);
  CHECK(std::string(log).find("the first line") != std::string::npos);
  CHECK(flagos_blob_destroy(blob) == FLAGOS_STATUS_OK);
  fake().compile = FLAGOS_STATUS_OUT_OF_RESOURCES;
  CHECK(Loaded(fake_runtime.device(), other_text).status == FLAGOS_STATUS_OUT_OF_RESOURCES);
  fake().compile = 0;
  CHECK(Loaded(fake_runtime.device(), other_text).status == FLAGOS_STATUS_OK);  // that may pass
}

TEST_CASE("tile: a blob loads later, elsewhere, unchanged only") {
  std::vector<std::byte> kept;
  {
    Fake fake_runtime(options());
    flagos_blob_t* blob = nullptr;
    const std::string bytes = text;
    const flagos_module_desc_t desc = desc_of(bytes);
    REQUIRE(flagos_module_compile(fake_runtime.device(), &desc, &blob) == FLAGOS_STATUS_OK);
    const void* data = nullptr;
    std::uint64_t size = 0;
    const char* format = nullptr;
    REQUIRE(flagos_blob_get_data(blob, &data, &size, &format) == FLAGOS_STATUS_OK);
    CHECK(std::string(format) == tile_binary_format);
    kept.assign(static_cast<const std::byte*>(data), static_cast<const std::byte*>(data) + size);
    CHECK(flagos_blob_destroy(blob) == FLAGOS_STATUS_OK);
  }
  Fake fake_runtime(options());
  const Loaded loaded(fake_runtime.device(), as_text(kept), tile_binary_format);
  REQUIRE_MESSAGE(loaded.status == FLAGOS_STATUS_OK, flagos_last_error());
  CHECK(fake().compiles == 0);
  loaded.kernel("append");
  // What get_binary gives loads as well.
  std::uint64_t size = 0;
  CHECK(flagos_module_get_binary(loaded.module, 0, nullptr, &size) == FLAGOS_STATUS_OK);
  CHECK(size == kept.size());
  for (std::size_t at = 0; at < kept.size(); at += 3) {
    std::vector<std::byte> wrong = kept;
    wrong[at] ^= std::byte{0x10};
    const flagos_status_t status = Loaded(fake_runtime.device(), as_text(wrong), tile_binary_format).status;
    CAPTURE(at);
    CHECK((status == FLAGOS_STATUS_INVALID_IMAGE || status == FLAGOS_STATUS_UNSUPPORTED_VERSION));
  }
  for (std::size_t cut = 0; cut < kept.size(); cut += 7)
    CHECK(Loaded(fake_runtime.device(), as_text(kept).substr(0, cut), tile_binary_format).status ==
          FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("tile: a failed assertion is a sentence, although its kernel has left a number only") {
  Fake fake_runtime(options());
  TileBinary made = binary(1, 0);
  made.kernels[0].fails = true;
  made.kernels[0].assertions = {{0x1234, "take: an index is outside"}, {0x1235, "one"}, {0x1235, "another"}};
  const TileBinary again = read_tile_binary(write_tile_binary(made));
  REQUIRE(again.kernels[0].assertions.size() == 3);
  CHECK(again.kernels[0].assertions[0].number == 0x1234);
  CHECK(again.kernels[0].assertions[2].message == "another");
  const Loaded loaded(fake_runtime.device(), as_text(write_tile_binary(made)), tile_binary_format);
  REQUIRE_MESSAGE(loaded.status == FLAGOS_STATUS_OK, flagos_last_error());
  const auto fail_with = [&](flagos_status_t status) {
    flagos_stream_t* stream = nullptr;
    REQUIRE(flagos_stream_create(fake_runtime.device(), nullptr, &stream) == FLAGOS_STATUS_OK);
    fake().execute = status;
    REQUIRE(fake_runtime.append(stream, 1) == FLAGOS_STATUS_OK);
    const flagos_status_t said = flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE);
    const std::string why = flagos_last_error();
    CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
    return std::pair(said, why);
  };
  auto [status, words] = fail_with(0x04123402);
  CHECK(status == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK_MESSAGE(words.find(": assert: take: an index is outside") != std::string::npos, words);
  std::tie(status, words) = fail_with(0x04123502);
  CHECK_MESSAGE(words.find(": assert: one; or another") != std::string::npos, words);
  // Source that was printed before has no record.
  std::tie(status, words) = fail_with(0x04777702);
  CHECK(status == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(words.find("assert") == std::string::npos);
  std::tie(status, words) = fail_with(0x04777703);
  CHECK(status == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  std::tie(status, words) = fail_with(FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(status == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(words.find("assert") == std::string::npos);
}

TEST_CASE("tile: a blob for another target or plugin is refused, one for less is taken") {
  Fake fake_runtime(options());
  const auto status_of = [&](const TileBinary& made) {
    return Loaded(fake_runtime.device(), as_text(write_tile_binary(made)), tile_binary_format).status;
  };
  TileBinary made = binary(1, 0);
  CHECK(status_of(made) == FLAGOS_STATUS_OK);
  made.target = "gnu-c++;isa=x86-64-v2";
  CHECK(status_of(made) == FLAGOS_STATUS_OK);
  made.target = "gnu-c++;isa=x86-64-v4";
  CHECK(status_of(made) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(said("x86-64-v4"));
  made.target = target;
  made.plugin = "other";
  CHECK(status_of(made) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("tile: a plugin that takes the form itself gets what core cannot lower") {
  FakeOptions wanted = options();
  wanted.target = "glsl;no=f64";
  wanted.takes_tile = true;
  Fake fake_runtime(wanted);
  CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 1);
  const std::string wide =
      "flagos.tile 1.0\n\nkernel @noop(%x: ptr<f64>) {\n  %0 = view %x {shape=[1], strides=[1]} : view<f64, 1>\n  %1 = "
      "const {value=0} : i32\n  %2 = load %0, %1 : f64\n  store %0, %1, %2\n}\n";
  const Loaded loaded(fake_runtime.device(), wide);
  CHECK_MESSAGE(loaded.status == FLAGOS_STATUS_OK, flagos_last_error());
  CHECK(fake().compiles == 1);
  CHECK(fake().loads == 2);
  loaded.kernel("noop");
  flagos_blob_t* blob = nullptr;
  const flagos_module_desc_t desc = desc_of(wide);  // a blob is core's to make, and it cannot
  CHECK(flagos_module_compile(fake_runtime.device(), &desc, &blob) == FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(said("f64"));
  CHECK(flagos_blob_destroy(blob) == FLAGOS_STATUS_OK);
}

TEST_CASE("tile: which targets a target runs") {
  using List = std::vector<std::string>;
  CHECK(accepted_targets("gnu-c++;isa=x86-64-v4+amx;vector=256") ==
        List{"gnu-c++;isa=x86-64-v4+amx;vector=256", "gnu-c++;isa=x86-64-v4;vector=256",
             "gnu-c++;isa=x86-64-v3;vector=256", "gnu-c++;isa=x86-64-v2;vector=256"});
  CHECK(accepted_targets("gnu-c++;isa=x86-64-v2") == List{"gnu-c++;isa=x86-64-v2"});
  for (const char* other : {"gnu-c++", "gnu-c++;isa=aarch64", "gnu-c++;isa=x86-64-v", "glsl;threads=64"})
    CHECK(accepted_targets(other) == List{other});
}

TEST_CASE("tile: core puts the block of the launch record in") {
  Fake fake_runtime(options());
  const Loaded loaded(fake_runtime.device(), as_text(write_tile_binary(binary(64, 128))), tile_binary_format);
  REQUIRE(loaded.status == FLAGOS_STATUS_OK);
  flagos_kernel_t* kernel = loaded.kernel("append");
  flagos_stream_t* stream = fake_runtime.stream();
  const std::uint32_t value = 5;
  flagos_launch_desc_t launch = launch_of(value);
  const auto launched = [&] {
    const bool good = fake().block == 64 && fake().shared == 128;
    fake().block = fake().shared = 0;
    return good;
  };
  CHECK(flagos_kernel_launch(stream, kernel, &launch) == FLAGOS_STATUS_OK);
  CHECK(launched());
  flagos_argument_t argument{};
  argument.dtype = FLAGOS_DTYPE_INT32;
  argument.value = 6;
  flagos_launch_desc_t unpacked = launch;
  unpacked.argument_block = nullptr;
  unpacked.argument_bytes = 0;
  unpacked.arguments = &argument;
  unpacked.argument_count = 1;
  CHECK(flagos_kernel_launch(stream, kernel, &unpacked) == FLAGOS_STATUS_OK);
  CHECK(launched());
  flagos_prepared_t* prepared = nullptr;
  REQUIRE(flagos_kernel_prepare(kernel, &launch, &prepared) == FLAGOS_STATUS_OK);
  CHECK(flagos_kernel_launch_prepared(stream, prepared) == FLAGOS_STATUS_OK);
  CHECK(launched());
  CHECK(flagos_prepared_destroy(prepared) == FLAGOS_STATUS_OK);
  launch.shared_bytes = 1;
  CHECK(flagos_kernel_launch(stream, kernel, &launch) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{5, 6, 5});
}

// A folder of its own for the cache, or none.
struct Cache {
  explicit Cache(bool in_packs = false) {
    std::string name = (fs::temp_directory_path() / "flagos-tile-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
    ::setenv("FLAGOS_KERNEL_CACHE", in_packs ? "off" : name.c_str(), 1);
    if (in_packs) ::setenv("FLAGOS_KERNEL_PACKS", name.c_str(), 1);
  }
  ~Cache() {
    ::unsetenv("FLAGOS_KERNEL_CACHE");
    ::unsetenv("FLAGOS_KERNEL_PACKS");
    fs::remove_all(path);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path)) found.push_back(entry.path());
    return found;
  }
  fs::path path;
};

TEST_CASE("tile: another process finds on disk what one has made") {
  const Cache cache;
  const auto load = [](const char* compiler = "fake compiler 1", const std::string& used = text) {
    Fake fake_runtime(options(true));
    fake().compiler = compiler;
    const Loaded loaded(fake_runtime.device(), used);
    REQUIRE_MESSAGE(loaded.status == FLAGOS_STATUS_OK, flagos_last_error());
    loaded.kernel("append");
    return fake().compiles.load();
  };
  CHECK(load() == 1);
  CHECK(cache.files().size() == 1);
  CHECK(load() == 0);
  CHECK(load("fake compiler 1", std::string(text) + "// a comment\n") == 0);  // other bytes, the same module
  CHECK(load("fake compiler 2") == 1);
  CHECK(load("fake compiler 1", other_text) == 1);
  CHECK(cache.files().size() == 3);

  SUBCASE("an entry that is damaged anywhere is made anew") {
    for (const fs::path& file : cache.files()) fs::remove(file);
    CHECK(load() == 1);
    const fs::path file = cache.files().front();
    std::string good(fs::file_size(file), '\0');
    std::ifstream(file, std::ios::binary).read(good.data(), static_cast<std::streamsize>(good.size()));
    for (std::size_t at = 0; at < good.size(); at += good.size() / 40 + 1) {
      std::string wrong = good;
      wrong[at] = static_cast<char>(wrong[at] ^ 1);
      std::ofstream(file, std::ios::binary | std::ios::trunc) << wrong;
      CAPTURE(at);
      CHECK(load() == 1);
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << good.substr(0, good.size() / 2);
    CHECK(load() == 1);
    CHECK(load() == 0);
  }
  SUBCASE("one that the plugin no longer takes is made anew") {
    Fake fake_runtime(options(true));
    fake().load = FLAGOS_STATUS_INVALID_IMAGE;
    CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
    CHECK(fake().compiles == 1);
  }
}

TEST_CASE("tile: packs come first and need no compiler") {
  const Cache cache(true);
  Fake fake_runtime(options(true));
  flagos_blob_t* blob = nullptr;
  const std::string bytes = text;
  const flagos_module_desc_t desc = desc_of(bytes);
  REQUIRE(flagos_module_compile(fake_runtime.device(), &desc, &blob) == FLAGOS_STATUS_OK);
  const void* data = nullptr;
  std::uint64_t size = 0;
  REQUIRE(flagos_blob_get_data(blob, &data, &size, nullptr) == FLAGOS_STATUS_OK);
  const std::string image(static_cast<const char*>(data), size);
  CHECK(flagos_blob_destroy(blob) == FLAGOS_STATUS_OK);
  const std::string digest = read_tile_binary(std::as_bytes(std::span(image))).module.substr(0, 64);
  std::ofstream(cache.path / tile_pack_name(digest, "fake", target), std::ios::binary) << image;
  fake().compiles = 0;
  CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 0);
  // Under the name of another module it is not that one.
  const std::string other(other_text);
  const TileModule module(open_compiler(reinterpret_cast<const void*>(&tile_pack_name)), other);
  const auto hash = module.hash();
  std::ofstream(cache.path / tile_pack_name(hex(hash), "fake", target), std::ios::binary) << image;
  CHECK(Loaded(fake_runtime.device(), other_text).status == FLAGOS_STATUS_OK);
  CHECK(fake().compiles == 1);
}

TEST_CASE("tile: every stage is written where FLAGOS_KERNEL_DUMP says") {
  const Cache cache;
  const fs::path folder = cache.path / "dump";
  ::setenv("FLAGOS_KERNEL_DUMP", folder.c_str(), 1);
  {
    Fake fake_runtime(options(true));
    CHECK(Loaded(fake_runtime.device(), text).status == FLAGOS_STATUS_OK);
    fake().compile = FLAGOS_STATUS_COMPILE_FAILED;
    CHECK(Loaded(fake_runtime.device(), other_text).status == FLAGOS_STATUS_COMPILE_FAILED);
  }
  ::unsetenv("FLAGOS_KERNEL_DUMP");
  std::vector<std::string> extensions;
  for (const auto& entry : fs::directory_iterator(folder)) extensions.push_back(entry.path().extension().string());
  std::sort(extensions.begin(), extensions.end());
  CHECK(extensions == std::vector<std::string>{".gnu-c++", ".gnu-c++", ".json", ".log", ".log", ".tile", ".tile"});
}

}  // namespace
}  // namespace flagos::core::test
