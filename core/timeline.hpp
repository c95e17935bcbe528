// A timeline: a 64-bit value that only grows. The plugin's own where it has them, else core's.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/device.hpp"

namespace flagos::core {

// A host thread that waits for one or several timelines; see timeline.cpp.
class TimelineWaiter;

class Timeline : public Child {
 public:
  static constexpr Tag tag_of = Tag::timeline;

  Timeline(Device& device, std::uint64_t initial_value);
  ~Timeline() override;
  void release() override;
  void on_destroy() override;  // waits that are pending end with CANCELLED

  // The plugin's object; nullptr when core emulates it.
  flagos_plugin_timeline_t* native() const { return native_; }

  // OK, or why it failed. Throws nothing.
  flagos_status_t query(std::uint64_t& value) const;
  // What a wait comes to: OK when `value` was reached, TIMEOUT while it is not, or why it failed. The wait of a stream passes
  // if its value was reached before the failure: what it waited for is done. So does every wait that a destruction finds.
  enum class By { host, stream };
  flagos_status_t wait_status(std::uint64_t value, By by) const;
  // Throws INVALID_ARGUMENT when `value` is not above the current one, and the status of a failed timeline.
  void signal(std::uint64_t value);
  // Behind the work of a stream: a value that is not above the current one fails the timeline instead.
  void signal_or_fail(std::uint64_t value) noexcept;
  // The first failure stays.
  void fail(flagos_status_t status) noexcept;
  // Fails it for a reason that the plugin cannot know: the device was lost, the handle destroyed.
  void end(flagos_status_t status) noexcept;

  void add_waiter(TimelineWaiter& waiter);
  void remove_waiter(TimelineWaiter& waiter);

 private:
  void wake_waiters();  // under mutex_

  void keep_value();

  flagos_plugin_timeline_t* native_ = nullptr;
  std::atomic<std::uint64_t> value_;  // of a native one as far as it was known when it failed
  std::atomic<bool> destroyed_{false};
  // Of a native one only what `end` was told.
  std::atomic<flagos_status_t> failure_{FLAGOS_STATUS_OK};
  std::mutex mutex_;
  std::vector<TimelineWaiter*> waiters_;
};

// Fails all timelines of a device that was lost; they stay failed when it is recovered.
void fail_timelines(Device& device, flagos_status_t status);

}  // namespace flagos::core
