// Writing to places that an index tensor names.
#pragma once

#include "ops/engine/copy.hpp"
#include "ops/engine/walk.hpp"

namespace flagos::ops {

// How far below its first element a tensor reaches along an axis: 0, or negative where the stride is.
inline std::int64_t reach_below(const Tensor& tensor, int axis) {
  return std::min<std::int64_t>(0, (tensor.shape[axis] - 1) * tensor.strides[axis]);
}

enum class Update : std::uint8_t { add, multiply, least, most };

// Target elements that are updated in the order of a sequence: for each j, target[index[j]] = update(target[index[j]],
// alpha * source[j]), for every element of `lines`. One program does all of a line, so that the result does not depend on
// how programs are scheduled, and no atomics are needed.
struct Updates {
  Tensor target;  // of the shape of lines; elements of a line are `target_step` apart
  std::int64_t target_step = 0;
  std::int64_t target_below = 0;  // see Walk
  std::int64_t limit = 0;         // indices are 0 to limit - 1; 0: they are offsets, and right
  Tensor index, source;           // of the shape of lines, first of the sequence
  std::int64_t index_step = 0, source_step = 0;
  std::int64_t length = 0;           // of the sequence
  std::int64_t skipped = INT64_MIN;  // an index that does nothing
  Update update = Update::add;
  Scalar alpha{DType::i64, 1, 1};
};
void update_in_order(const Call& call, const Updates& updates);

// Where the elements of a mask come when they are put one behind the other, in row-major order.
class Positions {
 public:
  // `mask` is dense and of bool. Writes how many there are to `count`, an int64, when it is given.
  Positions(const Call& call, const Tensor& mask, const Tensor* count);
  const Tensor& tensor() const { return positions_.tensor(); }  // int64, dense, of the mask's shape

 private:
  Scratch positions_;
};

}  // namespace flagos::ops
