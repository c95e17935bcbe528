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

// The straight line through samples: how much is added for each unit of `at`, and the ends of its 95 % interval.
struct Trend {
  double slope = 0, low = 0, high = 0;
};
Trend trend(const std::vector<double>& at, const std::vector<double>& samples);

}  // namespace flagos::conformance
