// Waiting and waking between threads, on futexes: a wake costs nothing while nobody sleeps, and
// every wait has a deadline on the monotonic clock.
#pragma once

#include <atomic>
#include <cstdint>

namespace flagos::cpu {

// The monotonic clock: the device's clock and the host's are one.
std::uint64_t now_ns() noexcept;

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The moment at which a wait gives up.
class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns) noexcept;

  bool is_poll() const noexcept { return at_ns_ == 0; }
  bool has_passed() const noexcept;
  bool is_infinite() const noexcept { return at_ns_ == UINT64_MAX; }
  std::uint64_t at_ns() const noexcept { return at_ns_; }

 private:
  std::uint64_t at_ns_;  // 0: passed from the start
};

// Sleeps while `word` holds `expected`; may return early.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                const Deadline& deadline) noexcept;
void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;

// True where spinning can pay: another processor may make the condition true meanwhile.
bool may_spin() noexcept;
// The processor that the calling thread runs on; a hint, since it may move at any time.
int current_processor() noexcept;

// Spins until `ready()` or for about `spin_ns`; returns ready().
template <typename Ready>
bool spin_until(const Ready& ready, std::uint64_t spin_ns) noexcept {
  if (ready()) return true;
  if (spin_ns == 0 || !may_spin()) return false;
  const std::uint64_t end = now_ns() + spin_ns;
  do {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (ready()) return true;
    }
  } while (now_ns() < end);
  return false;
}

// Where threads wait for a condition that others make true. The condition must be read and written
// with sequential consistency; then no wake is lost, though notify_all looks at the sleepers
// without a lock.
class Signal {
 public:
  // False when the deadline passed first.
  template <typename Ready>
  bool wait(const Ready& ready, const Deadline& deadline, std::uint64_t spin_ns = 0) noexcept {
    if (ready()) return true;
    if (deadline.is_poll()) return false;
    if (spin_until(ready, spin_ns)) return true;
    sleeper_processor_.store(current_processor(), std::memory_order_relaxed);
    waiters_.fetch_add(1);
    bool reached = false;
    for (;;) {
      const std::uint32_t epoch = epoch_.load();
      reached = ready();
      if (reached || deadline.has_passed()) break;
      futex_wait(epoch_, epoch, deadline);
    }
    waiters_.fetch_sub(1);
    return reached;
  }

  // True when a thread was woken that fell asleep on the caller's own processor: it may need just
  // that to go on.
  bool notify_all() noexcept {
    if (waiters_.load() == 0) return false;
    epoch_.fetch_add(1);
    futex_wake(epoch_, INT32_MAX);
    return sleeper_processor_.load(std::memory_order_relaxed) == current_processor();
  }

 private:
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<std::uint32_t> waiters_{0};
  std::atomic<int> sleeper_processor_{-1};
};

// For sections of a few instructions. Works with std::lock_guard.
class SpinLock {
 public:
  void lock() noexcept {
    while (locked_.exchange(true, std::memory_order_acquire)) yield();
  }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  static void yield() noexcept;
  std::atomic<bool> locked_{false};
};

}  // namespace flagos::cpu
