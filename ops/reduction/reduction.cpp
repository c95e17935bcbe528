// Reductions over dimensions: each is a state of one to three numbers, how it comes from a tile, and how two are merged.
#include <cmath>
#include <deque>
#include <limits>

#include "ops/engine/copy.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
using State1 = std::array<Tile, 1>;
using State2 = std::array<Tile, 2>;
using State3 = std::array<Tile, 3>;

// Where the arguments of a reduction stand in its schema; 0: it has none.
struct Places {
  std::size_t dims, keepdim, out;
};

std::uint32_t reduced_dims(const Call& call, std::size_t dims, int rank) {
  if (call.op().schema().parameters[dims].list) return call.dims(dims, rank);
  return call.has(dims) ? 1U << call.dim(dims, rank) : (1U << std::max(rank, 1)) - 1;
}

// The output with the shape of the input, repeating along what is reduced. Throws Error for another shape.
Tensor checked_output(const Call& call, std::size_t place, const Tensor& input, std::uint32_t dims,
                      bool keepdim) {
  Layout::Axes shape;
  for (int i = 0; i < input.rank; ++i)
    if (((dims >> i) & 1U) == 0) {
      shape.push_back(input.shape[i]);
    } else if (keepdim) {
      shape.push_back(1);
    }
  call.expect_shape(place, shape);
  call.expect_no_overlap(place, false);
  Tensor out = call.tensor(place);
  if (!keepdim)
    for (int i = 0; i < input.rank; ++i)
      if (((dims >> i) & 1U) != 0) out = out.with_axis(i, 1, 0);
  return out.expanded_to(input.dims());
}

std::int64_t reduced_elements(const Tensor& input, std::uint32_t dims) {
  std::int64_t count = 1;
  for (int i = 0; i < input.rank; ++i)
    if (((dims >> i) & 1U) != 0) count *= input.shape[i];
  return count;
}

bool is_float(tile::DType dtype) { return dtype >= tile::DType::f16; }
DType kept_as(tile::DType computed) {
  return computed == tile::DType::f64   ? DType::f64
         : computed == tile::DType::f32 ? DType::f32
                                        : DType::i64;
}
// Sums of whole numbers are int64; a floating output asks for its own type.
tile::DType sum_dtype(const Call& call, std::size_t place) {
  const DType in = call.tensor(0).dtype, out = call.tensor(place).dtype;
  if (is_floating(in) && !is_floating(out))
    call.refuse(place, "is of {}, which cannot take sums of {}", dtype_name(out), dtype_name(in));
  if (!is_floating(out) && out != DType::i64)
    call.refuse(place, "is of {}; sums of {} are int64, or of a floating-point type",
                dtype_name(out), dtype_name(in));
  if (!is_floating(out)) return tile::DType::i64;
  return in == DType::f64 || out == DType::f64 ? tile::DType::f64 : tile::DType::f32;
}
void expect_input(const Call& call) { call.expect_dtype(0, call.op().dtypes()); }

// A reduction of one output, the common case.
template <std::size_t N>
void run_one(Call& call, Places at, Reduction<N> r, const Key& key, double number = 0) {
  const Tensor& input = call.tensor(0);
  const std::uint32_t dims = reduced_dims(call, at.dims, input.rank);
  const Tensor out = checked_output(call, at.out, input, dims, call.flag(at.keepdim));
  if (call.tensor(at.out).elements() == 0 || run_native(call)) return;
  Lines lines(call, input.dims(), dims, {{out, Part::line, true}, {input}}, Lines::in_rounds);
  lines.number(number);
  reduce(call, lines, key, r);
}

State1 add_states(const State1& a, const State1& b) { return carry(a[0] + b[0]); }
void store_state(LineKernel& l, const State1& state) { l.store_line(0, state[0]); }

using Map = Tile (*)(LineKernel&, const Tile& at, tile::DType dtype);
// A sum of what `map` makes of the elements, which gives 0 behind their end.
Reduction<1> sum_of(tile::DType dtype, Map map) {
  return {
      dtype,      {kept_as(dtype)},
      1,          [=](LineKernel& l, const Tile& at) { return carry(l.sum(map(l, at, dtype))); },
      add_states, store_state};
}

