#include <dlfcn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

class TestModule {
 public:
  TestModule(TestDevice& device, const flagos_module_desc_t& desc) : table_(*device.api.module) {
    status_ = table_.load(device.get(), &desc, &module_);
  }
  TestModule(TestDevice& device, const std::vector<std::byte>& image)
      : TestModule(device, module_desc(image.data(), image.size())) {}
  ~TestModule() {
    if (module_ != nullptr) table_.unload(module_);
  }
  TestModule(const TestModule&) = delete;
  TestModule& operator=(const TestModule&) = delete;

  flagos_status_t status() const { return status_; }
  flagos_plugin_module_t* get() const { return module_; }
  std::uint32_t* global() const {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    CHECK(table_.get_global(module_, "test_global", &address, &size) == FLAGOS_STATUS_OK);
    CHECK(size == 16);
    return reinterpret_cast<std::uint32_t*>(address);
  }
  flagos_status_t find(const char* name, flagos_plugin_kernel_t** kernel,
                       const std::vector<flagos_parameter_t>* signature = nullptr) const {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    if (signature != nullptr) {
      static const flagos_parameter_t none{};  // a signature without parameters is one, too
      desc.parameters = signature->empty() ? &none : signature->data();
      desc.parameter_count = static_cast<std::uint32_t>(signature->size());
    }
    return table_.get_kernel(module_, &desc, kernel);
  }

 private:
  const flagos_module_table_t& table_;
  flagos_plugin_module_t* module_ = nullptr;
  flagos_status_t status_;
};

std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

