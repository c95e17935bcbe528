#include "core/timeline.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

flagos_status_t wait(flagos_timeline_t* timeline, std::uint64_t value, std::uint64_t timeout = forever) {
  return flagos_timeline_wait(1, &timeline, &value, FLAGOS_WAIT_MODE_ALL, timeout, nullptr);
}

}  // namespace

TEST_CASE("values only grow") {
  Fake f;
  flagos_timeline_t* timeline = f.timeline(5);
  std::uint64_t value = 0;
  REQUIRE(flagos_timeline_query(timeline, &value) == FLAGOS_STATUS_OK);
  CHECK(value == 5);
  CHECK(flagos_timeline_signal(timeline, 5) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(std::string(flagos_last_error()).find("value 5") != std::string::npos);
  CHECK(flagos_timeline_signal(timeline, UINT64_MAX) == FLAGOS_STATUS_OK);
  CHECK(wait(timeline, UINT64_MAX, 0) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_signal(timeline, UINT64_MAX) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("a wait ends with the signal, the failure, the end of the time, and the destruction") {
  Fake f;
  for (int i = 0; i < 50; ++i) {
    flagos_timeline_t* timeline = f.timeline();
    flagos_status_t status = -1;
    std::thread waiter([&] { status = wait(timeline, 1); });
    if (i % 2 == 0) std::this_thread::yield();
    CHECK(flagos_timeline_signal(timeline, 3) == FLAGOS_STATUS_OK);
    waiter.join();
    CHECK(status == FLAGOS_STATUS_OK);
  }
  flagos_timeline_t* timeline = f.timeline();
  CHECK(wait(timeline, 1, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(wait(timeline, 1, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(flagos_timeline_fail(timeline, FLAGOS_STATUS_TIMEOUT) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_timeline_fail(timeline, FLAGOS_STATUS_EXECUTION_FAILED) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_fail(timeline, FLAGOS_STATUS_CANCELLED) == FLAGOS_STATUS_OK);
  CHECK(wait(timeline, 1) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_EXECUTION_FAILED);

  flagos_timeline_t* gone = f.timeline();
  flagos_status_t status = -1;
  std::thread waiter([&] { status = wait(gone, 1); });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(flagos_timeline_destroy(gone) == FLAGOS_STATUS_OK);
  waiter.join();
  CHECK((status == FLAGOS_STATUS_CANCELLED || status == FLAGOS_STATUS_INVALID_HANDLE));
}

TEST_CASE("any of several, and all of them") {
  Fake f;
  flagos_timeline_t* list[] = {f.timeline(), f.timeline(), f.timeline(), nullptr};
  list[3] = list[1];
  const std::uint64_t values[] = {1, 2, 3, 4};
  std::uint32_t index = 99;
  CHECK(flagos_timeline_wait(4, list, values, FLAGOS_WAIT_MODE_ANY, 0, &index) == FLAGOS_STATUS_TIMEOUT);
  CHECK(index == 0);
  REQUIRE(flagos_timeline_signal(list[2], 3) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_wait(4, list, values, FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_OK);
  CHECK(index == 2);
  CHECK(flagos_timeline_wait(4, list, values, FLAGOS_WAIT_MODE_ALL, 0, nullptr) == FLAGOS_STATUS_TIMEOUT);
  REQUIRE(flagos_timeline_fail(list[0], FLAGOS_STATUS_INTERNAL) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_wait(4, list, values, FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_wait(2, list, values, FLAGOS_WAIT_MODE_ANY, forever, &index) == FLAGOS_STATUS_INTERNAL);
  CHECK(flagos_timeline_wait(4, list, values, FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_INTERNAL);
  CHECK(flagos_timeline_wait(0, nullptr, nullptr, FLAGOS_WAIT_MODE_ALL, forever, nullptr) == FLAGOS_STATUS_OK);
  CHECK(flagos_timeline_wait(65537, list, values, FLAGOS_WAIT_MODE_ALL, 0, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_timeline_wait(1, list, values, 7, 0, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("many threads wait for different values of one timeline") {
  Fake f;
  flagos_timeline_t* timeline = f.timeline();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (std::uint64_t value = 1; value <= 32; ++value)
    threads.emplace_back([&, value] { good += wait(timeline, value) == FLAGOS_STATUS_OK; });
  for (std::uint64_t value = 1; value <= 32; ++value)
    CHECK(flagos_timeline_signal(timeline, value) == FLAGOS_STATUS_OK);
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 32);
}

TEST_CASE("a signal from a stream that is not above the value fails the timeline") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_timeline_t* timeline = f.timeline(5);
  REQUIRE(flagos_stream_signal_timeline(stream, timeline, 5) == FLAGOS_STATUS_OK);
  CHECK(wait(timeline, 6) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
}
