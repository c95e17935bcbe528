// Norms: of layers, groups, instances and batches, root mean square, and the gradients of those that transformers train.
#include <cmath>

#include "ops/engine/lines.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

// The last dimensions of the input, which normalized_shape names, as bits.
std::uint32_t normalized_axes(const Call& call, std::size_t list, const Tensor& input) {
  const auto given = call.integers(list);
  const int count = static_cast<int>(given.size());
  bool fits = count >= 1 && count <= input.rank;
  for (int i = 0; fits && i < count; ++i) fits = given[i] == input.shape[input.rank - count + i];
  if (!fits)
    call.refuse(list, "is {}; it must be the last dimensions of the input, whose shape is {}",
                shape_text(given), input.shape_text());
  return ((1U << count) - 1) << (input.rank - count);
}

void expect_floats(const Call& call, std::size_t input) {
  call.expect_dtype(input, call.op().dtypes());
}
void expect_like(const Call& call, std::size_t i, std::size_t input,
                 std::span<const std::int64_t> shape) {
  if (!call.has(i)) return;
  call.expect_same_dtype(i, input);
  call.expect_shape(i, shape);
}
DType statistics_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// A vector of `count` numbers as a tensor of the rank of `like`, along one of its axes.
Tensor along_axis(Tensor vector, const Tensor& like, int axis) {
  Tensor out = vector;
  const std::int64_t stride = vector.rank == 0 ? 0 : vector.strides[0];
  out.rank = like.rank;
  out.shape = like.shape;
  out.strides.fill(0);
  out.strides[axis] = stride;
  return out;
}

struct Moments {
  Tile mean, variance;
};
// Of the whole line, in two passes over it: variances of large numbers keep their digits.
Moments moments(LineKernel& l, std::size_t operand) {
  const Tile mean = l.chunks(carry(l.line(0)), [&](const Tile& at, const std::array<Tile, 1>& sum) {
    return carry(sum[0] + l.sum(l.load(operand, at)));
  })[0] / l.count();
  const Tile squares =
      l.chunks(carry(l.line(0)), [&](const Tile& at, const std::array<Tile, 1>& sum) {
        const Tile from_mean = where(l.inside(at), l.load(operand, at) - mean, 0.0);
        return carry(sum[0] + l.sum(from_mean * from_mean));
      })[0];
  return {mean, squares / l.count()};
}

// ---- layer_norm ------------------------------------------------------------------------------------------------------

struct LayerNormPlaces {
  std::size_t out, mean, rstd;  // 0: not an output of this operator
};

void layer_norm(Call& call, LayerNormPlaces at) {
  const Tensor& input = call.tensor(0);
  const std::uint32_t axes = normalized_axes(call, 1, input);
  expect_floats(call, 0);
  expect_like(call, 2, 0, call.integers(1));
  expect_like(call, 3, 0, call.integers(1));
  expect_like(call, at.out, 0, input.dims());
  call.expect_no_overlap(at.out);
  std::vector<std::int64_t> kept(input.dims().begin(), input.dims().end());
  for (int i = 0; i < input.rank; ++i)
    if (((axes >> i) & 1U) != 0) kept[i] = 1;
  LineOperands operands{{call.tensor(at.out), Part::full, true}, {input}};
  if (call.has(2)) operands.push_back({call.tensor(2).expanded_to(input.dims()), Part::along});
  if (call.has(3)) operands.push_back({call.tensor(3).expanded_to(input.dims()), Part::along});
  if (at.mean != 0) {
    for (const std::size_t i : {at.mean, at.rstd}) {
      call.expect_dtype(i, statistics_dtype(input.dtype));
      call.expect_shape(i, kept);
      call.expect_no_overlap(i, false);
      operands.push_back({call.tensor(i).expanded_to(input.dims()), Part::line, true});
    }
  }
  if (input.elements() == 0 || run_native(call)) return;
  const bool scaled = call.has(2), shifted = call.has(3), told = at.mean != 0;
  Lines lines(call, input.dims(), axes, operands);
  lines.number(call.real(4));
  lines.run(call.key().add(scaled, 1).add(shifted, 1), computed_as(input.dtype),
            [&](LineKernel& l) {
              const Moments found = moments(l, 1);
              const Tile rstd = 1.0 / sqrt(found.variance + l.numbers[0]);
              std::size_t next = 2;
              const std::size_t weight = next, bias = next + (scaled ? 1 : 0);
              next = bias + (shifted ? 1 : 0);
              l.each_chunk([&](const Tile& place) {
                Tile y = (l.load(1, place) - found.mean) * rstd;
                if (scaled) y = y * l.load(weight, place);
                if (shifted) y = y + l.load(bias, place);
                l.store(0, place, y);
              });
              if (!told) return;
              l.store_line(next, found.mean);
              l.store_line(next + 1, rstd);
            });
}

