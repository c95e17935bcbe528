// What pointwise operators compute of complex numbers, from their parts. Nothing in between is larger than it must be: squares
// of parts are taken only of what is below 1.
#include "ops/engine/complex.hpp"
#include "ops/pointwise/functions.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

Complex plus(const Complex& x, const Complex& y) { return {x.re + y.re, x.im + y.im}; }
Complex minus(const Complex& x, const Complex& y) { return {x.re - y.re, x.im - y.im}; }
Complex scaled(const Complex& x, const Tile& by) { return {x.re * by, x.im * by}; }
Complex times(const Complex& x, const Complex& y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

// By the larger part of y; what is divided by 0 is infinite, or NaN.
Complex over(const Complex& x, const Complex& y) {
  const Tile a = abs(y.re), b = abs(y.im), by_re = a >= b;
  const Tile ratio = where(by_re, y.im / y.re, y.re / y.im);
  const Tile part = where(by_re, y.re + y.im * ratio, y.re * ratio + y.im);
  const Tile zero = (a == 0.0) & (b == 0.0);
  const Tile re = where(by_re, x.re + x.im * ratio, x.re * ratio + x.im) / part;
  const Tile im = where(by_re, x.im - x.re * ratio, x.im * ratio - x.re) / part;
  return {where(zero, x.re / a, re), where(zero, x.im / a, im)};
}

// As over(), of 1.
Complex inverse(const Complex& y) {
  const Tile a = abs(y.re), b = abs(y.im), by_re = a >= b;
  const Tile ratio = where(by_re, y.im / y.re, y.re / y.im);
  const Tile part = where(by_re, y.re + y.im * ratio, y.re * ratio + y.im);
  const Tile zero = (a == 0.0) & (b == 0.0);
  return {where(zero, 1.0 / a, where(by_re, 1.0 / part, ratio / part)),
          where(zero, 0.0 / a, where(by_re, -ratio / part, -1.0 / part))};
}

Complex exponential(const Complex& x) {
  const Tile length = exp(x.re);
  return {where(x.im == 0.0, length, length * cos(x.im)),
          where(x.im == 0.0, x.im, length * sin(x.im))};
}

// Beside a length of 1 the logarithm is that of what the length is away from it.
Complex logarithm(const Complex& x) {
  const Tile a = abs(x.re), b = abs(x.im), high = max(a, b), low = min(a, b);
  const Tile ratio = low / high;
  const Tile near = 0.5 * log1p((high - 1.0) * (high + 1.0) + low * low);
  const Tile far = log(high) + 0.5 * log1p(where(isinf(high) | (high == 0.0), 0.0, ratio * ratio));
  return {where((high > 0.5) & (high < 2.0), near, far), atan2(x.im, x.re)};
}

Complex root(const Complex& x) {
  const Tile a = abs(x.re), half = 0.5 * a + 0.5 * hypot(x.re, x.im), t = sqrt(half);
  const Tile other = 0.5 * (abs(x.im) / t), zero = t == 0.0, right = x.re >= 0.0;
  const Tile re = where(right, t, other), im = where(right, other, t);
  const Tile below = (x.im < 0.0) | ((x.im == 0.0) & (1.0 / x.im < 0.0));
  return {where(zero, 0.0, re), where(zero, x.im, where(below, -im, im))};
}

Complex sine(const Complex& x) { return {sin(x.re) * cosh(x.im), cos(x.re) * sinh(x.im)}; }
Complex cosine(const Complex& x) { return {cos(x.re) * cosh(x.im), -(sin(x.re) * sinh(x.im))}; }
Complex hyperbolic_sine(const Complex& x) {
  return {sinh(x.re) * cos(x.im), cosh(x.re) * sin(x.im)};
}
Complex hyperbolic_cosine(const Complex& x) {
  return {cosh(x.re) * cos(x.im), sinh(x.re) * sin(x.im)};
}
// After Kahan: a part of 11 or more leaves 1 and what is left of the other.
Complex hyperbolic_tangent(const Complex& x) {
  const Tile t = tan(x.im), beta = 1.0 + t * t, far = abs(x.re) > 11.0;
  const Tile s = sinh(where(far, 0.0, x.re)), rho = sqrt(1.0 + s * s), under = 1.0 + beta * s * s;
  const Tile rest = 4.0 * (sin(x.im) * cos(x.im)) * exp(-2.0 * abs(x.re));
  return {where(far, where(x.re < 0.0, -1.0, x.re * 0.0 + 1.0), beta * rho * s / under),
          where(far, rest, t / under)};
}
Complex tangent(const Complex& x) {
  const Complex turned = hyperbolic_tangent({-x.im, x.re});
  return {turned.im, -turned.re};
}

Complex direction(const Complex& x) {
  const Tile length = hypot(x.re, x.im), zero = length == 0.0;
  return {where(zero, 0.0, x.re / length), where(zero, 0.0, x.im / length)};
}

Complex real(const Tile& x) { return {x, x}; }
Tile equal(const Complex& x, const Complex& y) { return (x.re == y.re) & (x.im == y.im); }
Tile equal(const Complex& x, const Tile& y) { return (x.re == y) & (x.im == 0.0); }
Complex with(const Complex& x, const Tile& number) { return {x.re + number, x.im}; }

}  // namespace

