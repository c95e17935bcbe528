// Windows that move over the last axes of a tensor: how convolutions, pooling and their kin are told of them, and the
// elements that windows see, as a tensor.
#pragma once

#include <memory>

#include "ops/engine/copy.hpp"

namespace flagos::ops {

// Sizes along the last one to three axes of a tensor.
using Sizes = std::vector<std::int64_t>;

// A list that has one number for each axis, one for all, or none, which means `otherwise`; each at least `least`.
Sizes sizes_of(const Call& call, std::size_t place, std::size_t axes, const Sizes& otherwise,
               std::int64_t least);

struct Window {
  Sizes extent, stride, padding, dilation;

  std::size_t axes() const { return extent.size(); }
  // How many elements it reaches over.
  std::int64_t reach(std::size_t axis) const { return dilation[axis] * (extent[axis] - 1) + 1; }
  // In how many places it stands, over `in` elements; refuses the argument at `place` where it stands nowhere.
  // `ceil`: a window that begins inside may end behind the padding.
  Sizes places(const Call& call, std::size_t place, const Tensor& input, bool ceil = false) const;
};

// An input with zeros around its last axes, where there is padding.
class Padded {
 public:
  Padded(const Call& call, const Tensor& input, const Sizes& padding);
  const Tensor& tensor() const { return tensor_; }

 private:
  std::unique_ptr<Scratch> scratch_;
  Tensor tensor_;
};

// [..., window axes, places]: what a window sees, in each of its places. `padded` holds the padding.
Tensor seen_by(const Window& window, const Tensor& padded, const Sizes& places);

// out[n, g, c, y, x] = bias[g, c] + the sum of the elements of columns [n, g, c, window axes, places] that stand for it: of
// two axes.
void fold(const Call& call, const Window& window, const Tensor& columns, const Tensor* bias,
          const Tensor& out);

}  // namespace flagos::ops
