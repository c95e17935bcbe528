// Copies between views and fills: what moves elements without computing anything of them.
#pragma once

#include "ops/call.hpp"
#include "ops/engine/pointwise.hpp"

namespace flagos::ops {

// Queues a copy of `in`, broadcast to the shape of `out` and cast to its type. The two may not lie over each other, unless
// they are the same elements. Complex to real drops the imaginary part.
void copy(const Call& call, const Tensor& out, const Tensor& in);
// Queues writing the number to every element.
void fill(const Call& call, const Tensor& out, const Scalar& value);

// In kernels: of a stored element, what is computed with; and back.
tile::Tile to_computed(const tile::Tile& stored, DType dtype);
tile::Tile to_stored(const tile::Tile& value, DType dtype);

// Real and imaginary part as float32.
Tensor real_part(const Tensor& tensor);
Tensor imaginary_part(const Tensor& tensor);
// The tensor as elements that are only moved.
Tensor as_moved(const Tensor& tensor);

// A dense tensor of this shape in workspace.
class Scratch {
 public:
  Scratch(const Call& call, DType dtype, std::span<const std::int64_t> shape);
  const Tensor& tensor() const { return tensor_; }

 private:
  Workspace memory_;
  Tensor tensor_;
};

// The tensor itself where it is dense, else a dense copy that lives as long as this does.
class Dense {
 public:
  Dense(const Call& call, const Tensor& tensor);
  Dense(const Call& call, const Tensor& tensor, std::span<const std::int64_t> shape, DType dtype);
  const Tensor& tensor() const { return scratch_ ? scratch_->tensor() : tensor_; }
  // It is a copy: what is written to it must be copied back.
  bool is_copy() const { return scratch_ != nullptr; }

 private:
  Tensor tensor_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace flagos::ops
