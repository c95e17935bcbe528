#include "plugins/cpu/graph.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <unordered_map>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

constexpr std::align_val_t argument_alignment{64};

GraphDetail copy_detail(const flagos_plugin_graph_node_t& source) {
  GraphDetail detail;
  switch (source.type) {
    case FLAGOS_GRAPH_NODE_TYPE_COPY:
    case FLAGOS_GRAPH_NODE_TYPE_COPY_2D:
      detail.copy = source.copy;
      if (source.type == FLAGOS_GRAPH_NODE_TYPE_COPY) detail.copy.height = 1;
      break;
    case FLAGOS_GRAPH_NODE_TYPE_FILL:
      detail.fill_target = source.fill_target;
      detail.fill_bytes = source.fill_size_bytes;
      detail.fill_pattern_bytes = source.fill_pattern_size_bytes;
      std::memcpy(detail.fill_pattern, source.fill_pattern, sizeof(detail.fill_pattern));
      break;
    case FLAGOS_GRAPH_NODE_TYPE_HOST:
      detail.host_function = source.host_function;
      detail.host_user_data = source.host_user_data;
      break;
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD:
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT:
      detail.event = &from_c(source.event);
      break;
    default:
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "graph node of type {}", source.type);
  }
  return detail;
}

GraphNode copy_node(const flagos_plugin_graph_node_t& source, std::deque<GraphDetail>& details) {
  GraphNode node{};
  node.type = source.type;
  if (source.type != FLAGOS_GRAPH_NODE_TYPE_KERNEL) {
    node.detail = &details.emplace_back(copy_detail(source));
    return node;
  }
  node.kernel = &from_c(source.kernel);
  node.kernel->check(*source.launch);
  node.shape = LaunchShape::of(*source.launch);
  return node;
}

std::uint64_t padded_argument_bytes(const flagos_plugin_graph_node_t& node) noexcept {
  return node.type == FLAGOS_GRAPH_NODE_TYPE_KERNEL ? (node.launch->argument_bytes + 63) / 64 * 64
                                                    : 0;
}

// One record per event node; `recorded` gets the last one of each event.
std::unique_ptr<RecordRef[]> make_records(const Program& program, RecordPool& pool,
                                          std::unordered_map<Event*, RecordRef>& recorded) {
  const std::vector<GraphNode>& nodes = program.nodes();
  auto records = std::make_unique<RecordRef[]>(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Event* event = nodes[i].event();
    if (event == nullptr) continue;
    if (nodes[i].type == FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD) {
      records[i] = recorded[event] = pool.take();
    } else {
      const auto found = recorded.find(event);
      records[i] = found != recorded.end() ? found->second : event->current();
    }
  }
  return records;
}

void bind(const std::unordered_map<Event*, RecordRef>& recorded) noexcept {
  for (const auto& [event, record] : recorded) event->bind(record);
}

}  // namespace

flagos_record_kind_t GraphNode::record_kind() const noexcept {
  switch (type) {
    case FLAGOS_GRAPH_NODE_TYPE_KERNEL:
      return FLAGOS_RECORD_KIND_KERNEL;
    case FLAGOS_GRAPH_NODE_TYPE_COPY:
    case FLAGOS_GRAPH_NODE_TYPE_COPY_2D:
      return FLAGOS_RECORD_KIND_COPY;
    case FLAGOS_GRAPH_NODE_TYPE_FILL:
      return FLAGOS_RECORD_KIND_FILL;
    case FLAGOS_GRAPH_NODE_TYPE_HOST:
      return FLAGOS_RECORD_KIND_HOST;
    default:
      return FLAGOS_RECORD_KIND_OTHER;
  }
}

const char* GraphNode::name() const noexcept {
  switch (type) {
    case FLAGOS_GRAPH_NODE_TYPE_KERNEL:
      return kernel->name().c_str();
    case FLAGOS_GRAPH_NODE_TYPE_COPY:
      return "copy";
    case FLAGOS_GRAPH_NODE_TYPE_COPY_2D:
      return "copy_2d";
    case FLAGOS_GRAPH_NODE_TYPE_FILL:
      return "fill";
    case FLAGOS_GRAPH_NODE_TYPE_HOST:
      return "host";
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD:
      return "record";
    default:
      return "wait_event";
  }
}