// grad_output, input, normalized_shape, mean, rstd, weight, then grad_input.
void run_layer_norm_backward(Call& call) {
  const Tensor& grad = call.tensor(0);
  const Tensor& input = call.tensor(1);
  const std::uint32_t axes = normalized_axes(call, 2, input);
  expect_floats(call, 1);
  expect_like(call, 0, 1, input.dims());
  expect_like(call, 5, 1, call.integers(2));
  expect_like(call, 6, 1, input.dims());
  call.expect_no_overlap(6);
  for (const std::size_t i : {std::size_t{3}, std::size_t{4}})
    call.expect_dtype(i, statistics_dtype(input.dtype));
  std::vector<std::int64_t> kept(input.dims().begin(), input.dims().end());
  for (int i = 0; i < input.rank; ++i)
    if (((axes >> i) & 1U) != 0) kept[i] = 1;
  call.expect_shape(3, kept);
  call.expect_shape(4, kept);
  if (input.elements() == 0 || run_native(call)) return;
  const bool scaled = call.has(5);
  LineOperands operands{{call.tensor(6), Part::full, true},
                        {grad},
                        {input},
                        {call.tensor(3).expanded_to(input.dims()), Part::line},
                        {call.tensor(4).expanded_to(input.dims()), Part::line}};
  if (scaled) operands.push_back({call.tensor(5).expanded_to(input.dims()), Part::along});
  Lines lines(call, input.dims(), axes, operands);
  lines.run(call.key().add(scaled, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const Tile mean = l.load_line(3), rstd = l.load_line(4);
    const auto weighted = [&](const Tile& at) {
      const Tile g = l.load(1, at);
      return scaled ? g * l.load(5, at) : g;
    };
    const auto sums =
        l.chunks(carry(l.line(0), l.line(0)), [&](const Tile& at, const std::array<Tile, 2>& s) {
          const Tile g = weighted(at);
          // g is 0 behind the end of the line.
          return carry(s[0] + l.sum(g), s[1] + l.sum(g * ((l.load(2, at) - mean) * rstd)));
        });
    const Tile a = sums[0] / l.count(), b = sums[1] / l.count();
    l.each_chunk([&](const Tile& at) {
      const Tile x = (l.load(2, at) - mean) * rstd;
      l.store(0, at, (weighted(at) - a - x * b) * rstd);
    });
  });
}

// grad_output, input, normalized_shape, mean, rstd, then grad_weight and grad_bias: sums over the lines.
void run_layer_norm_backward_weight(Call& call) {
  const Tensor& input = call.tensor(1);
  const std::uint32_t axes = normalized_axes(call, 2, input);
  expect_floats(call, 1);
  expect_like(call, 0, 1, input.dims());
  std::vector<std::int64_t> kept(input.dims().begin(), input.dims().end());
  for (int i = 0; i < input.rank; ++i)
    if (((axes >> i) & 1U) != 0) kept[i] = 1;
  for (const std::size_t i : {std::size_t{3}, std::size_t{4}}) {
    call.expect_dtype(i, statistics_dtype(input.dtype));
    call.expect_shape(i, kept);
  }
  for (const std::size_t i : {std::size_t{5}, std::size_t{6}}) {
    expect_like(call, i, 1, call.integers(2));
    call.expect_no_overlap(i, false);
  }
  if (call.tensor(5).elements() == 0 || run_native(call)) return;
  // Without lines the sums are 0: the kernel stores what it began with.
  Lines lines(call, input.dims(), ~axes,
              {{call.tensor(5).expanded_to(input.dims()), Part::line, true},
               {call.tensor(6).expanded_to(input.dims()), Part::line, true},
               {call.tensor(0)},
               {input},
               {call.tensor(3).expanded_to(input.dims()), Part::along},
               {call.tensor(4).expanded_to(input.dims()), Part::along}});
  lines.run(call.key(), computed_as(input.dtype), [&](LineKernel& l) {
    const auto sums =
        l.chunks(carry(l.line(0), l.line(0)), [&](const Tile& at, const std::array<Tile, 2>& s) {
          const Tile g = l.load(2, at);
          return carry(s[0] + l.sum(g * ((l.load(3, at) - l.load(4, at)) * l.load(5, at))),
                       s[1] + l.sum(g));
        });
    l.store_line(0, sums[0]);
    l.store_line(1, sums[1]);
  });
}