Tile as_it_is(LineKernel& l, const Tile& at, tile::DType dtype) { return l.load(1, at, 0, dtype); }
Tile without_nan(LineKernel& l, const Tile& at, tile::DType dtype) {
  const Tile x = l.load(1, at, 0, dtype);
  return is_float(dtype) ? where(isnan(x), 0.0, x) : x;
}
Tile not_zero(LineKernel& l, const Tile& at, tile::DType dtype) {
  const tile::DType stored = stored_as(l.plan.operands[1].dtype);
  return cast(l.load(1, at, 0, stored) != 0, dtype);
}

template <Map map>
void run_sum(Call& call) {
  expect_input(call);
  const tile::DType dtype = sum_dtype(call, 3);
  run_one(call, {1, 2, 3}, sum_of(dtype, map),
          call.key().add(static_cast<std::uint64_t>(dtype), 5));
}

void run_count_nonzero(Call& call) {
  expect_input(call);
  call.expect_dtype(3, DType::i64);
  run_one(call, {1, 2, 3}, sum_of(tile::DType::i64, not_zero), call.key());
}

void run_mean(Call& call) {
  expect_input(call);
  const tile::DType dtype = sum_dtype(call, 3);
  if (!is_floating(call.tensor(3).dtype))
    call.refuse(3, "is of {}; a mean is of a floating-point type",
                dtype_name(call.tensor(3).dtype));
  Reduction<1> r = sum_of(dtype, as_it_is);
  r.finish = [](LineKernel& l, const State1& state) {
    l.store_line(0, state[0] / l.numbers.back());
  };
  run_one(call, {1, 2, 3}, r, call.key().add(static_cast<std::uint64_t>(dtype), 5));
}

void run_prod(Call& call) {
  expect_input(call);
  const tile::DType dtype = sum_dtype(call, 3);
  run_one<1>(call, {1, 2, 3},
             {dtype,
              {kept_as(dtype)},
              1,
              [=](LineKernel& l, const Tile& at) {
                return carry(expand(product(l.load(1, at, 1, dtype), l.axis), l.axis));
              },
              [](const State1& a, const State1& b) { return carry(a[0] * b[0]); },
              store_state},
             call.key().add(static_cast<std::uint64_t>(dtype), 5));
}

// ---- extremes --------------------------------------------------------------------------------------------------------

void expect_elements(const Call& call, std::size_t dims_place, std::uint32_t dims) {
  if (reduced_elements(call.tensor(0), dims) == 0)
    call.refuse(0, "is of shape {}: what is reduced by {} has no elements, and no {}",
                call.tensor(0).shape_text(), call.op().schema().parameters[dims_place].name,
                call.op().name());
}

template <bool largest>
void run_extreme(Call& call) {
  expect_input(call);
  call.expect_same_dtype(3, 0);
  const Tensor& input = call.tensor(0);
  const std::uint32_t dims = reduced_dims(call, 1, input.rank);
  checked_output(call, 3, input, dims, call.flag(2));
  if (call.tensor(3).elements() == 0) return;
  expect_elements(call, 1, dims);
  const DType type = input.dtype;
  const tile::DType dtype = is_floating(type) ? computed_as(type) : stored_as(type);
  run_one<1>(
      call, {1, 2, 3},
      {dtype,
       {is_floating(type) ? kept_as(dtype) : type},
       1,
       [=](LineKernel& l, const Tile& at) {
         const Tile x = l.load(1, at, neutral(type, largest), dtype);
         return carry(expand(largest ? reduce_max(x, l.axis) : reduce_min(x, l.axis), l.axis));
       },
       [](const State1& a, const State1& b) {
         return carry(largest ? max(a[0], b[0]) : min(a[0], b[0]));
       },
       store_state},
      call.key());
}

// Value and place of the first of the largest; a NaN is larger than all.
template <bool largest>
Reduction<2> place_of(DType type, std::size_t outputs,
                      std::function<void(LineKernel&, const State2&)> finish) {
  const tile::DType dtype = is_floating(type) ? computed_as(type) : stored_as(type);
  return {dtype,
          {is_floating(type) ? kept_as(dtype) : type, DType::i64},
          outputs,
          [=](LineKernel& l, const Tile& at) {
            const Tile x = l.load(outputs, at, neutral(type, largest), dtype);
            const auto found = largest ? argmax(x, l.axis) : argmin(x, l.axis);
            return carry(expand(found[0], l.axis),
                         cast(expand(found[1], l.axis), tile::DType::i64) + at);
          },
          [=](const State2& a, const State2& b) {
            Tile later = largest ? b[0] > a[0] : b[0] < a[0];
            if (is_float(dtype)) later = later | (isnan(b[0]) & !isnan(a[0]));
            return carry(where(later, b[0], a[0]), where(later, b[1], a[1]));
          },
          std::move(finish)};
}

