// Timelines: values, and waits on host and streams.
#include <flagos.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "conformance/cases/tl_timeline.hpp"

namespace flagos::conformance {

using namespace tl;
FLAGOS_CASE("tl.sem.initial_value",
            {.clause = "flagos_timeline_create", .level = Level::optional, .feature = "timeline"}) {
  for (const std::uint64_t initial : {std::uint64_t{0}, std::uint64_t{1} << 40}) {
    t.subcase("initial value " + std::to_string(initial));
    Timeline timeline(t, initial);
    t.equal(timeline.value(), initial, "the first query");
    t.ok(timeline.wait(initial, 0), "a wait for the initial value");
    t.status(timeline.wait(initial + 1, 0), FLAGOS_STATUS_TIMEOUT, "a wait for the next one");
    Stream stream(t);
    Words words(t, 4, 1);
    affine(t, stream, words, 3, 0);
    stream_signal(t, stream, timeline, initial + 1);
    t.ok(timeline.wait(initial + 1), "a wait for the stream's signal");
    t.equal(words.first(), 3, "the work before the signal is done");
  }
}

FLAGOS_CASE("tl.sem.signal_wait_host",
            {.clause = "flagos_timeline_signal", .level = Level::optional, .feature = "timeline"}) {
  Timeline timeline(t);
  t.subcase("already reached");
  timeline.signal(3);
  t.equal(timeline.value(), 3, "the value signalled");
  t.ok(timeline.wait(2, 0), "a smaller value");
  t.ok(timeline.wait(3, 0), "the value itself");
  t.subcase("not reached");
  t.status(timeline.wait(4, 0), FLAGOS_STATUS_TIMEOUT, "a poll");
  const double start = now_seconds();
  t.status(timeline.wait(4, 30'000'000), FLAGOS_STATUS_TIMEOUT, "a wait of 30 ms");
  t.check(now_seconds() - start > 0.025, "the wait lasted about as long as it was told to");
  t.subcase("signalled meanwhile");
  FirstFailure failure;
  std::atomic<bool> awake{false};
  Team team;
  team.start([&] {
    failure.note(timeline.wait(4, FLAGOS_TIMEOUT_INFINITE));
    awake = true;
  });
  nap(0.05);
  t.check(!awake, "the waiter sleeps");
  Stream stream(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 3, 0);
  stream_signal(t, stream, timeline, 4);
  team.join();
  t.ok(failure.status(), "the waiter wakes");
  t.equal(words.first(), 3, "after the work before the signal");
}

FLAGOS_CASE("tl.sem.monotonic", {.clause = "a value that only grows",
                                 .level = Level::optional,
                                 .oracle = Oracle::code,
                                 .feature = "timeline"}) {
  Timeline timeline(t, 5);
  t.subcase("the same value");
  t.status(flagos_timeline_signal(timeline, 5), FLAGOS_STATUS_INVALID_ARGUMENT,
           "a signal that does not grow");
  t.check(std::string(flagos_last_error()).find('5') != std::string::npos,
          "the text says the value");
  t.subcase("a smaller one");
  t.status(flagos_timeline_signal(timeline, 4), FLAGOS_STATUS_INVALID_ARGUMENT,
           "a signal that goes back");
  t.equal(timeline.value(), 5, "the value is untouched");
  t.subcase("from a stream");
  Stream stream(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 3, 0);
  stream_signal(t, stream, timeline, 6);
  stream.synchronize();
  t.equal(timeline.value(), 6, "a signal that grows counts");
  stream_signal(t, stream, timeline, 6);
  t.check(eventually([&] {
            std::uint64_t value = 0;
            return FLAGOS_STATUS_CLASS(flagos_timeline_query(timeline, &value)) !=
                   FLAGOS_STATUS_CLASS_ANSWER;
          }),
          "a stream's signal that does not grow fails the timeline");
  const flagos_status_t failed = timeline.wait(100, patience_ns);
  t.check(FLAGOS_STATUS_CLASS(failed) != FLAGOS_STATUS_CLASS_ANSWER,
          "so that nobody waits for it forever");
  t.equal(words.first(), 3, "the work before it is done");
}

FLAGOS_CASE("tl.sem.wait_before_signal",
            {.clause = "may be signalled later", .level = Level::optional, .feature = "timeline"}) {
  for (const int who : {0, 1, 2}) {
    t.subcase(who == 0   ? "host signals"
              : who == 1 ? "another stream signals"
                         : "a stream that waits itself signals");
    if (who != 0 && (t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) == 0)
      continue;
    Timeline timeline(t), second(t);
    Stream waiter(t), signaller(t);
    Words words(t, 8, 1);
    stream_wait(t, waiter, timeline, 1);
    affine(t, waiter, words, 10, 1);
    if (who == 2) stream_wait(t, signaller, second, 1);
    if (who != 0) {
      if (who == 2) {
        nap(0.02);
        t.check(!stream_done(t, waiter), "the waiter waits while its signaller does");
      }
      affine(t, signaller, words, 1, 4);
      stream_signal(t, signaller, timeline, 1);
      if (who == 2) second.signal(1);
    } else {
      nap(0.02);
      t.check(!stream_done(t, waiter), "the waiter waits");
      timeline.signal(1);
    }
    waiter.synchronize();
    t.equal(words.first(), who == 0 ? 11 : 51, "the wait held the work behind it");
  }
}

FLAGOS_CASE("tl.sem.skip_values", {.clause = "releases every wait for `value` or less",
                                   .level = Level::optional,
                                   .feature = "timeline"}) {
  Timeline timeline(t);
  Words words(t, 11);
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::uint32_t i = 1; i <= 11; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    stream_wait(t, *streams.back(), timeline, i);
    store(t, *streams.back(), words, i - 1, i * 3);
  }
  timeline.signal(10);
  for (std::uint32_t i = 0; i < 10; ++i) streams[i]->synchronize();
  t.check(!stream_done(t, *streams[10]), "a wait for a larger value goes on");
  timeline.signal(11);
  streams[10]->synchronize();
  equal_words(t, words.read(), {3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33},
              "every stream did its work");
}

