#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Fail {
  std::uint32_t block;
  std::int32_t status;
};
struct Append {
  std::uint64_t log;
  std::uint64_t value;
};

class TestTimeline {
 public:
  explicit TestTimeline(TestDevice& device, std::uint64_t value = 0)
      : table_(*device.api.timeline) {
    REQUIRE(table_.create(device.get(), value, &timeline_) == FLAGOS_STATUS_OK);
  }
  ~TestTimeline() { destroy(); }
  TestTimeline(const TestTimeline&) = delete;
  TestTimeline& operator=(const TestTimeline&) = delete;

  flagos_plugin_timeline_t* get() const { return timeline_; }
  void destroy() {
    if (timeline_ != nullptr) table_.destroy(timeline_);
    timeline_ = nullptr;
  }
  std::uint64_t value() const {
    std::uint64_t value = 0;
    CHECK(table_.query(timeline_, &value) == FLAGOS_STATUS_OK);
    return value;
  }
  flagos_status_t wait(std::uint64_t value, std::uint64_t timeout_ns = forever) const {
    return table_.wait(1, &timeline_, &value, FLAGOS_WAIT_MODE_ALL, timeout_ns, nullptr);
  }

 private:
  const flagos_timeline_table_t& table_;
  flagos_plugin_timeline_t* timeline_ = nullptr;
};

