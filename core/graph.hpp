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
  std::shared_ptr<const Command> command;         // nullptr for EMPTY and CHILD
  std::shared_ptr<const GraphBody> child;         // of CHILD
  std::shared_ptr<const std::vector<std::byte>> bytes;  // that the command reads: a captured update
  std::vector<std::uint32_t> dependencies;        // indices in the body, in the order in which they were added
};

// The nodes of a graph, in the order in which they were added. A node's value is the number of the graph that it was
// added to, and its index; a clone keeps the values.
struct GraphBody {
  std::vector<GraphNode> nodes;
  std::uint64_t edge_count = 0;

  // The index of a node, or -1.
  std::int64_t find(flagos_graph_node_t node) const;
  // `node.dependencies` must be valid. Gives the node its value.
  flagos_graph_node_t add(std::uint32_t graph_number, GraphNode node);
  // Whether `to` can be reached from `from` along edges.
  bool reaches(std::uint32_t from, std::uint32_t to) const;
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
  GraphBody snapshot();
  std::string dump();

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

// A node's type, command and child from its desc, checked as the stream function would. Dependencies are not read.
GraphNode make_graph_node(Device& device, const flagos_graph_node_desc_t& desc);
const char* node_type_name(flagos_graph_node_type_t type);
std::string dump_graph(const GraphBody& body, std::uint32_t number);

}  // namespace flagos::core
