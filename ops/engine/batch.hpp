// Outer axes of kernels that work on rows or matrices: a few are walked by the kernel, more of them by the host.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "ops/engine/launch.hpp"
#include "ops/engine/layout.hpp"

namespace flagos::ops {

constexpr int batch_axes = 3;  // that a kernel walks

// In a kernel: the outer axes of its operands.
class Batch {
 public:
  // Takes the sizes and strides as arguments, when there is more than one place.
  Batch(tile::Kernel& k, bool batched, std::initializer_list<const char*> operands);
  const tile::Tile& count() const { return count_; }
  // The indices of a place by its number.
  std::vector<tile::Operand> places(const tile::Tile& number) const;
  // Memory of an operand: the outer axes, then these.
  tile::View view(tile::Kernel& k, const tile::Pointer& pointer, std::size_t operand,
                  std::vector<tile::Extent> shape, std::vector<tile::Extent> strides) const;

 private:
  std::vector<tile::Tile> extents_;
  std::vector<std::vector<tile::Tile>> strides_;  // [operand][axis]
  tile::Tile count_;
};

// places, then more.
std::vector<tile::Operand> joined(std::vector<tile::Operand> places,
                                  std::initializer_list<tile::Operand> more);
// The block of `shape` at `places`, which are as many or more: extents of 1 go.
tile::Tile load_block(tile::Kernel& k, const tile::View& view,
                      const std::vector<tile::Operand>& places, const std::vector<int>& shape,
                      const tile::Operand& pad = 0);
void store_block(tile::Kernel& k, const tile::View& view, const std::vector<tile::Operand>& places,
                 const tile::Tile& value);

// On the host: the outer axes of tensors of one shape.
class BatchWalk {
 public:
  // The tensors without their `inner` last axes; their order is that of the kernel's operands. The first is written.
  BatchWalk(std::span<const Tensor* const> tensors, int inner);
  bool batched() const { return batch_ != 1; }
  std::int64_t count() const { return batch_; }  // places of one launch
  // The kernel's arguments, where it is batched.
  void put(Launch& launch) const;
  // Launches for all places; pointers[i] is the place of operand i among the kernel's.
  void run(Launch& launch, std::int64_t blocks, std::initializer_list<std::size_t> pointers) const;

 private:
  InlineVector<Tensor, 4> operands_;
  Layout layout_;
  int outside_ = 0;
  std::int64_t batch_ = 1, walks_ = 1;
};

}  // namespace flagos::ops
