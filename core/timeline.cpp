// Timelines: core's own and the plugin's behind one face, and the exported functions.
#include "core/timeline.hpp"

#include <algorithm>
#include <condition_variable>

#include "core/entry.hpp"
#include "core/soft_queue.hpp"
#include "core/stream.hpp"
#include "core/timeline_wait.hpp"
#include "core/validation.hpp"

namespace flagos::core {

Timeline::Timeline(Device& device, std::uint64_t initial_value) : Child(Tag::timeline, device), value_(initial_value) {
  if (!tables().has.timeline) return;
  expect(tables().timeline.create(device.native(), initial_value, &native_), "timeline.create");
  if (native_ == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from timeline.create");
  validate_made(&device, NativeKind::timeline, native_, "timeline.create");
}

Timeline::~Timeline() = default;

void Timeline::release() {
  if (native_ != nullptr) {
    validate_gone(&device(), NativeKind::timeline, native_);
    tables().timeline.destroy(native_);
  }
  delete this;
}

void Timeline::on_destroy() {
  keep_value();
  destroyed_.store(true, std::memory_order_release);
  end(FLAGOS_STATUS_CANCELLED);
}

// A plugin does not tell the value of a failed timeline.
void Timeline::keep_value() {
  std::uint64_t value = 0;
  if (native_ == nullptr || device().lost() != FLAGOS_STATUS_OK || query(value) != FLAGOS_STATUS_OK) return;
  std::uint64_t known = value_.load(std::memory_order_relaxed);
  while (known < value && !value_.compare_exchange_weak(known, value, std::memory_order_release)) {
  }
}

flagos_status_t Timeline::query(std::uint64_t& value) const {
  const flagos_status_t failure = failure_.load(std::memory_order_acquire);
  if (failure != FLAGOS_STATUS_OK) return failure;
  if (native_ != nullptr) return checked(tables().timeline.query(native_, &value), "timeline.query");
  value = value_.load(std::memory_order_acquire);
  return FLAGOS_STATUS_OK;
}

flagos_status_t Timeline::wait_status(std::uint64_t value, By by) const {
  std::uint64_t current = 0;
  const flagos_status_t status = query(current);
  if (status == FLAGOS_STATUS_OK) return current >= value ? FLAGOS_STATUS_OK : FLAGOS_STATUS_TIMEOUT;
  const bool passes = by == By::stream || destroyed_.load(std::memory_order_acquire);
  return passes && value_.load(std::memory_order_acquire) >= value ? FLAGOS_STATUS_OK : status;
}

void Timeline::signal(std::uint64_t value) {
  if (const flagos_status_t failure = failure_.load(std::memory_order_acquire))
    throw_error(failure, "the timeline has failed");
  if (native_ != nullptr) {
    expect(tables().timeline.signal(native_, value), "timeline.signal");
  } else {
    std::lock_guard lock(mutex_);
    const std::uint64_t current = value_.load(std::memory_order_relaxed);
    if (const flagos_status_t failure = failure_.load(std::memory_order_relaxed))
      throw_error(failure, "the timeline has failed");
    if (value <= current)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a signal of {} is not above the timeline's value {}", value,
                  current);
    value_.store(value, std::memory_order_release);
    wake_waiters();
  }
  soft_wake();
}

void Timeline::signal_or_fail(std::uint64_t value) noexcept {
  const flagos_status_t status = guard([&] { signal(value); }, [](flagos_status_t, const char*) {});
  if (status != FLAGOS_STATUS_OK) fail(status);
}

void Timeline::fail(flagos_status_t status) noexcept {
  if (native_ == nullptr) return end(status);
  keep_value();
  tables().timeline.fail(native_, status);
  soft_wake();
}

void Timeline::end(flagos_status_t status) noexcept {
  // A loss is told from inside the plugin, which must not be entered again then, and knows of it.
  if (native_ != nullptr && device().lost() == FLAGOS_STATUS_OK) tables().timeline.fail(native_, status);
  {
    std::lock_guard lock(mutex_);
    flagos_status_t expected = FLAGOS_STATUS_OK;
    failure_.compare_exchange_strong(expected, status, std::memory_order_acq_rel);
    wake_waiters();
  }
  soft_wake();
}

void Timeline::add_waiter(TimelineWaiter& waiter) {
  std::lock_guard lock(mutex_);
  waiters_.push_back(&waiter);
}

void Timeline::remove_waiter(TimelineWaiter& waiter) {
  std::lock_guard lock(mutex_);
  const auto found = std::find(waiters_.begin(), waiters_.end(), &waiter);
  if (found == waiters_.end()) return;
  *found = waiters_.back();
  waiters_.pop_back();
}

void Timeline::wake_waiters() {
  for (TimelineWaiter* waiter : waiters_) waiter->wake();
}

void fail_timelines(Device& device, flagos_status_t status) {
  const auto timelines = handles.collect([&](const Object& object) {
    return object.tag() == Tag::timeline && &static_cast<const Timeline&>(object).device() == &device;
  });
  for (const Ref<Object>& timeline : timelines) static_cast<Timeline&>(*timeline).end(status);
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

namespace {

[[noreturn]] void throw_failed(flagos_status_t status) {
  throw_error(status, "the timeline has failed with {}", flagos_status_get_name(status));
}

}  // namespace

flagos_status_t flagos_timeline_create(flagos_device_t* device, uint64_t initial_value,
                                       flagos_timeline_t** out_timeline) {
  clear_out(out_timeline);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_timeline, "out_timeline");
    object.throw_if_lost();
    *out_timeline = publish<flagos_timeline_t>(Ref<Timeline>::adopt(new Timeline(object, initial_value)));
  });
}

