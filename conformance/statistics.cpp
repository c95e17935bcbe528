#include "conformance/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace flagos::conformance {
namespace {

constexpr std::size_t resamplings = 1000;

double median_of(std::vector<double>& samples) {
  if (samples.empty()) return 0;
  const std::size_t half = samples.size() / 2;
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(half),
                   samples.end());
  const double upper = samples[half];
  if (samples.size() % 2 == 1) return upper;
  const double lower =
      *std::max_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(half));
  return (lower + upper) / 2;
}

double resampled_median(const std::vector<double>& samples, std::mt19937_64& random) {
  std::vector<double> drawn(samples.size());
  for (double& value : drawn) value = samples[random() % samples.size()];
  return median_of(drawn);
}

}  // namespace

Summary summarize(std::vector<double> samples) {
  if (samples.empty()) return {};
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  Summary summary{0, *least, *most};
  summary.median = median_of(samples);
  return summary;
}

Interval bootstrap_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::mt19937_64 random(1);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < resamplings; ++i) {
    const double before = resampled_median(a, random);
    const double after = resampled_median(b, random);
    ratios.push_back(before == 0 ? (after == 0 ? 1 : 1e9) : after / before);
  }
  std::sort(ratios.begin(), ratios.end());
  return {ratios[resamplings / 40], ratios[resamplings - 1 - resamplings / 40]};
}

Trend trend(const std::vector<double>& at, const std::vector<double>& samples) {
  const std::size_t count = std::min(at.size(), samples.size());
  if (count < 3) return {};
  double mean_at = 0, mean = 0;
  for (std::size_t i = 0; i < count; ++i) {
    mean_at += at[i] / static_cast<double>(count);
    mean += samples[i] / static_cast<double>(count);
  }
  double spread = 0, together = 0;
  for (std::size_t i = 0; i < count; ++i) {
    spread += (at[i] - mean_at) * (at[i] - mean_at);
    together += (at[i] - mean_at) * (samples[i] - mean);
  }
  if (spread == 0) return {};
  const double slope = together / spread;
  double rest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double off = samples[i] - mean - slope * (at[i] - mean_at);
    rest += off * off;
  }
  // Student's t for 95 %, near enough from 3 degrees of freedom on.
  const double freedom = static_cast<double>(count - 2);
  const double t = 1.96 + 2.4 / freedom + 4.0 / (freedom * freedom * freedom);
  const double margin = t * std::sqrt(rest / freedom / spread);
  return {slope, slope - margin, slope + margin};
}

}  // namespace flagos::conformance
