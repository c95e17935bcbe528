// How long this process was kept from running: a thread that sleeps for a little while, over and over, adds up how much later
// than asked it woke. On an idle machine that is next to nothing, so that a bound on a time plus this is strict there, and
// holds on a machine that others keep busy.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace flagos::comm::testing {

class Lateness {
 public:
  Lateness() : thread_([this] { watch(); }) {}
  ~Lateness() {
    stop_.store(true);
    thread_.join();
  }
  Lateness(const Lateness&) = delete;
  Lateness& operator=(const Lateness&) = delete;

  // Since the start, in milliseconds.
  std::uint64_t total_ms() const { return late_us_.load() / 1000; }

 private:
  using Clock = std::chrono::steady_clock;
  // As communicators look around while they wait.
  static constexpr std::chrono::microseconds step{5000};

  void watch() {
    while (!stop_.load()) {
      const Clock::time_point before = Clock::now();
      std::this_thread::sleep_for(step);
      const auto took =
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - before);
      late_us_.fetch_add(static_cast<std::uint64_t>((took - step).count()));
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> late_us_{0};
  std::thread thread_;
};

// A span of time, and how much of it this process was late.
class Span {
 public:
  explicit Span(const Lateness& lateness) : lateness_(lateness) { restart(); }
  void restart() {
    start_ = std::chrono::steady_clock::now();
    late_before_ms_ = lateness_.total_ms();
  }
  std::uint64_t ms() const {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                          std::chrono::steady_clock::now() - start_)
                                          .count());
  }
  std::uint64_t late_ms() const { return lateness_.total_ms() - late_before_ms_; }

 private:
  const Lateness& lateness_;
  std::chrono::steady_clock::time_point start_;
  std::uint64_t late_before_ms_ = 0;
};

}  // namespace flagos::comm::testing
