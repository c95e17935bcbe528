// How a stream runs its commands, one after the other, on whatever thread holds it.
#include <algorithm>
#include <cstring>

#include "plugins/cpu/communicator.hpp"
#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"
#include "plugins/cpu/transfer.hpp"

namespace flagos::cpu {
namespace {

constexpr unsigned commands_per_turn = 16;      // before other streams get their turn
constexpr std::uint64_t value_spin_ns = 3'000;  // shorter than the way to the poller and back

}  // namespace

Task::Outcome Stream::run(Worker& worker) noexcept {
  processor_.store(current_processor(), std::memory_order_relaxed);
  unsigned turn = commands_per_turn;
  std::uint64_t known = 0;  // of submitted_: read seldom, since producers write it all the time
  while (true) {
    const std::uint64_t completed = completed_.load(std::memory_order_relaxed);
    if (completed >= known) known = submitted_.load(std::memory_order_acquire);
    if (completed == known) return Outcome::drained;
    Command& command = queue_.front();
    if (command.queued_ns != 0 && started_ns_ == 0) started_ns_ = now_ns();
    if (!execute(command, worker)) return Outcome::gone;
    finish(command);
    if (--turn != 0) continue;
    turn = commands_per_turn;
    if (!device_.pool().has_waiting()) continue;
    device_.pool().push(*this, level_);
    return Outcome::gone;
  }
}

void Stream::finish(Command& command) noexcept {
  if (command.queued_ns != 0) {
    emit(command_kind(command), command_name(command), command_bytes(command), command.queued_ns,
         started_ns_);
    started_ns_ = 0;
  }
  queue_.pop();
  const std::uint64_t completed = completed_.load(std::memory_order_relaxed) + 1;
  completed_.store(completed);
  // A thread that waits for the last of many commands would only be in the way after each.
  if (completed < awaited_.load()) return;
  awaited_.store(UINT64_MAX);
  if (signal_.notify_all()) woke_here_ = true;
}

void Stream::emit(flagos_record_kind_t kind, const char* name, std::uint64_t bytes,
                  std::uint64_t queued_ns, std::uint64_t started_ns) const noexcept {
  flagos_record_t record{};
  record.kind = kind;
  record.stream_id = id_;
  record.correlation_id =
      correlation_ != 0 ? correlation_ : completed_.load(std::memory_order_relaxed) + 1;
  record.queued_ns = queued_ns;
  record.submitted_ns = queued_ns;  // a stream's queue is the device's queue
  record.started_ns = started_ns;
  record.ended_ns = now_ns();
  record.size_bytes = bytes;
  std::strncpy(record.name, name, sizeof(record.name) - 1);
  device_.host().emit_record(to_c(&device_), record);
}

bool Stream::execute(Command& command, Worker& worker) noexcept {
  if (poison_status_.load(std::memory_order_relaxed) != FLAGOS_STATUS_OK)
    return execute_poisoned(command, worker);
  switch (command.type) {
    case CommandType::launch: {
      auto& launch = static_cast<LaunchCommand&>(command);
      if (Failure failure = launch.kernel->run(launch.shape, launch.arguments(), worker))
        fail_kernel(std::move(failure));
      return true;
    }
    case CommandType::copy: {
      const auto& copy = static_cast<CopyCommand&>(command);
      copy_bytes(copy.target, copy.source, copy.bytes, {worker, offer_});
      return true;
    }
    case CommandType::copy_2d:
      copy_rows(static_cast<Copy2dCommand&>(command).desc, {worker, offer_});
      return true;
    case CommandType::fill: {
      const auto& fill = static_cast<FillCommand&>(command);
      fill_bytes(fill.target, fill.pattern, fill.pattern_bytes, fill.bytes, {worker, offer_});
      return true;
    }
    case CommandType::update: {
      auto& update = static_cast<UpdateCommand&>(command);
      std::memcpy(reinterpret_cast<void*>(update.target), update.source(), update.bytes);
      return true;
    }
    case CommandType::prefetch: {
      const auto& prefetch = static_cast<PrefetchCommand&>(command);
      prefetch_bytes(prefetch.address, prefetch.bytes);
      return true;
    }
    case CommandType::host:
      return hand_to_callbacks();
    case CommandType::write_value:
      write_value(static_cast<WriteValueCommand&>(command));
      return true;
    case CommandType::wait_value:
      return wait_value(static_cast<WaitValueCommand&>(command).condition);
    case CommandType::record:
      if (static_cast<RecordCommand&>(command).record->complete(nullptr)) woke_here_ = true;
      return true;
    case CommandType::wait_record:
      return wait_record(static_cast<WaitRecordCommand&>(command).record);
    case CommandType::wait_timeline: {
      auto& wait = static_cast<WaitTimelineCommand&>(command);
      return wait_timeline(*wait.timeline, wait.value);
    }
    case CommandType::signal_timeline: {
      auto& signal = static_cast<SignalTimelineCommand&>(command);
      signal_timeline(*signal.timeline, signal.value);
      return true;
    }
    case CommandType::graph:
      return run_graph(static_cast<GraphCommand&>(command), worker);
    case CommandType::product:
      if (Failure failure = static_cast<ProductCommand&>(command).product.run(worker))
        poison(std::move(failure));
      return true;
    case CommandType::collective:
    case CommandType::exchange:
      return hand_to_callbacks();  // it waits for others
    case CommandType::mark:
      run_mark(static_cast<MarkCommand&>(command));
      return true;
    case CommandType::end_of_chunk:
      break;
  }
  return true;
}

void Stream::run_mark(const MarkCommand& command) noexcept {
  correlation_ = command.begins ? completed_.load(std::memory_order_relaxed) + 1 : 0;
}

// Work is skipped; what others wait for still happens, and says why.
bool Stream::execute_poisoned(Command& command, Worker& worker) noexcept {
  switch (command.type) {
    case CommandType::host:
      return hand_to_callbacks();
    case CommandType::record:
      static_cast<RecordCommand&>(command).record->complete(failure());
      return true;
    case CommandType::signal_timeline:
      static_cast<SignalTimelineCommand&>(command).timeline->fail(failure());
      return true;
    case CommandType::mark:
      run_mark(static_cast<MarkCommand&>(command));
      return true;
    case CommandType::graph:
      return run_graph(static_cast<GraphCommand&>(command), worker);
    case CommandType::collective:
    case CommandType::exchange:
      run_collective(command);
      return true;
    default:
      return true;
  }
}

// ---- waiting ----------------------------------------------------------------------------------

// `try_park` puts the stream into a list, or finds that there is nothing to wait for. True when the
// stream goes on.
template <typename TryPark>
bool Stream::park(const TryPark& try_park) noexcept {
  {
    const std::lock_guard lock(device_.instance().lot.mutex);
    if (is_given_up_) return true;  // poisoned already
    if (!is_cancelled_)
      return !try_park();  // once parked, another thread may hold the stream already
  }
  poison(make_failure(FLAGOS_STATUS_CANCELLED, "the stream was destroyed while it waited"));
  return true;
}

bool Stream::wait_record(const RecordRef& record) noexcept {
  return record->is_done() || park([&] { return record->park(*this); });
}

bool Stream::wait_timeline(Timeline& timeline, std::uint64_t value) noexcept {
  if (timeline.state(value) == Timeline::State::pending &&
      !park([&] { return timeline.park(*this, value); }))
    return false;
  if (!timeline.has_reached(value)) poison(timeline.failure());
  return true;
}

bool Stream::wait_value(const ValueCondition& condition) noexcept {
  if (spin_until([&] { return condition.holds(); },
                 device_.pool().has_waiting() ? 0 : value_spin_ns))
    return true;
  Failure failure;
  const bool goes_on = park([&] {
    if (condition.holds()) return false;
    parked_condition = condition;
    bool parked = false;
    guard(
        [&] {
          device_.instance().poller.park(*this);
          parked = true;
        },
        [&](flagos_status_t status, const char* text) { failure = make_failure(status, text); });
    return parked;
  });
  if (goes_on && failure) poison(std::move(failure));
  return goes_on;
}

void Stream::write_value(const WriteValueCommand& command) noexcept {
  void* target = reinterpret_cast<void*>(command.target);
  if (command.bytes == 4)
    __atomic_store_n(static_cast<std::uint32_t*>(target), static_cast<std::uint32_t>(command.value),
                     __ATOMIC_SEQ_CST);
  else
    __atomic_store_n(static_cast<std::uint64_t*>(target), command.value, __ATOMIC_SEQ_CST);
  device_.instance().poller.kick();
}

void Stream::signal_timeline(Timeline& timeline, std::uint64_t value) noexcept {
  guard(
      [&] { timeline.signal(value); },
      [&](flagos_status_t status, const char* text) { timeline.fail(make_failure(status, text)); });
}

// ---- host functions ---------------------------------------------------------------------------

bool Stream::hand_to_callbacks() noexcept {
  device_.callbacks().push(*this);
  return false;
}

bool Stream::is_host_next() noexcept {
  if (!has_work()) return false;
  const Command& command = queue_.front();
  if (command.type == CommandType::host || command.type == CommandType::collective ||
      command.type == CommandType::exchange)
    return true;
  if (command.type != CommandType::graph || graph_step_ == 0) return false;
  const std::vector<GraphNode>& nodes = static_cast<const GraphCommand&>(command).program->nodes();
  return graph_step_ < nodes.size() && nodes[graph_step_].type == FLAGOS_GRAPH_NODE_TYPE_HOST;
}

void Stream::call_host() noexcept {
  do {
    Command& command = queue_.front();
    if (command.queued_ns != 0 && started_ns_ == 0) started_ns_ = now_ns();
    if (command.type == CommandType::graph) {
      call_host_node(static_cast<GraphCommand&>(command));
    } else if (command.type != CommandType::host) {
      run_collective(command);
      finish(command);
    } else {
      const auto& host = static_cast<HostCommand&>(command);
      host.function(host.user_data, poison_status_.load());
      finish(command);
    }
  } while (is_host_next());
  if (has_work() || !release()) device_.pool().push(*this, level_);
}

// The other ranks must not wait for one whose stream has failed.
void Stream::run_collective(Command& command) noexcept {
  const bool healthy = poison_status_.load(std::memory_order_relaxed) == FLAGOS_STATUS_OK;
  Failure failure;
  if (command.type == CommandType::collective) {
    auto& call = static_cast<CollectiveCommand&>(command);
    if (!healthy) return call.communicator->skip(command_name(command));
    failure = call.communicator->run(call.turn, call.operation, call.desc);
  } else {
    auto& call = static_cast<ExchangeCommand&>(command);
    if (!healthy) return call.communicator->skip(command_name(command));
    failure = call.communicator->exchange({call.messages.get(), call.count});
  }
  if (failure) poison(std::move(failure));
}

void Stream::call_host_node(GraphCommand& command) noexcept {
  const GraphNode& node = command.program->nodes()[graph_step_];
  const std::uint64_t started_ns = command.queued_ns != 0 ? now_ns() : 0;
  node.detail->host_function(node.detail->host_user_data, poison_status_.load());
  if (command.queued_ns != 0)
    emit(node.record_kind(), node.name(), 0, command.queued_ns, started_ns);
  ++graph_step_;
}

// ---- graphs -----------------------------------------------------------------------------------

bool Stream::run_graph(GraphCommand& command, Worker& worker) noexcept {
  // Resumed runs hold the graph already, except where they gave up waiting for it.
  if (!holds_graph && graph_step_ == 0 && !park([&] { return !command.graph->acquire(*this); }))
    return false;
  const std::vector<GraphNode>& nodes = command.program->nodes();
  for (; graph_step_ < nodes.size(); ++graph_step_) {
    if (command.queued_ns == 0) {
      if (!run_node(command, worker)) return false;
      continue;
    }
    const GraphNode& node = nodes[graph_step_];
    const std::uint64_t started_ns = now_ns();
    if (!run_node(command, worker)) return false;
    emit(node.record_kind(), node.name(), node.bytes(), command.queued_ns, started_ns);
  }
  graph_step_ = 0;
  if (holds_graph) {
    holds_graph = false;
    command.graph->release();
  }
  return true;
}

bool Stream::run_node(GraphCommand& command, Worker& worker) noexcept {
  const GraphNode& node = command.program->nodes()[graph_step_];
  const bool healthy = poison_status_.load(std::memory_order_relaxed) == FLAGOS_STATUS_OK;
  switch (node.type) {
    case FLAGOS_GRAPH_NODE_TYPE_HOST:
      return hand_to_callbacks();
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD:
      command.records[graph_step_]->complete(failure());
      return true;
    case FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT:
      return !healthy || !command.records[graph_step_] || wait_record(command.records[graph_step_]);
    case FLAGOS_GRAPH_NODE_TYPE_KERNEL:
      if (!healthy) return true;
      if (Failure failure = node.kernel->run(node.shape, node.arguments, worker))
        fail_kernel(std::move(failure));
      return true;
    case FLAGOS_GRAPH_NODE_TYPE_FILL: {
      const GraphDetail& fill = *node.detail;
      if (healthy)
        fill_bytes(fill.fill_target, fill.fill_pattern, fill.fill_pattern_bytes, fill.fill_bytes,
                   {worker, offer_});
      return true;
    }
    default:  // the two copies; a program holds no other type
      if (healthy) copy_rows(node.detail->copy, {worker, offer_});
      return true;
  }
}

}  // namespace flagos::cpu
