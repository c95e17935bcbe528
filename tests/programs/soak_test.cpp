// What a soak measures with: histograms of times, and the judgement of growth.
#include "conformance/program/soak.hpp"

#include <doctest/doctest.h>

#include "conformance/program/latencies.hpp"
#include "conformance/statistics.hpp"

using namespace flagos::conformance;

TEST_CASE("a histogram tells times to an eighth") {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100'000; ++value) histogram.add(value);
  CHECK(histogram.total() == 100'000);
  CHECK(histogram.largest() == 100'000);
  for (const double share : {0.1, 0.5, 0.99}) {
    const double exact = share * 100'000;
    const auto found = static_cast<double>(histogram.at(share));
    CHECK(found >= exact);
    CHECK(found <= exact * 1.13);
  }
  CHECK(histogram.at(1) == 100'000);

  Histogram ends;
  ends.add(0);
  ends.add(UINT64_MAX);
  CHECK(ends.at(0) == 0);
  CHECK(ends.at(0.9) == UINT64_MAX);
  ends.add(histogram);
  CHECK(ends.total() == 100'002);
}

TEST_CASE("the line through samples, with its interval") {
  const Trend exact = trend({0, 1, 2, 3}, {5, 7, 9, 11});
  CHECK(exact.slope == doctest::Approx(2));
  CHECK(exact.low == doctest::Approx(2));
  const Trend noisy = trend({0, 1, 2, 3, 4, 5, 6, 7}, {1, -1, 1, -1, 1, -1, 1, -1});
  CHECK(noisy.low < 0);
  CHECK(noisy.high > 0);
  CHECK(trend({1}, {1}).slope == 0);
  CHECK(trend({1, 1, 1}, {1, 2, 3}).slope == 0);
}

TEST_CASE("what grows is named, what jitters is not, and few samples tell nothing") {
  std::vector<Sample> samples;
  for (int i = 0; i < 40; ++i) {
    Sample sample;
    sample.at = i * 10;
    sample.rss_bytes = 100e6 + (i % 3) * 1e6;
    sample.descriptors = 20 + (i % 2);
    sample.threads = 9;
    samples.push_back(sample);
  }
  Growth growth = judge_growth(samples);
  CHECK(growth.judged);
  CHECK(growth.grows.empty());

  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i].descriptors += static_cast<double>(i / 4);
  growth = judge_growth(samples);
  REQUIRE(growth.grows.size() == 1);
  CHECK(growth.grows[0].find("descriptors grows by") == 0);

  // A warm-up is not growth.
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i].descriptors = 20;
    samples[i].rss_bytes = i < 10 ? static_cast<double>(i) * 50e6 : 500e6;
  }
  CHECK(judge_growth(samples).grows.empty());

  samples.resize(6);
  CHECK_FALSE(judge_growth(samples).judged);
}
