#include "ops/engine/layout.hpp"

#include <algorithm>
#include <cstdlib>

namespace flagos::ops {
namespace {

struct Axis {
  std::int64_t extent;
  std::vector<std::int64_t> strides;
};

std::vector<Axis> axes_of(std::span<const std::int64_t> shape, std::span<const Tensor> operands) {
  std::vector<Tensor> seen;
  for (const Tensor& operand : operands) seen.push_back(operand.expanded_to(shape));
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    Axis axis{shape[i], {}};
    for (const Tensor& operand : seen) axis.strides.push_back(operand.strides[i]);
    axes.push_back(std::move(axis));
  }
  return axes;
}

// Whether `outer` walks in larger steps than `inner`: by the first operand for which both move.
bool is_outer(const Axis& outer, const Axis& inner) {
  for (std::size_t k = 0; k < outer.strides.size(); ++k) {
    const std::int64_t a = std::abs(outer.strides[k]), b = std::abs(inner.strides[k]);
    if (a != b && a != 0 && b != 0) return a > b;
  }
  return false;
}

bool can_join(const Axis& outer, const Axis& inner) {
  for (std::size_t k = 0; k < outer.strides.size(); ++k)
    if (outer.strides[k] != inner.strides[k] * inner.extent) return false;
  return true;
}

Layout join(const std::vector<Axis>& axes, std::size_t operands) {
  std::vector<Axis> joined;
  for (const Axis& axis : axes) {
    if (!joined.empty() && can_join(joined.back(), axis)) {
      joined.back().extent *= axis.extent;
      joined.back().strides = axis.strides;
    } else {
      joined.push_back(axis);
    }
  }
  if (joined.empty()) joined.push_back({1, std::vector<std::int64_t>(operands, 1)});
  Layout layout;
  layout.strides.resize(operands);
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
  std::vector<Axis> axes = axes_of(shape, operands);
  // Insertion sort: is_outer is no order when strides are 0, and axes are few.
  for (std::size_t i = 1; i < axes.size(); ++i)
    for (std::size_t j = i; j > 0 && is_outer(axes[j], axes[j - 1]); --j)
      std::swap(axes[j], axes[j - 1]);
  return join(axes, operands.size());
}

Layout simplify_in_order(std::span<const std::int64_t> shape, std::span<const Tensor> operands) {
  return join(axes_of(shape, operands), operands.size());
}

}  // namespace flagos::ops