template <bool largest>
void run_arg(Call& call) {
  expect_input(call);
  call.expect_dtype(3, DType::i64);
  const Tensor& input = call.tensor(0);
  const std::uint32_t dims = reduced_dims(call, 1, input.rank);
  const Tensor out = checked_output(call, 3, input, dims, call.flag(2));
  if (call.tensor(3).elements() == 0) return;
  expect_elements(call, 1, dims);
  if (run_native(call)) return;
  Lines lines(call, input.dims(), dims, {{out, Part::line, true}, {input}}, Lines::row_major);
  reduce(call, lines, call.key(),
         place_of<largest>(input.dtype, 1,
                           [](LineKernel& l, const State2& state) { l.store_line(0, state[1]); }));
}

template <bool largest>
void run_extreme_dim(Call& call) {
  expect_input(call);
  const Tensor& input = call.tensor(0);
  const std::uint32_t dims = 1U << call.dim(1, input.rank);
  call.expect_same_dtype(3, 0);
  call.expect_dtype(4, DType::i64);
  const Tensor values = checked_output(call, 3, input, dims, call.flag(2));
  const Tensor indices = checked_output(call, 4, input, dims, call.flag(2));
  if (call.tensor(3).elements() == 0) return;
  expect_elements(call, 1, dims);
  if (run_native(call)) return;
  Lines lines(call, input.dims(), dims,
              {{values, Part::line, true}, {indices, Part::line, true}, {input}}, Lines::row_major);
  reduce(call, lines, call.key(),
         place_of<largest>(input.dtype, 2, [](LineKernel& l, const State2& state) {
           l.store_line(0, state[0]);
           l.store_line(1, state[1]);
         }));
}

// ---- truth -----------------------------------------------------------------------------------------------------------

template <bool every>
Reduction<1> truth(std::function<Tile(LineKernel&, const Tile& at)> holds) {
  return {tile::DType::i32,
          {DType::i32},
          1,
          [=](LineKernel& l, const Tile& at) {
            const Tile x = cast(holds(l, at), tile::DType::i32);
            return carry(expand(every ? reduce_min(x, l.axis) : reduce_max(x, l.axis), l.axis));
          },
          [](const State1& a, const State1& b) {
            return carry(every ? min(a[0], b[0]) : max(a[0], b[0]));
          },
          store_state};
}

template <bool every>
void run_truth(Call& call) {
  expect_input(call);
  call.expect_dtype(3, DTypes(DType::boolean) | DType::u8);
  run_one(call, {1, 2, 3}, truth<every>([](LineKernel& l, const Tile& at) {
            return l.load(1, at, every ? 1 : 0, stored_as(l.plan.operands[1].dtype)) != 0;
          }),
          call.key());
}

void run_equal(Call& call) {
  expect_input(call);
  call.expect_same_dtype(1, 0);
  call.expect_dtype(2, DType::boolean);
  call.expect_shape(2, std::span<const std::int64_t>());
  call.expect_no_overlap(2, false);
  const Tensor& a = call.tensor(0);
  if (!same_shape(a.dims(), call.tensor(1).dims())) return fill(call, call.tensor(2), Scalar{});
  if (run_native(call)) return;
  const std::uint32_t all = (1U << a.rank) - 1;
  Lines lines(call, a.dims(), all,
              {{call.tensor(2).expanded_to(a.dims()), Part::line, true}, {a}, {call.tensor(1)}},
              Lines::in_rounds);
  reduce(call, lines, call.key(), truth<true>([](LineKernel& l, const Tile& at) {
           const tile::DType stored = stored_as(l.plan.operands[1].dtype);
           return l.load(1, at, 0, stored) == l.load(2, at, 0, stored);
         }));
}

// ---- moments, norms --------------------------------------------------------------------------------------------------

