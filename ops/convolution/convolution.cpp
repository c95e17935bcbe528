// Convolutions: what the windows see becomes the columns of a matrix, which is multiplied by the weights. Columns are made
// for so many places at a time that they stay in the cache, and workspace is bounded.
#include "ops/convolution/window.hpp"
#include "ops/engine/product.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

namespace {

// Of the columns that are made at a time.
constexpr std::int64_t most_bytes = 8 << 20;

std::int64_t product_of(const Sizes& sizes) {
  std::int64_t out = 1;
  for (const std::int64_t size : sizes) out *= size;
  return out;
}

// One image has no axis of images; with it, all is the same.
Tensor with_images(const Tensor& tensor, std::size_t axes) {
  return tensor.rank == static_cast<int>(axes) + 1 ? tensor.with_axis(0, 1, 0) : tensor;
}

// A convolution as all of them are: images and channels first, then the axes that windows move along.
struct Convolution {
  Tensor input;   // [images, groups * in, ...]
  Tensor weight;  // [groups * out, in, window], dense
  std::optional<Tensor> bias;
  Tensor out;  // [images, groups * out, places]
  Window window;
  Sizes places;
  std::int64_t groups;
};

// The axis of channels becomes groups and channels.
Tensor grouped(const Tensor& tensor, int axis, std::int64_t groups) {
  const std::int64_t channels = tensor.shape[axis] / groups;
  Tensor out = tensor.with_axis(axis, groups, tensor.strides[axis] * channels);
  out.shape[axis + 1] = channels;
  return out;
}

std::optional<Tensor> bias_of(const Call& call, std::size_t place, std::int64_t groups,
                              std::int64_t channels) {
  if (!call.has(place)) return std::nullopt;
  const std::int64_t shape[] = {groups, channels};
  return call.tensor(place).viewed_as(shape);  // [groups, channels]
}

// Images `first` to `first + images`, and places `low` to `high` along the axis `cut` of places; those before it have one.
void convolve_part(const Call& call, const Convolution& c, const Tensor& seen, const Tensor& out) {
  const std::size_t axes = c.window.axes();
  const std::int64_t images = seen.shape[0], channels = out.shape[2];
  std::int64_t depth = seen.shape[2], count = 1;
  for (std::size_t i = 0; i < axes; ++i) {
    depth *= seen.shape[3 + i];
    count *= seen.shape[3 + axes + i];
  }
  const std::int64_t columns_shape[] = {images, c.groups, depth, count};
  const Scratch columns(call, seen.dtype, columns_shape);
  copy(call, columns.tensor().viewed_as(seen.dims()), seen);
  const std::int64_t weight_shape[] = {c.groups, channels, depth};
  const std::int64_t out_shape[] = {images, c.groups, channels, count};
  Product p;
  p.a = c.weight.viewed_as(weight_shape).expanded_to(std::array{images, c.groups, channels, depth});
  p.b = columns.tensor();
  p.out = out.viewed_as(out_shape);
  if (c.bias) p.c = c.bias->with_axis(2, 1, 0).expanded_to(out_shape);
  run_product(call, p);
}

void convolve(const Call& call, const Convolution& c) {
  const std::size_t axes = c.window.axes();
  // What is multiplied is dense, and so is what comes out of it.
  std::unique_ptr<Scratch> result;
  if (!c.out.is_dense()) result = std::make_unique<Scratch>(call, c.out.dtype, c.out.dims());
  const Tensor target = result ? result->tensor() : c.out;
  const Padded padded(call, c.input, c.window.padding);
  const Tensor seen = grouped(seen_by(c.window, padded.tensor(), c.places), 1, c.groups);
  const Tensor out = grouped(target, 1, c.groups);

  // Some images at a time; where one is too much, some places along the first axes.
  const std::int64_t each = static_cast<std::int64_t>(size_of(seen.dtype)) * c.input.shape[1] *
                            product_of(c.window.extent) * product_of(c.places);
  const std::int64_t images = std::clamp<std::int64_t>(most_bytes / each, 1, out.shape[0]);
  for (std::int64_t image = 0; image < out.shape[0]; image += images) {
    const std::int64_t count = std::min(images, out.shape[0] - image);
    const Tensor from = seen.narrowed(0, image, count), to = out.narrowed(0, image, count);
    const auto cut = [&](auto& self, std::size_t axis, const Tensor& part_from,
                         const Tensor& part_to, std::int64_t bytes) -> void {
      const int places_axis = static_cast<int>(3 + axis),
                seen_axis = static_cast<int>(3 + axes + axis);
      if (bytes * count <= most_bytes || axis + 1 == axes)
        return convolve_part(call, c, part_from, part_to);
      const std::int64_t one = bytes / c.places[axis];
      const std::int64_t step =
          std::max<std::int64_t>(most_bytes / std::max<std::int64_t>(one, 1), 1);
      for (std::int64_t at = 0; at < c.places[axis]; at += step) {
        const std::int64_t some = std::min(step, c.places[axis] - at);
        self(self, axis + 1, part_from.narrowed(seen_axis, at, some),
             part_to.narrowed(places_axis, at, some), one * some);
      }
    };
    cut(cut, 0, from, to, each);
  }
  if (result) copy(call, c.out, result->tensor());
}

void expect_groups(const Call& call, std::size_t place, std::int64_t groups,
                   std::int64_t channels) {
  if (groups < 1 || channels % groups != 0)
    call.refuse(place, "is {}; input has {} channels, which it must divide", groups, channels);
}

// The arguments that all convolutions begin with: input, weight, bias.
void expect_operands(const Call& call, std::size_t axes, std::size_t out) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(1, 0);
  const int rank = static_cast<int>(axes) + 2;
  call.expect_rank(0, rank - 1, rank);
  call.expect_rank(1, rank, rank);
  if (call.has(2)) call.expect_same_dtype(2, 0);
  call.expect_same_dtype(out, 0);
}
void expect_bias(const Call& call, std::int64_t channels) {
  const std::int64_t shape[] = {channels};
  if (call.has(2)) call.expect_shape(2, shape);
}
void expect_out(const Call& call, std::size_t place, const Tensor& input, std::int64_t channels,
                const Sizes& places) {
  Sizes shape;
  if (call.tensor(0).rank == input.rank) shape.push_back(input.shape[0]);
  shape.push_back(channels);
  shape.insert(shape.end(), places.begin(), places.end());
  call.expect_shape(place, shape);
  call.expect_no_overlap(place, false);
}
// Nothing is convolved: what comes out is the bias.
void fill_bias(const Call& call, const std::optional<Tensor>& bias, const Tensor& out) {
  if (!bias) return fill(call, out, Scalar{});
  Tensor spread = bias->viewed_as(std::array{out.shape[1]});
  for (int axis = 2; axis < out.rank; ++axis) spread = spread.with_axis(axis - 1, 1, 0);
  copy(call, out, spread);
}

