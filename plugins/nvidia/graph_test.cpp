#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

struct StepArguments {
  std::uint64_t data;
  std::uint32_t factor;
  std::uint32_t value;
};

// data = 3 in all words, then data[0] = data[0] * factor + value, then data goes to `copy`.
class Nodes {
 public:
  Nodes(TestDevice& device, std::uint64_t data, std::uint64_t copy, std::uint32_t factor,
        std::uint32_t value)
      : arguments_{data, factor, value}, launch_(launch_desc(&arguments_, sizeof(arguments_))) {
    nodes_.resize(3);
    nodes_[0].type = FLAGOS_GRAPH_NODE_TYPE_FILL;
    nodes_[0].fill_target = data;
    nodes_[0].fill_size_bytes = 64;
    nodes_[0].fill_pattern_size_bytes = 8;
    const std::uint32_t pattern[2] = {3, 3};
    std::memcpy(nodes_[0].fill_pattern, pattern, sizeof(pattern));
    nodes_[1].type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
    nodes_[1].kernel = device.kernel("test_step");
    nodes_[1].launch = &launch_;
    nodes_[2].type = FLAGOS_GRAPH_NODE_TYPE_COPY;
    nodes_[2].copy.source = data;
    nodes_[2].copy.target = copy;
    nodes_[2].copy.source_pitch_bytes = nodes_[2].copy.target_pitch_bytes =
        nodes_[2].copy.width_bytes = 64;
    nodes_[2].copy.height = 1;
    for (std::uint32_t i = 1; i < 3; ++i) {
      nodes_[i].dependencies = &before_[i - 1];
      nodes_[i].dependency_count = 1;
    }
  }
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;
  std::vector<flagos_plugin_graph_node_t>& get() { return nodes_; }

 private:
  const StepArguments arguments_;
  const flagos_launch_desc_t launch_;
  const std::uint32_t before_[2] = {0, 1};
  std::vector<flagos_plugin_graph_node_t> nodes_;
};

TEST_CASE(
    "graph: nodes run in their order, with what an update gave; launches before keep the old") {
  TestDevice device;
  const flagos_graph_table_t& graphs = *device.api.graph;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(64), copies[2] = {device.alloc(64), device.alloc(64)};
  Nodes first(device, data, copies[0], 5, 1), second(device, data, copies[1], 7, 2);
  flagos_plugin_graph_t* graph = nullptr;
  REQUIRE(graphs.instantiate(device.get(), first.get().data(), 3, &graph) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(graphs.update(graph, second.get().data(), 3) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, copies[0], 2) == std::vector<std::uint32_t>{16, 3});
  CHECK(device.read(stream, copies[1], 2) == std::vector<std::uint32_t>{23, 3});
  // Under a profiler every node is seen.
  device.host.take_records();
  REQUIRE(device.api.profiling->enable(device.get(), 1) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.profiling->enable(device.get(), 0) == FLAGOS_STATUS_OK);
  const std::vector<flagos_record_t> records = device.host.take_records();
  REQUIRE(records.size() == 3);
  CHECK(std::string(records[1].name) == "test_step");
  for (const flagos_record_t& record : records)
    CHECK(record.correlation_id == records[0].correlation_id);
  graphs.destroy(graph);
}

TEST_CASE(
    "graph: one that was launched behind held work runs with what it was launched with, and never "
    "twice at once") {
  TestDevice device;
  const flagos_graph_table_t& graphs = *device.api.graph;
  flagos_plugin_stream_t *stream = device.stream(), *other = device.stream();
  auto* const flag =
      reinterpret_cast<volatile std::uint32_t*>(device.alloc(4, FLAGOS_MEMORY_KIND_PINNED));
  const std::uint64_t data = device.alloc(64), copies[2] = {device.alloc(64), device.alloc(64)};
  Nodes first(device, data, copies[0], 5, 1), second(device, data, copies[1], 7, 2);
  flagos_plugin_graph_t* graph = nullptr;
  REQUIRE(graphs.instantiate(device.get(), first.get().data(), 3, &graph) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_wait_and_fail",
                        address_of(const_cast<const std::uint32_t*>(flag))) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(graphs.update(graph, second.get().data(), 3) == FLAGOS_STATUS_OK);
  *flag = 1;
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, other) == FLAGOS_STATUS_OK);
  CHECK(device.read(other, copies[1], 1)[0] == 23);
  CHECK(device.read(stream, copies[0], 1)[0] == 16);
  graphs.destroy(graph);
}

// Blocks that come together five times.
class Meeting {
 public:
  Meeting(TestDevice& device, std::uint64_t counters, std::uint32_t blocks, std::uint32_t flags)
      : arguments_{counters, blocks, 5},
        launch_(launch_desc(&arguments_, sizeof(arguments_), blocks, 32)) {
    launch_.flags = flags;
    node_.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
    node_.kernel = device.kernel("test_meet");
    node_.launch = &launch_;
  }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  const flagos_plugin_graph_node_t* get() const { return &node_; }

 private:
  const struct {
    std::uint64_t counters;
    std::uint32_t together, rounds;
  } arguments_;
  flagos_launch_desc_t launch_;
  flagos_plugin_graph_node_t node_{};
};

TEST_CASE("graph: a cooperative kernel is the driver's node, and one that becomes it") {
  TestDevice device;
  const flagos_graph_table_t& graphs = *device.api.graph;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t counters[] = {device.alloc(4), device.alloc(4)};
  const Meeting alone(device, counters[0], 1, 0);
  const Meeting many(device, counters[1], 12, FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  flagos_plugin_graph_t* graph = nullptr;
  REQUIRE(graphs.instantiate(device.get(), many.get(), 1, &graph) == FLAGOS_STATUS_OK);
  for (int i = 0; i < 2; ++i) CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, counters[1], 1)[0] == 2 * 12 * 5);
  CHECK(graphs.update(graph, alone.get(), 1) == FLAGOS_STATUS_OK);
  CHECK(graphs.launch(graph, stream) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, counters[0], 1)[0] == 5);
  // This fake has no clusters: core is to run them.
  const Meeting clusters(device, counters[0], 8, FLAGOS_LAUNCH_CLUSTER(8, 1, 1));
  CHECK(graphs.update(graph, clusters.get(), 1) == FLAGOS_STATUS_UNSUPPORTED);
  graphs.destroy(graph);
  CHECK(graphs.instantiate(device.get(), clusters.get(), 1, &graph) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("graph: what the driver's graphs do not have is left to core") {
  TestDevice device;
  const std::uint64_t data = device.alloc(64);
  std::vector<std::uint32_t> own(16);
  flagos_plugin_graph_t* graph = nullptr;
  Nodes pageable(device, data, address_of(own.data()), 1, 1);
  CHECK(device.api.graph->instantiate(device.get(), pageable.get().data(), 3, &graph) ==
        FLAGOS_STATUS_UNSUPPORTED);
  Nodes overlapping(device, data, data + 4, 1, 1);
  CHECK(device.api.graph->instantiate(device.get(), overlapping.get().data(), 3, &graph) ==
        FLAGOS_STATUS_UNSUPPORTED);
  Nodes host(device, data, data, 1, 1);
  host.get()[2].type = FLAGOS_GRAPH_NODE_TYPE_HOST;
  CHECK(device.api.graph->instantiate(device.get(), host.get().data(), 3, &graph) ==
        FLAGOS_STATUS_UNSUPPORTED);
}

}  // namespace
}  // namespace flagos::nvidia::test
