// Builds graphs for core's unit tests.
#pragma once

#include <flagos.h>

#include <vector>

#include <doctest/doctest.h>

#include "core/test_plugin.hpp"

namespace flagos::core::test {

class GraphMaker {
 public:
  using Nodes = std::vector<flagos_graph_node_t>;

  explicit GraphMaker(Fake& f) : f_(f) { REQUIRE(flagos_graph_create(f.device(), &graph_) == FLAGOS_STATUS_OK); }
  ~GraphMaker() { CHECK(flagos_graph_destroy(graph_) == FLAGOS_STATUS_OK); }
  GraphMaker(const GraphMaker&) = delete;
  GraphMaker& operator=(const GraphMaker&) = delete;

  flagos_graph_t* graph() const { return graph_; }

  flagos_graph_node_t add(flagos_graph_node_type_t type, const void* payload, const Nodes& dependencies) {
    flagos_graph_node_t node = 0;
    REQUIRE(try_add(type, payload, dependencies, node) == FLAGOS_STATUS_OK);
    return node;
  }
  flagos_graph_node_t empty(const Nodes& dependencies = {}) {
    return add(FLAGOS_GRAPH_NODE_TYPE_EMPTY, nullptr, dependencies);
  }
  // The kernel "append".
  flagos_graph_node_t append(std::uint32_t value, const Nodes& dependencies = {}) {
    const flagos_launch_desc_t launch = append_launch(value);
    const flagos_kernel_node_desc_t payload = kernel_node(launch);
    return add(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &payload, dependencies);
  }
  flagos_graph_node_t host(flagos_host_function_t function, void* user_data, const Nodes& dependencies = {}) {
    flagos_host_node_desc_t payload{};
    payload.struct_size = sizeof(payload);
    payload.function = function;
    payload.user_data = user_data;
    return add(FLAGOS_GRAPH_NODE_TYPE_HOST, &payload, dependencies);
  }
  flagos_graph_node_t event(flagos_graph_node_type_t type, flagos_event_t* event, const Nodes& dependencies = {}) {
    flagos_event_node_desc_t payload{};
    payload.struct_size = sizeof(payload);
    payload.event = event;
    return add(type, &payload, dependencies);
  }
  flagos_status_t try_child(flagos_graph_t* graph, const Nodes& dependencies = {}) {
    flagos_child_node_desc_t payload{};
    payload.struct_size = sizeof(payload);
    payload.graph = graph;
    flagos_graph_node_t node = 0;
    return try_add(FLAGOS_GRAPH_NODE_TYPE_CHILD, &payload, dependencies, node);
  }
  flagos_graph_exec_t* instantiate() {
    flagos_graph_exec_t* exec = nullptr;
    REQUIRE(flagos_graph_instantiate(graph_, &exec) == FLAGOS_STATUS_OK);
    return exec;
  }
  // Changes a node "append" of an executable.
  flagos_status_t set(flagos_graph_exec_t* exec, flagos_graph_node_t node, std::uint32_t value) {
    const flagos_launch_desc_t launch = append_launch(value);
    const flagos_kernel_node_desc_t payload = kernel_node(launch);
    flagos_graph_node_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
    desc.payload = &payload;
    return flagos_graph_exec_set_node(exec, node, &desc);
  }

 private:
  flagos_status_t try_add(flagos_graph_node_type_t type, const void* payload, const Nodes& dependencies,
                          flagos_graph_node_t& node) {
    flagos_graph_node_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.type = type;
    desc.payload = payload;
    desc.dependencies = dependencies.data();
    desc.dependency_count = dependencies.size();
    return flagos_graph_add_node(graph_, &desc, &node);
  }
  flagos_launch_desc_t append_launch(std::uint32_t value) {
    value_ = value;
    flagos_launch_desc_t launch{};
    launch.struct_size = sizeof(launch);
    for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
    launch.argument_block = &value_;
    launch.argument_bytes = sizeof(value_);
    return launch;
  }
  flagos_kernel_node_desc_t kernel_node(const flagos_launch_desc_t& launch) {
    flagos_kernel_node_desc_t payload{};
    payload.struct_size = sizeof(payload);
    payload.kernel = f_.kernel("append");
    payload.launch = &launch;
    return payload;
  }

  Fake& f_;
  flagos_graph_t* graph_ = nullptr;
  std::uint32_t value_ = 0;
};

}  // namespace flagos::core::test
