#include "conformance/statistics.hpp"

#include <algorithm>
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

}  // namespace flagos::conformance
