// What one launch of an executable graph runs.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <vector>

#include "core/graph.hpp"

namespace flagos::core {

// One node behind its dependencies. EMPTY and CHILD are resolved, and so is what has nothing to do.
struct FlatNode {
  flagos_graph_node_type_t type;
  std::shared_ptr<const Command> command;
  std::vector<std::uint32_t> dependencies;  // indices of earlier nodes
};

// A host function of a graph that the plugin runs; see issue.hpp.
struct HostCall {
  flagos_host_function_t function;
  void* user_data;
};

// The plugin's graph; whoever drops the last reference makes sure that no run of it is pending.
class NativeGraph {
 public:
  NativeGraph(Device& device, flagos_plugin_graph_t* native) : device_(device), native_(native) {}
  ~NativeGraph() { destroy(device_, native_); }
  NativeGraph(const NativeGraph&) = delete;
  NativeGraph& operator=(const NativeGraph&) = delete;
  flagos_plugin_graph_t* native() const { return native_; }
  static void destroy(Device& device, flagos_plugin_graph_t* native);

 private:
  Device& device_;  // its release queue, or an executable, holds this
  flagos_plugin_graph_t* native_;
};

// Never changes, so that a launch that is held back keeps its parameters.
struct Program {
  std::shared_ptr<const GraphBody> body;
  std::vector<FlatNode> nodes;
  std::vector<HostCall> host_calls;     // of the native graph
  std::shared_ptr<NativeGraph> native;  // nullptr: core replays the nodes
  bool has_host_functions = false;
  std::vector<std::uint32_t> waits;  // the nodes that wait for events
};

// In an order that respects the dependencies.
std::vector<FlatNode> flatten(const GraphBody& body);

// `previous` may be nullptr; its native graph is taken over if the plugin can update it and `reusable` says that no
// launch which is held back still needs it as it is.
std::shared_ptr<const Program> make_program(Device& device, std::shared_ptr<const GraphBody> body,
                                            const Program* previous, bool reusable);

// Whether replays have to be marked as one launch.
bool is_profiled(const Device& device);

// Issues the nodes one by one, in order, on `stream`, whose mode is ordinary. The first failure ends it.
flagos_status_t replay(Stream& stream, const Program& program);

}  // namespace flagos::core
