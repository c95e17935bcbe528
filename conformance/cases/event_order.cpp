// Events under random orders and many threads: which record a wait binds to, and that no event is
// ever early.
#include <flagos.h>

#include <algorithm>
#include <memory>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

void record(Context& t, flagos_event_t* event, flagos_stream_t* stream) {
  t.ok(flagos_event_record(event, stream), "a record");
}

void wait(Context& t, flagos_stream_t* stream, flagos_event_t* event) {
  t.ok(flagos_stream_wait_event(stream, event), "a stream's wait for an event");
}

void copy_word(Context& t, flagos_stream_t* stream, flagos_address_t target,
               flagos_address_t source) {
  t.ok(flagos_memory_copy(stream, target, source, 4), "a copy of one word");
}

}  // namespace

FLAGOS_CASE("event.record.twice_wait_first",
            {.clause = "a wait binds to the record before it", .oracle = Oracle::model}) {
  if ((t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) != 0) {
    t.subcase("behind a gate");
    Stream producer(t), early(t), late(t);
    Event event(t);
    Words words(t, 2, 1);
    store(t, producer, words, 0, 10);
    record(t, event, producer);
    wait(t, early, event);
    store(t, early, words, 1, 20);
    Blocker blocker(t, producer);
    record(t, event, producer);
    wait(t, late, event);
    store(t, late, words, 0, 30);
    early.synchronize();
    nap(0.02);
    t.check(!stream_done(t, late), "a wait behind the second record waits for it");
    blocker.release();
    late.synchronize();
    equal_words(t, words.read(), {30, 20}, "all stores in their order");
  }
  t.subcase("1,000 random steps");
  const std::uint32_t steps = repeats(t, 1000, 300);
  Stream producer(t), consumer(t);
  Event event(t);
  Words history(t, steps + 1), seen(t, steps);
  std::vector<std::uint32_t> expected(steps, 0);
  std::uint32_t written = 0, bound = 0;
  for (std::uint32_t i = 0; i < steps; ++i) {
    switch (t.random_below(4)) {
      case 0:
        ++written;
        store(t, producer, history, written, written * 7);
        break;
      case 1:
        record(t, event, producer);
        bound = written;
        break;
      default:
        wait(t, consumer, event);
        copy_word(t, consumer, seen.at(i), history.at(bound));
        expected[i] = bound * 7;
    }
  }
  consumer.synchronize();
  producer.synchronize();
  equal_words(t, seen.read(), expected, "every wait saw at least the work before its record");
}

FLAGOS_CASE("event.order.transitivity", {.clause = "flagos_stream_wait_event"}) {
  const std::uint32_t rounds = repeats(t, 50, 15);
  Stream a(t), b(t), c(t);
  Event first(t), second(t);
  Words words(t, 4096, 1), copy(t, 4096);
  std::uint32_t value = 1;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    affine(t, a, words, 3, i);
    value = value * 3 + i;
    record(t, first, a);
    wait(t, b, first);
    record(t, second, b);
    wait(t, c, second);
    t.ok(flagos_memory_copy(c, copy.at(), words.at(), words.size_bytes()),
         "a copy on the third stream");
    c.synchronize();
    equal_words(t, copy.read(), std::vector<std::uint32_t>(4096, value),
                "the third stream sees the first one's work");
  }
}

FLAGOS_CASE("event.spurious_complete", {.clause = "flagos_event_query", .oracle = Oracle::order}) {
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  const std::uint32_t count = repeats(t, 10'000, 1'000);
  constexpr std::uint32_t lanes = 64;
  Stream stream(t);
  Words word(t, 1);
  Buffer flags(t, std::uint64_t{count} * 4, FLAGOS_MEMORY_KIND_PINNED);
  flags.write(std::vector<std::uint8_t>(flags.size(), 0));
  auto* flag = static_cast<std::uint32_t*>(flags.pointer());
  std::vector<std::unique_ptr<Event>> events;
  for (std::uint32_t i = 0; i < lanes; ++i) events.push_back(std::make_unique<Event>(t));
  for (std::uint32_t base = 0; base < count; base += lanes) {
    const std::uint32_t batch = std::min(lanes, count - base);
    for (std::uint32_t i = 0; i < batch; ++i) {
      labour(t, stream, word, static_cast<std::uint32_t>(t.random_below(3000)), base + i + 1);
      copy_word(t, stream, flags.address(std::uint64_t{base + i} * 4), word.at());
      record(t, *events[i], stream);
    }
    for (std::uint32_t i = 0; i < batch; ++i) {
      t.check(eventually([&] { return event_done(t, *events[i]); }), "the event completes");
      t.equal(__atomic_load_n(&flag[base + i], __ATOMIC_ACQUIRE), base + i + 1,
              "what the work before a complete event wrote");
    }
  }
}

