// An executable graph: a flattened, immutable program, run by the plugin's graphs where it has them, else replayed.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <mutex>
#include <vector>

#include "core/event.hpp"
#include "core/graph.hpp"
#include "core/stream.hpp"

namespace flagos::core {

// One node behind its dependencies; EMPTY and CHILD are resolved.
struct FlatNode {
  flagos_graph_node_type_t type;
  flagos_graph_node_t id;  // of the node, or of the outermost CHILD that it came with
  std::shared_ptr<const Command> command;
  std::shared_ptr<const std::vector<std::byte>> bytes;
  std::vector<std::uint32_t> dependencies;  // indices of earlier nodes
};

// The plugin's graph; destroyed when the work submitted so far has passed.
class NativeGraph {
 public:
  NativeGraph(Device& device, flagos_plugin_graph_t* native) : device_(&device), native_(native) {}
  ~NativeGraph();
  NativeGraph(const NativeGraph&) = delete;
  NativeGraph& operator=(const NativeGraph&) = delete;
  flagos_plugin_graph_t* native() const { return native_; }

 private:
  Ref<Device> device_;
  flagos_plugin_graph_t* native_;
};

// What one launch runs; never changes, so that a launch that is held back keeps its parameters.
struct Program {
  std::shared_ptr<const GraphBody> body;
  std::vector<FlatNode> nodes;
  std::shared_ptr<NativeGraph> native;  // nullptr: core replays it
};

std::vector<FlatNode> flatten(const GraphBody& body);

class GraphExec : public Child {
 public:
  static constexpr Tag tag_of = Tag::graph_exec;

  GraphExec(Device& device, GraphBody body);
  void release() override;

  flagos_status_t launch(Stream& stream);
  // Throws GRAPH_MISMATCH that names the first difference.
  void update(const GraphBody& body);
  void set_node(flagos_graph_node_t node, const flagos_graph_node_desc_t& desc);
  // The source of the current parameters.
  std::shared_ptr<const GraphBody> body();

 private:
  std::shared_ptr<const Program> make_program(std::shared_ptr<const GraphBody> body, const Program* previous);
  flagos_status_t launch_direct(Stream& stream);
  flagos_status_t launch_held(Stream& stream);
  flagos_status_t wait_for_previous(Stream& stream);
  flagos_status_t record_done(Stream& stream);

  std::mutex mutex_;  // of what follows; also orders launches
  std::shared_ptr<const Program> program_;
  std::shared_ptr<NativeEvent> done_;   // of the last run, unless the plugin orders runs itself
  std::uint64_t last_stream_ = 0;       // the handle of the stream of the last run
};

// Issues the nodes of a program one by one, in order, on `stream`, whose mode is ordinary.
flagos_status_t replay(Stream& stream, const Program& program);

}  // namespace flagos::core
