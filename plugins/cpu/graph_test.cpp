#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Append {
  std::uint64_t log;
  std::uint64_t value;
};
struct Fail {
  std::uint32_t block;
  std::int32_t status;
};
struct Flag {
  std::uint64_t flag;
};

// Nodes one behind the other, as core hands them over.
class GraphBuilder {
 public:
  explicit GraphBuilder(TestDevice& device) : device_(device) {}

  flagos_plugin_graph_node_t& add(flagos_graph_node_type_t type) {
    flagos_plugin_graph_node_t& node = nodes_.emplace_back();
    std::memset(&node, 0, sizeof(node));
    node.type = type;
    dependencies_.push_back(static_cast<std::uint32_t>(nodes_.size() - 2));
    node.dependencies = &dependencies_.back();
    node.dependency_count = nodes_.size() > 1 ? 1 : 0;
    return node;
  }
  template <typename Arguments>
  void kernel(const char* name, const Arguments& arguments) {
    std::vector<std::byte>& bytes = arguments_.emplace_back(sizeof(arguments));
    std::memcpy(bytes.data(), &arguments, sizeof(arguments));
    launches_.push_back(launch_desc(bytes.data(), bytes.size()));
    flagos_plugin_graph_node_t& node = add(FLAGOS_GRAPH_NODE_TYPE_KERNEL);
    node.kernel = device_.kernel(name);
    node.launch = &launches_.back();
  }
  void event(flagos_graph_node_type_t type, flagos_plugin_event_t* event) {
    add(type).event = event;
  }
  void host(flagos_host_function_t function, void* user_data) {
    flagos_plugin_graph_node_t& node = add(FLAGOS_GRAPH_NODE_TYPE_HOST);
    node.host_function = function;
    node.host_user_data = user_data;
  }
  flagos_plugin_graph_t* instantiate() {
    const std::vector<flagos_plugin_graph_node_t> flat(nodes_.begin(), nodes_.end());
    flagos_plugin_graph_t* graph = nullptr;
    REQUIRE(device_.api.graph->instantiate(device_.get(), flat.data(), count(), &graph) ==
            FLAGOS_STATUS_OK);
    return graph;
  }
  flagos_status_t update(flagos_plugin_graph_t* graph) {
    const std::vector<flagos_plugin_graph_node_t> flat(nodes_.begin(), nodes_.end());
    return device_.api.graph->update(graph, flat.data(), count());
  }

 private:
  std::uint32_t count() const { return static_cast<std::uint32_t>(nodes_.size()); }
  TestDevice& device_;
  std::deque<flagos_plugin_graph_node_t> nodes_;
  std::deque<std::uint32_t> dependencies_;
  std::deque<flagos_launch_desc_t> launches_;
  std::deque<std::vector<std::byte>> arguments_;
};

void count_call(void* user_data, flagos_status_t status) {
  auto* counts = static_cast<std::atomic<int>*>(user_data);
  ++counts[status == FLAGOS_STATUS_OK ? 0 : 1];
}

TEST_CASE("graph: all nodes run in order, once per launch") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t log = device.alloc(2000 * 8);
  const std::uint64_t copy = device.alloc(4096);
  std::atomic<int> calls[2] = {};
  flagos_plugin_graph_t* graph = nullptr;
  {
    GraphBuilder builder(device);
    builder.kernel("test_append", Append{log, 1});
    builder.host(count_call, calls);
    builder.host(count_call, calls);
    builder.kernel("test_append", Append{log, 2});
    flagos_plugin_graph_node_t& fill = builder.add(FLAGOS_GRAPH_NODE_TYPE_FILL);
    fill.fill_target = copy;
    fill.fill_size_bytes = 4096;
    fill.fill_pattern_size_bytes = 2;
    fill.fill_pattern[0] = 0x12;
    fill.fill_pattern[1] = 0x34;
    flagos_plugin_graph_node_t& moved = builder.add(FLAGOS_GRAPH_NODE_TYPE_COPY);
    moved.copy.struct_size = sizeof(moved.copy);
    moved.copy.target = copy;
    moved.copy.source = log;
    moved.copy.width_bytes = 8;
    moved.copy.height = 1;
    graph = builder.instantiate();
  }  // everything was copied
  for (int i = 0; i < 100; ++i)
    REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == 200);
  for (int i = 1; i <= 200; ++i) REQUIRE(values[i] == (i % 2 == 1 ? 1u : 2u));
  CHECK(calls[0] == 200);
  const auto* copied = reinterpret_cast<const std::uint64_t*>(copy);
  CHECK(copied[0] == 200);
  CHECK(copied[1] == 0x3412341234123412u);
  device.api.graph->destroy(graph);
}

