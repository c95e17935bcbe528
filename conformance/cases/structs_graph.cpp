// Rows of the struct description: graph nodes and their payloads.
#include <cstddef>

#include "conformance/cases/structs.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;

// Adds a node to a copy of the world's graph, which goes away at once.
flagos_status_t add_to_clone(World& world, const flagos_graph_node_desc_t* desc) {
  flagos_graph_t* graph = nullptr;
  flagos_graph_node_t node = 0;
  flagos_status_t status = flagos_graph_clone(world.graph(), &graph);
  if (status != FLAGOS_STATUS_OK) return status;
  status = flagos_graph_add_node(graph, desc, &node);
  flagos_graph_destroy(graph);
  return status;
}

template <class Payload>
Struct payload_row(const char* name, flagos_graph_node_type_t type) {
  Struct row = in_struct_row<Payload>(name);
  row.needs = FLAGOS_FEATURE_GRAPH;
  row.use = [type](World& world, void* payload) {
    auto desc = world.valid<flagos_graph_node_desc_t>();
    desc.type = type;
    desc.payload = payload;
    return add_to_clone(world, &desc);
  };
  return row;
}

template <class Payload>
Struct with_flags(Struct row) {
  row.flags = {{offsetof(Payload, flags), 4, 0}};
  return row;
}

Struct node_row(const char* name) {
  Struct row = in_struct_row<flagos_graph_node_desc_t>(name);
  row.next_offset = offsetof(flagos_graph_node_desc_t, next);
  row.needs = FLAGOS_FEATURE_GRAPH;
  return row;
}

Struct add_node_row() {
  Struct row = node_row("flagos_graph_node_desc_t in flagos_graph_add_node");
  row.enums = {{offsetof(flagos_graph_node_desc_t, type),
                {FLAGOS_GRAPH_NODE_TYPE_CHILD + 1, INT32_MAX, -1},
                {invalid_argument, unsupported}}};
  row.use = [](World& world, void* desc) {
    return add_to_clone(world, static_cast<flagos_graph_node_desc_t*>(desc));
  };
  return row;
}

Struct set_node_row() {
  Struct row = node_row("flagos_graph_node_desc_t in flagos_graph_exec_set_node");
  row.use = [](World& world, void* desc) {
    return flagos_graph_exec_set_node(world.graph_exec(), world.node(),
                                      static_cast<flagos_graph_node_desc_t*>(desc));
  };
  return row;
}

}  // namespace

void describe_graph_structs(std::vector<Struct>& structs) {
  structs.push_back(add_node_row());
  structs.push_back(set_node_row());
  structs.push_back(with_flags<flagos_kernel_node_desc_t>(payload_row<flagos_kernel_node_desc_t>(
      "flagos_kernel_node_desc_t", FLAGOS_GRAPH_NODE_TYPE_KERNEL)));
  structs.push_back(with_flags<flagos_copy_node_desc_t>(payload_row<flagos_copy_node_desc_t>(
      "flagos_copy_node_desc_t", FLAGOS_GRAPH_NODE_TYPE_COPY)));
  structs.push_back(with_flags<flagos_copy_2d_desc_t>(payload_row<flagos_copy_2d_desc_t>(
      "flagos_copy_2d_desc_t in a graph", FLAGOS_GRAPH_NODE_TYPE_COPY_2D)));
  structs.push_back(
      payload_row<flagos_fill_node_desc_t>("flagos_fill_node_desc_t", FLAGOS_GRAPH_NODE_TYPE_FILL));
  structs.push_back(with_flags<flagos_host_node_desc_t>(payload_row<flagos_host_node_desc_t>(
      "flagos_host_node_desc_t", FLAGOS_GRAPH_NODE_TYPE_HOST)));
  structs.push_back(with_flags<flagos_event_node_desc_t>(payload_row<flagos_event_node_desc_t>(
      "flagos_event_node_desc_t, record", FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD)));
  structs.push_back(with_flags<flagos_event_node_desc_t>(payload_row<flagos_event_node_desc_t>(
      "flagos_event_node_desc_t, wait", FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT)));
  structs.push_back(with_flags<flagos_child_node_desc_t>(payload_row<flagos_child_node_desc_t>(
      "flagos_child_node_desc_t", FLAGOS_GRAPH_NODE_TYPE_CHILD)));
}

}  // namespace flagos::conformance
