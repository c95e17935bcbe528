// Events: the plugin's events behind them, and the exported functions.
#include "core/event.hpp"

#include <thread>

#include "core/capture.hpp"
#include "core/entry.hpp"
#include "core/shared_event.hpp"
#include "core/stream.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

// Of an event that somebody else made.
flagos_event_desc_t untimed_desc() {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  return desc;
}

}  // namespace

NativeEvent::NativeEvent(Device& device, const flagos_event_desc_t& desc) : device_(&device) {
  expect(device.tables().event.create(device.native(), &desc, &native_), "event.create");
  if (native_ == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from event.create");
  validate_made(&device, NativeKind::event, native_, "event.create");
  try {
    release_ = release_of(device, native_);
  } catch (...) {
    validate_gone(&device, NativeKind::event, native_);
    device.tables().event.destroy(native_);
    throw;
  }
}

NativeEvent::NativeEvent(Device& device, flagos_plugin_event_t* native)
    : device_(&device), native_(native), release_(release_of(device, native)) {}

std::function<void()> NativeEvent::release_of(Device& device, flagos_plugin_event_t* native) {
  return [kept = Ref<Device>(&device), native] {
    validate_gone(&*kept, NativeKind::event, native);
    kept->tables().event.destroy(native);
  };
}

// Waits that were queued may still use it.
NativeEvent::~NativeEvent() { device_->releases().add(std::move(release_)); }

flagos_status_t NativeEvent::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  while (true) {
    if (device_->lost() != FLAGOS_STATUS_OK) return device_->lost();
    if (failed.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) return failed.load(std::memory_order_acquire);
    if (issued.load(std::memory_order_acquire)) {
      const flagos_status_t status = device_->tables().event.synchronize(native_, deadline.slice_ns());
      if (status != FLAGOS_STATUS_TIMEOUT)
        return device_->lost() != FLAGOS_STATUS_OK ? device_->lost() : checked(status, "event.synchronize");
    } else if (!deadline.expired()) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    if (deadline.expired()) return FLAGOS_STATUS_TIMEOUT;
    if (interrupted.load(std::memory_order_acquire)) return FLAGOS_STATUS_CANCELLED;
  }
}

Event::Event(Device& device, const flagos_event_desc_t& desc)
    : Child(Tag::event, device), desc_(desc), current_(std::make_shared<NativeEvent>(device, desc_)) {
  native_.store(current_->native(), std::memory_order_release);
}

Event::Event(Device& device, const flagos_event_desc_t& desc, std::shared_ptr<SharedEvent> shared_event)
    : Child(Tag::event, device),
      desc_(desc),
      shared_event_(std::move(shared_event)),
      rare_(shared),
      current_(std::make_shared<NativeEvent>(device, desc_)) {
  native_.store(current_->native(), std::memory_order_release);
}

Event::Event(Device& device, std::shared_ptr<NativeEvent> wrapped)
    : Child(Tag::event, device), desc_(untimed_desc()), current_(std::move(wrapped)) {
  native_.store(current_->native(), std::memory_order_release);
}

Event::~Event() = default;

void Event::on_destroy() {
  rare_.fetch_or(dead, std::memory_order_acq_rel);
  current()->interrupted.store(true, std::memory_order_release);
}

std::shared_ptr<NativeEvent> Event::current() {
  std::lock_guard lock(mutex);
  return current_;
}

std::shared_ptr<NativeEvent> Event::replace() {
  auto fresh = std::make_shared<NativeEvent>(device(), desc_);
  fresh->issued.store(false, std::memory_order_release);
  struct Old : epoch::Retired {
    std::shared_ptr<NativeEvent> event;
  };
  auto old = std::make_unique<Old>();
  old->event = fresh;
  {
    std::lock_guard lock(mutex);
    std::swap(old->event, current_);
    native_.store(fresh->native(), std::memory_order_release);
    rare_.fetch_or(held, std::memory_order_acq_rel);
  }
  // Another call may just be using the old one.
  epoch::retire(std::move(old));
  return fresh;
}

namespace {

// Whether the plugin's own record and wait serve; else the call goes by way of a command.
bool is_direct(const Event& event) { return (event.rare() & (Event::held | Event::captured | Event::shared)) == 0; }

// The record after one that was held back: back to the direct path once that one has been issued.
void settle(Event& event) {
  if ((event.rare() & Event::held) == 0) return;
  const std::shared_ptr<NativeEvent> current = event.current();
  if (current->issued.load(std::memory_order_acquire) &&
      current->failed.load(std::memory_order_acquire) == FLAGOS_STATUS_OK)
    event.clear_rare(Event::held);
}

flagos_status_t record_slow(Event& event, Stream& stream) {
  if (event.rare() & Event::shared) return shared_record(event, stream);
  settle(event);
  if (stream.mode() & Stream::capturing) return stream.submit_slow(RecordCommand{Ref<Event>(&event), nullptr});
  event.clear_rare(Event::captured);
  // Refused before the event forgets its former record.
  if (stream.mode() & (Stream::poisoned | Stream::lost))
    return stream.submit_slow(RecordCommand{Ref<Event>(&event), nullptr});
  if (stream.mode() & Stream::soft) return stream.submit_slow(RecordCommand{Ref<Event>(&event), event.replace()});
  // The former record may still be held back elsewhere: this one must not be mixed up with it.
  const std::shared_ptr<NativeEvent> record = (event.rare() & Event::held) ? event.replace() : event.current();
  return stream.submit_slow(RecordCommand{Ref<Event>(&event), record});
}

flagos_status_t wait_slow(Stream& stream, Event& event) {
  if (event.rare() & Event::shared) return shared_wait(stream, event);
  settle(event);
  if ((event.rare() & Event::captured) && capture_wait(stream, event)) return FLAGOS_STATUS_OK;
  return stream.submit_slow(WaitEventCommand{Ref<Event>(&event), event.current()});
}

// A wait on the host: the status of the record, or TIMEOUT.
flagos_status_t wait_on_host(Event& event, std::uint64_t timeout_ns, const char* name) {
  if (event.rare() & Event::captured) capture_forbid(event, name);
  Ref<Event> kept(&event);
  if (event.rare() & Event::shared) return shared_synchronize(event, timeout_ns, name);
  const std::shared_ptr<NativeEvent> record = event.current();
  EventWait wait(event);
  const flagos_status_t status = [&] {
    if (timeout_ns == 0) return record->synchronize(0);
    Pause pause;
    return record->synchronize(timeout_ns);
  }();
  if (status == FLAGOS_STATUS_CANCELLED && (event.rare() & Event::dead))
    throw_error(status, "the event was destroyed while {} waited for it", name);
  if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER)
    throw_error(status, "work before the event failed with {}", flagos_status_get_name(status));
  return status;
}

