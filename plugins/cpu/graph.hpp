// A graph made ready to run: a flat program that one worker runs from front to back, so a replay
// costs one command and then a function call per node.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/cpu/kernel.hpp"
#include "plugins/cpu/parking.hpp"

namespace flagos::cpu {

class Device;
class Event;
class Stream;
struct GraphCommand;

// What a node does that is no kernel.
struct GraphDetail {
  flagos_copy_2d_desc_t copy{};
  flagos_address_t fill_target = 0;
  std::uint64_t fill_bytes = 0;
  std::byte fill_pattern[16]{};
  std::uint32_t fill_pattern_bytes = 0;
  flagos_host_function_t host_function = nullptr;
  void* host_user_data = nullptr;
  Event* event = nullptr;
};

// One node, copied from core's. A cache line each: a run of many small kernels is bound by reading
// them.
struct alignas(64) GraphNode {
  flagos_graph_node_type_t type;
  LaunchShape shape{};
  const Kernel* kernel = nullptr;
  const std::byte* arguments = nullptr;  // in the program
  const GraphDetail* detail = nullptr;   // in the program; NULL for kernels

  Event* event() const noexcept { return detail != nullptr ? detail->event : nullptr; }
  flagos_record_kind_t record_kind() const noexcept;
  const char* name() const noexcept;
  std::uint64_t bytes() const noexcept;
};

// Never changes once made: launches that are queued keep the one they were launched with.
class Program {
 public:
  explicit Program(const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count);

  const std::vector<GraphNode>& nodes() const noexcept { return nodes_; }
  bool has_events() const noexcept { return has_events_; }

 private:
  struct AlignedDelete {
    void operator()(std::byte* memory) const noexcept;
  };
  std::vector<GraphNode> nodes_;
  std::deque<GraphDetail> details_;
  std::unique_ptr<std::byte, AlignedDelete> arguments_;
  bool has_events_ = false;
};
using ProgramRef = std::shared_ptr<const Program>;

class Graph {
 public:
  Graph(Device& device, ProgramRef program) : device_(device), program_(std::move(program)) {}

  const Host& host() const noexcept;
  void update(ProgramRef program);
  void launch(Stream& stream);

  // Runs of one graph never overlap. With the lot's mutex held: takes the graph, or parks the
  // stream until it is given the graph by the run before.
  bool acquire(Stream& stream) noexcept;
  void release() noexcept;  // takes the mutex itself

 private:
  Device& device_;
  std::mutex mutex_;
  ProgramRef program_;
  bool is_running_ = false;  // guarded by the lot's mutex, as is the list
  ParkList parked_;
};

flagos_status_t graph_instantiate(flagos_plugin_device_t* device,
                                  const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count,
                                  flagos_plugin_graph_t** out_graph) noexcept;
flagos_status_t graph_update(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes,
                             std::uint32_t node_count) noexcept;
flagos_status_t graph_launch(flagos_plugin_graph_t* graph, flagos_plugin_stream_t* stream) noexcept;
void graph_destroy(flagos_plugin_graph_t* graph) noexcept;

}  // namespace flagos::cpu