// ---- rms_norm --------------------------------------------------------------------------------------------------------

// 1 / sqrt(mean of squares + eps) of the line of which `x` gives the tiles.
template <typename X>
Tile inverse_root(LineKernel& l, X x) {
  const Tile squares =
      l.chunks(carry(l.line(0)), [&](const Tile& at, const std::array<Tile, 1>& sum) {
        const Tile value = x(at);
        return carry(sum[0] + l.sum(value * value));
      })[0];
  return 1.0 / sqrt(squares / l.count() + l.numbers[0]);
}

void run_rms_norm(Call& call) {
  const Tensor& input = call.tensor(0);
  const std::uint32_t axes = normalized_axes(call, 1, input);
  expect_floats(call, 0);
  expect_like(call, 2, 0, call.integers(1));
  expect_like(call, 4, 0, input.dims());
  call.expect_no_overlap(4);
  if (input.elements() == 0 || run_native(call)) return;
  const bool scaled = call.has(2);
  LineOperands operands{{call.tensor(4), Part::full, true}, {input}};
  if (scaled) operands.push_back({call.tensor(2).expanded_to(input.dims()), Part::along});
  Lines lines(call, input.dims(), axes, operands);
  lines.number(call.real(3));
  lines.run(call.key().add(scaled, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const Tile scale = inverse_root(l, [&](const Tile& at) { return l.load(1, at); });
    l.each_chunk([&](const Tile& at) {
      const Tile y = l.load(1, at) * scale;
      l.store(0, at, scaled ? y * l.load(2, at) : y);
    });
  });
}

// input, residual, normalized_shape, weight, eps, then out and sum: sum = input + residual, rounded, is what is normed.
void run_add_rms_norm(Call& call) {
  const Tensor& input = call.tensor(0);
  const std::uint32_t axes = normalized_axes(call, 2, input);
  expect_floats(call, 0);
  expect_like(call, 1, 0, input.dims());
  expect_like(call, 3, 0, call.integers(2));
  for (const std::size_t i : {std::size_t{5}, std::size_t{6}}) {
    expect_like(call, i, 0, input.dims());
    call.expect_no_overlap(i);
  }
  if (input.elements() == 0 || run_native(call)) return;
  const bool scaled = call.has(3);
  LineOperands operands{{call.tensor(5), Part::full, true},
                        {call.tensor(6), Part::full, true},
                        {input},
                        {call.tensor(1)}};
  if (scaled) operands.push_back({call.tensor(3).expanded_to(input.dims()), Part::along});
  Lines lines(call, input.dims(), axes, operands);
  lines.number(call.real(4));
  const tile::DType stored = stored_as(input.dtype);
  lines.run(call.key().add(scaled, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const auto added = [&](const Tile& at) {
      return cast(cast(l.load(2, at) + l.load(3, at), stored), l.dtype);
    };
    const Tile scale = inverse_root(l, added);
    l.each_chunk([&](const Tile& at) {
      const Tile x = added(at), y = x * scale;
      const Tile result = scaled ? y * l.load(4, at) : y;
      l.store(1, at, x);
      l.store(0, at, result);
    });
  });
}

// grad_output, input, normalized_shape, weight, eps, then grad_input.
void run_rms_norm_backward(Call& call) {
  const Tensor& input = call.tensor(1);
  const std::uint32_t axes = normalized_axes(call, 2, input);
  expect_floats(call, 1);
  expect_like(call, 0, 1, input.dims());
  expect_like(call, 3, 1, call.integers(2));
  expect_like(call, 5, 1, input.dims());
  call.expect_no_overlap(5);
  if (input.elements() == 0 || run_native(call)) return;
  const bool scaled = call.has(3);
  LineOperands operands{{call.tensor(5), Part::full, true}, {call.tensor(0)}, {input}};
  if (scaled) operands.push_back({call.tensor(3).expanded_to(input.dims()), Part::along});
  Lines lines(call, input.dims(), axes, operands);
  lines.number(call.real(4));
  lines.run(call.key().add(scaled, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const auto weighted = [&](const Tile& at) {
      const Tile g = l.load(1, at);
      return scaled ? g * l.load(3, at) : g;
    };
    const auto sums =
        l.chunks(carry(l.line(0), l.line(0)), [&](const Tile& at, const std::array<Tile, 2>& s) {
          const Tile x = l.load(2, at);
          return carry(s[0] + l.sum(x * x), s[1] + l.sum(weighted(at) * x));
        });
    const Tile scale = 1.0 / sqrt(sums[0] / l.count() + l.numbers[0]);
    const Tile pull = sums[1] / l.count() * scale * scale;
    l.each_chunk(
        [&](const Tile& at) { l.store(0, at, (weighted(at) - l.load(2, at) * pull) * scale); });
  });
}

