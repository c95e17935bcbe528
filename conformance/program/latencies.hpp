// How long calls took: a histogram for each entry point, with steps of an eighth, cheap enough for every call.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <string_view>

#include "conformance/program/program.hpp"

namespace flagos::conformance {

class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    ++counts_[bucket(nanoseconds)];
    ++total_;
    if (nanoseconds > largest_) largest_ = nanoseconds;
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    largest_ = std::max(largest_, other.largest_);
  }
  std::uint64_t total() const { return total_; }
  std::uint64_t largest() const { return largest_; }
  // The upper end of the bucket below which `share` of all lie.
  std::uint64_t at(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return std::min(upper_end(i), largest_);
    }
    return largest_;
  }

 private:
  // Up to 8 one by one, then eight buckets for each doubling.
  static std::size_t bucket(std::uint64_t value) {
    if (value < 8) return value;
    const auto shift = static_cast<std::size_t>(std::bit_width(value)) - 4;
    return 8 * shift + (value >> shift);
  }
  static std::uint64_t upper_end(std::size_t index) {
    if (index < 16) return index;
    const std::size_t shift = index / 8 - 1;
    return ((std::uint64_t{8} + index % 8 + 1) << shift) - 1;
  }

  std::array<std::uint64_t, 512> counts_{};
  std::uint64_t total_ = 0, largest_ = 0;
};

// Of one thread: no two of them write to one.
class Latencies final : public Meter {
 public:
  void note(const char* entry, std::uint64_t nanoseconds) override {
    histograms_[entry].add(nanoseconds);
  }
  const std::map<std::string_view, Histogram>& all() const { return histograms_; }
  void add(const Latencies& other) {
    for (const auto& [entry, histogram] : other.histograms_) histograms_[entry].add(histogram);
  }

 private:
  std::map<std::string_view, Histogram> histograms_;
};

}  // namespace flagos::conformance
