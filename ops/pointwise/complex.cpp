// What pointwise operators compute of complex numbers, from their parts. Nothing in between is larger than it must be: squares
// of parts are taken only of what is below 1.
#include "ops/engine/complex.hpp"

#include <numbers>

#include "ops/pointwise/functions.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

Complex plus(const Complex& x, const Complex& y) { return {x.re + y.re, x.im + y.im}; }
Complex minus(const Complex& x, const Complex& y) { return {x.re - y.re, x.im - y.im}; }
Complex times(const Complex& x, const Complex& y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

Complex scaled(const Complex& x, double by) { return {x.re * by, x.im * by}; }
Complex scaled(const Complex& x, const ComplexNumber& by) {
  return by.is_real ? Complex{x.re * by.value.re, x.im * by.value.re} : times(x, by.value);
}
ComplexNumber product(const ComplexNumber& x, const ComplexNumber& y) {
  if (y.is_real) return {scaled(x.value, y), x.is_real};
  return {scaled(y.value, x), false};
}
Complex with(const Complex& x, const ComplexNumber& number) {
  return {x.re + number.value.re, number.is_real ? x.im : x.im + number.value.im};
}
Complex negative(const Complex& x) { return {-x.re, -x.im}; }
Complex turned(const Complex& x) { return {-x.im, x.re}; }       // i x
Complex turned_back(const Complex& x) { return {x.im, -x.re}; }  // -i x

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
Complex tangent(const Complex& x) { return turned_back(hyperbolic_tangent(turned(x))); }

Complex direction(const Complex& x) {
  const Tile length = hypot(x.re, x.im), zero = length == 0.0;
  return {where(zero, 0.0, x.re / length), where(zero, 0.0, x.im / length)};
}

// e^x - 1 without losing what is small: cos y - 1 is -2 sin^2(y/2).
Complex exponential_less_one(const Complex& x) {
  const Tile half = sin(0.5 * x.im);
  return {expm1(x.re) * cos(x.im) - 2.0 * half * half, exp(x.re) * sin(x.im)};
}
Complex power_of_two(const Complex& x) {
  const Tile length = exp2(x.re), angle = x.im * std::numbers::ln2;
  return {length * cos(angle), length * sin(angle)};
}
// Beside 0 the logarithm of the length of 1 + x is that of what its square is away from 1.
Complex logarithm_of_one_more(const Complex& x) {
  const Complex far = logarithm({1.0 + x.re, x.im});
  const Tile near = (abs(x.re) < 0.5) & (abs(x.im) < 0.5);
  return {where(near, 0.5 * log1p(x.re * (2.0 + x.re) + x.im * x.im), far.re), far.im};
}

// Of a real number, odd, with its digits beside 0.
Tile area_sine(const Tile& x) {
  const Tile t = abs(x), square = where(t > 1e8, 0.0, t * t);
  const Tile small = log1p(t + square / (1.0 + sqrt(square + 1.0)));
  const Tile out = where(t > 1e8, log(t) + std::numbers::ln2, small);
  return where(x < 0.0, -out, where(x == 0.0, x, out));
}

// The inverse functions after Kahan: of the roots of 1 - x and 1 + x only products are taken whose terms have one sign.
Complex arc_sine(const Complex& x) {
  const Complex p = root({1.0 - x.re, -x.im}), q = root({1.0 + x.re, x.im});
  return {atan2(x.re, p.re * q.re - p.im * q.im), area_sine(p.re * q.im - p.im * q.re)};
}
Complex arc_cosine(const Complex& x) {
  const Complex p = root({1.0 - x.re, -x.im}), q = root({1.0 + x.re, x.im});
  return {2.0 * atan2(p.re, q.re), area_sine(q.re * p.im - q.im * p.re)};
}
Complex area_cosine(const Complex& x) {
  const Complex p = root({x.re - 1.0, x.im}), q = root({x.re + 1.0, x.im});
  return {area_sine(p.re * q.re + p.im * q.im), 2.0 * atan2(p.im, q.re)};
}
Complex area_tangent(const Complex& x) {
  const Tile a = abs(x.re), away = 1.0 - a;
  const Tile re = 0.25 * log1p(4.0 * a / (away * away + x.im * x.im));
  const Tile im = 0.5 * atan2(2.0 * x.im, away * (1.0 + a) - x.im * x.im);
  return {where(x.re < 0.0, -re, re), im};
}

// 0 to any power with a positive real part is 0, and to 0 it is 1.
Complex power(const Complex& x, const Complex& y, const Complex& exponent) {
  const Complex found = exponential(exponent);
  const Tile of_zero = (x.re == 0.0) & (x.im == 0.0), to_zero = (y.re == 0.0) & (y.im == 0.0);
  const Tile vanishes = of_zero & (y.re > 0.0);
  return {where(to_zero, 1.0, where(vanishes, 0.0, found.re)),
          where(to_zero | vanishes, 0.0, found.im)};
}

// From the end that is nearer, as ATen.
Complex between(const Complex& x, const Complex& y, const Complex& weight) {
  const Complex step = minus(y, x), from_x = plus(x, times(weight, step));
  const Complex from_y = minus(y, times(step, {1.0 - weight.re, -weight.im}));
  const Tile near = weight.re * weight.re + weight.im * weight.im < 0.25;
  return {where(near, from_x.re, from_y.re), where(near, from_x.im, from_y.im)};
}

Complex real(const Tile& x) { return {x, x}; }
Tile equal(const Complex& x, const Complex& y) { return (x.re == y.re) & (x.im == y.im); }
Tile equal(const Complex& x, const ComplexNumber& y) { return equal(x, y.value); }
Tile holds(const Complex& x) { return (x.re != 0.0) | (x.im != 0.0); }

}  // namespace

