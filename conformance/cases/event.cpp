// Events: what a record marks, what waits bind to, and how events end.
#include <flagos.h>

#include <cstring>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

flagos_event_desc_t event_desc(std::uint32_t flags) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.flags = flags;
  return desc;
}

void record(Context& t, flagos_event_t* event, flagos_stream_t* stream) {
  t.ok(flagos_event_record(event, stream), "a record");
}

void wait(Context& t, flagos_stream_t* stream, flagos_event_t* event) {
  t.ok(flagos_stream_wait_event(stream, event), "a stream's wait for an event");
}

void synchronize(Context& t, flagos_event_t* event) {
  t.ok(flagos_event_synchronize(event, patience_ns), "the wait for an event");
}

// A destroyed event, to be refused by everything.
flagos_event_t* dead_event(Context& t) {
  Event event(t);
  flagos_event_t* handle = event.release();
  t.ok(flagos_event_destroy(handle), "an event is destroyed");
  return handle;
}

}  // namespace

FLAGOS_CASE("event.create.flags", {.clause = "flagos_event_create"}) {
  for (const std::uint32_t flags : {0u, 1u, 2u, 3u}) {
    t.subcase("flags " + std::to_string(flags));
    Stream stream(t);
    Event event(t, flags);
    Words words(t, 100, 1);
    affine(t, stream, words, 3, flags);
    record(t, event, stream);
    synchronize(t, event);
    equal_words(t, words.read(), std::vector<std::uint32_t>(100, 3 + flags),
                "work before the record is done");
  }
  t.subcase("an unknown flag");
  const auto desc = event_desc(1u << 30);
  auto* event = reinterpret_cast<flagos_event_t*>(0x55);
  t.status(flagos_event_create(t.device(), &desc, &event), FLAGOS_STATUS_UNSUPPORTED,
           "an unknown flag is refused");
  t.check(event == nullptr, "the out parameter of a failed create is NULL");
}

FLAGOS_CASE("event.record.basic", {.clause = "flagos_event_record"}) {
  Stream stream(t);
  Event event(t);
  Words words(t, 1000, 5);
  affine(t, stream, words, 7, 1);
  record(t, event, stream);
  synchronize(t, event);
  t.check(event_done(t, event), "an event that was waited for is complete");
  equal_words(t, words.read(), std::vector<std::uint32_t>(1000, 36),
              "the work before the record is done");
}

FLAGOS_CASE("event.query.before_record", {.clause = "a never-recorded event counts as complete"}) {
  Stream stream(t);
  Event event(t);
  Words words(t, 10, 1);
  t.check(event_done(t, event), "a never-recorded event is complete");
  t.ok(flagos_event_synchronize(event, 0), "a poll of a never-recorded event");
  wait(t, stream, event);
  affine(t, stream, words, 2, 2);
  stream.synchronize();
  t.equal(words.first(), 4, "work behind a wait for a never-recorded event runs");
}

FLAGOS_CASE("event.query.pending", {.clause = "flagos_event_query"}) {
  Stream stream(t);
  Event event(t);
  Blocker blocker(t, stream);
  record(t, event, stream);
  t.check(!event_done(t, event), "an event behind running work is not complete");
  t.status(flagos_event_synchronize(event, 0), FLAGOS_STATUS_TIMEOUT, "a poll of a pending event");
  nap(0.05);
  t.check(!event_done(t, event), "it stays pending while the work before it runs");
  blocker.release();
  synchronize(t, event);
  t.check(event_done(t, event), "it is complete once the work before it is done");
}

FLAGOS_CASE("event.sync.visible_effects", {.clause = "flagos_event_synchronize"}) {
  Stream stream(t);
  Event event(t);
  for (const bool pinned : {false, true}) {
    if (pinned && !t.has(FLAGOS_FEATURE_PINNED_MEMORY)) continue;
    t.subcase(pinned ? "pinned host memory" : "pageable host memory");
    const auto values = random_words(t, 5000);
    Words words(t, 5000);
    words.write(values);
    std::vector<std::uint32_t> pageable(5000, 0);
    Buffer host(t, words.size_bytes(),
                pinned ? FLAGOS_MEMORY_KIND_PINNED : FLAGOS_MEMORY_KIND_DEVICE);
    auto* target = pinned ? static_cast<std::uint32_t*>(host.pointer()) : pageable.data();
    affine(t, stream, words, 5, 9);
    t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(target), words.at(),
                            words.size_bytes()),
         "a copy to the host");
    record(t, event, stream);
    synchronize(t, event);
    auto expected = values;
    for (auto& value : expected) value = value * 5 + 9;
    equal_words(t, {target, target + 5000}, expected,
                "kernel and copy before the event are visible to the host");
  }
}

