// Polling before a host wait.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/wait.hpp"

namespace flagos::opencl {

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

}  // namespace flagos::opencl
