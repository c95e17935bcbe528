// How operands that are walked together lie in memory: axes that need not be told apart become one.
#pragma once

#include <cstdint>
#include <span>

#include "base/inline_vector.hpp"
#include "ops/tensor.hpp"

namespace flagos::ops {

// Operands of one shape, the last axis the innermost. At least one axis.
struct Layout {
  static constexpr std::size_t max_operands = 8;
  using Axes = InlineVector<std::int64_t, max_rank>;

  Axes shape;
  InlineVector<Axes, max_operands> strides;  // [operand][axis], in elements

  int rank() const { return static_cast<int>(shape.size()); }
  std::int64_t elements() const;
};

// At most max_operands operands, broadcast to `shape`. Axes of one element go; the others are ordered by the strides of operand 0, which
// is written, and joined where all operands allow it. The order in which elements are walked is not that of `shape`.
Layout simplify(std::span<const std::int64_t> shape, std::span<const Tensor> operands);

// The same without the reordering: elements stay in row-major order of `shape`.
Layout simplify_in_order(std::span<const std::int64_t> shape, std::span<const Tensor> operands);

}  // namespace flagos::ops
