#include "plugins/cpu/wait.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <limits>

namespace flagos::cpu {

std::uint64_t now_ns() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

Deadline::Deadline(std::uint64_t timeout_ns) noexcept : at_ns_(0) {
  if (timeout_ns == 0) return;
  const std::uint64_t now = now_ns();
  at_ns_ =
      timeout_ns > std::numeric_limits<std::int64_t>::max() - now ? UINT64_MAX : now + timeout_ns;
}

bool Deadline::has_passed() const noexcept {
  if (at_ns_ == UINT64_MAX) return false;
  return at_ns_ == 0 || now_ns() >= at_ns_;
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                const Deadline& deadline) noexcept {
  timespec until;
  timespec* timeout = nullptr;
  if (!deadline.is_infinite()) {
    until.tv_sec = static_cast<time_t>(deadline.at_ns() / 1'000'000'000u);
    until.tv_nsec = static_cast<long>(deadline.at_ns() % 1'000'000'000u);
    timeout = &until;
  }
  // Absolute, so that a signal handler in between (EINTR) does not make the wait longer.
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, timeout, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
}

bool may_spin() noexcept {
  static const bool several = sysconf(_SC_NPROCESSORS_ONLN) > 1;
  return several;
}

int current_processor() noexcept { return sched_getcpu(); }

void SpinLock::yield() noexcept {
  relax();
  // The holder may have been preempted; on one processor it can only go on if we step aside.
  thread_local unsigned turns = 0;
  if (++turns % 64 == 0) sched_yield();
}

}  // namespace flagos::cpu
