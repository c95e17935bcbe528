// Running sums, products, extremes along a dimension.
#include "ops/engine/scan.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

bool is_float(tile::DType dtype) { return dtype >= tile::DType::f16; }
DType kept_as(tile::DType computed) {
  return computed == tile::DType::f64   ? DType::f64
         : computed == tile::DType::f32 ? DType::f32
                                        : DType::i64;
}

// The dimension, once input and the outputs at `outputs` are what they must be.
std::uint32_t checked(const Call& call, std::initializer_list<std::size_t> outputs) {
  call.expect_dtype(0, call.op().dtypes());
  const std::uint32_t along = 1U << call.dim(1, call.tensor(0).rank);
  for (const std::size_t place : outputs) {
    call.expect_shape(place, call.tensor(0));
    call.expect_no_overlap(place);
  }
  return along;
}

// Of whole numbers: int64, their own type, or a floating-point type that is computed in.
tile::DType sum_dtype(const Call& call) {
  const DType in = call.tensor(0).dtype, out = call.tensor(2).dtype;
  const bool fits = is_floating(out) ||
                    (!is_floating(in) && out != DType::boolean && (out == DType::i64 || out == in));
  if (!fits)
    call.refuse(2, "is of {}; of {} it is {}", dtype_name(out), dtype_name(in),
                is_floating(in)        ? "of a floating-point type"
                : in == DType::boolean ? "int64, or of a floating-point type"
                                       : "int64, of that type, or of a floating-point type");
  if (!is_floating(out)) return tile::DType::i64;
  return in == DType::f64 || out == DType::f64 ? tile::DType::f64 : tile::DType::f32;
}

template <bool product>
void run_sum(Call& call) {
  const std::uint32_t along = checked(call, {2});
  const tile::DType dtype = sum_dtype(call);
  const Tensor& input = call.tensor(0);
  if (input.elements() == 0 || run_native(call)) return;
  Lines lines(call, input.dims(), along, {{call.tensor(2), Part::full, true}, {input}});
  const int nothing = product ? 1 : 0;
  run_scan<1>(
      call, lines, call.key().add(static_cast<std::uint64_t>(dtype), 5),
      {dtype,
       {dtype},
       {kept_as(dtype)},
       {nothing},
       [=](LineKernel& l, const Tile& at) { return carry(l.load(1, at, nothing, dtype)); },
       [](const Tiles<1>& a, const Tiles<1>& b) {
         return carry(product ? a[0] * b[0] : a[0] + b[0]);
       },
       [](LineKernel& l, const Tile& at, const Tiles<1>& state) { l.store(0, at, state[0]); },
       {}});
}

// Value and place of the last of the largest (least) so far; a NaN is beyond all. Behind the end, places are -1.
template <bool largest>
void run_extreme(Call& call) {
  const std::uint32_t along = checked(call, {2, 3});
  call.expect_same_dtype(2, 0);
  call.expect_dtype(3, DType::i64);
  const Tensor& input = call.tensor(0);
  if (input.elements() == 0 || run_native(call)) return;
  const DType type = input.dtype;
  const tile::DType dtype = is_floating(type) ? computed_as(type) : stored_as(type);
  const auto i64 = tile::DType::i64;
  Lines lines(call, input.dims(), along,
              {{call.tensor(2), Part::full, true}, {call.tensor(3), Part::full, true}, {input}});
  run_scan<2>(call, lines, call.key(),
              {dtype,
               {dtype, i64},
               {is_floating(type) ? kept_as(dtype) : type, DType::i64},
               {neutral(type, largest), -1},
               [=](LineKernel& l, const Tile& at) {
                 const Tile x = l.load(2, at, neutral(type, largest), dtype);
                 const Tile place =
                     expand(l.k.range(l.plan.width, i64) + at, l.plan.columns ? 1 : 0);
                 return carry(x, broadcast(where(l.inside(at), place, -1), x.shape()));
               },
               [=](const Tiles<2>& a, const Tiles<2>& b) {
                 Tile beyond = largest ? b[0] > a[0] : b[0] < a[0], same = b[0] == a[0];
                 if (is_float(dtype)) {
                   beyond = beyond | (isnan(b[0]) & !isnan(a[0]));
                   same = same | (isnan(b[0]) & isnan(a[0]));
                 }
                 const Tile second = beyond | (same & (b[1] > a[1]));
                 return carry(where(second, b[0], a[0]), where(second, b[1], a[1]));
               },
               [](LineKernel& l, const Tile& at, const Tiles<2>& state) {
                 l.store(0, at, state[0]);
                 l.store(1, at, state[1]);
               },
               {}});
}

