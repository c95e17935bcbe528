// Soft queues: what is asked of them, and the sequencer that works them off.
#include "core/soft_queue.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

#include "base/never_destroyed.hpp"
#include "base/thread.hpp"
#include "core/callback_pool.hpp"
#include "core/entry.hpp"
#include "core/issue.hpp"
#include "core/log.hpp"
#include "core/shared_event.hpp"
#include "core/soft_queue_state.hpp"
#include "core/soft_step.hpp"
#include "core/stream.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

namespace {

flagos_event_desc_t marker_desc() {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  return desc;
}

class Sequencer {
 public:
  // Takes a stream that has just got a soft queue; under its rare_mutex.
  void add(Stream& stream);
  void wake();
  void stop();

 private:
  void run();
  bool advance_all(std::vector<Ref<Stream>>& streams, bool& polls);
  void wait(std::uint64_t seen, std::uint64_t nanoseconds);

  std::atomic<std::uint32_t> watched_{0};  // streams; read and written by read-modify-writes only, see wake
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Ref<Stream>> added_;
  std::uint64_t signals_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

// Never destroyed: the thread may run until the end of the process.
Sequencer& sequencer() {
  static NeverDestroyed<Sequencer> the_sequencer;
  return *the_sequencer;
}

void Sequencer::add(Stream& stream) {
  std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    stop_ = false;
    thread_ = start_thread("flagos-sequence", {}, [this] { run(); });
  }
  added_.emplace_back(&stream);
  watched_.fetch_add(1, std::memory_order_seq_cst);
  ++signals_;
  changed_.notify_one();
}

void Sequencer::wake() {
  // Whoever changed a condition comes here afterwards, and the sequencer looks at conditions after it counted the
  // stream: of two read-modify-writes of one variable the later one sees what came before the earlier one.
  if (watched_.fetch_add(0, std::memory_order_seq_cst) == 0) return;
  std::lock_guard lock(mutex_);
  ++signals_;
  changed_.notify_one();
}

void Sequencer::stop() {
  std::thread thread;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_one();
    thread.swap(thread_);
  }
  if (!thread.joinable()) return;
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else {
    thread.join();
  }
}

void Sequencer::wait(std::uint64_t seen, std::uint64_t nanoseconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::nanoseconds(nanoseconds), [&] { return stop_ || signals_ != seen; });
}

// True if anything moved.
bool Sequencer::advance_all(std::vector<Ref<Stream>>& streams, bool& polls) {
  bool moved = false;
  for (std::size_t i = 0; i < streams.size();) {
    const SoftProgress progress = soft_advance(*streams[i]);
    moved |= progress.moved;
    polls |= progress.polls;
    if (!progress.empty) {
      ++i;
      continue;
    }
    watched_.fetch_sub(1, std::memory_order_seq_cst);
    streams[i] = std::move(streams.back());
    streams.pop_back();
  }
  return moved;
}

void Sequencer::run() {
  constexpr std::uint64_t shortest_ns = 10'000;
  constexpr std::uint64_t longest_ns = 1'000'000;
  constexpr std::uint64_t idle_ns = 50'000'000;  // a lost device or a poison is noticed without a signal, too
  std::vector<Ref<Stream>> streams;
  std::uint64_t pause_ns = shortest_ns;
  while (true) {
    std::uint64_t seen = 0;
    {
      std::unique_lock lock(mutex_);
      if (streams.empty()) changed_.wait(lock, [&] { return stop_ || !added_.empty(); });
      if (stop_ && streams.empty() && added_.empty()) return;
      seen = signals_;
      std::move(added_.begin(), added_.end(), std::back_inserter(streams));
      added_.clear();
    }
    bool polls = false;
    if (advance_all(streams, polls)) {
      pause_ns = shortest_ns;
      continue;
    }
    if (streams.empty()) continue;
    wait(seen, polls ? pause_ns : idle_ns);
    pause_ns = std::min(pause_ns * 2, longest_ns);
  }
}

CallbackPool& callbacks() {
  static auto& pool = *new CallbackPool;
  return pool;
}

// Under stream.rare_mutex: the queue, watched by the sequencer.
SoftQueue& open_queue(Stream& stream) {
  if (stream.soft_queue == nullptr) stream.soft_queue = std::make_shared<SoftQueue>(stream.device());
  if ((stream.mode() & Stream::soft) == 0) {
    stream.soft_queue->dirty = true;
    sequencer().add(stream);
    stream.set_mode(Stream::soft);
  }
  return *stream.soft_queue;
}

