#include "ops/pointwise/functions.hpp"

#include <cmath>
#include <limits>

namespace flagos::ops {

using tile::Operand;
using tile::Tile;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLn2 = 0.693147180559945309417;

// The integer type of the same size as the floating-point one.
tile::DType bits_of(tile::DType dtype) {
  return dtype == tile::DType::f64 ? tile::DType::i64 : tile::DType::i32;
}
long long sign_bit(tile::DType dtype) {
  return dtype == tile::DType::f64 ? std::numeric_limits<long long>::min()
                                   : std::numeric_limits<int>::min();
}
bool is_unsigned(tile::DType dtype) {
  return dtype == tile::DType::u8 || dtype == tile::DType::u16 || dtype == tile::DType::u32 ||
         dtype == tile::DType::u64;
}

}  // namespace

Tile sign(const Elements& a, const Tile& x) {
  if (a.is_bool()) return x;
  if (!a.is_float()) return cast(x > 0, a.dtype) - cast(x < 0, a.dtype);
  return where(x > 0.0, a.full(1), where(x < 0.0, a.full(-1), where(isnan(x), x, 0.0)));
}

Tile signbit(const Elements& a, const Tile& x) {
  if (a.is_float()) return bitcast(x, bits_of(a.dtype)) < 0;
  return is_unsigned(a.dtype) ? x != x : x < 0;
}

Tile copysign(const Elements& a, const Tile& x, const Tile& of) {
  const tile::DType bits = bits_of(a.dtype);
  const long long mask = sign_bit(a.dtype);
  return bitcast((bitcast(x, bits) & ~mask) | (bitcast(of, bits) & mask), a.dtype);
}

Tile log10(const Tile& x) { return log2(x) * 0.301029995663981195214; }

Tile asinh(const Elements& a, const Tile& x) {
  // log1p(t + t^2 / (1 + sqrt(t^2 + 1))) keeps its digits at small t; for large ones the square would overflow.
  const Tile t = abs(x);
  const Tile square = t * t;
  const Tile small = log1p(t + square / (1.0 + sqrt(square + 1.0)));
  return copysign(a, where(t > 1e8, log(t) + kLn2, small), x);
}

Tile acosh(const Tile& x) {
  const Tile t = x - 1.0;
  return where(x > 1e8, log(x) + kLn2, log1p(t + sqrt(2.0 * t + t * t)));
}

Tile atanh(const Elements& a, const Tile& x) {
  const Tile t = abs(x);
  return copysign(a, 0.5 * log1p(2.0 * t / (1.0 - t)), x);
}

Tile nan_to_num(const Elements& a, const Tile& x) {
  if (!a.is_float()) return x;
  constexpr double half = 65504;
  const double largest = a.type == DType::f16    ? half
                         : a.type == DType::bf16 ? 3.38953138925153547590e38
                         : a.type == DType::f64
                             ? std::numeric_limits<double>::max()
                             : static_cast<double>(std::numeric_limits<float>::max());
  const auto or_else = [&](std::size_t i, double value) {
    return a.choice(i) != 0 ? a.full(0) + a.number(i) : a.full(value);
  };
  return where(
      isnan(x), or_else(0, 0),
      where(x == kInfinity, or_else(1, largest), where(x == -kInfinity, or_else(2, -largest), x)));
}

Tile sigmoid(const Tile& x) { return 1.0 / (1.0 + exp(-x)); }
Tile silu(const Tile& x) { return x / (1.0 + exp(-x)); }

Tile softplus(const Tile& x, const Operand& beta, const Operand& threshold) {
  const Tile scaled = x * beta;
  return where(scaled > threshold, x, log1p(exp(min(scaled, threshold))) / beta);
}

Tile gelu(const Tile& x, bool by_tanh) {
  if (by_tanh)
    return 0.5 * x * (1.0 + tanh(0.797884560802865355880 * (x + 0.044715 * (x * x * x))));
  return 0.5 * x * (1.0 + erf(x * 0.707106781186547524401));
}

Tile log_sigmoid(const Tile& x) { return min(x, 0.0) - log1p(exp(-abs(x))); }

