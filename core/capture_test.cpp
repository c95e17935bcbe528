#include "core/capture.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "core/test_graph.hpp"

using namespace flagos::core::test;
using Trail = std::vector<std::uint32_t>;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

std::uint64_t capture_id(flagos_stream_t* stream, flagos_capture_status_t expected) {
  flagos_capture_status_t status = -1;
  std::uint64_t id = 0;
  REQUIRE(flagos_stream_get_capture_status(stream, &status, &id) == FLAGOS_STATUS_OK);
  CHECK(status == expected);
  return id;
}

void run(Fake& f, flagos_graph_t* graph) {
  flagos_graph_exec_t* exec = nullptr;
  REQUIRE(flagos_graph_instantiate(graph, &exec) == FLAGOS_STATUS_OK);
  flagos_stream_t* stream = f.stream();
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
}

}  // namespace

TEST_CASE("captured work is not run, and runs when it is launched") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_address_t memory = f.alloc(64);
  std::vector<std::uint8_t> data(64, 0x77);
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  CHECK(capture_id(stream, FLAGOS_CAPTURE_STATUS_ACTIVE) != 0);
  CHECK(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_NOT_PERMITTED);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_update(stream, memory, data.data(), 64) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 2) == FLAGOS_STATUS_OK);
  data.assign(64, 0);
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  CHECK(capture_id(stream, FLAGOS_CAPTURE_STATUS_NONE) == 0);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail().empty());
  flagos_graph_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_info(graph, &info) == FLAGOS_STATUS_OK);
  CHECK(info.node_count == 3);
  CHECK(info.edge_count == 2);
  run(f, graph);
  CHECK(fake().trail() == Trail{1, 2});
  CHECK(*reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(memory + 63)) == 0x77);
  REQUIRE(f.append(stream, 3) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == Trail{1, 2, 3});
  CHECK(flagos_graph_destroy(graph) == FLAGOS_STATUS_OK);
}

