// What reads and writes at places that an index names has in common.
#pragma once

#include <optional>
#include <string>

#include "ops/indexing/lines.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

// A scalar counts as a row of one.
inline Tensor with_dimension(const Tensor& tensor) {
  return tensor.rank == 0 ? tensor.with_axis(0, 1, 1) : tensor;
}
inline Tensor resized(const Tensor& tensor, std::span<const std::int64_t> shape) {
  Tensor out = tensor;
  std::copy(shape.begin(), shape.end(), out.shape.begin());
  return out;
}
// Along one axis of a shape, the others repeat.
inline Tensor along(const Tensor& row, int axis, std::span<const std::int64_t> shape) {
  Tensor out = Tensor::dense(row.address, row.dtype, shape);
  for (int i = 0; i < out.rank; ++i)
    out.strides[i] = i == axis && row.rank != 0 ? row.strides[0] : 0;
  return out;
}

inline std::string outside(const Call& call) {
  return call.op().name() + ": an index is outside of the dimension that it counts";
}

// The start of an operator that writes to a part of its input, behind its own checks: true where the device's own version
// runs, else the input is in the output, unless it is there already.
bool runs_over(const Call& call, std::size_t in, std::size_t out);

inline DType accumulated_as(DType dtype) { return half_floats.has(dtype) ? DType::f32 : dtype; }

// Updates of an output whose elements are 16-bit floats are added up in float32.
class Accumulator {
 public:
  Accumulator(const Call& call, const Tensor& out) : call_(call), out_(out) {
    if (accumulated_as(out.dtype) == out.dtype) return;
    scratch_.emplace(call, accumulated_as(out.dtype), out.dims());
    copy(call, scratch_->tensor(), out);
  }
  const Tensor& tensor() const { return scratch_ ? scratch_->tensor() : out_; }
  void finish() const {
    if (scratch_) copy(call_, out_, scratch_->tensor());
  }

 private:
  const Call& call_;
  Tensor out_;
  std::optional<Scratch> scratch_;
};

void add_scatter(Table& table);
void add_masks(Table& table);
void add_parts(Table& table);

}  // namespace flagos::ops
