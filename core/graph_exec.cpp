// Launching executable graphs, and changing their parameters.
#include "core/graph_exec.hpp"

#include <utility>

#include "core/entry.hpp"
#include "core/module.hpp"
#include "core/soft_queue.hpp"
#include "core/timeline.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

flagos_event_desc_t done_desc() {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  return desc;
}

// `where` names the nodes around the two bodies: "", or "in child 3: ".
void check_topology(const GraphBody& old_body, const GraphBody& new_body, const std::string& where) {
  if (old_body.nodes.size() != new_body.nodes.size())
    throw_error(FLAGOS_STATUS_GRAPH_MISMATCH, "{}{} nodes, and {} in the executable", where, new_body.nodes.size(),
                old_body.nodes.size());
  for (std::size_t i = 0; i < old_body.nodes.size(); ++i) {
    const GraphNode& was = old_body.nodes[i];
    const GraphNode& now = new_body.nodes[i];
    if (was.type != now.type)
      throw_error(FLAGOS_STATUS_GRAPH_MISMATCH, "{}node {} is of type {}, and {} in the executable", where, i + 1,
                  node_type_name(now.type), node_type_name(was.type));
    if (was.dependencies != now.dependencies)
      throw_error(FLAGOS_STATUS_GRAPH_MISMATCH, "{}node {} has other dependencies than in the executable", where,
                  i + 1);
    if (was.child != nullptr) check_topology(*was.child, *now.child, fmt::format("{}in child {}: ", where, i + 1));
  }
}

}  // namespace

GraphExec::GraphExec(Device& device, GraphBody body)
    : Child(Tag::graph_exec, device),
      program_(make_program(device, std::make_shared<const GraphBody>(std::move(body)), nullptr, false)) {}

std::shared_ptr<const Program> GraphExec::program() {
  std::lock_guard lock(mutex_);
  return program_;
}

flagos_status_t GraphExec::launch(Stream& stream) {
  if (process_state.load(std::memory_order_relaxed) & process_validating) [[unlikely]] {
    const std::shared_ptr<const Program> checked_program = program();
    for (std::size_t i = 0; i < checked_program->nodes.size(); ++i)
      validate_command(device(), *checked_program->nodes[i].command, i + 1);
  }
  const Stream::Submission submission(stream);
  std::lock_guard lock(mutex_);
  const std::uint32_t mode = stream.mode();
  if (mode & (Stream::lost | Stream::poisoned | Stream::capturing))
    return stream.submit_slow(GraphCommand{Ref<GraphExec>(this), program_});
  if (program_->nodes.empty()) return FLAGOS_STATUS_OK;
  return must_be_held(stream) ? launch_held(stream) : launch_direct(stream);
}

// Whether this run has to wait for something that its stream's plugin cannot wait for.
bool GraphExec::must_be_held(const Stream& stream) const {
  if (stream.mode() & Stream::soft) return true;
  if (program_->has_host_functions && program_->native == nullptr && !tables().has.launch_host) return true;
  if (follows_other_stream(stream) && !done_->issued.load(std::memory_order_acquire)) return true;
  for (const std::uint32_t wait : program_->waits) {
    if (needs_soft_queue(stream, *program_->nodes[wait].command)) return true;
  }
  return false;
}

bool GraphExec::follows_other_stream(const Stream& stream) const {
  return done_ != nullptr && last_stream_ != stream.handle();
}

