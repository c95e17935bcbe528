#include "ops/tensor.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace flagos::ops {

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}
bool same_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::string Tensor::shape_text() const { return ops::shape_text(dims()); }

bool Tensor::is_dense() const {
  std::int64_t step = 1;
  for (int i = rank; i-- > 0;) {
    if (shape[i] == 1) continue;
    if (strides[i] != step) return elements() == 0;
    step *= shape[i];
  }
  return true;
}

Tensor::Range Tensor::range() const {
  if (elements() == 0) return {address, address};
  std::int64_t low = 0, high = 1;
  for (int i = 0; i < rank; ++i) (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  return {address + static_cast<std::uint64_t>(low * size),
          address + static_cast<std::uint64_t>(high * size)};
}

Tensor Tensor::expanded_to(std::span<const std::int64_t> target) const {
  const int grown = static_cast<int>(target.size()) - rank;
  Tensor out = *this;
  bool fits = grown >= 0;
  out.rank = static_cast<int>(target.size());
  for (int i = out.rank; fits && i-- > 0;) {
    const bool own = i >= grown;
    const std::int64_t extent = own ? shape[i - grown] : 1;
    fits = extent == target[i] || extent == 1;
    out.shape[i] = target[i];
    out.strides[i] = own && extent == target[i] ? strides[i - grown] : 0;
  }
  if (!fits)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "shape {} cannot be broadcast to {}", shape_text(),
                ops::shape_text(target));
  return out;
}

Tensor Tensor::permuted(std::span<const int> order) const {
  Tensor out = *this;
  for (std::size_t i = 0; i < order.size(); ++i) {
    out.shape[i] = shape[order[i]];
    out.strides[i] = strides[order[i]];
  }
  return out;
}

Tensor Tensor::transposed(int a, int b) const {
  Tensor out = *this;
  std::swap(out.shape[a], out.shape[b]);
  std::swap(out.strides[a], out.strides[b]);
  return out;
}

Tensor Tensor::with_axis(int axis, std::int64_t extent, std::int64_t stride) const {
  if (rank == max_rank)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a tensor of rank {} cannot get another axis",
                rank);
  Tensor out = *this;
  ++out.rank;
  for (int i = rank; i > axis; --i) {
    out.shape[i] = shape[i - 1];
    out.strides[i] = strides[i - 1];
  }
  out.shape[axis] = extent;
  out.strides[axis] = stride;
  return out;
}

Tensor Tensor::without_axis(int axis) const {
  Tensor out = *this;
  --out.rank;
  for (int i = axis; i < out.rank; ++i) {
    out.shape[i] = shape[i + 1];
    out.strides[i] = strides[i + 1];
  }
  return out;
}

Tensor Tensor::narrowed(int axis, std::int64_t start, std::int64_t count) const {
  Tensor out = *this;
  out.shape[axis] = count;
  out.address +=
      static_cast<std::uint64_t>(start * strides[axis] * static_cast<std::int64_t>(size_of(dtype)));
  return out;
}

Tensor Tensor::viewed_as(std::span<const std::int64_t> target) const {
  Tensor out = dense(address, dtype, target);
  if (is_dense()) return out;
  // Axes of the tensor, from the last on, are cut into axes of the target; several that lie without gaps count as one.
  int axis = rank - 1;
  std::int64_t left = 1, step = 1;
  for (int i = out.rank; i-- > 0;) {
    if (target[i] == 1) continue;
    while (left == 1) {
      while (axis >= 0 && shape[axis] == 1) --axis;
      if (axis < 0) break;
      left = shape[axis];
      step = strides[axis--];
      while (axis >= 0 && (shape[axis] == 1 || strides[axis] == left * step)) left *= shape[axis--];
    }
    if (left % target[i] != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a tensor of shape {} and strides {} cannot be seen as {} without a copy",
                  shape_text(), ops::shape_text({strides.data(), static_cast<std::size_t>(rank)}),
                  ops::shape_text(target));
    out.strides[i] = step;
    step *= target[i];
    left /= target[i];
  }
  return out;
}

Tensor Tensor::dense(flagos_address_t address, DType dtype, std::span<const std::int64_t> shape) {
  Tensor out;
  out.address = address;
  out.dtype = dtype;
  out.rank = static_cast<int>(shape.size());
  std::int64_t step = 1;
  for (int i = out.rank; i-- > 0;) {
    out.shape[i] = shape[i];
    out.strides[i] = step;
    step *= shape[i];
  }
  return out;
}

Tensor broadcast_shape(const Tensor& a, const Tensor& b) {
  Tensor out = a.rank >= b.rank ? a : b;
  const Tensor& less = a.rank >= b.rank ? b : a;
  for (int i = 1; i <= less.rank; ++i) {
    std::int64_t& extent = out.shape[out.rank - i];
    const std::int64_t other = less.shape[less.rank - i];
    if (extent != other && extent != 1 && other != 1)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "shapes {} and {} cannot be broadcast together",
                  a.shape_text(), b.shape_text());
    if (extent == 1) extent = other;
  }
  return out;
}

}  // namespace flagos::ops