TEST_CASE("graph: runs of one graph never overlap, on whatever streams") {
  TestDevice device;
  constexpr std::uint64_t stream_count = 8;
  constexpr std::uint64_t runs = 25;
  const std::uint64_t log = device.alloc((stream_count * runs * 4 + 1) * 8);
  std::atomic<int> calls[2] = {};
  GraphBuilder builder(device);
  builder.kernel("test_append", Append{log, 1});
  builder.kernel("test_append", Append{log, 2});
  builder.host(count_call, calls);  // gives the thread away in the middle of a run
  builder.kernel("test_append", Append{log, 3});
  flagos_plugin_graph_t* graph = builder.instantiate();
  std::vector<flagos_plugin_stream_t*> streams;
  for (std::uint64_t i = 0; i < stream_count; ++i) streams.push_back(device.stream());
  for (std::uint64_t i = 0; i < runs; ++i) {
    for (flagos_plugin_stream_t* stream : streams)
      REQUIRE(device.api.graph->launch(graph, stream) == 0);
  }
  REQUIRE(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == stream_count * runs * 3);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < values[0]; ++i) wrong += values[i + 1] != i % 3 + 1;
  CHECK(wrong == 0);
  device.api.graph->destroy(graph);
}

TEST_CASE("graph: an update concerns later launches only") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t log = device.alloc(64);
  std::atomic<std::uint32_t> flag{0};
  GraphBuilder old_builder(device);
  old_builder.kernel("test_append", Append{log, 1});
  GraphBuilder new_builder(device);
  new_builder.kernel("test_append", Append{log, 2});
  flagos_plugin_graph_t* graph = old_builder.instantiate();
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  REQUIRE(new_builder.update(graph) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  flag = 1;
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  CHECK(values[0] == 2);
  CHECK(values[1] == 1);
  CHECK(values[2] == 2);
  device.api.graph->destroy(graph);
}

TEST_CASE("graph: event nodes are bound when the graph is launched") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_stream_t* other = device.stream();
  flagos_plugin_event_t* outside = device.event();
  flagos_plugin_event_t* inside = device.event();
  const std::uint64_t log = device.alloc(64);
  std::atomic<std::uint32_t> flag{0};
  GraphBuilder builder(device);
  builder.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT, outside);
  builder.kernel("test_append", Append{log, 1});
  builder.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD, inside);
  builder.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT, inside);
  builder.kernel("test_append", Append{log, 2});
  flagos_plugin_graph_t* graph = builder.instantiate();
  REQUIRE(device.launch(other, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(outside, other) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(inside, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 0);
  flag = 1;
  CHECK(device.api.event->synchronize(inside, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 2);
  device.api.graph->destroy(graph);
}

TEST_CASE("graph: a failing node skips what follows and poisons the stream, not the graph") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_event_t* event = device.event();
  const std::uint64_t log = device.alloc(64);
  std::atomic<int> calls[2] = {};
  GraphBuilder builder(device);
  builder.kernel("test_fail", Fail{0, FLAGOS_STATUS_EXECUTION_FAILED});
  builder.kernel("test_append", Append{log, 1});
  builder.host(count_call, calls);
  builder.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD, event);
  flagos_plugin_graph_t* graph = builder.instantiate();
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.event->synchronize(event, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(calls[1] == 1);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 0);
  REQUIRE(device.api.stream->reset(stream) == FLAGOS_STATUS_OK);
  GraphBuilder healthy(device);
  healthy.kernel("test_append", Append{log, 3});
  REQUIRE(healthy.update(graph) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 1);
  device.api.graph->destroy(graph);
}

TEST_CASE("graph: empty, and with 10,000 nodes") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_graph_t* graph = GraphBuilder(device).instantiate();
  CHECK(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  device.api.graph->destroy(graph);
  constexpr std::uint64_t count = 10'000;
  const std::uint64_t log = device.alloc((count + 1) * 8);
  GraphBuilder builder(device);
  for (std::uint64_t i = 0; i < count; ++i) builder.kernel("test_append", Append{log, i});
  graph = builder.instantiate();
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  device.api.graph->destroy(graph);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == count);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < count; ++i) wrong += values[i + 1] != i;
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace flagos::cpu::test