FLAGOS_CASE("event.record.other_stream", {.clause = "a new record forgets the old one"}) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS);
  Stream busy(t), idle(t);
  Event event(t);
  Words words(t, 16, 1);
  t.subcase("from a busy stream to an idle one");
  {
    Blocker blocker(t, busy);
    record(t, event, busy);
    t.check(!event_done(t, event), "the record on the busy stream is pending");
    affine(t, idle, words, 4, 4);
    record(t, event, idle);
    synchronize(t, event);
    t.check(event_done(t, event), "only the last record counts");
    t.check(!stream_done(t, busy), "the first stream is still busy");
    t.equal(words.first(), 8, "the work of the second stream is done");
  }
  t.subcase("from an idle stream to a busy one");
  busy.synchronize();
  record(t, event, idle);
  synchronize(t, event);
  Blocker blocker(t, busy);
  record(t, event, busy);
  t.check(!event_done(t, event), "the event is pending again");
  blocker.release();
  synchronize(t, event);
}

FLAGOS_CASE("event.record.rewind_timeline", {.clause = "flagos_event_record"}) {
  Stream ahead(t), behind(t);
  Event event(t);
  Words words(t, 4);
  for (std::uint32_t i = 0; i < 200; ++i) affine(t, ahead, words, 3, i);
  record(t, event, ahead);
  synchronize(t, event);
  Blocker blocker(t, behind);
  record(t, event, behind);
  t.check(!event_done(t, event), "a record on a stream with less history is pending all the same");
  t.status(flagos_event_synchronize(event, 0), FLAGOS_STATUS_TIMEOUT, "a poll says so too");
  blocker.release();
  synchronize(t, event);
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < 200; ++i) expected = expected * 3 + i;
  t.equal(words.first(), expected, "the work of the first stream was done");
}

FLAGOS_CASE("event.record.destroyed_stream",
            {.clause = "stale handles give INVALID_HANDLE", .oracle = Oracle::code}) {
  Event event(t);
  Stream gone(t), good(t);
  Words words(t, 4, 2);
  flagos_stream_t* handle = gone.release();
  t.ok(flagos_stream_destroy(handle), "a stream is destroyed");
  t.status(flagos_event_record(event, handle), FLAGOS_STATUS_INVALID_HANDLE,
           "a record on a destroyed stream");
  t.check(event_done(t, event), "the event was not touched");
  affine(t, good, words, 2, 1);
  record(t, event, good);
  synchronize(t, event);
  t.equal(words.first(), 5, "the event works on a living stream");
}

FLAGOS_CASE("event.destroy.pending",
            {.clause = "flagos_event_destroy: waits that were queued are honoured"}) {
  for (const bool busy_waiter : {false, true}) {
    t.subcase(busy_waiter ? "the waiting stream has work of its own"
                          : "the waiting stream is idle");
    Stream producer(t), consumer(t);
    Words words(t, 64, 1);
    Words own(t, 64, 1);
    Event event(t);
    Blocker blocker(t, producer);
    affine(t, producer, words, 10, 1);
    record(t, event, producer);
    if (busy_waiter) affine(t, consumer, own, 2, 0);
    wait(t, consumer, event);
    affine(t, consumer, words, 2, 3);
    t.ok(flagos_event_destroy(event.release()), "an event that is waited for is destroyed");
    nap(0.02);
    t.check(!stream_done(t, consumer), "the wait still holds the stream");
    blocker.release();
    consumer.synchronize();
    t.equal(words.first(), 25, "the consumer ran after the producer");
    t.equal(own.first(), busy_waiter ? 2 : 1, "the consumer's own work ran");
  }
}

FLAGOS_CASE("event.use_after_destroy",
            {.clause = "stale handles give INVALID_HANDLE", .oracle = Oracle::code}) {
  Stream stream(t);
  Event good(t);
  flagos_event_t* dead = dead_event(t);
  std::uint32_t complete = 1;
  std::int64_t elapsed = 1;
  const auto refused = [&](flagos_status_t status, const char* what) {
    t.subcase(what);
    t.status(status, FLAGOS_STATUS_INVALID_HANDLE, "a destroyed event is refused");
  };
  refused(flagos_event_record(dead, stream), "record");
  refused(flagos_event_query(dead, &complete), "query");
  t.equal(complete, 0, "the answer of a failed query is cleared");
  refused(flagos_event_synchronize(dead, 0), "synchronize");
  refused(flagos_stream_wait_event(stream, dead), "wait_event");
  refused(flagos_event_get_elapsed(dead, good, &elapsed), "get_elapsed, start");
  t.equal(static_cast<std::uint64_t>(elapsed), 0, "the answer of a failed get_elapsed is cleared");
  refused(flagos_event_get_elapsed(good, dead, &elapsed), "get_elapsed, end");
  refused(flagos_event_destroy(dead), "destroy");
  Words words(t, 4, 1);
  affine(t, stream, words, 1, 1);
  record(t, good, stream);
  synchronize(t, good);
  t.equal(words.first(), 2, "another event works");
}

