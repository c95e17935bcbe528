#include "plugins/opencl/stream.hpp"

#include <cstring>
#include <limits>

#include <sched.h>

#include "plugins/opencl/callback.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/transfer.hpp"

namespace flagos::opencl {
namespace {

constexpr std::size_t first_room = 64;
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
constexpr std::uint32_t word_bytes = 64;  // apart, so that devices do not write one line at once
constexpr std::uint32_t words_per_block = 64;

}  // namespace

Stream::Stream(Device& device)
    : device_(device),
      driver_(device.driver()),
      id_(device.instance().next_stream_id.fetch_add(1)),
      gates_(driver_, health_, signal_) {
  cl_int code = CL_SUCCESS;
  queue_ =
      driver_.clCreateCommandQueue(device.context(), device.id(), CL_QUEUE_PROFILING_ENABLE, &code);
  Driver::check(code, "clCreateCommandQueue");
}

Stream::~Stream() {
  cancel_callback(armed_callback_);
  while (gates_.is_failing()) sched_yield();
  retire(no_limit);
  for (; count_ != 0; --count_, ++head_)
    driver_.clReleaseEvent(ring_[head_ & (ring_.size() - 1)].event);
  driver_.clReleaseCommandQueue(queue_);
  if (scratch_ != 0) device_.memory().free(scratch_);
  for (const flagos_address_t block : word_blocks_) device_.memory().free(block);
}

// ---- what is pending --------------------------------------------------------------------------

void Stream::make_room() {
  if (count_ < ring_.size()) [[likely]]
    return;
  std::vector<Pending> larger(ring_.empty() ? first_room : ring_.size() * 2);
  for (std::size_t i = 0; i < count_; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
  ring_.swap(larger);
  head_ = 0;
}

void Stream::push(cl_event event, const Operation& operation) noexcept {
  ring_[(head_ + count_) & (ring_.size() - 1)] = {event, operation, ++submitted_,
                                                  device_.is_profiling()};
  ++count_;
}

cl_event Stream::newest() const noexcept {
  return count_ == 0 ? nullptr : ring_[(head_ + count_ - 1) & (ring_.size() - 1)].event;
}

void Stream::retire(std::size_t limit) noexcept {
  for (; count_ != 0 && limit != 0; --limit) {
    const Pending& pending = ring_[head_ & (ring_.size() - 1)];
    const cl_int status = driver_.event_status(pending.event);
    if (status > 0) return;
    finish(pending, status);
    if (status < 0 && gates_.is_failing()) return;
    driver_.clReleaseEvent(pending.event);
    ++head_;
    --count_;
  }
}

void Stream::finish(const Pending& pending, cl_int status) noexcept {
  if (status >= 0) {
    if (pending.is_profiled) emit(pending);
    return;
  }
  if (health_->status() != FLAGOS_STATUS_OK) return;
  char text[200];
  const auto end =
      fmt::format_to_n(text, sizeof(text) - 1, "{} '{:.80}' ended with {}",
                       pending.operation.kind == FLAGOS_RECORD_KIND_KERNEL ? "kernel" : "operation",
                       pending.operation.name, code_text(status));
  *end.out = '\0';
  if (status == CL_DEVICE_NOT_AVAILABLE) device_.report_lost(text);
  health_->poison(status == CL_DEVICE_NOT_AVAILABLE ? FLAGOS_STATUS_DEVICE_LOST
                                                    : FLAGOS_STATUS_EXECUTION_FAILED,
                  text);
}

void Stream::emit(const Pending& pending) const noexcept {
  flagos_record_t record{};
  const auto time = [&](cl_profiling_info what) {
    cl_ulong ns = 0;
    driver_.clGetEventProfilingInfo(pending.event, what, sizeof(ns), &ns, nullptr);
    return ns;
  };
  record.kind = pending.operation.kind;
  record.stream_id = id_;
  record.correlation_id = pending.number;
  record.queued_ns = time(CL_PROFILING_COMMAND_QUEUED);
  record.submitted_ns = std::max(record.queued_ns, time(CL_PROFILING_COMMAND_SUBMIT));
  record.started_ns = std::max(record.submitted_ns, time(CL_PROFILING_COMMAND_START));
  record.ended_ns = std::max(record.started_ns, time(CL_PROFILING_COMMAND_END));
  record.size_bytes = pending.operation.size_bytes;
  std::strncpy(record.name, pending.operation.name, sizeof(record.name) - 1);
  device_.host().emit_record(to_c(&device_), record);
}

void Stream::refuse(cl_int code, const char* call) {
  if (code == CL_DEVICE_NOT_AVAILABLE) device_.report_lost(code_text(code).c_str());
  Driver::fail(code, call, {});
}

// ---- waits ------------------------------------------------------------------------------------

void Stream::arm(cl_event event) {
  if (armed_ == submitted_) return;
  cancel_callback(armed_callback_);
  armed_callback_ =
      call_when_done(driver_, event, [signal = signal_](cl_int) { signal->notify_all(); });
  armed_ = submitted_;
}

cl_event Stream::retained(cl_event event) const {
  Driver::check(driver_.clRetainEvent(event), "clRetainEvent");
  return event;
}

flagos_status_t Stream::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  std::unique_lock lock(mutex_);
  retire(no_limit);
  if (count_ != 0) {
    if (deadline.is_poll()) return FLAGOS_STATUS_TIMEOUT;
    const cl_event last = newest();
    const EventOwner owner(retained(last), {&driver_});
    arm(last);
    lock.unlock();
    const auto is_done = [&] { return gates_.has_failed() || driver_.event_status(last) <= 0; };
    if (!signal_->wait(is_done, deadline)) return FLAGOS_STATUS_TIMEOUT;
    lock.lock();
    retire(no_limit);
  }
  health_->throw_if_poisoned();
  return FLAGOS_STATUS_OK;
}

RecordRef Stream::record() {
  const std::lock_guard lock(mutex_);
  const bool is_gated = gates_.is_open();
  cl_event event = nullptr;
  submit_locked({FLAGOS_RECORD_KIND_OTHER, "record", 0}, "clEnqueueMarkerWithWaitList",
                [&](const Submission& s, cl_event* out_event) {
                  const cl_int code = driver_.clEnqueueMarkerWithWaitList(s.queue, s.wait_count,
                                                                          s.wait_list, out_event);
                  if (code == CL_SUCCESS) event = *out_event;
                  return code;
                });
  Driver::check(driver_.clRetainEvent(event), "clRetainEvent");
  RecordRef record = std::make_shared<Record>(driver_, event, device_.context(), health_, is_gated);
  if (is_gated) gates_.watch(record);
  return record;
}

RecordRef Stream::failed_record() const {
  return std::make_shared<Record>(driver_, nullptr, device_.context(), health_, false);
}

// The driver waits where it can. It cannot for an event of another context; and where the record's
// own stream may fail the marker could fail too, which must not spread to this stream: then a user
// event stands between, which completes in any case.
void Stream::wait_record(const RecordRef& record) {
  const std::lock_guard lock(mutex_);
  health_->throw_if_poisoned();
  if (record->is_done() || record->health() == health_.get()) return;
  cl_event awaited = record->event();
  const bool relayed = record->context() != device_.context() || record->is_gated();
  if (relayed) {
    cl_int code = CL_SUCCESS;
    awaited = driver_.clCreateUserEvent(device_.context(), &code);
    Driver::check(code, "clCreateUserEvent");
  }
  const auto enqueue = [&](const Submission& s, cl_event* out_event) {
    const cl_event both[2] = {awaited, s.wait_count != 0 ? *s.wait_list : nullptr};
    return driver_.clEnqueueBarrierWithWaitList(s.queue, 1 + s.wait_count, both, out_event);
  };
  const auto finish_relay = [&driver = driver_, awaited] {
    driver.clSetUserEventStatus(awaited, CL_COMPLETE);
    driver.clReleaseEvent(awaited);
  };
  try {
    submit_locked({FLAGOS_RECORD_KIND_OTHER, "wait_event", 0}, "clEnqueueBarrierWithWaitList",
                  enqueue);
    if (relayed) record->when_done(finish_relay);
  } catch (...) {
    if (relayed) finish_relay();
    throw;
  }
}

// ---- launches that may fail -------------------------------------------------------------------

std::shared_ptr<FailureGate> Stream::open_gate(const char* kernel) {
  health_->throw_if_poisoned();
  flagos_address_t word = gates_.take_word();
  if (word == 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = word_bytes * words_per_block;
    word_blocks_.reserve(word_blocks_.size() + 1);
    word = device_.memory().alloc(desc);
    word_blocks_.push_back(word);
    for (std::uint32_t i = 1; i < words_per_block; ++i) gates_.give_word(word + i * word_bytes);
  }
  try {
    return gates_.add(device_.context(), word, kernel);
  } catch (...) {
    gates_.give_word(word);
    throw;
  }
}

void Stream::guard_launch(const std::shared_ptr<FailureGate>& gate,
                          const std::function<void()>& launch) {
  const Operation part{FLAGOS_RECORD_KIND_OTHER, "flagos_failure", 0};
  EventOwner read(nullptr, {&driver_});
  try {
    submit_locked(part, "clEnqueueFillBuffer", [&](const Submission& s, cl_event* out_event) {
      const std::uint32_t zero = 0;
      return enqueue_fill(*this, s, gate->word, &zero, sizeof(zero), sizeof(zero), out_event);
    });
    launch();
    submit_locked(part, "clEnqueueReadBuffer", [&](const Submission& s, cl_event* out_event) {
      return enqueue_copy(*this, s, reinterpret_cast<flagos_address_t>(&gate->report), gate->word,
                          sizeof(gate->report), out_event);
    });
    read.reset(retained(newest()));
    submit_locked(part, "clEnqueueBarrierWithWaitList", [&](const Submission& s, cl_event* out) {
      const cl_event both[2] = {gate->user_event, s.wait_count != 0 ? *s.wait_list : nullptr};
      return driver_.clEnqueueBarrierWithWaitList(s.queue, 1 + s.wait_count, both, out);
    });
    // Last: it may run at once, and then the user event and the stream's health are settled.
    gate->callback = call_when_done(driver_, read.get(),
                                    [gate](cl_int status) { FailureGates::resolve(gate, status); });
  } catch (...) {
    gates_.drop(gate);
    throw;
  }
}

flagos_address_t Stream::scratch() {
  if (scratch_ == 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = scratch_bytes;
    scratch_ = device_.memory().alloc(desc);
  }
  return scratch_;
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    if (desc != nullptr && desc->priority != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "priority {}, this device has none but 0",
                  desc->priority);
    *out_stream = to_c(std::make_unique<Stream>(self).release());
  });
}

void stream_destroy(flagos_plugin_stream_t* stream) noexcept { delete &from_c(stream); }

flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    const RecordRef record = from_c(event).current();
    if (record) self.wait_record(record);
  });
}

}  // namespace flagos::opencl
