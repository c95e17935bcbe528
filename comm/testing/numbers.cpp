#include "comm/testing/numbers.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace flagos::comm::testing {
namespace {

// Narrow floating point by its definition; slow, and nothing like the loops that it tests.
struct Format {
  int bits, exponent_bits;
  bool is_finite;  // no infinities, and one NaN: all bits set

  int fraction_bits() const { return bits - 1 - exponent_bits; }
  std::uint16_t sign() const { return static_cast<std::uint16_t>(1 << (bits - 1)); }
  // What is behind the largest number.
  std::uint16_t end() const {
    return static_cast<std::uint16_t>(is_finite ? sign() - 1
                                                : ((1 << exponent_bits) - 1) << fraction_bits());
  }
};
constexpr Format float8_e4m3fn{8, 4, true}, float8_e5m2{8, 5, false}, float16{16, 5, false},
    bfloat16{16, 8, false};

double from_bits(std::uint16_t bits, const Format& format) {
  const int fraction_bits = format.fraction_bits();
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << format.exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & format.sign()) != 0 ? -1 : 1;
  const int magnitude = bits & (format.sign() - 1);
  if (magnitude > format.end() || (magnitude == format.end() && format.is_finite))
    return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == format.end()) return sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

std::uint16_t to_bits(double value, const Format& format) {
  const std::uint16_t sign = std::signbit(value) ? format.sign() : 0;
  const std::uint16_t end = format.end();
  if (std::isnan(value))
    return static_cast<std::uint16_t>(sign | end |
                                      (format.is_finite ? 0 : 1 << (format.fraction_bits() - 1)));
  const double magnitude = std::fabs(value);
  // The largest finite number that is not above; then that or the next one.
  std::uint16_t low = 0, high = end;
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (from_bits(middle, format) <= magnitude ? low : high) = middle;
  }
  const double below = from_bits(low, format);
  const double step =
      below - (low == 0 ? 0 : from_bits(static_cast<std::uint16_t>(low - 1), format));
  const double above = high == end ? below + step : from_bits(high, format);
  const double down = magnitude - below, up = above - magnitude;
  const bool take_low = down < up || (down == up && low % 2 == 0);
  return static_cast<std::uint16_t>(sign | (take_low ? low : high));
}

template <typename T>
void put(T value, std::byte* target) {
  std::memcpy(target, &value, sizeof(T));
}
template <typename T>
T get(const std::byte* source) {
  T value{};
  std::memcpy(&value, source, sizeof(T));
  return value;
}

}  // namespace

const std::vector<flagos_dtype_t>& all_dtypes() {
  static const std::vector<flagos_dtype_t> dtypes = {
      FLAGOS_DTYPE_BOOL,       FLAGOS_DTYPE_INT8,      FLAGOS_DTYPE_INT16,
      FLAGOS_DTYPE_INT32,      FLAGOS_DTYPE_INT64,     FLAGOS_DTYPE_UINT8,
      FLAGOS_DTYPE_UINT16,     FLAGOS_DTYPE_UINT32,    FLAGOS_DTYPE_UINT64,
      FLAGOS_DTYPE_FLOAT16,    FLAGOS_DTYPE_BFLOAT16,  FLAGOS_DTYPE_FLOAT32,
      FLAGOS_DTYPE_FLOAT64,    FLAGOS_DTYPE_COMPLEX64, FLAGOS_DTYPE_FLOAT8_E4M3FN,
      FLAGOS_DTYPE_FLOAT8_E5M2};
  return dtypes;
}

bool is_floating(flagos_dtype_t dtype) {
  return dtype == FLAGOS_DTYPE_FLOAT8_E4M3FN || dtype == FLAGOS_DTYPE_FLOAT8_E5M2 ||
         dtype == FLAGOS_DTYPE_FLOAT16 || dtype == FLAGOS_DTYPE_BFLOAT16 ||
         dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_FLOAT64;
}
bool is_integer(flagos_dtype_t dtype) { return FLAGOS_DTYPE_CODE(dtype) <= 1; }

void encode(flagos_dtype_t dtype, double value, std::byte* target) {
  const auto whole = is_integer(dtype) ? static_cast<std::int64_t>(value) : 0;
  switch (dtype) {
    case FLAGOS_DTYPE_BOOL:
      return put<std::uint8_t>(value != 0, target);
    case FLAGOS_DTYPE_FLOAT8_E4M3FN:
      return put(static_cast<std::uint8_t>(to_bits(value, float8_e4m3fn)), target);
    case FLAGOS_DTYPE_FLOAT8_E5M2:
      return put(static_cast<std::uint8_t>(to_bits(value, float8_e5m2)), target);
    case FLAGOS_DTYPE_FLOAT16:
      return put(to_bits(value, float16), target);
    case FLAGOS_DTYPE_BFLOAT16:
      return put(to_bits(value, bfloat16), target);
    case FLAGOS_DTYPE_FLOAT32:
      return put(static_cast<float>(value), target);
    case FLAGOS_DTYPE_FLOAT64:
      return put(value, target);
    case FLAGOS_DTYPE_COMPLEX64:
      put(static_cast<float>(value), target);
      return put(static_cast<float>(value), target + 4);
    default:
      break;
  }
  std::memcpy(target, &whole, FLAGOS_DTYPE_BITS(dtype) / 8);  // little endian: the low bytes wrap
}

double decode(flagos_dtype_t dtype, const std::byte* source) {
  switch (dtype) {
    case FLAGOS_DTYPE_BOOL:
      return get<std::uint8_t>(source);
    case FLAGOS_DTYPE_INT8:
      return get<std::int8_t>(source);
    case FLAGOS_DTYPE_INT16:
      return get<std::int16_t>(source);
    case FLAGOS_DTYPE_INT32:
      return get<std::int32_t>(source);
    case FLAGOS_DTYPE_INT64:
      return static_cast<double>(get<std::int64_t>(source));
    case FLAGOS_DTYPE_UINT8:
      return get<std::uint8_t>(source);
    case FLAGOS_DTYPE_UINT16:
      return get<std::uint16_t>(source);
    case FLAGOS_DTYPE_UINT32:
      return get<std::uint32_t>(source);
    case FLAGOS_DTYPE_UINT64:
      return static_cast<double>(get<std::uint64_t>(source));
    case FLAGOS_DTYPE_FLOAT8_E4M3FN:
      return from_bits(get<std::uint8_t>(source), float8_e4m3fn);
    case FLAGOS_DTYPE_FLOAT8_E5M2:
      return from_bits(get<std::uint8_t>(source), float8_e5m2);
    case FLAGOS_DTYPE_FLOAT16:
      return from_bits(get<std::uint16_t>(source), float16);
    case FLAGOS_DTYPE_BFLOAT16:
      return from_bits(get<std::uint16_t>(source), bfloat16);
    case FLAGOS_DTYPE_FLOAT64:
      return get<double>(source);
    default:
      return get<float>(source);
  }
}

}  // namespace flagos::comm::testing
