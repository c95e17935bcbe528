// Flattening, the plugin's form of a graph, and core's own replay.
#include "core/graph_program.hpp"

#include <algorithm>
#include <queue>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph_exec.hpp"
#include "core/issue.hpp"
#include "core/module.hpp"
#include "core/stream.hpp"
#include "core/timeline.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

// The plugin never sees a zero size or dimension.
bool has_work(const Command& command) {
  if (const auto* copy = std::get_if<CopyCommand>(&command)) return copy->size_bytes != 0;
  if (const auto* copy = std::get_if<Copy2dCommand>(&command))
    return copy->desc.width_bytes != 0 && copy->desc.height != 0;
  if (const auto* fill = std::get_if<FillCommand>(&command)) return fill->size_bytes != 0;
  if (const auto* launch = std::get_if<LaunchCommand>(&command)) return !is_empty_launch(launch->desc);
  return true;
}

// Node indices in an order that respects the dependencies, and otherwise that of adding.
std::vector<std::uint32_t> order_of(const GraphBody& body) {
  const auto count = static_cast<std::uint32_t>(body.nodes.size());
  std::vector<std::uint32_t> order;
  order.reserve(count);
  if (body.in_order) {
    for (std::uint32_t i = 0; i < count; ++i) order.push_back(i);
    return order;
  }
  std::vector<std::uint32_t> open(count);
  std::vector<std::vector<std::uint32_t>> followers(count);
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t i = 0; i < count; ++i) {
    open[i] = static_cast<std::uint32_t>(body.nodes[i].dependencies.size());
    for (const std::uint32_t dependency : body.nodes[i].dependencies) followers[dependency].push_back(i);
    if (open[i] == 0) ready.push(i);
  }
  while (!ready.empty()) {
    const std::uint32_t next = ready.top();
    ready.pop();
    order.push_back(next);
    for (const std::uint32_t follower : followers[next]) {
      if (--open[follower] == 0) ready.push(follower);
    }
  }
  return order;
}

class Flattener {
 public:
  using Indices = std::vector<std::uint32_t>;  // of flat nodes

  // Appends the body's nodes, the first of them behind `before`; gives the nodes that what follows runs behind.
  Indices append(const GraphBody& body, const Indices& before) {
    std::vector<Indices> tails(body.nodes.size());
    std::vector<bool> has_follower(body.nodes.size());
    for (const std::uint32_t index : order_of(body)) {
      const GraphNode& node = body.nodes[index];
      Indices dependencies = node.dependencies.empty() ? before : Indices{};
      for (const std::uint32_t dependency : node.dependencies) {
        has_follower[dependency] = true;
        dependencies.insert(dependencies.end(), tails[dependency].begin(), tails[dependency].end());
      }
      tails[index] = append_node(node, unique(std::move(dependencies)));
    }
    Indices ends;
    for (std::size_t i = 0; i < body.nodes.size(); ++i) {
      if (!has_follower[i]) ends.insert(ends.end(), tails[i].begin(), tails[i].end());
    }
    return body.nodes.empty() ? before : unique(std::move(ends));
  }

  std::vector<FlatNode> take() { return std::move(nodes_); }

 private:
  Indices append_node(const GraphNode& node, Indices dependencies) {
    if (node.child != nullptr) return append(*node.child, dependencies);
    if (node.command == nullptr || !has_work(*node.command)) return dependencies;
    nodes_.push_back({node.type, node.command, std::move(dependencies)});
    return {static_cast<std::uint32_t>(nodes_.size() - 1)};
  }

  static Indices unique(Indices indices) {
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    return indices;
  }

  std::vector<FlatNode> nodes_;
};

// The nodes as the plugin takes them, with what they point to.
class PluginNodes {
 public:
  explicit PluginNodes(Program& program) {
    nodes_.resize(program.nodes.size());
    launches_.resize(program.nodes.size());
    program.host_calls.resize(program.nodes.size());
    for (std::size_t i = 0; i < program.nodes.size(); ++i) {
      const FlatNode& flat = program.nodes[i];
      nodes_[i] = {};
      nodes_[i].type = flat.type;
      nodes_[i].dependencies = flat.dependencies.data();
      nodes_[i].dependency_count = static_cast<std::uint32_t>(flat.dependencies.size());
      fill(*flat.command, i, program.host_calls[i]);
    }
  }
  const flagos_plugin_graph_node_t* data() const { return nodes_.data(); }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }

 private:
  void fill(const Command& command, std::size_t index, HostCall& call) {
    flagos_plugin_graph_node_t& node = nodes_[index];
    if (const auto* launch = std::get_if<LaunchCommand>(&command)) {
      launches_[index] = launch->desc;
      launches_[index].argument_block = launch->arguments.empty() ? nullptr : launch->arguments.data();
      node.kernel = launch->kernel->native();
      node.launch = &launches_[index];
    } else if (const auto* copy = std::get_if<CopyCommand>(&command)) {
      node.copy.struct_size = sizeof(node.copy);
      node.copy.target = copy->target;
      node.copy.source = copy->source;
      node.copy.width_bytes = node.copy.target_pitch_bytes = node.copy.source_pitch_bytes = copy->size_bytes;
      node.copy.height = 1;
    } else if (const auto* rows = std::get_if<Copy2dCommand>(&command)) {
      node.copy = rows->desc;
    } else if (const auto* pattern = std::get_if<FillCommand>(&command)) {
      node.fill_target = pattern->target;
      node.fill_size_bytes = pattern->size_bytes;
      node.fill_pattern_size_bytes = pattern->pattern_size_bytes;
      std::copy(pattern->pattern.begin(), pattern->pattern.end(), node.fill_pattern);
    } else if (const auto* host = std::get_if<HostCommand>(&command)) {
      call = {host->function, host->user_data};
      node.host_user_data = &call;
      node.host_function = [](void* data, flagos_status_t status) {
        const auto& held = *static_cast<const HostCall*>(data);
        call_host_function(held.function, held.user_data, status);
      };
    }
  }

  std::vector<flagos_plugin_graph_node_t> nodes_;
  std::vector<flagos_launch_desc_t> launches_;
};

