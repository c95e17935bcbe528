#include "plugins/vulkan/timeline.hpp"

#include <vector>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

using TimelineRef = std::shared_ptr<Timeline>;

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

}  // namespace

void Timeline::signal(std::uint64_t value) {
  if (failure_) throw Error(*failure_);
  if (value <= value_)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "signal of {}: the timeline is at {} and only grows", value, value_);
  value_ = value;
  release_parked();
}

void Timeline::fail(const Failure& failure) noexcept {
  if (failure_) return;
  failure_ = failure;
  release_parked();
}

void Timeline::release_parked() noexcept {
  std::erase_if(parked_, [this](const Parked& parked) {
    if (state(parked.value) == State::pending) return false;
    parked.stream->unpark();
    return true;
  });
  device_.instance().notify();
}

void signal_or_fail(Timeline& timeline, std::uint64_t value) noexcept {
  guard(
      [&] { timeline.signal(value); },
      [&](flagos_status_t status, const char* text) { timeline.fail(make_failure(status, text)); });
}

flagos_status_t timeline_create(flagos_plugin_device_t* device, std::uint64_t initial_value,
                                flagos_plugin_timeline_t** out_timeline) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const auto timeline = std::make_shared<Timeline>(self, initial_value);
    timeline->give_to_core();
    *out_timeline = to_c(timeline.get());
  });
}

void timeline_destroy(flagos_plugin_timeline_t* timeline) noexcept {
  Timeline& self = from_c(timeline);
  Lock lock(self.device());
  const TimelineRef last = self.take_from_core();
  self.fail(make_failure(FLAGOS_STATUS_CANCELLED, "the timeline was destroyed"));
}

flagos_status_t timeline_query(flagos_plugin_timeline_t* timeline,
                               std::uint64_t* out_value) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.device().host(), [&] {
    Lock lock(self.device());
    if (self.failure()) throw Error(*self.failure());
    *out_value = self.value();
  });
}

flagos_status_t timeline_signal(flagos_plugin_timeline_t* timeline, std::uint64_t value) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.device().host(), [&] {
    Lock lock(self.device());
    self.signal(value);
  });
}

flagos_status_t timeline_wait(std::uint32_t count, flagos_plugin_timeline_t* const* timelines,
                              const std::uint64_t* values, flagos_wait_mode_t mode,
                              std::uint64_t timeout_ns, std::uint32_t* out_index) noexcept {
  if (count == 0) return FLAGOS_STATUS_OK;
  Device& device = from_c(timelines[0]).device();
  return entry(device.host(), [&] {
    const Deadline deadline(timeout_ns);
    const std::vector<std::uint64_t> wanted(values, values + count);
    // References: a timeline that is destroyed meanwhile fails, and must still be there to say so.
    std::vector<TimelineRef> references;
    references.reserve(count);
    Lock lock(device);
    for (std::uint32_t i = 0; i < count; ++i)
      references.push_back(from_c(timelines[i]).shared_from_this());
    Outcome outcome = judge(references, wanted, mode);
    Instance& instance = device.instance();
    while (outcome.state == Timeline::State::pending) {
      if (deadline.has_passed()) return FLAGOS_STATUS_TIMEOUT;
      ++instance.sleepers;
      deadline.wait(instance.changed, lock.raw());
      --instance.sleepers;
      outcome = judge(references, wanted, mode);
    }
    if (outcome.state == Timeline::State::failed)
      throw Error(*references[outcome.index]->failure());
    if (out_index != nullptr) *out_index = outcome.index;
    return FLAGOS_STATUS_OK;
  });
}

flagos_status_t timeline_fail(flagos_plugin_timeline_t* timeline, flagos_status_t status) noexcept {
  Timeline& self = from_c(timeline);
  return entry(self.device().host(), [&] {
    const auto failure = std::make_shared<const Error>(
        status, fmt::format("the timeline was failed with status {:#010x}",
                            static_cast<std::uint32_t>(status)));
    Lock lock(self.device());
    self.fail(failure);
  });
}

flagos_status_t timeline_stream_wait(flagos_plugin_stream_t* stream,
                                     flagos_plugin_timeline_t* timeline,
                                     std::uint64_t value) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Lock lock(self.device());
    Command command(Command::Type::wait_timeline);
    command.timeline = from_c(timeline).shared_from_this();
    command.value = value;
    self.submit(std::move(command));
  });
}

flagos_status_t timeline_stream_signal(flagos_plugin_stream_t* stream,
                                       flagos_plugin_timeline_t* timeline,
                                       std::uint64_t value) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Lock lock(self.device());
    const TimelineRef reference = from_c(timeline).shared_from_this();
    try {
      Command command(Command::Type::signal_timeline);
      command.timeline = reference;
      command.value = value;
      self.submit(std::move(command));
    } catch (const Error&) {
      // Poisoned, perhaps a moment ago: who waits for this signal must not hang.
      if (self.failure()) reference->fail(self.failure());
      throw;
    }
  });
}

}  // namespace flagos::vulkan
