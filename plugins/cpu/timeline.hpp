// A 64-bit value that only grows. Host threads and streams wait for it; a failed one releases them
// all.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/plugin_host.hpp"
#include "plugins/cpu/parking.hpp"

namespace flagos::cpu {

class Instance;
class Stream;

class Timeline : public std::enable_shared_from_this<Timeline> {
 public:
  enum class State { pending, reached, failed };

  Timeline(Instance& instance, std::uint64_t value) : instance_(instance), value_(value) {}

  Instance& instance() const noexcept { return instance_; }
  // Throws the failure of a failed timeline.
  std::uint64_t query() const;
  // Throws INVALID_ARGUMENT when `value` is not above the current one.
  void signal(std::uint64_t value);
  // The first failure stays.
  void fail(Failure failure);
  State state(std::uint64_t value) const noexcept;
  // Also of a failed one: what a stream waits for is over once it was reached, whatever came later.
  bool has_reached(std::uint64_t value) const noexcept { return value_.load() >= value; }
  Failure failure() const;
  // Parks the stream unless the wait is over; with the lot's mutex held.
  bool park(Stream& stream, std::uint64_t value) noexcept;

  // The handle that core holds keeps the object alive; queued work may keep it longer.
  void give_to_core() { self_ = shared_from_this(); }
  void destroy();

 private:
  void release_parked() noexcept;  // with the lot's mutex held

  Instance& instance_;
  std::atomic<std::uint64_t> value_;
  std::atomic<bool> has_failed_{false};
  Failure failure_;  // guarded by the lot's mutex
  ParkList parked_;
  std::shared_ptr<Timeline> self_;
};

using TimelineRef = std::shared_ptr<Timeline>;

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

}  // namespace flagos::cpu
