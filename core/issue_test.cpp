// The emulations that need no waiting, on a plugin of the required groups.
#include "core/issue.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;

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

namespace {

// Slots that most plugins leave out, and how often they were called.
struct Extras {
  int prefetches = 0, writes = 0, prepared = 0, launches = 0;
} extras;

FakeOptions with_extras() {
  extras = Extras{};
  FakeOptions options;
  options.change = [](FakeTables& tables) {
    static flagos_status_t (*own_alloc)(flagos_plugin_device_t*, const flagos_memory_desc_t*, flagos_address_t*);
    own_alloc = tables.memory.alloc;
    tables.memory.alloc = [](flagos_plugin_device_t* device, const flagos_memory_desc_t* desc, flagos_address_t* out) {
      flagos_memory_desc_t plain = *desc;
      plain.kind = FLAGOS_MEMORY_KIND_DEVICE;
      return own_alloc(device, &plain, out);
    };
    tables.memory.prefetch = [](flagos_plugin_stream_t*, flagos_address_t, std::uint64_t) {
      ++extras.prefetches;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    tables.stream.write_value = [](flagos_plugin_stream_t*, flagos_address_t, std::uint64_t, std::uint32_t) {
      ++extras.writes;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    tables.kernel.prepare = [](flagos_plugin_kernel_t*, const flagos_launch_desc_t*, flagos_plugin_prepared_t** out) {
      ++extras.prepared;
      *out = reinterpret_cast<flagos_plugin_prepared_t*>(&extras);
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    tables.kernel.launch_prepared = [](flagos_plugin_stream_t*, flagos_plugin_prepared_t*) {
      ++extras.launches;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    tables.kernel.destroy_prepared = [](flagos_plugin_prepared_t*) { --extras.prepared; };
  };
  return options;
}

}  // namespace

TEST_CASE("what a plugin offers beyond the least is used at once, and when a held stream's turn comes") {
  Fake f(with_extras());
  flagos_stream_t* const stream = f.stream();
  const flagos_address_t managed = f.alloc(4096, FLAGOS_MEMORY_KIND_MANAGED);
  const flagos_address_t plain = f.alloc(4096);
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  flagos_prepared_t* prepared = nullptr;
  REQUIRE(flagos_kernel_prepare(f.kernel("noop"), &desc, &prepared) == FLAGOS_STATUS_OK);
  const auto queue_all = [&] {
    REQUIRE(flagos_memory_prefetch(stream, managed, 0) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_prefetch(stream, managed, 4096) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_write_value(stream, plain, 1, 4) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_kernel_launch_prepared(stream, prepared) == FLAGOS_STATUS_OK);
  };
  const auto expect_calls = [&](int count) {
    CHECK(extras.prefetches == count);
    CHECK(extras.writes == count);
    CHECK(extras.launches == count);
  };
  queue_all();
  expect_calls(1);
  flagos_timeline_t* const timeline = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == FLAGOS_STATUS_OK);
  queue_all();
  expect_calls(1);
  REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  expect_calls(2);

  CHECK(flagos_memory_prefetch(stream, plain, 4096) == FLAGOS_STATUS_INVALID_ARGUMENT);
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_prefetch(stream, managed, 4096) == FLAGOS_STATUS_NOT_PERMITTED);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_prepared_destroy(prepared) == FLAGOS_STATUS_OK);
  for (const flagos_address_t address : {managed, plain})
    CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_device_synchronize(f.device(), forever) == FLAGOS_STATUS_OK);
}
