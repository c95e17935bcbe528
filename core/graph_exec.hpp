// An executable graph: a flattened, immutable program, run by the plugin's graphs where it has them, else replayed.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <mutex>
#include <vector>

#include "core/event.hpp"
#include "core/graph.hpp"
#include "core/graph_program.hpp"
#include "core/stream.hpp"

namespace flagos::core {

class GraphExec : public Child {
 public:
  static constexpr Tag tag_of = Tag::graph_exec;

  GraphExec(Device& device, GraphBody body);

  flagos_status_t launch(Stream& stream);
  // Throws GRAPH_MISMATCH that names the first difference.
  void update(GraphBody body);
  void set_node(flagos_graph_node_t node, const flagos_graph_node_desc_t& desc);
  std::shared_ptr<const Program> program();

 private:
  void replace_program(std::shared_ptr<const GraphBody> body);
  bool must_be_held(const Stream& stream) const;
  bool follows_other_stream(const Stream& stream) const;
  flagos_status_t launch_direct(Stream& stream);
  flagos_status_t launch_held(Stream& stream);

  std::mutex mutex_;  // of what follows; also orders launches
  std::shared_ptr<const Program> program_;
  // Behind the last run, on the stream of this handle and by this native graph: runs never overlap.
  std::shared_ptr<NativeEvent> done_;
  std::uint64_t last_stream_ = 0;
  const NativeGraph* last_native_ = nullptr;
};

}  // namespace flagos::core
