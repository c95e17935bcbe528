// Ours and the same work without us, in turns, so that what else the machine does hits both.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace flagos::bench {

inline double median(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

// `ratio` is the median of the pairs' ratios, ours over the other; the benchmark's time is that of ours.
template <typename Ours, typename Peer>
void compare(benchmark::State& state, double work, const Ours& own_work, const Peer& peer_work) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> own, peer, ratios;
  const auto timed = [](const auto& action) {
    const auto start = Clock::now();
    action();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  own_work();
  peer_work();
  for (auto _ : state) {
    const bool own_first = own.size() % 2 == 0;
    if (!own_first) peer.push_back(timed(peer_work));
    own.push_back(timed(own_work));
    if (own_first) peer.push_back(timed(peer_work));
    ratios.push_back(own.back() / peer.back());
    state.SetIterationTime(own.back());
  }
  state.counters["ours_us"] = median(own) * 1e6 / work;
  state.counters["direct_us"] = median(peer) * 1e6 / work;
  state.counters["ratio"] = median(ratios);
}

}  // namespace flagos::bench
