// Captures: which commands become which nodes, how events carry dependencies, and the end.
#include "core/capture.hpp"

#include <algorithm>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph_exec.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/stream.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

namespace {

std::uint64_t next_capture_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::shared_ptr<Capture> capture_of(Stream& stream) {
  std::lock_guard lock(stream.rare_mutex);
  return stream.capture;
}

void attach(Stream& stream, const std::shared_ptr<Capture>& capture) {
  std::lock_guard lock(stream.rare_mutex);
  if (stream.capture != nullptr) throw_error(FLAGOS_STATUS_NOT_PERMITTED, "the stream is capturing already");
  stream.capture = capture;
  stream.set_mode(Stream::capturing);
}

void detach(Stream& stream, const Capture& capture) {
  std::shared_ptr<Capture> dropped;  // outside the lock
  std::lock_guard lock(stream.rare_mutex);
  if (stream.capture.get() != &capture) return;
  stream.capture.swap(dropped);
  stream.clear_mode(Stream::capturing);
}

// Ends a capture: all streams are ordinary again. Gives the members up outside the lock. True if all were joined.
bool end(Capture& capture) {
  std::vector<Capture::Member> members;
  bool joined = false;
  {
    std::lock_guard lock(capture.mutex);
    joined = !capture.members.empty() && capture.joined();
    capture.ended = true;
    members.swap(capture.members);
  }
  for (const Capture::Member& member : members) detach(*member.stream, capture);
  return joined;
}

GraphNode make_node(flagos_graph_node_type_t type, Command command) {
  GraphNode node;
  node.type = type;
  node.command = std::make_shared<const Command>(std::move(command));
  return node;
}

[[noreturn]] void throw_not_captured(const char* what) {
  throw_error(FLAGOS_STATUS_NOT_PERMITTED, "{} cannot be captured; the capture is invalidated", what);
}

// The node that a command becomes.
struct NodeMaker {
  GraphNode operator()(CopyCommand& command) const { return make_node(FLAGOS_GRAPH_NODE_TYPE_COPY, command); }
  GraphNode operator()(Copy2dCommand& command) const { return make_node(FLAGOS_GRAPH_NODE_TYPE_COPY_2D, command); }
  GraphNode operator()(FillCommand& command) const { return make_node(FLAGOS_GRAPH_NODE_TYPE_FILL, command); }
  GraphNode operator()(HostCommand& command) const { return make_node(FLAGOS_GRAPH_NODE_TYPE_HOST, command); }
  GraphNode operator()(LaunchCommand& command) const {
    return make_node(FLAGOS_GRAPH_NODE_TYPE_KERNEL, std::move(command));
  }
  GraphNode operator()(LaunchPreparedCommand& command) const {
    return make_node(FLAGOS_GRAPH_NODE_TYPE_KERNEL, command.prepared->launch());
  }
  // Its bytes were captured at the call: they go with the graph.
  GraphNode operator()(UpdateCommand& command) const {
    auto bytes = std::make_shared<const std::vector<std::byte>>(std::move(command.data));
    const auto source = static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(bytes->data()));
    GraphNode node = make_node(FLAGOS_GRAPH_NODE_TYPE_COPY, CopyCommand{command.target, source, bytes->size()});
    node.bytes = std::move(bytes);
    return node;
  }
  GraphNode operator()(OperatorCommand& command) const {
    return make_node(FLAGOS_GRAPH_NODE_TYPE_OPERATOR, std::move(command));
  }
  GraphNode operator()(CollectiveCommand& command) const {
    return make_node(FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE, std::move(command));
  }
  // Of a record outside the capture: the executable waits for the event's last record when it is launched.
  GraphNode operator()(WaitEventCommand& command) const {
    return make_node(FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT, WaitEventCommand{command.event, nullptr});
  }
  GraphNode operator()(GraphCommand& command) const {
    return make_child_node(static_cast<const Program*>(command.program.get())->body);
  }
  GraphNode operator()(PrefetchCommand&) const { throw_not_captured("a prefetch"); }
  GraphNode operator()(WriteValueCommand&) const { throw_not_captured("writing a value"); }
  GraphNode operator()(WaitValueCommand&) const { throw_not_captured("a wait for a value"); }
  GraphNode operator()(WaitTimelineCommand&) const { throw_not_captured("a wait for a timeline"); }
  GraphNode operator()(SignalTimelineCommand&) const { throw_not_captured("a signal of a timeline"); }
  GraphNode operator()(RecordCommand&) const { throw_not_captured("this record"); }
  GraphNode operator()(LaunchMarkCommand&) const { throw_not_captured("a mark of a launch"); }
  GraphNode operator()(PeerCopyCommand&) const { throw_not_captured("a copy between devices"); }
  GraphNode operator()(WaitSharedCommand&) const { throw_not_captured("a wait for an exported event"); }
  GraphNode operator()(NotifyCommand&) const { throw_not_captured("a notification"); }
};