const std::vector<ComplexOperator>& complex_operators() {
  using C = const ComplexElements&;
  constexpr auto complex = ComplexOperator::complex;
  constexpr auto truth = ComplexOperator::truth;
  static const std::vector<ComplexOperator> all{
      {"abs", ComplexOperator::real, 4, [](C a) { return real(hypot(a[0].re, a[0].im)); }},
      {"neg", complex, 0,
       [](C a) {
         return Complex{-a[0].re, -a[0].im};
       }},
      {"sgn", complex, 4, [](C a) { return direction(a[0]); }},
      {"square", complex, 4, [](C a) { return times(a[0], a[0]); }},
      {"sqrt", complex, 6, [](C a) { return root(a[0]); }},
      {"reciprocal", complex, 6, [](C a) { return inverse(a[0]); }},
      {"exp", complex, 8, [](C a) { return exponential(a[0]); }},
      {"log", complex, 8, [](C a) { return logarithm(a[0]); }},
      {"sin", complex, 8, [](C a) { return sine(a[0]); }},
      {"cos", complex, 8, [](C a) { return cosine(a[0]); }},
      {"tan", complex, 16, [](C a) { return tangent(a[0]); }},
      {"sinh", complex, 8, [](C a) { return hyperbolic_sine(a[0]); }},
      {"cosh", complex, 8, [](C a) { return hyperbolic_cosine(a[0]); }},
      {"tanh", complex, 16, [](C a) { return hyperbolic_tangent(a[0]); }},
      {"isnan", truth, 0, [](C a) { return real(isnan(a[0].re) | isnan(a[0].im)); }},
      {"isinf", truth, 0, [](C a) { return real(isinf(a[0].re) | isinf(a[0].im)); }},
      {"isfinite", truth, 0,
       [](C a) {
         return real(!(isnan(a[0].re) | isnan(a[0].im) | isinf(a[0].re) | isinf(a[0].im)));
       }},
      {"add", complex, 1, [](C a) { return plus(a[0], scaled(a[1], a.number(0))); }},
      {"add.Scalar", complex, 1, [](C a) { return with(a[0], a.number(0) * a.number(1)); }},
      {"sub", complex, 1, [](C a) { return minus(a[0], scaled(a[1], a.number(0))); }},
      {"sub.Scalar", complex, 1, [](C a) { return with(a[0], -(a.number(0) * a.number(1))); }},
      {"rsub", complex, 1, [](C a) { return minus(a[1], scaled(a[0], a.number(0))); }},
      {"rsub.Scalar", complex, 1,
       [](C a) {
         const Complex other = scaled(a[0], a.number(1));
         return Complex{a.number(0) - other.re, -other.im};
       }},
      {"mul", complex, 4, [](C a) { return times(a[0], a[1]); }},
      {"mul.Scalar", complex, 1, [](C a) { return scaled(a[0], a.number(0)); }},
      {"div", complex, 6, [](C a) { return over(a[0], a[1]); }},
      {"div.Scalar", complex, 1,
       [](C a) {
         return Complex{a[0].re / a.number(0), a[0].im / a.number(0)};
       }},
      {"where", complex, 0,
       [](C a) {
         return Complex{where(a[0].re, a[1].re, a[2].re), where(a[0].re, a[1].im, a[2].im)};
       }},
      {"addcmul", complex, 6,
       [](C a) { return plus(a[0], scaled(times(a[1], a[2]), a.number(0))); }},
      {"addcdiv", complex, 8,
       [](C a) { return plus(a[0], scaled(over(a[1], a[2]), a.number(0))); }},
      {"eq", truth, 0, [](C a) { return real(equal(a[0], a[1])); }},
      {"ne", truth, 0, [](C a) { return real(!equal(a[0], a[1])); }},
      {"eq.Scalar", truth, 0, [](C a) { return real(equal(a[0], a.number(0))); }},
      {"ne.Scalar", truth, 0, [](C a) { return real(!equal(a[0], a.number(0))); }},
  };
  return all;
}

}  // namespace flagos::ops
