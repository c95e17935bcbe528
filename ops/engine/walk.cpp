#include "ops/engine/walk.hpp"

#include <algorithm>

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
// More elements than any memory holds.
constexpr long long everywhere = 1LL << 48;
constexpr int ranks[] = {2, 4, 8, 16};
constexpr int widths[] = {16, 64, 256, 1024, 2048};

}  // namespace

DType moved_as(DType dtype) {
  switch (size_of(dtype)) {
    case 1:
      return DType::u8;
    case 2:
      return DType::i16;
    case 4:
      return DType::i32;
    default:
      return DType::i64;
  }
}

// ---- within a kernel ---------------------------------------------------------------------------------------------

Tile Here::place(const Seen& seen) const {
  const Tile row = expand(cast(k.range(height), i64) + corner_[0], 1) * seen.down;
  const Tile column = expand(cast(k.range(width), i64) + corner_[1], 0) * seen.across;
  return broadcast(row, {height, width}) + broadcast(column, {height, width}) + seen.base;
}

tile::View Here::whole(const Seen& seen) const {
  return k.view(seen.pointer[0], {everywhere}, {1});
}

Tile Here::offset(int operand) const { return place(seen_.at(static_cast<std::size_t>(operand))); }

Tile Here::load(int operand) const {
  const Seen& seen = seen_.at(static_cast<std::size_t>(operand));
  using tile::Extent;
  switch (seen.inner) {
    case Walk::repeated: {
      const tile::View view =
          k.view(seen.pointer[0], {everywhere, extents_[0], 1}, {1, seen.down, 1});
      return broadcast(
          reshape(k.load(view, {seen.base, corner_[0], 0}, {1, height, 1}), {height, 1}),
          {height, width});
    }
    case Walk::down: {
      const tile::View view =
          k.view(seen.pointer[0], {everywhere, extents_[1], extents_[0]}, {1, seen.across, 1});
      return trans(reshape(k.load(view, {seen.base, corner_[1], corner_[0]}, {1, width, height}),
                           {width, height}));
    }
    default: {
      const Extent across = seen.inner == Walk::neighbours ? Extent(1) : Extent(seen.across);
      const tile::View view =
          k.view(seen.pointer[0], {everywhere, extents_[0], extents_[1]}, {1, seen.down, across});
      return reshape(k.load(view, {seen.base, corner_[0], corner_[1]}, {1, height, width}),
                     {height, width});
    }
  }
}

void Here::store(int operand, const Tile& value) const {
  const Seen& seen = seen_.at(static_cast<std::size_t>(operand));
  using tile::Extent;
  const Extent across = seen.inner == Walk::neighbours ? Extent(1) : Extent(seen.across);
  const tile::View view =
      k.view(seen.pointer[0], {everywhere, extents_[0], extents_[1]}, {1, seen.down, across});
  k.store(view, {seen.base, corner_[0], corner_[1]}, reshape(value, {1, height, width}));
}

Tile Here::gather(int operand, const Tile& offset) const {
  return k.gather(whole(seen_.at(static_cast<std::size_t>(operand))), {offset}, inside);
}

Tile Here::gather(int operand, const Tile& offset, const Tile& mask) const {
  return k.gather(whole(seen_.at(static_cast<std::size_t>(operand))), {offset}, inside & mask);
}

void Here::scatter(int operand, const Tile& offset, const Tile& value) const {
  k.scatter(whole(seen_.at(static_cast<std::size_t>(operand))), {offset}, value, inside);
}

void Here::scatter(int operand, const Tile& offset, const Tile& value, const Tile& mask) const {
  k.scatter(whole(seen_.at(static_cast<std::size_t>(operand))), {offset}, value, inside & mask);
}

void Here::require(const Tile& condition, const std::string& message) const {
  k.require(condition | !inside, message);
}

// ---- on the host ---------------------------------------------------------------------------------------------------

Walk::Walk(const Call& call, std::span<const std::int64_t> shape)
    : call_(call), shape_(shape.begin(), shape.end()) {}

int Walk::add(const Tensor& tensor, bool written, bool is_linear, std::int64_t base) {
  if (operands_.size() == Layout::max_operands)
    throw_error(FLAGOS_STATUS_INTERNAL, "a walk over more than {} operands", Layout::max_operands);
  operands_.push_back({tensor.expanded_to(shape_), written, is_linear, base});
  return static_cast<int>(operands_.size()) - 1;
}

