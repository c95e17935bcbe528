// What pointwise operators compute, in long double: the reference of their tests.
#pragma once

#include <vector>

#include "ops/testing/host_tensor.hpp"

namespace flagos::ops::testing {

struct PointwiseReference {
  const char* op;
  // `x` the inputs, `p` the numbers; choices are what `arguments` gives in their places.
  Number (*value)(const Number* x, const Number* p);
  // Inputs are drawn from here, for each input.
  std::vector<std::pair<double, double>> ranges;
  std::vector<double> numbers = {};     // given for Scalar, float and int parameters
  std::vector<const char*> words = {};  // and for str and bool ("1", "0") parameters
};

const std::vector<PointwiseReference>& pointwise_references();

}  // namespace flagos::ops::testing
