// Host waits of plugins: a moment to give up at, and a signal that callbacks of a driver give.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace flagos {

class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns) noexcept
      : is_poll_(timeout_ns == 0),
        at_(timeout_ns > std::uint64_t{1} << 61 ? Clock::time_point::max()
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

// How long what a driver calls nobody for goes unnoticed at most: a context that was lost, say.
constexpr std::chrono::milliseconds look_again(5);

// Looks until it is so, first all the time, then ever more rarely: a driver's own waits cannot be given up. False when
// the deadline passed first. What is looked for long is seen within a tenth of the time that it took.
template <typename Ready>
bool wait_until(const Ready& ready, const Deadline& deadline, bool spins = true) {
  constexpr std::chrono::microseconds patience(30), longest(500);
  if (ready()) return true;
  if (deadline.is_poll()) return false;
  const auto start = Deadline::Clock::now();
  if (spins) {
    const auto until = std::min(deadline.at(), start + patience);
    while (Deadline::Clock::now() < until) {
      for (int i = 0; i < 16; ++i) pause_processor();
      if (ready()) return true;
    }
  }
  while (!deadline.has_passed()) {
    const auto now = Deadline::Clock::now();
    const auto pause = std::clamp<Deadline::Clock::duration>((now - start) / 10, std::chrono::microseconds(5), longest);
    std::this_thread::sleep_for(std::min<Deadline::Clock::duration>(pause, deadline.at() - now));
    if (ready()) return true;
  }
  return ready();
}

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

}  // namespace flagos