// Places: input, weight, bias, stride, padding, dilation, [groups], out.
void run_convolution(const Call& call, std::size_t axes, std::int64_t groups,
                     std::size_t groups_place, std::size_t out_place) {
  expect_operands(call, axes, out_place);
  Convolution c;
  c.input = with_images(call.tensor(0), axes);
  const Tensor& weight = call.tensor(1);
  c.groups = groups;
  expect_groups(call, groups_place, groups, c.input.shape[1]);
  if (weight.shape[1] != c.input.shape[1] / groups || weight.shape[0] % groups != 0)
    call.refuse(
        1,
        "is of shape {}; with {} channels of input in {} groups, its first dimension must be "
        "a multiple of {}, and its second {}",
        weight.shape_text(), c.input.shape[1], groups, groups, c.input.shape[1] / groups);
  expect_bias(call, weight.shape[0]);
  c.window.extent.assign(weight.dims().begin() + 2, weight.dims().end());
  for (const std::int64_t extent : c.window.extent)
    if (extent < 1)
      call.refuse(1, "is of shape {}: a window without elements", weight.shape_text());
  c.window.stride = sizes_of(call, 3, axes, Sizes(axes, 1), 1);
  c.window.padding = sizes_of(call, 4, axes, Sizes(axes, 0), 0);
  c.window.dilation = sizes_of(call, 5, axes, Sizes(axes, 1), 1);
  c.places = c.window.places(call, 1, c.input);
  expect_out(call, out_place, c.input, weight.shape[0], c.places);
  c.out = with_images(call.tensor(out_place), axes);
  if (c.out.elements() == 0) return;
  c.bias = bias_of(call, 2, groups, weight.shape[0] / groups);
  if (c.input.shape[1] == 0) return fill_bias(call, c.bias, c.out);
  if (run_native(call)) return;
  const Dense dense(call, weight);
  c.weight = dense.tensor();
  convolve(call, c);
}

template <std::size_t axes>
void run_conv(Call& call) {
  run_convolution(call, axes, call.integer(6), 6, 7);
}

