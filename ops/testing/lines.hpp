// What tests of operators along lines share beside check.hpp: lines of a tensor on the host.
#pragma once

#include <string>
#include <vector>

#include "ops/testing/check.hpp"

namespace flagos::ops::testing {

// For each line along the axes of `along` (bits) the row-major numbers of its elements, lines in row-major order of what
// is left.
inline std::vector<std::vector<std::int64_t>> lines_of(const Shape& shape, std::uint32_t along) {
  std::int64_t count = 1, lines = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    count *= shape[i];
    if (((along >> i) & 1U) == 0) lines *= shape[i];
  }
  std::vector<std::vector<std::int64_t>> out(static_cast<std::size_t>(lines));
  for (std::int64_t index = 0; index < count; ++index) {
    std::int64_t rest = index, line = 0, step = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (((along >> i) & 1U) == 0) {
        line += rest % shape[i] * step;
        step *= shape[i];
      }
      rest /= shape[i];
    }
    out[static_cast<std::size_t>(line)].push_back(index);
  }
  return out;
}

// Types to test with, where the device computes in them.
inline std::vector<DType> wanted_dtypes(const std::vector<DType>& all) {
  std::vector<DType> out;
  for (const DType dtype : all)
    if (wants(dtype) && Fixture::get().computes_in(dtype)) out.push_back(dtype);
  return out;
}

constexpr Placement all_placements[] = {Placement::dense, Placement::transposed, Placement::sliced,
                                        Placement::broadcast};
inline Placement for_output(Placement placement) {
  return placement == Placement::broadcast ? Placement::dense : placement;
}

}  // namespace flagos::ops::testing
