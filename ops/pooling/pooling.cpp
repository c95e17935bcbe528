// Pooling: one number of what a window sees.
#include <limits>

#include "ops/convolution/window.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// An input of rank 3 or 4 whose last two axes are pooled, and an output like it.
void expect_images(const Call& call, std::size_t out) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_rank(0, 3, 4);
  call.expect_same_dtype(out, 0);
  const Tensor& input = call.tensor(0);
  if (input.shape[input.rank - 2] == 0 || input.shape[input.rank - 1] == 0)
    call.refuse(0, "is of shape {}: there is nothing to see", input.shape_text());
}
Sizes pooled_shape(const Tensor& input, const Sizes& places) {
  Sizes shape(input.dims().begin(), input.dims().end() - 2);
  shape.insert(shape.end(), places.begin(), places.end());
  return shape;
}
void expect_pooled(const Call& call, std::size_t place, const Sizes& places) {
  call.expect_shape(place, pooled_shape(call.tensor(0), places));
  call.expect_no_overlap(place, false);
}
// The first element of each image, repeated over what comes out.
Tensor images(const Tensor& input, const Tensor& out) {
  Tensor first = out;
  first.address = input.address;
  first.dtype = input.dtype;
  for (int axis = 0; axis < input.rank; ++axis)
    first.strides[axis] = axis < input.rank - 2 ? input.strides[axis] : 0;
  return first;
}
std::int64_t below(const Tensor& input) {
  std::int64_t out = 0;
  for (int axis = input.rank - 2; axis < input.rank; ++axis)
    out += std::min<std::int64_t>(0, (input.shape[axis] - 1) * input.strides[axis]);
  return out;
}

// Padding of more than half of a window would see nothing in places.
void expect_half(const Call& call, std::size_t place, const Window& window) {
  for (std::size_t i = 0; i < 2; ++i)
    if (window.padding[i] * 2 > window.extent[i])
      call.refuse(place, "holds {}, which is more than half of the window, {}", window.padding[i],
                  window.extent[i]);
}

// A walk over what comes out, and the sizes of both axes as numbers: input, its stride, window, steps, padding, dilation.
struct Pool {
  Walk walk;
  int to, from, y, x;

  Pool(const Call& call, const Window& window, const Tensor& input, const Tensor& out)
      : walk(call, out.dims()),
        to(walk.write(out)),
        from(walk.read(images(input, out), below(input))),
        y(walk.coordinate(out.rank - 2)),
        x(walk.coordinate(out.rank - 1)) {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t axis = static_cast<std::size_t>(input.rank) - 2 + i;
      walk.number(input.shape[axis]).number(input.strides[axis]).number(window.extent[i]);
      walk.number(window.stride[i]).number(window.padding[i]).number(window.dilation[i]);
    }
  }
  static constexpr std::size_t numbers = 6;  // of an axis
};
enum Number : std::size_t { in, in_step, extent, step, padding, dilation };

// `body(carried, y, x, inside, element)` for all elements of the windows.
template <std::size_t N, typename F>
std::array<Tile, N> each_seen(const Here& here, const Pool& pool, const std::array<Tile, N>& start,
                              F body) {
  const Tile zero = here.k.constant(i64, 0), one = here.k.constant(i64, 1);
  const auto& n = here.numbers;
  const Tile base = here.offset(pool.from);
  return here.k.loop(zero, n[extent], one, start, [&](const Tile& row, const auto&... rows_before) {
    const Tile y = here.offset(pool.y) * n[step] - n[padding] + row * n[dilation];
    return here.k.loop(
        zero, n[Pool::numbers + extent], one, std::array<Tile, N>{rows_before...},
        [&](const Tile& column, const auto&... before) {
          const Tile x = here.offset(pool.x) * n[Pool::numbers + step] -
                         n[Pool::numbers + padding] + column * n[Pool::numbers + dilation];
          const Tile inside = (y >= 0) & (y < n[in]) & (x >= 0) & (x < n[Pool::numbers + in]);
          const Tile offset = base + y * n[in_step] + x * n[Pool::numbers + in_step];
          return body(std::array<Tile, N>{before...}, y, x, inside,
                      here.gather(pool.from, where(inside, offset, base), inside));
        });
  });
}

