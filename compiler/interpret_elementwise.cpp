// Elementwise operations, one line each. Arithmetic is done in the element type (f16, bf16 and f8 in f32, then rounded);
// functions are computed in double and rounded once. This file is compiled without contraction.
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.hpp"
#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

struct Run {
  DType dtype;
  std::size_t count;
  std::span<const std::uint64_t* const> operands;
  std::uint64_t* out;
};

template <typename T>
constexpr bool kFloat = std::is_floating_point_v<T>;

// T is float, double, std::int64_t or std::uint64_t: what an element is computed in.
template <typename T>
T decode(DType dtype, std::uint64_t bits) {
  if constexpr (kFloat<T>) {
    if (dtype == DType::f32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    return static_cast<T>(decode_float(dtype, bits));
  } else {
    return static_cast<T>(decode_int(dtype, bits));
  }
}

template <typename T>
std::uint64_t encode(DType dtype, T value) {
  if constexpr (kFloat<T>) {
    return encode_float(dtype, value);
  } else {
    return encode_int(dtype, static_cast<std::uint64_t>(value));
  }
}

template <typename T, typename F>
void each(const Run& run, F f) {
  const auto in = [&](std::size_t k, std::size_t i) { return decode<T>(run.dtype, run.operands[k][i]); };
  for (std::size_t i = 0; i < run.count; ++i) {
    const auto value = [&] {
      if constexpr (std::is_invocable_v<F, T, T, T>) {
        return f(in(0, i), in(1, i), in(2, i));
      } else if constexpr (std::is_invocable_v<F, T, T>) {
        return f(in(0, i), in(1, i));
      } else {
        return f(in(0, i));
      }
    }();
    if constexpr (std::is_same_v<decltype(value), const bool>) {
      run.out[i] = value ? 1 : 0;
    } else {
      run.out[i] = encode<T>(run.dtype, static_cast<T>(value));
    }
  }
}

template <typename F>
void integers(const Run& run, F f) {
  if (is_signed(run.dtype)) return each<std::int64_t>(run, f);
  each<std::uint64_t>(run, f);
}

template <typename F>
void numbers(const Run& run, F f) {
  if (run.dtype == DType::f64) return each<double>(run, f);
  if (is_float(run.dtype)) return each<float>(run, f);
  integers(run, f);
}

template <typename F>
void functions(const Run& run, F f) {
  each<double>(run, f);
}

// Wrapping arithmetic of integers; that of floating point as it is.
template <typename T, typename F>
T wrap(T a, T b, F f) {
  if constexpr (kFloat<T>) {
    return f(a, b);
  } else {
    return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  }
}

// x / 0 is 0, and the lowest number divided by -1 wraps to itself.
template <typename T>
T divide(T a, T b, bool floored) {
  if constexpr (kFloat<T>) {
    return a / b;
  } else {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
      const T quotient = a / b;
      return floored && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
    } else {
      return a / b;
    }
  }
}

// x rem 0 is x for integers and NaN for floating point; a zero has the sign of its dividend, floored of its divisor.
template <typename T>
T remainder(T a, T b, bool floored) {
  if constexpr (kFloat<T>) {
    const T rest = std::fmod(a, b);
    if (!floored || std::isnan(rest)) return rest;
    if (rest == 0) return std::copysign(T{0}, b);
    return std::signbit(rest) != std::signbit(b) ? rest + b : rest;
  } else {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
      const T rest = a % b;
      return floored && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    } else {
      return a % b;
    }
  }
}

