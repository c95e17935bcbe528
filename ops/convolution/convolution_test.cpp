// Convolutions and columns against plain loops in long double: windows, steps, padding, groups, layouts, cut workspace.
#include <cmath>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using I = std::int64_t;
using Ints = std::vector<std::int64_t>;

struct Window {
  Ints extent, stride, padding, dilation;
};

// The sum of what `seen` gives for every place of the window: coordinates in the input, or outside of it.
template <typename F>
void each_in_window(const Ints& extent, F seen) {
  I count = 1;
  for (const I size : extent) count *= size;
  for (I i = 0; i < count; ++i) seen(coordinates(extent, i));
}

struct Result {
  std::vector<Number> values, sizes;  // sums, and of absolute values
};

// [images, channels, ...], by the definition.
Result convolution(const HostTensor& x, const HostTensor& weight, const HostTensor* bias,
                   const Window& w, I groups, const Shape& out) {
  Result result;
  const std::size_t axes = w.extent.size();
  const I in_channels = weight.shape()[1], out_channels = out[1] / groups;
  I elements = 1;
  for (const I size : out) elements *= size;
  for (I i = 0; i < elements; ++i) {
    const Shape at_out = coordinates(out, i);
    Number sum = bias != nullptr ? bias->get(at_out[1]) : 0, size = std::fabs(sum);
    for (I c = 0; c < in_channels; ++c)
      each_in_window(w.extent, [&](const Shape& in_window) {
        Shape from{at_out[0], at_out[1] / out_channels * in_channels + c}, by{at_out[1], c};
        for (std::size_t axis = 0; axis < axes; ++axis) {
          const I place = at_out[2 + axis] * w.stride[axis] - w.padding[axis] +
                          in_window[axis] * w.dilation[axis];
          if (place < 0 || place >= x.shape()[2 + axis]) return;
          from.push_back(place);
          by.push_back(in_window[axis]);
        }
        const Number term = at(x, from) * at(weight, by);
        sum += term;
        size += std::fabs(term);
      });
    result.values.push_back(rounded(x.dtype(), sum));
    result.sizes.push_back(size);
  }
  return result;
}

Shape out_shape(const HostTensor& x, const HostTensor& weight, const Window& w) {
  Shape out{x.shape()[0], weight.shape()[0]};
  for (std::size_t i = 0; i < w.extent.size(); ++i)
    out.push_back((x.shape()[2 + i] + 2 * w.padding[i] - w.dilation[i] * (w.extent[i] - 1) - 1) /
                      w.stride[i] +
                  1);
  return out;
}

void check(const HostTensor& out, const Result& expected, const std::vector<unsigned char>& before,
           I terms, bool is_exact) {
  CHECK(compare(out, expected.values, is_exact ? exact : summed(4), expected.sizes, terms) == "");
  CHECK(out.strayed(before) == 0);
}

struct Case {
  Shape input, weight;
  Window window;
  I groups;
};

void check_convolution(const Case& c, DType dtype, Placement placement, bool with_bias, bool whole,
                       std::mt19937_64& random) {
  HostTensor x(dtype, c.input, placement), weight(dtype, c.weight, placement),
      bias(dtype, {c.weight[0]});
  x.fill_random(random, -3, 3, whole);
  weight.fill_random(random, -2, 2, whole);
  bias.fill_random(random, -4, 4, whole);
  HostTensor out(dtype, out_shape(x, weight, c.window), written(placement));
  const std::vector<unsigned char> before = out.bytes();
  const std::string op = "conv" + std::to_string(c.window.extent.size()) + "d";
  const std::string which =
      fmt::format("{} {} of {} by {}, {}", op, dtype_name(dtype), shape_text(c.input),
                  shape_text(c.weight), placement_name(placement));
  INFO(which);
  const Argument given = with_bias ? Argument(&bias) : Argument();
  must_call(op, {&x, &weight, given, c.window.stride, c.window.padding, c.window.dilation, c.groups,
                 &out});
  I terms = 1;
  for (std::size_t i = 1; i < c.weight.size(); ++i) terms *= c.weight[i];
  check(out, convolution(x, weight, with_bias ? &bias : nullptr, c.window, c.groups, out.shape()),
        before, terms, whole);
}

}  // namespace

