// A graph as it is built: nodes with their commands and dependencies.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/command.hpp"
#include "core/device.hpp"

namespace flagos::core {

struct GraphBody;

struct GraphNode {
  flagos_graph_node_t id = 0;
  flagos_graph_node_type_t type = FLAGOS_GRAPH_NODE_TYPE_EMPTY;
  std::shared_ptr<const Command> command;               // nullptr for EMPTY and CHILD
  std::shared_ptr<const GraphBody> child;               // of CHILD
  std::shared_ptr<const std::vector<std::byte>> bytes;  // that the command reads: a captured update
  std::vector<std::uint32_t> dependencies;              // indices in the body, in the order in which they were added
};

// The nodes of a graph, in the order in which they were added. A node's value is the number of the graph that it was
// added to, and its index; a clone keeps the values.
struct GraphBody {
  static constexpr std::uint32_t most_levels = 64;                     // of nesting
  static constexpr std::uint64_t most_nodes = std::uint64_t{1} << 24;  // with those of all children

  std::vector<GraphNode> nodes;
  std::uint64_t edge_count = 0;
  std::uint64_t total_nodes = 0;  // with those of all children
  std::uint32_t levels = 1;
  bool in_order = true;  // every dependency was added before its node

  // The index of a node, or -1.
  std::int64_t find(flagos_graph_node_t node) const;
  // Throws INVALID_GRAPH when it is not a node of this graph.
  std::uint32_t index_of(flagos_graph_node_t node) const;
  // `node.dependencies` must be valid and without duplicates. Gives the node its value.
  flagos_graph_node_t add(std::uint32_t graph_number, GraphNode node);
  // Whether `node` runs, by whatever way, behind `other`.
  bool runs_behind(std::uint32_t node, std::uint32_t other) const;
};

// Numbers are never used again in the process.
std::uint32_t next_graph_number();

class Graph : public Child {
 public:
  static constexpr Tag tag_of = Tag::graph;

  explicit Graph(Device& device) : Graph(device, next_graph_number(), {}) {}
  Graph(Device& device, std::uint32_t number, GraphBody body)
      : Child(Tag::graph, device), number_(number), body_(std::move(body)) {}

  flagos_graph_node_t add_node(const flagos_graph_node_desc_t& desc);
  void add_dependency(flagos_graph_node_t from, flagos_graph_node_t to);
  std::string dump();
  GraphBody snapshot() {
    std::lock_guard lock(mutex_);
    return body_;
  }

  // Calls `function(const GraphBody&)` under the lock.
  template <typename Function>
  auto read(Function&& function) {
    std::lock_guard lock(mutex_);
    return function(static_cast<const GraphBody&>(body_));
  }

 private:
  const std::uint32_t number_;
  std::mutex mutex_;
  GraphBody body_;
};

// A node's type, command and child from its desc, checked as the stream function would; see graph_node.cpp.
// Dependencies are not read. `parent` is the graph that the node goes to, nullptr for an executable.
GraphNode make_graph_node(Device& device, const flagos_graph_node_desc_t& desc, const Graph* parent);
const char* node_type_name(flagos_graph_node_type_t type);
// A child node; throws when it would be nested too deep.
GraphNode make_child_node(std::shared_ptr<const GraphBody> body);

}  // namespace flagos::core