void record(const std::shared_ptr<Capture>& capture, std::vector<flagos_graph_node_t> nodes, Event& event) {
  std::lock_guard lock(event.mutex);
  event.capture = capture;
  event.captured_nodes = std::move(nodes);
  event.set_rare(Event::captured);
}

void merge(std::vector<flagos_graph_node_t>& nodes, const std::vector<flagos_graph_node_t>& more) {
  for (const flagos_graph_node_t node : more) {
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
  }
}

struct CapturedRecord {
  std::shared_ptr<Capture> capture;  // nullptr when the capture is over
  std::vector<flagos_graph_node_t> nodes;
};

CapturedRecord captured_record(Event& event) {
  std::lock_guard lock(event.mutex);
  CapturedRecord record{event.capture.lock(), event.captured_nodes};
  bool over = record.capture == nullptr;
  if (!over) {
    std::lock_guard capture_lock(record.capture->mutex);
    over = record.capture->ended;
  }
  if (over) {
    event.clear_rare(Event::captured);
    record.capture = nullptr;
  }
  return record;
}

}  // namespace

Capture::Capture(Device& device) : id_(next_capture_id()), number_(next_graph_number()), device_(&device) {}

Capture::Member* Capture::find(const Stream& stream) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const Member& member) { return member.stream.get() == &stream; });
  return found != members.end() ? &*found : nullptr;
}

void Capture::add_node(Member& member, GraphNode node) {
  for (const flagos_graph_node_t last : member.last) node.dependencies.push_back(body.index_of(last));
  member.last = {body.add(number_, std::move(node))};
}

bool Capture::joined() const {
  std::vector<bool> reached(body.nodes.size());
  for (const flagos_graph_node_t last : members.front().last) reached[body.index_of(last)] = true;
  for (std::size_t i = body.nodes.size(); i-- > 0;) {
    if (!reached[i]) return false;
    for (const std::uint32_t dependency : body.nodes[i].dependencies) reached[dependency] = true;
  }
  return true;
}

flagos_status_t capture_command(Stream& stream, Command command) {
  const std::shared_ptr<Capture> capture = capture_of(stream);
  // Another thread ended the capture in the meantime.
  if (capture == nullptr) return stream.submit_slow(std::move(command));
  std::unique_lock lock(capture->mutex);
  Capture::Member* member = capture->find(stream);
  if (member == nullptr) {
    lock.unlock();
    detach(stream, *capture);
    return stream.submit_slow(std::move(command));
  }
  if (capture->status() != FLAGOS_CAPTURE_STATUS_ACTIVE)
    throw_error(FLAGOS_STATUS_INVALID_GRAPH, "the capture was invalidated; end it with flagos_stream_end_capture");
  if (const auto* recorded = std::get_if<RecordCommand>(&command); recorded != nullptr && recorded->event) {
    std::vector<flagos_graph_node_t> nodes = member->last;
    lock.unlock();  // an event is locked before a capture
    record(capture, std::move(nodes), *recorded->event);
    return FLAGOS_STATUS_OK;
  }
  try {
    capture->add_node(*member, std::visit(NodeMaker{}, command));
  } catch (const Error& error) {
    if (error.status() == FLAGOS_STATUS_NOT_PERMITTED) capture->invalidate();
    throw;
  }
  return FLAGOS_STATUS_OK;
}

