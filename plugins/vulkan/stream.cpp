#include "plugins/vulkan/stream.hpp"

#include <algorithm>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/queue.hpp"
#include "plugins/vulkan/timeline.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint32_t in_flight_target = 2;
constexpr std::uint32_t in_flight_limit = 32;
constexpr std::uint32_t batch_commands = 64;
// A thread that waits for the stream runs copies of ordinary memory which, at so many bytes in a
// nanosecond, take no longer than it waits.
constexpr std::uint64_t copied_bytes_per_ns = 6;

std::uint64_t copied_within(const Deadline& deadline) {
  const std::uint64_t left = deadline.left_ns();
  return left > UINT64_MAX / copied_bytes_per_ns ? UINT64_MAX : left * copied_bytes_per_ns;
}

}  // namespace

Stream::Stream(Device& device) : Stream(device, device.choose_queue()) {}

Stream::Stream(Device& device, Queue& queue) : device_(device), queue_(queue), profile_(device) {
  device_.instance().ready.reserve(device_.instance().ready.size() + device_.stream_count() + 1);
  device_.add(*this);
  ++queue_.stream_count;
}

// With the lock held, and all work done.
Stream::~Stream() {
  leave_park();
  if (open_) queue_.put_back(std::move(open_));
  if (is_attended_) queue_.leave();
  device_.pool().remove(*this);
  std::erase(device_.instance().ready, this);
  device_.remove(*this);
  --queue_.stream_count;
}

const Host& Stream::host() const noexcept { return device_.host(); }

void Stream::submit(Command&& command) {
  if (submit_failure_) throw Error(*submit_failure_);
  command.sequence = submitted_ + 1;
  profile_.note(command, submitted_);
  const bool was_healthy = !failure_;
  if (hold_ == Hold::none && pending_.is_empty() && run(command)) {
    executed_ = ++submitted_;
    settle();
  } else {
    command.own_arguments();
    pending_.push(std::move(command));
    ++submitted_;
    settle();
  }
  if (was_healthy && failure_) [[unlikely]]
    throw Error(*failure_);
}

bool Stream::run(Command& command) {
  if (failure_ && command.type != Command::Type::host) {
    skip(command);
    return true;
  }
  switch (command.type) {
    case Command::Type::launch:
      record_launch(command);
      return true;
    case Command::Type::copy:
      return run_copy(command);
    case Command::Type::fill:
      return run_fill(command);
    case Command::Type::record:
      run_record(command);
      return true;
    case Command::Type::wait_record:
    case Command::Type::wait_timeline:
      return run_wait(command);
    case Command::Type::signal_timeline:
      run_signal(command);
      return true;
    case Command::Type::host:
      return give_to_host();
    case Command::Type::reset:
      return true;
  }
  return true;
}

void Stream::skip(Command& command) noexcept {
  if (command.type == Command::Type::record) command.record->complete(failure_, 0);
  if (command.type == Command::Type::signal_timeline) command.timeline->fail(failure_);
  if (command.type == Command::Type::reset) failure_.reset();
}

void Stream::pump() noexcept {
  while (hold_ == Hold::none && !pending_.is_empty()) {
    Command& command = pending_.front();
    bool done = true;
    guard([&] { done = run(command); },
          [&](flagos_status_t status, const char* text) {
            poison(make_failure(status, text));
            skip(command);
            done = command.type != Command::Type::host;
          });
    if (!done) break;
    executed_ = command.sequence;
    pending_.pop();
  }
  settle();
}

bool Stream::needs_service() const noexcept {
  if (urgent_in_flight_ != 0) return true;
  return waiters_ == 0 && (open_ != nullptr || hold_ == Hold::draining || hold_ == Hold::full);
}

void Stream::settle() noexcept {
  if (open_ && (in_flight_ < in_flight_target || open_->is_urgent)) flush();
  if (is_idle() && completed_ != executed_) {
    completed_ = executed_;
    device_.instance().notify();
  }
  if (const bool needed = needs_service(); needed != is_attended_) {
    is_attended_ = needed;
    needed ? queue_.attend() : queue_.leave();
  }
  if (hold_ == Hold::host_queued && !is_in_pool_ && !may_be_stolen()) {
    is_in_pool_ = true;
    device_.pool().push(*this);
  }
  // A thread that waits takes the place of the queue's and the pool's.
  if (waiters_ != 0 && !is_idle_or_parked()) device_.instance().notify();
}

bool Stream::is_idle_or_parked() const noexcept {
  return in_flight_ == 0 && hold_ != Hold::host_queued;
}

