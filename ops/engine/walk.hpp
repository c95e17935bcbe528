// The walk: kernels that do something for every element of a shape, where operands are views of any strides and indices
// may come from memory. Copies, indexing and random numbers are made of it. An operand may also be a number that is a
// linear function of where the element is: a coordinate, a diagonal, the row-major number.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/engine/launch.hpp"
#include "ops/engine/layout.hpp"

namespace flagos::ops {

// The integer type that moves elements of this size: kernels that only move are the same for all types of a size.
DType moved_as(DType dtype);

class Walk;

// One block of elements within a kernel: tiles of [height, width].
class Here {
 public:
  tile::Kernel& k;
  // Numbers that Walk::number gave, in their order.
  std::vector<tile::Tile> numbers;
  // Which elements of the tile are elements of the shape.
  tile::Tile inside;
  int height, width;

  // The elements of an operand, as they are stored.
  tile::Tile load(int operand) const;
  void store(int operand, const tile::Tile& value) const;
  // How far the elements of an operand are from the first byte of its memory, in elements; of a linear function, its value.
  tile::Tile offset(int operand) const;
  // Elements at other places: offsets in elements, for where `inside` and `mask` hold.
  tile::Tile gather(int operand, const tile::Tile& offset) const;
  tile::Tile gather(int operand, const tile::Tile& offset, const tile::Tile& mask) const;
  void scatter(int operand, const tile::Tile& offset, const tile::Tile& value) const;
  void scatter(int operand, const tile::Tile& offset, const tile::Tile& value,
               const tile::Tile& mask) const;
  // Ends the kernel with `message` where the condition does not hold for an element of the shape.
  void require(const tile::Tile& condition, const std::string& message) const;
  tile::Tile full(tile::DType dtype, const tile::Operand& value) const {
    return k.full(dtype, {height, width}, value);
  }

 private:
  friend class Walk;
  Here(tile::Kernel& kernel, const tile::Tile& in) : k(kernel), inside(in), height(0), width(0) {}
  struct Seen {
    std::vector<tile::Pointer> pointer;  // none of a linear function
    tile::Tile base;                     // of the block
    tile::Tile down, across;             // strides
    int inner;
  };
  tile::Tile place(const Seen& seen) const;
  tile::View whole(const Seen& seen) const;
  std::vector<Seen> seen_;
  std::vector<tile::Tile> corner_, extents_;  // of the two axes of the tile
};

class Walk {
 public:
  // How an operand lies along the innermost axis; `down`: neighbours along the axis before it.
  enum Inner : std::uint8_t { neighbours, repeated, spaced, down };

  Walk(const Call& call, std::span<const std::int64_t> shape);

  // An operand is broadcast to the shape; the first one decides the order of the walk. Gives its number. `below`: how far
  // gather and scatter go below the elements themselves, 0 or negative.
  int read(const Tensor& tensor, std::int64_t below = 0) {
    return add(tensor, false, false, below);
  }
  int write(const Tensor& tensor, std::int64_t below = 0) {
    return add(tensor, true, false, below);
  }
  // base + sum of coordinate * stride; strides of the axes of the shape.
  int linear(std::int64_t base, std::span<const std::int64_t> strides);
  // The coordinate along an axis.
  int coordinate(int axis);
  // The row-major number of the element.
  int row_major();

  // A number for the kernel.
  std::size_t count() const { return numbers_.size(); }  // of numbers so far
  Walk& number(std::int64_t value);
  Walk& number(tile::DType computed, double real, std::int64_t integer);

  // Queues the kernel that does `body`. `key` tells apart everything that the body depends on, beside the operands.
  void run(Key key, const char* name, const std::function<void(const Here&)>& body);
  // The key for a kernel that operators share.
  static Key shared_key(std::uint32_t which) { return Key(4095 - which); }

 private:
  struct Operand {
    Tensor tensor;
    bool written, is_linear;
    std::int64_t base;  // of memory: how far it is reached below
    Inner inner = spaced;
  };
  struct Number {
    tile::DType dtype;  // of the kernel's parameter
    double real;
    std::int64_t integer;
  };
  int add(const Tensor& tensor, bool written, bool is_linear, std::int64_t base);
  void arrange();
  std::string text(const char* name, const std::function<void(const Here&)>& body) const;

  const Call& call_;
  std::vector<std::int64_t> shape_;
  std::vector<Operand> operands_;
  std::vector<Number> numbers_;
  Layout layout_;
  int rank_ = 2, width_ = 0, height_ = 1;
};

}  // namespace flagos::ops
