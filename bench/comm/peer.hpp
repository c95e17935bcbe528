// What the benchmarks of other libraries share: the sizes and numbers of flagos bench comm, and its lines.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace flagos::bench {

// A message of each size, the largest one as well.
inline std::uint64_t next_size(std::uint64_t bytes, std::uint64_t factor, std::uint64_t largest) {
  return bytes < largest ? std::min(bytes * factor, largest) : bytes * factor;
}

// bfloat16 of numbers that have one, and back.
inline std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
inline float from_bfloat16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}
// For libraries that have no sum of it.
inline void add_bfloat16(std::uint16_t* result, const std::uint16_t* a, const std::uint16_t* b,
                         std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    result[i] = to_bfloat16(from_bfloat16(a[i]) + from_bfloat16(b[i]));
}

struct PeerSettings {
  std::string operation;
  bool is_bfloat16 = false;
  std::uint64_t smallest = 8, largest = 64 << 20, factor = 8;
  std::string folder;

  std::uint64_t width() const { return is_bfloat16 ? 2 : 4; }
  bool sums() const { return operation == "all_reduce" || operation == "reduce_scatter"; }

  // OPERATION DTYPE MIN MAX FACTOR FOLDER
  static PeerSettings read(int argc, char** argv) {
    PeerSettings settings;
    if (argc != 7) {
      std::fprintf(stderr, "usage: %s OPERATION float32|bfloat16 MIN MAX FACTOR FOLDER\n", argv[0]);
      std::exit(2);
    }
    settings.operation = argv[1];
    settings.is_bfloat16 = std::string(argv[2]) == "bfloat16";
    settings.smallest = std::strtoull(argv[3], nullptr, 10);
    settings.largest = std::strtoull(argv[4], nullptr, 10);
    settings.factor = std::max(2ULL, std::strtoull(argv[5], nullptr, 10));
    settings.folder = argv[6];
    return settings;
  }
};

// Ones to send, and whether the first element of a result is what it must be.
class PeerBuffers {
 public:
  PeerBuffers(const PeerSettings& settings, std::uint64_t count)
      : settings_(settings),
        source((count + 1) * settings.width()),
        target((count + 1) * settings.width()) {
    for (std::uint64_t i = 0; i <= count; ++i) put(source, i, 1);
  }
  std::uint64_t wrong(int size) const {
    return first() != (settings_.sums() ? static_cast<float>(size) : 1);
  }

 private:
  const PeerSettings& settings_;
  void put(std::vector<unsigned char>& bytes, std::uint64_t index, float value) const {
    const std::uint16_t narrow = to_bfloat16(value);
    const void* const from = settings_.is_bfloat16 ? static_cast<const void*>(&narrow) : &value;
    std::memcpy(bytes.data() + index * settings_.width(), from, settings_.width());
  }
  float first() const {
    float value = 0;
    std::uint16_t narrow = 0;
    std::memcpy(&value, target.data(), settings_.is_bfloat16 ? 2 : 4);
    std::memcpy(&narrow, target.data(), sizeof(narrow));
    return settings_.is_bfloat16 ? from_bfloat16(narrow) : value;
  }

 public:
  std::vector<unsigned char> source, target;
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