flagos_status_t flagos_timeline_destroy(flagos_timeline_t* timeline) {
  if (timeline == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Timeline>(timeline, "timeline")); });
}

flagos_status_t flagos_timeline_query(flagos_timeline_t* timeline, uint64_t* out_value) {
  clear_out(out_value);
  return entry(
      __func__,
      [&] {
        const Timeline& object = resolve<Timeline>(timeline, "timeline");
        require(out_value, "out_value");
        std::uint64_t value = 0;
        if (const flagos_status_t status = object.query(value)) throw_failed(status);
        *out_value = value;
      },
      Callback::allowed);
}

flagos_status_t flagos_timeline_signal(flagos_timeline_t* timeline, uint64_t value) {
  return entry(
      __func__, [&] { resolve<Timeline>(timeline, "timeline").signal(value); }, Callback::allowed);
}

flagos_status_t flagos_timeline_fail(flagos_timeline_t* timeline, flagos_status_t status) {
  return entry(
      __func__,
      [&] {
        Timeline& object = resolve<Timeline>(timeline, "timeline");
        if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER)
          throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a timeline cannot fail with {}, which is no error",
                      flagos_status_get_name(status));
        object.fail(status);
      },
      Callback::allowed);
}

flagos_status_t flagos_timeline_wait(uint32_t count, flagos_timeline_t* const* timelines, const uint64_t* values,
                                     flagos_wait_mode_t mode, uint64_t timeout_ns, uint32_t* out_index) {
  clear_out(out_index);
  return entry(__func__, [&]() -> flagos_status_t {
    constexpr std::uint32_t most = 65536;
    if (mode != FLAGOS_WAIT_MODE_ALL && mode != FLAGOS_WAIT_MODE_ANY)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "mode is {}, not a FLAGOS_WAIT_MODE_*", mode);
    if (count > most)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "count is {}, at most {} timelines can be waited for", count, most);
    if (count == 0) return FLAGOS_STATUS_OK;
    require(timelines, "timelines");
    require(values, "values");
    TimelineWait wait(mode);
    for (std::uint32_t i = 0; i < count; ++i) wait.add(resolve<Timeline>(timelines[i], "timelines[]"), values[i]);
    std::uint32_t index = 0;
    const flagos_status_t status = wait.run(timeout_ns, index);
    if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER) throw_failed(status);
    if (status == FLAGOS_STATUS_OK && out_index != nullptr && mode == FLAGOS_WAIT_MODE_ANY) *out_index = index;
    return status;
  });
}

flagos_status_t flagos_stream_wait_timeline(flagos_stream_t* stream, flagos_timeline_t* timeline, uint64_t value) {
  return entry(__func__, [&] {
    Stream& target = resolve<Stream>(stream, "stream");
    Timeline& object = resolve<Timeline>(timeline, "timeline");
    target.forbid_capture("flagos_stream_wait_timeline");
    const auto make = [&] { return WaitTimelineCommand{Ref<Timeline>(&object), value}; };
    if (!is_native_timeline(target, object)) return target.submit_slow(make());
    return target.submit([&] { return target.tables().timeline.stream_wait(target.native(), object.native(), value); },
                         make, "timeline.stream_wait");
  });
}

flagos_status_t flagos_stream_signal_timeline(flagos_stream_t* stream, flagos_timeline_t* timeline, uint64_t value) {
  return entry(__func__, [&] {
    Stream& target = resolve<Stream>(stream, "stream");
    Ref<Timeline> object(&resolve<Timeline>(timeline, "timeline"));
    target.forbid_capture("flagos_stream_signal_timeline");
    const auto make = [&] { return SignalTimelineCommand{object, value}; };
    flagos_status_t status = guard(
        [&]() -> flagos_status_t {
          if (!is_native_timeline(target, *object)) return target.submit_slow(make());
          return target.submit(
              [&] { return target.tables().timeline.stream_signal(target.native(), object->native(), value); }, make,
              "timeline.stream_signal");
        },
        set_error_text);
    // The stream failed before: nobody may hang because the signal will never come.
    const bool failed = FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_DEVICE ||
                        (status != FLAGOS_STATUS_OK && status == target.poison_status());
    if (failed) object->fail(status);
    return status;
  });
}
