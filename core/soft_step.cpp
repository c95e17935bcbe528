// The conditions at the head of a soft queue, one by one.
#include "core/soft_step.hpp"

#include "core/entry.hpp"
#include "core/issue.hpp"
#include "core/log.hpp"
#include "core/peer_copy.hpp"
#include "core/shared_event.hpp"
#include "core/soft_queue.hpp"
#include "core/soft_queue_state.hpp"
#include "core/stream.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

namespace {

enum class Outcome { done, told, polled };  // told: somebody calls soft_wake when it may go on

// The first command of a queue.
struct Head {
  Stream& stream;
  SoftQueue& queue;
  flagos_status_t dropped;  // why it is to be skipped, OK when it is not

  Outcome operator()(const HostCommand& command);
  Outcome operator()(const NotifyCommand& command);
  Outcome operator()(const SignalTimelineCommand& command);
  Outcome operator()(const WaitTimelineCommand& command);
  Outcome operator()(const WaitEventCommand& command);
  Outcome operator()(const RecordCommand& command);
  Outcome operator()(const PeerCopyCommand& command);
  Outcome operator()(const WaitSharedCommand& command);
  template <typename T>
  Outcome operator()(const T& command) {
    if (dropped == FLAGOS_STATUS_OK) hand_over(command);
    return Outcome::done;
  }