// input, kernel_size, stride, padding, dilation, ceil_mode, out, [indices]
void max_pool2d(const Call& call, bool with_indices) {
  expect_images(call, 6);
  const Tensor& input = call.tensor(0);
  Window window;
  window.extent = sizes_of(call, 1, 2, {}, 1);
  window.stride = sizes_of(call, 2, 2, window.extent, 1);
  window.padding = sizes_of(call, 3, 2, {0, 0}, 0);
  window.dilation = sizes_of(call, 4, 2, {1, 1}, 1);
  expect_half(call, 3, window);
  const Sizes places = window.places(call, 1, input, call.flag(5));
  expect_pooled(call, 6, places);
  if (with_indices) {
    call.expect_dtype(7, DType::i64);
    expect_pooled(call, 7, places);
  }
  const Tensor& out = call.tensor(6);
  if (out.elements() == 0 || run_native(call)) return;
  Pool pool(call, window, input, out);
  const int indices = with_indices ? pool.walk.write(call.tensor(7)) : -1;
  const DType type = input.dtype;
  const tile::DType computed = is_floating(type) ? computed_as(type) : stored_as(type);
  pool.walk.run(call.key(), "max_pool2d", [&](const Here& here) {
    const std::array<Tile, 2> found = each_seen<2>(
        here, pool, carry(here.full(computed, neutral(type, true)), here.full(i64, -1)),
        [&](const std::array<Tile, 2>& before, const Tile& y, const Tile& x, const Tile& inside,
            const Tile& element) {
          const Tile value = cast(element, computed);
          Tile more = (value > before[0]) | (before[1] < 0);
          if (is_floating(type)) more = more | isnan(value);
          more = more & inside;
          return carry(where(more, value, before[0]),
                       where(more, y * here.numbers[Pool::numbers + in] + x, before[1]));
        });
    here.store(pool.to, cast(found[0], stored_as(type)));
    if (indices >= 0) here.store(indices, found[1]);
  });
}
void run_max_pool2d(Call& call) { max_pool2d(call, false); }
void run_max_pool2d_with_indices(Call& call) { max_pool2d(call, true); }

// input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, out
void run_avg_pool2d(Call& call) {
  expect_images(call, 7);
  const Tensor &input = call.tensor(0), &out = call.tensor(7);
  Window window;
  window.extent = sizes_of(call, 1, 2, {}, 1);
  window.stride = sizes_of(call, 2, 2, window.extent, 1);
  window.padding = sizes_of(call, 3, 2, {0, 0}, 0);
  window.dilation = {1, 1};
  expect_half(call, 3, window);
  expect_pooled(call, 7, window.places(call, 1, input, call.flag(4)));
  const bool divided = call.has(6), with_padding = call.flag(5);
  if (divided && call.integer(6) == 0) call.refuse(6, "is 0");
  if (out.elements() == 0 || run_native(call)) return;
  const tile::DType computed = computed_as(input.dtype);
  Pool pool(call, window, input, out);
  pool.walk.number(divided ? call.integer(6) : 1);
  Key key = call.key();
  key.add(divided, 1).add(with_padding, 1);
  pool.walk.run(key, "avg_pool2d", [&](const Here& here) {
    const auto& n = here.numbers;
    const Tile sum = each_seen<1>(
        here, pool, carry(here.full(computed, 0)),
        [&](const std::array<Tile, 1>& before, const Tile&, const Tile&, const Tile&,
            const Tile& element) { return carry(before[0] + cast(element, computed)); })[0];
    // How many elements a window has along an axis: up to the end of the padding, or of the input.
    const auto count = [&](int coordinate, std::size_t first) {
      const Tile low = here.offset(coordinate) * n[first + step] - n[first + padding];
      const Tile high = min(low + n[first + extent], n[first + in] + n[first + padding]);
      return with_padding ? high - low : min(high, n[first + in]) - max(low, 0);
    };
    const Tile divisor = divided ? here.full(i64, n[2 * Pool::numbers])
                                 : count(pool.y, 0) * count(pool.x, Pool::numbers);
    here.store(pool.to, cast(sum / cast(divisor, computed), stored_as(out.dtype)));
  });
}

