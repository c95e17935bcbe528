// The exported functions of graphs and their executables.
#include <algorithm>
#include <cstring>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph.hpp"
#include "core/graph_exec.hpp"
#include "core/module.hpp"
#include "core/timeline.hpp"

using namespace flagos;
using namespace flagos::core;

namespace {

Graph& resolve_graph(flagos_graph_t* graph) { return resolve<Graph>(graph, "graph"); }

const flagos_graph_node_desc_t& check_node_desc(const flagos_graph_node_desc_t* desc) {
  return check_desc(desc, "flagos_graph_node_desc_t");
}

}  // namespace

flagos_status_t flagos_graph_create(flagos_device_t* device, flagos_graph_t** out_graph) {
  clear_out(out_graph);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_graph, "out_graph");
    object.throw_if_lost();
    *out_graph = publish<flagos_graph_t>(Ref<Graph>::adopt(new Graph(object)));
  });
}

flagos_status_t flagos_graph_destroy(flagos_graph_t* graph) {
  if (graph == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve_graph(graph)); });
}

flagos_status_t flagos_graph_clone(flagos_graph_t* graph, flagos_graph_t** out_graph) {
  clear_out(out_graph);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    require(out_graph, "out_graph");
    *out_graph =
        publish<flagos_graph_t>(Ref<Graph>::adopt(new Graph(object.device(), next_graph_number(), object.snapshot())));
  });
}

flagos_status_t flagos_graph_add_node(flagos_graph_t* graph, const flagos_graph_node_desc_t* desc,
                                      flagos_graph_node_t* out_node) {
  clear_out(out_node);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    const flagos_graph_node_desc_t& checked_desc = check_node_desc(desc);
    require(out_node, "out_node");
    *out_node = object.add_node(checked_desc);
  });
}

flagos_status_t flagos_graph_add_dependency(flagos_graph_t* graph, flagos_graph_node_t from, flagos_graph_node_t to) {
  return entry(__func__, [&] { resolve_graph(graph).add_dependency(from, to); });
}

flagos_status_t flagos_graph_get_info(flagos_graph_t* graph, flagos_graph_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "flagos_graph_info_t");
    Graph& object = resolve_graph(graph);
    flagos_graph_info_t info{};
    object.read([&](const GraphBody& body) {
      info.node_count = body.nodes.size();
      info.edge_count = body.edge_count;
    });
    finish_out(out_info, info);
  });
}

flagos_status_t flagos_graph_get_nodes(flagos_graph_t* graph, uint64_t capacity, flagos_graph_node_t* out_nodes,
                                       uint64_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    require(out_count, "out_count");
    std::vector<flagos_graph_node_t> nodes;
    object.read([&](const GraphBody& body) {
      for (const GraphNode& node : body.nodes) nodes.push_back(node.id);
    });
    give_out(nodes.data(), nodes.size(), capacity, out_nodes, out_count, "out_nodes");
  });
}

flagos_status_t flagos_graph_get_node_info(flagos_graph_t* graph, flagos_graph_node_t node,
                                           flagos_graph_node_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "flagos_graph_node_info_t");
    Graph& object = resolve_graph(graph);
    flagos_graph_node_info_t info{};
    object.read([&](const GraphBody& body) {
      const GraphNode& found = body.nodes[body.index_of(node)];
      info.type = found.type;
      info.dependency_count = found.dependencies.size();
    });
    finish_out(out_info, info);
  });
}

flagos_status_t flagos_graph_get_dependencies(flagos_graph_t* graph, flagos_graph_node_t node, uint64_t capacity,
                                              flagos_graph_node_t* out_nodes, uint64_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    require(out_count, "out_count");
    std::vector<flagos_graph_node_t> nodes;
    object.read([&](const GraphBody& body) {
      for (const std::uint32_t index : body.nodes[body.index_of(node)].dependencies)
        nodes.push_back(body.nodes[index].id);
    });
    give_out(nodes.data(), nodes.size(), capacity, out_nodes, out_count, "out_nodes");
  });
}

flagos_status_t flagos_graph_dump(flagos_graph_t* graph, uint64_t capacity_bytes, char* text,
                                  uint64_t* out_size_bytes) {
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    const std::string dump = object.dump();
    give_out(dump.c_str(), dump.size() + 1, capacity_bytes, text, out_size_bytes, "text");
  });
}

flagos_status_t flagos_graph_instantiate(flagos_graph_t* graph, flagos_graph_exec_t** out_exec) {
  clear_out(out_exec);
  return entry(__func__, [&] {
    Graph& object = resolve_graph(graph);
    require(out_exec, "out_exec");
    object.device().throw_if_lost();
    *out_exec = publish<flagos_graph_exec_t>(Ref<GraphExec>::adopt(new GraphExec(object.device(), object.snapshot())));
  });
}

flagos_status_t flagos_graph_exec_destroy(flagos_graph_exec_t* exec) {
  if (exec == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<GraphExec>(exec, "exec")); });
}

flagos_status_t flagos_graph_exec_launch(flagos_graph_exec_t* exec, flagos_stream_t* stream) {
  return entry(__func__, [&] {
    GraphExec& object = resolve<GraphExec>(exec, "exec");
    Stream& target = resolve<Stream>(stream, "stream");
    check_same_device(target.device(), object.device(), "the graph executable");
    return object.launch(target);
  });
}

flagos_status_t flagos_graph_exec_update(flagos_graph_exec_t* exec, flagos_graph_t* graph) {
  return entry(__func__, [&] {
    GraphExec& object = resolve<GraphExec>(exec, "exec");
    Graph& source = resolve_graph(graph);
    check_same_device(object.device(), source.device(), "the graph");
    object.device().throw_if_lost();
    object.update(source.snapshot());
  });
}

flagos_status_t flagos_graph_exec_set_node(flagos_graph_exec_t* exec, flagos_graph_node_t node,
                                           const flagos_graph_node_desc_t* desc) {
  return entry(__func__, [&] {
    GraphExec& object = resolve<GraphExec>(exec, "exec");
    const flagos_graph_node_desc_t& checked_desc = check_node_desc(desc);
    object.device().throw_if_lost();
    object.set_node(node, checked_desc);
  });
}