// All of them, or none where no memory is left.
void append(std::deque<Command>& queue, std::vector<Command>& commands) {
  const std::size_t before = queue.size();
  try {
    for (Command& command : commands) queue.push_back(std::move(command));
  } catch (...) {
    // Back to the caller: what they hold must not be dropped under the stream's lock.
    for (; queue.size() > before; queue.pop_back()) commands[queue.size() - before - 1] = std::move(queue.back());
    soft_wake();
    throw;
  }
  for (auto command = queue.begin() + static_cast<std::ptrdiff_t>(before); command != queue.end(); ++command)
    if (auto* record = std::get_if<RecordCommand>(&*command); record != nullptr && record->record != nullptr)
      record->record->issued.store(false, std::memory_order_release);
}

}  // namespace

SoftQueue::SoftQueue(Device& device) : marker(device, marker_desc()) {}

bool is_native_timeline(const Stream& stream, const Timeline& timeline) {
  return timeline.native() != nullptr && &timeline.device().plugin() == &stream.device().plugin();
}

namespace {

bool record_needs_soft_queue(const Stream& stream, NativeEvent& record) {
  if (record.failed.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) return false;
  if (!record.issued.load(std::memory_order_acquire)) return true;
  if (&record.device().plugin() == &stream.device().plugin()) return false;
  return record.synchronize(0) == FLAGOS_STATUS_TIMEOUT;
}

bool wait_needs_soft_queue(const Stream& stream, const WaitTimelineCommand& command) {
  if (is_native_timeline(stream, *command.timeline)) return false;
  return command.timeline->wait_status(command.value, Timeline::By::stream) != FLAGOS_STATUS_OK;
}

}  // namespace

bool needs_soft_queue(const Stream& stream, const Command& command) {
  const bool host_functions = stream.tables().has.launch_host;
  if (std::holds_alternative<HostCommand>(command) || std::holds_alternative<NotifyCommand>(command))
    return !host_functions;
  if (const auto* signal = std::get_if<SignalTimelineCommand>(&command))
    return !host_functions && !is_native_timeline(stream, *signal->timeline);
  if (std::holds_alternative<PeerCopyCommand>(command)) return true;
  if (const auto* wait = std::get_if<WaitSharedCommand>(&command))
    return wait->event->test(wait->record) != FLAGOS_STATUS_OK;
  if (const auto* wait = std::get_if<WaitTimelineCommand>(&command)) return wait_needs_soft_queue(stream, *wait);
  if (const auto* wait = std::get_if<WaitEventCommand>(&command))
    return record_needs_soft_queue(stream, wait->record != nullptr ? *wait->record : *wait->event->current());
  return false;
}

flagos_status_t soft_submit(Stream& stream, Command command) {
  std::vector<Command> commands;
  commands.push_back(std::move(command));
  return soft_submit(stream, std::move(commands));
}

flagos_status_t soft_submit(Stream& stream, std::vector<Command> commands) {
  {
    std::lock_guard lock(stream.rare_mutex);
    SoftQueue& queue = open_queue(stream);
    append(queue.commands, commands);
    queue.submitted += commands.size();
  }
  sequencer().wake();
  return FLAGOS_STATUS_OK;
}

bool soft_notify(Stream& stream, std::function<void(flagos_status_t)> function) {
  {
    std::lock_guard lock(stream.rare_mutex);
    if ((stream.mode() & Stream::soft) == 0) return false;
    stream.soft_queue->commands.emplace_back(NotifyCommand{std::move(function)});
    ++stream.soft_queue->submitted;
  }
  sequencer().wake();
  return true;
}

flagos_status_t soft_synchronize(Stream& stream, std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  // A stream whose handle is gone already is waited for by core itself, for its device.
  const bool watch_handle = (stream.mode() & Stream::dead) == 0;
  std::unique_lock lock(stream.rare_mutex);
  if (stream.soft_queue == nullptr) return FLAGOS_STATUS_OK;
  SoftQueue& queue = *stream.soft_queue;
  const std::uint64_t target = queue.submitted;
  while (queue.completed < target) {
    if (deadline.expired()) return FLAGOS_STATUS_TIMEOUT;
    if (watch_handle && (stream.mode() & Stream::dead)) return FLAGOS_STATUS_CANCELLED;
    queue.progress.wait_for(lock, std::chrono::nanoseconds(deadline.slice_ns()));
  }
  return FLAGOS_STATUS_OK;
}

void soft_wake() { sequencer().wake(); }

void soft_cancel(Stream& stream, flagos_status_t status) {
  {
    std::lock_guard lock(stream.rare_mutex);
    if ((stream.mode() & Stream::soft) == 0) return;
    stream.soft_queue->cancelled.store(status, std::memory_order_release);
  }
  sequencer().wake();
}

void soft_shutdown() {
  sequencer().stop();
  callbacks().stop();
}

void run_callback(std::function<void()> function) { callbacks().run(std::move(function)); }

}  // namespace flagos::core
