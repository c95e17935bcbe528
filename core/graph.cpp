// Building graphs: nodes, edges without cycles, and their text.
#include "core/graph.hpp"

#include <algorithm>
#include <atomic>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph_exec.hpp"
#include "core/module.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

std::uint32_t next_graph_number() {
  static std::atomic<std::uint32_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::int64_t GraphBody::find(flagos_graph_node_t node) const {
  const std::uint64_t index = (node & 0xffffffffu) - 1;
  return index < nodes.size() && nodes[index].id == node ? static_cast<std::int64_t>(index) : -1;
}

std::uint32_t GraphBody::index_of(flagos_graph_node_t node) const {
  const std::int64_t index = find(node);
  if (index < 0) throw_error(FLAGOS_STATUS_INVALID_GRAPH, "{:#x} is not a node of this graph", node);
  return static_cast<std::uint32_t>(index);
}

flagos_graph_node_t GraphBody::add(std::uint32_t graph_number, GraphNode node) {
  const std::uint64_t inside = node.child != nullptr ? node.child->total_nodes + 1 : 1;
  if (total_nodes + inside > most_nodes)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "a graph of more than {} nodes, with those of its children",
                most_nodes);
  node.id = (std::uint64_t{graph_number} << 32) | (nodes.size() + 1);
  const std::uint64_t edges = node.dependencies.size();
  const std::uint32_t below = node.child != nullptr ? node.child->levels + 1 : 1;
  nodes.push_back(std::move(node));
  edge_count += edges;
  total_nodes += inside;
  levels = std::max(levels, below);
  return nodes.back().id;
}

bool GraphBody::runs_behind(std::uint32_t node, std::uint32_t other) const {
  std::vector<bool> seen(nodes.size());
  std::vector<std::uint32_t> open = {node};
  while (!open.empty()) {
    const std::uint32_t next = open.back();
    open.pop_back();
    for (const std::uint32_t dependency : nodes[next].dependencies) {
      if (dependency == other) return true;
      if (seen[dependency]) continue;
      seen[dependency] = true;
      open.push_back(dependency);
    }
  }
  return false;
}

flagos_graph_node_t Graph::add_node(const flagos_graph_node_desc_t& desc) {
  if (desc.dependency_count != 0) require(desc.dependencies, "flagos_graph_node_desc_t.dependencies");
  GraphNode node = make_graph_node(device(), desc, this);
  std::lock_guard lock(mutex_);
  if (desc.dependency_count > body_.nodes.size() * 64 + 64)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} dependencies in a graph of {} nodes", desc.dependency_count,
                body_.nodes.size());
  std::vector<bool> seen(body_.nodes.size());
  for (std::uint64_t i = 0; i < desc.dependency_count; ++i) {
    const std::uint32_t index = body_.index_of(desc.dependencies[i]);
    if (seen[index]) continue;
    seen[index] = true;
    node.dependencies.push_back(index);
  }
  return body_.add(number_, std::move(node));
}

void Graph::add_dependency(flagos_graph_node_t from, flagos_graph_node_t to) {
  std::lock_guard lock(mutex_);
  const std::uint32_t first = body_.index_of(from);
  const std::uint32_t second = body_.index_of(to);
  auto& dependencies = body_.nodes[second].dependencies;
  if (first == second) throw_error(FLAGOS_STATUS_INVALID_GRAPH, "node {:#x} cannot run behind itself", from);
  if (std::find(dependencies.begin(), dependencies.end(), first) != dependencies.end()) return;
  // While all edges lead from earlier nodes to later ones, one more of them closes no cycle.
  if ((first > second || !body_.in_order) && body_.runs_behind(first, second))
    throw_error(FLAGOS_STATUS_INVALID_GRAPH, "node {:#x} runs behind {:#x} already: the edge would close a cycle", from,
                to);
  dependencies.push_back(first);
  ++body_.edge_count;
  if (first > second) body_.in_order = false;
}

namespace {

std::string label(const GraphNode& node) {
  std::string text = node_type_name(node.type);
  if (node.type == FLAGOS_GRAPH_NODE_TYPE_KERNEL)
    text += fmt::format(" {}", std::get<LaunchCommand>(*node.command).kernel->info().name);
  if (node.type == FLAGOS_GRAPH_NODE_TYPE_CHILD) text += fmt::format(" ({} nodes)", node.child->nodes.size());
  std::string quoted;
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted;
}

}  // namespace

std::string Graph::dump() {
  std::lock_guard lock(mutex_);
  std::string text = fmt::format("digraph flagos_graph_{} {{\n", number_);
  for (std::size_t i = 0; i < body_.nodes.size(); ++i)
    text += fmt::format("  n{} [label=\"{}: {}\"];\n", i + 1, i + 1, label(body_.nodes[i]));
  for (std::size_t i = 0; i < body_.nodes.size(); ++i) {
    for (const std::uint32_t dependency : body_.nodes[i].dependencies)
      text += fmt::format("  n{} -> n{};\n", dependency + 1, i + 1);
  }
  return text + "}\n";
}

}  // namespace flagos::core
