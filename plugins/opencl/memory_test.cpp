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

// A rectangle of numbers in a picture whose rows are `pitch_bytes` apart, and where it begins.
struct Picture {
  std::uint64_t address;
  std::uint64_t pitch_bytes;
};

TEST_CASE("memory: rectangles are copied between all kinds of memory, wherever they begin") {
  if (!has_device()) return;
  constexpr std::uint64_t width_bytes = 12, height = 5;
  for (const char* mode : {"", "buffer"}) {
    CAPTURE(mode);
    TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", mode}});
    flagos_plugin_stream_t* stream = device.stream();
    const auto copy = [&](const Picture& target, const Picture& source) {
      flagos_copy_2d_desc_t desc{};
      desc.struct_size = sizeof(desc);
      desc.target = target.address;
      desc.target_pitch_bytes = target.pitch_bytes;
      desc.source = source.address;
      desc.source_pitch_bytes = source.pitch_bytes;
      desc.width_bytes = width_bytes;
      desc.height = height;
      CHECK(device.api.memory->copy_2d(stream, &desc) == FLAGOS_STATUS_OK);
    };
    std::vector<std::uint32_t> sent(64), got(64, 99);
    std::iota(sent.begin(), sent.end(), 1u);
    const std::uint64_t first = device.alloc(512), second = device.alloc(512);
    // The second one runs over the end of its pitch: no rectangle to the driver.
    for (const std::uint64_t begin : {std::uint64_t{68}, std::uint64_t{56}}) {
      CAPTURE(begin);
      std::fill(got.begin(), got.end(), 99);
      copy({first + begin, 32}, {address_of(sent.data() + 1), 20});
      copy({second + 4, 16}, {first + begin, 32});
      copy({first + 256 + 8, 16}, {second + 4, 16});
      copy({second + 256, 12}, {first + 264, 16});
      copy({address_of(got.data() + 2), 28}, {second + 256, 12});
      CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
      std::vector<std::uint32_t> expected(64, 99);
      for (std::size_t row = 0; row < height; ++row)
        for (std::size_t i = 0; i < 3; ++i) expected[2 + row * 7 + i] = sent[1 + row * 5 + i];
      CHECK(got == expected);
      // Nothing beside the rectangle was written.
      std::vector<std::uint32_t> around = device.read(stream, second, 32);
      for (std::size_t row = 0; row < height; ++row) CHECK(around[row * 4] == 0);
    }
  }
}

bool can_open(const char* mode) {
  TestInstance instance(Config{{"FLAGOS_OPENCL_MEMORY", mode}});
  flagos_plugin_device_t* device = nullptr;
  const flagos_status_t status = instance.api.device->open(instance.api.instance, 0, &device);
  if (status == FLAGOS_STATUS_OK) instance.api.device->close(device);
  return status == FLAGOS_STATUS_OK;
}

TEST_CASE("memory: a kernel follows pointers that it finds in memory, where addresses are native") {
  if (!has_device()) return;
  for (const char* mode : {"svm", "usm"}) {
    CAPTURE(mode);
    if (!can_open(mode)) continue;
    TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", mode}});
    flagos_plugin_stream_t* stream = device.stream();
    const std::uint64_t table = device.alloc(8);
    for (std::uint32_t value = 1; value < 4; ++value) {
      const std::uint64_t target = device.alloc(4);
      CHECK(device.api.memory->copy(stream, table, address_of(&target), 8) == FLAGOS_STATUS_OK);
      CHECK(device.launch(stream, "test_follow", AddArguments{table, value}) == FLAGOS_STATUS_OK);
      CHECK(device.read(stream, target, 1)[0] == value);
    }
  }
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
