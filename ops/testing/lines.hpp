// What tests of operators along lines share beside check.hpp.
#pragma once

#include <string>
#include <vector>

#include "ops/testing/check.hpp"
#include "ops/testing/examples.hpp"

namespace flagos::ops::testing {

// Types to test with, where the device computes in them.
inline std::vector<DType> wanted_dtypes(const std::vector<DType>& all) {
  std::vector<DType> out;
  for (const DType dtype : all)
    if (wants(dtype) && Fixture::get().computes_in(dtype)) out.push_back(dtype);
  return out;
}

inline Placement for_output(Placement placement) {
  return placement == Placement::broadcast ? Placement::dense : placement;
}

}  // namespace flagos::ops::testing