void Stream::begin_wait(std::uint64_t copied_bytes) noexcept {
  ++waiters_;
  waiter_bytes_ = std::max(waiter_bytes_, copied_bytes);
}

void Stream::end_wait() noexcept {
  if (--waiters_ == 0) waiter_bytes_ = 0;
  settle();
}

// Whether a thread that waits for the stream will run what is the host's.
bool Stream::may_be_stolen() noexcept {
  return waiters_ != 0 && pending_.front().type != Command::Type::host &&
         pending_.front().bytes <= waiter_bytes_;
}

bool Stream::drain() noexcept {
  if (open_) flush();
  if (is_idle()) return true;
  hold_ = Hold::draining;
  return false;
}

bool Stream::give_to_host() noexcept {
  if (drain()) hold_ = Hold::host_queued;
  return false;
}

Batch& Stream::open(const Needs& needs) {
  // What is due behind a command must not wait for those behind it; a time stamp is none to wait for.
  const bool is_due = open_ && !open_->actions().empty() && !needs.is_stamp;
  if (open_ && (open_->command_count() >= batch_commands || is_due ||
                !open_->has_room(needs.upload_bytes) || !open_->has_queries(needs.queries) ||
                (needs.buffers != 0 && !open_->has_set_room(needs.buffers))))
    flush();
  if (failure_) throw Error(*failure_);
  if (!open_) {
    std::unique_ptr<Batch> batch = queue_.take();
    try {
      batch->begin(*this);
    } catch (...) {
      queue_.put_back(std::move(batch));
      throw;
    }
    open_ = std::move(batch);
  }
  open_->note_command();
  return *open_;
}

void Stream::flush() noexcept {
  Batch& batch = *open_;
  batch.last_sequence = executed_;
  if (!batch.stamps().empty()) batch.submitted_ns = monotonic_ns();
  bool is_submitted = false;
  guard(
      [&] {
        batch.end();
        queue_.submit(open_);
        is_submitted = true;
      },
      [&](flagos_status_t status, const char* text) {
        const Failure failure = make_failure(status, text);
        std::unique_ptr<Batch> failed = std::move(open_);
        poison(failure);
        complete_actions(*failed, failure);
        queue_.put_back(std::move(failed));
        if (status == FLAGOS_STATUS_DEVICE_LOST) device_.lose(failure);
      });
  if (!is_submitted) return;
  ++in_flight_;
  if (batch.is_urgent) ++urgent_in_flight_;
  newest_ = &batch;
  last_value_ = batch.value;
  for (const Action& action : batch.actions()) {
    if (action.type != Action::Type::record) continue;
    action.record->semaphore = queue_.semaphore();
    action.record->value = batch.value;
  }
  if (in_flight_ >= in_flight_limit && hold_ == Hold::none) hold_ = Hold::full;
}

void Stream::make_urgent(Batch& batch) noexcept {
  if (batch.is_urgent) return;
  batch.is_urgent = true;
  if (&batch != open_.get()) ++urgent_in_flight_;
  mark_ready();
}

void Stream::complete_actions(Batch& batch, const Failure& failure) noexcept {
  for (Action& action : batch.actions()) {
    switch (action.type) {
      case Action::Type::record: {
        std::uint64_t time_ns = monotonic_ns();
        if (!failure && action.query != UINT32_MAX) time_ns = batch.timestamp_ns(action.query);
        action.record->complete(failure ? failure : failure_, time_ns);
        break;
      }
      case Action::Type::signal:
        if (failure)
          action.timeline->fail(failure);
        else
          signal_or_fail(*action.timeline, action.value);
        break;
      case Action::Type::check:
        if (!failure && *action.word != 0) poison(kernel_failure(action.name, *action.word));
        break;
    }
  }
  batch.actions().clear();
}

void Stream::finish(Batch& batch) noexcept {
  profile_.finish(batch);
  complete_actions(batch, nullptr);
  --in_flight_;
  if (batch.is_urgent) --urgent_in_flight_;
  completed_ = std::max(completed_, batch.last_sequence);
  if (in_flight_ == 0) newest_ = nullptr;
  if (in_flight_ == 0 && hold_ == Hold::draining) hold_ = Hold::none;
  if (in_flight_ <= in_flight_limit / 2 && hold_ == Hold::full) hold_ = Hold::none;
  device_.instance().notify();
  mark_ready();
}

void Stream::fail(Batch& batch, const Failure& failure) noexcept {
  poison(failure);
  complete_actions(batch, failure);
  --in_flight_;
  if (batch.is_urgent) --urgent_in_flight_;
  if (in_flight_ == 0) newest_ = nullptr;
}

