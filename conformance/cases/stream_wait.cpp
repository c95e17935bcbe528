// stream.wait_event, stream.independent_progress: order between streams, and no more order than was
// asked for.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// A stream that waits for what has not happened is still pending a moment later.
void check_waits(Context& t, flagos_stream_t* stream, const std::string& what) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  t.check(!complete(t, stream), what);
}

FLAGOS_CASE("stream.wait_event.basic", {.clause = "flagos_stream_wait_event"}) {
  require_async(t);
  Buffer source(t, 4);
  Buffer target(t, 4);
  for (const std::uint32_t round : {1u, 2u}) {
    t.subcase("round=" + std::to_string(round));
    Stream first(t);
    Stream second(t);
    Event event(t);
    Blocker blocker(t, first);
    fill(t, first, source.address(), round, 4);
    record(t, event, first);
    wait_event(t, second, event);
    copy(t, second, target.address(), source.address(), 4);
    check_waits(t, second, "the second stream waits for the event");
    blocker.release();
    synchronize(t, second);
    t.equal(words(target.read())[0], round, "what the second stream copied behind the event");
    synchronize(t, first);
  }
}

// `late` of two events comes last; work behind waits for both may start only then.
void wait_for_two(Context& t, bool late_first) {
  Buffer source(t, 8);
  Buffer target(t, 8);
  source.write(std::vector<std::uint8_t>(8, 0));
  Stream a(t);
  Stream b(t);
  Stream waiting(t);
  Event on_a(t);
  Event on_b(t);
  Blocker hold_a(t, a);
  Blocker hold_b(t, b);
  fill(t, a, source.address(), 11u, 4);
  record(t, on_a, a);
  fill(t, b, source.address(4), 22u, 4);
  record(t, on_b, b);
  wait_event(t, waiting, on_a);
  wait_event(t, waiting, on_b);
  copy(t, waiting, target.address(), source.address(), 8);
  (late_first ? hold_b : hold_a).release();
  synchronize(t, late_first ? static_cast<flagos_stream_t*>(b) : static_cast<flagos_stream_t*>(a));
  check_waits(t, waiting, "one of two events is not enough");
  (late_first ? hold_a : hold_b).release();
  synchronize(t, waiting);
  const auto seen = words(target.read());
  t.equal(seen[0], 11, "the work before the first event");
  t.equal(seen[1], 22, "the work before the second event");
  synchronize(t, a);
  synchronize(t, b);
}

// 64 events, of which only the one at `late` is held.
void wait_for_many(Context& t, std::uint32_t late) {
  constexpr std::uint32_t count = 64;
  Buffer source(t, count * 4);
  Buffer target(t, count * 4);
  source.write(std::vector<std::uint8_t>(count * 4, 0));
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Event>> events;
  for (std::uint32_t i = 0; i < count; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    events.push_back(std::make_unique<Event>(t));
  }
  Stream waiting(t);
  Blocker blocker(t, *streams[late]);
  for (std::uint32_t i = 0; i < count; ++i) {
    fill(t, *streams[i], source.address(i * 4), i + 1, 4);
    record(t, *events[i], *streams[i]);
    wait_event(t, waiting, *events[i]);
  }
  copy(t, waiting, target.address(), source.address(), count * 4);
  check_waits(t, waiting, "63 of 64 events are not enough");
  blocker.release();
  synchronize(t, waiting);
  const auto seen = words(target.read());
  for (std::uint32_t i = 0; i < count; ++i)
    t.equal(seen[i], i + 1, "the work before event " + std::to_string(i));
}

FLAGOS_CASE("stream.wait_event.multi", {.clause = "flagos_stream_wait_event: waits add up"}) {
  require_concurrent(t);
  t.subcase("two, the first comes last");
  wait_for_two(t, true);
  t.subcase("two, the second comes last");
  wait_for_two(t, false);
  for (const std::uint32_t late : {0u, 31u, 63u}) {
    t.subcase("64, late is " + std::to_string(late));
    wait_for_many(t, late);
  }
}

FLAGOS_CASE("stream.wait_event.unrecorded",
            {.clause = "flagos_stream_wait_event: a never-recorded event counts as complete"}) {
  Buffer target(t, 64);
  Stream stream(t);
  Event event(t);
  wait_event(t, stream, event);
  fill(t, stream, target.address(), std::uint8_t{0x26}, 64);
  synchronize(t, stream);
  all_are(t, target.read(), 0x26, "the work behind the wait");
}