std::uint64_t GraphNode::bytes() const noexcept {
  if (detail == nullptr) return 0;
  return type == FLAGOS_GRAPH_NODE_TYPE_FILL ? detail->fill_bytes
                                             : detail->copy.width_bytes * detail->copy.height;
}

void Program::AlignedDelete::operator()(std::byte* memory) const noexcept {
  ::operator delete(memory, argument_alignment);
}

Program::Program(const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count) {
  std::uint64_t argument_bytes = 0;
  nodes_.reserve(node_count);
  for (std::uint32_t i = 0; i < node_count; ++i) {
    nodes_.push_back(copy_node(nodes[i], details_));
    has_events_ = has_events_ || nodes_.back().event() != nullptr;
    argument_bytes += padded_argument_bytes(nodes[i]);
  }
  if (argument_bytes == 0) return;
  arguments_.reset(static_cast<std::byte*>(::operator new(argument_bytes, argument_alignment)));
  std::byte* next = arguments_.get();
  for (std::uint32_t i = 0; i < node_count; ++i) {
    const std::uint64_t padded = padded_argument_bytes(nodes[i]);
    if (padded == 0) continue;
    std::memcpy(next, nodes[i].launch->argument_block, nodes[i].launch->argument_bytes);
    nodes_[i].arguments = next;
    next += padded;
  }
}

const Host& Graph::host() const noexcept { return device_.host(); }

void Graph::update(ProgramRef program) {
  const std::lock_guard lock(mutex_);
  program_.swap(program);
}

// The records of event nodes are made here, in the order of the nodes: a wait concerns the record
// before it, in this run or from before the launch, and whoever waits for an event of the graph
// from now on waits for this run.
void Graph::launch(Stream& stream) {
  ProgramRef program;
  {
    const std::lock_guard lock(mutex_);
    program = program_;
  }
  std::unordered_map<Event*, RecordRef> recorded;
  std::unique_ptr<RecordRef[]> records;
  if (program->has_events()) records = make_records(*program, device_.instance().records, recorded);
  try {
    stream.submit<GraphCommand>([&](GraphCommand& command) {
      command.graph = this;
      command.program = program;
      command.records = std::move(records);
    });
  } catch (const Error&) {
    // As for an event recorded on a poisoned stream: waiting for it tells of the failure.
    for (auto& [event, record] : recorded) record->complete(stream.failure());
    bind(recorded);
    throw;
  }
  bind(recorded);
}

bool Graph::acquire(Stream& stream) noexcept {
  if (is_running_) {
    parked_.push(stream);
    return false;
  }
  is_running_ = true;
  stream.holds_graph = true;
  return true;
}

void Graph::release() noexcept {
  const std::lock_guard lock(device_.instance().lot.mutex);
  is_running_ = false;
  parked_.for_each([this](Parked& parked) {
    if (is_running_) return;
    auto& stream = static_cast<Stream&>(parked);
    is_running_ = true;
    stream.holds_graph = true;
    stream.unpark();
  });
}

flagos_status_t graph_instantiate(flagos_plugin_device_t* device,
                                  const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count,
                                  flagos_plugin_graph_t** out_graph) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_graph =
        to_c(std::make_unique<Graph>(self, std::make_shared<const Program>(nodes, node_count))
                 .release());
  });
}

flagos_status_t graph_update(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes,
                             std::uint32_t node_count) noexcept {
  Graph& self = from_c(graph);
  return entry(self.host(),
               [&] { self.update(std::make_shared<const Program>(nodes, node_count)); });
}

flagos_status_t graph_launch(flagos_plugin_graph_t* graph,
                             flagos_plugin_stream_t* stream) noexcept {
  Graph& self = from_c(graph);
  return entry(self.host(), [&] { self.launch(from_c(stream)); });
}

void graph_destroy(flagos_plugin_graph_t* graph) noexcept { delete &from_c(graph); }

}  // namespace flagos::cpu
