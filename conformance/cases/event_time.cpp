// Events as clocks: what get_elapsed measures. A time is only ever compared with a bracket that the
// host measured around it, so that a slow machine makes the bracket wider and not the case fail.
#include <flagos.h>
#include <time.h>

#include <limits>
#include <memory>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

void record(Context& t, flagos_event_t* event, flagos_stream_t* stream) {
  t.ok(flagos_event_record(event, stream), "a record");
}

void synchronize(Context& t, flagos_event_t* event) {
  t.ok(flagos_event_synchronize(event, patience_ns), "the wait for an event");
}

double elapsed_seconds(Context& t, flagos_event_t* start, flagos_event_t* end) {
  std::int64_t elapsed = std::numeric_limits<std::int64_t>::min();
  t.ok(flagos_event_get_elapsed(start, end, &elapsed), "the time between two complete events");
  t.check(elapsed != std::numeric_limits<std::int64_t>::min(), "the answer was written");
  return static_cast<double>(elapsed) * 1e-9;
}

// Two clocks of one machine may drift: a tolerance of 2 % and 2 ms on either side.
void within(Context& t, double value, double low, double high, const std::string& what) {
  t.check(value >= low * 0.98 - 0.002,
          what + ": " + std::to_string(value) + " s is at least " + std::to_string(low));
  t.check(value <= high * 1.02 + 0.002,
          what + ": " + std::to_string(value) + " s is at most " + std::to_string(high));
}

}  // namespace

FLAGOS_CASE("event.elapsed.order", {.clause = "flagos_event_get_elapsed"}) {
  const std::uint32_t count = repeats(t, 1000, 200);
  Stream stream(t);
  Words words(t, 256);
  std::vector<std::unique_ptr<Event>> events;
  for (std::uint32_t i = 0; i <= count; ++i) events.push_back(std::make_unique<Event>(t));
  const double start = now_seconds();
  for (auto& event : events) {
    affine(t, stream, words, 3, 1);
    record(t, *event, stream);
  }
  synchronize(t, *events.back());
  const double wall = now_seconds() - start;
  t.subcase("neighbours");
  double sum = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const double forward = elapsed_seconds(t, *events[i], *events[i + 1]);
    t.check(forward >= 0, "the later record of a stream has the later time");
    t.check(elapsed_seconds(t, *events[i + 1], *events[i]) == -forward,
            "the other way round it is negative");
    sum += forward;
  }
  t.subcase("the sum");
  const double whole = elapsed_seconds(t, *events.front(), *events.back());
  within(t, sum, whole, whole, "the sum of the parts");
  within(t, whole, 0, wall, "the whole");
  t.check(whole > 0, "a thousand kernels take some time");
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i <= count; ++i) expected = expected * 3 + 1;
  t.equal(words.first(), expected, "the work between the records was done");
}

FLAGOS_CASE("event.elapsed.device_not_host", {.clause = "time on the device's clock"}) {
  Stream stream(t);
  Event first(t), second(t), third(t);
  Blocker queue(t, stream);
  record(t, first, stream);
  Blocker operation(t, stream);
  record(t, second, stream);
  record(t, third, stream);
  nap(0.15);  // all is queued long before anything of it runs
  const double released = now_seconds();
  queue.release();
  synchronize(t, first);
  const double begun = now_seconds();
  nap(0.2);
  const double ending = now_seconds();
  operation.release();
  synchronize(t, third);
  const double done = now_seconds();
  within(t, elapsed_seconds(t, first, second), ending - begun, done - released,
         "the operation between the events");
  within(t, elapsed_seconds(t, second, third), 0, done - ending, "nothing between the events");
}

FLAGOS_CASE("event.elapsed.unrecorded",
            {.clause = "flagos_event_get_elapsed", .oracle = Oracle::code}) {
  Stream stream(t);
  Event recorded(t), never(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 5, 5);
  record(t, recorded, stream);
  synchronize(t, recorded);
  std::int64_t elapsed = 5;
  t.subcase("start");
  t.status(flagos_event_get_elapsed(never, recorded, &elapsed), FLAGOS_STATUS_INVALID_ARGUMENT,
           "no record at the start");
  t.equal(static_cast<std::uint64_t>(elapsed), 0, "the answer is cleared");
  t.subcase("end");
  t.status(flagos_event_get_elapsed(recorded, never, &elapsed), FLAGOS_STATUS_INVALID_ARGUMENT,
           "no record at the end");
  t.check(elapsed_seconds(t, recorded, recorded) == 0, "an event is at no distance from itself");
  t.equal(words.first(), 10, "the work before the record is done");
}