// grad_output, input, normalized_shape, eps, then grad_weight.
void run_rms_norm_backward_weight(Call& call) {
  const Tensor& input = call.tensor(1);
  const std::uint32_t axes = normalized_axes(call, 2, input);
  expect_floats(call, 1);
  expect_like(call, 0, 1, input.dims());
  expect_like(call, 4, 1, call.integers(2));
  call.expect_no_overlap(4, false);
  if (call.tensor(4).elements() == 0 || run_native(call)) return;
  // The scale of each line first, into workspace.
  Tensor scales = input;
  scales.dtype = statistics_dtype(input.dtype);
  std::int64_t step = 1;
  for (int i = input.rank; i-- > 0;) {
    const bool normed = ((axes >> i) & 1U) != 0;
    scales.strides[i] = normed ? 0 : step;
    if (!normed) step *= std::max<std::int64_t>(input.shape[i], 1);
  }
  const Workspace workspace(call.device(), call.stream(),
                            static_cast<std::uint64_t>(step) * size_of(scales.dtype));
  scales.address = workspace.address();
  if (input.elements() != 0) {
    Lines lines(call, input.dims(), axes, {{input}, {scales, Part::line, true}});
    lines.number(call.real(3));
    lines.run(call.key().add(0, 1), computed_as(input.dtype), [&](LineKernel& l) {
      l.store_line(1, inverse_root(l, [&](const Tile& at) { return l.load(0, at); }));
    });
  }
  Lines sums(call, input.dims(), ~axes,
             {{call.tensor(4).expanded_to(input.dims()), Part::line, true},
              {call.tensor(0)},
              {input},
              {scales, Part::along}});
  sums.run(call.key().add(1, 1), computed_as(input.dtype), [&](LineKernel& l) {
    l.store_line(0, l.chunks(carry(l.line(0)), [&](const Tile& at, const std::array<Tile, 1>& sum) {
      return carry(sum[0] + l.sum(l.load(1, at) * l.load(2, at) * l.load(3, at)));
    })[0]);
  });
}

// ---- groups, instances, batches --------------------------------------------------------------------------------------

// out = (input - mean) * rstd * weight + bias, all of which but the input belong to lines. `variance`: rstd is one.
void apply_statistics(Call& call, std::span<const std::int64_t> shape, std::uint32_t along,
                      const Tensor& input, const Tensor& out, const Tensor& mean,
                      const Tensor& rstd, const Tensor* weight, const Tensor* bias, bool variance,
                      double eps) {
  LineOperands operands{{out, Part::full, true}, {input}, {mean, Part::line}, {rstd, Part::line}};
  if (weight != nullptr) operands.push_back({*weight, Part::line});
  if (bias != nullptr) operands.push_back({*bias, Part::line});
  const bool scaled = weight != nullptr, shifted = bias != nullptr;
  Lines lines(call, shape, along, operands);
  lines.number(eps);
  lines.run(call.key().add(1, 1).add(scaled, 1).add(shifted, 1).add(variance, 1),
            computed_as(input.dtype), [&](LineKernel& l) {
              const Tile center = l.load_line(2), given = l.load_line(3);
              Tile scale = variance ? 1.0 / sqrt(given + l.numbers[0]) : given;
              if (scaled) scale = scale * l.load_line(4);
              l.each_chunk([&](const Tile& at) {
                const Tile y = (l.load(1, at) - center) * scale;
                l.store(0, at, shifted ? y + l.load_line(scaled ? 5 : 4) : y);
              });
            });
}

// Mean and 1 / sqrt(variance + eps) of each line.
void queue_statistics(Call& call, std::span<const std::int64_t> shape, std::uint32_t along,
                      const Tensor& input, const Tensor& mean, const Tensor& rstd, double eps) {
  Lines lines(call, shape, along, {{input}, {mean, Part::line, true}, {rstd, Part::line, true}});
  lines.number(eps);
  lines.run(call.key().add(0, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const Moments found = moments(l, 0);
    l.store_line(1, found.mean);
    l.store_line(2, 1.0 / sqrt(found.variance + l.numbers[0]));
  });
}

