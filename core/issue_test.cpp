// The emulations that need no waiting, on a plugin of the required groups.
#include "core/issue.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

std::uint8_t* bytes(flagos_address_t address) {
  return reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

bool repeats(flagos_address_t address, std::uint64_t size, const void* pattern, std::uint32_t pattern_size) {
  for (std::uint64_t i = 0; i < size; ++i) {
    if (bytes(address)[i] != static_cast<const std::uint8_t*>(pattern)[i % pattern_size]) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("wide fills are written once and doubled by copies") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_address_t memory = f.alloc(100'000);
  std::uint8_t pattern[16];
  for (int i = 0; i < 16; ++i) pattern[i] = static_cast<std::uint8_t>(i + 1);
  for (const std::uint32_t pattern_size : {8u, 16u}) {
    for (const std::uint64_t size : {16u, 4096u, 4112u, 65536u, 99'984u}) {
      REQUIRE(flagos_memory_fill(stream, memory, pattern, 1, 100'000) == FLAGOS_STATUS_OK);
      REQUIRE(flagos_memory_fill(stream, memory, pattern, pattern_size, size) == FLAGOS_STATUS_OK);
      REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
      CHECK(repeats(memory, size, pattern, pattern_size));
      CHECK(repeats(memory + size, 16, pattern, 1));
    }
  }
}

TEST_CASE("a pattern that repeats inside itself is handed over shorter") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_address_t memory = f.alloc(1024);
  const std::uint64_t zeros[2] = {0, 0};
  const std::uint64_t fills = fake().fills;
  const std::uint64_t copies = fake().copies;
  REQUIRE(flagos_memory_fill(stream, memory, zeros, 16, 1024) == FLAGOS_STATUS_OK);
  CHECK(fake().fills == fills + 1);
  CHECK(fake().copies == copies);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(repeats(memory, 1024, zeros, 16));
}

TEST_CASE("rows are copied one by one, and as one when they touch") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_address_t source = f.alloc(4096);
  const flagos_address_t target = f.alloc(4096);
  for (int i = 0; i < 4096; ++i) bytes(source)[i] = static_cast<std::uint8_t>(i * 7);
  std::memset(bytes(target), 0xee, 4096);
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.target = target;
  desc.source = source;
  desc.target_pitch_bytes = 100;
  desc.source_pitch_bytes = 64;
  desc.width_bytes = 10;
  desc.height = 5;
  std::uint64_t copies = fake().copies;
  REQUIRE(flagos_memory_copy_2d(stream, &desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().copies == copies + 5);
  for (int row = 0; row < 5; ++row) {
    CHECK(std::memcmp(bytes(target + row * 100u), bytes(source + row * 64u), 10) == 0);
    CHECK(bytes(target)[row * 100 + 10] == 0xee);
  }
  desc.target_pitch_bytes = desc.source_pitch_bytes = desc.width_bytes = 64;
  copies = fake().copies;
  REQUIRE(flagos_memory_copy_2d(stream, &desc) == FLAGOS_STATUS_OK);
  CHECK(fake().copies == copies + 1);
}

TEST_CASE("an update keeps its bytes until the stream has passed") {
  for (const bool pinned : {true, false}) {
    CAPTURE(pinned);
    FakeOptions options;
    options.pinned = pinned;
    Fake f(options);
    flagos_stream_t* stream = f.stream();
    const flagos_address_t memory = f.alloc(256);
    fake().hold = true;
    std::vector<std::uint8_t> data(200, 0x5a);
    REQUIRE(flagos_memory_update(stream, memory, data.data(), data.size()) == FLAGOS_STATUS_OK);
    std::fill(data.begin(), data.end(), std::uint8_t{0});
    fake().hold = false;
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    const std::uint8_t expected = 0x5a;
    CHECK(repeats(memory, 200, &expected, 1));
  }
}

TEST_CASE("a value is written without a slot of its own") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_address_t memory = f.alloc(256);
  REQUIRE(flagos_stream_write_value(stream, memory, 0x1122334455667788u, 8) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_write_value(stream, memory + 8, 0x99aabbcc, 4) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  std::uint64_t wide = 0;
  std::uint32_t narrow = 0;
  std::memcpy(&wide, bytes(memory), 8);
  std::memcpy(&narrow, bytes(memory + 8), 4);
  CHECK(wide == 0x1122334455667788u);
  CHECK(narrow == 0x99aabbccu);
}

TEST_CASE("host functions of a plugin are callbacks to core, too") {
  FakeOptions options;
  options.host_functions = true;
  Fake f(options);
  flagos_stream_t* stream = f.stream();
  struct Seen {
    flagos_stream_t* stream;
    flagos_status_t status, inside;
  } seen{stream, -1, -1};
  REQUIRE(flagos_stream_launch_host(
              stream,
              [](void* data, flagos_status_t status) {
                auto* s = static_cast<Seen*>(data);
                s->status = status;
                s->inside = flagos_stream_synchronize(s->stream, 0);
              },
              &seen) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(seen.status == FLAGOS_STATUS_OK);
  CHECK(seen.inside == FLAGOS_STATUS_NOT_PERMITTED);
}
