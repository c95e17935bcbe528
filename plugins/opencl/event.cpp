#include "plugins/opencl/event.hpp"

#include <utility>

#include "plugins/opencl/callback.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/stream.hpp"

namespace flagos::opencl {

Failure Health::failure() const noexcept {
  if (status() == FLAGOS_STATUS_OK) return nullptr;
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Health::throw_if_poisoned() const {
  if (status() == FLAGOS_STATUS_OK) [[likely]]
    return;
  throw Error(*failure());
}

void Health::poison(flagos_status_t status, const char* text) noexcept {
  const std::lock_guard lock(mutex_);
  if (failure_) return;
  failure_ = make_failure(status, text);
  status_.store(status, std::memory_order_release);
}

Record::~Record() {
  cancel_callback(callback_);
  if (event_ != nullptr) driver_.clReleaseEvent(event_);
}

void Record::issue(cl_event event) noexcept {
  event_ = event;
  state_.store(State::issued, std::memory_order_release);
  bool awaited = false;
  {
    const std::lock_guard lock(mutex_);
    awaited = is_awaited_;
  }
  if (awaited) arm();
}

void Record::drop() noexcept {
  state_.store(State::dropped, std::memory_order_release);
  notify();
}

bool Record::wait(const Deadline& deadline) {
  if (is_done()) return true;
  if (deadline.is_poll()) return false;
  cl_int error = CL_SUCCESS;
  const auto is_over = [&] { return is_done(&error) || error != CL_SUCCESS; };
  bool over = poll_briefly(is_over, deadline, std::chrono::microseconds(5));
  if (!over) {
    notify_when_done(nullptr);
    over = signal_.wait(is_over, deadline);
  }
  Driver::check(error, "clGetEventInfo");
  return over;
}

Failure Record::failure() const {
  if (state() != State::issued) return state() == State::dropped ? health_->failure() : nullptr;
  cl_int error = CL_SUCCESS;
  const cl_int status = driver_.event_status(event_, &error);
  if (error != CL_SUCCESS)
    return make_failure(status_of(error), ("clGetEventInfo: " + code_text(error)).c_str());
  if (status >= CL_COMPLETE) return nullptr;
  Failure failure = health_->failure();
  if (failure) return failure;
  // Nobody has looked at the stream since.
  char text[160];
  const auto end = fmt::format_to_n(text, sizeof(text) - 1,
                                    "a command before the event ended with {}", code_text(status));
  *end.out = '\0';
  health_->poison(FLAGOS_STATUS_EXECUTION_FAILED, text);
  return health_->failure();
}

bool Record::get_time(std::uint64_t* out_ns) const noexcept {
  cl_ulong ns = 0;
  const bool known = state() == State::issued &&
                     driver_.clGetEventProfilingInfo(event_, CL_PROFILING_COMMAND_END, sizeof(ns),
                                                     &ns, nullptr) == CL_SUCCESS;
  if (known) *out_ns = ns;
  return known;
}

void Record::notify_when_done(std::shared_ptr<Signal> signal) {
  {
    const std::lock_guard lock(mutex_);
    is_awaited_ = true;
    if (signal) signals_.push_back(std::move(signal));
  }
  if (is_done()) {
    notify();
  } else if (!is_held()) {
    arm();
  }
}

// What the driver refuses here is found by those who wait, who look again now and then.
void Record::arm() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_armed_, true)) return;
  }
  // Weak: a driver may keep a callback for ever.
  const auto done = [weak = weak_from_this()](cl_int) {
    if (const RecordRef self = weak.lock()) self->notify();
  };
  std::uint64_t callback = 0;
  guard([&] { callback = call_when_done(driver_, event_, done); },
        [](flagos_status_t, const char*) {});
  const std::lock_guard lock(mutex_);
  callback_ = callback;
}

void Record::notify() noexcept {
  std::vector<std::shared_ptr<Signal>> signals;
  {
    const std::lock_guard lock(mutex_);
    signals.swap(signals_);
  }
  signal_.notify_all();
  for (const auto& signal : signals) signal->notify_all();
}

RecordRef Event::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void Event::bind(RecordRef record) {
  const std::lock_guard lock(mutex_);
  std::swap(current_, record);
}

void Event::record(Stream& stream) {
  try {
    bind(stream.record(has_timing()));
  } catch (const Error&) {
    // Waiting for this event must tell of the stream's failure too.
    if (stream.failure()) bind(stream.failed_record());
    throw;
  }
}

void Event::follow(cl_event given) {
  const Driver& driver = device_.driver();
  cl_context context = nullptr;
  Driver::check(driver.clGetEventInfo(given, CL_EVENT_CONTEXT, sizeof(context), &context, nullptr),
                "clGetEventInfo");
  if (context != device_.context())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the cl_event is of another context than this opening of '{}'",
                device_.description().info.name);
  // What it stands for may not have been handed to the device yet, and nobody here would do it. A user event has no queue.
  cl_command_queue queue = nullptr;
  Driver::check(
      driver.clGetEventInfo(given, CL_EVENT_COMMAND_QUEUE, sizeof(queue), &queue, nullptr),
      "clGetEventInfo");
  if (queue != nullptr) Driver::check(driver.clFlush(queue), "clFlush");
  auto record =
      std::make_shared<Record>(driver, context, std::make_shared<Health>(), Record::State::held);
  Driver::check(driver.clRetainEvent(given), "clRetainEvent");
  record->issue(given);
  bind(std::move(record));
}

cl_event Event::show() const {
  const RecordRef record = current();
  if (!record || record->is_held() || record->event() == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the event has no cl_event: {}",
                record ? "its record is not with the driver yet" : "it was never recorded");
  return record->event();
}

flagos_status_t Event::synchronize(std::uint64_t timeout_ns) {
  const RecordRef record = current();
  if (!record) return FLAGOS_STATUS_OK;
  if (!record->wait(Deadline(timeout_ns))) return FLAGOS_STATUS_TIMEOUT;
  if (const Failure failure = record->failure()) throw Error(*failure);
  return FLAGOS_STATUS_OK;
}

flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                             flagos_plugin_event_t** out_event) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_event = to_c(std::make_unique<Event>(self, desc != nullptr ? desc->flags : 0).release());
  });
}

void event_destroy(flagos_plugin_event_t* event) noexcept { delete &from_c(event); }

flagos_status_t event_record(flagos_plugin_event_t* event,
                             flagos_plugin_stream_t* stream) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] { self.record(from_c(stream)); });
}

flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept {
  return entry(from_c(start).device().host(), [&] {
    std::uint64_t times[2] = {};
    bool pending = false;
    for (int i = 0; i < 2; ++i) {
      Event& event = from_c(i == 0 ? start : end);
      const char* which = i == 0 ? "start" : "end";
      if (!event.has_timing())
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was created without timing",
                    which);
      const RecordRef record = event.current();
      if (!record)
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was never recorded", which);
      pending = pending || !record->is_done();
      if (pending) continue;
      if (const Failure failure = record->failure()) throw Error(*failure);
      if (!record->get_time(&times[i]))
        throw_error(FLAGOS_STATUS_UNSUPPORTED, "the driver does not tell when the {} event was",
                    which);
    }
    if (pending) return FLAGOS_STATUS_NOT_READY;
    *out_elapsed_ns = static_cast<std::int64_t>(times[1] - times[0]);
    return FLAGOS_STATUS_OK;
  });
}

}  // namespace flagos::opencl