FLAGOS_CASE("event.concurrent_sync", {.clause = "any thread may wait", .oracle = Oracle::live}) {
  const std::uint32_t threads = repeats(t, 64, 16);
  Stream stream(t);
  Event event(t);
  Words words(t, 4, 1);
  Blocker blocker(t, stream);
  affine(t, stream, words, 8, 1);
  record(t, event, stream);
  FirstFailure failure;
  std::atomic<std::uint32_t> awake{0};
  Team team;
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      failure.note(
          flagos_event_synchronize(event, i % 2 == 0 ? FLAGOS_TIMEOUT_INFINITE : patience_ns));
      ++awake;
    });
  }
  nap(0.05);
  t.equal(awake.load(), 0, "nobody wakes before the work is done");
  blocker.release();
  t.check(eventually([&] { return awake.load() == threads; }), "all wake after it");
  team.join();
  t.ok(failure.status(), "every wait");
  t.equal(words.first(), 9, "the work is done");
}

FLAGOS_CASE("event.record_wait_same_call_race",
            {.clause = "any thread", .level = Level::full, .oracle = Oracle::model}) {
  const std::uint32_t rounds = repeats(t, 3000, 500);
  Stream producer(t), consumer(t);
  Event event(t);
  Words history(t, rounds + 1), seen(t, rounds);
  std::vector<std::uint32_t> expected(rounds, 0);
  std::atomic<std::uint32_t> recorded{0};
  FirstFailure failure;
  Team team;
  team.start([&] {
    for (std::uint32_t i = 0; i < rounds; ++i) {
      // The wait binds to this record or to a later one: what came before this one is done either
      // way.
      const std::uint32_t known = recorded.load(std::memory_order_acquire);
      failure.note(flagos_stream_wait_event(consumer, event));
      failure.note(flagos_memory_copy(consumer, seen.at(i), history.at(known), 4));
      expected[i] = known * 5;
    }
  });
  for (std::uint32_t i = 1; i <= rounds; ++i) {
    store(t, producer, history, i, i * 5);
    record(t, event, producer);
    recorded.store(i, std::memory_order_release);
  }
  team.join();
  t.ok(failure.status(), "waits and copies beside the records");
  producer.synchronize();
  consumer.synchronize();
  equal_words(t, seen.read(), expected, "every wait saw at least the last record before it");
  t.equal(history.read()[rounds], rounds * 5, "all work of the producer ran");
}

FLAGOS_CASE("event.query_storm", {.clause = "any thread", .level = Level::full}) {
  const std::uint32_t queries = repeats(t, 40'000, 5'000);
  Stream stream(t);
  Event event(t);
  Words words(t, 256, 1);
  Blocker blocker(t, stream);
  record(t, event, stream);
  FirstFailure failure;
  std::atomic<std::uint32_t> early{0};
  Team team;
  for (int i = 0; i < 8; ++i) {
    team.start([&] {
      for (std::uint32_t k = 0; k < queries; ++k) {
        std::uint32_t complete = 2;
        failure.note(flagos_event_query(event, &complete));
        if (complete != 0) ++early;
      }
    });
  }
  std::uint32_t value = 1;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    affine(t, stream, words, 3, i);
    value = value * 3 + i;
  }
  team.join();
  t.ok(failure.status(), "queries from eight threads");
  t.equal(early.load(), 0, "none of them finds a pending event complete");
  blocker.release();
  stream.synchronize();
  t.equal(words.first(), value, "the stream that was queried did its work");
}

}  // namespace flagos::conformance