FLAGOS_CASE("stream.wait_event.self",
            {.clause = "flagos_stream_wait_event: an event of the same stream"}) {
  Buffer target(t, 4);
  Stream stream(t);
  Event event(t);
  flagos_kernel_t* const step = t.kernel("data_step");
  std::uint32_t model = 0;
  fill(t, stream, target.address(), 0u, 4);
  for (std::uint32_t i = 0; i < 100; ++i) {
    launch(t, stream, step, {1}, {1}, {arg(target.address()), arg_u32(3), arg_u32(i)});
    record(t, event, stream);
    wait_event(t, stream, event);
    model = model * 3 + i;
  }
  synchronize(t, stream);
  t.equal(words(target.read())[0], model, "the result of all launches in order");
}

FLAGOS_CASE("stream.wait_event.no_capture_side_effect",
            {.clause = "flagos_stream_get_capture_status",
             .level = Level::optional,
             .feature = "capture"}) {
  Buffer target(t, 4);
  Stream first(t);
  Stream second(t);
  Event event(t);
  const auto check_status = [&](flagos_stream_t* stream, flagos_capture_status_t expected) {
    flagos_capture_status_t status = -1;
    std::uint64_t id = 99;
    t.ok(flagos_stream_get_capture_status(stream, &status, &id), "stream_get_capture_status");
    t.equal(static_cast<std::uint64_t>(status), static_cast<std::uint64_t>(expected),
            "the capture status");
    t.check((id != 0) == (expected == FLAGOS_CAPTURE_STATUS_ACTIVE),
            "there is an id only while capturing");
  };
  t.subcase("no capture");
  fill(t, first, target.address(), 5u, 4);
  record(t, event, first);
  wait_event(t, second, event);
  check_status(first, FLAGOS_CAPTURE_STATUS_NONE);
  check_status(second, FLAGOS_CAPTURE_STATUS_NONE);
  synchronize(t, second);
  t.subcase("the event is from before the capture");
  t.ok(flagos_stream_begin_capture(first), "stream_begin_capture");
  wait_event(t, second, event);
  check_status(first, FLAGOS_CAPTURE_STATUS_ACTIVE);
  check_status(second, FLAGOS_CAPTURE_STATUS_NONE);
  fill(t, second, target.address(), 6u, 4);
  synchronize(t, second);
  flagos_graph_t* graph = nullptr;
  t.ok(flagos_stream_end_capture(first, &graph), "stream_end_capture");
  t.ok(flagos_graph_destroy(graph), "graph_destroy");
  check_status(first, FLAGOS_CAPTURE_STATUS_NONE);
  t.equal(words(target.read())[0], 6, "the work of the stream that did not capture");
}

FLAGOS_CASE("stream.wait_event.chain", {.clause = "flagos_stream_wait_event over many streams"}) {
  const std::uint32_t length = t.settings().quick ? 200 : 1'000;
  Buffer word(t, 4);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(std::make_unique<Stream>(t));
  std::vector<std::unique_ptr<Event>> events;
  flagos_kernel_t* const step = t.kernel("data_step");
  std::uint32_t model = 1;
  word.write(bytes_of(model));
  for (std::uint32_t i = 0; i < length; ++i) {
    flagos_stream_t* const stream = *streams[i % streams.size()];
    if (i > 0) wait_event(t, stream, *events.back());
    launch(t, stream, step, {1}, {1}, {arg(word.address()), arg_u32(2 * i + 3), arg_u32(i)});
    model = model * (2 * i + 3) + i;
    events.push_back(std::make_unique<Event>(t));
    record(t, *events.back(), stream);
  }
  t.ok(flagos_event_synchronize(*events.back(), kPatienceNs),
       "event_synchronize of the last event");
  t.equal(words(word.read())[0], model, "the result of all launches in order");
}

FLAGOS_CASE("stream.wait_event.diamond", {.clause = "flagos_stream_wait_event: fan out and in"}) {
  constexpr std::uint32_t width = 32;
  const std::uint32_t rounds = t.settings().quick ? 5 : 50;
  Buffer source(t, 4);
  Buffer middle(t, width * 4);
  Buffer target(t, rounds * width * 4);
  Stream root(t);
  Event started(t);
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Event>> events;
  for (std::uint32_t i = 0; i < width; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    events.push_back(std::make_unique<Event>(t));
  }
  for (std::uint32_t round = 0; round < rounds; ++round) {
    fill(t, root, source.address(), round * 1000, 4);
    record(t, started, root);
    for (std::uint32_t i = 0; i < width; ++i) {
      wait_event(t, *streams[i], started);
      add_words(t, *streams[i], middle.address(i * 4), source.address(), i, 1);
      record(t, *events[i], *streams[i]);
      wait_event(t, root, *events[i]);
    }
    copy(t, root, target.address(round * width * 4), middle.address(), width * 4);
  }
  synchronize(t, root);
  const auto seen = words(target.read());
  for (std::uint32_t i = 0; i < seen.size(); ++i)
    t.equal(seen[i], i / width * 1000 + i % width, "word " + std::to_string(i));
}