// Mean, sum of squares from it, count: as the parts of a line are merged, nothing large is subtracted.
template <typename Finish>
Reduction<3> moments_of(tile::DType dtype, std::size_t outputs, Finish finish) {
  return {dtype,
          {kept_as(dtype), kept_as(dtype), kept_as(dtype)},
          outputs,
          [=](LineKernel& l, const Tile& at) {
            const Tile x = l.load(outputs, at);
            const Tile count = cast(min(l.high - at, static_cast<long long>(l.plan.width)), dtype);
            const Tile mean = l.sum(x) / count;
            const Tile from_mean = where(l.inside(at), x - mean, 0.0);
            return carry(mean, l.sum(from_mean * from_mean), l.line(0) + count);
          },
          [](const State3& a, const State3& b) {
            const Tile count = a[2] + b[2], delta = b[0] - a[0], share = b[2] / count;
            return carry(a[0] + delta * share, a[1] + b[1] + delta * delta * (a[2] * share), count);
          },
          finish};
}

enum class Spread { variance, deviation };
template <Spread spread>
Tile spread_of(LineKernel& l, const State3& state) {
  const Tile variance = state[1] / max(l.numbers.back() - l.numbers[0], 0.0);
  return spread == Spread::deviation ? sqrt(variance) : variance;
}

// input, dim, correction, keepdim, then out.
template <Spread spread>
void run_spread(Call& call) {
  expect_input(call);
  call.expect_same_dtype(4, 0);
  run_one(call, {1, 3, 4},
          moments_of(computed_as(call.tensor(0).dtype), 1,
                     [](LineKernel& l, const State3& state) {
                       l.store_line(0, spread_of<spread>(l, state));
                     }),
          call.key(), call.real(2));
}

template <Spread spread>
void run_spread_mean(Call& call) {
  expect_input(call);
  const Tensor& input = call.tensor(0);
  call.expect_same_dtype(4, 0);
  call.expect_same_dtype(5, 0);
  const std::uint32_t dims = reduced_dims(call, 1, input.rank);
  const Tensor out = checked_output(call, 4, input, dims, call.flag(3));
  const Tensor mean = checked_output(call, 5, input, dims, call.flag(3));
  if (call.tensor(4).elements() == 0 || run_native(call)) return;
  Lines lines(call, input.dims(), dims,
              {{out, Part::line, true}, {mean, Part::line, true}, {input}}, Lines::in_rounds);
  lines.number(call.real(2));
  reduce(call, lines, call.key(),
         moments_of(computed_as(input.dtype), 2, [](LineKernel& l, const State3& state) {
           l.store_line(0, spread_of<spread>(l, state));
           l.store_line(1, state[0]);
         }));
}

// Which norm: the few that need no powers, and the rest.
enum Order : std::uint8_t { zero, one, two, largest, smallest, other };

void run_norm(Call& call) {
  expect_input(call);
  call.expect_dtype(4, floats);
  if (call.tensor(4).dtype != call.tensor(0).dtype)
    call.refuse(4, "is of {}, and the norm of {} is of that type", dtype_name(call.tensor(4).dtype),
                dtype_name(call.tensor(0).dtype));
  const double p = call.real(1);
  const Order order = p == 0           ? zero
                      : p == 1         ? one
                      : p == 2         ? two
                      : p == infinity  ? largest
                      : p == -infinity ? smallest
                                       : other;
  const Tensor& input = call.tensor(0);
  const std::uint32_t dims = reduced_dims(call, 2, input.rank);
  checked_output(call, 4, input, dims, call.flag(3));
  if (call.tensor(4).elements() == 0) return;
  if ((std::isinf(p) || p < 0) && reduced_elements(input, dims) == 0)
    expect_elements(call, 2, dims);
  const tile::DType dtype = computed_as(input.dtype);
  const auto part = [=](LineKernel& l, const Tile& at) {
    const Tile x = abs(l.load(1, at, order == smallest ? infinity : 0.0));
    if (order == largest) return carry(l.most(x));
    if (order == smallest) return carry(expand(reduce_min(x, l.axis), l.axis));
    if (order == one) return carry(l.sum(x));
    if (order == two) return carry(l.sum(x * x));
    if (order == zero) return carry(l.sum(cast(x != 0.0, dtype)));
    return carry(l.sum(where(l.inside(at), pow(x, l.numbers[0]), 0.0)));
  };
  run_one<1>(call, {2, 3, 4},
             {dtype,
              {kept_as(dtype)},
              1,
              part,
              [=](const State1& a, const State1& b) {
                return carry(order == largest    ? max(a[0], b[0])
                             : order == smallest ? min(a[0], b[0])
                                                 : a[0] + b[0]);
              },
              [=](LineKernel& l, const State1& state) {
                l.store_line(0, order == two     ? sqrt(state[0])
                                : order == other ? pow(state[0], 1.0 / l.numbers[0])
                                                 : state[0]);
              }},
             call.key().add(order, 3), std::isfinite(p) ? p : 0);
}

