// A tensor as operators see it: checked, with every stride written out.
#pragma once

#include <flagos.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "ops/dtype.hpp"

namespace flagos::ops {

constexpr int max_rank = 16;  // FLAGOS_OPS_MAX_RANK

struct Tensor {
  flagos_address_t address = 0;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<std::int64_t, max_rank> shape{};
  std::array<std::int64_t, max_rank> strides{};  // in elements

  std::span<const std::int64_t> dims() const {
    return {shape.data(), static_cast<std::size_t>(rank)};
  }
  std::int64_t elements() const {
    std::int64_t count = 1;
    for (int i = 0; i < rank; ++i) count *= shape[i];
    return count;
  }
  std::string shape_text() const;
  bool is_dense() const;  // row-major, without gaps
  // The bytes from the lowest to one past the highest that any element reaches.
  struct Range {
    flagos_address_t low, high;
  };
  Range range() const;

  // The same memory seen in another way.
  Tensor expanded_to(
      std::span<const std::int64_t> shape) const;  // broadcast; throws Error where it does not fit
  Tensor permuted(std::span<const int> order) const;
  Tensor transposed(int a, int b) const;
  Tensor with_axis(int axis, std::int64_t extent,
                   std::int64_t stride) const;  // one more, before `axis`
  Tensor without_axis(int axis) const;
  Tensor narrowed(int axis, std::int64_t start, std::int64_t count) const;
  // The same elements in another shape, without a copy; throws Error where strides forbid it.
  Tensor viewed_as(std::span<const std::int64_t> shape) const;
  static Tensor dense(flagos_address_t address, DType dtype, std::span<const std::int64_t> shape);
};

std::string shape_text(std::span<const std::int64_t> shape);  // "[2, 3]"
bool same_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b);
// As NumPy broadcasts. Throws Error where the two do not fit.
Tensor broadcast_shape(const Tensor& a, const Tensor& b);

}  // namespace flagos::ops