std::size_t mappings() {
  std::ifstream file("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

TEST_CASE("module: the same bytes loaded twice are two modules") {
  TestDevice device;
  std::vector<std::byte> image = read_test_kernels();
  const TestModule first(device, image);
  const TestModule second(device, image);
  std::fill(image.begin(), image.end(), std::byte{0});
  REQUIRE(first.status() == FLAGOS_STATUS_OK);
  REQUIRE(second.status() == FLAGOS_STATUS_OK);
  CHECK(first.global() != second.global());
  first.global()[0] = 99;
  CHECK(second.global()[0] == 11);
  CHECK(second.global()[3] == 44);
}

TEST_CASE("module: from a file, which may change afterwards") {
  TestDevice device;
  const auto path =
      std::filesystem::temp_directory_path() / ("flagos_cpu_module_" + std::to_string(getpid()));
  std::filesystem::copy_file(FLAGOS_CPU_TEST_KERNELS, path,
                             std::filesystem::copy_options::overwrite_existing);
  flagos_module_desc_t desc = module_desc(nullptr, 0);
  const std::string text = path.string();
  desc.path = text.c_str();
  const TestModule module(device, desc);
  REQUIRE(module.status() == FLAGOS_STATUS_OK);
  std::ofstream(path, std::ios::trunc) << "gone";
  CHECK(module.global()[1] == 22);
  const TestModule broken(device, desc);
  CHECK(broken.status() == FLAGOS_STATUS_INVALID_IMAGE);
  std::filesystem::remove(path);
  const TestModule missing(device, desc);
  CHECK(missing.status() == FLAGOS_STATUS_NOT_FOUND);
  CHECK(device.host.last_error().find(text) != std::string::npos);
  const std::string folder = std::filesystem::temp_directory_path().string();
  desc.path = folder.c_str();
  const TestModule not_a_file(device, desc);
  CHECK(not_a_file.status() == FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("module: cut, spoilt and foreign images are refused") {
  TestDevice device;
  const std::vector<std::byte> image = read_test_kernels();
  for (std::size_t i = 0; i < 64; ++i) {
    const std::vector<std::byte> cut(
        image.begin(), image.begin() + static_cast<std::ptrdiff_t>(image.size() * i / 64));
    const TestModule module(device, cut);
    CHECK(module.status() == FLAGOS_STATUS_INVALID_IMAGE);
  }
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 64; ++i) {
    std::vector<std::byte> noise(random() % 20'000);
    for (std::byte& value : noise) value = static_cast<std::byte>(random());
    const TestModule module(device, noise);
    CHECK(module.status() == FLAGOS_STATUS_INVALID_IMAGE);
    CHECK(!device.host.last_error().empty());
  }
  std::vector<std::byte> foreign = image;
  foreign[18] = std::byte{22};  // e_machine: s390
  foreign[19] = std::byte{0};
  const TestModule module(device, foreign);
  CHECK(module.status() == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("module: kernels by their exact names") {
  TestDevice device;
  const TestModule module(device, read_test_kernels());
  flagos_plugin_kernel_t* kernel = nullptr;
  flagos_plugin_kernel_t* again = nullptr;
  REQUIRE(module.find("test_append", &kernel) == FLAGOS_STATUS_OK);
  REQUIRE(module.find("test_append", &again) == FLAGOS_STATUS_OK);
  CHECK(kernel == again);
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.kernel->get_info(kernel, &info) == FLAGOS_STATUS_OK);
  CHECK(std::string(info.name) == "test_append");
  CHECK(info.flags == FLAGOS_KERNEL_FLAG_SIGNATURE);
  CHECK(info.parameter_count == 2);
  CHECK(info.argument_bytes == 16);
  flagos_parameter_t parameter{};
  REQUIRE(device.api.kernel->get_parameter(kernel, 1, &parameter) == FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_UINT64);
  CHECK(parameter.offset_bytes == 8);

  CHECK(module.find("test_appen", &kernel) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(device.host.last_error().find("test_append") != std::string::npos);
  CHECK(module.find("test_append2", &kernel) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(module.find("test_global", &kernel) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(module.find("test_broken", &kernel) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(module.find("test_plain", &kernel) == FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::vector<flagos_parameter_t> wrong = {{FLAGOS_DTYPE_UINT64, 8, 8, 0},
                                                 {FLAGOS_DTYPE_UINT64, 8, 8, 8}};
  CHECK(module.find("test_append", &kernel, &wrong) == FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::vector<flagos_parameter_t> right = {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
                                                 {FLAGOS_DTYPE_UINT64, 8, 8, 8}};
  CHECK(module.find("test_append", &kernel, &right) == FLAGOS_STATUS_OK);

  std::vector<std::string> names;
  const char* name = nullptr;
  while (device.api.module->get_kernel_name(module.get(), static_cast<std::uint32_t>(names.size()),
                                            &name) == 0)
    names.emplace_back(name);
  CHECK(std::count(names.begin(), names.end(), "test_append") == 1);
  CHECK(std::count(names.begin(), names.end(), "test_plain") == 1);
  CHECK(std::count(names.begin(), names.end(), "test_global") == 0);
}

TEST_CASE("module: the image comes back as it was, and loads again") {
  TestDevice device;
  const std::vector<std::byte> image = read_test_kernels();
  const TestModule module(device, image);
  const void* data = nullptr;
  std::uint64_t size = 0;
  REQUIRE(device.api.module->get_binary(module.get(), &data, &size) == FLAGOS_STATUS_OK);
  REQUIRE(size == image.size());
  CHECK(std::memcmp(data, image.data(), size) == 0);
  const char* log = nullptr;
  REQUIRE(device.api.module->get_log(module.get(), &log) == FLAGOS_STATUS_OK);
  CHECK(std::strlen(log) > 0);
}

TEST_CASE("module: compile checks an object without running it") {
  TestDevice device;
  const std::vector<std::byte> image = read_test_kernels();
  flagos_module_desc_t desc = module_desc(image.data(), image.size());
  flagos_compiled_t compiled{};
  compiled.struct_size = sizeof(compiled);
  REQUIRE(device.api.module->compile(device.get(), &desc, &compiled) == FLAGOS_STATUS_OK);
  REQUIRE(compiled.size_bytes == image.size());
  CHECK(std::memcmp(compiled.data, image.data(), image.size()) == 0);
  CHECK(std::string(compiled.format) == "elf-so");
  CHECK(std::string(compiled.log).find("test_append") != std::string::npos);
  device.api.module->free_compiled(device.get(), &compiled);

  desc.size_bytes /= 2;
  compiled = {};
  compiled.struct_size = sizeof(compiled);
  REQUIRE(device.api.module->compile(device.get(), &desc, &compiled) ==
          FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(compiled.data == nullptr);
  CHECK(std::string(compiled.log).find("truncated") != std::string::npos);
  device.api.module->free_compiled(device.get(), &compiled);
}

TEST_CASE("module: loading and unloading leaves nothing behind") {
  TestDevice device;
  const std::vector<std::byte> image = read_test_kernels();
  const auto cycle = [&] {
    const TestModule module(device, image);
    flagos_plugin_kernel_t* kernel = nullptr;
    REQUIRE(module.find("test_empty", &kernel) == FLAGOS_STATUS_OK);
  };
  for (int i = 0; i < 10; ++i) cycle();
  const std::size_t files = open_files();
  const std::size_t maps = mappings();
  for (int i = 0; i < 1000; ++i) cycle();
  CHECK(open_files() == files);
  CHECK(mappings() <= maps + 8);
}

// ---- plain functions --------------------------------------------------------------------------

struct PlainArguments {
  std::uint64_t out;
  std::int8_t i8;
  std::uint16_t u16;
  std::int32_t i32;
  std::uint64_t u64;
  float f32;
  double f64;
  std::uint8_t truth;
  std::uint16_t half;
  std::uint8_t bytes[24];
};

template <typename Member>
flagos_parameter_t parameter(flagos_dtype_t dtype, Member PlainArguments::*member) {
  static const PlainArguments at{};
  const auto offset =
      reinterpret_cast<const char*>(&(at.*member)) - reinterpret_cast<const char*>(&at);
  const std::uint32_t alignment = dtype == FLAGOS_DTYPE_BYTES ? 1 : sizeof(Member);
  return {dtype, sizeof(Member), alignment, static_cast<std::uint32_t>(offset)};
}

const std::vector<flagos_parameter_t>& plain_signature() {
  static const std::vector<flagos_parameter_t> signature = {
      parameter(FLAGOS_DTYPE_ADDRESS, &PlainArguments::out),
      parameter(FLAGOS_DTYPE_INT8, &PlainArguments::i8),
      parameter(FLAGOS_DTYPE_UINT16, &PlainArguments::u16),
      parameter(FLAGOS_DTYPE_INT32, &PlainArguments::i32),
      parameter(FLAGOS_DTYPE_UINT64, &PlainArguments::u64),
      parameter(FLAGOS_DTYPE_FLOAT32, &PlainArguments::f32),
      parameter(FLAGOS_DTYPE_FLOAT64, &PlainArguments::f64),
      parameter(FLAGOS_DTYPE_BOOL, &PlainArguments::truth),
      parameter(FLAGOS_DTYPE_FLOAT16, &PlainArguments::half),
      parameter(FLAGOS_DTYPE_BYTES, &PlainArguments::bytes)};
  return signature;
}

TEST_CASE("kernel: a plain function gets every type as C passes it") {
  TestDevice device;
  const TestModule module(device, read_test_kernels());
  flagos_plugin_kernel_t* kernel = nullptr;
  REQUIRE(module.find("test_plain", &kernel, &plain_signature()) == FLAGOS_STATUS_OK);
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.kernel->get_info(kernel, &info) == FLAGOS_STATUS_OK);
  CHECK(info.argument_bytes == sizeof(PlainArguments));

  const std::uint64_t out = device.alloc(9 * 8);
  PlainArguments arguments{};
  arguments.out = out;
  arguments.i8 = -7;
  arguments.u16 = 65'000;
  arguments.i32 = -2'000'000'000;
  arguments.u64 = 0xfedcba9876543210u;
  const std::uint32_t nan32 = 0x7fc01234;  // a payload that must survive
  std::memcpy(&arguments.f32, &nan32, 4);
  const std::uint64_t nan64 = 0x7ff8000000012345;
  std::memcpy(&arguments.f64, &nan64, 8);
  arguments.truth = 1;
  arguments.half = 0x7e01;
  std::uint64_t hash = 0;
  for (std::uint8_t i = 0; i < 24; ++i) {
    arguments.bytes[i] = static_cast<std::uint8_t>(i * 9 + 1);
    hash = hash * 31 + arguments.bytes[i];
  }
  flagos_plugin_stream_t* stream = device.stream();
  flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments));
  REQUIRE(device.api.kernel->launch(stream, kernel, &desc) == FLAGOS_STATUS_OK);
  std::memset(&arguments, 0, sizeof(arguments));  // the block was copied
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const auto* found = reinterpret_cast<const std::uint64_t*>(out);
  CHECK(found[0] == static_cast<std::uint64_t>(-7));
  CHECK(found[1] == 65'000);
  CHECK(found[2] == static_cast<std::uint64_t>(std::int64_t{-2'000'000'000}));
  CHECK(found[3] == 0xfedcba9876543210u);
  CHECK(found[4] == nan32);
  CHECK(found[5] == nan64);
  CHECK(found[6] == 1);
  CHECK(found[7] == 0x7e01);
  CHECK(found[8] == hash);

  desc.grid[0] = 2;
  CHECK(device.api.kernel->launch(stream, kernel, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  desc = launch_desc(&arguments, sizeof(arguments) - 8);
  CHECK(device.api.kernel->launch(stream, kernel, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("kernel: signatures that C cannot have are refused") {
  TestDevice device;
  const TestModule module(device, read_test_kernels());
  flagos_plugin_kernel_t* kernel = nullptr;
  const auto find = [&](flagos_parameter_t parameter) {
    const std::vector<flagos_parameter_t> signature = {parameter};
    return module.find("test_plain_nothing", &kernel, &signature);
  };
  CHECK(find({FLAGOS_DTYPE_INT32, 8, 8, 0}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(find({FLAGOS_MAKE_DTYPE(2, 32, 4), 16, 16, 0}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(find({FLAGOS_DTYPE_INT32, 4, 4, 2}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(find({FLAGOS_DTYPE_BYTES, 0, 1, 0}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(find({FLAGOS_DTYPE_BYTES, 9000, 1, 0}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::vector<flagos_parameter_t> none;
  REQUIRE(module.find("test_plain_nothing", &kernel, &none) == FLAGOS_STATUS_OK);
  flagos_plugin_stream_t* stream = device.stream();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  CHECK(device.api.kernel->launch(stream, kernel, &desc) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("module: symbols that nobody has are named") {
  TestDevice device;
  std::ifstream file(FLAGOS_CPU_TEST_UNRESOLVED, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE(!text.empty());
  const TestModule module(device, module_desc(text.data(), text.size()));
  CHECK(module.status() == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(device.host.last_error().find("test_symbol_of_nobody") != std::string::npos);
}

}  // namespace
}  // namespace flagos::cpu::test
