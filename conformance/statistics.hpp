// Figures from samples.
#pragma once

#include <vector>

namespace flagos::conformance {

struct Summary {
  double median = 0, least = 0, most = 0;
};
Summary summarize(std::vector<double> samples);

// The middle 95 % of the ratio of medians b/a over resampled samples; both must have samples. Equal
// input gives equal output.
struct Interval {
  double low = 1, high = 1;
};
Interval bootstrap_ratio(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace flagos::conformance