void run_depthwise_conv2d(Call& call) {
  const Tensor& input = call.tensor(0);
  call.expect_rank(0, 3, 4);
  run_convolution(call, 2, std::max<std::int64_t>(input.shape[input.rank - 3], 1), 0, 6);
}

// Each element of the input adds the window, times itself, to what comes out: the product of the weights and the input has
// these windows as columns. Places: input, weight, bias, stride, padding, output_padding, groups, dilation, out.
void run_conv_transpose2d(Call& call) {
  expect_operands(call, 2, 8);
  const Tensor input = with_images(call.tensor(0), 2), &weight = call.tensor(1);
  const std::int64_t groups = call.integer(6), in = input.shape[1];
  expect_groups(call, 6, groups, in);
  if (weight.shape[0] != in)
    call.refuse(1, "is of shape {}, and input has {} channels: its first dimension must be that",
                weight.shape_text(), in);
  const std::int64_t channels = weight.shape[1];
  expect_bias(call, channels * groups);
  Window window;
  window.extent.assign(weight.dims().begin() + 2, weight.dims().end());
  window.stride = sizes_of(call, 3, 2, {1, 1}, 1);
  window.padding = sizes_of(call, 4, 2, {0, 0}, 0);
  const Sizes more = sizes_of(call, 5, 2, {0, 0}, 0);
  window.dilation = sizes_of(call, 7, 2, {1, 1}, 1);
  Sizes places;
  for (std::size_t i = 0; i < 2; ++i) {
    if (window.extent[i] < 1)
      call.refuse(1, "is of shape {}: a window without elements", weight.shape_text());
    if (more[i] >= std::max(window.stride[i], window.dilation[i]))
      call.refuse(5, "holds {}; it must be less than the stride, {}, or the dilation, {}", more[i],
                  window.stride[i], window.dilation[i]);
    const std::int64_t size = (input.shape[2 + i] - 1) * window.stride[i] - 2 * window.padding[i] +
                              window.reach(i) + more[i];
    if (size < 0 || input.shape[2 + i] == 0)
      call.refuse(0, "is of shape {}: with this padding, nothing comes out", input.shape_text());
    places.push_back(size);
  }
  expect_out(call, 8, input, channels * groups, places);
  const Tensor out = with_images(call.tensor(8), 2);
  if (out.elements() == 0) return;
  const std::optional<Tensor> bias = bias_of(call, 2, groups, channels);
  if (in == 0) return fill_bias(call, bias, out);
  if (run_native(call)) return;

  const Dense dense_weight(call, weight), dense_input(call, input);
  const std::int64_t window_size = product_of(window.extent),
                     pixels = input.shape[2] * input.shape[3];
  const std::int64_t depth = in / groups;
  const Tensor a = dense_weight.tensor()
                       .viewed_as(std::array{groups, depth, channels * window_size})
                       .transposed(1, 2);
  const Tensor b =
      dense_input.tensor().viewed_as(std::array{input.shape[0], groups, depth, pixels});
  const Tensor target = grouped(out, 1, groups);
  const std::optional<Tensor> spread =
      bias ? std::optional(bias->with_axis(2, 1, 0).with_axis(3, 1, 0)) : std::nullopt;
  // Sums of float16 and bfloat16 are rounded at the end.
  const DType summed = out.dtype == DType::f64 ? DType::f64 : DType::f32;
  const std::int64_t each =
      static_cast<std::int64_t>(size_of(summed)) * groups * window_size * pixels;
  const std::int64_t some = std::clamp<std::int64_t>(most_bytes / each, 1, channels);
  const std::int64_t images = std::clamp<std::int64_t>(most_bytes / (each * some), 1, out.shape[0]);
  for (std::int64_t image = 0; image < out.shape[0]; image += images) {
    for (std::int64_t channel = 0; channel < channels; channel += some) {
      const std::int64_t n = std::min(images, out.shape[0] - image),
                         m = std::min(some, channels - channel);
      const Scratch columns(call, summed, std::array{n, groups, m * window_size, pixels});
      Product p;
      p.a = a.narrowed(1, channel * window_size, m * window_size)
                .expanded_to(std::array{n, groups, m * window_size, depth});
      p.b = b.narrowed(0, image, n);
      p.out = columns.tensor();
      run_product(call, p);
      const Tensor seen = columns.tensor().viewed_as(std::array{
          n, groups, m, window.extent[0], window.extent[1], input.shape[2], input.shape[3]});
      const std::optional<Tensor> own =
          spread ? std::optional(spread->narrowed(1, channel, m)) : spread;
      fold(call, window, seen, own ? &*own : nullptr,
           target.narrowed(0, image, n).narrowed(2, channel, m));
    }
  }
}