const std::vector<ComplexOperator>& complex_operators() {
  using C = const ComplexElements&;
  constexpr auto complex = ComplexOperator::complex;
  constexpr auto truth = ComplexOperator::truth;
  static const std::vector<ComplexOperator> all{
      {"abs", ComplexOperator::real, 4, [](C a) { return real(hypot(a[0].re, a[0].im)); }},
      {"angle", ComplexOperator::real, 5, [](C a) { return real(atan2(a[0].im, a[0].re)); }},
      {"real", ComplexOperator::real, 0, [](C a) { return real(a[0].re); }},
      {"imag", ComplexOperator::real, 0, [](C a) { return real(a[0].im); }},
      {"conj", complex, 0,
       [](C a) {
         return Complex{a[0].re, -a[0].im};
       }},
      {"neg", complex, 0, [](C a) { return negative(a[0]); }},
      {"sgn", complex, 4, [](C a) { return direction(a[0]); }},
      {"square", complex, 4, [](C a) { return times(a[0], a[0]); }},
      {"sqrt", complex, 6, [](C a) { return root(a[0]); }},
      {"rsqrt", complex, 10, [](C a) { return inverse(root(a[0])); }},
      {"reciprocal", complex, 6, [](C a) { return inverse(a[0]); }},
      {"exp", complex, 8, [](C a) { return exponential(a[0]); }},
      {"exp2", complex, 8, [](C a) { return power_of_two(a[0]); }},
      {"expm1", complex, 16, [](C a) { return exponential_less_one(a[0]); }},
      {"log", complex, 8, [](C a) { return logarithm(a[0]); }},
      {"log2", complex, 10, [](C a) { return scaled(logarithm(a[0]), std::numbers::log2e); }},
      {"log10", complex, 10, [](C a) { return scaled(logarithm(a[0]), std::numbers::log10e); }},
      {"log1p", complex, 10, [](C a) { return logarithm_of_one_more(a[0]); }},
      {"sin", complex, 8, [](C a) { return sine(a[0]); }},
      {"cos", complex, 8, [](C a) { return cosine(a[0]); }},
      {"tan", complex, 16, [](C a) { return tangent(a[0]); }},
      {"sinh", complex, 8, [](C a) { return hyperbolic_sine(a[0]); }},
      {"cosh", complex, 8, [](C a) { return hyperbolic_cosine(a[0]); }},
      {"tanh", complex, 16, [](C a) { return hyperbolic_tangent(a[0]); }},
      {"asin", complex, 24, [](C a) { return arc_sine(a[0]); }},
      {"acos", complex, 24, [](C a) { return arc_cosine(a[0]); }},
      {"atan", complex, 24, [](C a) { return turned_back(area_tangent(turned(a[0]))); }},
      {"asinh", complex, 24, [](C a) { return turned_back(arc_sine(turned(a[0]))); }},
      {"acosh", complex, 24, [](C a) { return area_cosine(a[0]); }},
      {"atanh", complex, 24, [](C a) { return area_tangent(a[0]); }},
      {"logical_not", truth, 0, [](C a) { return real(!holds(a[0])); }},
      {"isnan", truth, 0, [](C a) { return real(isnan(a[0].re) | isnan(a[0].im)); }},
      {"isinf", truth, 0, [](C a) { return real(isinf(a[0].re) | isinf(a[0].im)); }},
      {"isfinite", truth, 0,
       [](C a) {
         return real(!(isnan(a[0].re) | isnan(a[0].im) | isinf(a[0].re) | isinf(a[0].im)));
       }},
      {"add", complex, 6, [](C a) { return plus(a[0], scaled(a[1], a.number(0))); }},
      {"add.Scalar", complex, 6, [](C a) { return with(a[0], product(a.number(0), a.number(1))); }},
      {"sub", complex, 6, [](C a) { return minus(a[0], scaled(a[1], a.number(0))); }},
      {"sub.Scalar", complex, 6,
       [](C a) {
         const ComplexNumber other = product(a.number(0), a.number(1));
         return with(a[0], {negative(other.value), other.is_real});
       }},
      {"rsub", complex, 6, [](C a) { return minus(a[1], scaled(a[0], a.number(0))); }},
      {"rsub.Scalar", complex, 6,
       [](C a) { return with(negative(scaled(a[0], a.number(1))), a.number(0)); }},
      {"mul", complex, 4, [](C a) { return times(a[0], a[1]); }},
      {"mul.Scalar", complex, 4, [](C a) { return scaled(a[0], a.number(0)); }},
      {"div", complex, 6, [](C a) { return over(a[0], a[1]); }},
      {"div.Scalar", complex, 6,
       [](C a) {
         const ComplexNumber& by = a.number(0);
         return by.is_real ? Complex{a[0].re / by.value.re, a[0].im / by.value.re}
                           : over(a[0], by.value);
       }},
      {"pow", complex, 16, [](C a) { return power(a[0], a[1], times(a[1], logarithm(a[0]))); },
       ", times 1 + |exponent log(input)|"},
      {"pow.Scalar", complex, 16,
       [](C a) { return power(a[0], a.number(0).value, scaled(logarithm(a[0]), a.number(0))); },
       ", times 1 + |exponent log(input)|"},
      {"lerp", complex, 12, [](C a) { return between(a[0], a[1], a[2]); }},
      {"lerp.Scalar", complex, 12, [](C a) { return between(a[0], a[1], a.number(0).value); }},
      {"logical_and", truth, 0, [](C a) { return real(holds(a[0]) & holds(a[1])); }},
      {"logical_or", truth, 0, [](C a) { return real(holds(a[0]) | holds(a[1])); }},
      {"logical_xor", truth, 0, [](C a) { return real(holds(a[0]) ^ holds(a[1])); }},
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