TEST_CASE("convolution: windows, steps, padding, dilation, groups") {
  std::mt19937_64 random(seed());
  const Case cases[] = {
      {{2, 3, 17}, {4, 3, 3}, {{3}, {2}, {1}, {1}}, 1},
      {{2, 4, 9, 11}, {6, 4, 3, 3}, {{3, 3}, {1, 1}, {1, 1}, {1, 1}}, 1},
      {{1, 4, 9, 11}, {6, 2, 3, 2}, {{3, 2}, {2, 3}, {0, 2}, {2, 1}}, 2},
      {{3, 5, 8, 8}, {7, 5, 1, 1}, {{1, 1}, {1, 1}, {0, 0}, {1, 1}}, 1},
      {{2, 3, 5, 6, 7}, {4, 3, 2, 3, 2}, {{2, 3, 2}, {1, 2, 1}, {1, 0, 1}, {1, 1, 2}}, 1},
      {{2, 6, 7, 7}, {6, 1, 3, 3}, {{3, 3}, {1, 1}, {1, 1}, {1, 1}}, 6}};
  for (const Case& c : cases)
    for (const Placement placement : placements()) {
      check_convolution(c, DType::f32, placement, placement != Placement::sliced, true, random);
      if (placement == Placement::dense)
        check_convolution(c, DType::f32, placement, true, false, random);
    }
  for (const DType dtype : types_of(floats))
    if (dtype != DType::f32) {
      check_convolution(cases[0], dtype, Placement::dense, true, true, random);
      check_convolution(cases[1], dtype, Placement::dense, true, true, random);
      check_convolution(cases[4], dtype, Placement::dense, true, true, random);
      check_convolution(cases[2], dtype, Placement::dense, false, false, random);
    }
}

TEST_CASE("convolution: columns that are made in parts") {
  if (!Fixture::get().is_thorough()) return;
  std::mt19937_64 random(seed() + 1);
  // Some images at a time; rows of one image; parts of a row.
  check_convolution({{30, 8, 40, 30}, {1, 8, 3, 3}, {{3, 3}, {1, 1}, {1, 1}, {1, 1}}, 1},
                    DType::f32, Placement::dense, true, true, random);
  check_convolution({{1, 16, 150, 160}, {1, 16, 3, 3}, {{3, 3}, {1, 1}, {1, 1}, {1, 1}}, 1},
                    DType::f32, Placement::sliced, true, true, random);
  check_convolution(
      {{1, 2, 3, 90, 150}, {1, 2, 2, 3, 15}, {{2, 3, 15}, {1, 1, 1}, {0, 1, 7}, {1, 1, 1}}, 1},
      DType::f32, Placement::dense, true, true, random);
}

TEST_CASE("convolution: depthwise, in every type; one image, defaults") {
  std::mt19937_64 random(seed() + 2);
  for (const DType dtype : types_of(floats)) {
    HostTensor x(dtype, {3, 6, 7}), weight(dtype, {6, 1, 3, 2}), out(dtype, {6, 4, 6}),
        batch(dtype, {1, 3, 6, 7});
    x.fill_random(random, -3, 3, true);
    weight.fill_random(random, -2, 2, true);
    batch.fill([&](I i) { return x.get(i); });
    const Result expected =
        convolution(batch, weight, nullptr, {{3, 2}, {1, 1}, {0, 0}, {1, 1}}, 3, {1, 6, 4, 6});
    std::vector<unsigned char> before = out.bytes();
    must_call("depthwise_conv2d", {&x, &weight, std::monostate(), Ints{}, Ints{}, Ints{}, &out});
    check(out, expected, before, 6, true);
    must_call("conv2d", {&x, &weight, std::monostate(), Ints{1}, Ints{0}, Ints{1, 1}, I{3}, &out});
    check(out, expected, before, 6, true);
  }
}

TEST_CASE("convolution: no images; no channels: the bias") {
  HostTensor weight(DType::f32, {6, 1, 3, 2});
  HostTensor none(DType::f32, {0, 3, 6, 7}), nothing(DType::f32, {0, 6, 4, 6});
  must_call("conv2d", {&none, &weight, std::monostate(), Ints{}, Ints{}, Ints{}, I{3}, &nothing});
  HostTensor no_channels(DType::f32, {2, 0, 6, 7}), no_weight(DType::f32, {4, 0, 3, 3}),
      bias = counted(DType::f32, {4}), only_bias(DType::f32, {2, 4, 4, 5});
  must_give("conv2d", {&no_channels, &no_weight, &bias, Ints{}, Ints{}, Ints{}, I{1}, &only_bias},
            only_bias, [&](const Shape& i) { return bias.get(i[1]); });
}

