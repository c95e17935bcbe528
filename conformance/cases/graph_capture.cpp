// Capture: work recorded instead of run, streams drawn in by events, calls that a capture forbids.
#include <flagos.h>

#include <memory>

#include "conformance/cases/graph_support.hpp"

namespace flagos::conformance {
namespace {

std::vector<std::uint32_t> same(std::uint32_t count, std::uint32_t value) {
  return std::vector<std::uint32_t>(count, value);
}

struct CaptureState {
  flagos_capture_status_t status = 99;
  std::uint64_t id = 99;
};
CaptureState state_of(Context& t, flagos_stream_t* stream) {
  CaptureState state;
  t.ok(flagos_stream_get_capture_status(stream, &state.status, &state.id),
       "the capture status of a stream");
  return state;
}

// `to` waits for what `from` has so far.
void join(Context& t, flagos_event_t* event, flagos_stream_t* from, flagos_stream_t* to) {
  t.ok(flagos_event_record(event, from), "a record in a capture");
  t.ok(flagos_stream_wait_event(to, event), "a wait in a capture");
}

// Whatever a case left: the streams are ordinary again.
class EndCapture {
 public:
  explicit EndCapture(flagos_stream_t* stream) : stream_(stream) {}
  ~EndCapture() {
    flagos_graph_t* graph = nullptr;
    if (flagos_stream_end_capture(stream_, &graph) == FLAGOS_STATUS_OK) flagos_graph_destroy(graph);
  }
  EndCapture(const EndCapture&) = delete;
  EndCapture& operator=(const EndCapture&) = delete;

