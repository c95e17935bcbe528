#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

struct AddArguments {
  std::uint64_t data;
  std::uint32_t value;
};

TEST_CASE("memory: bytes go to the device, through it and back") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  std::vector<std::uint32_t> sent(1000);
  std::iota(sent.begin(), sent.end(), 7u);
  const std::uint64_t a = device.alloc(4000), b = device.alloc(4096);
  CHECK(device.api.memory->copy(stream, a, address_of(sent.data()), 4000) == FLAGOS_STATUS_OK);
  CHECK(device.api.memory->copy(stream, b + 12, a, 4000) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, b + 12, 1000) == sent);
  // Overlap, as memmove.
  CHECK(device.api.memory->copy(stream, b + 16, b + 12, 4000) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, b + 16, 1000) == sent);
}

TEST_CASE("memory: a kernel takes an address inside an allocation") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(64);
  CHECK(device.launch(stream, "test_add", AddArguments{data + 4, 5}, 3) == FLAGOS_STATUS_OK);
  const std::vector<std::uint32_t> words = device.read(stream, data, 5);
  CHECK(words == std::vector<std::uint32_t>{0, 5, 5, 5, 0});
}

TEST_CASE("memory: an address outside any allocation is refused, and the stream lives on") {
  if (!has_device()) return;
  TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", "buffer"}});
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(64);
  CHECK(device.launch(stream, "test_add", AddArguments{0x1234, 5}) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("0x1234") != std::string::npos);
  CHECK(device.launch(stream, "test_add", AddArguments{data, 5}) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, data, 1)[0] == 5);
}

TEST_CASE("memory: more than there is is refused, and nothing is lost by it") {
  if (!has_device()) return;
  TestDevice device;
  std::uint64_t free_before = 0, free_after = 0, total = 0;
  device.api.device->query_memory(device.get(), &free_before, &total);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = std::uint64_t{1} << 50;
  desc.alignment_bytes = 256;
  std::uint64_t address = 0;
  CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
        FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(device.host.last_error().find(std::to_string(desc.size_bytes)) != std::string::npos);
  device.api.device->query_memory(device.get(), &free_after, &total);
  CHECK(free_before == free_after);
}

TEST_CASE("memory: registered host memory is used where it lies") {
  if (!has_device()) return;
  TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", "buffer"}});
  flagos_plugin_stream_t* stream = device.stream();
  // Not aligned to anything but its type.
  std::vector<std::uint32_t> words(5000, 1);
  std::uint32_t* const start = words.data() + 1;
  std::uint64_t address = 0;
  REQUIRE(device.api.memory->host_register(device.get(), start, 4 * 4096, 0, &address) ==
          FLAGOS_STATUS_OK);
  CHECK(address == address_of(start));
  CHECK(device.launch(stream, "test_add", AddArguments{address + 8, 41}, 2) == FLAGOS_STATUS_OK);
  const std::uint64_t other = device.alloc(64);
  CHECK(device.api.memory->copy(stream, other, address, 24) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, other, 6) == std::vector<std::uint32_t>{1, 1, 42, 42, 1, 1});
  CHECK(start[2] == 42);
  CHECK(words[0] == 1);
  CHECK(device.api.memory->host_unregister(device.get(), words.data()) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.api.memory->host_unregister(device.get(), start) == FLAGOS_STATUS_OK);
  CHECK(device.api.memory->host_unregister(device.get(), start) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(start[2] == 42);
  start[3] = 7;  // the caller's again
  CHECK(start[3] == 7);
}

}  // namespace
}  // namespace flagos::opencl::test
