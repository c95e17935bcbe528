// Events of several processes: records by number, the ring of recent ones, a process that died.
#include "core/shared_event.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "core/external.hpp"
#include "core/test_plugin.hpp"

using flagos::core::open_blob;
using flagos::core::SharedEvent;
using flagos::core::test::Fake;
using flagos::core::test::fake;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

// An export of an event, closed at the end.
struct External {
  explicit External(const SharedEvent& event) {
    value.struct_size = sizeof(value);
    event.describe(value);
  }
  ~External() { ::close(value.fd); }
  SharedEvent open() const { return SharedEvent(value.fd, open_blob(value)); }
  flagos_external_t value{};
};

// Another process: runs `body`, tells that it has, and ends when it is let go.
class Process {
 public:
  explicit Process(const std::function<void()>& body) {
    REQUIRE(::pipe(told_) == 0);
    REQUIRE(::pipe(free_) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    char byte = 0;
    if (child_ == 0) {
      ::close(free_[1]);
      body();
      [[maybe_unused]] const auto written = ::write(told_[1], &byte, 1);
      [[maybe_unused]] const auto read = ::read(free_[0], &byte, 1);
      ::_exit(0);
    }
    ::close(told_[1]);
    ::close(free_[0]);
    REQUIRE(::read(told_[0], &byte, 1) == 1);
  }
  ~Process() {
    end();
    ::close(told_[0]);
  }
  void end() {
    if (child_ == 0) return;
    ::close(free_[1]);
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = 0;
  }

 private:
  int told_[2], free_[2];
  pid_t child_ = 0;
};

flagos_event_t* exportable(flagos_device_t* device) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_EXPORTABLE;
  flagos_event_t* event = nullptr;
  REQUIRE(flagos_event_create(device, &desc, &event) == FLAGOS_STATUS_OK);
  return event;
}

flagos_event_t* imported(flagos_event_t* event, flagos_device_t* device) {
  flagos_external_t external{};
  external.struct_size = sizeof(external);
  REQUIRE(flagos_event_export(event, &external) == FLAGOS_STATUS_OK);
  flagos_event_t* other = nullptr;
  REQUIRE(flagos_event_import(device, &external, &other) == FLAGOS_STATUS_OK);
  ::close(external.fd);
  return other;
}

}  // namespace