TEST_CASE("convolution: transposed") {
  std::mt19937_64 random(seed() + 3);
  struct Transposed {
    Shape input, weight;
    Ints stride, padding, more, dilation;
    I groups;
  };
  const Transposed cases[] = {{{2, 4, 5, 6}, {4, 3, 3, 3}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, 1},
                              {{1, 4, 5, 6}, {4, 3, 3, 2}, {2, 3}, {1, 0}, {1, 2}, {1, 2}, 2},
                              {{2, 6, 3, 3}, {6, 1, 2, 2}, {2, 2}, {0, 0}, {0, 0}, {1, 1}, 6},
                              {{2, 1, 50, 60}, {1, 50, 4, 4}, {2, 2}, {1, 1}, {0, 0}, {1, 1}, 1}};
  for (const Transposed& c : cases)
    for (const DType dtype : types_of(floats))
      for (const Placement placement : {Placement::dense, Placement::sliced}) {
        const bool large = c.input[2] == 50;
        if ((dtype != DType::f32 && (placement != Placement::dense || large)) ||
            (!Fixture::get().is_thorough() && (large || placement != Placement::dense)))
          continue;
        const I channels = c.weight[1], groups = c.groups;
        HostTensor x(dtype, c.input, placement), weight(dtype, c.weight, placement),
            bias(dtype, {channels * groups});
        x.fill_random(random, -3, 3, true);
        weight.fill_random(random, -2, 2, true);
        bias.fill_random(random, -4, 4, true);
        Shape shape{c.input[0], channels * groups};
        for (std::size_t i = 0; i < 2; ++i)
          shape.push_back((c.input[2 + i] - 1) * c.stride[i] - 2 * c.padding[i] +
                          c.dilation[i] * (c.weight[2 + i] - 1) + 1 + c.more[i]);
        HostTensor out(dtype, shape, placement);
        const std::vector<unsigned char> before = out.bytes();
        const std::string which = fmt::format("{} of {} by {}", dtype_name(dtype),
                                              shape_text(c.input), shape_text(c.weight));
        INFO(which);
        must_call("conv_transpose2d",
                  {&x, &weight, &bias, c.stride, c.padding, c.more, groups, c.dilation, &out});
        std::vector<Number> sums;
        for (I i = 0; i < out.elements(); ++i) sums.push_back(bias.get(coordinates(shape, i)[1]));
        const I per_group = c.input[1] / groups;
        for (I i = 0; i < x.elements(); ++i) {
          const Shape from = coordinates(c.input, i);
          for (I channel = 0; channel < channels; ++channel)
            each_in_window({c.weight[2], c.weight[3]}, [&](const Shape& k) {
              const I y = from[2] * c.stride[0] - c.padding[0] + k[0] * c.dilation[0],
                      x_at = from[3] * c.stride[1] - c.padding[1] + k[1] * c.dilation[1];
              if (y < 0 || y >= shape[2] || x_at < 0 || x_at >= shape[3]) return;
              sums[static_cast<std::size_t>(number_of(
                  shape, {from[0], from[1] / per_group * channels + channel, y, x_at}))] +=
                  x.get(i) * at(weight, {from[1], channel, k[0], k[1]});
            });
        }
        for (Number& sum : sums) sum = rounded(dtype, sum);
        CHECK(compare(out, sums, exact) == "");
        CHECK(out.strayed(before) == 0);
      }
}

TEST_CASE("convolution: im2col and col2im") {
  for (const DType dtype : types_of(everything))
    for (const Placement placement : placements()) {
      if (placement != Placement::dense && dtype != DType::f32) continue;
      const Window w{{3, 2}, {2, 1}, {1, 2}, {1, 3}};
      HostTensor x = counted(dtype, {2, 3, 7, 6}, placement);
      const I down = (7 + 2 - 2 - 1) / 2 + 1, across = 6 + 4 - 3 - 1 + 1;
      HostTensor out(dtype, {2, 18, down * across}, written(placement));
      must_give("im2col", {&x, w.extent, w.dilation, w.padding, w.stride, &out}, out,
                [&](const Shape& i) -> Number {
                  const I c = i[1] / 6, k = i[1] % 6;
                  const I y = i[2] / across * 2 - 1 + k / 2, x_at = i[2] % across - 2 + k % 2 * 3;
                  return y < 0 || y >= 7 || x_at < 0 || x_at >= 6 ? 0 : at(x, {i[0], c, y, x_at});
                });
      if (!is_floating(dtype)) continue;
      HostTensor columns(dtype, {2, 18, down * across}, placement),
          image(dtype, {2, 3, 7, 6}, written(placement));
      columns.fill([](I i) { return i % 5 - 2; });
      must_give("col2im", {&columns, Ints{7, 6}, w.extent, w.dilation, w.padding, w.stride, &image},
                image, [&](const Shape& i) {
                  Number sum = 0;
                  for (I place = 0; place < down * across; ++place)
                    for (I k = 0; k < 6; ++k)
                      if (place / across * 2 - 1 + k / 2 == i[2] &&
                          place % across - 2 + k % 2 * 3 == i[3])
                        sum += at(columns, {i[0], i[1] * 6 + k, place});
                  return sum;
                });
    }
}

