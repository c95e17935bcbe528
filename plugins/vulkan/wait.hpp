// Deadlines on the monotonic clock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace flagos::vulkan {

// The moment at which a wait gives up.
class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns) noexcept {
    if (timeout_ns > INT64_MAX) {
      infinite_ = true;
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    const auto room = std::chrono::steady_clock::time_point::max() - now;
    const std::chrono::nanoseconds timeout(static_cast<std::int64_t>(timeout_ns));
    infinite_ = timeout >= room;
    if (!infinite_) at_ = now + timeout;
    poll_ = timeout_ns == 0;
  }

  bool is_poll() const noexcept { return poll_; }
  // What is left, UINT64_MAX for ever.
  std::uint64_t left_ns() const noexcept {
    if (infinite_) return UINT64_MAX;
    const auto left = at_ - std::chrono::steady_clock::now();
    return left.count() > 0 ? static_cast<std::uint64_t>(left.count()) : 0;
  }
  bool has_passed() const noexcept { return poll_ || left_ns() == 0; }
  void wait(std::condition_variable& condition, std::unique_lock<std::mutex>& lock) const {
    if (infinite_)
      condition.wait(lock);
    else
      condition.wait_until(lock, at_);
  }

 private:
  bool infinite_ = false;
  bool poll_ = false;
  std::chrono::steady_clock::time_point at_{};
};

}  // namespace flagos::vulkan
