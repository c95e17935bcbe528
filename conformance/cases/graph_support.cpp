// Owners and node helpers of the cases on graphs.
#include "conformance/cases/graph_support.hpp"

#include <cstring>
#include <utility>

namespace flagos::conformance {

flagos_graph_node_desc_t node_desc(flagos_graph_node_type_t type, const void* payload,
                                   const Nodes& dependencies) {
  flagos_graph_node_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.type = type;
  desc.payload = payload;
  desc.dependencies = dependencies.empty() ? nullptr : dependencies.data();
  desc.dependency_count = dependencies.size();
  return desc;
}

KernelPayload::KernelPayload(flagos_kernel_t* kernel, Shape shape,
                             std::vector<flagos_argument_t> the_arguments)
    : arguments(std::move(the_arguments)),
      launch(launch_desc(shape.grid, shape.block, arguments)),
      node{} {
  node.struct_size = sizeof node;
  node.kernel = kernel;
  node.launch = &launch;
}

std::vector<flagos_argument_t> affine_arguments(const Words& words, std::uint32_t multiply,
                                                std::uint32_t add) {
  return {arg(words.at()), arg_u32(words.count()), arg_u32(multiply), arg_u32(add)};
}

flagos_copy_node_desc_t copy_payload(flagos_address_t target, flagos_address_t source,
                                     std::uint64_t size) {
  return {sizeof(flagos_copy_node_desc_t), 0, target, source, size};
}

flagos_fill_node_desc_t fill_payload(flagos_address_t target, std::uint32_t value,
                                     std::uint64_t size) {
  flagos_fill_node_desc_t payload{};
  payload.struct_size = sizeof payload;
  payload.pattern_size_bytes = 4;
  payload.target = target;
  payload.size_bytes = size;
  std::memcpy(payload.pattern, &value, 4);
  return payload;
}

Graph::Graph(Context& t) : t_(&t) {
  t.require(FLAGOS_FEATURE_GRAPH);
  t.ok(flagos_graph_create(t.device(), &graph_), "an empty graph");
}

void Graph::destroy() {
  t_->ok(flagos_graph_destroy(std::exchange(graph_, nullptr)), "a graph is destroyed");
}

flagos_status_t Graph::try_add(const flagos_graph_node_desc_t& desc,
                               flagos_graph_node_t* out_node) {
  flagos_graph_node_t node = 0x55;
  const flagos_status_t status = flagos_graph_add_node(graph_, &desc, &node);
  if (status != FLAGOS_STATUS_OK) t_->equal(node, 0, "the node of a failed add is 0");
  if (out_node != nullptr) *out_node = node;
  return status;
}

flagos_graph_node_t Graph::add(flagos_graph_node_type_t type, const void* payload,
                               const Nodes& dependencies) {
  flagos_graph_node_t node = 0;
  t_->ok(try_add(node_desc(type, payload, dependencies), &node),
         "a node of type " + std::to_string(type) + " is added");
  t_->check(node != 0, "a node is not 0");
  return node;
}

flagos_graph_node_t Graph::empty(const Nodes& dependencies) {
  return add(FLAGOS_GRAPH_NODE_TYPE_EMPTY, nullptr, dependencies);
}

flagos_graph_node_t Graph::kernel(flagos_kernel_t* kernel, Shape shape,
                                  const std::vector<flagos_argument_t>& arguments,
                                  const Nodes& dependencies) {
  const KernelPayload payload(kernel, shape, arguments);
  return add(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &payload.node, dependencies);
}

flagos_graph_node_t Graph::affine(const Words& words, std::uint32_t multiply, std::uint32_t addend,
                                  const Nodes& dependencies) {
  return kernel(t_->kernel("tl_affine"), shape_for(*t_, words.count()),
                affine_arguments(words, multiply, addend), dependencies);
}

flagos_graph_node_t Graph::mix(const Words& target, const Words& source, std::uint32_t multiply,
                               const Nodes& dependencies) {
  return kernel(t_->kernel("tl_mix"), shape_for(*t_, target.count()),
                {arg(target.at()), arg(source.at()), arg_u32(target.count()), arg_u32(multiply)},
                dependencies);
}

flagos_graph_node_t Graph::copy(flagos_address_t target, flagos_address_t source,
                                std::uint64_t size, const Nodes& dependencies) {
  const auto payload = copy_payload(target, source, size);
  return add(FLAGOS_GRAPH_NODE_TYPE_COPY, &payload, dependencies);
}

flagos_graph_node_t Graph::fill(flagos_address_t target, std::uint32_t value, std::uint64_t size,
                                const Nodes& dependencies) {
  const auto payload = fill_payload(target, value, size);
  return add(FLAGOS_GRAPH_NODE_TYPE_FILL, &payload, dependencies);
}

flagos_graph_node_t Graph::host(flagos_host_function_t function, void* data,
                                const Nodes& dependencies) {
  const flagos_host_node_desc_t payload{sizeof payload, 0, function, data};
  return add(FLAGOS_GRAPH_NODE_TYPE_HOST, &payload, dependencies);
}

flagos_graph_node_t Graph::event(bool record, flagos_event_t* event, const Nodes& dependencies) {
  const flagos_event_node_desc_t payload{sizeof payload, 0, event};
  return add(record ? FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD : FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT,
             &payload, dependencies);
}

flagos_graph_node_t Graph::child(flagos_graph_t* graph, const Nodes& dependencies) {
  const flagos_child_node_desc_t payload{sizeof payload, 0, graph};
  return add(FLAGOS_GRAPH_NODE_TYPE_CHILD, &payload, dependencies);
}

flagos_graph_node_t Graph::operation(const Operation& operation, const Memory& memory,
                                     const Nodes& dependencies) {
  const Words& target = memory[operation.target];
  const Words& source = memory[operation.source];
  switch (operation.kind) {
    case Operation::Kind::affine:
      return affine(target, operation.multiply, operation.add, dependencies);
    case Operation::Kind::mix:
      return mix(target, source, operation.multiply, dependencies);
    case Operation::Kind::copy:
      return copy(target.at(), source.at(), target.size_bytes(), dependencies);
    case Operation::Kind::fill:
      return fill(target.at(), operation.add, target.size_bytes(), dependencies);
  }
  return 0;
}

flagos_graph_info_t Graph::info() {
  flagos_graph_info_t info{};
  info.struct_size = sizeof info;
  t_->ok(flagos_graph_get_info(graph_, &info), "what a graph holds");
  return info;
}

Executable::Executable(Context& t, flagos_graph_t* graph) : t_(t) {
  t.ok(flagos_graph_instantiate(graph, &exec_), "a graph is instantiated");
}

void Executable::launch(flagos_stream_t* stream) {
  t_.ok(flagos_graph_exec_launch(exec_, stream), "a launch of an executable");
}

void Executable::destroy() {
  t_.ok(flagos_graph_exec_destroy(std::exchange(exec_, nullptr)), "an executable is destroyed");
}

void run_once(Context& t, flagos_graph_t* graph) {
  Stream stream(t);
  Executable exec(t, graph);
  exec.launch(stream);
  stream.synchronize();
}

void begin_capture(Context& t, flagos_stream_t* stream) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  t.ok(flagos_stream_begin_capture(stream), "a capture begins");
}

flagos_graph_t* end_capture(Context& t, flagos_stream_t* stream) {
  flagos_graph_t* graph = nullptr;
  t.ok(flagos_stream_end_capture(stream, &graph), "a capture ends");
  return graph;
}

}  // namespace flagos::conformance