TEST_CASE("convolution: bad input") {
  HostTensor x(DType::f32, {2, 4, 5, 6}), weight(DType::f32, {6, 4, 3, 3}),
      out(DType::f32, {2, 6, 3, 4}), whole(DType::i32, {2, 4, 5, 6}), bias(DType::f32, {5}),
      row(DType::f32, {3}), half(DType::f16, {2, 6, 3, 4}), large(DType::f32, {6, 4, 9, 3}),
      columns(DType::f32, {2, 36, 12});
  const auto none = std::monostate();
  must_refuse("conv2d", {&whole, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv2d: input is of int32");
  must_refuse("conv2d", {&row, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv2d: input is of rank 1");
  must_refuse("conv2d", {&x, &x, none, Ints{}, Ints{}, Ints{}, I{3}, &out},
              "conv2d: groups is 3; input has 4 channels");
  must_refuse("conv2d", {&x, &weight, none, Ints{}, Ints{}, Ints{}, I{2}, &out},
              "conv2d: weight is of shape [6, 4, 3, 3]; with 4 channels of input in 2 groups");
  must_refuse("conv2d", {&x, &weight, &bias, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv2d: bias is of shape [5], and [6] is needed");
  must_refuse("conv2d", {&x, &weight, none, Ints{0}, Ints{}, Ints{}, I{1}, &out},
              "conv2d: stride holds 0; 1 is the least");
  must_refuse("conv2d", {&x, &weight, none, Ints{}, Ints{1, 1, 1}, Ints{}, I{1}, &out},
              "conv2d: padding has 3 numbers; one is needed, or 2");
  must_refuse("conv2d", {&x, &weight, none, Ints{}, Ints{-1}, Ints{}, I{1}, &out},
              "conv2d: padding holds -1");
  must_refuse("conv2d", {&x, &large, none, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv2d: weight reaches over 9 elements along dimension 2, where input of shape [2, "
              "4, 5, 6] has 5");
  must_refuse("conv2d", {&x, &weight, none, Ints{}, Ints{1}, Ints{}, I{1}, &out},
              "conv2d: out is of shape [2, 6, 3, 4], and [2, 6, 5, 6] is needed");
  must_refuse("conv2d", {&x, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, &half},
              "conv2d: out is of float16");
  must_refuse("conv1d", {&x, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv1d: input is of rank 4");
  must_refuse("conv3d", {&row, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, &out},
              "conv3d: input is of rank 1");
  must_refuse("depthwise_conv2d", {&x, &weight, none, Ints{}, Ints{}, Ints{}, &out},
              "depthwise_conv2d: weight is of shape [6, 4, 3, 3]");
  must_refuse("conv_transpose2d", {&x, &weight, none, Ints{}, Ints{}, Ints{}, I{1}, Ints{}, &out},
              "conv_transpose2d: weight is of shape [6, 4, 3, 3], and input has 4 channels");
  must_refuse("conv_transpose2d", {&x, &x, none, Ints{}, Ints{}, Ints{1}, I{1}, Ints{}, &out},
              "conv_transpose2d: ");
  must_refuse("im2col", {&x, Ints{}, Ints{}, Ints{}, Ints{}, &columns},
              "im2col: kernel_size is empty");
  must_refuse("im2col", {&x, Ints{3}, Ints{}, Ints{1}, Ints{}, &columns},
              "im2col: out is of shape [2, 36, 12], and [2, 36, 30] is needed");
  must_refuse("col2im", {&columns, Ints{5, 6}, Ints{5}, Ints{}, Ints{}, Ints{}, &x},
              "col2im: input is of shape [2, 36, 12]; its rows must be a multiple of the 25");
  must_refuse("col2im", {&columns, Ints{6, 6}, Ints{3}, Ints{}, Ints{}, Ints{}, &x},
              "col2im: input is of shape [2, 36, 12], and windows stand in 16 places");
}