FLAGOS_CASE("tl.sem.wait_any_all",
            {.clause = "flagos_timeline_wait", .level = Level::optional, .feature = "timeline"}) {
  Timeline a(t), b(t), c(t);
  Stream stream(t);
  Words words(t, 4, 1);
  const std::array<flagos_timeline_t*, 4> all{a, b, c, b};
  const std::array<std::uint64_t, 4> values{1, 1, 1, 1};
  const auto wait = [&](std::uint32_t count, flagos_wait_mode_t mode, std::uint64_t timeout,
                        std::uint32_t* index) {
    return flagos_timeline_wait(count, all.data(), values.data(), mode, timeout, index);
  };
  std::uint32_t index = 9;
  t.subcase("an empty list");
  t.ok(flagos_timeline_wait(0, nullptr, nullptr, FLAGOS_WAIT_MODE_ALL, 0, nullptr), "all of none");
  t.ok(flagos_timeline_wait(0, nullptr, nullptr, FLAGOS_WAIT_MODE_ANY, 0, nullptr), "any of none");
  t.subcase("none reached");
  t.status(wait(4, FLAGOS_WAIT_MODE_ANY, 0, &index), FLAGOS_STATUS_TIMEOUT, "any");
  t.status(wait(4, FLAGOS_WAIT_MODE_ALL, 0, nullptr), FLAGOS_STATUS_TIMEOUT, "all");
  t.subcase("one reached, by a stream");
  affine(t, stream, words, 3, 0);
  stream_signal(t, stream, c, 1);
  t.ok(wait(4, FLAGOS_WAIT_MODE_ANY, patience_ns, &index), "any");
  t.equal(index, 2, "the index of the one reached");
  t.equal(words.first(), 3, "the work before its signal is done");
  t.status(wait(4, FLAGOS_WAIT_MODE_ALL, 1'000'000, nullptr), FLAGOS_STATUS_TIMEOUT, "all");
  t.subcase("duplicates");
  b.signal(1);
  t.ok(wait(4, FLAGOS_WAIT_MODE_ANY, 0, &index), "any");
  t.equal(index, 1, "the lowest index of those reached");
  t.status(wait(4, FLAGOS_WAIT_MODE_ALL, 0, nullptr), FLAGOS_STATUS_TIMEOUT, "all");
  t.subcase("the last one later, from the host");
  FirstFailure failure;
  Team team;
  team.start([&] { failure.note(wait(4, FLAGOS_WAIT_MODE_ALL, patience_ns, nullptr)); });
  nap(0.02);
  a.signal(1);
  team.join();
  t.ok(failure.status(), "all");
  t.subcase("more than 65536");
  const std::vector<flagos_timeline_t*> many(65'537, a);
  const std::vector<std::uint64_t> ones(65'537, 1);
  t.status(flagos_timeline_wait(65'537, many.data(), ones.data(), FLAGOS_WAIT_MODE_ALL, 0, nullptr),
           FLAGOS_STATUS_INVALID_ARGUMENT, "too many");
  t.ok(flagos_timeline_wait(65'536, many.data(), ones.data(), FLAGOS_WAIT_MODE_ALL, 0, nullptr),
       "as many as allowed");
}

FLAGOS_CASE("tl.sem.fanout_values", {.clause = "flagos_stream_wait_timeline",
                                     .level = Level::optional,
                                     .feature = "timeline"}) {
  constexpr std::uint32_t count = 64;
  Timeline timeline(t);
  Stream producer(t);
  Words source(t, 1), seen(t, count);
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::uint32_t i = 0; i < count; ++i) streams.push_back(std::make_unique<Stream>(t));
  Words steps(t, count + 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    stream_wait(t, *streams[i], timeline, i + 1);
    t.ok(flagos_memory_copy(*streams[i], seen.at(i), steps.at(i + 1), 4), "a copy behind a wait");
  }
  for (std::uint32_t i = 1; i <= count; ++i) {
    store(t, producer, steps, i, i * i);
    stream_signal(t, producer, timeline, i);
  }
  for (auto& stream : streams) stream->synchronize();
  std::vector<std::uint32_t> expected(count);
  for (std::uint32_t i = 0; i < count; ++i) expected[i] = (i + 1) * (i + 1);
  equal_words(t, seen.read(), expected, "every stream saw the step it waited for");
  t.equal(timeline.value(), count, "the last value");
}

FLAGOS_CASE("tl.sem.max_value",
            {.clause = "a 64-bit value", .level = Level::optional, .feature = "timeline"}) {
  Timeline timeline(t, UINT64_MAX - 2);
  Stream stream(t);
  Words words(t, 4, 1);
  t.subcase("near the end");
  timeline.signal(UINT64_MAX - 1);
  t.equal(timeline.value(), UINT64_MAX - 1, "the value");
  stream_wait(t, stream, timeline, UINT64_MAX - 1);
  affine(t, stream, words, 3, 0);
  stream_signal(t, stream, timeline, UINT64_MAX);
  t.ok(timeline.wait(UINT64_MAX), "a wait for the largest value");
  t.equal(words.first(), 3, "the work before its signal is done");
  t.subcase("past the end");
  t.status(flagos_timeline_signal(timeline, 0), FLAGOS_STATUS_INVALID_ARGUMENT,
           "the value does not wrap around");
  t.status(flagos_timeline_signal(timeline, UINT64_MAX), FLAGOS_STATUS_INVALID_ARGUMENT,
           "there is no larger one");
  t.equal(timeline.value(), UINT64_MAX, "the value stays");
}

FLAGOS_CASE("tl.sem.pingpong", {.clause = "host and stream take turns",
                                .level = Level::optional,
                                .feature = "timeline"}) {
  const std::uint32_t rounds = repeats(t, 5000, 300);
  Timeline timeline(t);
  Stream stream(t);
  Words word(t, 1);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    stream_wait(t, stream, timeline, 2ull * i + 1);
    affine(t, stream, word, 3, i);
    stream_signal(t, stream, timeline, 2ull * i + 2);
    timeline.signal(2ull * i + 1);
    t.ok(timeline.wait(2ull * i + 2), "the stream's answer");
  }
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < rounds; ++i) expected = expected * 3 + i;
  t.equal(word.first(), expected, "the stream did one step a turn");
}

FLAGOS_CASE("tl.sem.many_waiters_threads", {.clause = "any thread may wait",
                                            .level = Level::optional,
                                            .oracle = Oracle::live,
                                            .feature = "timeline"}) {
  constexpr std::uint32_t count = 100;
  Timeline timeline(t);
  Stream stream(t);
  Words words(t, 4, 1);
  FirstFailure failure;
  std::atomic<std::uint32_t> awake{0};
  Team team;
  for (std::uint32_t i = 0; i < count; ++i) {
    team.start([&, i] {
      failure.note(timeline.wait(i + 1, patience_ns));
      ++awake;
    });
  }
  nap(0.05);
  t.equal(awake.load(), 0, "nobody wakes before the signal");
  timeline.signal(count / 2);
  t.check(eventually([&] { return awake.load() >= count / 2; }),
          "the waiters for smaller values wake");
  nap(0.02);
  t.equal(awake.load(), count / 2, "the others sleep on");
  affine(t, stream, words, 3, 0);
  stream_signal(t, stream, timeline, count);
  t.check(eventually([&] { return awake.load() == count; }), "then all wake");
  team.join();
  t.ok(failure.status(), "every wait");
  t.equal(words.first(), 3, "the work before the stream's signal is done");
}

FLAGOS_CASE("tl.sem.intermediate", {.clause = "flagos_stream_wait_timeline",
                                    .level = Level::optional,
                                    .feature = "timeline"}) {
  for (const std::uint32_t former : {1u, 2u}) {
    t.subcase("two streams wait for step " + std::to_string(former) + " of two");
    Timeline timeline(t);
    Stream producer(t), left(t), right(t);
    Words steps(t, 2), seen(t, 2);
    for (std::uint32_t i = 1; i <= 2; ++i) {
      store(t, producer, steps, i - 1, i * 11);
      stream_signal(t, producer, timeline, i);
    }
    Stream* const both[2] = {&left, &right};
    for (std::uint32_t i = 0; i < 2; ++i) {
      stream_wait(t, *both[i], timeline, former);
      t.ok(flagos_memory_copy(*both[i], seen.at(i), steps.at(former - 1), 4),
           "a copy behind the wait");
    }
    left.synchronize();
    right.synchronize();
    equal_words(t, seen.read(), {former * 11, former * 11}, "both saw the step");
    producer.synchronize();
  }
}

FLAGOS_CASE("tl.sem.smaller_after",
            {.clause = "at or above `value`", .level = Level::optional, .feature = "timeline"}) {
  Timeline timeline(t);
  Stream stream(t), other(t);
  Words words(t, 4, 1);
  t.subcase("before the larger is signalled");
  stream_wait(t, stream, timeline, 10);
  affine(t, stream, words, 2, 0);
  stream_wait(t, stream, timeline, 4);
  affine(t, stream, words, 2, 1);
  timeline.signal(4);
  nap(0.02);
  t.check(!stream_done(t, stream), "the larger value still holds the stream");
  timeline.signal(12);
  stream.synchronize();
  t.equal(words.first(), 5, "both steps ran in order");
  t.subcase("after the larger was signalled");
  stream_wait(t, other, timeline, 4);
  affine(t, other, words, 2, 2);
  other.synchronize();
  t.equal(words.first(), 12, "a smaller value is reached");
  t.ok(timeline.wait(1, 0), "for the host too");
}

}  // namespace flagos::conformance