// A timeline of the device under test.
class Timeline {
 public:
  explicit Timeline(Context& t) : t_(t) {
    t.ok(flagos_timeline_create(t.device(), 0, &timeline_), "timeline_create");
  }
  ~Timeline() { flagos_timeline_destroy(timeline_); }
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;
  void signal(std::uint64_t value) {
    t_.ok(flagos_timeline_signal(timeline_, value), "timeline_signal");
  }
  void wait_on(flagos_stream_t* stream, std::uint64_t value) {
    t_.ok(flagos_stream_wait_timeline(stream, timeline_, value), "stream_wait_timeline");
  }
  void signal_on(flagos_stream_t* stream, std::uint64_t value) {
    t_.ok(flagos_stream_signal_timeline(stream, timeline_, value), "stream_signal_timeline");
  }

 private:
  Context& t_;
  flagos_timeline_t* timeline_ = nullptr;
};

FLAGOS_CASE(
    "stream.independent_progress",
    {.clause = "FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS: a wait holds its own stream only",
     .oracle = Oracle::live}) {
  require_concurrent(t);
  Buffer held(t, 64);  // a word for each of the streams that wait
  Buffer free(t, 64);
  std::vector<std::unique_ptr<Stream>> waiting;
  for (int i = 0; i < 16; ++i) waiting.push_back(std::make_unique<Stream>(t));
  t.subcase("streams wait for an event");
  {
    Stream source(t);
    Stream other(t);
    Event event(t);
    Blocker blocker(t, source);
    record(t, event, source);
    for (std::uint64_t i = 0; i < 16; ++i) {
      wait_event(t, *waiting[i], event);
      fill(t, *waiting[i], held.address() + i * 4, 1u, 4);
    }
    fill(t, other, free.address(), std::uint8_t{0x27}, 64);
    synchronize(t, other);
    for (const auto& stream : waiting) check_held(t, *stream, "the other stream");
    blocker.release();
    for (const auto& stream : waiting) synchronize(t, *stream);
  }
  all_are(t, free.read(), 0x27, "the work of the other stream");
  if (!t.has(FLAGOS_FEATURE_TIMELINE)) return;
  t.subcase("streams wait for a timeline");
  Timeline timeline(t);
  Stream other(t);
  for (std::uint64_t i = 0; i < 16; ++i) {
    timeline.wait_on(*waiting[i], 1);
    fill(t, *waiting[i], held.address() + i * 4, 2u, 4);
  }
  fill(t, other, free.address(), std::uint8_t{0x28}, 64);
  synchronize(t, other);
  all_are(t, free.read(), 0x28, "the work of the other stream");
  for (const auto& stream : waiting) check_held(t, *stream, "the other stream");
  timeline.signal(1);
  for (const auto& stream : waiting) synchronize(t, *stream);
  for (const std::uint32_t word : words(held.read()))
    t.equal(word, 2, "the work of the streams that waited");
}

FLAGOS_CASE("stream.cross_wait_no_deadlock",
            {.clause = "flagos_stream_wait_timeline: wait before signal is legal",
             .oracle = Oracle::live,
             .feature = "timeline"}) {
  Buffer word(t, 4);
  flagos_kernel_t* const step = t.kernel("data_step");
  for (std::uint32_t round = 0; round < 20; ++round) {
    t.subcase("round=" + std::to_string(round));
    Timeline x(t);
    Timeline y(t);
    Stream a(t);
    Stream b(t);
    word.write(std::vector<std::uint8_t>(4, 0));
    x.wait_on(a, 1);  // signalled below, by b
    launch(t, a, step, {1}, {1}, {arg(word.address()), arg_u32(10), arg_u32(2)});
    y.signal(1);
    y.wait_on(b, 1);
    launch(t, b, step, {1}, {1}, {arg(word.address()), arg_u32(10), arg_u32(1)});
    x.signal_on(b, 1);
    synchronize(t, a);
    synchronize(t, b);
    t.equal(words(word.read())[0], 12, "first the work of b, then that of a");
  }
}

}  // namespace
}  // namespace flagos::conformance
