// Releases that wait for pending work.
#include "core/release_queue.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/test_plugin.hpp"

using flagos::core::test::comes_true;
using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

TEST_CASE("memory and events that were in use are given back without another call") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_event_t* event = f.event();
  for (int round = 0; round < 3; ++round) {
    const flagos_address_t memory = f.alloc(4096);
    const auto before = fake().live_allocations.load();
    fake().hold = true;
    REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(round * 30));
    CHECK(fake().live_allocations == before);
    fake().hold = false;
    CHECK(comes_true([&] { return fake().live_allocations == before - 1; }));
  }
  fake().hold = true;
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  CHECK(fake().live_events != 0);
  fake().hold = false;
  CHECK(comes_true([] { return fake().live_events == 0; }));
}

TEST_CASE("memory that another thread is giving back is waited for before there is none") {
  FakeOptions options;
  options.memory_bytes = 1 << 20;
  Fake f(options);
  flagos_stream_t* stream = f.stream();
  const flagos_address_t memory = f.alloc(1 << 20);
  fake().slow_free = true;
  fake().hold = true;
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
  const std::uint64_t before = fake().frees_begun;
  fake().hold = false;
  REQUIRE(comes_true([&] { return fake().frees_begun != before; }));
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 1 << 20;
  flagos_address_t again = 0;
  CHECK(flagos_memory_alloc(f.device(), &desc, &again) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), again) == FLAGOS_STATUS_OK);
}

TEST_CASE("a device that is closed while releases wait is closed when the call returns") {
  Fake f;
  for (int round = 0; round < 20; ++round) {
    flagos_device_t* device = f.open(1);
    flagos_stream_t* stream = f.stream(device);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 64;
    flagos_address_t memory = 0;
    REQUIRE(flagos_memory_alloc(device, &desc, &memory) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_fill(stream, memory, "a", 1, 64) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(device, memory) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
    CHECK(flagos_device_close(device) == FLAGOS_STATUS_OK);
    CHECK(fake().live_allocations == 0);
    CHECK(fake().live_streams == 0);
    CHECK(fake().open_devices == 1);
  }
}

}  // namespace
