#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

flagos_memory_desc_t memory_desc(std::uint64_t size_bytes,
                                 flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.alignment_bytes = 256;
  return desc;
}

std::uint64_t free_bytes(TestDevice& device) {
  std::uint64_t free = 0;
  std::uint64_t total = 0;
  CHECK(device.api.device->query_memory(device.get(), &free, &total) == FLAGOS_STATUS_OK);
  CHECK(free <= total);
  return free;
}

TEST_CASE("memory: what is given out is counted, and comes back") {
  TestDevice device;
  const std::uint64_t before = free_bytes(device);
  for (const flagos_memory_kind_t kind :
       {FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_PINNED, FLAGOS_MEMORY_KIND_MANAGED}) {
    for (const std::uint64_t size : {1ull, 64ull, 5000ull, 2097151ull, 2097152ull, 9999999ull}) {
      for (const std::uint64_t alignment : {256ull, 4096ull, 65536ull}) {
        flagos_memory_desc_t desc = memory_desc(size, kind);
        desc.alignment_bytes = alignment;
        desc.flags = FLAGOS_MEMORY_FLAG_ZERO;
        std::uint64_t address = 0;
        REQUIRE(device.api.memory->alloc(device.get(), &desc, &address) == FLAGOS_STATUS_OK);
        CHECK(address % alignment == 0);
        CHECK(before - free_bytes(device) >= size);
        auto* bytes = reinterpret_cast<unsigned char*>(address);
        CHECK(bytes[0] == 0);
        CHECK(bytes[size - 1] == 0);
        std::memset(bytes, 0xff, size);
        device.api.memory->free(device.get(), address);
        CHECK(free_bytes(device) == before);
      }
    }
  }
}

