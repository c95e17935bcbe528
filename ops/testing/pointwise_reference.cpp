#include "ops/testing/pointwise_reference.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace flagos::ops::testing {
namespace {

using N = Number;
constexpr N pi = std::numbers::pi_v<N>;

N sign(N x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
N clamp(N x, N low, N high) { return std::isnan(x) ? x : std::min(std::max(x, low), high); }
N softplus(N x, N beta, N threshold) {
  return x * beta > threshold ? x : std::log1p(std::exp(x * beta)) / beta;
}
N gelu(N x) { return x / 2 * std::erfc(-x / std::sqrt(2.0L)); }
N gelu_tanh(N x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715L * x * x * x)));
}
N silu(N x) { return x / (1 + std::exp(-x)); }
N floor_div(N x, N y) { return std::floor(x / y); }
N floor_mod(N x, N y) {
  const N rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
std::int64_t whole(N x) { return static_cast<std::int64_t>(x); }

// Between two numbers, which close in on it.
N erfinv(N x) {
  if (std::fabs(x) == 1) return x * std::numeric_limits<N>::infinity();
  N low = 0, high = 12;
  for (int i = 0; i < 80; ++i) {
    const N middle = (low + high) / 2;
    const bool below = std::fabs(x) < 0.5L ? std::erf(middle) < std::fabs(x)
                                           : std::erfc(middle) > 1 - std::fabs(x);
    (below ? low : high) = middle;
  }
  return std::copysign(low, x);
}
// By steps of 1 to where the rest is a few terms of Euler and Maclaurin.
N digamma(N x) {
  if (x == 0) return std::copysign(std::numeric_limits<N>::infinity(), -x);
  if (x < 0 && x == std::floor(x)) return std::numeric_limits<N>::quiet_NaN();
  N sum = 0;
  for (; x < 60; x += 1) sum -= 1 / x;
  const N s = 1 / (x * x);
  return sum + std::log(x) - 1 / (2 * x) -
         s * (1 / N{12} - s * (1 / N{120} - s * (1 / N{252} - s / 240)));
}

#define X [](const Number* x, [[maybe_unused]] const Number* p) -> Number
const std::pair<double, double> any{-8, 8}, positive{0.25, 8}, unit{-0.99, 0.99}, small{-3, 3},
    count{0, 7};

// One row each; the format would take X for the beginning of a block.
// clang-format off
std::vector<PointwiseReference> make() {
  return {
      {"abs", X { return std::fabs(x[0]); }, {any}},
      {"neg", X { return -x[0]; }, {any}},
      {"sign", X { return sign(x[0]); }, {any}},
      {"sgn", X { return sign(x[0]); }, {any}},
      {"conj", X { return x[0]; }, {any}},
      {"real", X { return x[0]; }, {any}},
      {"angle", X { return x[0] < 0 ? pi : 0; }, {any}},
      {"square", X { return x[0] * x[0]; }, {any}},
      {"sqrt", X { return std::sqrt(x[0]); }, {positive}},
      {"rsqrt", X { return 1 / std::sqrt(x[0]); }, {positive}},
      {"reciprocal", X { return 1 / x[0]; }, {positive}},
      {"exp", X { return std::exp(x[0]); }, {any}},
      {"exp2", X { return std::exp2(x[0]); }, {any}},
      {"expm1", X { return std::expm1(x[0]); }, {any}},
      {"log", X { return std::log(x[0]); }, {positive}},
      {"log2", X { return std::log2(x[0]); }, {positive}},
      {"log10", X { return std::log10(x[0]); }, {positive}},
      {"log1p", X { return std::log1p(x[0]); }, {{-0.75, 8}}},
      {"sin", X { return std::sin(x[0]); }, {any}},
      {"cos", X { return std::cos(x[0]); }, {any}},
      {"tan", X { return std::tan(x[0]); }, {{-1.5, 1.5}}},
      {"asin", X { return std::asin(x[0]); }, {unit}},
      {"acos", X { return std::acos(x[0]); }, {unit}},
      {"atan", X { return std::atan(x[0]); }, {any}},
      {"sinh", X { return std::sinh(x[0]); }, {any}},
      {"cosh", X { return std::cosh(x[0]); }, {any}},
      {"tanh", X { return std::tanh(x[0]); }, {any}},
      {"asinh", X { return std::asinh(x[0]); }, {any}},
      {"acosh", X { return std::acosh(x[0]); }, {{1, 8}}},
      {"atanh", X { return std::atanh(x[0]); }, {unit}},
      {"erf", X { return std::erf(x[0]); }, {small}},
      {"erfc", X { return std::erfc(x[0]); }, {any}},
      {"erfinv", X { return erfinv(x[0]); }, {unit}},
      {"lgamma", X { return std::lgamma(x[0]); }, {any}},
      {"digamma", X { return digamma(x[0]); }, {any}},
      {"ceil", X { return std::ceil(x[0]); }, {any}},
      {"floor", X { return std::floor(x[0]); }, {any}},
      {"round", X { return std::nearbyint(x[0]); }, {any}},
      {"trunc", X { return std::trunc(x[0]); }, {any}},
      {"frac", X { return x[0] - std::trunc(x[0]); }, {any}},
      {"isnan", X { return std::isnan(x[0]); }, {any}},
      {"isinf", X { return std::isinf(x[0]); }, {any}},
      {"isfinite", X { return std::isfinite(x[0]); }, {any}},
      {"logical_not", X { return x[0] == 0; }, {any}},
      {"bitwise_not", X { return -x[0] - 1; }, {any}},
      {"signbit", X { return std::signbit(x[0]); }, {any}},
      {"nan_to_num", X { return x[0]; }, {any}, {0, 1, 2}},
      {"relu", X { return std::max(x[0], N{0}); }, {any}},
      {"relu6", X { return clamp(x[0], 0, 6); }, {any}},
      {"leaky_relu", X { return x[0] > 0 ? x[0] : x[0] * p[0]; }, {any}, {0.125}},
      {"elu", X { return x[0] > 0 ? x[0] * p[1] : p[0] * p[1] * std::expm1(x[0] * p[2]); }, {any}, {1.5, 0.5, 0.75}},
      {"selu", X { return 1.0507009873554804934L * (x[0] > 0 ? x[0] : 1.6732632423543772848L * std::expm1(x[0])); }, {any}},
      {"celu", X { return x[0] > 0 ? x[0] : p[0] * std::expm1(x[0] / p[0]); }, {any}, {1.5}},
      {"gelu", X { return gelu(x[0]); }, {{-2, 8}}, {}, {"none"}},
      {"gelu", X { return gelu_tanh(x[0]); }, {{-2, 8}}, {}, {"tanh"}},
      {"silu", X { return silu(x[0]); }, {any}},
      {"mish", X { return x[0] * std::tanh(softplus(x[0], 1, 20)); }, {any}},
      {"softplus", X { return softplus(x[0], p[0], p[1]); }, {{-8, 30}}, {2, 20}},
      {"sigmoid", X { return 1 / (1 + std::exp(-x[0])); }, {any}},
      {"hardsigmoid", X { return clamp(x[0] + 3, 0, 6) / 6; }, {any}},
      {"hardswish", X { return x[0] * clamp(x[0] + 3, 0, 6) / 6; }, {any}},
      {"hardtanh", X { return clamp(x[0], p[0], p[1]); }, {any}, {-2, 3}},
      {"hardshrink", X { return x[0] >= -p[0] && x[0] <= p[0] ? 0 : x[0]; }, {any}, {0.5}},
      {"softshrink", X { return x[0] > p[0] ? x[0] - p[0] : x[0] < -p[0] ? x[0] + p[0] : 0; }, {any}, {0.5}},
      {"threshold", X { return x[0] <= p[0] ? p[1] : x[0]; }, {any}, {2, 5}},
      {"prelu", X { return x[0] > 0 ? x[0] : x[0] * x[1]; }, {any, any}},
      {"log_sigmoid", X { return -std::log1p(std::exp(-x[0])); }, {any}},
      {"silu_and_mul", X { return silu(x[0]) * x[1]; }, {any, any}},
      {"gelu_and_mul", X { return gelu(x[0]) * x[1]; }, {{-2, 8}, any}, {}, {"none"}},
      {"gelu_and_mul", X { return gelu_tanh(x[0]) * x[1]; }, {{-2, 8}, any}, {}, {"tanh"}},
      {"add", X { return x[0] + x[1] * p[0]; }, {any, any}, {1}},
      {"add", X { return x[0] + x[1] * p[0]; }, {any, any}, {3}},
      {"add.Scalar", X { return x[0] + p[0] * p[1]; }, {any}, {5, 1}},
      {"sub", X { return x[0] - x[1] * p[0]; }, {any, any}, {1}},
      {"sub.Scalar", X { return x[0] - p[0] * p[1]; }, {any}, {5, 1}},
      {"rsub", X { return x[1] - x[0] * p[0]; }, {any, any}, {1}},
      {"rsub.Scalar", X { return p[0] - x[0] * p[1]; }, {any}, {5, 1}},
      {"mul", X { return x[0] * x[1]; }, {any, any}},
      {"mul.Scalar", X { return x[0] * p[0]; }, {any}, {3}},
      {"div", X { return x[0] / x[1]; }, {any, positive}},
      {"div.Scalar", X { return x[0] / p[0]; }, {any}, {3}},
      {"div.Tensor_mode", X { return std::trunc(x[0] / x[1]); }, {any, {1, 5}}, {}, {"trunc"}},
      {"div.Tensor_mode", X { return floor_div(x[0], x[1]); }, {any, {1, 5}}, {}, {"floor"}},
      {"floor_divide", X { return floor_div(x[0], x[1]); }, {any, {1, 5}}},
      {"remainder", X { return floor_mod(x[0], x[1]); }, {any, {1, 5}}},
      {"remainder.Scalar", X { return floor_mod(x[0], p[0]); }, {any}, {3}},
      {"fmod", X { return std::fmod(x[0], x[1]); }, {any, {1, 5}}},
      {"pow", X { return std::pow(x[0], x[1]); }, {{1, 4}, {0, 3}}},
      {"pow.Scalar", X { return std::pow(x[0], p[0]); }, {{1, 4}}, {2}},
      {"maximum", X { return std::max(x[0], x[1]); }, {any, any}},
      {"minimum", X { return std::min(x[0], x[1]); }, {any, any}},
      {"fmax", X { return std::fmax(x[0], x[1]); }, {any, any}},
      {"fmin", X { return std::fmin(x[0], x[1]); }, {any, any}},
      {"atan2", X { return std::atan2(x[0], x[1]); }, {any, any}},
      {"hypot", X { return std::hypot(x[0], x[1]); }, {any, any}},
      {"copysign", X { return std::copysign(x[0], x[1]); }, {any, any}},
      {"logaddexp", X { return std::max(x[0], x[1]) + std::log1p(std::exp(-std::fabs(x[0] - x[1]))); }, {positive, positive}},
      {"lerp", X { return x[0] + x[2] * (x[1] - x[0]); }, {{1, 2}, {4, 8}, {0, 1}}},
      {"lerp.Scalar", X { return x[0] + p[0] * (x[1] - x[0]); }, {{1, 2}, {4, 8}}, {0.25}},
      {"where", X { return x[0] != 0 ? x[1] : x[2]; }, {{0, 1}, any, any}},
      {"clamp", X { return clamp(x[0], p[0], p[1]); }, {any}, {-2, 3}},
      {"clamp.Tensor", X { return clamp(x[0], x[1], x[2]); }, {any, {-4, 0}, {0, 4}}},
      {"addcmul", X { return x[0] + p[0] * x[1] * x[2]; }, {positive, positive, positive}, {2}},
      {"addcdiv", X { return x[0] + p[0] * x[1] / x[2]; }, {positive, positive, positive}, {2}},
      {"eq", X { return x[0] == x[1]; }, {count, count}},
      {"ne", X { return x[0] != x[1]; }, {count, count}},
      {"lt", X { return x[0] < x[1]; }, {count, count}},
      {"le", X { return x[0] <= x[1]; }, {count, count}},
      {"gt", X { return x[0] > x[1]; }, {count, count}},
      {"ge", X { return x[0] >= x[1]; }, {count, count}},
      {"eq.Scalar", X { return x[0] == p[0]; }, {count}, {3}},
      {"ne.Scalar", X { return x[0] != p[0]; }, {count}, {3}},
      {"lt.Scalar", X { return x[0] < p[0]; }, {count}, {3}},
      {"le.Scalar", X { return x[0] <= p[0]; }, {count}, {3}},
      {"gt.Scalar", X { return x[0] > p[0]; }, {count}, {3}},
      {"ge.Scalar", X { return x[0] >= p[0]; }, {count}, {3}},
      {"isclose", X { return std::fabs(x[0] - x[1]) <= p[1] + p[0] * std::fabs(x[1]); }, {count, count}, {0.125, 0.25}, {"0"}},
      {"logical_and", X { return x[0] != 0 && x[1] != 0; }, {{-1, 1}, {-1, 1}}},
      {"logical_or", X { return x[0] != 0 || x[1] != 0; }, {{-1, 1}, {-1, 1}}},
      {"logical_xor", X { return (x[0] != 0) != (x[1] != 0); }, {{-1, 1}, {-1, 1}}},
      {"bitwise_and", X { return whole(x[0]) & whole(x[1]); }, {{-99, 99}, {-99, 99}}},
      {"bitwise_or", X { return whole(x[0]) | whole(x[1]); }, {{-99, 99}, {-99, 99}}},
      {"bitwise_xor", X { return whole(x[0]) ^ whole(x[1]); }, {{-99, 99}, {-99, 99}}},
      {"left_shift", X { return x[0] * std::exp2(x[1]); }, {any, {0, 3}}},
      {"right_shift", X { return std::floor(x[0] / std::exp2(x[1])); }, {{-99, 99}, {0, 3}}},
      {"gcd", X { return std::gcd(whole(x[0]), whole(x[1])); }, {{-99, 99}, {-99, 99}}},
      {"lcm", X { return std::lcm(whole(x[0]), whole(x[1])); }, {{0, 11}, {0, 11}}},
      {"heaviside", X { return x[0] == 0 ? x[1] : x[0] > 0; }, {{-1, 1}, any}},
      {"xlogy", X { return x[0] == 0 ? 0 : x[0] * std::log(x[1]); }, {any, {2, 8}}},
  };
}
// clang-format on

}  // namespace

const std::vector<PointwiseReference>& pointwise_references() {
  static const std::vector<PointwiseReference> all = make();
  return all;
}

}  // namespace flagos::ops::testing