bool same_structure(const std::vector<FlatNode>& left, const std::vector<FlatNode>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const FlatNode& a, const FlatNode& b) {
    return a.type == b.type && a.dependencies == b.dependencies;
  });
}

// An event's plugin object changes when core holds a record back, and plugins have no nodes for operators and collectives: such graphs are
// core's to run.
bool plugin_can_run(const Device& device, const Program& program) {
  if (!device.tables().has.graph || program.nodes.empty()) return false;
  return std::none_of(program.nodes.begin(), program.nodes.end(), [](const FlatNode& node) {
    return node.type == FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD || node.type == FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT ||
           node.type == FLAGOS_GRAPH_NODE_TYPE_OPERATOR || node.type == FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE;
  });
}

void make_native(Device& device, Program& program, const Program* previous, bool reusable) {
  const flagos_graph_table_t& table = device.tables().graph;
  const PluginNodes nodes(program);
  if (previous != nullptr && previous->native != nullptr && reusable &&
      same_structure(previous->nodes, program.nodes)) {
    const flagos_status_t status = table.update(previous->native->native(), nodes.data(), nodes.size());
    if (status == FLAGOS_STATUS_OK) {
      program.native = previous->native;
      return;
    }
    if (status != FLAGOS_STATUS_UNSUPPORTED) expect(status, "graph.update");
  }
  flagos_plugin_graph_t* native = nullptr;
  const flagos_status_t status = table.instantiate(device.native(), nodes.data(), nodes.size(), &native);
  if (status == FLAGOS_STATUS_UNSUPPORTED) return;
  expect(status, "graph.instantiate");
  if (native == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from graph.instantiate");
  validate_made(&device, NativeKind::graph, native, "graph.instantiate");
  const auto destroy = [&device](flagos_plugin_graph_t* graph) { NativeGraph::destroy(device, graph); };
  std::unique_ptr<flagos_plugin_graph_t, decltype(destroy)> kept(native, destroy);
  program.native = std::make_shared<NativeGraph>(device, native);
  kept.release();
}

}  // namespace

void NativeGraph::destroy(Device& device, flagos_plugin_graph_t* native) {
  validate_gone(&device, NativeKind::graph, native);
  device.tables().graph.destroy(native);
}

std::vector<FlatNode> flatten(const GraphBody& body) {
  Flattener flattener;
  flattener.append(body, {});
  return flattener.take();
}

std::shared_ptr<const Program> make_program(Device& device, std::shared_ptr<const GraphBody> body,
                                            const Program* previous, bool reusable) {
  auto program = std::make_shared<Program>();
  program->body = std::move(body);
  program->nodes = flatten(*program->body);
  for (std::uint32_t i = 0; i < program->nodes.size(); ++i) {
    if (program->nodes[i].type == FLAGOS_GRAPH_NODE_TYPE_HOST) program->has_host_functions = true;
    if (program->nodes[i].type == FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT) program->waits.push_back(i);
  }
  if (plugin_can_run(device, *program)) make_native(device, *program, previous, reusable);
  return program;
}

bool is_profiled(const Device& device) { return device.profiler.load(std::memory_order_acquire) != nullptr; }

flagos_status_t replay(Stream& stream, const Program& program) {
  const bool marked = is_profiled(stream.device());
  if (marked) issue(stream, LaunchMarkCommand{true});
  flagos_status_t status = FLAGOS_STATUS_OK;
  for (const FlatNode& node : program.nodes) {
    if (status = issue(stream, *node.command); status != FLAGOS_STATUS_OK) break;
  }
  if (marked) issue(stream, LaunchMarkCommand{false});
  return status;
}

}  // namespace flagos::core