FLAGOS_CASE("event.elapsed.pending",
            {.clause = "flagos_event_get_elapsed", .oracle = Oracle::code}) {
  Stream stream(t);
  Event start(t), end(t);
  record(t, start, stream);
  synchronize(t, start);
  Blocker blocker(t, stream);
  record(t, end, stream);
  std::int64_t elapsed = 5;
  t.status(flagos_event_get_elapsed(start, end, &elapsed), FLAGOS_STATUS_NOT_READY,
           "the end is pending");
  t.status(flagos_event_get_elapsed(end, start, &elapsed), FLAGOS_STATUS_NOT_READY,
           "the start is pending");
  blocker.release();
  synchronize(t, end);
  t.check(elapsed_seconds(t, start, end) > 0, "complete events have a distance");
}

FLAGOS_CASE("event.elapsed.notiming",
            {.clause = "FLAGOS_EVENT_FLAG_NO_TIMING", .oracle = Oracle::code}) {
  Stream stream(t);
  Event timed(t), untimed(t, FLAGOS_EVENT_FLAG_NO_TIMING);
  Words words(t, 4, 1);
  record(t, timed, stream);
  affine(t, stream, words, 5, 5);
  record(t, untimed, stream);
  synchronize(t, untimed);
  std::int64_t elapsed = 5;
  t.status(flagos_event_get_elapsed(timed, untimed, &elapsed), FLAGOS_STATUS_INVALID_ARGUMENT,
           "an end without timing");
  t.status(flagos_event_get_elapsed(untimed, timed, &elapsed), FLAGOS_STATUS_INVALID_ARGUMENT,
           "a start without timing");
  t.equal(static_cast<std::uint64_t>(elapsed), 0, "the answer is cleared");
  t.equal(words.first(), 10, "the work before the record is done");
}

FLAGOS_CASE("event.elapsed.cross_stream",
            {.clause = "flagos_event_get_elapsed", .level = Level::full}) {
  Stream one(t), two(t);
  Event start(t), end(t);
  const double before = now_seconds();
  record(t, start, one);
  synchronize(t, start);
  const double begun = now_seconds();
  Blocker blocker(t, two);
  record(t, end, two);
  nap(0.1);
  const double ending = now_seconds();
  blocker.release();
  synchronize(t, end);
  within(t, elapsed_seconds(t, start, end), ending - begun, now_seconds() - before,
         "events of two streams");
}

FLAGOS_CASE("event.elapsed.cross_device",
            {.clause = "flagos_event_get_elapsed", .level = Level::full, .oracle = Oracle::code}) {
  Stream stream(t);
  Event own(t);
  OtherDevice other(t);
  flagos_stream_t* foreign_stream = nullptr;
  flagos_event_t* foreign = nullptr;
  t.ok(flagos_stream_create(other, nullptr, &foreign_stream), "a stream of the other open device");
  t.ok(flagos_event_create(other, nullptr, &foreign), "an event of it");
  record(t, own, stream);
  record(t, foreign, foreign_stream);
  synchronize(t, own);
  synchronize(t, foreign);
  std::int64_t elapsed = 5;
  const flagos_status_t status = flagos_event_get_elapsed(own, foreign, &elapsed);
  flagos_event_destroy(foreign);
  flagos_stream_destroy(foreign_stream);
  t.status(status, FLAGOS_STATUS_INVALID_ARGUMENT, "an event of another open device");
  t.equal(static_cast<std::uint64_t>(elapsed), 0, "the answer is cleared");
  t.smoke();
}

FLAGOS_CASE("event.blocking_sync_cpu", {.clause = "FLAGOS_EVENT_FLAG_BLOCKING_SYNC",
                                        .level = Level::full,
                                        .isolation = Isolation::own}) {
  Stream stream(t);
  Event event(t, FLAGOS_EVENT_FLAG_BLOCKING_SYNC);
  Blocker blocker(t, stream);
  record(t, event, stream);
  std::atomic<double> used{1e9};
  FirstFailure failure;
  Team team;
  const double start = now_seconds();
  team.start([&] {
    failure.note(flagos_event_synchronize(event, patience_ns));
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    used = static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  });
  nap(0.5);
  t.check(!event_done(t, event), "the event is pending while its waiter sleeps");
  blocker.release();
  team.join();
  const double wall = now_seconds() - start;
  t.ok(failure.status(), "the wait ends with the work");
  t.check(used.load() < wall * 0.3, "a blocking wait sleeps: " + std::to_string(used.load()) +
                                        " s of " + std::to_string(wall));
}

}  // namespace flagos::conformance
