#include "plugins/nvidia/stream.hpp"

#include <utility>

#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/transfer.hpp"

namespace flagos::nvidia {
namespace {

// What the driver calls when a launch that may report a failure is over. It must not call the driver.
struct Report {
  std::shared_ptr<std::atomic<bool>> is_reported;
  std::shared_ptr<Signal> watcher;
  std::shared_ptr<Signal> stream;
};

void on_report(void* data) {
  const std::unique_ptr<Report> report(static_cast<Report*>(data));
  report->is_reported->store(true);
  report->watcher->notify_all();
  report->stream->notify_all();
}

}  // namespace

Stream::Stream(Device& device, std::int32_t priority, CUstream given, bool owned)
    : device_(device),
      driver_(device.driver()),
      stream_(given),
      owned_(owned),
      id_(device.instance().next_stream_id.fetch_add(1)),
      profile_(device, id_) {
  if (given == nullptr)
    device_.check(driver_.cuStreamCreateWithPriority(&stream_, CU_STREAM_NON_BLOCKING, priority),
                  "cuStreamCreateWithPriority");
  device_.add_stream(stream_);
}

Stream::~Stream() {
  if (is_watched_) device_.instance().watcher().remove(*this);
  for (const HeldWork<RecordRef>& work : held_.drop())
    if (work.record) work.record->drop();
  profile_.collect();
  device_.remove_stream(stream_);
  if (owned_) driver_.cuStreamDestroy_v2(stream_);
  if (scratch_ != 0) device_.memory().free(scratch_);
  if (staging_ != nullptr) driver_.cuMemFreeHost(staging_);
  if (word_ != nullptr) driver_.cuMemFreeHost(const_cast<std::int32_t*>(word_));
}

// In its place among what is submitted, also where that is held back.
void Stream::mark_launch(bool begins) {
  const std::lock_guard lock(mutex_);
  const auto mark = [this, begins] { profile_.mark_launch(begins); };
  if (holds_back()) {
    held_.push({mark});
  } else {
    mark();
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

std::byte* Stream::staging() {
  if (staging_ == nullptr) {
    void* memory = nullptr;
    device_.check(driver_.cuMemHostAlloc(&memory, staging_bytes, CU_MEMHOSTALLOC_PORTABLE),
                  "cuMemHostAlloc");
    staging_ = static_cast<std::byte*>(memory);
  }
  return staging_;
}

// ---- waits ------------------------------------------------------------------------------------

bool Stream::query() {
  const CUresult code = driver_.cuStreamQuery(stream_);
  if (code == CUDA_ERROR_NOT_READY) return false;
  device_.check(code, "cuStreamQuery");
  return true;
}

bool Stream::is_idle() {
  return !held_.is_holding() && driver_.cuStreamQuery(stream_) == CUDA_SUCCESS;
}

flagos_status_t Stream::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  std::unique_lock lock(mutex_);
  advance_held();
  if (held_.is_holding() || !query()) {
    if (deadline.is_poll()) return FLAGOS_STATUS_TIMEOUT;
    if (!wait_held(lock, deadline) || !wait_driver(lock, deadline)) return FLAGOS_STATUS_TIMEOUT;
  }
  profile_.collect();
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

void Stream::wait_for_held(std::unique_lock<std::mutex>& lock, std::uint64_t timeout_ns) {
  health_->throw_if_poisoned();
  const Deadline deadline(timeout_ns);
  while (holds_back())
    if (!wait_held(lock, deadline))
      throw_error(FLAGOS_STATUS_COMM_TIMEOUT,
                  "the stream waits for the report of '{}' for more than {} ms",
                  reporting_ != nullptr ? reporting_ : "a kernel", timeout_ns / 1'000'000);
}

// Until what is with the driver now has ended: up to an event of its own, since others may go on submitting. Where none can be had
// the whole stream must run dry: who waits takes the return for the end of the work.
bool Stream::wait_driver(std::unique_lock<std::mutex>& lock, const Deadline& deadline) {
  if (query()) return true;
  CUevent point = nullptr;
  guard([&] { point = device_.events().take(false); }, [](flagos_status_t, const char*) {});
  if (point != nullptr && driver_.cuEventRecord(point, stream_) != CUDA_SUCCESS) {
    device_.events().give_back(point, false);
    point = nullptr;
  }
  CUresult code = CUDA_ERROR_NOT_READY;
  lock.unlock();
  const bool over = wait_until(
      [&] {
        code = point != nullptr ? driver_.cuEventQuery(point) : driver_.cuStreamQuery(stream_);
        return code != CUDA_ERROR_NOT_READY;
      },
      deadline);
  lock.lock();
  if (point != nullptr) device_.events().give_back(point, false);
  if (over) device_.check(code, "cuEventQuery");
  return over;
}

RecordRef Stream::record(bool is_timed) {
  const std::lock_guard lock(mutex_);
  health_->throw_if_poisoned();
  CUevent event = device_.events().take(is_timed);
  const auto record =
      std::make_shared<Record>(device_, health_, event, is_timed, false, Record::State::held);
  if (holds_back()) {
    held_.push({[this, record] { issue_record(*record); }, record});
  } else {
    issue_record(*record);
  }
  return record;
}

void Stream::issue_record(Record& record) {
  submit_now({FLAGOS_RECORD_KIND_OTHER, "record", 0}, "cuEventRecord",
             [&](CUstream stream, flagos_address_t) {
               return driver_.cuEventRecord(record.event(), stream);
             });
  record.issue();
}

RecordRef Stream::failed_record() const {
  return std::make_shared<Record>(device_, health_, nullptr, false, false, Record::State::dropped);
}

// The driver waits where it can. It cannot for an event that is not there yet.
void Stream::wait_record(const RecordRef& record) {
  const std::lock_guard lock(mutex_);
  health_->throw_if_poisoned();
  if (record->health() == health_.get() || record->is_done()) return;
  if (!record->is_held() && !holds_back()) {
    issue_wait(*record);
    return;
  }
  prepare_hold();
  HeldWork<RecordRef> work;
  work.issue = [this, record] { issue_wait(*record); };
  work.awaited = record;
  held_.push(std::move(work));
}

void Stream::issue_wait(const Record& record) {
  if (!record.is_issued()) return;  // dropped: its failure is not this stream's
  submit_now({FLAGOS_RECORD_KIND_OTHER, "wait_event", 0}, "cuStreamWaitEvent",
             [&](CUstream stream, flagos_address_t) {
               return driver_.cuStreamWaitEvent(stream, record.event(), 0);
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

// Closes the gate: what is submitted from here on is held back until the report was read. There is one such launch at a
// time, so one word is enough.
void Stream::launch_guarded(const Operation& operation, const char* call, const Command& command) {
  if (word_ == nullptr) {
    void* memory = nullptr;
    device_.check(driver_.cuMemHostAlloc(&memory, sizeof(*word_),
                                         CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
                  "cuMemHostAlloc");
    word_ = static_cast<volatile std::int32_t*>(memory);
  }
  *word_ = 0;
  auto reported = std::make_shared<std::atomic<bool>>(false);
  auto report =
      std::make_unique<Report>(Report{reported, device_.instance().watcher().signal(), signal_});
  submit_now(operation, call, command);
  const CUresult code = driver_.cuLaunchHostFunc(stream_, on_report, report.get());
  if (code != CUDA_SUCCESS) {
    // The launch is on its way: where its report cannot be had, nothing is known of it.
    if (is_sticky(code)) device_.report_lost(code, "cuLaunchHostFunc");
    health_->poison(status_of(code), ("cuLaunchHostFunc: " + driver_.code_text(code)).c_str());
    health_->throw_if_poisoned();
  }
  report.release();
  is_reported_ = std::move(reported);
  reporting_ = operation.name;
  held_.close_gate();
}

bool Stream::advance() noexcept {
  const std::lock_guard lock(mutex_);
  advance_held();
  return held_.is_holding();
}

void Stream::advance_held() noexcept {
  if (!held_.is_holding()) return;
  bool changed = false;
  guard(
      [&] {
        const Current current(driver_, device_.context());
        while (advance_once()) changed = true;
      },
      [&](flagos_status_t status, const char* text) { health_->poison(status, text); });
  if (!changed) return;
  signal_->notify_all();
  device_.instance().watcher().signal()->notify_all();  // others may wait for our records
}

bool Stream::advance_once() noexcept {
  if (held_.is_gated() && !is_reported_->load()) {
    look_at_gate();
    if (health_->status() == FLAGOS_STATUS_OK) return false;
  }
  if (held_.is_gated()) {
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

// The driver calls nobody in a context that was lost.
void Stream::look_at_gate() noexcept {
  const CUresult code = driver_.cuStreamQuery(stream_);
  if (!is_sticky(code)) return;
  device_.report_lost(code, "cuStreamQuery");
  health_->poison(FLAGOS_STATUS_DEVICE_LOST, "the device was lost");
}

void Stream::read_report() noexcept {
  held_.open_gate();
  const auto said = static_cast<flagos_status_t>(*word_);
  if (said == FLAGOS_STATUS_OK) return;
  const bool is_answer = FLAGOS_STATUS_CLASS(said) == FLAGOS_STATUS_CLASS_ANSWER;
  char text[300];
  const auto end = fmt::format_to_n(text, sizeof(text) - 1,
                                    "kernel '{:.100}' reported failure {:#x} in flagos_failure",
                                    reporting_, static_cast<std::uint32_t>(said));
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

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    *out_stream =
        to_c(std::make_unique<Stream>(self, desc != nullptr ? desc->priority : 0).release());
  });
}

void stream_destroy(flagos_plugin_stream_t* stream) noexcept {
  Device& device = from_c(stream).device();
  device_entry(device, [&] { delete &from_c(stream); });
}

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
  return device_entry(self.device(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    const RecordRef record = from_c(event).current();
    if (record) self.wait_record(record);
  });
}

}  // namespace flagos::nvidia