// -0 is less than +0. One NaN: propagate gives NaN, ignore the number.
template <typename T>
T smaller(T a, T b, bool ignore_nan) {
  if constexpr (kFloat<T>) {
    if (std::isnan(a)) return ignore_nan ? b : a;
    if (std::isnan(b)) return ignore_nan ? a : b;
    if (a == b) return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}

template <typename T>
T larger(T a, T b, bool ignore_nan) {
  if constexpr (kFloat<T>) {
    if (std::isnan(a)) return ignore_nan ? b : a;
    if (std::isnan(b)) return ignore_nan ? a : b;
    if (a == b) return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

template <typename T>
T absolute(T a) {
  if constexpr (kFloat<T>) return std::fabs(a);
  return a < 0 ? static_cast<T>(0 - static_cast<std::uint64_t>(a)) : a;
}

template <typename T>
T multiply_add(T a, T b, T c) {
  if constexpr (kFloat<T>) {
    return std::fma(a, b, c);
  } else {
    const auto u = [](T x) { return static_cast<std::uint64_t>(x); };
    return static_cast<T>(u(a) * u(b) + u(c));
  }
}

template <typename T>
T high_half(T a, T b, int bits) {
  __extension__ using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> bits);
}

// A count outside of the type shifts everything out.
template <typename T>
T shift_left(T a, T b, int bits) {
  const auto count = static_cast<std::uint64_t>(b);
  return count >= static_cast<std::uint64_t>(bits) ? T{0} : static_cast<T>(static_cast<std::uint64_t>(a) << count);
}

template <typename T>
T shift_right(T a, T b, int bits) {
  const auto count = static_cast<std::uint64_t>(b);
  if (count >= static_cast<std::uint64_t>(bits)) return a < T{0} ? static_cast<T>(-1) : T{0};
  return static_cast<T>(a >> count);
}

bool run_arithmetic(OpCode code, const Run& run, std::string_view word) {
  const bool floored = word == "floor";
  const bool ignore = word == "ignore";
  switch (code) {
    case OpCode::add:
      numbers(run, [](auto a, auto b) { return wrap(a, b, [](auto x, auto y) { return x + y; }); });
      break;
    case OpCode::sub:
      numbers(run, [](auto a, auto b) { return wrap(a, b, [](auto x, auto y) { return x - y; }); });
      break;
    case OpCode::mul:
      numbers(run, [](auto a, auto b) { return wrap(a, b, [](auto x, auto y) { return x * y; }); });
      break;
    case OpCode::div:
      numbers(run, [=](auto a, auto b) { return divide(a, b, floored); });
      break;
    case OpCode::rem:
      numbers(run, [=](auto a, auto b) { return remainder(a, b, floored); });
      break;
    case OpCode::fma:
      numbers(run, [](auto a, auto b, auto c) { return multiply_add(a, b, c); });
      break;
    case OpCode::abs:
      numbers(run, [](auto a) { return absolute(a); });
      break;
    case OpCode::min:
      numbers(run, [=](auto a, auto b) { return smaller(a, b, ignore); });
      break;
    case OpCode::max:
      numbers(run, [=](auto a, auto b) { return larger(a, b, ignore); });
      break;
    case OpCode::clamp:
      numbers(run, [=](auto a, auto lo, auto hi) { return smaller(larger(a, lo, ignore), hi, ignore); });
      break;
    case OpCode::neg:
      numbers(run, [](auto a) {
        if constexpr (kFloat<decltype(a)>) return -a;
        return static_cast<decltype(a)>(0 - static_cast<std::uint64_t>(a));
      });
      break;
    case OpCode::eq:
      numbers(run, [](auto a, auto b) { return a == b; });
      break;
    case OpCode::ne:
      numbers(run, [](auto a, auto b) { return a != b; });
      break;
    case OpCode::lt:
      numbers(run, [](auto a, auto b) { return a < b; });
      break;
    case OpCode::le:
      numbers(run, [](auto a, auto b) { return a <= b; });
      break;
    case OpCode::gt:
      numbers(run, [](auto a, auto b) { return a > b; });
      break;
    case OpCode::ge:
      numbers(run, [](auto a, auto b) { return a >= b; });
      break;
    case OpCode::sqrt:
      numbers(run, [](auto a) { return static_cast<decltype(a)>(std::sqrt(a)); });
      break;
    case OpCode::rcp:
      numbers(run, [](auto a) { return static_cast<decltype(a)>(1) / (a == 0 && !kFloat<decltype(a)> ? 1 : a); });
      break;
    default:
      return false;
  }
  return true;
}

bool run_integer(OpCode code, const Run& run) {
  const int bits = info(run.dtype).bits;
  switch (code) {
    case OpCode::and_:
      integers(run, [](auto a, auto b) { return a & b; });
      break;
    case OpCode::or_:
      integers(run, [](auto a, auto b) { return a | b; });
      break;
    case OpCode::xor_:
      integers(run, [](auto a, auto b) { return a ^ b; });
      break;
    case OpCode::not_:
      integers(run, [](auto a) { return ~a; });
      break;
    case OpCode::shl:
      integers(run, [=](auto a, auto b) { return shift_left(a, b, bits); });
      break;
    case OpCode::shr:
      integers(run, [=](auto a, auto b) { return shift_right(a, b, bits); });
      break;
    case OpCode::mulhi:
      integers(run, [=](auto a, auto b) { return high_half(a, b, bits); });
      break;
    default:
      return false;
  }
  return true;
}

void run_function(OpCode code, const Run& run) {
  switch (code) {
    case OpCode::exp:
      return functions(run, [](double x) { return std::exp(x); });
    case OpCode::exp2:
      return functions(run, [](double x) { return std::exp2(x); });
    case OpCode::log:
      return functions(run, [](double x) { return std::log(x); });
    case OpCode::log2:
      return functions(run, [](double x) { return std::log2(x); });
    case OpCode::log1p:
      return functions(run, [](double x) { return std::log1p(x); });
    case OpCode::expm1:
      return functions(run, [](double x) { return std::expm1(x); });
    case OpCode::rsqrt:
      return functions(run, [](double x) { return 1 / std::sqrt(x); });
    case OpCode::sin:
      return functions(run, [](double x) { return std::sin(x); });
    case OpCode::cos:
      return functions(run, [](double x) { return std::cos(x); });
    case OpCode::tan:
      return functions(run, [](double x) { return std::tan(x); });
    case OpCode::asin:
      return functions(run, [](double x) { return std::asin(x); });
    case OpCode::acos:
      return functions(run, [](double x) { return std::acos(x); });
    case OpCode::atan:
      return functions(run, [](double x) { return std::atan(x); });
    case OpCode::atan2:
      return functions(run, [](double y, double x) { return std::atan2(y, x); });
    case OpCode::sinh:
      return functions(run, [](double x) { return std::sinh(x); });
    case OpCode::cosh:
      return functions(run, [](double x) { return std::cosh(x); });
    case OpCode::tanh:
      return functions(run, [](double x) { return std::tanh(x); });
    case OpCode::erf:
      return functions(run, [](double x) { return std::erf(x); });
    case OpCode::pow:
      return functions(run, [](double x, double y) { return std::pow(x, y); });
    case OpCode::floor:
      return functions(run, [](double x) { return std::floor(x); });
    case OpCode::ceil:
      return functions(run, [](double x) { return std::ceil(x); });
    case OpCode::trunc:
      return functions(run, [](double x) { return std::trunc(x); });
    case OpCode::rint:
      return functions(run, [](double x) { return std::nearbyint(x); });
    case OpCode::isnan:
      return functions(run, [](double x) { return std::isnan(x); });
    case OpCode::isinf:
      return functions(run, [](double x) { return std::isinf(x); });
    default:
      throw_error(FLAGOS_STATUS_INTERNAL, "the interpreter does not know {}", info(code).name);
  }
}

// The value as a double whose rounding to a narrower type is that of the integer: bits that do not fit leave a one
// (to nearest) or nothing (toward zero) in the last place.
double widen(std::int64_t value, bool is_unsigned, bool sticky) {
  const bool negative = !is_unsigned && value < 0;
  std::uint64_t magnitude = negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const int spare = std::max(0, 64 - std::countl_zero(magnitude) - 53);
  const std::uint64_t lost = magnitude & ((std::uint64_t{1} << spare) - 1);
  magnitude = magnitude >> spare << spare;
  if (sticky && lost != 0) magnitude |= std::uint64_t{1} << spare;
  const auto result = static_cast<double>(magnitude);
  return negative ? -result : result;
}

std::uint64_t int_to_float(DType from, DType to, std::uint64_t bits, Rounding rounding, bool saturate) {
  const std::int64_t value = decode_int(from, bits);
  const bool is_unsigned = !is_signed(from);
  const bool nearest = rounding == Rounding::nearest_even;
  if (to == DType::f64 && nearest)
    return std::bit_cast<std::uint64_t>(is_unsigned ? static_cast<double>(static_cast<std::uint64_t>(value))
                                                    : static_cast<double>(value));
  return encode_float(to, widen(value, is_unsigned, nearest), rounding, saturate);
}

// Toward zero; what is too large becomes the nearest integer of the type, NaN becomes 0.
std::uint64_t float_to_int(DType to, double value) {
  if (to == DType::i1) return value != 0 ? 1 : 0;
  if (std::isnan(value)) return 0;
  const int bits = info(to).bits;
  const double limit = std::ldexp(1.0, is_signed(to) ? bits - 1 : bits);
  const std::uint64_t highest = ~std::uint64_t{0} >> (64 - bits + (is_signed(to) ? 1 : 0));
  if (value >= limit) return highest;
  if (!is_signed(to)) return value <= 0 ? 0 : static_cast<std::uint64_t>(value);
  if (value <= -limit) return encode_int(to, highest + 1);
  return encode_int(to, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
}

}  // namespace

void run_elementwise(OpCode code, DType dtype, std::string_view word, std::size_t count,
                     std::span<const std::uint64_t* const> operands, std::uint64_t* out) {
  const Run run{dtype, count, operands, out};
  if (!run_arithmetic(code, run, word) && !run_integer(code, run)) run_function(code, run);
}

std::uint64_t run_scalar(OpCode code, DType dtype, std::string_view word, std::uint64_t a, std::uint64_t b) {
  const std::array<const std::uint64_t*, 2> operands{&a, &b};
  std::uint64_t out = 0;
  run_elementwise(code, dtype, word, 1, operands, &out);
  return out;
}

OpCode combiner(std::string_view name) { return *find_op(name); }

std::uint64_t cast_bits(DType from, DType to, std::uint64_t bits, Rounding rounding, bool saturate) {
  if (is_float(from)) {
    const double value = decode_float(from, bits);
    return is_float(to) ? encode_float(to, value, rounding, saturate) : float_to_int(to, value);
  }
  if (is_float(to)) return int_to_float(from, to, bits, rounding, saturate);
  const auto value = static_cast<std::uint64_t>(decode_int(from, bits));
  return to == DType::i1 ? (value != 0 ? 1 : 0) : encode_int(to, value);
}

}  // namespace flagos::compiler