// ---- columns ---------------------------------------------------------------------------------------------------------

Window window_of(const Call& call) {
  return {sizes_of(call, 1, 2, {}, 1), sizes_of(call, 4, 2, {1, 1}, 1),
          sizes_of(call, 3, 2, {0, 0}, 0), sizes_of(call, 2, 2, {1, 1}, 1)};
}

// input, kernel_size, dilation, padding, stride, out
void run_im2col(Call& call) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(5, 0);
  call.expect_rank(0, 3, 4);
  const Window window = window_of(call);
  const Tensor input = with_images(call.tensor(0), 2);
  const Sizes places = window.places(call, 1, input);
  const std::int64_t rows = input.shape[1] * product_of(window.extent);
  Sizes shape{rows, product_of(places)};
  if (call.tensor(0).rank == 4) shape.insert(shape.begin(), input.shape[0]);
  call.expect_shape(5, shape);
  call.expect_no_overlap(5, false);
  const Tensor out = call.tensor(5).rank == 3 ? call.tensor(5) : call.tensor(5).with_axis(0, 1, 0);
  if (out.elements() == 0 || run_native(call)) return;
  const Padded padded(call, input, window.padding);
  const Tensor seen = seen_by(window, padded.tensor(), places);
  copy(call, out.viewed_as(seen.dims()), seen);
}

// input, output_size, kernel_size, dilation, padding, stride, out
void run_col2im(Call& call) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(6, 0);
  call.expect_rank(0, 2, 3);
  const Sizes size = sizes_of(call, 1, 2, {}, 1);
  const Window window{sizes_of(call, 2, 2, {}, 1), sizes_of(call, 5, 2, {1, 1}, 1),
                      sizes_of(call, 4, 2, {0, 0}, 0), sizes_of(call, 3, 2, {1, 1}, 1)};
  const Tensor input =
      call.tensor(0).rank == 3 ? call.tensor(0) : call.tensor(0).with_axis(0, 1, 0);
  Tensor image = input;  // of the shape that comes out
  const std::int64_t window_size = product_of(window.extent);
  if (input.shape[1] % window_size != 0)
    call.refuse(0, "is of shape {}; its rows must be a multiple of the {} elements of a window",
                input.shape_text(), window_size);
  image.rank = 4;
  image.shape[1] = input.shape[1] / window_size;
  image.shape[2] = size[0];
  image.shape[3] = size[1];
  const Sizes places = window.places(call, 2, image);
  if (input.shape[2] != product_of(places))
    call.refuse(0, "is of shape {}, and windows stand in {} places", input.shape_text(),
                product_of(places));
  Sizes shape(image.dims().begin() + (call.tensor(0).rank == 3 ? 0 : 1), image.dims().end());
  call.expect_shape(6, shape);
  call.expect_no_overlap(6, false);
  const Tensor out = with_images(call.tensor(6), 2);
  if (out.elements() == 0 || run_native(call)) return;
  const Tensor columns =
      input.viewed_as(std::array{input.shape[0], std::int64_t{1}, image.shape[1], window.extent[0],
                                 window.extent[1], places[0], places[1]});
  fold(call, window, columns, nullptr, grouped(out, 1, 1));
}

}  // namespace

void add_convolutions(Table& table) {
  const auto row = [&](const char* schema, PlainOperator::Run run) {
    table.add(schema, floats, summed(4), run);
  };
  row("conv1d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] "
      "dilation, "
      "int groups=1, Tensor! out)",
      run_conv<1>);
  row("conv2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] "
      "dilation, "
      "int groups=1, Tensor! out)",
      run_conv<2>);
  row("conv3d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] "
      "dilation, "
      "int groups=1, Tensor! out)",
      run_conv<3>);
  row("conv_transpose2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, "
      "int[] "
      "output_padding, int groups=1, int[] dilation, Tensor! out)",
      run_conv_transpose2d);
  row("depthwise_conv2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, "
      "int[] "
      "dilation, Tensor! out)",
      run_depthwise_conv2d);
  table.add(
      "im2col(Tensor input, int[] kernel_size, int[] dilation, int[] padding, int[] stride, "
      "Tensor! out)",
      everything, exact, run_im2col);
  table.add(
      "col2im(Tensor input, int[] output_size, int[] kernel_size, int[] dilation, int[] padding, "
      "int[] stride, Tensor! out)",
      floats, summed(4), run_col2im);
}

}  // namespace flagos::ops