// input, output_size, out. Each place sees the elements from floor(i in / out) to ceil((i + 1) in / out).
void run_adaptive_avg_pool2d(Call& call) {
  expect_images(call, 2);
  const Tensor &input = call.tensor(0), &out = call.tensor(2);
  const Sizes size = sizes_of(call, 1, 2, {}, 0);
  expect_pooled(call, 2, size);
  if (out.elements() == 0 || run_native(call)) return;
  const tile::DType computed = computed_as(input.dtype);
  Walk walk(call, out.dims());
  const int to = walk.write(out), from = walk.read(images(input, out), below(input));
  const int y = walk.coordinate(out.rank - 2), x = walk.coordinate(out.rank - 1);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t axis = static_cast<std::size_t>(input.rank) - 2 + i;
    walk.number(input.shape[axis]).number(input.strides[axis]).number(size[i]);
    walk.number((input.shape[axis] + size[i] - 1) / size[i] + 1);  // at most
  }
  walk.run(call.key(), "adaptive_avg_pool2d", [&](const Here& here) {
    const Tile zero = here.k.constant(i64, 0), one = here.k.constant(i64, 1);
    const auto& n = here.numbers;
    struct Span {
      Tile low, high;
    };
    const auto span = [&](int coordinate, std::size_t first) {
      const Tile at = here.offset(coordinate);
      return Span{at * n[first] / n[first + 2],
                  ((at + 1) * n[first] + (n[first + 2] - 1)) / n[first + 2]};
    };
    const Span down = span(y, 0), across = span(x, 4);
    const Tile base = here.offset(from);
    const Tile sum = here.k.loop(
        zero, n[3], one, here.full(computed, 0), [&](const Tile& row, const Tile& rows_before) {
          return here.k.loop(
              zero, n[7], one, rows_before, [&](const Tile& column, const Tile& before) {
                const Tile at_y = down.low + row, at_x = across.low + column;
                const Tile inside = (at_y < down.high) & (at_x < across.high);
                const Tile offset = base + at_y * n[1] + at_x * n[5];
                return before +
                       cast(here.gather(from, where(inside, offset, base), inside), computed);
              });
        });
    const Tile count = (down.high - down.low) * (across.high - across.low);
    here.store(to, cast(sum / cast(count, computed), stored_as(out.dtype)));
  });
}

// ---- more pixels -----------------------------------------------------------------------------------------------------

// input, output_size, ..., scales_h, scales_w, out: the sizes, and how far apart the pixels are that are looked at.
struct Resize {
  Sizes size;
  std::array<double, 2> scale;
};
Resize resize_of(const Call& call, std::size_t scales, std::size_t out, bool align_corners) {
  expect_images(call, out);
  const Tensor& input = call.tensor(0);
  Resize r;
  r.size = sizes_of(call, 1, 2, {}, 1);
  expect_pooled(call, out, r.size);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto in_size =
        static_cast<double>(input.shape[static_cast<std::size_t>(input.rank) - 2 + i]);
    const auto out_size = static_cast<double>(r.size[i]);
    const double given = call.has(scales + i) ? call.real(scales + i) : 0;
    if (call.has(scales + i) && !(given > 0))
      call.refuse(scales + i, "is {}; it must be above 0", given);
    r.scale[i] = align_corners ? (out_size > 1 ? (in_size - 1) / (out_size - 1) : 0)
                 : given > 0   ? 1 / given
                               : in_size / out_size;
  }
  return r;
}