// ---- logcumsumexp ----------------------------------------------------------------------------------------------------

// A state is the largest so far, and the sum of exp(x - largest). Where it is not finite, 0 is subtracted.
Tile base(const Tile& most) { return where(isinf(most), 0.0, most); }

Tiles<2> merged(const Tiles<2>& a, const Tiles<2>& b) {
  const Tile most = max(a[0], b[0]);
  const auto moved = [&](const Tiles<2>& s) {
    return where(s[0] == -HUGE_VAL, 0.0, s[1] * exp(base(s[0]) - base(most)));
  };
  return carry(most, moved(a) + moved(b));
}

// Without an exponential for each step: the largest before and with each element give factors, and with these the sums
// are s[i] = s[i - 1] * factor[i] + value[i].
Tiles<2> running_sums(LineKernel& l, const Tiles<2>& x) {
  const Tile none = l.k.full(l.dtype, x[0].shape(), -HUGE_VAL);
  const Tiles<2> most = scans::running<2>(
      l, carry(none, x[0]), {-HUGE_VAL, -HUGE_VAL},
      [](const Tiles<2>& a, const Tiles<2>& b) { return carry(max(a[1], b[0]), max(a[1], b[1])); });
  const Tile with = base(most[1]);
  const Tile factor = where(most[0] == -HUGE_VAL, 0.0, exp(base(most[0]) - with));
  const Tiles<2> sums = scans::running<2>(
      l, carry(factor, exp(x[0] - with)), {1.0, 0.0},
      [](const Tiles<2>& a, const Tiles<2>& b) { return carry(a[0] * b[0], a[1] * b[0] + b[1]); });
  return carry(most[1], sums[1]);
}

void run_logcumsumexp(Call& call) {
  const std::uint32_t along = checked(call, {2});
  call.expect_same_dtype(2, 0);
  const Tensor& input = call.tensor(0);
  if (input.elements() == 0 || run_native(call)) return;
  const tile::DType dtype = computed_as(input.dtype);
  Lines lines(call, input.dims(), along, {{call.tensor(2), Part::full, true}, {input}});
  run_scan<2>(call, lines, call.key(),
              {dtype,
               {dtype, dtype},
               {kept_as(dtype), kept_as(dtype)},
               {-HUGE_VAL, 0.0},
               [](LineKernel& l, const Tile& at) {
                 const Tile x = l.load(1, at, -HUGE_VAL);
                 return carry(x, exp(x - base(x)));
               },
               merged,
               [](LineKernel& l, const Tile& at, const Tiles<2>& state) {
                 l.store(0, at, log(state[1]) + base(state[0]));
               },
               running_sums});
}

}  // namespace

void add_scans(Table& table) {
  table.add("cumsum(Tensor input, int dim, Tensor! out)", everything, summed(8), run_sum<false>);
  table.add("cumprod(Tensor input, int dim, Tensor! out)", everything, summed(8), run_sum<true>);
  table.add("cummax(Tensor input, int dim, Tensor! values, Tensor! indices)", everything, exact,
            run_extreme<true>);
  table.add("cummin(Tensor input, int dim, Tensor! values, Tensor! indices)", everything, exact,
            run_extreme<false>);
  table.add("logcumsumexp(Tensor input, int dim, Tensor! out)", floats, summed(8, 4),
            run_logcumsumexp);
}

}  // namespace flagos::ops