// The input seen as [batch, groups, channels of a group, place], the weights of its channels.
void grouped(Call& call, std::int64_t groups, std::size_t weight, std::size_t bias, double eps,
             std::size_t output) {
  const Tensor& input = call.tensor(0);
  const Tensor& out = call.tensor(output);
  const std::int64_t channels = input.shape[1];
  const std::int64_t vector[] = {channels};
  expect_floats(call, 0);
  expect_like(call, weight, 0, vector);
  expect_like(call, bias, 0, vector);
  expect_like(call, output, 0, input.dims());
  call.expect_no_overlap(output);
  if (input.elements() == 0 || run_native(call)) return;
  if (input.rank == max_rank)
    call.refuse(0, "is of rank {}; {} are allowed here", input.rank, max_rank - 1);
  const std::int64_t in_group = channels / groups;
  const auto split = [&](const Tensor& tensor) {  // axis 1 becomes two
    Tensor seen = tensor.with_axis(1, groups, tensor.strides[1] * in_group);
    seen.shape[2] = in_group;
    return seen;
  };
  const Tensor x = split(input), y = split(out);
  const std::uint32_t of_group = ((1U << x.rank) - 1) & ~3U;
  const DType dtype = statistics_dtype(input.dtype);
  const auto count = static_cast<std::uint64_t>(input.shape[0] * groups);
  const Workspace workspace(call.device(), call.stream(), 2 * count * size_of(dtype));
  Tensor mean = x, rstd = x;
  mean.dtype = rstd.dtype = dtype;
  mean.strides.fill(0);
  mean.strides[0] = groups;
  mean.strides[1] = 1;
  rstd.strides = mean.strides;
  mean.address = workspace.address();
  rstd.address = mean.address + count * size_of(dtype);
  const auto per_channel = [&](std::size_t i) {
    Tensor seen = along_axis(call.tensor(i), x, 2);
    seen.strides[1] = seen.strides[2] * in_group;
    return seen;
  };
  Tensor scale, shift;
  if (call.has(weight)) scale = per_channel(weight);
  if (call.has(bias)) shift = per_channel(bias);
  queue_statistics(call, x.dims(), of_group, x, mean, rstd, eps);
  apply_statistics(call, x.dims(), of_group & ~4U, x, y, mean, rstd,
                   call.has(weight) ? &scale : nullptr, call.has(bias) ? &shift : nullptr, false,
                   eps);
}

void run_group_norm(Call& call) {
  const Tensor& input = call.tensor(0);
  call.expect_rank(0, 2, max_rank - 1);
  const std::int64_t groups = call.integer(1);
  if (groups < 1 || input.shape[1] % groups != 0)
    call.refuse(1, "is {}; it must divide the {} channels of the input", groups, input.shape[1]);
  grouped(call, groups, 2, 3, call.real(4), 5);
}

void run_instance_norm(Call& call) {
  call.expect_rank(0, 2, max_rank - 1);
  if (call.tensor(0).shape[1] == 0) return call.expect_shape(4, call.tensor(0));
  grouped(call, call.tensor(0).shape[1], 1, 2, call.real(3), 4);
}