// input, output_size, scales_h, scales_w, out
void run_upsample_nearest2d(Call& call) {
  const Resize r = resize_of(call, 2, 4, false);
  const Tensor &input = call.tensor(0), &out = call.tensor(4);
  if (out.elements() == 0 || run_native(call)) return;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)),
            from = walk.read(as_moved(images(input, out)), below(input));
  const int coordinates[] = {walk.coordinate(out.rank - 2), walk.coordinate(out.rank - 1)};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t axis = static_cast<std::size_t>(input.rank) - 2 + i;
    walk.number(input.shape[axis]).number(input.strides[axis]).number(r.size[i]);
    walk.number(tile::DType::f32, r.scale[i], 0);
  }
  Key key = call.key();
  key.add(call.has(2), 1).add(call.has(3), 1);
  walk.run(key, "upsample_nearest2d", [&](const Here& here) {
    Tile offset = here.offset(from);
    for (std::size_t i = 0; i < 2; ++i) {
      const Tile *const n = &here.numbers[i * 4], at = here.offset(coordinates[i]);
      // By sizes, whole numbers say exactly where it is.
      const Tile place =
          call.has(2 + i) ? cast(floor(cast(at, tile::DType::f32) * n[3]), i64) : at * n[0] / n[2];
      offset = offset + min(place, n[0] - 1) * n[1];
    }
    here.store(to, here.gather(from, offset));
  });
}

// input, output_size, align_corners, scales_h, scales_w, out
void run_upsample_bilinear2d(Call& call) {
  const bool align = call.flag(2);
  const Resize r = resize_of(call, 3, 5, align);
  const Tensor &input = call.tensor(0), &out = call.tensor(5);
  if (out.elements() == 0 || run_native(call)) return;
  const tile::DType computed = computed_as(input.dtype);
  Walk walk(call, out.dims());
  const int to = walk.write(out), from = walk.read(images(input, out), below(input));
  const int coordinates[] = {walk.coordinate(out.rank - 2), walk.coordinate(out.rank - 1)};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t axis = static_cast<std::size_t>(input.rank) - 2 + i;
    walk.number(input.shape[axis]).number(input.strides[axis]).number(computed, r.scale[i], 0);
  }
  walk.run(call.key().add(align, 1), "upsample_bilinear2d", [&](const Here& here) {
    // The two neighbours of a place along an axis, as offsets, and how far it is from the first.
    struct Between {
      Tile first, second, share;
    };
    const auto between = [&](std::size_t axis) {
      const Tile* const n = &here.numbers[axis * 3];
      const Tile at = cast(here.offset(coordinates[axis]), computed);
      const Tile place = align ? at * n[2] : max((at + 0.5) * n[2] - 0.5, 0.0);
      const Tile low = min(cast(floor(place), i64), n[0] - 1);
      return Between{low * n[1], min(low + 1, n[0] - 1) * n[1], place - cast(low, computed)};
    };
    const Between down = between(0), across = between(1);
    const Tile base = here.offset(from);
    const auto element = [&](const Tile& y, const Tile& x) {
      return cast(here.gather(from, base + y + x), computed);
    };
    const auto row = [&](const Tile& y) {
      return element(y, across.first) * (1.0 - across.share) +
             element(y, across.second) * across.share;
    };
    here.store(to, cast(row(down.first) * (1.0 - down.share) + row(down.second) * down.share,
                        stored_as(out.dtype)));
  });
}

}  // namespace

void add_pooling(Table& table) {
  table.add(
      "max_pool2d(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
      "bool ceil_mode=0, Tensor! out)",
      numbers, exact, run_max_pool2d);
  table.add(
      "max_pool2d_with_indices(Tensor input, int[] kernel_size, int[] stride, int[] padding, "
      "int[] dilation, bool ceil_mode=0, Tensor! out, Tensor! indices)",
      numbers, exact, run_max_pool2d_with_indices);
  table.add(
      "avg_pool2d(Tensor input, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode=0, "
      "bool count_include_pad=1, int? divisor_override, Tensor! out)",
      floats, summed(4, 2), run_avg_pool2d);
  table.add("adaptive_avg_pool2d(Tensor input, int[] output_size, Tensor! out)", floats,
            summed(4, 2), run_adaptive_avg_pool2d);
  table.add(
      "upsample_nearest2d(Tensor input, int[] output_size, float? scales_h, float? scales_w, "
      "Tensor! out)",
      everything, exact, run_upsample_nearest2d);
  table.add(
      "upsample_bilinear2d(Tensor input, int[] output_size, bool align_corners=0, float? "
      "scales_h, float? scales_w, Tensor! out)",
      floats, summed(8, 4), run_upsample_bilinear2d);
}

}  // namespace flagos::ops
