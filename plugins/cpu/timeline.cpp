#include "plugins/cpu/timeline.hpp"

#include <mutex>
#include <vector>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t spin_ns = 20'000;

// What a host wait came to.
struct Outcome {
  Timeline::State state = Timeline::State::pending;
  std::uint32_t index = 0;  // the one that decided it
};

Outcome judge(const std::vector<TimelineRef>& timelines, const std::vector<std::uint64_t>& values,
              flagos_wait_mode_t mode) noexcept {
  Outcome failed;
  bool all = true;
  for (std::uint32_t i = 0; i < timelines.size(); ++i) {
    const Timeline::State state = timelines[i]->state(values[i]);
    if (state == Timeline::State::reached && mode == FLAGOS_WAIT_MODE_ANY) return {state, i};
    if (state == Timeline::State::failed && failed.state != Timeline::State::failed)
      failed = {state, i};
    all = all && state == Timeline::State::reached;
  }
  if (failed.state == Timeline::State::failed) return failed;
  return {all ? Timeline::State::reached : Timeline::State::pending, 0};
}

flagos_status_t wait_on_host(const std::vector<TimelineRef>& timelines,
                             const std::vector<std::uint64_t>& values, flagos_wait_mode_t mode,
                             std::uint64_t timeout_ns, std::uint32_t* out_index) {
  Outcome outcome;
  const auto is_over = [&] {
    outcome = judge(timelines, values, mode);
    return outcome.state != Timeline::State::pending;
  };
  Signal& signal = timelines[0]->instance().timeline_signal;
  if (!signal.wait(is_over, Deadline(timeout_ns), spin_ns)) return FLAGOS_STATUS_TIMEOUT;
  if (outcome.state == Timeline::State::failed) throw Error(*timelines[outcome.index]->failure());
  if (out_index != nullptr) *out_index = outcome.index;
  return FLAGOS_STATUS_OK;
}

}  // namespace

Timeline::State Timeline::state(std::uint64_t value) const noexcept {
  if (has_failed_.load()) return State::failed;
  return has_reached(value) ? State::reached : State::pending;
}

Failure Timeline::failure() const {
  const std::lock_guard lock(instance_.lot.mutex);
  return failure_;
}

std::uint64_t Timeline::query() const {
  if (has_failed_.load()) throw Error(*failure());
  return value_.load();
}

void Timeline::signal(std::uint64_t value) {
  {
    const std::lock_guard lock(instance_.lot.mutex);
    if (failure_) throw Error(*failure_);
    const std::uint64_t current = value_.load();
    if (value <= current)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "signal of {}: the timeline is at {} and only grows", value, current);
    value_.store(value);
    release_parked();
  }
  instance_.timeline_signal.notify_all();
}

void Timeline::fail(Failure failure) {
  {
    const std::lock_guard lock(instance_.lot.mutex);
    if (failure_) return;
    failure_ = std::move(failure);
    has_failed_.store(true);
    release_parked();
  }
  instance_.timeline_signal.notify_all();
}

void Timeline::release_parked() noexcept {
  parked_.for_each([this](Parked& parked) {
    auto& stream = static_cast<Stream&>(parked);
    if (state(stream.parked_value) != State::pending) stream.unpark();
  });
}

bool Timeline::park(Stream& stream, std::uint64_t value) noexcept {
  if (state(value) != State::pending) return false;
  stream.parked_value = value;
  parked_.push(stream);
  return true;
}

void Timeline::destroy() {
  fail(make_failure(FLAGOS_STATUS_CANCELLED, "the timeline was destroyed"));
  const std::shared_ptr<Timeline> last = std::move(self_);
}

flagos_status_t timeline_create(flagos_plugin_device_t* device, std::uint64_t initial_value,
                                flagos_plugin_timeline_t** out_timeline) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const auto timeline = std::make_shared<Timeline>(self.instance(), initial_value);
    timeline->give_to_core();
    *out_timeline = to_c(timeline.get());
  });
}

void timeline_destroy(flagos_plugin_timeline_t* timeline) noexcept {
  Timeline& self = from_c(timeline);
  entry(self.instance().host(), [&] { self.destroy(); });
}

flagos_status_t timeline_query(flagos_plugin_timeline_t* timeline,
                               std::uint64_t* out_value) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.instance().host(), [&] { *out_value = self.query(); });
}

flagos_status_t timeline_signal(flagos_plugin_timeline_t* timeline, std::uint64_t value) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.instance().host(), [&] { self.signal(value); });
}

flagos_status_t timeline_wait(std::uint32_t count, flagos_plugin_timeline_t* const* timelines,
                              const std::uint64_t* values, flagos_wait_mode_t mode,
                              std::uint64_t timeout_ns, std::uint32_t* out_index) noexcept {
  if (count == 0) return FLAGOS_STATUS_OK;
  return entry(from_c(timelines[0]).instance().host(), [&] {
    // References: a timeline that is destroyed meanwhile fails, and must still be there to say so.
    std::vector<TimelineRef> references;
    references.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i)
      references.push_back(from_c(timelines[i]).shared_from_this());
    return wait_on_host(references, std::vector<std::uint64_t>(values, values + count), mode,
                        timeout_ns, out_index);
  });
}

flagos_status_t timeline_fail(flagos_plugin_timeline_t* timeline, flagos_status_t status) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.instance().host(), [&] {
    self.fail(std::make_shared<const Error>(
        status, fmt::format("the timeline was failed with status {:#010x}",
                            static_cast<std::uint32_t>(status))));
  });
}

flagos_status_t timeline_stream_wait(flagos_plugin_stream_t* stream,
                                     flagos_plugin_timeline_t* timeline,
                                     std::uint64_t value) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    TimelineRef reference = from_c(timeline).shared_from_this();
    self.submit<WaitTimelineCommand>([&](WaitTimelineCommand& command) {
      command.timeline = std::move(reference);
      command.value = value;
    });
  });
}

flagos_status_t timeline_stream_signal(flagos_plugin_stream_t* stream,
                                       flagos_plugin_timeline_t* timeline,
                                       std::uint64_t value) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    TimelineRef reference = from_c(timeline).shared_from_this();
    try {
      self.submit<SignalTimelineCommand>([&](SignalTimelineCommand& command) {
        command.timeline = reference;
        command.value = value;
      });
    } catch (const Error&) {
      // Poisoned, perhaps a moment ago: who waits for this signal must not hang.
      if (Failure failure = self.failure()) reference->fail(std::move(failure));
      throw;
    }
  });
}

}  // namespace flagos::cpu
