#include "ops/engine/layout.hpp"

#include <cstdlib>

#include "base/error.hpp"

namespace flagos::ops {
namespace {

// The steps of all operands along one axis.
struct Axis {
  std::int64_t extent;
  std::array<std::int64_t, Layout::max_operands> strides;
};
using Axes = InlineVector<Axis, max_rank>;

Axes axes_of(std::span<const std::int64_t> shape, std::span<const Tensor> operands) {
  if (operands.size() > Layout::max_operands)
    throw_error(FLAGOS_STATUS_INTERNAL, "{} operands are too many for one layout", operands.size());
  Axes axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    Axis axis;
    axis.extent = shape[i];
    for (std::size_t k = 0; k < operands.size(); ++k) {
      const Tensor& operand = operands[k];
      const int own = static_cast<int>(i) + operand.rank - static_cast<int>(shape.size());
      const std::int64_t extent = own >= 0 ? operand.shape[own] : 1;
      if (extent != shape[i] && extent != 1)
        static_cast<void>(operand.expanded_to(shape));  // throws, with words
      axis.strides[k] = extent == 1 ? 0 : operand.strides[own];
    }
    axes.push_back(axis);
  }
  return axes;
}

// Whether `outer` walks in larger steps than `inner`: by the first operand for which both move.
bool is_outer(const Axis& outer, const Axis& inner, std::size_t operands) {
  for (std::size_t k = 0; k < operands; ++k) {
    const std::int64_t a = std::abs(outer.strides[k]), b = std::abs(inner.strides[k]);
    if (a != b && a != 0 && b != 0) return a > b;
  }
  return false;
}

bool can_join(const Axis& outer, const Axis& inner, std::size_t operands) {
  for (std::size_t k = 0; k < operands; ++k)
    if (outer.strides[k] != inner.strides[k] * inner.extent) return false;
  return true;
}

Layout join(const Axes& axes, std::size_t operands) {
  Axes joined;
  for (const Axis& axis : axes) {
    if (!joined.empty() && can_join(joined.back(), axis, operands)) {
      joined.back().extent *= axis.extent;
      joined.back().strides = axis.strides;
    } else {
      joined.push_back(axis);
    }
  }
  Layout layout;
  layout.strides.resize(operands);
  for (std::size_t k = 0; k < operands; ++k) layout.strides[k].resize(0);
  if (joined.empty()) {  // one element
    layout.shape.push_back(1);
    for (std::size_t k = 0; k < operands; ++k) layout.strides[k].push_back(1);
  }
  for (const Axis& axis : joined) {
    layout.shape.push_back(axis.extent);
    for (std::size_t k = 0; k < operands; ++k) layout.strides[k].push_back(axis.strides[k]);
  }
  return layout;
}

}  // namespace

std::int64_t Layout::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

Layout simplify(std::span<const std::int64_t> shape, std::span<const Tensor> operands) {
  Axes axes = axes_of(shape, operands);
  // Insertion sort: is_outer is no order when strides are 0, and axes are few.
  for (std::size_t i = 1; i < axes.size(); ++i)
    for (std::size_t j = i; j > 0 && is_outer(axes[j], axes[j - 1], operands.size()); --j)
      std::swap(axes[j], axes[j - 1]);
  return join(axes, operands.size());
}

Layout simplify_in_order(std::span<const std::int64_t> shape, std::span<const Tensor> operands) {
  return join(axes_of(shape, operands), operands.size());
}

}  // namespace flagos::ops
