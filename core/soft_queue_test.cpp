// Work that core holds back: host functions, timelines, and events of another plugin.
#include "core/soft_queue.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

struct Calls {
  std::mutex mutex;
  std::vector<flagos_status_t> statuses;
  std::thread::id thread;
  std::atomic<bool> blocked{false};

  static void call(void* data, flagos_status_t status) {
    auto* calls = static_cast<Calls*>(data);
    while (calls->blocked) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const std::lock_guard lock(calls->mutex);
    calls->statuses.push_back(status);
    calls->thread = std::this_thread::get_id();
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return statuses.size();
  }
};

}  // namespace

TEST_CASE("host functions run in order with the work around them") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  struct Step {
    std::uint32_t before;
  };
  std::vector<Step> steps(200);
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    REQUIRE(f.append(stream, i) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_launch_host(
                stream,
                [](void* data, flagos_status_t) {
                  static_cast<Step*>(data)->before = static_cast<std::uint32_t>(fake().trail().size());
                },
                &steps[i]) == FLAGOS_STATUS_OK);
  }
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0; i < steps.size(); ++i) CHECK(steps[i].before == i + 1);
}

TEST_CASE("a long host function delays its own stream only, and never runs on an application's thread") {
  Fake f;
  flagos_stream_t* slow = f.stream();
  flagos_stream_t* quick = f.stream();
  Calls blocked, other;
  blocked.blocked = true;
  REQUIRE(flagos_stream_launch_host(slow, Calls::call, &blocked) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(slow, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_launch_host(quick, Calls::call, &other) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(quick, forever) == FLAGOS_STATUS_OK);
  CHECK(other.count() == 1);
  CHECK(flagos_stream_synchronize(slow, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(fake().trail().empty());
  blocked.blocked = false;
  REQUIRE(flagos_stream_synchronize(slow, forever) == FLAGOS_STATUS_OK);
  CHECK(blocked.count() == 1);
  CHECK(blocked.thread != std::this_thread::get_id());
  CHECK(fake().trail().size() == 1);
}

TEST_CASE("more host functions may block than there are callback threads") {
  Fake f;
  Calls calls;
  calls.blocked = true;
  std::vector<flagos_stream_t*> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(f.stream());
    REQUIRE(flagos_stream_launch_host(streams.back(), Calls::call, &calls) == FLAGOS_STATUS_OK);
  }
  calls.blocked = false;
  for (flagos_stream_t* stream : streams) REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(calls.count() == 100);
}

TEST_CASE("a wait for a timeline holds what is behind it, and the stream is direct again afterwards") {
  for (const bool host_functions : {false, true}) {
    CAPTURE(host_functions);
    FakeOptions options;
    options.host_functions = host_functions;
    Fake f(options);
    flagos_stream_t* stream = f.stream();
    flagos_timeline_t* gate = f.timeline();
    flagos_timeline_t* done = f.timeline();
    REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_wait_timeline(stream, gate, 5) == FLAGOS_STATUS_OK);
    REQUIRE(f.append(stream, 2) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_signal_timeline(stream, done, 7) == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_synchronize(stream, 2'000'000) == FLAGOS_STATUS_TIMEOUT);
    while (fake().trail().empty()) std::this_thread::yield();  // the worker of a busy machine may be late
    CHECK(fake().trail() == std::vector<std::uint32_t>{1});
    REQUIRE(flagos_timeline_signal(gate, 5) == FLAGOS_STATUS_OK);
    const std::uint64_t value = 7;
    REQUIRE(flagos_timeline_wait(1, &done, &value, FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().trail() == std::vector<std::uint32_t>{1, 2});
    const std::uint64_t launches = fake().launches;
    fake().hold = true;
    REQUIRE(f.append(stream, 3) == FLAGOS_STATUS_OK);
    fake().hold = false;
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().launches == launches + 1);
  }
}

TEST_CASE("a failed timeline poisons the stream: work is skipped, host functions and timelines hear of it") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t* gate = f.timeline();
  flagos_timeline_t* done = f.timeline();
  flagos_event_t* event = f.event();
  Calls calls;
  REQUIRE(flagos_stream_wait_timeline(stream, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_launch_host(stream, Calls::call, &calls) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_signal_timeline(stream, done, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_timeline_fail(gate, FLAGOS_STATUS_EXECUTION_FAILED) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  const std::uint64_t value = 1;
  CHECK(flagos_timeline_wait(1, &done, &value, FLAGOS_WAIT_MODE_ALL, forever, nullptr) ==
        FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_event_synchronize(event, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(calls.statuses == std::vector<flagos_status_t>{FLAGOS_STATUS_EXECUTION_FAILED});
  CHECK(fake().trail().empty());
  CHECK(f.append(stream, 2) == FLAGOS_STATUS_EXECUTION_FAILED);
  REQUIRE(flagos_stream_reset(stream) == FLAGOS_STATUS_OK);
  CHECK(f.append(stream, 3) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{3});
}

TEST_CASE("a wait whose value was reached passes, although its timeline goes or fails before the stream comes to it") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t *gate = f.timeline(), *gone = f.timeline(), *failed = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(stream, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_timeline(stream, gone, 5) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_timeline(stream, failed, 5) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_signal(gone, 5) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_destroy(gone) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_signal(failed, 6) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_fail(failed, FLAGOS_STATUS_INTERNAL) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1});

  // What was not reached ends with the status.
  CHECK(flagos_stream_wait_timeline(stream, failed, 7) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_INTERNAL);
}

TEST_CASE("a stream that its plugin poisoned fails its timelines and tells its host functions") {
  for (const bool host_functions : {false, true}) {
    CAPTURE(host_functions);
    FakeOptions options;
    options.host_functions = host_functions;
    Fake f(options);
    flagos_stream_t* stream = f.stream();
    flagos_timeline_t* done = f.timeline();
    Calls calls;
    fake().hold = true;
    REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_launch_host(stream, Calls::call, &calls) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_signal_timeline(stream, done, 1) == FLAGOS_STATUS_OK);
    fake().hold = false;
    const std::uint64_t value = 1;
    CHECK(flagos_timeline_wait(1, &done, &value, FLAGOS_WAIT_MODE_ALL, forever, nullptr) ==
          FLAGOS_STATUS_EXECUTION_FAILED);
    CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
    CHECK(calls.statuses == std::vector<flagos_status_t>{FLAGOS_STATUS_EXECUTION_FAILED});
  }
}

TEST_CASE("a wait that will never be over does not outlive a failure before it") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t* never = f.timeline();
  REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
  const flagos_status_t queued = flagos_stream_wait_timeline(stream, never, 1);
  CHECK((queued == FLAGOS_STATUS_OK || queued == FLAGOS_STATUS_EXECUTION_FAILED));
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_stream_reset(stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("a stream waits for an event of another plugin, and for a record that is held back itself") {
  Fake f({}, 2);
  flagos_device_t* other = f.open(2);
  flagos_stream_t* first = f.stream(other);
  flagos_stream_t* second = f.stream();
  flagos_stream_t* third = f.stream();
  flagos_event_t* far = f.event(other);
  flagos_event_t* near = f.event();
  flagos_timeline_t* gate = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(first, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(far, first) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(second, far) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(second, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(near, second) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(third, near) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(third, 2) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(third, 2'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(fake().trail().empty());
  REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(third, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("a stream destroyed with work held back completes it") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t* gate = f.timeline();
  flagos_timeline_t* done = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(stream, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 9) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_signal_timeline(stream, done, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  const std::uint64_t value = 1;
  REQUIRE(flagos_timeline_wait(1, &done, &value, FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{9});
}

TEST_CASE("a submission that fails late poisons the stream") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t* gate = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(stream, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  fake().submit = FLAGOS_STATUS_OUT_OF_RESOURCES;
  REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OUT_OF_RESOURCES);
}

TEST_CASE("streams without such work make no event and no thread") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const std::uint64_t events = fake().events;
  for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(f.append(stream, i) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().events == events);
}
