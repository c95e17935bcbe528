// Pooling and resizing against plain loops: windows, steps, padding, ends of windows, layouts, special numbers.
#include <cmath>
#include <limits>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using I = std::int64_t;
using Ints = std::vector<std::int64_t>;
const Number inf = std::numeric_limits<Number>::infinity(),
             quiet_nan = std::numeric_limits<Number>::quiet_NaN();

struct Window {
  Ints extent, stride, padding, dilation;
  bool ceil;
};
const Window windows[] = {{{2, 2}, {2, 2}, {0, 0}, {1, 1}, false},
                          {{3, 2}, {2, 1}, {1, 1}, {1, 2}, false},
                          {{3, 3}, {2, 2}, {1, 0}, {1, 1}, true},
                          {{3, 4}, {3, 5}, {1, 2}, {1, 1}, true}};

I places(I in, const Window& w, std::size_t i) {
  const I room = in + 2 * w.padding[i] - w.dilation[i] * (w.extent[i] - 1) - 1;
  I count = room / w.stride[i] + 1;
  if (w.ceil && room % w.stride[i] != 0 && count * w.stride[i] < in + w.padding[i]) ++count;
  return count;
}

// All elements that a window sees: row, column, value.
template <typename F>
void each_seen(const HostTensor& x, const Window& w, const Shape& out, F seen) {
  const I height = x.shape()[2], width = x.shape()[3];
  for (I i = 0; i < w.extent[0]; ++i)
    for (I j = 0; j < w.extent[1]; ++j) {
      const I row = out[2] * w.stride[0] - w.padding[0] + i * w.dilation[0],
              column = out[3] * w.stride[1] - w.padding[1] + j * w.dilation[1];
      if (row >= 0 && row < height && column >= 0 && column < width)
        seen(row, column, at(x, {out[0], out[1], row, column}));
    }
}

}  // namespace

TEST_CASE("pooling: the largest, and where it is") {
  for (const DType dtype : types_of(numbers))
    for (const Placement placement : placements())
      for (const Window& w : windows) {
        if (placement != Placement::dense && dtype != DType::f32) continue;
        HostTensor x = counted(dtype, {2, 3, 11, 12}, placement);
        if (is_floating(dtype)) {
          x.set(5, quiet_nan);
          for (I i = 40; i < 44; ++i) x.set(i, -inf), x.set(i + 12, -inf);
        }
        const Shape shape{2, 3, places(11, w, 0), places(12, w, 1)};
        HostTensor out(dtype, shape, written(placement)),
            indices(DType::i64, shape, written(placement));
        const auto best = [&](const Shape& i) {
          Number most = -inf;
          I place = -1;
          each_seen(x, w, i, [&](I row, I column, Number value) {
            if (place < 0 || value > most || std::isnan(value))
              most = value, place = row * 12 + column;
          });
          return std::pair(most, static_cast<Number>(place));
        };
        must_give("max_pool2d_with_indices",
                  {&x, w.extent, w.stride, w.padding, w.dilation, w.ceil, &out, &indices}, out,
                  [&](const Shape& i) { return best(i).first; });
        for (I i = 0; i < indices.elements(); ++i)
          REQUIRE(indices.get(i) == best(coordinates(shape, i)).second);
        must_give("max_pool2d", {&x, w.extent, w.stride, w.padding, w.dilation, w.ceil, &out}, out,
                  [&](const Shape& i) { return best(i).first; });
      }
}

