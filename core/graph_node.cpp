// Nodes from their descs, with the checks of the stream functions that they stand for.
#include <algorithm>
#include <cstring>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph.hpp"
#include "core/graph_exec.hpp"
#include "core/memory.hpp"
#include "core/module.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

namespace {

template <typename T>
const T& payload_of(const flagos_graph_node_desc_t& desc, const char* type) {
  if (desc.payload == nullptr) throw_null("flagos_graph_node_desc_t.payload");
  return check_desc(static_cast<const T*>(desc.payload), type);
}

Command make_kernel(Device& device, const flagos_kernel_node_desc_t& payload) {
  check_flags(payload.flags, 0, "flagos_kernel_node_desc_t.flags");
  Kernel& kernel = resolve<Kernel>(payload.kernel, "flagos_kernel_node_desc_t.kernel");
  check_same_device(device, kernel.device(), "the kernel");
  return make_launch(kernel, require(payload.launch, "flagos_kernel_node_desc_t.launch"));
}

Command make_copy(Device& device, const flagos_copy_node_desc_t& payload) {
  check_flags(payload.flags, 0, "flagos_copy_node_desc_t.flags");
  if (payload.size_bytes != 0) {
    device.check_range(payload.target, payload.size_bytes, "the target of the copy", FLAGOS_MEMORY_ACCESS_READ_WRITE);
    device.check_range(payload.source, payload.size_bytes, "the source of the copy");
  }
  return CopyCommand{payload.target, payload.source, payload.size_bytes};
}

Command make_copy_2d(Device& device, const flagos_copy_2d_desc_t& payload) {
  check_copy_2d(device, payload);
  Copy2dCommand command{payload};
  command.desc.struct_size = sizeof(command.desc);
  command.desc.next = nullptr;
  return command;
}

Command make_fill(Device& device, const flagos_fill_node_desc_t& payload) {
  check_fill(device, payload.target, payload.pattern_size_bytes, payload.size_bytes);
  FillCommand command{payload.target, {}, payload.pattern_size_bytes, payload.size_bytes};
  std::memcpy(command.pattern.data(), payload.pattern, payload.pattern_size_bytes);
  return command;
}

Command make_host(const flagos_host_node_desc_t& payload) {
  check_flags(payload.flags, 0, "flagos_host_node_desc_t.flags");
  if (payload.function == nullptr) throw_null("flagos_host_node_desc_t.function");
  return HostCommand{payload.function, payload.user_data};
}

Event& event_of(const flagos_event_node_desc_t& payload) {
  check_flags(payload.flags, 0, "flagos_event_node_desc_t.flags");
  return resolve<Event>(payload.event, "flagos_event_node_desc_t.event");
}

Command make_record(Device& device, const flagos_event_node_desc_t& payload) {
  Event& event = event_of(payload);
  check_same_device(device, event.device(), "the event");
  return RecordCommand{Ref<Event>(&event), nullptr};
}

Command make_wait(const flagos_event_node_desc_t& payload) {
  return WaitEventCommand{Ref<Event>(&event_of(payload)), nullptr};
}

GraphNode make_child(Device& device, const flagos_child_node_desc_t& payload, const Graph* parent) {
  check_flags(payload.flags, 0, "flagos_child_node_desc_t.flags");
  Graph& graph = resolve<Graph>(payload.graph, "flagos_child_node_desc_t.graph");
  if (&graph == parent) throw_error(FLAGOS_STATUS_INVALID_GRAPH, "a graph cannot be its own child");
  check_same_device(device, graph.device(), "the child graph");
  return make_child_node(std::make_shared<const GraphBody>(graph.snapshot()));
}

Command make_command(Device& device, const flagos_graph_node_desc_t& desc) {
  switch (desc.type) {
    case FLAGOS_GRAPH_NODE_TYPE_KERNEL:
      return make_kernel(device, payload_of<flagos_kernel_node_desc_t>(desc, "flagos_kernel_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_COPY:
      return make_copy(device, payload_of<flagos_copy_node_desc_t>(desc, "flagos_copy_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_COPY_2D:
      return make_copy_2d(device, payload_of<flagos_copy_2d_desc_t>(desc, "flagos_copy_2d_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_FILL:
      return make_fill(device, payload_of<flagos_fill_node_desc_t>(desc, "flagos_fill_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_HOST:
      return make_host(payload_of<flagos_host_node_desc_t>(desc, "flagos_host_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD:
      return make_record(device, payload_of<flagos_event_node_desc_t>(desc, "flagos_event_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT:
      return make_wait(payload_of<flagos_event_node_desc_t>(desc, "flagos_event_node_desc_t"));
    case FLAGOS_GRAPH_NODE_TYPE_OPERATOR:
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a node of a native operator comes from a capture only");
    case FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE:
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a node of native collectives comes from a capture only");
    default:
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is not a FLAGOS_GRAPH_NODE_TYPE_*", desc.type);
  }
}

}  // namespace

const char* node_type_name(flagos_graph_node_type_t type) {
  static constexpr const char* names[] = {"empty",        "kernel",     "copy",  "copy_2d",  "fill",      "host",
                                          "event_record", "event_wait", "child", "operator", "collective"};
  return names[type];
}

GraphNode make_child_node(std::shared_ptr<const GraphBody> body) {
  if (body->levels >= GraphBody::most_levels)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "child graphs are nested more than {} levels deep",
                GraphBody::most_levels);
  GraphNode node;
  node.type = FLAGOS_GRAPH_NODE_TYPE_CHILD;
  node.child = std::move(body);
  return node;
}

GraphNode make_graph_node(Device& device, const flagos_graph_node_desc_t& desc, const Graph* parent) {
  GraphNode node;
  node.type = desc.type;
  if (desc.type == FLAGOS_GRAPH_NODE_TYPE_EMPTY) {
    if (desc.payload != nullptr) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "an empty node has no payload");
    return node;
  }
  if (desc.type == FLAGOS_GRAPH_NODE_TYPE_CHILD)
    return make_child(device, payload_of<flagos_child_node_desc_t>(desc, "flagos_child_node_desc_t"), parent);
  node.command = std::make_shared<const Command>(make_command(device, desc));
  return node;
}

}  // namespace flagos::core
