#include "plugins/opencl/stream.hpp"

#include <cstring>
#include <limits>
#include <utility>

#include "plugins/opencl/callback.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/transfer.hpp"

namespace flagos::opencl {
namespace {

constexpr std::size_t first_room = 64;
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

}  // namespace

Stream::Stream(Device& device, cl_command_queue given)
    : device_(device),
      driver_(device.driver()),
      id_(device.instance().next_stream_id.fetch_add(1)) {
  if (given != nullptr) {
    take_queue(given);
  } else {
    queue_ = make_queue(0);
  }
}

void Stream::take_queue(cl_command_queue given) {
  const auto ask = [&](cl_command_queue_info what, auto value) {
    Driver::check(driver_.clGetCommandQueueInfo(given, what, sizeof(value), &value, nullptr),
                  "clGetCommandQueueInfo");
    return value;
  };
  if (ask(CL_QUEUE_CONTEXT, cl_context{}) != device_.context() ||
      ask(CL_QUEUE_DEVICE, cl_device_id{}) != device_.id())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the cl_command_queue is of another context or device than this opening of '{}'",
                device_.description().info.name);
  const auto properties = ask(CL_QUEUE_PROPERTIES, cl_command_queue_properties{0});
  if ((properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the cl_command_queue runs out of order (properties {:#x}); a stream is in order",
                properties);
  Driver::check(driver_.clRetainCommandQueue(given), "clRetainCommandQueue");
  queue_ = given;
  has_times_ = (properties & CL_QUEUE_PROFILING_ENABLE) != 0;
  is_lent_ = true;
}

// The one with times: a stream never leaves that, and what is in it before is in order with what the caller puts there.
cl_command_queue Stream::show_queue() {
  const std::lock_guard lock(mutex_);
  use_timed_queue();
  return queue_;
}

cl_command_queue Stream::make_queue(cl_command_queue_properties properties) const {
  cl_int code = CL_SUCCESS;
  cl_command_queue queue =
      driver_.clCreateCommandQueue(device_.context(), device_.id(), properties, &code);
  Driver::check(code, "clCreateCommandQueue");
  return queue;
}

// A queue that takes times makes every command dearer, so a stream gets one when somebody asks for a time: behind what
// is in the first one, for good.
void Stream::use_timed_queue() {
  if (has_times_ || is_lent_) return;
  make_room();
  cl_command_queue timed = make_queue(CL_QUEUE_PROFILING_ENABLE);
  cl_event barrier = nullptr;
  if (const cl_event last = newest()) {
    const cl_int code = driver_.clEnqueueBarrierWithWaitList(timed, 1, &last, &barrier);
    if (code != CL_SUCCESS) {
      driver_.clReleaseCommandQueue(timed);
      Driver::fail(code, "clEnqueueBarrierWithWaitList", {});
    }
    push(barrier, {FLAGOS_RECORD_KIND_OTHER, "timed", 0, true});
  }
  untimed_queue_ = std::exchange(queue_, timed);
  has_times_ = true;
}

Stream::~Stream() {
  if (is_watched_) device_.instance().watcher().remove(*this);
  cancel_callback(armed_callback_);
  for (const HeldWork<RecordRef>& work : held_.drop())
    if (work.record) work.record->drop();
  retire(no_limit);
  // The driver may still write to it; nobody knows when it is done with a device that was lost.
  if (count_ != 0 && report_) new std::shared_ptr(report_);
  for (; count_ != 0; --count_, ++head_)
    driver_.clReleaseEvent(ring_[head_ & (ring_.size() - 1)].event);
  if (untimed_queue_ != nullptr) driver_.clReleaseCommandQueue(untimed_queue_);
  driver_.clReleaseCommandQueue(queue_);
  if (scratch_ != 0) device_.memory().free(scratch_);
  if (word_ != 0) device_.memory().free(word_);
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
  ++submitted_;
  const std::uint64_t correlation = launch_ != 0 ? launch_ : submitted_;
  const bool is_profiled = device_.is_profiling() && has_times_ && !operation.is_internal;
  ring_[(head_ + count_) & (ring_.size() - 1)] = {event, operation, is_profiled ? correlation : 0};
  ++count_;
}

// In its place among what is submitted, also where that is held back.
void Stream::mark_launch(bool begins) {
  const std::lock_guard lock(mutex_);
  const auto mark = [this, begins] { launch_ = begins ? submitted_ + 1 : 0; };
  if (holds_back()) {
    held_.push({mark});
  } else {
    mark();
  }
}

cl_event Stream::newest() const noexcept {
  return count_ == 0 ? nullptr : ring_[(head_ + count_ - 1) & (ring_.size() - 1)].event;
}

cl_int Stream::retire(std::size_t limit) noexcept {
  cl_int error = CL_SUCCESS;
  for (; count_ != 0 && limit != 0; --limit) {
    const Pending& pending = ring_[head_ & (ring_.size() - 1)];
    const cl_int status = driver_.event_status(pending.event, &error);
    if (status > CL_COMPLETE) break;
    finish(pending, status);
    driver_.clReleaseEvent(pending.event);
    ++head_;
    --count_;
  }
  return error;
}

void Stream::finish(const Pending& pending, cl_int status) noexcept {
  if (status >= 0) {
    if (pending.correlation != 0) emit(pending);
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
  record.correlation_id = pending.correlation;
  record.queued_ns = time(CL_PROFILING_COMMAND_QUEUED);
  record.submitted_ns = std::max(record.queued_ns, time(CL_PROFILING_COMMAND_SUBMIT));
  record.started_ns = std::max(record.submitted_ns, time(CL_PROFILING_COMMAND_START));
  record.ended_ns = std::max(record.started_ns, time(CL_PROFILING_COMMAND_END));
  record.size_bytes = pending.operation.size_bytes;
  std::strncpy(record.name, pending.operation.name, sizeof(record.name) - 1);
  device_.host().emit_record(to_c(&device_), record);
}

// What was made of several commands may be under way in part, with memory that is about to be given up.
void Stream::track_rest() noexcept {
  cl_event marker = nullptr;
  if (driver_.clEnqueueMarkerWithWaitList(queue_, 0, nullptr, &marker) == CL_SUCCESS) {
    push(marker, {FLAGOS_RECORD_KIND_OTHER, "rest", 0, true});
    driver_.clFlush(queue_);
  } else {
    driver_.clFinish(queue_);
  }
}

void Stream::refuse(cl_int code, const char* call) {
  track_rest();
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

flagos_status_t Stream::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  std::unique_lock lock(mutex_);
  advance_held();
  retire(no_limit);
  if (held_.is_holding() || count_ != 0) {
    if (deadline.is_poll()) return FLAGOS_STATUS_TIMEOUT;
    if (!wait_held(lock, deadline) || !wait_newest(lock, deadline)) return FLAGOS_STATUS_TIMEOUT;
    Driver::check(retire(no_limit), "clGetEventInfo");
  }
  health_->throw_if_poisoned();
  return FLAGOS_STATUS_OK;
}

// Until what is held back now is with the driver; the lock is let go of meanwhile.
bool Stream::wait_held(std::unique_lock<std::mutex>& lock, const Deadline& deadline) {
  const std::uint64_t ticket = held_.ticket();
  if (held_.passed() >= ticket) return true;
  const auto has_passed = [&] {
    const std::lock_guard relock(mutex_);
    advance_held();
    return held_.passed() >= ticket;
  };
  lock.unlock();
  const bool passed = signal_->wait(has_passed, deadline);
  lock.lock();
  return passed;
}

// Until what is with the driver now has ended; the lock is let go of meanwhile.
bool Stream::wait_newest(std::unique_lock<std::mutex>& lock, const Deadline& deadline) {
  const cl_event event = newest();
  if (event == nullptr) return true;
  Driver::check(driver_.clRetainEvent(event), "clRetainEvent");
  cl_int error = CL_SUCCESS;
  const auto is_over = [&] {
    return driver_.event_status(event, &error) <= CL_COMPLETE || error != CL_SUCCESS;
  };
  const auto start = Deadline::Clock::now();
  const std::chrono::nanoseconds patience = patience_.get();
  lock.unlock();
  bool over = poll_briefly(is_over, deadline, patience);
  lock.lock();
  if (!over) {
    guard([&] { arm(event); }, [](flagos_status_t, const char*) {});
    lock.unlock();
    over = signal_->wait(is_over, deadline);
    lock.lock();
  }
  patience_.learn(Deadline::Clock::now() - start);
  driver_.clReleaseEvent(event);
  Driver::check(error, "clGetEventInfo");
  return over;
}

RecordRef Stream::record(bool is_timed) {
  const std::lock_guard lock(mutex_);
  health_->throw_if_poisoned();
  auto record = std::make_shared<Record>(driver_, device_.context(), health_, Record::State::held);
  if (holds_back()) {
    held_.push({[this, record, is_timed] { issue_record(*record, is_timed); }, record});
  } else {
    issue_record(*record, is_timed);
  }
  return record;
}

void Stream::issue_record(Record& record, bool is_timed) {
  if (is_timed) use_timed_queue();
  cl_event event = nullptr;
  submit_now({FLAGOS_RECORD_KIND_OTHER, "record", 0}, "clEnqueueMarkerWithWaitList",
             [&](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
               const cl_int code =
                   driver_.clEnqueueMarkerWithWaitList(queue, 0, nullptr, out_event);
               event = code == CL_SUCCESS ? *out_event : nullptr;
               return code;
             });
  Driver::check(driver_.clRetainEvent(event), "clRetainEvent");
  record.issue(event);
}

RecordRef Stream::failed_record() const {
  return std::make_shared<Record>(driver_, device_.context(), health_, Record::State::dropped);
}

// The driver waits where it can. It cannot for an event of another context, and not for one that is not there yet.
void Stream::wait_record(const RecordRef& record) {
  const std::lock_guard lock(mutex_);
  health_->throw_if_poisoned();
  if (record->is_done() || record->health() == health_.get()) return;
  const bool is_foreign = record->context() != device_.context();
  if (!is_foreign && !record->is_held() && !holds_back()) {
    issue_wait(*record);
    return;
  }
  prepare_hold();
  HeldWork<RecordRef> work;
  if (!is_foreign) work.issue = [this, record] { issue_wait(*record); };
  work.awaited = record;
  work.until_done = is_foreign;
  held_.push(std::move(work));
  if (is_foreign) record->notify_when_done(device_.instance().watcher().signal());
}

void Stream::issue_wait(const Record& record) {
  const cl_event awaited = record.event();
  if (awaited == nullptr) return;  // dropped: its failure is not this stream's
  submit_now({FLAGOS_RECORD_KIND_OTHER, "wait_event", 0}, "clEnqueueBarrierWithWaitList",
             [&](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
               return driver_.clEnqueueBarrierWithWaitList(queue, 1, &awaited, out_event);
             });
}

// ---- what is held back ------------------------------------------------------------------------

void Stream::prepare_hold() {
  health_->throw_if_poisoned();
  if (is_watched_) return;
  device_.instance().watcher().add(*this);
  is_watched_ = true;
}

void Stream::hold_back(const Operation& operation, const char* call, Command command) {
  held_.push({[this, operation, call, command = std::move(command)] {
    submit_now(operation, call, command);
  }});
}

void Stream::hold_back_guarded(const Operation& operation, const char* call, Command command) {
  held_.push({[this, operation, call, command = std::move(command)] {
    launch_guarded(operation, call, command);
  }});
}

flagos_address_t Stream::failure_word() {
  if (!report_) report_ = std::make_shared<std::int32_t>(0);
  if (word_ == 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = sizeof(std::int32_t);
    word_ = device_.memory().alloc(desc);
  }
  return word_;
}

// Closes the gate: what is submitted from here on is held back until the report was read. There is one such launch at a
// time, so one word is enough.
void Stream::launch_guarded(const Operation& operation, const char* call, const Command& command) {
  const Operation part{FLAGOS_RECORD_KIND_OTHER, "flagos_failure", 0, true};
  const flagos_address_t word = failure_word();
  const auto report = reinterpret_cast<flagos_address_t>(report_.get());
  submit_now(part, "clEnqueueFillBuffer",
             [&](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
               const std::int32_t zero = 0;
               return enqueue_fill(*this, queue, word, &zero, sizeof(zero), sizeof(zero),
                                   out_event);
             });
  submit_now(operation, call, command);
  const auto failed = [&](flagos_status_t status, const char* text) {
    health_->poison(status, text);
  };
  // The launch is on its way: where its report cannot be had, nothing is known of it.
  guard(
      [&] {
        submit_now(part, "clEnqueueReadBuffer",
                   [&](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
                     return enqueue_copy(*this, queue, report, word, sizeof(*report_), out_event);
                   });
        reporting_ = operation;
        held_.close_gate();
      },
      failed);
  health_->throw_if_poisoned();
  const auto& watcher = device_.instance().watcher().signal();
  guard([&] { call_when_done(driver_, newest(), [watcher](cl_int) { watcher->notify_all(); }); },
        [](flagos_status_t, const char*) {});  // the watcher looks now and then
}

bool Stream::advance() noexcept {
  const std::lock_guard lock(mutex_);
  advance_held();
  return held_.is_holding();
}

void Stream::advance_held() noexcept {
  if (!held_.is_holding()) return;
  bool changed = false;
  while (advance_once()) changed = true;
  if (!changed) return;
  signal_->notify_all();
  device_.instance().watcher().signal()->notify_all();  // others may wait for our records
}

bool Stream::advance_once() noexcept {
  if (held_.is_gated()) {
    retire(no_limit);
    if (count_ != 0) return false;  // nothing is behind the report
    read_report();
    return true;
  }
  if (held_.is_holding() && health_->status() != FLAGOS_STATUS_OK) {
    for (const HeldWork<RecordRef>& work : held_.drop())
      if (work.record) work.record->drop();
    return true;
  }
  HeldWork<RecordRef> work;
  if (!held_.take(work)) return false;
  issue(std::move(work));
  return true;
}

void Stream::read_report() noexcept {
  held_.open_gate();
  const auto said = static_cast<flagos_status_t>(*report_);
  if (said == FLAGOS_STATUS_OK) return;
  const bool is_answer = FLAGOS_STATUS_CLASS(said) == FLAGOS_STATUS_CLASS_ANSWER;
  char text[300];
  const auto end = fmt::format_to_n(text, sizeof(text) - 1,
                                    "kernel '{:.100}' reported failure {:#x} in flagos_failure",
                                    reporting_.name, static_cast<std::uint32_t>(said));
  *end.out = '\0';
  health_->poison(is_answer ? FLAGOS_STATUS_EXECUTION_FAILED : said, text);
}

// The caller of the submission got OK long ago: from now on only the stream can tell.
void Stream::issue(HeldWork<RecordRef> work) noexcept {
  guard(
      [&] {
        if (work.issue) work.issue();
      },
      [&](flagos_status_t status, const char* text) { health_->poison(status, text); });
  if (!held_.is_gated()) held_.pass();
  if (work.record && work.record->is_held()) work.record->drop();
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

void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  entry(self.device().host(), [&] { self.mark_launch(true); });
}

void stream_end_launch(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  entry(self.device().host(), [&] { self.mark_launch(false); });
}

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