// The largest, and the sum of exp(x - largest). Where it is not finite, 0 is subtracted.
void run_logsumexp(Call& call) {
  expect_input(call);
  call.expect_same_dtype(3, 0);
  const tile::DType dtype = computed_as(call.tensor(0).dtype);
  const auto base = [](const Tile& most) { return where(isinf(most), 0.0, most); };
  run_one<2>(call, {1, 2, 3},
             {dtype,
              {kept_as(dtype), kept_as(dtype)},
              1,
              [=](LineKernel& l, const Tile& at) {
                const Tile x = l.load(1, at, -infinity);
                const Tile most = l.most(x);
                return carry(most, l.sum(exp(x - base(most))));
              },
              [=](const State2& a, const State2& b) {
                const Tile most = max(a[0], b[0]);
                const auto moved = [&](const State2& s) {
                  return where(s[0] == -infinity, 0.0, s[1] * exp(base(s[0]) - base(most)));
                };
                return carry(most, moved(a) + moved(b));
              },
              [=](LineKernel& l, const State2& state) {
                l.store_line(0, log(state[1]) + base(state[0]));
              }},
             call.key());
}

}  // namespace

void add_reductions(Table& table) {
  const char* const list = "(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)";
  static std::deque<std::string> texts;
  const auto schema = [&](const char* name) {
    return texts.emplace_back(std::string(name) + list).c_str();
  };
  table.add(schema("sum"), everything, summed(4), run_sum<as_it_is>);
  table.add(schema("mean"), everything, summed(4, 2), run_mean);
  table.add(schema("prod"), everything, summed(4), run_prod);
  table.add(schema("nansum"), everything, summed(4), run_sum<without_nan>);
  table.add(schema("count_nonzero"), everything, exact, run_count_nonzero);
  table.add(schema("amax"), everything, exact, run_extreme<true>);
  table.add(schema("amin"), everything, exact, run_extreme<false>);
  table.add("max.dim(Tensor input, int dim, bool keepdim=false, Tensor! values, Tensor! indices)",
            everything, exact, run_extreme_dim<true>);
  table.add("min.dim(Tensor input, int dim, bool keepdim=false, Tensor! values, Tensor! indices)",
            everything, exact, run_extreme_dim<false>);
  table.add("argmax(Tensor input, int? dim, bool keepdim=false, Tensor! out)", everything, exact,
            run_arg<true>);
  table.add("argmin(Tensor input, int? dim, bool keepdim=false, Tensor! out)", everything, exact,
            run_arg<false>);
  table.add(schema("any"), everything, exact, run_truth<false>);
  table.add(schema("all"), everything, exact, run_truth<true>);
  table.add("equal(Tensor input, Tensor other, Tensor! out)", everything, exact, run_equal);
  table.add("var(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out)",
            floats, summed(8, 4), run_spread<Spread::variance>);
  table.add("std(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out)",
            floats, summed(8, 4), run_spread<Spread::deviation>);
  table.add(
      "var_mean(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! "
      "out, Tensor! mean)",
      floats, summed(8, 4), run_spread_mean<Spread::variance>);
  table.add(
      "std_mean(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! "
      "out, Tensor! mean)",
      floats, summed(8, 4), run_spread_mean<Spread::deviation>);
  table.add("norm(Tensor input, float p=2.0, int?[] dim, bool keepdim=false, Tensor! out)", floats,
            summed(4, 8), run_norm);
  table.add(schema("logsumexp"), floats, summed(4, 4), run_logsumexp);
}

}  // namespace flagos::ops
