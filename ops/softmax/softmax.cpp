// Softmax and its logarithm along a dimension, and their gradients.
#include <limits>

#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <bool logarithm>
void run_softmax(Call& call) {
  const Tensor& input = call.tensor(0);
  const Tensor& out = call.tensor(2);
  const int dim = call.dim(1, input.rank);
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(2, 0);
  call.expect_shape(2, input);
  call.expect_no_overlap(2);
  if (input.elements() == 0 || run_native(call)) return;
  Lines lines(call, input.dims(), 1U << dim, {{input}, {out, Part::full, true}});
  lines.run(call.key(), computed_as(input.dtype), [](LineKernel& l) {
    const std::array<Tile, 2> found = largest_and_sum(l, 0);
    if constexpr (logarithm) {
      const Tile shift = log(found[1]);
      l.each_chunk(
          [&](const Tile& at) { l.store(1, at, l.load(0, at, -infinity) - found[0] - shift); });
    } else {
      const Tile scale = 1.0 / found[1];
      l.each_chunk([&](const Tile& at) {
        l.store(1, at, exp(l.load(0, at, -infinity) - found[0]) * scale);
      });
    }
  });
}

template <bool logarithm>
void run_softmax_backward(Call& call) {
  const Tensor& grad = call.tensor(0);
  const Tensor& output = call.tensor(1);
  const Tensor& out = call.tensor(3);
  const int dim = call.dim(2, output.rank);
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(1, 0);
  call.expect_same_dtype(3, 0);
  call.expect_shape(1, grad);
  call.expect_shape(3, grad);
  call.expect_no_overlap(3);
  if (grad.elements() == 0 || run_native(call)) return;
  Lines lines(call, grad.dims(), 1U << dim, {{grad}, {output}, {out, Part::full, true}});
  lines.run(call.key(), computed_as(grad.dtype), [](LineKernel& l) {
    const Tile total =
        l.chunks(carry(l.line(0)), [&](const Tile& at, const std::array<Tile, 1>& sum) {
          const Tile g = l.load(0, at);
          return carry(sum[0] + l.sum(logarithm ? g : g * l.load(1, at)));
        })[0];
    l.each_chunk([&](const Tile& at) {
      const Tile g = l.load(0, at), y = l.load(1, at);
      l.store(2, at, logarithm ? g - exp(y) * total : y * (g - total));
    });
  });
}

}  // namespace

std::array<Tile, 2> largest_and_sum(LineKernel& l, std::size_t operand) {
  if (l.plan.whole) {
    const Tile x = l.load(operand, l.low, -infinity);
    const Tile largest = l.most(x);
    return carry(largest, l.sum(exp(x - largest)));
  }
  const auto found = l.chunks(
      carry(l.line(-infinity), l.line(0)), [&](const Tile& at, const std::array<Tile, 2>& before) {
        const Tile x = l.load(operand, at, -infinity);
        const Tile largest = max(before[0], l.most(x));
        // Until there is a number, nothing is added: -inf - -inf would be NaN.
        const Tile base = where(largest == -infinity, 0.0, largest);
        return carry(largest, before[1] * exp(before[0] - base) + l.sum(exp(x - base)));
      });
  return carry(found[0], found[1]);
}

void add_softmax(Table& table) {
  table.add("softmax(Tensor input, int dim, Tensor! out)", floats, summed(2, 4),
            run_softmax<false>);
  table.add("log_softmax(Tensor input, int dim, Tensor! out)", floats, summed(2, 4),
            run_softmax<true>);
  table.add("softmax_backward(Tensor grad_output, Tensor output, int dim, Tensor! grad_input)",
            floats, summed(2, 4), run_softmax_backward<false>);
  table.add("log_softmax_backward(Tensor grad_output, Tensor output, int dim, Tensor! grad_input)",
            floats, summed(2, 4), run_softmax_backward<true>);
}

}  // namespace flagos::ops
