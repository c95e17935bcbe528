#include "ops/convolution/window.hpp"

#include "ops/engine/walk.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

using tile::Tile;

Sizes sizes_of(const Call& call, std::size_t place, std::size_t axes, const Sizes& otherwise,
               std::int64_t least) {
  const auto given = call.integers(place);
  if (given.empty()) {
    if (otherwise.empty()) call.refuse(place, "is empty; one number is needed, or {}", axes);
    return otherwise;
  }
  if (given.size() != 1 && given.size() != axes)
    call.refuse(place, "has {} numbers; one is needed, or {}", given.size(), axes);
  Sizes out(axes, given[0]);
  if (given.size() == axes) out.assign(given.begin(), given.end());
  for (const std::int64_t size : out)
    if (size < least || size >= std::int64_t{1} << 40)
      call.refuse(place, "holds {}; {} is the least", size, least);
  return out;
}

Sizes Window::places(const Call& call, std::size_t place, const Tensor& input, bool ceil) const {
  Sizes out;
  for (std::size_t i = 0; i < axes(); ++i) {
    const std::int64_t in = input.shape[static_cast<std::size_t>(input.rank) - axes() + i];
    const std::int64_t room = in + 2 * padding[i] - reach(i);
    if (room < 0)
      call.refuse(place,
                  "reaches over {} elements along dimension {}, where input of shape {} has {} "
                  "with its padding",
                  reach(i), input.rank - static_cast<int>(axes() - i), input.shape_text(),
                  in + 2 * padding[i]);
    std::int64_t count = (room + (ceil ? stride[i] - 1 : 0)) / stride[i] + 1;
    if (ceil && (count - 1) * stride[i] >= in + padding[i]) --count;
    out.push_back(count);
  }
  return out;
}

Padded::Padded(const Call& call, const Tensor& input, const Sizes& padding) : tensor_(input) {
  Tensor shape = input;
  bool any = false;
  const std::size_t first = static_cast<std::size_t>(input.rank) - padding.size();
  for (std::size_t i = 0; i < padding.size(); ++i) {
    shape.shape[first + i] += 2 * padding[i];
    any = any || padding[i] != 0;
  }
  if (!any) return;
  scratch_ = std::make_unique<Scratch>(call, input.dtype, shape.dims());
  tensor_ = scratch_->tensor();
  fill(call, tensor_, Scalar{});
  Tensor inner = tensor_;
  for (std::size_t i = 0; i < padding.size(); ++i) {
    const int axis = static_cast<int>(first + i);
    inner = inner.narrowed(axis, padding[i], input.shape[first + i]);
  }
  copy(call, inner, input);
}

Tensor seen_by(const Window& window, const Tensor& padded, const Sizes& places) {
  const std::size_t axes = window.axes();
  const int first = padded.rank - static_cast<int>(axes);
  Tensor out = padded;
  out.rank = padded.rank + static_cast<int>(axes);
  for (std::size_t i = 0; i < axes; ++i) {
    const std::size_t axis = static_cast<std::size_t>(first) + i;
    out.shape[axis] = window.extent[i];
    out.strides[axis] = padded.strides[axis] * window.dilation[i];
    out.shape[axis + axes] = places[i];
    out.strides[axis + axes] = padded.strides[axis] * window.stride[i];
  }
  return out;
}

void fold(const Call& call, const Window& window, const Tensor& columns, const Tensor* bias,
          const Tensor& out) {
  Walk walk(call, out.dims());
  // The first window element of the first place, of each channel.
  Tensor start = columns;
  start.rank = 5;
  for (int axis = 3; axis < 5; ++axis) start.shape[axis] = 1, start.strides[axis] = 0;
  const int to = walk.write(out), from = walk.read(start);
  const int y = walk.coordinate(3), x = walk.coordinate(4);
  const int added = bias != nullptr ? walk.read(*bias) : -1;
  // Of both axes: window, its steps, places, and the steps of the columns along both.
  for (int i = 0; i < 2; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    walk.number(window.extent[axis]).number(window.stride[axis]).number(window.padding[axis]);
    walk.number(window.dilation[axis]).number(columns.shape[5 + axis]);
    walk.number(columns.strides[3 + axis]).number(columns.strides[5 + axis]);
  }
  const tile::DType computed = computed_as(columns.dtype);
  walk.run(call.key().add(3, 2).add(bias != nullptr, 1), "fold", [&](const Here& here) {
    const auto i64 = tile::DType::i64;
    const Tile zero = here.k.constant(i64, 0), one = here.k.constant(i64, 1);
    const Tile base = here.offset(from);
    // Where a window stands whose element `at` is over the coordinate, and whether it is one of the places.
    struct Hit {
      Tile place, is_one;
    };
    const auto hit = [&](std::size_t axis, const Tile& coordinate, const Tile& at) {
      const auto& n = here.numbers;
      const std::size_t first = axis * 7;
      const Tile low = coordinate + n[first + 2] - at * n[first + 3];
      const Tile place = low / n[first + 1];
      return Hit{place, (low >= 0) & (place * n[first + 1] == low) & (place < n[first + 4])};
    };
    const Tile begin = bias != nullptr ? cast(here.load(added), computed) : here.full(computed, 0);
    const Tile sum = here.k.loop(
        zero, here.numbers[0], one, begin, [&](const Tile& row, const Tile& rows_before) {
          const Hit down = hit(0, here.offset(y), row);
          return here.k.loop(
              zero, here.numbers[7], one, rows_before, [&](const Tile& column, const Tile& before) {
                const Hit across = hit(1, here.offset(x), column);
                const Tile is_one = down.is_one & across.is_one;
                const Tile offset = base + row * here.numbers[5] + column * here.numbers[12] +
                                    down.place * here.numbers[6] + across.place * here.numbers[13];
                return before +
                       cast(here.gather(from, where(is_one, offset, base), is_one), computed);
              });
        });
    here.store(to, cast(sum, stored_as(out.dtype)));
  });
}

}  // namespace flagos::ops