flagos_status_t GraphExec::launch_direct(Stream& stream) {
  const NativeGraph* native = program_->native.get();
  const bool ordered_by_plugin = native != nullptr && native == last_native_;
  if (follows_other_stream(stream) && !ordered_by_plugin) {
    const flagos_status_t status = issue(stream, WaitEventCommand{Ref<Event>(), done_});
    if (status != FLAGOS_STATUS_OK) return checked(status, "stream.wait_event");
  }
  if (native != nullptr) {
    const flagos_status_t status = tables().graph.launch(native->native(), stream.native());
    if (status != FLAGOS_STATUS_OK) return checked(status, "graph.launch");
  } else if (const flagos_status_t status = replay(stream, *program_); status != FLAGOS_STATUS_OK) {
    // A part of the run is queued already: what comes behind it must not see half of it.
    const flagos_status_t known = checked(status, "a node of the graph");
    stream.poison(known);
    return known;
  }
  // Whoever holds a wait for the former run back keeps its event.
  if (done_ == nullptr || done_.use_count() > 1) done_ = std::make_shared<NativeEvent>(device(), done_desc());
  last_stream_ = stream.handle();
  last_native_ = native;
  return checked(tables().event.record(done_->native(), stream.native()), "event.record");
}

flagos_status_t GraphExec::launch_held(Stream& stream) {
  std::vector<Command> commands;
  if (follows_other_stream(stream)) commands.push_back(WaitEventCommand{Ref<Event>(), done_});
  if (program_->native != nullptr) {
    commands.push_back(GraphCommand{Ref<GraphExec>(this), program_});
  } else {
    const bool marked = is_profiled(device());
    if (marked) commands.push_back(LaunchMarkCommand{true});
    for (const FlatNode& node : program_->nodes) {
      commands.push_back(*node.command);
      // Events are bound now, in the order of submission.
      if (auto* record = std::get_if<RecordCommand>(&commands.back())) record->record = record->event->replace();
      if (auto* wait = std::get_if<WaitEventCommand>(&commands.back())) wait->record = wait->event->current();
    }
    if (marked) commands.push_back(LaunchMarkCommand{false});
  }
  auto done = std::make_shared<NativeEvent>(device(), done_desc());
  done->issued.store(false, std::memory_order_release);
  commands.push_back(RecordCommand{Ref<Event>(), done});
  const flagos_status_t status = soft_submit(stream, std::move(commands));
  if (status != FLAGOS_STATUS_OK) return status;
  done_ = std::move(done);
  last_stream_ = stream.handle();
  last_native_ = nullptr;
  return status;
}

// The former program may still run: its native graph, host calls and captured bytes stay until then.
void GraphExec::replace_program(std::shared_ptr<const GraphBody> body) {
  const bool reusable = program_.use_count() == 1;
  std::shared_ptr<const Program> fresh = make_program(device(), std::move(body), program_.get(), reusable);
  const auto former = std::make_shared<std::shared_ptr<const Program>>();
  std::function<void()> release = [former] { former->reset(); };  // made before anything changes
  *former = std::exchange(program_, std::move(fresh));
  device().releases().add(std::move(release));
}

void GraphExec::update(GraphBody body) {
  std::lock_guard lock(mutex_);
  check_topology(*program_->body, body, "");
  // Nodes go on being called as in the graph that the executable was made from.
  for (std::size_t i = 0; i < body.nodes.size(); ++i) body.nodes[i].id = program_->body->nodes[i].id;
  replace_program(std::make_shared<const GraphBody>(std::move(body)));
}

void GraphExec::set_node(flagos_graph_node_t node, const flagos_graph_node_desc_t& desc) {
  std::lock_guard lock(mutex_);
  GraphBody body = *program_->body;
  GraphNode& found = body.nodes[body.index_of(node)];
  if (found.type != desc.type)
    throw_error(FLAGOS_STATUS_GRAPH_MISMATCH, "the node is of type {}, not of type {}", node_type_name(found.type),
                desc.type);
  GraphNode changed = make_graph_node(device(), desc, nullptr);
  if (found.child != nullptr) check_topology(*found.child, *changed.child, "in the child: ");
  changed.id = found.id;
  changed.dependencies = std::move(found.dependencies);
  found = std::move(changed);
  replace_program(std::make_shared<const GraphBody>(std::move(body)));
}

}  // namespace flagos::core