void check_timing(const Event& event, const char* which) {
  if (event.desc().flags & FLAGOS_EVENT_FLAG_NO_TIMING)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "event '{}' was created without timing", which);
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_event_create(flagos_device_t* device, const flagos_event_desc_t* desc,
                                    flagos_event_t** out_event) {
  clear_out(out_event);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_event, "out_event");
    flagos_event_desc_t used{};
    if (desc != nullptr) used = check_desc(desc, "flagos_event_desc_t");
    used.struct_size = sizeof(used);
    used.next = nullptr;
    check_flags(used.flags,
                FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_BLOCKING_SYNC | FLAGOS_EVENT_FLAG_EXPORTABLE,
                "flagos_event_desc_t.flags");
    object.throw_if_lost();
    if (used.flags & FLAGOS_EVENT_FLAG_EXPORTABLE) {
      *out_event = publish<flagos_event_t>(make_shared_event(object, used));
    } else {
      *out_event = publish<flagos_event_t>(Ref<Event>::adopt(new Event(object, used)));
    }
  });
}

flagos_status_t flagos_event_destroy(flagos_event_t* event) {
  if (event == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] {
    Event& object = resolve<Event>(event, "event");
    if (process_state.load(std::memory_order_relaxed) & process_validating) validate_event_destroy(object);
    destroy_child(object);
  });
}

flagos_status_t flagos_event_record(flagos_event_t* event, flagos_stream_t* stream) {
  return entry(__func__, [&] {
    Event& object = resolve<Event>(event, "event");
    Stream& target = resolve<Stream>(stream, "stream");
    if (&object.device() != &target.device()) [[unlikely]]
      check_same_device(target.device(), object.device(), "the event");
    const Stream::Submission submission(target);
    if (target.mode() == 0 && is_direct(object)) [[likely]]
      return checked(target.tables().event.record(object.native(), target.native()), "event.record");
    return record_slow(object, target);
  });
}

flagos_status_t flagos_stream_wait_event(flagos_stream_t* stream, flagos_event_t* event) {
  return entry(__func__, [&] {
    Stream& target = resolve<Stream>(stream, "stream");
    Event& object = resolve<Event>(event, "event");
    const Stream::Submission submission(target);
    if (target.mode() == 0 && is_direct(object) && &object.device().plugin() == &target.device().plugin()) [[likely]]
      return checked(target.tables().stream.wait_event(target.native(), object.native()), "stream.wait_event");
    return wait_slow(target, object);
  });
}

flagos_status_t flagos_event_query(flagos_event_t* event, uint32_t* out_complete) {
  clear_out(out_complete);
  return entry(
      __func__,
      [&] {
        Event& object = resolve<Event>(event, "event");
        require(out_complete, "out_complete");
        *out_complete = wait_on_host(object, 0, "flagos_event_query") == FLAGOS_STATUS_OK ? 1 : 0;
      },
      Callback::allowed);
}

flagos_status_t flagos_event_synchronize(flagos_event_t* event, uint64_t timeout_ns) {
  return entry(__func__,
               [&] { return wait_on_host(resolve<Event>(event, "event"), timeout_ns, "flagos_event_synchronize"); });
}

flagos_status_t flagos_event_get_elapsed(flagos_event_t* start, flagos_event_t* end, int64_t* out_elapsed_ns) {
  clear_out(out_elapsed_ns);
  return entry(__func__, [&]() -> flagos_status_t {
    Event& first = resolve<Event>(start, "start");
    Event& second = resolve<Event>(end, "end");
    require(out_elapsed_ns, "out_elapsed_ns");
    check_same_device(first.device(), second.device(), "event 'end'");
    check_timing(first, "start");
    check_timing(second, "end");
    const std::shared_ptr<NativeEvent> from = first.current(), to = second.current();
    if (!from->issued.load(std::memory_order_acquire) || !to->issued.load(std::memory_order_acquire))
      return FLAGOS_STATUS_NOT_READY;
    first.device().throw_if_lost();
    std::int64_t elapsed = 0;
    const flagos_status_t status = first.tables().event.get_elapsed(from->native(), to->native(), &elapsed);
    if (status == FLAGOS_STATUS_NOT_READY) return status;
    expect(status, "event.get_elapsed");
    *out_elapsed_ns = elapsed;
    return status;
  });
}