TEST_CASE("events draw other streams in and carry dependencies back") {
  Fake f;
  flagos_stream_t* a = f.stream();
  flagos_stream_t* b = f.stream();
  flagos_event_t* fork = f.event();
  flagos_event_t* join = f.event();
  REQUIRE(flagos_stream_begin_capture(a) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(a, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(fork, a) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(b, fork) == FLAGOS_STATUS_OK);
  CHECK(capture_id(a, FLAGOS_CAPTURE_STATUS_ACTIVE) == capture_id(b, FLAGOS_CAPTURE_STATUS_ACTIVE));
  REQUIRE(f.append(b, 2) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(a, 3) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(join, b) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(a, join) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(a, 4) == FLAGOS_STATUS_OK);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(b, &graph) == FLAGOS_STATUS_NOT_PERMITTED);
  REQUIRE(flagos_stream_end_capture(a, &graph) == FLAGOS_STATUS_OK);
  flagos_graph_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_info(graph, &info) == FLAGOS_STATUS_OK);
  CHECK(info.node_count == 4);
  CHECK(info.edge_count == 4);
  run(f, graph);
  CHECK(fake().trail() == Trail{1, 2, 3, 4});
  capture_id(b, FLAGOS_CAPTURE_STATUS_NONE);
  CHECK(flagos_stream_synchronize(b, forever) == FLAGOS_STATUS_OK);
  CHECK(flagos_event_synchronize(join, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("a stream that was not joined makes the end fail, and all are ordinary again") {
  Fake f;
  flagos_stream_t* a = f.stream();
  flagos_stream_t* b = f.stream();
  flagos_event_t* fork = f.event();
  REQUIRE(flagos_stream_begin_capture(a) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(a, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(fork, a) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(b, fork) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(b, 2) == FLAGOS_STATUS_OK);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(a, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(graph == nullptr);
  for (flagos_stream_t* stream : {a, b}) {
    REQUIRE(f.append(stream, 9) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  }
  CHECK(fake().trail() == Trail{9, 9});
}

TEST_CASE("forbidden calls invalidate a capture") {
  Fake f;
  flagos_timeline_t* timeline = f.timeline();
  flagos_event_t* event = f.event();
  const flagos_address_t memory = f.alloc(64);
  for (int which = 0; which < 6; ++which) {
    CAPTURE(which);
    flagos_stream_t* stream = f.stream();
    REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
    std::uint32_t complete = 7;
    flagos_status_t status = -1;
    switch (which) {
      case 0:
        status = flagos_stream_synchronize(stream, forever);
        break;
      case 1:
        status = flagos_stream_query(stream, &complete);
        break;
      case 2:
        status = flagos_stream_wait_timeline(stream, timeline, 1);
        break;
      case 3:
        status = flagos_stream_signal_timeline(stream, timeline, 1);
        break;
      case 4:
        status = flagos_stream_write_value(stream, memory, 1, 4);
        break;
      case 5:
        status = flagos_event_synchronize(event, forever);
        break;
    }
    CHECK(status == FLAGOS_STATUS_NOT_PERMITTED);
    capture_id(stream, FLAGOS_CAPTURE_STATUS_INVALIDATED);
    CHECK(f.append(stream, 1) == FLAGOS_STATUS_INVALID_GRAPH);
    flagos_graph_t* graph = nullptr;
    CHECK(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
    CHECK(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_NOT_PERMITTED);
    CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(flagos_event_synchronize(event, forever) == FLAGOS_STATUS_OK);
  }
  CHECK(fake().trail().empty());
}

TEST_CASE("streams and events may be destroyed while they capture") {
  Fake f;
  flagos_event_t* fork = f.event();
  flagos_stream_t* origin = f.stream();
  flagos_stream_t* drawn = f.stream();
  REQUIRE(flagos_stream_begin_capture(origin) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(origin, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(fork, origin) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(drawn, fork) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_destroy(fork) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_destroy(origin) == FLAGOS_STATUS_OK);
  capture_id(drawn, FLAGOS_CAPTURE_STATUS_NONE);
  REQUIRE(f.append(drawn, 2) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(drawn, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == Trail{2});

  flagos_event_t* again = f.event();
  origin = f.stream();
  REQUIRE(flagos_stream_begin_capture(origin) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(again, origin) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(drawn, again) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_destroy(drawn) == FLAGOS_STATUS_OK);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(origin, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
}

TEST_CASE("an executable launched in a capture becomes a child, and an outer event a wait") {
  Fake f;
  GraphMaker inner(f);
  inner.append(1);
  flagos_graph_exec_t* exec = inner.instantiate();
  flagos_event_t* outside = f.event();
  flagos_stream_t* stream = f.stream();
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_event(stream, outside) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  flagos_graph_node_t nodes[2] = {};
  std::uint64_t count = 0;
  REQUIRE(flagos_graph_get_nodes(graph, 2, nodes, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 2);
  flagos_graph_node_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_node_info(graph, nodes[0], &info) == FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT);
  REQUIRE(flagos_graph_get_node_info(graph, nodes[1], &info) == FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_GRAPH_NODE_TYPE_CHILD);
  run(f, graph);
  CHECK(fake().trail() == Trail{1});
}

TEST_CASE("captures of other devices and of each other do not mix") {
  Fake f;
  flagos_device_t* second = f.open(1);
  flagos_stream_t* a = f.stream();
  flagos_stream_t* b = f.stream();
  flagos_stream_t* far = f.stream(second);
  flagos_event_t* event = f.event();
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_begin_capture(a) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, a) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_wait_event(far, event) == FLAGOS_STATUS_NOT_PERMITTED);
  capture_id(far, FLAGOS_CAPTURE_STATUS_NONE);
  CHECK(flagos_stream_end_capture(a, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
  REQUIRE(flagos_stream_begin_capture(a) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_begin_capture(b) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, a) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_wait_event(b, event) == FLAGOS_STATUS_NOT_PERMITTED);
  CHECK(flagos_stream_end_capture(a, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_stream_end_capture(b, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_stream_wait_event(far, event) == FLAGOS_STATUS_OK);
}

TEST_CASE("a poisoned stream begins no capture and is drawn into none") {
  Fake f;
  flagos_stream_t* const failed = f.stream();
  flagos_stream_t* const capturing = f.stream();
  flagos_event_t* const event = f.event();
  // Work that core holds back, and that the plugin refuses when its turn comes.
  flagos_timeline_t* const timeline = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(failed, timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(failed, 1) == FLAGOS_STATUS_OK);
  fake().submit = FLAGOS_STATUS_EXECUTION_FAILED;
  REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(failed, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_stream_begin_capture(failed) == FLAGOS_STATUS_EXECUTION_FAILED);
  REQUIRE(flagos_stream_begin_capture(capturing) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, capturing) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_wait_event(failed, event) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_event_record(event, failed) == FLAGOS_STATUS_EXECUTION_FAILED);
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(capturing, &graph) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_destroy(graph) == FLAGOS_STATUS_OK);
}

TEST_CASE("a wait for an event of an invalidated capture is refused") {
  Fake f;
  flagos_stream_t* const stream = f.stream();
  flagos_stream_t* const other = f.stream();
  flagos_event_t* const event = f.event();
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, 0) == FLAGOS_STATUS_NOT_PERMITTED);
  CHECK(flagos_stream_wait_event(other, event) == FLAGOS_STATUS_INVALID_GRAPH);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_INVALID_GRAPH);
}