int Walk::linear(std::int64_t base, std::span<const std::int64_t> strides) {
  Tensor tensor = Tensor::dense(0, DType::i64, shape_);
  std::copy(strides.begin(), strides.end(), tensor.strides.begin());
  return add(tensor, false, true, base);
}

int Walk::coordinate(int axis) {
  std::vector<std::int64_t> strides(shape_.size());
  if (!strides.empty()) strides.at(static_cast<std::size_t>(axis)) = 1;
  return linear(0, strides);
}

int Walk::row_major() {
  const Tensor dense = Tensor::dense(0, DType::i64, shape_);
  return linear(0, {dense.strides.data(), shape_.size()});
}

Walk& Walk::number(std::int64_t value) {
  numbers_.push_back({i64, 0, value});
  return *this;
}

Walk& Walk::number(tile::DType computed, double real, std::int64_t integer) {
  numbers_.push_back({number_dtype(computed), real, integer});
  return *this;
}

void Walk::arrange() {
  std::vector<Tensor> tensors;
  for (const Operand& operand : operands_) tensors.push_back(operand.tensor);
  layout_ = simplify(shape_, tensors);
  // An operand whose neighbours lie along another axis: that axis is the other one of the tile.
  const int last = layout_.rank() - 1;
  const auto swap_axes = [&](int a, int b) {
    std::swap(layout_.shape[a], layout_.shape[b]);
    for (auto& strides : layout_.strides) std::swap(strides[a], strides[b]);
  };
  bool turned = false;
  for (std::size_t i = 0; i < operands_.size() && !turned; ++i) {
    const auto& strides = layout_.strides[i];
    if (operands_[i].is_linear || operands_[i].written || strides[last] == 1 || strides[last] == 0)
      continue;
    for (int axis = last; axis-- > 0;) {
      if (strides[axis] != 1 || layout_.shape[axis] < 8) continue;
      for (int a = axis; a < last - 1; ++a) swap_axes(a, a + 1);
      turned = true;
      break;
    }
  }
  const bool serial = call_.device().is_serial();
  bool dense = layout_.rank() == 1;
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const auto& strides = layout_.strides[i];
    Operand& operand = operands_[i];
    operand.inner = strides[last] == 1                 ? neighbours
                    : strides[last] == 0               ? repeated
                    : turned && strides[last - 1] == 1 ? down
                                                       : spaced;
    if (operand.written && operand.inner != neighbours) operand.inner = spaced;
    dense =
        dense && (operand.is_linear || operand.inner == neighbours || operand.inner == repeated);
  }
  rank_ = *std::find_if(std::begin(ranks), std::end(ranks) - 1,
                        [&](int rank) { return rank >= layout_.rank(); });
  if (dense && layout_.shape[0] > 256) {
    width_ = serial ? 2048 : 1024;
    height_ = 1;
  } else if (turned) {
    width_ = 64;
    height_ = serial ? 64 : 16;
  } else {
    width_ = *std::find_if(std::begin(widths), std::end(widths) - 2,
                           [&](int width) { return width >= layout_.shape[last]; });
    height_ = layout_.rank() == 1 ? 1 : std::max(1, (serial ? 4096 : 1024) / width_);
  }
}

