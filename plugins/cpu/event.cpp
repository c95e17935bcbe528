#include "plugins/cpu/event.hpp"

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {

RecordRef::~RecordRef() {
  if (record_ != nullptr && record_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    record_->pool_->give_back(*record_);
}

bool Record::complete(Failure failure) noexcept {
  failure_ = std::move(failure);
  time_ns_ = now_ns();
  done_.store(1);
  const bool woke_here = signal_.notify_all();
  // park() sets the flag before it looks at done_: one of us sees the other.
  if (has_parked_.load() == 0) return woke_here;
  const std::lock_guard lock(pool_->lot_.mutex);
  parked_.for_each([](Parked& parked) { static_cast<Stream&>(parked).unpark(); });
  return woke_here;
}

bool Record::wait(const Deadline& deadline, std::uint64_t spin_ns) noexcept {
  return signal_.wait([this] { return is_done(); }, deadline, spin_ns);
}

bool Record::park(Parked& stream) noexcept {
  has_parked_.store(1);
  if (is_done()) return false;
  parked_.push(stream);
  return true;
}

RecordRef RecordPool::take() {
  const std::lock_guard lock(lock_);
  if (free_ == nullptr) {
    auto block = std::make_unique<Record[]>(block_size);
    blocks_.push_back(nullptr);  // first: what follows must not throw
    for (std::size_t i = 0; i < block_size; ++i) {
      block[i].pool_ = this;
      block[i].next_free_ = free_;
      free_ = &block[i];
    }
    blocks_.back() = std::move(block);
  }
  Record& record = *free_;
  free_ = record.next_free_;
  record.done_.store(0, std::memory_order_relaxed);
  record.has_parked_.store(0, std::memory_order_relaxed);
  return RecordRef(&record);
}

void RecordPool::give_back(Record& record) noexcept {
  record.failure_.reset();
  const std::lock_guard lock(lock_);
  record.next_free_ = free_;
  free_ = &record;
}

RecordRef Event::current() noexcept {
  const std::lock_guard lock(lock_);
  return current_;
}

void Event::bind(RecordRef record) noexcept {
  const std::lock_guard lock(lock_);
  std::swap(current_, record);
}

void Event::record(Stream& stream) {
  RecordRef record = device_.instance().records.take();
  try {
    stream.submit<RecordCommand>([&](RecordCommand& command) { command.record = record; });
  } catch (const Error&) {
    // The stream was poisoned, perhaps a moment ago: waiting for this event must tell of it either
    // way.
    record->complete(stream.failure());
    bind(std::move(record));
    throw;
  }
  bind(std::move(record));
}

flagos_status_t Event::synchronize(std::uint64_t timeout_ns) {
  const RecordRef record = current();
  if (!record) return FLAGOS_STATUS_OK;
  constexpr std::uint64_t spin_ns = 20'000;
  const bool blocking = (flags_ & FLAGOS_EVENT_FLAG_BLOCKING_SYNC) != 0;
  if (!record->wait(Deadline(timeout_ns), blocking ? 0 : spin_ns)) return FLAGOS_STATUS_TIMEOUT;
  if (record->failure()) throw Error(*record->failure());
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
      if (record->is_done())
        times[i] = record->time_ns();
      else
        pending = true;
    }
    if (pending) return FLAGOS_STATUS_NOT_READY;
    *out_elapsed_ns = static_cast<std::int64_t>(times[1] - times[0]);
    return FLAGOS_STATUS_OK;
  });
}

}  // namespace flagos::cpu