TEST_CASE("shared event: a record is pending until it is complete, on every side") {
  SharedEvent event;
  const External external(event);
  const SharedEvent other = external.open();
  CHECK(event.last_record() == 0);
  CHECK(other.test(0) == FLAGOS_STATUS_OK);  // never recorded
  const std::uint64_t first = event.begin_record();
  CHECK(other.last_record() == 0);  // not before it is published
  event.publish(first);
  CHECK(other.last_record() == first);
  CHECK(other.test(first) == FLAGOS_STATUS_TIMEOUT);
  const std::uint64_t second = event.begin_record();
  event.publish(second);
  event.publish(first);  // late: the later one stands
  CHECK(other.last_record() == second);
  event.complete(first, FLAGOS_STATUS_OK);
  CHECK(other.test(first) == FLAGOS_STATUS_OK);
  CHECK(other.test(second) == FLAGOS_STATUS_TIMEOUT);
  event.complete(second, FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(other.test(second) == FLAGOS_STATUS_EXECUTION_FAILED);
}

TEST_CASE("shared event: either side records") {
  SharedEvent event;
  const External external(event);
  SharedEvent other = external.open();
  const std::uint64_t record = other.begin_record();
  other.publish(record);
  CHECK(event.last_record() == record);
  CHECK(event.test(record) == FLAGOS_STATUS_TIMEOUT);
  other.complete(record, FLAGOS_STATUS_OK);
  CHECK(event.test(record) == FLAGOS_STATUS_OK);
  const std::uint64_t next = event.begin_record();
  CHECK(next == record + 1);
  CHECK(other.test(next) == FLAGOS_STATUS_TIMEOUT);
}

TEST_CASE("shared event: a record that many others have overtaken counts as complete") {
  SharedEvent event;
  const std::uint64_t old = event.begin_record();
  event.publish(old);
  for (int i = 0; i < 127; ++i) event.complete(event.begin_record(), FLAGOS_STATUS_OK);
  CHECK(event.test(old) == FLAGOS_STATUS_TIMEOUT);
  const std::uint64_t last = event.begin_record();
  event.publish(last);
  CHECK(event.test(old) == FLAGOS_STATUS_OK);
  event.complete(old, FLAGOS_STATUS_EXECUTION_FAILED);  // too late to be told
  CHECK(event.test(last) == FLAGOS_STATUS_TIMEOUT);
  event.complete(last, FLAGOS_STATUS_OK);
  CHECK(event.test(last) == FLAGOS_STATUS_OK);
}

TEST_CASE("shared event: a record of a process that died ends with CANCELLED, a complete one does not") {
  SharedEvent event;
  const External external(event);
  Process process([&] {
    SharedEvent mine = external.open();
    const std::uint64_t complete = mine.begin_record();
    mine.publish(complete);
    mine.complete(complete, FLAGOS_STATUS_OK);
    mine.publish(mine.begin_record());
    // Its lock ends with the process only.
    new SharedEvent(external.open());  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
  });
  REQUIRE(event.last_record() == 2);
  CHECK(event.test(1) == FLAGOS_STATUS_OK);
  process.end();
  CHECK(event.test(1) == FLAGOS_STATUS_OK);
  CHECK(event.test(2) == FLAGOS_STATUS_CANCELLED);
  // The event goes on.
  const std::uint64_t next = event.begin_record();
  event.publish(next);
  CHECK(event.test(next) == FLAGOS_STATUS_TIMEOUT);
  event.complete(next, FLAGOS_STATUS_OK);
  CHECK(event.test(next) == FLAGOS_STATUS_OK);
}

TEST_CASE("shared event: while the other process lives its record is pending") {
  SharedEvent event;
  const External external(event);
  Process process([&] {
    auto* const mine = new SharedEvent(external.open());
    mine->publish(mine->begin_record());
  });
  CHECK(event.test(1) == FLAGOS_STATUS_TIMEOUT);
  process.end();
  CHECK(event.test(1) == FLAGOS_STATUS_CANCELLED);
}

TEST_CASE("shared event: threads record at once, and every number is given once") {
  SharedEvent event;
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> sum{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        const std::uint64_t record = event.begin_record();
        sum += record;
        event.publish(record);
        event.complete(record, FLAGOS_STATUS_OK);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 4000u * 4001u / 2);
  CHECK(event.last_record() == 4000);
  CHECK(event.test(4000) == FLAGOS_STATUS_OK);
}

TEST_CASE("shared event: streams of two devices are ordered by it") {
  Fake f;
  flagos_device_t* const far = f.open(1);
  flagos_stream_t* const stream = f.stream();
  flagos_stream_t* const waiting = f.stream(far);
  flagos_event_t* const event = exportable(f.device());
  flagos_event_t* const other = imported(event, far);
  const flagos_address_t here = f.alloc(64), there = f.alloc(64, FLAGOS_MEMORY_KIND_DEVICE, far);
  const std::uint8_t one = 1;
  fake().hold = true;
  REQUIRE(flagos_memory_fill(stream, here, &one, 1, 64) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(waiting, other) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_copy(waiting, there, here, 64) == FLAGOS_STATUS_OK);
  std::uint32_t complete = 1;
  CHECK(flagos_event_query(other, &complete) == FLAGOS_STATUS_OK);
  CHECK(complete == 0);
  CHECK(flagos_event_synchronize(other, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  fake().hold = false;
  CHECK(flagos_event_synchronize(other, forever) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(waiting, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(there)) == 1);
  // Destroyed while a record is pending: the other end learns of it all the same.
  fake().hold = true;
  REQUIRE(flagos_memory_fill(stream, here, &one, 1, 64) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  fake().hold = false;
  CHECK(flagos_event_synchronize(other, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("shared event: work that failed before a record is told to who waits on the host; streams go on") {
  Fake f;
  flagos_stream_t* const stream = f.stream();
  flagos_event_t* const event = exportable(f.device());
  flagos_event_t* const other = imported(event, f.device());
  flagos_stream_t* const waiting = f.stream();
  fake().hold = true;
  REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  fake().hold = false;
  CHECK(flagos_event_synchronize(other, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_stream_wait_event(waiting, other) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(waiting, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("shared event: what is refused") {
  Fake f;
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_EXPORTABLE;  // with timing
  flagos_event_t* event = nullptr;
  CHECK(flagos_event_create(f.device(), &desc, &event) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_external_t external{};
  external.struct_size = sizeof(external);
  CHECK(flagos_event_export(f.event(), &external) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(external.fd == -1);
  event = exportable(f.device());
  REQUIRE(flagos_event_export(event, &external) == FLAGOS_STATUS_OK);
  flagos_address_t address = 1;
  CHECK(flagos_memory_import(f.device(), &external, &address, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
  external.blob[40] ^= 1;
  flagos_event_t* other = event;
  CHECK(flagos_event_import(f.device(), &external, &other) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(other == nullptr);
  ::close(external.fd);
}