TEST_CASE("pooling: averages") {
  for (const DType dtype : types_of(floats))
    for (const Placement placement : placements())
      for (const Window& w : windows)
        for (const int kind : {0, 1, 2}) {
          if ((placement != Placement::dense && dtype != DType::f32) || w.dilation[1] != 1)
            continue;
          HostTensor x = counted(dtype, {2, 3, 11, 12}, placement);
          HostTensor out(dtype, {2, 3, places(11, w, 0), places(12, w, 1)}, written(placement));
          Argument divisor;
          if (kind == 2) divisor = I{8};
          must_give(
              "avg_pool2d", {&x, w.extent, w.stride, w.padding, w.ceil, kind == 1, divisor, &out},
              out,
              [&](const Shape& i) {
                Number sum = 0, count = 0;
                each_seen(x, w, i, [&](I, I, Number value) { sum += value, ++count; });
                if (kind == 2) return sum / 8;
                if (kind == 0) return sum / count;
                Number area = 1;
                const I sizes[] = {11, 12};
                for (std::size_t axis = 0; axis < 2; ++axis) {
                  const I low = i[2 + axis] * w.stride[axis] - w.padding[axis];
                  area *= static_cast<Number>(
                      std::min(low + w.extent[axis], sizes[axis] + w.padding[axis]) - low);
                }
                return sum / area;
              },
              ulp(2));
        }
}

TEST_CASE("pooling: averages to a size") {
  for (const DType dtype : types_of(floats))
    for (const Ints& size : std::vector<Ints>{{1, 1}, {4, 5}, {11, 3}, {15, 20}}) {
      HostTensor x = counted(dtype, {3, 11, 12}), out(dtype, {3, size[0], size[1]});
      must_give(
          "adaptive_avg_pool2d", {&x, size, &out}, out,
          [&](const Shape& i) {
            Number sum = 0, count = 0;
            for (I row = i[1] * 11 / size[0]; row < (i[1] * 11 + 11 + size[0] - 1) / size[0]; ++row)
              for (I column = i[2] * 12 / size[1];
                   column < (i[2] * 12 + 12 + size[1] - 1) / size[1]; ++column)
                sum += at(x, {i[0], row, column}), ++count;
            return sum / count;
          },
          ulp(2));
    }
  HostTensor x = counted(DType::f32, {2, 3, 4}), none(DType::f32, {2, 0, 4});
  must_call("adaptive_avg_pool2d", {&x, Ints{0, 4}, &none});
}

TEST_CASE("pooling: resizing to the nearest") {
  for (const DType dtype : types_of(everything))
    for (const Ints& size : std::vector<Ints>{{5, 7}, {10, 14}, {3, 2}, {13, 31}}) {
      const Placement placement = in_full(dtype) ? Placement::transposed : Placement::dense;
      HostTensor x = counted(dtype, {2, 3, 5, 7}, placement),
                 out(dtype, {2, 3, size[0], size[1]}, placement);
      must_give("upsample_nearest2d", {&x, size, std::monostate(), std::monostate(), &out}, out,
                [&](const Shape& i) {
                  return at(x, {i[0], i[1], i[2] * 5 / size[0], i[3] * 7 / size[1]});
                });
    }
  // A scale that is not that of the sizes.
  HostTensor x = counted(DType::f32, {1, 4, 4}), out(DType::f32, {1, 6, 6});
  must_give("upsample_nearest2d", {&x, Ints{6}, 2.0, 2.0, &out}, out, [&](const Shape& i) {
    return at(x, {0, std::min<I>(i[1] / 2, 3), std::min<I>(i[2] / 2, 3)});
  });
}

