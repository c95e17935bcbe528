// Operators of elements that do not stand at one place: gates in two halves of a dimension, complex numbers in two parts.
#include "ops/engine/composite.hpp"
#include "ops/engine/copy.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/pointwise/functions.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

// The halves of the input along a dimension; the output is as large as one of them.
std::array<Tensor, 2> halves(const Call& call) {
  const Tensor& in = call.tensor(0);
  call.expect_dtype(0, floats);
  call.expect_rank(0, 1, max_rank);
  const int dim = call.dim(1, in.rank);
  if (in.shape[dim] % 2 != 0)
    call.refuse(0, "has {} elements along dimension {}, which has no two halves", in.shape[dim],
                dim);
  const std::int64_t half = in.shape[dim] / 2;
  const Tensor first = in.narrowed(dim, 0, half);
  call.expect_shape(2, first);
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2, false);
  return {first, in.narrowed(dim, half, half)};
}

void run_glu(Call& call) {
  const auto [first, second] = halves(call);
  const Tensor& out = call.tensor(2);
  Walk walk(call, out.dims());
  const int to = walk.write(out), value = walk.read(first), gate = walk.read(second);
  walk.run(call.key(), "glu", [&](const Here& here) {
    const Tile x = to_computed(here.load(value), out.dtype);
    here.store(to, to_stored(x * sigmoid(to_computed(here.load(gate), out.dtype)), out.dtype));
  });
}

void run_swiglu(Call& call) {
  const auto [gate, up] = halves(call);
  call_operator(call.stream(), "silu_and_mul", {gate, up, call.tensor(2)});
}

void run_polar(Call& call) {
  const Tensor& out = call.tensor(2);
  for (const std::size_t i : {0, 1}) call.expect_dtype(i, DType::f32);
  call.expect_dtype(2, DType::c64);
  Tensor shape;
  try {
    shape = broadcast_shape(call.tensor(0), call.tensor(1));
  } catch (const Error& error) {
    call.refuse(1, "does not fit: {}", error.what());
  }
  call.expect_shape(2, shape);
  call.expect_no_overlap(2, false);
  Walk walk(call, out.dims());
  const int re = walk.write(real_part(out)), im = walk.write(imaginary_part(out));
  const int length = walk.read(call.tensor(0)), angle = walk.read(call.tensor(1));
  walk.run(call.key(), "polar", [&](const Here& here) {
    const Tile r = here.load(length), at = here.load(angle);
    here.store(re, r * cos(at));
    here.store(im, r * sin(at));
  });
}

}  // namespace

void add_gates(Table& table) {
  table.add("glu(Tensor input, int dim=-1, Tensor! out)", floats, ulp(8), run_glu);
  table.add("swiglu(Tensor input, int dim=-1, Tensor! out)", floats, ulp(8), run_swiglu);
}

void add_polar(Table& table) {
  table.add("polar(Tensor abs, Tensor angle, Tensor! out)", DType::f32, ulp(6), run_polar);
}

}  // namespace flagos::ops
