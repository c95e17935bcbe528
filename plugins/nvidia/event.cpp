#include "plugins/nvidia/event.hpp"

#include <cmath>
#include <utility>

#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {

EventPool::~EventPool() {
  for (const auto& events : free_)
    for (CUevent event : events) driver_.cuEventDestroy_v2(event);
}

CUevent EventPool::take(bool is_timed) {
  {
    const std::lock_guard lock(mutex_);
    std::vector<CUevent>& events = free_[is_timed ? 1 : 0];
    if (!events.empty()) {
      CUevent event = events.back();
      events.pop_back();
      return event;
    }
    events.reserve(events.capacity() + 1);  // so that giving back needs no memory
  }
  CUevent event = nullptr;
  driver_.check(
      driver_.cuEventCreate(&event, is_timed ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING),
      "cuEventCreate");
  return event;
}

void EventPool::give_back(CUevent event, bool is_timed) noexcept {
  const auto keep = [&] {
    const std::lock_guard lock(mutex_);
    free_[is_timed ? 1 : 0].push_back(event);
  };
  if (guard(keep, [](flagos_status_t, const char*) {}) != FLAGOS_STATUS_OK)
    driver_.cuEventDestroy_v2(event);
}

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

Record::Record(Device& device, std::shared_ptr<Health> health, CUevent event, bool is_timed,
               bool is_lent, State state)
    : device_(device),
      health_(std::move(health)),
      event_(event),
      is_timed_(is_timed),
      is_lent_(is_lent),
      state_(state) {}

Record::~Record() {
  if (event_ != nullptr && !is_lent_) device_.events().give_back(event_, is_timed_);
}

bool Record::is_done() const noexcept {
  const State now = state();
  if (now != State::issued) return now == State::dropped;
  const CUresult code = device_.driver().cuEventQuery(event_);
  if (code == CUDA_ERROR_NOT_READY) return false;
  if (is_sticky(code)) device_.report_lost(code, "cuEventQuery");
  return code == CUDA_SUCCESS || is_sticky(code);
}

Failure Record::failure() const {
  if (state() != State::issued) return state() == State::dropped ? health_->failure() : nullptr;
  const CUresult code = device_.driver().cuEventQuery(event_);
  if (code == CUDA_SUCCESS || code == CUDA_ERROR_NOT_READY) return nullptr;
  return make_failure(status_of(code),
                      ("cuEventQuery: " + device_.driver().code_text(code)).c_str());
}

Event::~Event() {
  current_.reset();
  if (given_ != nullptr) device_.driver().cuEventDestroy_v2(given_);
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

void Event::follow(CUevent given, bool given_away) {
  const CUresult code = device_.driver().cuEventQuery(given);
  if (code != CUDA_ERROR_NOT_READY) device_.check(code, "cuEventQuery");
  bind(std::make_shared<Record>(device_, std::make_shared<Health>(), given, false, true,
                                Record::State::issued));
  if (given_away) given_ = given;
}

CUevent Event::show() const {
  const RecordRef record = current();
  if (!record || !record->is_issued() || record->event() == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the event has no CUevent: {}",
                record ? "its record is not with the driver yet" : "it was never recorded");
  return record->event();
}

flagos_status_t Event::synchronize(std::uint64_t timeout_ns) {
  const RecordRef record = current();
  if (!record) return FLAGOS_STATUS_OK;
  const bool spins = (flags_ & FLAGOS_EVENT_FLAG_BLOCKING_SYNC) == 0;
  if (!wait_until([&] { return record->is_done(); }, Deadline(timeout_ns), spins))
    return FLAGOS_STATUS_TIMEOUT;
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
  return device_entry(self.device(), [&] { self.record(from_c(stream)); });
}

flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept {
  Device& device = from_c(start).device();
  return entry(device.host(), [&] {
    RecordRef records[2];
    bool pending = false;
    for (int i = 0; i < 2; ++i) {
      const Event& event = from_c(i == 0 ? start : end);
      const char* which = i == 0 ? "start" : "end";
      if (!event.has_timing())
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was created without timing",
                    which);
      records[i] = event.current();
      if (!records[i])
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was never recorded", which);
      pending = pending || !records[i]->is_done();
      if (pending) continue;
      if (const Failure failure = records[i]->failure()) throw Error(*failure);
      if (!records[i]->is_timed())
        throw_error(FLAGOS_STATUS_UNSUPPORTED,
                    "the {} event is the program's own; its time is not read", which);
    }
    if (pending) return FLAGOS_STATUS_NOT_READY;
    float milliseconds = 0;
    device.check(
        device.driver().cuEventElapsedTime(&milliseconds, records[0]->event(), records[1]->event()),
        "cuEventElapsedTime");
    *out_elapsed_ns = std::llround(static_cast<double>(milliseconds) * 1e6);
    return FLAGOS_STATUS_OK;
  });
}

}  // namespace flagos::nvidia