bool capture_wait(Stream& stream, Event& event) {
  CapturedRecord record = captured_record(event);
  if (record.capture == nullptr) return false;
  const std::shared_ptr<Capture>& capture = record.capture;
  const std::shared_ptr<Capture> own = capture_of(stream);
  if (own != nullptr && own != capture) {
    own->invalidate();
    capture->invalidate();
    throw_error(FLAGOS_STATUS_NOT_PERMITTED, "a wait for an event of another capture; both are invalidated");
  }
  std::lock_guard lock(capture->mutex);
  if (capture->ended) return false;
  if (capture->status() != FLAGOS_CAPTURE_STATUS_ACTIVE)
    throw_error(FLAGOS_STATUS_INVALID_GRAPH, "the capture of the event was invalidated");
  if (Capture::Member* member = capture->find(stream)) {
    merge(member->last, record.nodes);
    return true;
  }
  if (&stream.device() != &capture->device()) {
    capture->invalidate();
    throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                "a stream of another open device cannot be drawn into a capture; it is invalidated");
  }
  if (stream.poison_status() != FLAGOS_STATUS_OK)
    throw_error(stream.poison_status(), "the stream was poisoned by work before; see flagos_stream_reset");
  capture->members.push_back({Ref<Stream>(&stream), std::move(record.nodes)});
  attach(stream, capture);
  return true;
}

void capture_forbid(Event& event, const char* name) {
  const CapturedRecord record = captured_record(event);
  if (record.capture == nullptr) return;
  record.capture->invalidate();
  throw_error(FLAGOS_STATUS_NOT_PERMITTED,
              "{} is not allowed for an event that was recorded in a capture; the capture is invalidated", name);
}

void capture_invalidate(Stream& stream, const char* name) {
  const std::shared_ptr<Capture> capture = capture_of(stream);
  if (capture == nullptr) return;
  capture->invalidate();
  log(FLAGOS_LOG_LEVEL_DEBUG, "capture {} is invalidated by {}", capture->id(), name);
}

void capture_forget(Stream& stream) {
  const std::shared_ptr<Capture> capture = capture_of(stream);
  if (capture == nullptr) return;
  capture->invalidate();
  Ref<Stream> kept(&stream);  // the members' reference may be the last
  bool first = false;
  {
    std::lock_guard lock(capture->mutex);
    first = !capture->members.empty() && capture->members.front().stream.get() == &stream;
    if (!first) std::erase_if(capture->members, [&](const auto& member) { return member.stream.get() == &stream; });
  }
  if (first) {
    end(*capture);
  } else {
    detach(stream, *capture);
  }
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_stream_begin_capture(flagos_stream_t* stream) {
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    object.device().throw_if_lost();
    if (object.poison_status() != FLAGOS_STATUS_OK)
      throw_error(object.poison_status(), "the stream was poisoned by work before; see flagos_stream_reset");
    auto capture = std::make_shared<Capture>(object.device());
    capture->members.push_back({Ref<Stream>(&object), {}});
    attach(object, capture);
  });
}

flagos_status_t flagos_stream_end_capture(flagos_stream_t* stream, flagos_graph_t** out_graph) {
  clear_out(out_graph);
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    require(out_graph, "out_graph");
    const std::shared_ptr<Capture> capture = capture_of(object);
    if (capture == nullptr) throw_error(FLAGOS_STATUS_NOT_PERMITTED, "the stream is not capturing");
    {
      std::lock_guard lock(capture->mutex);
      if (capture->ended) throw_error(FLAGOS_STATUS_NOT_PERMITTED, "the stream is not capturing");
      if (capture->members.front().stream.get() != &object)
        throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                    "the stream was drawn in by another one, where the capture began and has to end");
    }
    const bool joined = end(*capture);
    if (capture->status() != FLAGOS_CAPTURE_STATUS_ACTIVE)
      throw_error(FLAGOS_STATUS_INVALID_GRAPH, "the capture was invalidated by a call that is not allowed in it");
    if (!joined)
      throw_error(FLAGOS_STATUS_INVALID_GRAPH,
                  "work of a stream that was drawn in was not joined: record an event behind it and wait for it on the "
                  "stream where the capture began");
    *out_graph = publish<flagos_graph_t>(
        Ref<Graph>::adopt(new Graph(object.device(), capture->graph_number(), std::move(capture->body))));
  });
}

flagos_status_t flagos_stream_get_capture_status(flagos_stream_t* stream, flagos_capture_status_t* out_status,
                                                 uint64_t* out_id) {
  clear_out(out_status);
  clear_out(out_id);
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    require(out_status, "out_status");
    if ((object.mode() & Stream::capturing) == 0) return;  // libraries ask at every call
    const std::shared_ptr<Capture> capture = capture_of(object);
    if (capture == nullptr) return;
    *out_status = capture->status();
    if (out_id != nullptr) *out_id = capture->id();
  });
}
