// One input: a function of each element.
#include <numbers>

#include "ops/families.hpp"
#include "ops/pointwise/functions.hpp"
#include "ops/pointwise/special.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr double kPi = std::numbers::pi;

}  // namespace

void add_unary(Table& table) {
  const auto row = [&](const char* schema, Rule rule, DTypes dtypes, Bound bound,
                       Expression expression) {
    table.add<PointwiseOperator>(schema, rule, dtypes, bound, expression);
  };
  const auto same = [&](const char* schema, DTypes dtypes, Expression e) {
    row(schema, Rule::same, dtypes, exact, e);
  };
  const auto function = [&](const char* schema, double units, Expression e) {
    row(schema, Rule::to_float, floats, ulp(units), e);
  };
  const auto test = [&](const char* schema, DTypes dtypes, Expression e) {
    row(schema, Rule::compare, dtypes, exact, e);
  };

  same("abs(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(abs(x)));
  same("neg(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(-x));
  same("sign(Tensor input, Tensor! out)", everything, FLAGOS_OPS_X(sign(a, x)));
  same("sgn(Tensor input, Tensor! out)", everything, FLAGOS_OPS_X(sign(a, x)));
  // Of complex numbers; those of real ones are what is left.
  same("conj(Tensor input, Tensor! out)", everything, FLAGOS_OPS_X(x));
  same("real(Tensor input, Tensor! out)", everything, FLAGOS_OPS_X(x));
  same("imag(Tensor input, Tensor! out)", DType::c64, FLAGOS_OPS_X(x));
  row("angle(Tensor input, Tensor! out)", Rule::to_float, floats, ulp(1),
      FLAGOS_OPS_X(where(x < 0.0, kPi, where(isnan(x), x, 0.0))));
  same("square(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(x * x));
  function("sqrt(Tensor input, Tensor! out)", 1, FLAGOS_OPS_X(sqrt(x)));
  function("rsqrt(Tensor input, Tensor! out)", 2, FLAGOS_OPS_X(rsqrt(x)));
  function("reciprocal(Tensor input, Tensor! out)", 1, FLAGOS_OPS_X(1.0 / x));
  function("exp(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(exp(x)));
  function("exp2(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(exp2(x)));
  function("expm1(Tensor input, Tensor! out)", 6, FLAGOS_OPS_X(expm1(x)));
  function("log(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(log(x)));
  function("log2(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(log2(x)));
  function("log10(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(log10(x)));
  function("log1p(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(log1p(x)));
  function("sin(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(sin(x)));
  function("cos(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(cos(x)));
  function("tan(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(tan(x)));
  function("asin(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(asin(x)));
  function("acos(Tensor input, Tensor! out)", 4, FLAGOS_OPS_X(acos(x)));
  function("atan(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(atan(x)));
  function("sinh(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(sinh(x)));
  function("cosh(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(cosh(x)));
  function("tanh(Tensor input, Tensor! out)", 5, FLAGOS_OPS_X(tanh(x)));
  function("asinh(Tensor input, Tensor! out)", 6, FLAGOS_OPS_X(asinh(a, x)));
  function("acosh(Tensor input, Tensor! out)", 6, FLAGOS_OPS_X(acosh(x)));
  function("atanh(Tensor input, Tensor! out)", 6, FLAGOS_OPS_X(atanh(a, x)));
  function("erf(Tensor input, Tensor! out)", 16, FLAGOS_OPS_X(erf(x)));
  function("erfc(Tensor input, Tensor! out)", 16, FLAGOS_OPS_X(erfc(a, x)));
  function("erfinv(Tensor input, Tensor! out)", 16, FLAGOS_OPS_X(erfinv(a, x)));
  // Both have zeros, beside which the bound is of what is added there.
  row("lgamma(Tensor input, Tensor! out)", Rule::to_float, floats, summed(32, 16),
      FLAGOS_OPS_X(lgamma(a, x)));
  row("digamma(Tensor input, Tensor! out)", Rule::to_float, floats, summed(32, 16),
      FLAGOS_OPS_X(digamma(a, x)));
  same("ceil(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(a.is_float() ? ceil(x) : x));
  same("floor(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(a.is_float() ? floor(x) : x));
  same("round(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(a.is_float() ? rint(x) : x));
  same("trunc(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(a.is_float() ? trunc(x) : x));
  same("frac(Tensor input, Tensor! out)", floats, FLAGOS_OPS_X(x - trunc(x)));
  test("isnan(Tensor input, Tensor! out)", everything,
       FLAGOS_OPS_X(a.is_float() ? isnan(x) : x != x));
  test("isinf(Tensor input, Tensor! out)", everything,
       FLAGOS_OPS_X(a.is_float() ? isinf(x) : x != x));
  test("isfinite(Tensor input, Tensor! out)", everything,
       FLAGOS_OPS_X(a.is_float() ? !(isnan(x) | isinf(x)) : x == x));
  row("logical_not(Tensor input, Tensor! out)", Rule::logical, everything, exact, FLAGOS_OPS_X(!x));
  same("bitwise_not(Tensor input, Tensor! out)", integers | DType::boolean, FLAGOS_OPS_X(~x));
  test("signbit(Tensor input, Tensor! out)", everything, FLAGOS_OPS_X(signbit(a, x)));
  same("nan_to_num(Tensor input, float? nan, float? posinf, float? neginf, Tensor! out)", numbers,
       FLAGOS_OPS_X(nan_to_num(a, x)));
}

}  // namespace flagos::ops