FLAGOS_CASE("event.sync.timeout", {.clause = "waits take a timeout", .oracle = Oracle::live}) {
  Stream stream(t);
  Event event(t);
  Words words(t, 4, 1);
  Blocker blocker(t, stream);
  affine(t, stream, words, 6, 0);
  record(t, event, stream);
  t.subcase("0 polls");
  t.status(flagos_event_synchronize(event, 0), FLAGOS_STATUS_TIMEOUT, "a poll of a pending event");
  t.subcase("a finite time");
  const double start = now_seconds();
  t.status(flagos_event_synchronize(event, 30'000'000), FLAGOS_STATUS_TIMEOUT, "a wait of 30 ms");
  t.check(now_seconds() - start > 0.025, "the wait lasted about as long as it was told to");
  t.subcase("forever");
  Team team;
  std::atomic<flagos_status_t> status{FLAGOS_STATUS_TIMEOUT};
  team.start([&] { status = flagos_event_synchronize(event, FLAGOS_TIMEOUT_INFINITE); });
  nap(0.05);
  t.status(status.load(), FLAGOS_STATUS_TIMEOUT, "a wait without limit is still waiting");
  blocker.release();
  team.join();
  t.ok(status.load(), "a wait without limit ends with the work");
  t.equal(words.first(), 6, "the work is done");
}

FLAGOS_CASE("event.many", {.clause = "flagos_event_create", .isolation = Isolation::own}) {
  const std::uint32_t count = repeats(t, 100'000, 5'000);
  Stream stream(t);
  Words words(t, 1);
  std::vector<flagos_event_t*> events(count, nullptr);
  for (auto*& event : events)
    t.ok(flagos_event_create(t.device(), nullptr, &event), "one of many events");
  Blocker blocker(t, stream);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i % 100 == 0) affine(t, stream, words, 1, 1);
    record(t, events[i], stream);
    if (i == 500) {
      t.check(!event_done(t, events[0]) && !event_done(t, events[500]),
              "recorded events are pending");
      blocker.release();
    }
  }
  synchronize(t, events[count - 1]);
  for (auto* event : events)
    t.check(event_done(t, event), "an event before a complete one of its stream is complete");
  for (auto* event : events) t.ok(flagos_event_destroy(event), "one of many events is destroyed");
  t.equal(words.first(), count / 100, "the work between the records was done");
}

FLAGOS_CASE("event.reuse_loop", {.clause = "flagos_event_record",
                                 .oracle = Oracle::delta,
                                 .isolation = Isolation::own}) {
  const std::uint32_t count = repeats(t, 1'000'000, 50'000);
  Stream stream(t);
  Event event(t);
  Words words(t, 1);
  const auto lap = [&](std::uint32_t rounds) {
    for (std::uint32_t i = 0; i < rounds; ++i) {
      record(t, event, stream);
      if (i % 1000 == 0) affine(t, stream, words, 1, 1);
      if (i % 1000 == 999) synchronize(t, event);
    }
    stream.synchronize();
  };
  lap(count / 10);
  const auto before = resources_now();
  lap(count);
  const auto after = resources_now();
  t.check(after.rss_bytes <= before.rss_bytes + (32u << 20),
          "an event recorded again and again does not grow");
  t.check(after.file_descriptors <= before.file_descriptors + 2,
          "nor does it leave file descriptors");
  t.equal(words.first(), count / 1000 + count / 10'000, "the work between the records was done");
}

FLAGOS_CASE("event.error_propagation", {.clause = "a failed operation poisons its stream"}) {
  Stream stream(t);
  Event before(t), behind(t);
  Words words(t, 4, 3);
  affine(t, stream, words, 3, 0);
  record(t, before, stream);
  Blocker blocker(t, stream);  // all is queued before anything fails
  queue_failure(t, stream);
  record(t, behind, stream);
  blocker.release();
  t.subcase("synchronize");
  t.status(flagos_event_synchronize(behind, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "an event behind the failure");
  t.subcase("query");
  std::uint32_t complete = 1;
  t.status(flagos_event_query(behind, &complete), FLAGOS_STATUS_EXECUTION_FAILED, "a query of it");
  t.subcase("the event before");
  t.ok(flagos_event_synchronize(before, patience_ns), "an event before the failure");
  t.equal(words.first(), 9, "the work before the failure is done");
  t.ok(flagos_stream_reset(stream), "the stream is reset");
  affine(t, stream, words, 2, 0);
  record(t, behind, stream);
  synchronize(t, behind);
  t.equal(words.first(), 18, "the event works again after the reset");
}

FLAGOS_CASE("event.callback_interaction", {.clause = "flagos_stream_launch_host",
                                           .level = Level::optional,
                                           .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  t.smoke();
  static std::atomic<bool> go, entered;
  go = false;
  entered = false;
  Stream stream(t);
  Drain drain(stream);
  Event event(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 9, 0);
  const auto hold = [](void*, flagos_status_t) {
    entered = true;
    eventually([] { return go.load(); }, 20);
  };
  t.ok(flagos_stream_launch_host(stream, hold, nullptr), "a host function is queued");
  record(t, event, stream);
  t.check(eventually([] { return entered.load(); }), "the host function is called");
  t.check(!event_done(t, event), "an event behind a running host function is pending");
  go = true;
  synchronize(t, event);
  t.equal(words.first(), 9, "the work before the host function is done");
}

}  // namespace flagos::conformance
