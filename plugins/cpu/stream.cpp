#include "plugins/cpu/stream.hpp"

#include <sched.h>

#include <cstring>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"

namespace flagos::cpu {
namespace {
constexpr std::uint32_t deep_queue_chunks = 64;  // some 16,000 launches
constexpr std::uint64_t stall_ns = 200'000;
constexpr std::uint64_t pick_up_ns = 4'000;
constexpr std::uint64_t wait_spin_ns = 20'000;
}  // namespace

Stream::Stream(Device& device, std::int32_t priority)
    : device_(device),
      id_(device.instance().next_stream_id.fetch_add(1)),
      level_(static_cast<std::uint32_t>(priority - priority_high)) {}

Stream& Stream::create(Device& device, std::int32_t priority) {
  if (priority < priority_high || priority > priority_low)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "priority {}, expected {} to {}", priority,
                priority_high, priority_low);
  const auto drop = [](Stream* stream) { stream->drop(); };
  std::unique_ptr<Stream, decltype(drop)> stream(new Stream(device, priority));
  device.add(*stream);
  return *stream.release();
}

void Stream::drop() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

std::uint64_t Stream::queued_time() const noexcept { return device_.is_profiling() ? now_ns() : 0; }

// A producer that is faster than the device is held back, so that the queue does not grow without
// end. But whoever submits may be the one that the stream waits for: when nothing moves the queue
// grows instead.
void Stream::wait_for_room() noexcept {
  if (queue_.chunk_count() < deep_queue_chunks) return;
  std::uint64_t seen = completed_.load();
  std::uint64_t until = now_ns() + stall_ns;
  while (seen != stalled_at_ && queue_.chunk_count() >= deep_queue_chunks) {
    for (int i = 0; i < 64; ++i) relax();
    sched_yield();
    const std::uint64_t completed = completed_.load();
    if (completed != seen) {
      seen = completed;
      until = now_ns() + stall_ns;
    } else if (now_ns() >= until) {
      stalled_at_ = seen;
    }
  }
}

// The holder clears scheduled_ and then looks at submitted_ again; here it is the other way round.
void Stream::schedule() noexcept {
  if (scheduled_.load() || scheduled_.exchange(true)) return;
  acquire();
  device_.pool().push(*this, level_);
}

bool Stream::release() noexcept {
  processor_.store(not_running(processor_.load(std::memory_order_relaxed)),
                   std::memory_order_relaxed);
  scheduled_.store(false);
  if (submitted_.load() != completed_.load() && !scheduled_.exchange(true)) return false;
  drop();
  return true;
}

void Stream::unpark() noexcept {
  unlink();
  device_.pool().push(*this, level_);
}

void Stream::submit_launch(const Kernel& kernel, const LaunchShape& shape, const void* arguments,
                           std::size_t size_bytes) {
  // Behind the command's own cache line, where the arguments are aligned as parameters may ask for.
  constexpr std::size_t padding = 64 - sizeof(LaunchCommand);
  submit<LaunchCommand>(padding + size_bytes, [&](LaunchCommand& command) {
    command.kernel = &kernel;
    command.shape = shape;
    command.argument_bytes = static_cast<std::uint32_t>(size_bytes);
    if (size_bytes != 0) std::memcpy(command.arguments(), arguments, size_bytes);
  });
}

Failure Stream::failure() const {
  if (poison_status_.load() == FLAGOS_STATUS_OK) return nullptr;
  const std::lock_guard lock(poison_mutex_);
  return poison_;
}

void Stream::throw_if_poisoned() const {
  if (const Failure failure = this->failure()) throw Error(*failure);
}

void Stream::poison(Failure failure) noexcept {
  {
    const std::lock_guard lock(poison_mutex_);
    if (poison_) return;
    poison_ = failure;
    poison_status_.store(failure->status());
  }
  const Host& host = device_.host();
  entry(host, [&] {
    host.log(FLAGOS_LOG_LEVEL_WARNING,
             fmt::format("cpu: stream {} is poisoned: {}", id_, failure->what()));
  });
}

// What a kernel says of the device is true for all of its streams.
void Stream::fail_kernel(Failure failure) noexcept {
  const bool loses = failure->status() == FLAGOS_STATUS_DEVICE_LOST;
  poison(failure);
  if (loses) device_.lose(failure);
}

void Stream::give_up(const Failure& failure) noexcept {
  poison(failure);
  const std::lock_guard lock(device_.instance().lot.mutex);
  is_given_up_ = true;
  if (is_parked()) unpark();
}