 private:
  flagos_stream_t* stream_;
};

void check_ordinary(Context& t, flagos_stream_t* stream) {
  Words words(t, 16, 1);
  affine(t, stream, words, 3, 4);
  t.ok(flagos_stream_synchronize(stream, patience_ns), "a wait for an ordinary stream");
  equal_words(t, words.read(), same(16, 7), "the stream runs its work again");
}

}  // namespace

FLAGOS_CASE("graph.capture.basic", {.clause = "flagos_stream_begin_capture",
                                    .level = Level::optional,
                                    .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream stream(t);
  Words words(t, 64, 1), copy(t, 64);
  begin_capture(t, stream);
  const EndCapture guard(stream);
  affine(t, stream, words, 3, 1);
  t.ok(flagos_memory_copy(stream, copy.at(), words.at(), 256), "a copy");
  const std::uint32_t pattern = 9;
  t.ok(flagos_memory_fill(stream, words.at(), &pattern, 4, 128), "a fill");
  Graph graph(t, end_capture(t, stream));
  t.subcase("nothing runs at capture");
  equal_words(t, words.read(), same(64, 1), "the words are as they were");
  t.subcase("the graph");
  t.equal(graph.info().node_count, 3, "one node for each operation");
  t.equal(graph.info().edge_count, 2, "in the order of the stream");
  t.subcase("the launch");
  Executable exec(t, graph);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, copy.read(), same(64, 4), "the copy behind the kernel");
  auto expected = same(64, 4);
  std::fill_n(expected.begin(), 32, 9);
  equal_words(t, words.read(), expected, "the fill behind the copy");
  exec.launch(stream);
  stream.synchronize();
  t.equal(copy.first(), 28, "and again");
  check_ordinary(t, stream);
}

FLAGOS_CASE("graph.capture.operations", {.clause = "work submitted to `stream` is recorded",
                                         .level = Level::optional,
                                         .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream stream(t);
  Words words(t, 64, 1), rows(t, 64, 9);
  const auto captured = [&](const char* what, const std::function<void()>& queue) {
    t.subcase(what);
    words.write(same(64, 1));
    begin_capture(t, stream);
    const EndCapture guard(stream);
    affine(t, stream, words, 2, 0);
    queue();
    Graph graph(t, end_capture(t, stream));
    equal_words(t, words.read(), same(64, 1), "nothing ran at capture");
    run_once(t, graph);
  };
  captured("a fill of 16 bytes", [&] {
    const std::uint32_t pattern[4] = {1, 2, 3, 4};
    if (t.has(FLAGOS_FEATURE_WIDE_FILL))
      t.ok(flagos_memory_fill(stream, words.at(60), pattern, 16, 16), "a wide fill");
  });
  auto expected = same(64, 2);
  for (std::uint32_t i = 0; i < 4 && t.has(FLAGOS_FEATURE_WIDE_FILL); ++i) expected[60 + i] = i + 1;
  equal_words(t, words.read(), expected, "kernel, then fill");
  captured("a copy of rows", [&] {
    flagos_copy_2d_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.target = rows.at();
    desc.source = words.at();
    desc.target_pitch_bytes = 64;
    desc.source_pitch_bytes = 32;
    desc.width_bytes = 8;
    desc.height = 4;
    if (t.has(FLAGOS_FEATURE_COPY_2D)) t.ok(flagos_memory_copy_2d(stream, &desc), "a copy of rows");
  });
  expected = same(64, 9);
  for (std::size_t y = 0; y < 4 && t.has(FLAGOS_FEATURE_COPY_2D); ++y)
    expected[y * 16] = expected[y * 16 + 1] = 2;
  equal_words(t, rows.read(), expected, "kernel, then copy");
  captured("an event on its own stream", [&] {
    Event event(t);
    join(t, event, stream, stream);
    affine(t, stream, words, 5, 0);
  });
  equal_words(t, words.read(), same(64, 10), "kernel, then kernel");
  if (t.has(FLAGOS_FEATURE_PREPARED_LAUNCH)) {
    flagos_prepared_t* prepared = nullptr;
    const std::vector<flagos_argument_t> arguments = affine_arguments(words, 7, 0);
    const Shape shape = shape_for(t, 64);
    const auto desc = launch_desc(shape.grid, shape.block, arguments);
    t.ok(flagos_kernel_prepare(t.kernel("tl_affine"), &desc, &prepared), "a prepared launch");
    captured("a prepared launch",
             [&] { t.ok(flagos_kernel_launch_prepared(stream, prepared), "it is launched"); });
    t.ok(flagos_prepared_destroy(prepared), "it is destroyed");
    equal_words(t, words.read(), same(64, 14), "kernel, then prepared kernel");
  }
}

FLAGOS_CASE("graph.capture.forbidden_ops",
            {.clause = "NOT_PERMITTED, and the capture is invalidated",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream stream(t);
  Words words(t, 16, 1), value(t, 2);
  flagos_timeline_t* timeline = nullptr;
  if (t.has(FLAGOS_FEATURE_TIMELINE))
    t.ok(flagos_timeline_create(t.device(), 0, &timeline), "a timeline");
  const auto forbidden = [&](const char* what, const std::function<flagos_status_t()>& call) {
    t.subcase(what);
    begin_capture(t, stream);
    const EndCapture guard(stream);
    affine(t, stream, words, 2, 0);
    t.status(call(), FLAGOS_STATUS_NOT_PERMITTED, "a call that a capture forbids");
    t.equal(static_cast<std::uint64_t>(state_of(t, stream).status),
            FLAGOS_CAPTURE_STATUS_INVALIDATED, "the capture's status");
    auto* graph = reinterpret_cast<flagos_graph_t*>(0x55);
    t.status(flagos_stream_end_capture(stream, &graph), FLAGOS_STATUS_INVALID_GRAPH, "its end");
    t.check(graph == nullptr, "the out parameter is NULL");
    check_ordinary(t, stream);
  };
  std::uint32_t complete = 0;
  forbidden("synchronize", [&] { return flagos_stream_synchronize(stream, 0); });
  forbidden("synchronize forever",
            [&] { return flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE); });
  forbidden("query", [&] { return flagos_stream_query(stream, &complete); });
  if (timeline != nullptr) {
    forbidden("wait_timeline", [&] { return flagos_stream_wait_timeline(stream, timeline, 1); });
    forbidden("signal_timeline",
              [&] { return flagos_stream_signal_timeline(stream, timeline, 1); });
    std::uint64_t reached = 1;
    t.ok(flagos_timeline_query(timeline, &reached), "a query of the timeline");
    t.equal(reached, 0, "the forbidden signal was not executed");
    t.ok(flagos_timeline_destroy(timeline), "the timeline is destroyed");
  }
  if (t.has(FLAGOS_FEATURE_STREAM_VALUE)) {
    forbidden("write_value", [&] { return flagos_stream_write_value(stream, value.at(), 1, 4); });
    forbidden("wait_value", [&] {
      return flagos_stream_wait_value(stream, value.at(), 0, 4, FLAGOS_COMPARE_EQUAL);
    });
    t.equal(value.first(), 0, "the forbidden write was not executed");
  }
  equal_words(t, words.read(), same(16, 1), "nothing of the captures was executed");
}

FLAGOS_CASE("graph.capture.cross_stream", {.clause = "an event draws a stream in",
                                           .level = Level::optional,
                                           .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream origin(t), side(t);
  Event fork(t), back(t);
  Words words(t, 16, 1), other(t, 16, 1);
  t.subcase("forked and joined");
  {
    begin_capture(t, origin);
    const EndCapture guard(origin);
    affine(t, origin, words, 3, 0);
    join(t, fork, origin, side);
    affine(t, side, other, 5, 0);
    affine(t, origin, words, 2, 0);
    join(t, back, side, origin);
    mix(t, origin, words, other, 10);
    Graph graph(t, end_capture(t, origin));
    equal_words(t, words.read(), same(16, 1), "nothing ran at capture");
    run_once(t, graph);
    equal_words(t, words.read(), same(16, 65), "both branches and their join ran");
    check_ordinary(t, side);
    check_ordinary(t, origin);
  }
  t.subcase("not joined");
  {
    begin_capture(t, origin);
    const EndCapture guard(origin);
    join(t, fork, origin, side);
    affine(t, side, other, 100, 0);
    flagos_graph_t* graph = nullptr;
    t.status(flagos_stream_end_capture(origin, &graph), FLAGOS_STATUS_INVALID_GRAPH,
             "a stream was not joined");
    t.check(graph == nullptr, "the out parameter is NULL");
    check_ordinary(t, side);
    check_ordinary(t, origin);
    equal_words(t, other.read(), same(16, 5), "its work was not executed");
  }
  t.subcase("ended on the stream drawn in");
  begin_capture(t, origin);
  const EndCapture guard(origin);
  affine(t, origin, words, 2, 0);
  join(t, fork, origin, side);
  flagos_graph_t* none = nullptr;
  t.status(flagos_stream_end_capture(side, &none), FLAGOS_STATUS_NOT_PERMITTED,
           "an end on the wrong stream");
  join(t, back, side, origin);
  Graph graph(t, end_capture(t, origin));
  run_once(t, graph);
  equal_words(t, words.read(), same(16, 130), "the capture was not disturbed");
}

FLAGOS_CASE("graph.capture.nested_begin",
            {.clause = "NOT_PERMITTED: the stream is capturing already",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream stream(t);
  Words words(t, 16, 1);
  flagos_graph_t* none = nullptr;
  t.status(flagos_stream_end_capture(stream, &none), FLAGOS_STATUS_NOT_PERMITTED,
           "an end without a beginning");
  begin_capture(t, stream);
  const EndCapture guard(stream);
  affine(t, stream, words, 3, 0);
  t.status(flagos_stream_begin_capture(stream), FLAGOS_STATUS_NOT_PERMITTED, "a second beginning");
  affine(t, stream, words, 5, 0);
  Graph graph(t, end_capture(t, stream));
  run_once(t, graph);
  equal_words(t, words.read(), same(16, 15), "the first capture went on");
}

FLAGOS_CASE("graph.capture.end_other_thread",
            {.clause = "any thread may end it", .level = Level::optional, .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream stream(t);
  Words words(t, 16, 1);
  begin_capture(t, stream);
  const EndCapture guard(stream);
  affine(t, stream, words, 3, 0);
  flagos_graph_t* ended = nullptr;
  FirstFailure failure;
  Team team;
  team.start([&] { failure.note(flagos_stream_end_capture(stream, &ended)); });
  team.join();
  t.ok(failure.status(), "the end on another thread");
  Graph graph(t, ended);
  run_once(t, graph);
  equal_words(t, words.read(), same(16, 3), "the graph runs");
  check_ordinary(t, stream);
}

FLAGOS_CASE("graph.capture.abort_recover",
            {.clause = "also on failure the stream is an ordinary one",
             .level = Level::optional,
             .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream origin(t), side(t);
  Event fork(t), back(t);
  Words words(t, 16, 1);
  begin_capture(t, origin);
  const EndCapture guard(origin);
  join(t, fork, origin, side);
  affine(t, side, words, 9, 0);
  t.status(flagos_stream_synchronize(origin, 0), FLAGOS_STATUS_NOT_PERMITTED, "a forbidden call");
  flagos_graph_t* none = nullptr;
  t.status(flagos_stream_end_capture(origin, &none), FLAGOS_STATUS_INVALID_GRAPH,
           "the end of an invalidated capture");
  for (flagos_stream_t* stream :
       {static_cast<flagos_stream_t*>(origin), static_cast<flagos_stream_t*>(side)}) {
    t.equal(static_cast<std::uint64_t>(state_of(t, stream).status), FLAGOS_CAPTURE_STATUS_NONE,
            "no stream captures any more");
    check_ordinary(t, stream);
  }
  begin_capture(t, origin);
  affine(t, origin, words, 3, 0);
  join(t, fork, origin, side);
  affine(t, side, words, 5, 0);
  join(t, back, side, origin);
  Graph graph(t, end_capture(t, origin));
  run_once(t, graph);
  equal_words(t, words.read(), same(16, 15), "the next capture is a good one");
}

FLAGOS_CASE("graph.capture.status_query", {.clause = "flagos_stream_get_capture_status",
                                           .level = Level::optional,
                                           .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  Stream origin(t), side(t), ordinary(t);
  Event fork(t), back(t);
  Words words(t, 16, 1);
  t.subcase("an ordinary stream");
  t.equal(static_cast<std::uint64_t>(state_of(t, ordinary).status), FLAGOS_CAPTURE_STATUS_NONE,
          "its status");
  t.equal(state_of(t, ordinary).id, 0, "its id");
  t.subcase("capturing streams");
  begin_capture(t, origin);
  const EndCapture guard(origin);
  affine(t, origin, words, 3, 0);
  join(t, fork, origin, side);
  const auto first = state_of(t, origin);
  t.equal(static_cast<std::uint64_t>(first.status), FLAGOS_CAPTURE_STATUS_ACTIVE,
          "the origin captures");
  t.check(first.id != 0, "a capture has an id");
  t.equal(static_cast<std::uint64_t>(state_of(t, side).status), FLAGOS_CAPTURE_STATUS_ACTIVE,
          "the stream drawn in captures");
  t.equal(state_of(t, side).id, first.id, "with the same id");
  t.equal(state_of(t, ordinary).id, 0, "others do not");
  flagos_capture_status_t status = 9;
  t.ok(flagos_stream_get_capture_status(origin, &status, nullptr), "the id may be left out");
  join(t, back, side, origin);
  Graph graph(t, end_capture(t, origin));
  t.equal(static_cast<std::uint64_t>(state_of(t, side).status), FLAGOS_CAPTURE_STATUS_NONE,
          "the capture is over for all");
  t.subcase("the next capture");
  begin_capture(t, origin);
  const std::uint64_t second = state_of(t, origin).id;
  t.check(second != 0 && second != first.id, "an id is never used again");
  Graph next(t, end_capture(t, origin));
  run_once(t, graph);
  equal_words(t, words.read(), same(16, 3), "asking disturbed nothing");
}

FLAGOS_CASE("graph.capture.equivalence",
            {.clause = "a captured program gives what it gives eagerly",
             .level = Level::optional,
             .oracle = Oracle::model,
             .isolation = Isolation::own,
             .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  for (std::uint32_t i = 0; i < repeats(t, 100, 12); ++i) {
    const auto streams = 1 + static_cast<std::uint32_t>(t.random_below(5));
    t.subcase("program " + std::to_string(i) + " on " + std::to_string(streams) + " streams");
    const Program program = random_program(t, 40, streams);
    Memory eager(t, program), captured(t, program);
    Lanes lanes(t, streams, 4);
    issue_on_streams(t, program, eager, lanes.streams, lanes.events);
    lanes.synchronize();
    begin_capture(t, lanes.streams[0]);
    const EndCapture guard(lanes.streams[0]);
    for (std::size_t k = 1; k < streams; ++k)
      join(t, lanes.events[0], lanes.streams[0], lanes.streams[k]);
    issue_on_streams(t, program, captured, lanes.streams, lanes.events);
    for (std::size_t k = 1; k < streams; ++k)
      join(t, lanes.events[0], lanes.streams[k], lanes.streams[0]);
    Graph graph(t, end_capture(t, lanes.streams[0]));
    run_once(t, graph);
    eager.run_model(program);
    captured.run_model(program);
    eager.verify(t, "the program run eagerly");
    captured.verify(t, "the program captured and launched");
  }
}

}  // namespace flagos::conformance
