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

inline void pause_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// How long a condition goes unnoticed at most: not every driver calls back for a command that failed.
constexpr std::chrono::milliseconds look_again(5);

// Short work ends sooner than a callback of the driver would wake anybody. Yielding instead would give the processor
// away for milliseconds on a machine that is busy.
template <typename Ready>
bool poll_briefly(const Ready& ready, const Deadline& deadline, std::chrono::nanoseconds patience) {
  const auto until = std::min(deadline.at(), Deadline::Clock::now() + patience);
  do {
    if (ready()) return true;
    for (int i = 0; i < 16; ++i) pause_processor();
  } while (Deadline::Clock::now() < until);
  return false;
}

// How long to poll, by how long it took: where that is longer, polling only keeps a processor from those who work.
class Patience {
 public:
  std::chrono::nanoseconds get() const noexcept { return now_; }
  void learn(std::chrono::nanoseconds taken) noexcept {
    now_ = taken <= most ? most : std::max<std::chrono::nanoseconds>(least, now_ / 4);
  }

 private:
  static constexpr std::chrono::nanoseconds most{20'000};
  static constexpr std::chrono::nanoseconds least{500};
  std::chrono::nanoseconds now_ = most;
};

class Signal {
 public:
  void notify_all() noexcept {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }

  std::uint64_t count() const noexcept {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  // Until it was given since count() was `seen`, or until `until`.
  void wait_change(std::uint64_t seen, Deadline::Clock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [&] { return count_ != seen; });
  }

  // False when the deadline passed first. The condition is looked at every few milliseconds too.
  template <typename Ready>
  bool wait(const Ready& ready, const Deadline& deadline) {
    for (;;) {
      const std::uint64_t seen = count();
      if (ready()) return true;
      if (deadline.has_passed()) return false;
      wait_change(seen, std::min(deadline.at(), Deadline::Clock::now() + look_again));
    }
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

}  // namespace flagos::opencl