// input, weight, bias, running_mean, running_var, training, momentum, eps, then out. In training the statistics of the
// batch are used, and the running ones move towards them.
void run_batch_norm(Call& call) {
  const Tensor& input = call.tensor(0);
  call.expect_rank(0, 2, max_rank);
  expect_floats(call, 0);
  const std::int64_t vector[] = {input.shape[1]};
  const DType dtype = statistics_dtype(input.dtype);
  expect_like(call, 1, 0, vector);
  expect_like(call, 2, 0, vector);
  const bool training = call.flag(5);
  for (const std::size_t i : {std::size_t{3}, std::size_t{4}}) {
    if (!call.has(i)) {
      if (!training || call.has(7 - i))
        call.refuse(i, "is NULL; {}",
                    training ? "both running statistics are given, or none"
                             : "without training it is needed");
      continue;
    }
    call.expect_dtype(i, dtype);
    call.expect_shape(i, vector);
    if (training) call.expect_no_overlap(i, false);
  }
  expect_like(call, 8, 0, input.dims());
  call.expect_no_overlap(8);
  if (input.elements() == 0 || run_native(call)) return;
  const std::uint32_t places = ((1U << input.rank) - 1) & ~2U, inner = places & ~1U;
  const auto per_channel = [&](const Tensor& tensor) { return along_axis(tensor, input, 1); };
  Tensor scale, shift;
  if (call.has(1)) scale = per_channel(call.tensor(1));
  if (call.has(2)) shift = per_channel(call.tensor(2));
  const Tensor* const weight = call.has(1) ? &scale : nullptr;
  const Tensor* const bias = call.has(2) ? &shift : nullptr;
  if (!training)
    return apply_statistics(call, input.dims(), inner, input, call.tensor(8),
                            per_channel(call.tensor(3)), per_channel(call.tensor(4)), weight, bias,
                            true, call.real(7));
  const auto bytes = static_cast<std::uint64_t>(vector[0]) * size_of(dtype);
  const Workspace workspace(call.device(), call.stream(), 2 * bytes);
  Tensor mean = Tensor::dense(workspace.address(), dtype, vector), rstd = mean;
  rstd.address += bytes;
  mean = per_channel(mean);
  rstd = per_channel(rstd);
  const bool moves = call.has(3);
  LineOperands operands{{input}, {mean, Part::line, true}, {rstd, Part::line, true}};
  if (moves)
    for (const std::size_t i : {std::size_t{3}, std::size_t{4}})
      operands.push_back({per_channel(call.tensor(i)), Part::line, true, true});
  Lines lines(call, input.dims(), places, operands);
  lines.number(call.real(7)).number(call.real(6));
  lines.run(call.key().add(0, 1).add(moves, 1), computed_as(input.dtype), [&](LineKernel& l) {
    const Moments found = moments(l, 0);
    l.store_line(1, found.mean);
    l.store_line(2, 1.0 / sqrt(found.variance + l.numbers[0]));
    if (!moves) return;
    const Tile unbiased = found.variance * l.count() / (l.count() - 1.0);
    const Tile old_mean = l.load_line(3), old_variance = l.load_line(4);
    l.store_line(3, old_mean + (found.mean - old_mean) * l.numbers[1]);
    l.store_line(4, old_variance + (unbiased - old_variance) * l.numbers[1]);
  });
  apply_statistics(call, input.dims(), inner, input, call.tensor(8), mean, rstd, weight, bias,
                   false, call.real(7));
}

}  // namespace

void add_norms(Table& table) {
  table.add(
      "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, "
      "float eps=1e-05, Tensor! out)",
      floats, summed(4, 8), [](Call& call) {
        layer_norm(call, {5, 0, 0});
      });
  table.add(
      "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, "
      "float eps, Tensor! out, Tensor! mean, Tensor! rstd)",
      floats, summed(4, 8), [](Call& call) {
        layer_norm(call, {5, 6, 7});
      });
  table.add(
      "layer_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor "
      "mean, Tensor rstd, Tensor? weight, Tensor! grad_input)",
      floats, summed(4, 8), run_layer_norm_backward);
  table.add(
      "layer_norm_backward_weight(Tensor grad_output, Tensor input, int[] normalized_shape, "
      "Tensor mean, Tensor rstd, Tensor! grad_weight, Tensor! grad_bias)",
      floats, summed(4, 8), run_layer_norm_backward_weight);
  table.add(
      "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float eps=1e-06, "
      "Tensor! out)",
      floats, summed(4, 8), run_rms_norm);
  table.add(
      "add_rms_norm(Tensor input, Tensor residual, int[] normalized_shape, Tensor? weight, "
      "float eps, Tensor! out, Tensor! sum)",
      floats, summed(4, 8), run_add_rms_norm);
  table.add(
      "rms_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? "
      "weight, float eps, Tensor! grad_input)",
      floats, summed(4, 8), run_rms_norm_backward);
  table.add(
      "rms_norm_backward_weight(Tensor grad_output, Tensor input, int[] normalized_shape, "
      "float eps, Tensor! grad_weight)",
      floats, summed(4, 8), run_rms_norm_backward_weight);
  table.add(
      "group_norm(Tensor input, int num_groups, Tensor? weight, Tensor? bias, float "
      "eps=1e-05, Tensor! out)",
      floats, summed(4, 8), run_group_norm);
  table.add(
      "instance_norm(Tensor input, Tensor? weight, Tensor? bias, float eps=1e-05, Tensor! out)",
      floats, summed(4, 8), run_instance_norm);
  table.add(
      "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor!? running_mean, Tensor!? "
      "running_var, bool training, float momentum, float eps, Tensor! out)",
      floats, summed(4, 8), run_batch_norm);
}

}  // namespace flagos::ops
