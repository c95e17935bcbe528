#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Flag {
  std::uint64_t flag;
};
struct Append {
  std::uint64_t log;
  std::uint64_t value;
};

TEST_CASE("event: complete before its first record and behind its work") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_event_t* event = device.event();
  CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->wait_event(stream, event) == FLAGOS_STATUS_OK);
  std::atomic<std::uint32_t> flag{0};
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.event->synchronize(event, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  flag = 1;
  CHECK(device.api.event->synchronize(event, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_OK);
}

TEST_CASE("event: a wait keeps to the record that it found") {
  TestDevice device;
  flagos_plugin_stream_t* first = device.stream();
  flagos_plugin_stream_t* second = device.stream();
  flagos_plugin_stream_t* waiting = device.stream();
  flagos_plugin_event_t* event = device.event();
  std::atomic<std::uint32_t> first_flag{0};
  std::atomic<std::uint32_t> second_flag{0};
  REQUIRE(device.launch(first, "test_block", Flag{address_of(&first_flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(second, "test_block", Flag{address_of(&second_flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, first) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->wait_event(waiting, event) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, second) == FLAGOS_STATUS_OK);
  first_flag = 1;
  CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_TIMEOUT);
  REQUIRE(device.api.stream->wait_event(waiting, event) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(waiting, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  second_flag = 1;
  CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("event: may be destroyed while streams still wait for its record") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_stream_t* waiting = device.stream();
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  flagos_plugin_event_t* event = nullptr;
  REQUIRE(device.api.event->create(device.get(), &desc, &event) == FLAGOS_STATUS_OK);
  std::atomic<std::uint32_t> flag{0};
  const std::uint64_t log = device.alloc(64);
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->wait_event(waiting, event) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(waiting, "test_append", Append{log, 1}) == FLAGOS_STATUS_OK);
  device.api.event->destroy(event);
  CHECK(device.api.stream->synchronize(waiting, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 0);
  flag = 1;
  CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("event: times are those of the device") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_event_t* start = device.event();
  flagos_plugin_event_t* end = device.event();
  flagos_plugin_event_t* untimed = device.event(FLAGOS_EVENT_FLAG_NO_TIMING);
  std::int64_t elapsed = -1;
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  std::atomic<std::uint32_t> flag{0};
  REQUIRE(device.api.event->record(start, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(end, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(untimed, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_NOT_READY);
  REQUIRE(device.api.event->synchronize(start, forever) == FLAGOS_STATUS_OK);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  flag = 1;
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 2'000'000);
  std::int64_t backwards = 0;
  REQUIRE(device.api.event->get_elapsed(end, start, &backwards) == FLAGOS_STATUS_OK);
  CHECK(backwards == -elapsed);
  CHECK(device.api.event->get_elapsed(start, untimed, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("event: 100,000 live ones, and one recorded 100,000 times") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  std::vector<flagos_plugin_event_t*> events;
  for (int i = 0; i < 100'000; ++i) {
    events.push_back(device.event());
    if (i % 10 == 0) REQUIRE(device.api.event->record(events.back(), stream) == FLAGOS_STATUS_OK);
  }
  for (int i = 0; i < 100'000; ++i)
    REQUIRE(device.api.event->record(events[0], stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(events[0], forever) == FLAGOS_STATUS_OK);
  int pending = 0;
  for (flagos_plugin_event_t* event : events)
    pending += device.api.event->synchronize(event, 0) != FLAGOS_STATUS_OK;
  CHECK(pending == 0);
}

TEST_CASE("event: every thread that waits is woken") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  for (const std::uint32_t flags : {0u, std::uint32_t{FLAGOS_EVENT_FLAG_BLOCKING_SYNC}}) {
    flagos_plugin_event_t* event = device.event(flags);
    std::atomic<std::uint32_t> flag{0};
    std::atomic<int> woken{0};
    REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
    std::vector<std::thread> threads;
    for (int i = 0; i < 32; ++i) {
      threads.emplace_back(
          [&] { woken += device.api.event->synchronize(event, forever) == FLAGOS_STATUS_OK; });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    flag = 1;
    for (std::thread& thread : threads) thread.join();
    CHECK(woken == 32);
  }
}

// Chains of streams, each behind an event of another one: every order that events promise is kept.
TEST_CASE("event: random graphs of streams and events keep their order") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  TestDevice device;
  constexpr std::size_t stream_count = 12;
  constexpr std::size_t event_count = 8;
  std::vector<flagos_plugin_stream_t*> streams;
  std::vector<flagos_plugin_event_t*> events;
  for (std::size_t i = 0; i < stream_count; ++i) streams.push_back(device.stream());
  for (std::size_t i = 0; i < event_count; ++i) events.push_back(device.event());
  // One log for all: an append that is not ordered behind all others would lose entries. So the
  // streams take turns: each piece of work waits for the one before, wherever that was.
  constexpr std::uint64_t count = 3000;
  const std::uint64_t log = device.alloc((count + 1) * 8);
  flagos_plugin_event_t* last = nullptr;
  for (std::uint64_t i = 0; i < count; ++i) {
    flagos_plugin_stream_t* stream = streams[random() % stream_count];
    if (last != nullptr) REQUIRE(device.api.stream->wait_event(stream, last) == FLAGOS_STATUS_OK);
    REQUIRE(device.launch(stream, "test_append", Append{log, i}) == FLAGOS_STATUS_OK);
    last = events[random() % event_count];
    REQUIRE(device.api.event->record(last, stream) == FLAGOS_STATUS_OK);
  }
  REQUIRE(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == count);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < count; ++i) wrong += values[i + 1] != i;
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace flagos::cpu::test