void Stream::poison(const Failure& failure) noexcept {
  if (failure_) return;
  failure_ = submit_failure_ = failure;
}

// The device is lost, and the queue has failed what was in flight.
void Stream::lose(const Failure& failure) noexcept {
  poison(failure);
  if (open_) {
    std::unique_ptr<Batch> batch = std::move(open_);
    complete_actions(*batch, failure);
    queue_.put_back(std::move(batch));
  }
  leave_park();
  if (hold_ == Hold::parked || hold_ == Hold::draining || hold_ == Hold::full) hold_ = Hold::none;
  device_.instance().notify();
  mark_ready();
}

void Stream::leave_park() noexcept {
  if (parked_record_) parked_record_->unpark(*this);
  if (parked_timeline_) parked_timeline_->unpark(*this);
  parked_record_ = RecordRef();
  parked_timeline_.reset();
}

void Stream::unpark() noexcept {
  parked_record_ = RecordRef();
  parked_timeline_.reset();
  if (hold_ == Hold::parked) hold_ = Hold::none;
  mark_ready();
}

void Stream::mark_ready() noexcept {
  if (is_ready_) return;
  is_ready_ = true;
  device_.instance().ready.push_back(this);
}

void Stream::run_ready(Instance& instance) noexcept {
  // Streams that run on may make others ready.
  for (std::size_t i = 0; i < instance.ready.size(); ++i) {
    Stream& stream = *instance.ready[i];
    stream.is_ready_ = false;
    stream.pump();
  }
  instance.ready.clear();
}

bool Stream::wait_for(std::uint64_t sequence, const Deadline& deadline,
                      std::unique_lock<std::mutex>& lock) noexcept {
  Instance& instance = device_.instance();
  const std::uint64_t own_bytes = copied_within(deadline);
  begin_wait(own_bytes);
  for (;;) {
    queue_.reap();
    run_ready(instance);
    if (is_complete(sequence)) break;
    if (hold_ == Hold::host_queued && !deadline.is_poll() && may_be_stolen() &&
        pending_.front().bytes <= own_bytes) {
      device_.pool().remove(*this);
      run_host(lock);
      continue;
    }
    if (open_) {
      flush();
      continue;
    }
    if (deadline.has_passed()) break;
    if (in_flight_ != 0) {
      const std::uint64_t value = last_value_;
      lock.unlock();
      const VkResult result = queue_.wait_for(value, deadline.left_ns());
      lock.lock();
      if (result < VK_SUCCESS) device_.lose(failure_of(result, "vkWaitSemaphores"));
      continue;
    }
    ++instance.sleepers;
    deadline.wait(instance.changed, lock);
    --instance.sleepers;
  }
  end_wait();
  run_ready(instance);
  return is_complete(sequence);
}

flagos_status_t Stream::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  Lock lock(device_);
  if (!wait_for(submitted_, deadline, lock.raw())) return FLAGOS_STATUS_TIMEOUT;
  if (failure_) throw Error(*failure_);
  return FLAGOS_STATUS_OK;
}

void Stream::reset() {
  Lock lock(device_);
  if (device_.is_lost()) throw Error(*device_.loss());
  if (!failure_) return;
  if (hold_ == Hold::none && pending_.is_empty()) {
    failure_.reset();
  } else {
    Command command(Command::Type::reset);
    command.sequence = submitted_ + 1;
    pending_.push(std::move(command));
    ++submitted_;
  }
  submit_failure_.reset();
}

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t*,
                              flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    Lock lock(self);
    if (self.is_lost()) throw Error(*self.loss());
    *out_stream = to_c(std::make_unique<Stream>(self).release());
  });
}

void stream_destroy(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  Lock lock(self.device());
  // Core destroys what is idle; a batch may still wait to be looked at.
  self.wait_for(self.submitted(), Deadline(UINT64_MAX), lock.raw());
  delete &self;
}

flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Lock lock(self.device());
    const RecordRef& record = from_c(event).current();
    Command command(Command::Type::wait_record);
    command.record = record;
    self.submit(std::move(command));
  });
}

flagos_status_t stream_launch_host(flagos_plugin_stream_t* stream, flagos_host_function_t function,
                                   void* user_data) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Lock lock(self.device());
    Command command(Command::Type::host);
    command.function = function;
    command.user_data = user_data;
    self.submit(std::move(command));
  });
}

flagos_status_t stream_reset(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] { self.reset(); });
}

}  // namespace flagos::vulkan
