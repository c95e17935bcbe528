// Host waits: a moment to give up at, and a signal that callbacks of the driver give.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace flagos::opencl {

class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns) noexcept
      : is_poll_(timeout_ns == 0),
        at_(timeout_ns > std::uint64_t{1} << 61
                ? Clock::time_point::max()
                : Clock::now() + std::chrono::nanoseconds(timeout_ns)) {}
  bool is_poll() const noexcept { return is_poll_; }
  bool has_passed() const noexcept { return is_poll_ || Clock::now() >= at_; }

  using Clock = std::chrono::steady_clock;
  Clock::time_point at() const noexcept { return at_; }

 private:
  bool is_poll_;
  Clock::time_point at_;
};

class Signal {
 public:
  void notify_all() noexcept {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }

  // False when the deadline passed first. The condition is looked at again every few milliseconds
  // too, since not every driver calls back for a command that failed.
  template <typename Ready>
  bool wait(const Ready& ready, const Deadline& deadline) {
    constexpr std::chrono::milliseconds look_again(5);
    for (;;) {
      std::unique_lock lock(mutex_);
      const std::uint64_t count = count_;
      lock.unlock();
      if (ready()) return true;
      if (deadline.has_passed()) return false;
      lock.lock();
      const auto until = std::min(deadline.at(), Deadline::Clock::now() + look_again);
      changed_.wait_until(lock, until, [&] { return count_ != count; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

}  // namespace flagos::opencl
