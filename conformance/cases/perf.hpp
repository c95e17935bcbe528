// What the cases on times share. A time is never judged: each case checks the effect of what it
// timed, and adds figures to the report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {

// `body` returns one sample; the first, which warms up, is left out.
template <typename Body>
std::vector<double> take_samples(std::uint32_t count, const Body& body) {
  body();
  std::vector<double> samples;
  for (std::uint32_t i = 0; i < count; ++i) samples.push_back(body());
  return samples;
}

template <typename Body>
double seconds_of(const Body& body) {
  const double start = now_seconds();
  body();
  return now_seconds() - start;
}

// "64 KiB"
std::string size_name(std::uint64_t size_bytes);

}  // namespace flagos::conformance