  bool drain(Outcome& outcome);
  Outcome blocked(bool polled);
  void begin_drain();
  void hand_over(const Command& command);
};

flagos_status_t why_dropped(Stream& stream, SoftQueue& queue) {
  if (const flagos_status_t status = queue.cancelled.load(std::memory_order_acquire)) return status;
  if (stream.mode() & Stream::lost) {
    const flagos_status_t lost = stream.device().lost();
    return lost != FLAGOS_STATUS_OK ? lost : FLAGOS_STATUS_DEVICE_LOST;
  }
  return stream.poison_status();
}

// The caller of the submission got OK long ago: from now on only the stream can tell.
void Head::hand_over(const Command& command) {
  queue.dirty = true;
  const flagos_status_t status = issue(stream, command);
  if (status != FLAGOS_STATUS_OK) stream.poison(checked(status, "a submission"));
}

void Head::begin_drain() {
  queue.step = SoftQueue::Step::draining;
  queue.signal = nullptr;
  flagos_status_t status = FLAGOS_STATUS_OK;
  if (stream.mode() & Stream::lost) {
    status = dropped;
  } else if (!queue.dirty) {
    queue.drained = FLAGOS_STATUS_OK;
    return;
  } else if (stream.tables().has.launch_host) {
    auto signal = std::make_shared<SoftSignal>();
    status = issue_notification(stream, [signal](flagos_status_t passed) {
      signal->status.store(passed, std::memory_order_relaxed);
      signal->done.store(true, std::memory_order_release);
      soft_wake();
    });
    if (status == FLAGOS_STATUS_OK) queue.signal = std::move(signal);
  } else {
    status = stream.tables().event.record(queue.marker.native(), stream.native());
  }
  queue.drained = status == FLAGOS_STATUS_OK ? FLAGOS_STATUS_TIMEOUT : checked(status, "event.record");
}

// True once the work that was handed to the plugin has passed, or failed: `dropped` says which.
bool Head::drain(Outcome& outcome) {
  if (queue.step == SoftQueue::Step::fresh) begin_drain();
  outcome = Outcome::polled;
  if (queue.drained == FLAGOS_STATUS_TIMEOUT && (stream.mode() & Stream::lost) == 0) {
    if (queue.signal != nullptr) {
      outcome = Outcome::told;
      if (!queue.signal->done.load(std::memory_order_acquire)) return false;
      queue.drained = queue.signal->status.load(std::memory_order_relaxed);
    } else {
      queue.drained = stream.tables().event.synchronize(queue.marker.native(), 0);
      if (queue.drained == FLAGOS_STATUS_TIMEOUT) return false;
      queue.drained = checked(queue.drained, "event.synchronize");
    }
  }
  queue.dirty = false;
  const bool failed = queue.drained != FLAGOS_STATUS_OK && queue.drained != FLAGOS_STATUS_TIMEOUT;
  if (dropped == FLAGOS_STATUS_OK && failed) {
    stream.poison(queue.drained);
    dropped = stream.poison_status();
  }
  return true;
}

// What a wait comes to whose condition does not hold: it is skipped when work before it fails.
Outcome Head::blocked(bool polled) {
  if (!queue.dirty) return polled ? Outcome::polled : Outcome::told;
  const flagos_status_t status = stream.tables().stream.synchronize(stream.native(), 0);
  if (status == FLAGOS_STATUS_TIMEOUT) return Outcome::polled;
  queue.dirty = false;
  if (status == FLAGOS_STATUS_OK) return polled ? Outcome::polled : Outcome::told;
  stream.poison(checked(status, "stream.synchronize"));
  return Outcome::done;
}

Outcome Head::operator()(const HostCommand& command) {
  Outcome outcome = Outcome::done;
  if (queue.step != SoftQueue::Step::calling) {
    if (!drain(outcome)) return outcome;
    auto returned = std::make_shared<SoftSignal>();
    run_callback([command, returned, status = dropped] {
      call_host_function(command.function, command.user_data, status);
      returned->done.store(true, std::memory_order_release);
      soft_wake();
    });
    queue.signal = std::move(returned);
    queue.step = SoftQueue::Step::calling;
  }
  return queue.signal->done.load(std::memory_order_acquire) ? Outcome::done : Outcome::told;
}

Outcome Head::operator()(const NotifyCommand& command) {
  Outcome outcome = Outcome::done;
  if (!drain(outcome)) return outcome;
  command.function(dropped);
  return Outcome::done;
}

Outcome Head::operator()(const SignalTimelineCommand& command) {
  if (dropped == FLAGOS_STATUS_OK && is_native_timeline(stream, *command.timeline)) {
    hand_over(command);
    return Outcome::done;
  }
  Outcome outcome = Outcome::done;
  if (!drain(outcome)) return outcome;
  if (dropped == FLAGOS_STATUS_OK) {
    command.timeline->signal_or_fail(command.value);
  } else {
    command.timeline->fail(dropped);
  }
  return Outcome::done;
}

Outcome Head::operator()(const WaitTimelineCommand& command) {
  if (dropped != FLAGOS_STATUS_OK) return Outcome::done;
  if (is_native_timeline(stream, *command.timeline)) {
    hand_over(command);
    return Outcome::done;
  }
  const flagos_status_t status = command.timeline->wait_status(command.value, Timeline::By::stream);
  if (status == FLAGOS_STATUS_TIMEOUT) return blocked(command.timeline->native() != nullptr);
  if (status != FLAGOS_STATUS_OK) stream.poison(status);
  return Outcome::done;
}

Outcome Head::operator()(const WaitEventCommand& command) {
  if (dropped != FLAGOS_STATUS_OK) return Outcome::done;
  NativeEvent& record = *command.record;
  // A record that failed ends the wait like any other: other streams go on.
  if (record.failed.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) return Outcome::done;
  if (!record.issued.load(std::memory_order_acquire)) return blocked(false);
  if (&record.device().plugin() != &stream.device().plugin())
    return record.synchronize(0) == FLAGOS_STATUS_TIMEOUT ? blocked(true) : Outcome::done;
  hand_over(command);
  return Outcome::done;
}

Outcome Head::operator()(const PeerCopyCommand& command) {
  Outcome outcome = Outcome::done;
  if (queue.step != SoftQueue::Step::calling) {
    if (!drain(outcome)) return outcome;
    if (dropped != FLAGOS_STATUS_OK) {
      command.transfer->finish();
      return Outcome::done;
    }
    auto returned = std::make_shared<SoftSignal>();
    run_callback([transfer = command.transfer, returned] {
      returned->status.store(transfer->run(), std::memory_order_relaxed);
      returned->done.store(true, std::memory_order_release);
      soft_wake();
    });
    queue.signal = std::move(returned);
    queue.step = SoftQueue::Step::calling;
  }
  if (!queue.signal->done.load(std::memory_order_acquire)) return Outcome::told;
  if (const flagos_status_t status = queue.signal->status.load(std::memory_order_relaxed)) stream.poison(status);
  return Outcome::done;
}

Outcome Head::operator()(const WaitSharedCommand& command) {
  if (dropped != FLAGOS_STATUS_OK) return Outcome::done;
  const flagos_status_t status = command.event->test(command.record);
  if (status == FLAGOS_STATUS_TIMEOUT) return blocked(true);
  // Its process died: nobody will ever complete it. A record that failed ends the wait: other streams go on.
  if (status == FLAGOS_STATUS_CANCELLED) stream.poison(status);
  return Outcome::done;
}

Outcome Head::operator()(const RecordCommand& command) {
  if (dropped == FLAGOS_STATUS_OK) {
    hand_over(command);
  } else if (command.record != nullptr) {
    command.record->failed.store(dropped, std::memory_order_release);
    command.record->issued.store(true, std::memory_order_release);
    soft_wake();
  }
  return Outcome::done;
}

// The first command, or nullptr: then the stream takes the direct path again.
const Command* first_command(Stream& stream, SoftQueue& queue) {
  std::lock_guard lock(stream.rare_mutex);
  if (!queue.commands.empty()) return &queue.commands.front();
  queue.cancelled.store(FLAGOS_STATUS_OK, std::memory_order_release);
  stream.clear_mode(Stream::soft);
  return nullptr;
}

void remove_first(Stream& stream, SoftQueue& queue) {
  // Whoever waits for this to be over may give the communicator work on another stream next.
  if (auto* collectives = std::get_if<CollectiveCommand>(&queue.commands.front())) collectives->tokens.clear();
  // Destroyed outside the lock: what a command holds may end with it, and that takes locks of its own.
  Command gone;
  std::lock_guard lock(stream.rare_mutex);
  std::swap(gone, queue.commands.front());
  queue.commands.pop_front();
  ++queue.completed;
  queue.progress.notify_all();
  queue.step = SoftQueue::Step::fresh;
  queue.signal = nullptr;
}

}  // namespace

SoftProgress soft_advance(Stream& stream) {
  SoftQueue& queue = *stream.soft_queue;
  SoftProgress progress;
  while (const Command* command = first_command(stream, queue)) {
    Outcome outcome = Outcome::polled;  // when it throws, for want of memory or threads, it is tried again
    const flagos_status_t status = guard(
        [&] {
          ReadSection section(this_thread());
          outcome = std::visit(Head{stream, queue, why_dropped(stream, queue)}, *command);
        },
        set_error_text);
    if (status != FLAGOS_STATUS_OK)
      log(FLAGOS_LOG_LEVEL_WARNING, "work that core holds back for a stream is delayed: {}", this_thread().error_text);
    progress.polls = outcome == Outcome::polled;
    if (outcome != Outcome::done) return progress;
    remove_first(stream, queue);
    progress.moved = true;
  }
  progress.empty = true;
  return progress;
}

}  // namespace flagos::core
