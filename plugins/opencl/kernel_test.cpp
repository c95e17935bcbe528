#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

struct StepArguments {
  std::uint64_t data;
  std::uint32_t factor;
  std::uint32_t value;
};
struct PairArguments {
  std::uint64_t out;
  float a;
  std::uint8_t b;
};

TEST_CASE("kernel: launches of a stream run in order") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < 500; ++i) {
    REQUIRE(device.launch(stream, "test_step", StepArguments{data, 3, i}) == FLAGOS_STATUS_OK);
    expected = expected * 3 + i;
  }
  CHECK(device.read(stream, data, 1)[0] == expected);
}

TEST_CASE("kernel: reflection tells kinds, sizes and offsets, of the source's own types too") {
  if (!has_device()) return;
  TestDevice device;
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.kernel->get_info(device.kernel("test_pair"), &info) == FLAGOS_STATUS_OK);
  CHECK(info.parameter_count == 2);  // the __local one is no argument
  CHECK(info.argument_bytes == sizeof(PairArguments));
  flagos_parameter_t parameter{};
  CHECK(device.api.kernel->get_parameter(device.kernel("test_pair"), 1, &parameter) ==
        FLAGOS_STATUS_OK);
  CHECK(parameter.size_bytes == 8);
  CHECK(parameter.offset_bytes == 8);
  CHECK(device.api.kernel->get_parameter(device.kernel("test_pair"), 2, &parameter) ==
        FLAGOS_STATUS_NOT_FOUND);
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t out = device.alloc(4 * sizeof(float));
  CHECK(device.launch(stream, "test_pair", PairArguments{out, 0.5f, 3}, 1, 4, 16) ==
        FLAGOS_STATUS_OK);
  for (const std::uint32_t word : device.read(stream, out, 4)) {
    float value = 0;
    std::memcpy(&value, &word, sizeof(value));
    CHECK(value == 3.5f);
  }
}

TEST_CASE("kernel: a launch that cannot be is refused with the values, and the stream lives on") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  CHECK(device.launch(stream, "test_step", std::uint64_t{data}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error() == "kernel 'test_step' takes 16 bytes of arguments, 8 were given");
  CHECK(device.launch(stream, "test_step", StepArguments{data, 1, 1}, 1, 1, 1u << 31) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.launch(stream, "test_step", StepArguments{data, 1, 9}) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, data, 1)[0] == 9);
}

TEST_CASE("module: errors of the compiler come with their lines") {
  if (!has_device()) return;
  TestDevice device;
  const std::string source = "__kernel void broken(__global int* a) {\n  a[0] = nobody;\n}\n";
  flagos_plugin_module_t* module = nullptr;
  CHECK(device.load("opencl-c", source.data(), source.size(), &module) ==
        FLAGOS_STATUS_COMPILE_FAILED);
  const std::string text = device.host.last_error();
  CHECK(text.find("clBuildProgram: CL_BUILD_PROGRAM_FAILURE (-11)") != std::string::npos);
  CHECK(text.find(":2:") != std::string::npos);
  CHECK(text.find("nobody") != std::string::npos);
}

TEST_CASE("module: what compile gives can be loaded; changed bytes of it are refused") {
  if (!has_device()) return;
  TestDevice device;
  const std::string source = "__kernel void five(__global uint* a) { a[0] = 5; }\n";
  flagos_module_desc_t desc = module_desc("opencl-c", source.data(), source.size());
  flagos_compiled_t compiled{};
  REQUIRE(device.api.module->compile(device.get(), &desc, &compiled) == FLAGOS_STATUS_OK);
  std::vector<char> bytes(static_cast<const char*>(compiled.data),
                          static_cast<const char*>(compiled.data) + compiled.size_bytes);
  const std::string format = compiled.format;
  device.api.module->free_compiled(device.get(), &compiled);
  flagos_plugin_module_t* module = nullptr;
  REQUIRE(device.load(format, bytes.data(), bytes.size(), &module) == FLAGOS_STATUS_OK);
  const char* name = nullptr;
  CHECK(device.api.module->get_kernel_name(module, 0, &name) == FLAGOS_STATUS_OK);
  CHECK(std::string(name) == "five");
  device.api.module->unload(module);
  for (std::size_t at = 0; at < bytes.size(); at += bytes.size() / 50 + 1) {
    CAPTURE(at);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    CHECK(device.load(format, bytes.data(), bytes.size(), &module) == FLAGOS_STATUS_INVALID_IMAGE);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  }
  CHECK(device.load(format, bytes.data(), bytes.size() / 2, &module) ==
        FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("event: time passes between two records") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_event_t *start = device.event(), *end = device.event();
  const std::uint64_t data = device.alloc(4);
  std::int64_t elapsed = -1;
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.api.event->record(start, stream) == FLAGOS_STATUS_OK);
  CHECK(device.launch(stream, "test_step", StepArguments{data, 1, 1}) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->record(end, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(end, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 0);
}

}  // namespace
}  // namespace flagos::opencl::test