void Walk::run(Key key, const char* name, const std::function<void(const Here&)>& body) {
  for (const std::int64_t extent : shape_)
    if (extent == 0) return;
  arrange();
  key.add(static_cast<std::uint64_t>(std::find(std::begin(ranks), std::end(ranks), rank_) - ranks),
          2);
  key.add(static_cast<std::uint64_t>(width_ / 16), 8).add(static_cast<std::uint64_t>(height_), 9);
  for (const Operand& operand : operands_)
    key.add(operand.is_linear ? 15U : static_cast<std::uint64_t>(operand.tensor.dtype), 4)
        .add(operand.inner, 2);
  flagos_kernel_t* const kernel = call_.device().kernel(key, [&] { return text(name, body); });

  Launch launch(call_, kernel);
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    Operand& operand = operands_[i];
    if (operand.is_linear) continue;
    // Offsets count from the lowest element, so that none is negative.
    std::int64_t low = operand.base;
    for (int axis = 0; axis < layout_.rank(); ++axis)
      low += std::min<std::int64_t>(0, (layout_.shape[axis] - 1) * layout_.strides[i][axis]);
    launch.pointer(operand.tensor.address +
                   static_cast<std::uint64_t>(low * size_of(operand.tensor.dtype)));
    operand.base = -low;
  }
  for (const Number& number : numbers_) launch.number(number.dtype, number.real, number.integer);
  const int missing = rank_ - layout_.rank();
  std::int64_t blocks = 1;
  for (int axis = 0; axis < rank_; ++axis) {
    const std::int64_t extent = axis < missing ? 1 : layout_.shape[axis - missing];
    const std::int64_t step = axis == rank_ - 1 ? width_ : axis == rank_ - 2 ? height_ : 1;
    blocks *= (extent + step - 1) / step;
    launch.integer(extent);
  }
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    launch.integer(operands_[i].base);
    for (int axis = 0; axis < rank_; ++axis)
      launch.integer(axis < missing ? 0 : layout_.strides[i][axis - missing]);
  }
  launch.run(blocks);
}

std::string Walk::text(const char* name, const std::function<void(const Here&)>& body) const {
  tile::Module module;
  module.kernel(
      std::string("ops_") + name, {{"HEIGHT", height_}, {"WIDTH", width_}, {"RANK", rank_}},
      [&](Kernel& k) {
        std::vector<std::vector<tile::Pointer>> pointers(operands_.size());
        for (std::size_t i = 0; i < operands_.size(); ++i)
          if (!operands_[i].is_linear)
            pointers[i].push_back(
                k.pointer(fmt::format("x{}", i), stored_as(operands_[i].tensor.dtype),
                          operands_[i].written ? "noalias" : "readonly, noalias"));
        std::vector<Tile> given, extents;
        for (std::size_t i = 0; i < numbers_.size(); ++i)
          given.push_back(k.scalar(fmt::format("p{}", i), numbers_[i].dtype));
        for (int axis = 0; axis < rank_; ++axis)
          extents.push_back(k.scalar(fmt::format("d{}", axis), i64));
        std::vector<Tile> bases;
        std::vector<std::vector<Tile>> strides(operands_.size());
        for (std::size_t i = 0; i < operands_.size(); ++i) {
          bases.push_back(k.scalar(fmt::format("b{}", i), i64));
          for (int axis = 0; axis < rank_; ++axis)
            strides[i].push_back(k.scalar(fmt::format("s{}_{}", i, axis), i64));
        }
        const int last = rank_ - 1;
        const Tile columns_of = (extents[last] + (width_ - 1)) / width_;
        const Tile rows_of = (extents[last - 1] + (height_ - 1)) / height_;
        Tile blocks = columns_of * rows_of;
        for (int axis = 0; axis < last - 1; ++axis) blocks = blocks * extents[axis];
        for_each_block(k, blocks, [&](const Tile& block) {
          const Tile column = (block % columns_of) * width_;
          Tile rest = block / columns_of;
          const Tile row = (rest % rows_of) * height_;
          rest = rest / rows_of;
          std::vector<Tile> at = bases;
          for (int axis = last - 2; axis >= 0; --axis) {
            const Tile coordinate = axis == 0 ? rest : rest % extents[axis];
            if (axis != 0) rest = rest / extents[axis];
            for (std::size_t i = 0; i < at.size(); ++i)
              at[i] = at[i] + coordinate * strides[i][axis];
          }
          const Tile rows = expand(cast(k.range(height_), i64) + row < extents[last - 1], 1);
          const Tile columns = expand(cast(k.range(width_), i64) + column < extents[last], 0);
          Here here(k, broadcast(rows, {height_, width_}) & broadcast(columns, {height_, width_}));
          here.numbers = given;
          here.height = height_;
          here.width = width_;
          here.corner_ = {row, column};
          here.extents_ = {extents[last - 1], extents[last]};
          for (std::size_t i = 0; i < operands_.size(); ++i)
            here.seen_.push_back(
                {pointers[i], at[i], strides[i][last - 1], strides[i][last], operands_[i].inner});
          body(here);
        });
      });
  return module.text(false);
}

}  // namespace flagos::ops
