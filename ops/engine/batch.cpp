#include "ops/engine/batch.hpp"

#include <algorithm>

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

Batch::Batch(Kernel& k, bool batched, std::initializer_list<const char*> operands)
    : count_(k.constant(tile::DType::i64, 1)) {
  if (!batched) return;
  for (int axis = 0; axis < batch_axes; ++axis) {
    extents_.push_back(k.scalar(fmt::format("batch{}", axis), tile::DType::i64));
    count_ = axis == 0 ? extents_[0] : count_ * extents_[axis];
  }
  for (const char* operand : operands) {
    strides_.emplace_back();
    for (int axis = 0; axis < batch_axes; ++axis)
      strides_.back().push_back(
          k.scalar(fmt::format("{}_batch{}", operand, axis), tile::DType::i64));
  }
}

std::vector<tile::Operand> Batch::places(const Tile& number) const {
  if (extents_.empty()) return {};
  return {number / (extents_[1] * extents_[2]), number / extents_[2] % extents_[1],
          number % extents_[2]};
}

tile::View Batch::view(Kernel& k, const tile::Pointer& pointer, std::size_t operand,
                       std::vector<tile::Extent> shape, std::vector<tile::Extent> strides) const {
  if (!extents_.empty()) {
    shape.insert(shape.begin(), extents_.begin(), extents_.end());
    strides.insert(strides.begin(), strides_[operand].begin(), strides_[operand].end());
  }
  return k.view(pointer, shape, strides);
}

std::vector<tile::Operand> joined(std::vector<tile::Operand> places,
                                  std::initializer_list<tile::Operand> more) {
  places.insert(places.end(), more.begin(), more.end());
  return places;
}

Tile load_block(Kernel& k, const tile::View& view, const std::vector<tile::Operand>& places,
                const std::vector<int>& shape, const tile::Operand& pad) {
  std::vector<int> whole(places.size() - shape.size(), 1);
  whole.insert(whole.end(), shape.begin(), shape.end());
  const Tile loaded = k.load(view, places, whole, pad);
  return places.size() == shape.size() ? loaded : reshape(loaded, shape);
}

void store_block(Kernel& k, const tile::View& view, const std::vector<tile::Operand>& places,
                 const Tile& value) {
  std::vector<int> shape(places.size() - value.shape().size(), 1);
  shape.insert(shape.end(), value.shape().begin(), value.shape().end());
  k.store(view, places, places.size() == value.shape().size() ? value : reshape(value, shape));
}

BatchWalk::BatchWalk(std::span<const Tensor* const> tensors, int inner) {
  for (const Tensor* tensor : tensors) {
    operands_.push_back(*tensor);
    operands_.back().rank -= inner;
  }
  if (operands_[0].rank == 0) {
    layout_.shape.push_back(1);
    for (std::size_t i = 0; i < operands_.size(); ++i) layout_.strides.push_back({0});
  } else {
    layout_ = simplify(operands_[0].dims(), operands_);
  }
  outside_ = std::max(0, layout_.rank() - batch_axes);
  for (int axis = 0; axis < layout_.rank(); ++axis)
    (axis < outside_ ? walks_ : batch_) *= layout_.shape[axis];
}

void BatchWalk::put(Launch& launch) const {
  if (!batched()) return;
  const int missing = batch_axes - (layout_.rank() - outside_);
  const auto put_axes = [&](const Layout::Axes& values, std::int64_t otherwise) {
    for (int axis = 0; axis < batch_axes; ++axis)
      launch.integer(axis < missing ? otherwise : values[axis - missing + outside_]);
  };
  put_axes(layout_.shape, 1);
  for (const Layout::Axes& strides : layout_.strides) put_axes(strides, 0);
}

void BatchWalk::run(Launch& launch, std::int64_t blocks,
                    std::initializer_list<std::size_t> pointers) const {
  for (std::int64_t walk = 0; walk < walks_; ++walk) {
    for (std::size_t i = 0; walks_ > 1 && i < operands_.size(); ++i) {
      std::int64_t rest = walk, offset = 0;
      for (int axis = outside_; axis-- > 0;) {
        offset += rest % layout_.shape[axis] * layout_.strides[i][axis];
        rest /= layout_.shape[axis];
      }
      launch.set_pointer(
          pointers.begin()[i],
          operands_[i].address + static_cast<std::uint64_t>(offset * size_of(operands_[i].dtype)));
    }
    launch.run(blocks);
  }
}

}  // namespace flagos::ops