// Spinning pays while a worker runs the stream on another processor, or may pick it up there in a
// moment. On a busy machine the worker may have to share ours: then spinning would only keep it
// from running.
template <typename Done>
bool Stream::spin_until_done(const Done& is_done) const noexcept {
  const int here = current_processor();
  bool done = false;
  const auto is_over = [&] {
    done = is_done();
    const int where = processor_.load(std::memory_order_relaxed);
    return done || where == here || where == not_running(here);
  };
  if (!spin_until(is_over, pick_up_ns) && processor_.load(std::memory_order_relaxed) >= 0)
    spin_until(is_over, wait_spin_ns);
  return done;
}

bool Stream::wait_for(std::uint64_t count, const Deadline& deadline) noexcept {
  const auto is_done = [&] { return completed_.load() >= count; };
  if (is_done()) return true;
  if (deadline.is_poll()) return false;
  // Often the bytes of a copy lie in the cache of the thread that waits for it.
  const auto may_help = [&] {
    return is_done() || offer_.load(std::memory_order_relaxed) != nullptr;
  };
  while (spin_until_done(may_help)) {
    if (is_done()) return true;
    if (!device_.pool().assist(offer_, deadline) && spin_until_done(is_done)) return true;
  }
  return signal_.wait(
      [&] {
        await(count);
        return is_done();
      },
      deadline);
}

// finish() takes all counts away when it wakes sleepers: each says its own again before it sleeps on.
void Stream::await(std::uint64_t count) noexcept {
  std::uint64_t least = awaited_.load();
  while (count < least && !awaited_.compare_exchange_weak(least, count)) continue;
}

flagos_status_t Stream::synchronize(std::uint64_t timeout_ns) {
  // Where the work is done the clock would cost more than all else.
  const std::uint64_t count = submitted_.load();
  const bool is_done = completed_.load() >= count || wait_for(count, Deadline(timeout_ns));
  // Also where there is more: core may have put a mark behind the work that failed.
  throw_if_poisoned();
  return is_done ? FLAGOS_STATUS_OK : FLAGOS_STATUS_TIMEOUT;
}

void Stream::reset() {
  if (poison_status_.load() == FLAGOS_STATUS_OK) return;
  wait_for(submitted_.load(), Deadline(UINT64_MAX));
  correlation_ = 0;  // the mark that ends it was refused
  const std::lock_guard lock(poison_mutex_);
  poison_.reset();
  poison_status_.store(FLAGOS_STATUS_OK);
}

// Core destroys a stream when its work is done. What is parked even so would wait for ever: it is
// given up.
void Stream::destroy() noexcept {
  {
    const std::lock_guard lock(device_.instance().lot.mutex);
    is_cancelled_ = true;
    if (is_parked()) unpark();
  }
  wait_for(submitted_.load(), Deadline(UINT64_MAX));
  device_.remove(*this);
  drop();
}

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_stream = to_c(&Stream::create(self, desc != nullptr ? desc->priority : 0));
  });
}

void stream_destroy(flagos_plugin_stream_t* stream) noexcept { from_c(stream).destroy(); }

flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    RecordRef record = from_c(event).current();
    if (!record || record->is_done()) return self.throw_if_poisoned();
    self.submit<WaitRecordCommand>(
        [&](WaitRecordCommand& command) { command.record = std::move(record); });
  });
}

flagos_status_t stream_launch_host(flagos_plugin_stream_t* stream, flagos_host_function_t function,
                                   void* user_data) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<HostCommand>([&](HostCommand& command) {
      command.function = function;
      command.user_data = user_data;
    });
  });
}

namespace {

// On a poisoned stream nothing is recorded: there it is refused like everything.
void mark(flagos_plugin_stream_t* stream, bool begins) noexcept {
  Stream& self = from_c(stream);
  entry(self.device().host(), [&] {
    self.submit<MarkCommand>([&](MarkCommand& command) {
      command.queued_ns = 0;
      command.begins = begins;
    });
  });
}

}  // namespace

void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept { mark(stream, true); }

void stream_end_launch(flagos_plugin_stream_t* stream) noexcept { mark(stream, false); }

flagos_status_t stream_write_value(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   std::uint64_t value, std::uint32_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<WriteValueCommand>([&](WriteValueCommand& command) {
      command.target = target;
      command.value = value;
      command.bytes = size_bytes;
    });
  });
}

flagos_status_t stream_wait_value(flagos_plugin_stream_t* stream, flagos_address_t source,
                                  std::uint64_t value, std::uint32_t size_bytes,
                                  flagos_compare_t compare) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<WaitValueCommand>([&](WaitValueCommand& command) {
      command.condition = {source, value, size_bytes, compare};
    });
  });
}

flagos_status_t stream_reset(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] { self.reset(); });
}

}  // namespace flagos::cpu