TEST_CASE("memory: a caller's memory is shown, wrapped, and freed by its owner only") {
  TestDevice device;
  const std::uint64_t before = free_bytes(device);
  std::vector<unsigned char> bytes(256, 7);
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  std::strcpy(native.type, "void*");
  native.handle_count = 1;
  native.handles[0] = reinterpret_cast<std::uint64_t>(bytes.data());
  const auto wrap = [&](std::uint64_t flags, std::uint64_t* out) {
    return device.api.interop->wrap_native_memory(device.get(), &native, bytes.size(), flags, out);
  };
  std::uint64_t address = 0;
  REQUIRE(wrap(0, &address) == FLAGOS_STATUS_OK);
  CHECK(address == native.handles[0]);
  CHECK(wrap(0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);  // twice
  device.api.memory->free(device.get(), address);
  CHECK(bytes[255] == 7);
  CHECK(free_bytes(device) == before);

  native.handles[0] = reinterpret_cast<std::uint64_t>(std::malloc(256));  // given away
  REQUIRE(wrap(FLAGOS_WRAP_FLAG_OWN, &address) == FLAGOS_STATUS_OK);
  device.api.memory->free(device.get(), address);
  CHECK(free_bytes(device) == before);

  flagos_native_t shown{};
  REQUIRE(device.api.interop->get_native_memory(device.get(), address, &shown) == FLAGOS_STATUS_OK);
  CHECK(std::string(shown.type) == "void*");
  CHECK(shown.handles[0] == address);
  native.handles[0] = 0;
  CHECK(wrap(0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
  native.handles[0] = 256;
  native.handle_count = 2;
  CHECK(wrap(0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
  native.handle_count = 1;
  std::strcpy(native.type, "cl_mem");
  CHECK(wrap(0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("memory: more than there is, is refused without touching it") {
  TestDevice device;
  const std::uint64_t before = free_bytes(device);
  std::uint64_t address = 1;
  flagos_memory_desc_t desc = memory_desc(UINT64_MAX - 4096);
  CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
        FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  desc = memory_desc(before + 1);
  CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
        FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
        FLAGOS_STATUS_OUT_OF_HOST_MEMORY);
  desc = memory_desc(before / 2 + 8192);
  REQUIRE(device.api.memory->alloc(device.get(), &desc, &address) == FLAGOS_STATUS_OK);
  std::uint64_t second = 0;
  CHECK(device.api.memory->alloc(device.get(), &desc, &second) ==
        FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  device.api.memory->free(device.get(), address);
  CHECK(free_bytes(device) == before);
}

TEST_CASE("memory: copies of all sizes, also of ranges that overlap") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t capacity = 10'000'000;  // above where copies are split
  const std::uint64_t memory = device.alloc(capacity);
  std::vector<std::uint8_t> model(capacity);
  for (std::uint64_t i = 0; i < capacity; i += 8) {
    const std::uint64_t value = random();
    std::memcpy(model.data() + i, &value, 8);
  }
  std::memcpy(reinterpret_cast<void*>(memory), model.data(), capacity);
  for (int round = 0; round < 60; ++round) {
    const std::uint64_t size = 1 + random() % (round % 3 == 0 ? capacity / 2 : 5000);
    const std::uint64_t from = random() % (capacity - size + 1);
    const std::uint64_t to = round % 5 == 0 ? (from + size / 2) % (capacity - size + 1)
                                            : random() % (capacity - size + 1);
    REQUIRE(device.api.memory->copy(stream, memory + to, memory + from, size) == FLAGOS_STATUS_OK);
    std::memmove(model.data() + to, model.data() + from, size);
  }
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(std::memcmp(reinterpret_cast<void*>(memory), model.data(), capacity) == 0);
}

TEST_CASE("memory: threads that wait for copies and fills help, and every byte is written once") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t capacity = 6'000'000;
  const std::uint64_t memory = device.alloc(2 * capacity);
  auto* bytes = reinterpret_cast<std::uint8_t*>(memory);
  for (std::uint64_t i = 0; i < capacity; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 >> 8);
  // One waits to the end, one gives up again and again.
  std::atomic<bool> stop{false};
  std::thread impatient([&] {
    while (!stop) {
      const flagos_status_t status = device.api.stream->synchronize(stream, 5'000);
      CHECK((status == FLAGOS_STATUS_OK || status == FLAGOS_STATUS_TIMEOUT));
    }
  });
  for (std::uint64_t round = 0; round < 60; ++round) {
    const std::uint64_t size = 200'000 + round * 97'003;  // from too small to share to split
    const std::uint8_t pattern = static_cast<std::uint8_t>(round);
    REQUIRE(device.api.memory->fill(stream, memory + capacity, &pattern, 1, capacity) ==
            FLAGOS_STATUS_OK);
    REQUIRE(device.api.memory->copy(stream, memory + capacity, memory, size) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.stream->synchronize(stream, UINT64_MAX) == FLAGOS_STATUS_OK);
    CHECK(std::memcmp(bytes, bytes + capacity, size) == 0);
    CHECK(std::all_of(bytes + capacity + size, bytes + 2 * capacity,
                      [&](std::uint8_t byte) { return byte == pattern; }));
  }
  stop = true;
  impatient.join();
}

TEST_CASE("memory: fills of every pattern") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t capacity = 6 * 1024 * 1024;
  const std::uint64_t memory = device.alloc(capacity);
  std::uint8_t pattern[16];
  for (std::uint8_t i = 0; i < 16; ++i) pattern[i] = static_cast<std::uint8_t>(0x31 + 7 * i);
  for (const std::uint32_t width : {1u, 2u, 4u, 8u, 16u}) {
    for (const std::uint64_t size :
         {std::uint64_t{width}, std::uint64_t{width} * 37, capacity - 64}) {
      const std::uint64_t at = width;
      std::memset(reinterpret_cast<void*>(memory), 0, capacity);
      const std::uint64_t filled = size / width * width;
      REQUIRE(device.api.memory->fill(stream, memory + at, pattern, width, filled) ==
              FLAGOS_STATUS_OK);
      REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(memory);
      std::uint64_t wrong = bytes[at - 1] != 0;
      for (std::uint64_t i = 0; i < filled; ++i) wrong += bytes[at + i] != pattern[i % width];
      wrong += bytes[at + filled] != 0;
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("memory: rows are copied and what lies between them is not") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t source = device.alloc(64 * 64);
  const std::uint64_t target = device.alloc(64 * 64);
  auto* from = reinterpret_cast<std::uint8_t*>(source);
  auto* to = reinterpret_cast<std::uint8_t*>(target);
  for (int i = 0; i < 64 * 64; ++i) from[i] = static_cast<std::uint8_t>(i * 13 + 1);
  std::memset(to, 0xee, 64 * 64);
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.target = target;
  desc.source = source;
  desc.target_pitch_bytes = 60;
  desc.source_pitch_bytes = 50;
  desc.width_bytes = 33;
  desc.height = 40;
  REQUIRE(device.api.memory->copy_2d(stream, &desc) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  int wrong = 0;
  for (int i = 0; i < 64 * 64; ++i) {
    const int row = i / 60;
    const int column = i % 60;
    const bool copied = row < 40 && column < 33;
    wrong += to[i] != (copied ? from[row * 50 + column] : 0xee);
  }
  CHECK(wrong == 0);
}

TEST_CASE("memory: an update keeps the bytes of the call, few and many") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t memory = device.alloc(FLAGOS_MEMORY_UPDATE_MAX);
  for (const std::uint64_t size : {1ull, 4096ull, 4097ull, 65536ull}) {
    std::vector<std::uint8_t> data(size, static_cast<std::uint8_t>(size % 251 + 1));
    const std::vector<std::uint8_t> expected = data;
    REQUIRE(device.api.memory->update(stream, memory, data.data(), size) == FLAGOS_STATUS_OK);
    std::memset(data.data(), 0, size);
    REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(std::memcmp(reinterpret_cast<void*>(memory), expected.data(), size) == 0);
  }
}

TEST_CASE("memory: registered host memory keeps its address; prefetch changes nothing") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  std::vector<std::uint8_t> bytes(100'000, 7);
  std::uint64_t address = 0;
  REQUIRE(device.api.memory->host_register(device.get(), bytes.data(), bytes.size(), 0, &address) ==
          0);
  CHECK(address == address_of(bytes.data()));
  CHECK(device.api.memory->prefetch(stream, address, bytes.size()) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.memory->host_unregister(device.get(), bytes.data()) == FLAGOS_STATUS_OK);
  CHECK(bytes[99'999] == 7);
}

}  // namespace
}  // namespace flagos::cpu::test
