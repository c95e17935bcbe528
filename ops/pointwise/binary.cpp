// Two and three inputs.
#include "ops/families.hpp"
#include "ops/pointwise/functions.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

// bool is added by or and multiplied by and.
Tile add(const Elements& a, const Tile& x, const Tile& y, const Tile& alpha) {
  return a.is_bool() ? x | (y & alpha) : x + y * alpha;
}
Tile multiply(const Elements& a, const Tile& x, const Tile& y) {
  return a.is_bool() ? x & y : x * y;
}
Tile least(const Elements& a, const Tile& x, const Tile& y) {
  return a.is_bool() ? x & y : min(x, y);
}
Tile most(const Elements& a, const Tile& x, const Tile& y) {
  return a.is_bool() ? x | y : max(x, y);
}

Tile spread(const Elements& a, const Tile& number) { return broadcast(number, a[0].shape()); }

}  // namespace

void add_binary(Table& table) {
  const auto row = [&](const char* schema, Rule rule, DTypes dtypes, Bound bound,
                       Expression expression) {
    table.add<PointwiseOperator>(schema, rule, dtypes, bound, expression);
  };
  const auto same = [&](const char* schema, DTypes dtypes, double units, Expression e) {
    row(schema, Rule::same, dtypes, ulp(units), e);
  };
  // A product is added: the terms may cancel.
  const auto sum = [&](const char* schema, DTypes dtypes, Expression e) {
    row(schema, Rule::same, dtypes, summed(1), e);
  };
  const auto test = [&](const char* schema, Expression e) {
    row(schema, Rule::compare, everything, exact, e);
  };

  sum("add(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)", everything,
      FLAGOS_OPS_XY(add(a, x, y, a.number(0))));
  sum("add.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)", everything,
      FLAGOS_OPS_X(add(a, x, spread(a, a.number(0)), a.number(1))));
  sum("sub(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)", numbers,
      FLAGOS_OPS_XY(x - y * a.number(0)));
  sum("sub.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)", numbers,
      FLAGOS_OPS_X(x - a.number(0) * a.number(1)));
  sum("rsub(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)", numbers,
      FLAGOS_OPS_XY(y - x * a.number(0)));
  sum("rsub.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)", numbers,
      FLAGOS_OPS_X(a.number(0) - x * a.number(1)));
  same("mul(Tensor input, Tensor other, Tensor! out)", everything, 0,
       FLAGOS_OPS_XY(multiply(a, x, y)));
  same("mul.Scalar(Tensor input, Scalar other, Tensor! out)", everything, 0,
       FLAGOS_OPS_X(multiply(a, x, spread(a, a.number(0)))));
  row("div(Tensor input, Tensor other, Tensor! out)", Rule::to_float, floats, ulp(1),
      FLAGOS_OPS_XY(x / y));
  row("div.Scalar(Tensor input, Scalar other, Tensor! out)", Rule::to_float, floats, ulp(1),
      FLAGOS_OPS_X(x / a.number(0)));
  same("div.Tensor_mode(Tensor input, Tensor other, str rounding_mode=trunc|floor, Tensor! out)",
       numbers, 1,
       FLAGOS_OPS_XY(a.choice(0) == 1 ? divide_floor(a, x, y)
                     : a.is_float()   ? trunc(x / y)
                                      : x / y));
  same("floor_divide(Tensor input, Tensor other, Tensor! out)", numbers, 1,
       FLAGOS_OPS_XY(divide_floor(a, x, y)));
  same("remainder(Tensor input, Tensor other, Tensor! out)", numbers, 1,
       FLAGOS_OPS_XY(floor_rem(x, y)));
  same("remainder.Scalar(Tensor input, Scalar other, Tensor! out)", numbers, 1,
       FLAGOS_OPS_X(floor_rem(x, spread(a, a.number(0)))));
  same("fmod(Tensor input, Tensor other, Tensor! out)", numbers, 0, FLAGOS_OPS_XY(x % y));
  same("pow(Tensor input, Tensor exponent, Tensor! out)", numbers, 8,
       FLAGOS_OPS_XY(power(a, x, y)));
  same("pow.Scalar(Tensor input, Scalar exponent, Tensor! out)", numbers, 8,
       FLAGOS_OPS_X(power(a, x, spread(a, a.number(0)))));
  same("maximum(Tensor input, Tensor other, Tensor! out)", everything, 0,
       FLAGOS_OPS_XY(most(a, x, y)));
  same("minimum(Tensor input, Tensor other, Tensor! out)", everything, 0,
       FLAGOS_OPS_XY(least(a, x, y)));
  same("fmax(Tensor input, Tensor other, Tensor! out)", numbers, 0,
       FLAGOS_OPS_XY(max(x, y, tile::Nan::ignore)));
  same("fmin(Tensor input, Tensor other, Tensor! out)", numbers, 0,
       FLAGOS_OPS_XY(min(x, y, tile::Nan::ignore)));
  row("atan2(Tensor input, Tensor other, Tensor! out)", Rule::to_float, floats, ulp(6),
      FLAGOS_OPS_XY(atan2(x, y)));
  row("hypot(Tensor input, Tensor other, Tensor! out)", Rule::same, floats, ulp(4),
      FLAGOS_OPS_XY(hypot(x, y)));
  row("copysign(Tensor input, Tensor other, Tensor! out)", Rule::to_float, floats, exact,
      FLAGOS_OPS_XY(copysign(a, x, y)));
  same("nextafter(Tensor input, Tensor other, Tensor! out)", DTypes(DType::f32) | DType::f64, 0,
       FLAGOS_OPS_XY(nextafter(a, x, y)));
  same("logaddexp(Tensor input, Tensor other, Tensor! out)", floats, 8,
       FLAGOS_OPS_XY(logaddexp(x, y)));
  sum("lerp(Tensor input, Tensor end, Tensor weight, Tensor! out)", floats,
      FLAGOS_OPS_XY(lerp(x, y, a[2])));
  sum("lerp.Scalar(Tensor input, Tensor end, Scalar weight, Tensor! out)", floats,
      FLAGOS_OPS_XY(lerp(x, y, spread(a, a.number(0)))));
  same("where(Tensor:bool condition, Tensor input, Tensor other, Tensor! out)", everything, 0,
       FLAGOS_OPS_XY(where(x, y, a[2])));
  same("clamp(Tensor input, Scalar? min, Scalar? max, Tensor! out)", numbers, 0,
       FLAGOS_OPS_X(a.choice(1) != 0 ? min(a.choice(0) != 0 ? max(x, a.number(0)) : x, a.number(1))
                    : a.choice(0) != 0 ? max(x, a.number(0))
                                       : x));
  same("clamp.Tensor(Tensor input, Tensor min, Tensor max, Tensor! out)", numbers, 0,
       FLAGOS_OPS_XY(min(max(x, y), a[2])));
  sum("addcmul(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value=1, Tensor! out)", numbers,
      FLAGOS_OPS_XY(x + a.number(0) * (y * a[2])));
  sum("addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value=1, Tensor! out)", floats,
      FLAGOS_OPS_XY(x + a.number(0) * (y / a[2])));
  test("eq(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x == y));
  test("ne(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x != y));
  test("lt(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x < y));
  test("le(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x <= y));
  test("gt(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x > y));
  test("ge(Tensor input, Tensor other, Tensor! out)", FLAGOS_OPS_XY(x >= y));
  test("eq.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x == a.number(0)));
  test("ne.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x != a.number(0)));
  test("lt.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x < a.number(0)));
  test("le.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x <= a.number(0)));
  test("gt.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x > a.number(0)));
  test("ge.Scalar(Tensor input, Scalar other, Tensor! out)", FLAGOS_OPS_X(x >= a.number(0)));
  row("isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=0, "
      "Tensor! out)",
      Rule::compare, floats, exact, FLAGOS_OPS_XY(is_close(a, x, y)));
  row("logical_and(Tensor input, Tensor other, Tensor! out)", Rule::logical, everything, exact,
      FLAGOS_OPS_XY(x & y));
  row("logical_or(Tensor input, Tensor other, Tensor! out)", Rule::logical, everything, exact,
      FLAGOS_OPS_XY(x | y));
  row("logical_xor(Tensor input, Tensor other, Tensor! out)", Rule::logical, everything, exact,
      FLAGOS_OPS_XY(x ^ y));
  same("bitwise_and(Tensor input, Tensor other, Tensor! out)", integers | DType::boolean, 0,
       FLAGOS_OPS_XY(x & y));
  same("bitwise_or(Tensor input, Tensor other, Tensor! out)", integers | DType::boolean, 0,
       FLAGOS_OPS_XY(x | y));
  same("bitwise_xor(Tensor input, Tensor other, Tensor! out)", integers | DType::boolean, 0,
       FLAGOS_OPS_XY(x ^ y));
  same("left_shift(Tensor input, Tensor other, Tensor! out)", integers, 0, FLAGOS_OPS_XY(x << y));
  same("right_shift(Tensor input, Tensor other, Tensor! out)", integers, 0, FLAGOS_OPS_XY(x >> y));
  same("gcd(Tensor input, Tensor other, Tensor! out)", integers, 0, FLAGOS_OPS_XY(gcd(a, x, y)));
  same("lcm(Tensor input, Tensor other, Tensor! out)", integers, 0,
       FLAGOS_OPS_XY(where((x == 0) | (y == 0), a.full(0), x / gcd(a, x, y) * y)));
  same("heaviside(Tensor input, Tensor values, Tensor! out)", numbers, 0,
       FLAGOS_OPS_XY(where(
           x == a.full(0), y,
           where(x > a.full(0), a.full(1), a.is_float() ? where(isnan(x), x, 0.0) : a.full(0)))));
  same("xlogy(Tensor input, Tensor other, Tensor! out)", floats, 8,
       FLAGOS_OPS_XY(where((x == 0.0) & (y == y), 0.0, x * log(y))));
}

}  // namespace flagos::ops
