// How operands that are walked together lie in memory: axes that need not be told apart become one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/tensor.hpp"

namespace flagos::ops {

// Operands of one shape, the last axis the innermost. At least one axis.
struct Layout {
  std::vector<std::int64_t> shape;
  std::vector<std::vector<std::int64_t>> strides;  // [operand][axis], in elements

  int rank() const { return static_cast<int>(shape.size()); }
  std::int64_t elements() const;
};

// The operands broadcast to `shape`. Axes of one element go; the others are ordered by the strides of operand 0, which
// is written, and joined where all operands allow it. The order in which elements are walked is not that of `shape`.
Layout simplify(std::span<const std::int64_t> shape, std::span<const Tensor> operands);

// The same without the reordering: elements stay in row-major order of `shape`.
Layout simplify_in_order(std::span<const std::int64_t> shape, std::span<const Tensor> operands);

}  // namespace flagos::ops
