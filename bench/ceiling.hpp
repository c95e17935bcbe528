// What the processor's memory and arithmetic can do, measured: STREAM's add in all threads, and products with sums in
// registers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace flagos::bench {

struct Ceiling {
  double bytes_per_second = 0;
  double flops = 0;  // of float32
};

namespace detail {

using Vector = float __attribute__((vector_size(32)));

inline double timed(unsigned threads, const std::function<void(unsigned)>& work) {
  double best = 1e30;
  for (int round = 0; round < 9; ++round) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> others;
    for (unsigned t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& other : others) other.join();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace detail

#if defined(__x86_64__)
__attribute__((target("avx2,fma")))
#endif
inline Ceiling
measure_ceiling(unsigned threads) {
  using detail::Vector;
  constexpr std::size_t count = std::size_t{16} << 20;  // floats of one array: 64 MiB
  std::vector<float> a(count, 1), b(count, 2), c(count, 3);
  const auto add = [&](unsigned t) {
    const std::size_t each = count / threads / 8;
    const auto* x = reinterpret_cast<const Vector*>(a.data()) + t * each;
    const auto* y = reinterpret_cast<const Vector*>(b.data()) + t * each;
    auto* z = reinterpret_cast<Vector*>(c.data()) + t * each;
    for (std::size_t i = 0; i < each; ++i) {
      Vector sum;
      __builtin_memcpy(&sum, x + i, sizeof(sum));
      Vector other;
      __builtin_memcpy(&other, y + i, sizeof(other));
      sum += other;
      __builtin_memcpy(z + i, &sum, sizeof(sum));
    }
  };
  Ceiling out;
  out.bytes_per_second = 3.0 * count * sizeof(float) / detail::timed(threads, add);

  constexpr int chains = 12;
  constexpr std::size_t rounds = 4'000'000;
  std::vector<float> sink(threads * 64);
  const auto multiply = [&](unsigned t) {
    Vector sums[chains] = {};
    const Vector x = Vector{} + 1.0001F, y = Vector{} + 0.9999F;
    for (std::size_t i = 0; i < rounds; ++i)
      for (Vector& sum : sums) sum = sum * x + y;
    Vector all = {};
    for (const Vector& sum : sums) all += sum;
    sink[t * 64] = all[0];
  };
  out.flops =
      static_cast<double>(threads) * rounds * chains * 8 * 2 / detail::timed(threads, multiply);
  return out;
}

}  // namespace flagos::bench