TEST_CASE("pooling: resizing between neighbours") {
  for (const DType dtype : types_of(floats))
    for (const Ints& size : std::vector<Ints>{{5, 7}, {10, 14}, {3, 2}, {1, 1}, {13, 31}})
      for (const bool align : {false, true})
        for (const bool scaled : {false, true}) {
          if (scaled && (align || size[0] != 10)) continue;
          HostTensor x = counted(dtype, {2, 3, 5, 7}), out(dtype, {2, 3, size[0], size[1]});
          Argument scale;
          if (scaled) scale = 2.0;
          const std::vector<unsigned char> before = out.bytes();
          must_call("upsample_bilinear2d", {&x, size, align, scale, scale, &out});
          std::vector<Number> values, sums;
          for (I i = 0; i < out.elements(); ++i) {
            const Shape place = coordinates(out.shape(), i);
            const auto between = [&](std::size_t axis) {
              const Number in = static_cast<Number>(x.shape()[axis]),
                           to = static_cast<Number>(out.shape()[axis]),
                           at_out = static_cast<Number>(place[axis]);
              const Number from = align ? (to > 1 ? at_out * (in - 1) / (to - 1) : 0)
                                        : std::max<Number>(0, (at_out + 0.5L) * in / to - 0.5L);
              const I low = std::min(static_cast<I>(from), x.shape()[axis] - 1);
              return std::tuple(low, std::min(low + 1, x.shape()[axis] - 1),
                                from - static_cast<Number>(low));
            };
            const auto [y0, y1, dy] = between(2);
            const auto [x0, x1, dx] = between(3);
            const auto element = [&](I row, I column) {
              return at(x, {place[0], place[1], row, column});
            };
            const auto line = [&](I row, Number share, I first, I second) {
              return element(row, first) * (1 - share) + element(row, second) * share;
            };
            values.push_back(line(y0, dx, x0, x1) * (1 - dy) + line(y1, dx, x0, x1) * dy);
            sums.push_back(64 * 8);  // a share is as exact as the place is large
          }
          CHECK(compare(out, values, summed(8, 4), sums, 4) == "");
          CHECK(out.strayed(before) == 0);
        }
}

TEST_CASE("pooling: bad input") {
  HostTensor x(DType::f32, {2, 3, 6, 8}), out(DType::f32, {2, 3, 3, 4}),
      indices(DType::i64, {2, 3, 3, 4}), whole(DType::i32, {2, 3, 6, 8}), flat(DType::f32, {6, 8}),
      empty(DType::f32, {2, 3, 0, 8}), short_indices(DType::i32, {2, 3, 3, 4});
  const auto none = std::monostate();
  must_refuse("max_pool2d", {&flat, Ints{2}, Ints{}, Ints{}, Ints{}, false, &out},
              "max_pool2d: input is of rank 2");
  must_refuse("max_pool2d", {&x, Ints{}, Ints{}, Ints{}, Ints{}, false, &out},
              "max_pool2d: kernel_size is empty");
  must_refuse("max_pool2d", {&x, Ints{2}, Ints{}, Ints{2}, Ints{}, false, &out},
              "max_pool2d: padding holds 2, which is more than half");
  must_refuse("max_pool2d", {&x, Ints{9, 2}, Ints{}, Ints{}, Ints{}, false, &out},
              "max_pool2d: kernel_size reaches over 9 elements along dimension 2");
  must_refuse("max_pool2d", {&x, Ints{3}, Ints{}, Ints{}, Ints{}, false, &out},
              "max_pool2d: out is of shape [2, 3, 3, 4], and [2, 3, 2, 2] is needed");
  must_refuse("max_pool2d_with_indices",
              {&x, Ints{2}, Ints{}, Ints{}, Ints{}, false, &out, &short_indices},
              "max_pool2d_with_indices: indices is of int32");
  must_refuse("avg_pool2d", {&whole, Ints{2}, Ints{}, Ints{}, false, true, none, &out},
              "avg_pool2d: input is of int32");
  must_refuse("avg_pool2d", {&x, Ints{2}, Ints{}, Ints{}, false, true, I{0}, &out},
              "avg_pool2d: divisor_override is 0");
  must_refuse("avg_pool2d", {&empty, Ints{2}, Ints{}, Ints{}, false, true, none, &out},
              "avg_pool2d: input is of shape [2, 3, 0, 8]: there is nothing to see");
  must_refuse("adaptive_avg_pool2d", {&x, Ints{3, 5}, &out},
              "adaptive_avg_pool2d: out is of shape [2, 3, 3, 4]");
  must_refuse("upsample_nearest2d", {&x, Ints{3, 4}, -1.0, none, &out},
              "upsample_nearest2d: scales_h is -1; it must be above 0");
  must_refuse("upsample_nearest2d", {&x, Ints{0, 4}, none, none, &out},
              "upsample_nearest2d: output_size holds 0");
  must_refuse("upsample_bilinear2d", {&x, Ints{3, 4, 5}, false, none, none, &out},
              "upsample_bilinear2d: output_size has 3 numbers");
}
