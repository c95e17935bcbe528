// A graph made ready to run: an executable of the driver's, and its nodes once more, for launches that the driver's cannot do:
// under a profiler, which wants to see every node, and behind work that is held back.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/kernel.hpp"

namespace flagos::nvidia {

// One node, copied from core's.
struct GraphNode {
  flagos_plugin_graph_node_t desc{};
  std::vector<std::uint32_t> dependencies;
  Kernel* kernel = nullptr;
  flagos_launch_desc_t launch{};
  std::vector<std::byte> block;
};
using GraphNodes = std::shared_ptr<const std::vector<GraphNode>>;

class Graph {
 public:
  // Throws UNSUPPORTED for what graphs of the driver do not have; then core runs the graph. In the device's context.
  Graph(Device& device, const flagos_plugin_graph_node_t* nodes, std::uint32_t count);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Device& device() const noexcept { return device_; }
  void update(const flagos_plugin_graph_node_t* nodes, std::uint32_t count);
  void launch(Stream& stream);

 private:
  GraphNodes copy_nodes(const flagos_plugin_graph_node_t* nodes, std::uint32_t count) const;
  CUgraph make(const std::vector<GraphNode>& nodes) const;
  CUgraphNode add(CUgraph graph, const GraphNode& node,
                  const std::vector<CUgraphNode>& before) const;
  void set_together(CUgraphNode node, std::uint32_t flags) const;
  CUgraphExec instantiate(CUgraph graph) const;
  void replay(Stream& stream, const GraphNodes& nodes);
  CUresult issue_node(Stream& stream, CUstream handle, const GraphNode& node) const;
  CUresult order(CUstream stream);

  Device& device_;
  const Driver& driver_;
  std::mutex mutex_;
  GraphNodes nodes_;
  CUgraphExec exec_ = nullptr;
  std::vector<CUgraphExec> former_;  // launches of them may be under way
  // Runs never overlap. The driver sees to it for one executable; else the next waits for the last one's stream.
  CUstream last_stream_ = nullptr;
  bool is_last_native_ = true;
  CUevent done_ = nullptr;
};

flagos_status_t graph_instantiate(flagos_plugin_device_t* device,
                                  const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count,
                                  flagos_plugin_graph_t** out_graph) noexcept;
flagos_status_t graph_update(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes,
                             std::uint32_t node_count) noexcept;
flagos_status_t graph_launch(flagos_plugin_graph_t* graph, flagos_plugin_stream_t* stream) noexcept;
void graph_destroy(flagos_plugin_graph_t* graph) noexcept;

}  // namespace flagos::nvidia