Tile divide_floor(const Elements& a, const Tile& x, const Tile& y) {
  if (!a.is_float()) return floor_div(x, y);
  // As Python: the quotient that goes with the floored remainder, which the rounded x / y may miss by one.
  const Tile quotient = x / y;
  const Tile rest = x - trunc(quotient) * y;
  const Tile cut = (x - rest) / y;
  const Tile lower = where((rest != 0.0) & ((rest < 0.0) != (y < 0.0)), cut - 1.0, cut);
  const Tile nearest = floor(lower);
  const Tile whole = where(lower - nearest > 0.5, nearest + 1.0, nearest);
  return where((y == 0.0) | isinf(x) | isinf(y) | isnan(quotient), floor(quotient), whole);
}

Tile power(const Elements& a, const Tile& x, const Tile& y) {
  if (a.is_float()) return pow(x, y);
  // By squaring; a negative exponent gives the truncated quotient.
  const int bits = a.dtype == tile::DType::i64   ? 63
                   : a.dtype == tile::DType::i32 ? 31
                   : a.dtype == tile::DType::i16 ? 15
                   : a.dtype == tile::DType::u8  ? 8
                                                 : 7;
  Tile result = a.full(1), base = x;
  for (int bit = 0; bit < std::min(bits, 63); ++bit) {
    result = where((y & (1LL << bit)) != 0, result * base, result);
    if (bit + 1 < bits) base = base * base;
  }
  if (is_unsigned(a.dtype)) return result;
  const Tile odd = (y & 1) != 0;
  const Tile inverse =
      where(x == 1, a.full(1), where(x == -1, where(odd, a.full(-1), a.full(1)), 0));
  return where(y < 0, inverse, result);
}

Tile hypot(const Tile& x, const Tile& y) {
  const Tile u = abs(x), v = abs(y);
  const Tile high = max(u, v), low = min(u, v);
  const Tile ratio = low / high;
  const Tile length = where(high == 0.0, high, high * sqrt(1.0 + ratio * ratio));
  return where(isinf(x) | isinf(y), kInfinity, length);
}

Tile nextafter(const Elements& a, const Tile& x, const Tile& y) {
  const tile::DType bits = bits_of(a.dtype);
  const Tile whole = bitcast(x, bits);
  const Tile away = (x < y) == (x > 0.0);
  const Tile stepped = bitcast(whole + where(away, whole - whole + 1, whole - whole - 1), a.dtype);
  const Tile smallest = bitcast((bitcast(y, bits) & sign_bit(a.dtype)) | 1, a.dtype);
  return where(isnan(x) | isnan(y), x + y, where(x == y, y, where(x == 0.0, smallest, stepped)));
}

Tile logaddexp(const Tile& x, const Tile& y) {
  const Tile high = max(x, y), low = min(x, y);
  return where((high == low) & isinf(high), high, high + log1p(exp(low - high)));
}

Tile is_close(const Elements& a, const Tile& x, const Tile& y) {
  // Numbers: rtol, atol; choice: equal_nan.
  if (!a.is_float()) {
    const auto f64 = tile::DType::f32;
    const Tile u = cast(x, f64), v = cast(y, f64);
    return (x == y) | (abs(u - v) <= cast(a.number(1), f64) + cast(a.number(0), f64) * abs(v));
  }
  const Tile finite = !(isinf(x) | isinf(y));
  const Tile near = finite & (abs(x - y) <= a.number(1) + a.number(0) * abs(y));
  const Tile close = (x == y) | near;
  return a.choice(0) != 0 ? close | (isnan(x) & isnan(y)) : close;
}

Tile gcd(const Elements& a, const Tile& x, const Tile& y) {
  const auto magnitude = [&](const Tile& t) { return is_unsigned(a.dtype) ? t : abs(t); };
  const auto more = [&](const Tile&, const Tile& low) {
    return any(low != 0, a.inputs[0].shape().size() == 2 ? 1 : 0);
  };
  const auto test = [&](const Tile& high, const Tile& low) {
    Tile left = more(high, low);
    if (left.type().is_tile()) left = any(left, 0);
    return left;
  };
  const auto step = [&](const Tile& high, const Tile& low) {
    return tile::carry(where(low != 0, low, high), where(low != 0, high % low, low));
  };
  return a.k.loop_while(tile::carry(magnitude(x), magnitude(y)), test, step)[0];
}

Tile lerp(const Tile& x, const Tile& y, const Tile& weight) {
  return where(abs(weight) < 0.5, x + weight * (y - x), y - (y - x) * (1.0 - weight));
}

}  // namespace flagos::ops
