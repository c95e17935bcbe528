// A 64-bit value that only grows. Host threads and streams wait for it; a failed one releases them
// all.
//
// The value lives on the host, not in a VkSemaphore: a signal that is not above the value must fail
// the timeline, a failure must reach every waiter, and a wait may come long before its signal, which
// in a queue that streams share would block them all. So streams are parked here, and a signal of a
// stream is an action of the batch before it.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/plugin_host.hpp"

namespace flagos::vulkan {

class Device;
class Stream;

// Guarded by the instance's lock.
class Timeline : public std::enable_shared_from_this<Timeline> {
 public:
  enum class State { pending, reached, failed };

  Timeline(Device& device, std::uint64_t value) : device_(device), value_(value) {}

  Device& device() const noexcept { return device_; }
  std::uint64_t value() const noexcept { return value_; }
  const Failure& failure() const noexcept { return failure_; }
  State state(std::uint64_t value) const noexcept {
    if (failure_) return State::failed;
    return has_reached(value) ? State::reached : State::pending;
  }
  // Also of a failed one: what a stream waits for is over once it was reached, whatever came later.
  bool has_reached(std::uint64_t value) const noexcept { return value_ >= value; }
  // Throws INVALID_ARGUMENT when `value` is not above the current one.
  void signal(std::uint64_t value);
  // The first failure stays.
  void fail(const Failure& failure) noexcept;
  void park(Stream& stream, std::uint64_t value) { parked_.push_back({&stream, value}); }
  void unpark(Stream& stream) noexcept {
    std::erase_if(parked_, [&](const Parked& parked) { return parked.stream == &stream; });
  }

  // The handle that core holds keeps the object alive; queued work may keep it longer.
  void give_to_core() { self_ = shared_from_this(); }
  std::shared_ptr<Timeline> take_from_core() noexcept { return std::move(self_); }

 private:
  struct Parked {
    Stream* stream;
    std::uint64_t value;
  };
  void release_parked() noexcept;

  Device& device_;
  std::uint64_t value_;
  Failure failure_;
  std::vector<Parked> parked_;
  std::shared_ptr<Timeline> self_;
};

// What a stream's signal does: it fails the timeline when `value` is not above its value.
void signal_or_fail(Timeline& timeline, std::uint64_t value) noexcept;

flagos_status_t timeline_create(flagos_plugin_device_t* device, std::uint64_t initial_value,
                                flagos_plugin_timeline_t** out_timeline) noexcept;
void timeline_destroy(flagos_plugin_timeline_t* timeline) noexcept;
flagos_status_t timeline_query(flagos_plugin_timeline_t* timeline,
                               std::uint64_t* out_value) noexcept;
flagos_status_t timeline_signal(flagos_plugin_timeline_t* timeline, std::uint64_t value) noexcept;
flagos_status_t timeline_wait(std::uint32_t count, flagos_plugin_timeline_t* const* timelines,
                              const std::uint64_t* values, flagos_wait_mode_t mode,
                              std::uint64_t timeout_ns, std::uint32_t* out_index) noexcept;
flagos_status_t timeline_fail(flagos_plugin_timeline_t* timeline, flagos_status_t status) noexcept;
flagos_status_t timeline_stream_wait(flagos_plugin_stream_t* stream,
                                     flagos_plugin_timeline_t* timeline,
                                     std::uint64_t value) noexcept;
flagos_status_t timeline_stream_signal(flagos_plugin_stream_t* stream,
                                       flagos_plugin_timeline_t* timeline,
                                       std::uint64_t value) noexcept;

}  // namespace flagos::vulkan