TEST_CASE("timeline: grows, and only grows") {
  TestDevice device;
  TestTimeline timeline(device, 5);
  CHECK(timeline.value() == 5);
  CHECK(timeline.wait(5, 0) == FLAGOS_STATUS_OK);
  CHECK(timeline.wait(6, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.timeline->signal(timeline.get(), 5) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("at 5") != std::string::npos);
  CHECK(device.api.timeline->signal(timeline.get(), UINT64_MAX) == FLAGOS_STATUS_OK);
  CHECK(timeline.value() == UINT64_MAX);
  CHECK(device.api.timeline->signal(timeline.get(), UINT64_MAX) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("timeline: streams wait for values that are signalled later") {
  TestDevice device;
  TestTimeline timeline(device);
  constexpr std::uint64_t count = 64;
  const std::uint64_t logs = device.alloc(count * 16);
  std::vector<flagos_plugin_stream_t*> streams;
  for (std::uint64_t i = 0; i < count; ++i) {
    streams.push_back(device.stream());
    REQUIRE(device.api.timeline->stream_wait(streams.back(), timeline.get(), i + 1) ==
            FLAGOS_STATUS_OK);
    REQUIRE(device.launch(streams.back(), "test_append", Append{logs + i * 16, i}) ==
            FLAGOS_STATUS_OK);
  }
  REQUIRE(device.api.timeline->signal(timeline.get(), 10) == FLAGOS_STATUS_OK);
  for (std::uint64_t i = 0; i < 10; ++i)
    CHECK(device.api.stream->synchronize(streams[i], forever) == 0);
  CHECK(device.api.stream->synchronize(streams[10], 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  REQUIRE(device.api.timeline->signal(timeline.get(), count) == FLAGOS_STATUS_OK);
  CHECK(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("timeline: host and stream alternate") {
  TestDevice device;
  TestTimeline ping(device);
  TestTimeline pong(device);
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t rounds = 2000;
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    REQUIRE(device.api.timeline->stream_wait(stream, ping.get(), i) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.timeline->stream_signal(stream, pong.get(), i) == FLAGOS_STATUS_OK);
  }
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    REQUIRE(device.api.timeline->signal(ping.get(), i) == FLAGOS_STATUS_OK);
    REQUIRE(pong.wait(i) == FLAGOS_STATUS_OK);
  }
  CHECK(pong.value() == rounds);
}

TEST_CASE("timeline: a host waits for all or any") {
  TestDevice device;
  TestTimeline a(device);
  TestTimeline b(device);
  flagos_plugin_timeline_t* both[] = {a.get(), b.get(), a.get()};
  const std::uint64_t values[] = {3, 2, 1};
  const auto wait = [&](flagos_wait_mode_t mode, std::uint64_t timeout_ns, std::uint32_t* index) {
    return device.api.timeline->wait(3, both, values, mode, timeout_ns, index);
  };
  CHECK(device.api.timeline->wait(0, nullptr, nullptr, FLAGOS_WAIT_MODE_ALL, forever, nullptr) ==
        FLAGOS_STATUS_OK);
  std::uint32_t index = 9;
  CHECK(wait(FLAGOS_WAIT_MODE_ANY, 1'000'000, &index) == FLAGOS_STATUS_TIMEOUT);
  REQUIRE(device.api.timeline->signal(a.get(), 1) == FLAGOS_STATUS_OK);
  CHECK(wait(FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_OK);
  CHECK(index == 2);
  CHECK(wait(FLAGOS_WAIT_MODE_ALL, 0, nullptr) == FLAGOS_STATUS_TIMEOUT);
  REQUIRE(device.api.timeline->signal(b.get(), 2) == FLAGOS_STATUS_OK);
  CHECK(wait(FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_OK);
  CHECK(index == 1);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    device.api.timeline->signal(a.get(), 3);
  });
  CHECK(wait(FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_OK);
  later.join();
  REQUIRE(device.api.timeline->fail(b.get(), FLAGOS_STATUS_EXECUTION_FAILED) == FLAGOS_STATUS_OK);
  CHECK(wait(FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_OK);
  CHECK(index == 0);
  CHECK(wait(FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_EXECUTION_FAILED);
}

TEST_CASE("timeline: a failure is kept and wakes everybody") {
  TestDevice device;
  TestTimeline timeline(device);
  flagos_plugin_stream_t* stream = device.stream();
  REQUIRE(device.api.timeline->stream_wait(stream, timeline.get(), 1) == FLAGOS_STATUS_OK);
  std::atomic<int> woken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i)
    threads.emplace_back([&] { woken += timeline.wait(7) == FLAGOS_STATUS_DEVICE_LOST; });
  REQUIRE(device.api.timeline->fail(timeline.get(), FLAGOS_STATUS_DEVICE_LOST) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.timeline->fail(timeline.get(), FLAGOS_STATUS_CANCELLED) == FLAGOS_STATUS_OK);
  for (std::thread& thread : threads) thread.join();
  CHECK(woken == 32);
  std::uint64_t value = 0;
  CHECK(device.api.timeline->query(timeline.get(), &value) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.api.timeline->signal(timeline.get(), 9) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.api.stream->reset(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("timeline: a poisoned stream fails the timelines that it would signal") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  TestTimeline queued(device);
  TestTimeline late(device);
  TestTimeline gate(device);
  REQUIRE(device.api.timeline->stream_wait(stream, gate.get(), 1) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_fail", Fail{0, FLAGOS_STATUS_EXECUTION_FAILED}) ==
          FLAGOS_STATUS_OK);
  REQUIRE(device.api.timeline->stream_signal(stream, queued.get(), 1) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.timeline->signal(gate.get(), 1) == FLAGOS_STATUS_OK);
  CHECK(queued.wait(1) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.timeline->stream_signal(stream, late.get(), 1) ==
        FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(late.wait(1) == FLAGOS_STATUS_EXECUTION_FAILED);
}

TEST_CASE("timeline: a stream that signals backwards fails the timeline") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  TestTimeline timeline(device, 4);
  REQUIRE(device.api.timeline->stream_signal(stream, timeline.get(), 4) == FLAGOS_STATUS_OK);
  CHECK(timeline.wait(5) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE(
    "timeline: what a stream waits for and was reached passes, whatever the timeline becomes") {
  TestDevice device;
  TestTimeline gate(device), gone(device), failed(device);
  flagos_plugin_stream_t* stream = device.stream();
  const flagos_timeline_table_t& table = *device.api.timeline;
  REQUIRE(table.stream_wait(stream, gate.get(), 1) == FLAGOS_STATUS_OK);
  REQUIRE(table.stream_wait(stream, gone.get(), 5) == FLAGOS_STATUS_OK);
  REQUIRE(table.stream_wait(stream, failed.get(), 5) == FLAGOS_STATUS_OK);
  CHECK(table.signal(gone.get(), 5) == FLAGOS_STATUS_OK);
  gone.destroy();
  CHECK(table.signal(failed.get(), 6) == FLAGOS_STATUS_OK);
  CHECK(table.fail(failed.get(), FLAGOS_STATUS_INTERNAL) == FLAGOS_STATUS_OK);
  CHECK(table.signal(gate.get(), 1) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  REQUIRE(table.stream_wait(stream, failed.get(), 7) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_INTERNAL);
}

TEST_CASE("timeline: destroying one cancels who waits for it") {
  TestDevice device;
  TestTimeline timeline(device);
  flagos_plugin_stream_t* stream = device.stream();
  REQUIRE(device.api.timeline->stream_wait(stream, timeline.get(), 1) == FLAGOS_STATUS_OK);
  std::atomic<int> started{0};
  std::atomic<int> cancelled{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++started;
      cancelled += timeline.wait(1) == FLAGOS_STATUS_CANCELLED;
    });
  }
  while (started != 4) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // all inside wait() by then
  timeline.destroy();
  for (std::thread& thread : threads) thread.join();
  CHECK(cancelled == 4);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_CANCELLED);
}

}  // namespace
}  // namespace flagos::cpu::test
