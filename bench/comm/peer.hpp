// What the benchmarks of other libraries share: the sizes and numbers of flagos bench comm, and its lines.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace flagos::bench {

struct PeerSettings {
  std::string operation;
  std::uint64_t smallest = 8, largest = 64 << 20;

  // OPERATION MIN MAX
  static PeerSettings read(int argc, char** argv) {
    PeerSettings settings;
    if (argc < 4) {
      std::fprintf(stderr, "usage: %s OPERATION MIN MAX [FOLDER]\n", argv[0]);
      std::exit(2);
    }
    settings.operation = argv[1];
    settings.smallest = std::strtoull(argv[2], nullptr, 10);
    settings.largest = std::strtoull(argv[3], nullptr, 10);
    return settings;
  }
};

// As flagos bench comm counts and times: `once` is a whole operation, also its wait.
template <typename Once, typename Barrier>
void measure_peer(std::uint64_t bytes, bool prints, Once&& once, Barrier&& barrier,
                  std::uint64_t wrong) {
  using Clock = std::chrono::steady_clock;
  const auto iterations = std::clamp<std::uint64_t>((256 << 20) / bytes, 4, 2000);
  for (int i = 0, most = bytes <= 65536 ? 200 : 3; i < most; ++i) once();
  barrier();
  double least_us = 1e18;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  for (std::uint64_t i = 0; i < iterations; ++i) {
    once();
    const Clock::time_point now = Clock::now();
    least_us = std::min(least_us, std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
  }
  const double mean_us =
      std::chrono::duration<double, std::micro>(last - start).count() / double(iterations);
  if (!prints) return;
  std::printf("%llu %.2f %.2f %llu\n", static_cast<unsigned long long>(bytes), mean_us, least_us,
              static_cast<unsigned long long>(wrong));
  std::fflush(stdout);
}

}  // namespace flagos::bench
