// A wait of one host thread for one or several timelines.
#pragma once

#include <flagos.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/entry.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

// Where a thread sleeps; known to the timelines that it waits for.
class TimelineWaiter {
 public:
  void wake() {
    std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }
  // Sleeps until it is woken or the time is over; forgets the waking.
  void sleep(std::uint64_t nanoseconds) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::nanoseconds(nanoseconds), [this] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

class TimelineWait {
 public:
  explicit TimelineWait(flagos_wait_mode_t mode) : mode_(mode) {}
  TimelineWait(const TimelineWait&) = delete;
  TimelineWait& operator=(const TimelineWait&) = delete;

  void add(Timeline& timeline, std::uint64_t value);
  // OK, TIMEOUT, or the status of a failed timeline. Leaves the caller's read section while it sleeps.
  flagos_status_t run(std::uint64_t timeout_ns, std::uint32_t& index);

 private:
  flagos_status_t evaluate(std::uint32_t& index) const;
  flagos_status_t run_native(const Deadline& deadline, std::uint32_t& index);
  flagos_status_t run_mixed(const Deadline& deadline, std::uint32_t& index);
  bool native_of_one_plugin() const;

  const flagos_wait_mode_t mode_;
  std::vector<Ref<Timeline>> timelines_;
  std::vector<std::uint64_t> values_;
};

}  // namespace flagos::core
