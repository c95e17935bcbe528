#include "compiler/dtype.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace flagos::compiler {
namespace {

using C = DTypeClass;
// DLPack's codes of the two 8-bit floating types.
constexpr flagos_dtype_t kF8e4m3 = FLAGOS_MAKE_DTYPE(10, 8, 1);
constexpr flagos_dtype_t kF8e5m2 = FLAGOS_MAKE_DTYPE(12, 8, 1);

constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{
    {"i1", C::boolean, 1, 1, FLAGOS_DTYPE_BOOL},
    {"i8", C::signed_int, 8, 1, FLAGOS_DTYPE_INT8},
    {"i16", C::signed_int, 16, 2, FLAGOS_DTYPE_INT16},
    {"i32", C::signed_int, 32, 4, FLAGOS_DTYPE_INT32},
    {"i64", C::signed_int, 64, 8, FLAGOS_DTYPE_INT64},
    {"u8", C::unsigned_int, 8, 1, FLAGOS_DTYPE_UINT8},
    {"u16", C::unsigned_int, 16, 2, FLAGOS_DTYPE_UINT16},
    {"u32", C::unsigned_int, 32, 4, FLAGOS_DTYPE_UINT32},
    {"u64", C::unsigned_int, 64, 8, FLAGOS_DTYPE_UINT64},
    {"f16", C::floating, 16, 2, FLAGOS_DTYPE_FLOAT16},
    {"bf16", C::floating, 16, 2, FLAGOS_DTYPE_BFLOAT16},
    {"f32", C::floating, 32, 4, FLAGOS_DTYPE_FLOAT32},
    {"f64", C::floating, 64, 8, FLAGOS_DTYPE_FLOAT64},
    {"f8e4m3", C::floating, 8, 1, kF8e4m3},
    {"f8e5m2", C::floating, 8, 1, kF8e5m2},
}};

struct FloatFormat {
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity;  // f8e4m3 spends those codes on numbers and has one NaN
};

FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return {5, 10, true};
    case DType::bf16:
      return {8, 7, true};
    case DType::f32:
      return {8, 23, true};
    case DType::f8e4m3:
      return {4, 3, false};
    case DType::f8e5m2:
      return {5, 2, true};
    default:
      return {11, 52, true};
  }
}

struct Codes {  // without the sign
  std::uint64_t infinity, nan, largest;
};

Codes codes_of(const FloatFormat& format) {
  const std::uint64_t mantissa = (std::uint64_t{1} << format.mantissa_bits) - 1;
  const std::uint64_t exponent = ((std::uint64_t{1} << format.exponent_bits) - 1) << format.mantissa_bits;
  if (!format.has_infinity) return {exponent | mantissa, exponent | mantissa, exponent | (mantissa - 1)};
  return {exponent, exponent | (std::uint64_t{1} << (format.mantissa_bits - 1)), exponent - 1};
}

std::uint64_t encode(const FloatFormat& format, double value, Rounding rounding, bool saturate) {
  const std::uint64_t sign = std::uint64_t{std::signbit(value)} << (format.exponent_bits + format.mantissa_bits);
  const Codes codes = codes_of(format);
  if (std::isnan(value)) return sign | codes.nan;
  const std::uint64_t too_large = saturate ? codes.largest : codes.infinity;
  if (std::isinf(value)) return sign | too_large;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;

  int exponent = 0;
  std::frexp(magnitude, &exponent);
  const int lowest = 2 - (1 << (format.exponent_bits - 1));  // exponent of the smallest normal number
  const int quantum = std::max(exponent - 1, lowest) - format.mantissa_bits;
  const double scaled = std::ldexp(magnitude, -quantum);
  // Adding the count of quanta to the biased exponent carries into the next binade by itself.
  const auto count =
      static_cast<std::uint64_t>(rounding == Rounding::nearest_even ? std::nearbyint(scaled) : std::trunc(scaled));
  const std::uint64_t binade = static_cast<std::uint64_t>(quantum + format.mantissa_bits - lowest);
  const std::uint64_t bits = (binade << format.mantissa_bits) + count;
  if (bits > codes.largest) return sign | (rounding == Rounding::toward_zero ? codes.largest : too_large);
  return sign | bits;
}

double decode(const FloatFormat& format, std::uint64_t bits) {
  const int width = format.exponent_bits + format.mantissa_bits;
  const std::uint64_t magnitude = bits & ((std::uint64_t{1} << width) - 1);
  const bool negative = (bits >> width & 1) != 0;
  const Codes codes = codes_of(format);
  double value = 0;
  if (magnitude > codes.largest) {
    value = format.has_infinity && magnitude == codes.infinity ? std::numeric_limits<double>::infinity()
                                                               : std::numeric_limits<double>::quiet_NaN();
  } else {
    const auto exponent = static_cast<int>(magnitude >> format.mantissa_bits);
    std::uint64_t mantissa = magnitude & ((std::uint64_t{1} << format.mantissa_bits) - 1);
    if (exponent != 0) mantissa |= std::uint64_t{1} << format.mantissa_bits;
    const int lowest = 2 - (1 << (format.exponent_bits - 1));
    value = std::ldexp(static_cast<double>(mantissa), std::max(exponent, 1) - 1 + lowest - format.mantissa_bits);
  }
  return negative ? -value : value;
}

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_float(DType dtype, std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty()) return std::nullopt;
  const bool word = digits == "inf" || digits == "nan";
  if (text == "-nan" || (!word && (digits[0] < '0' || digits[0] > '9'))) return std::nullopt;
  if (dtype == DType::f64) {
    const auto value = parse_whole<double>(text);
    return value ? std::optional(std::bit_cast<std::uint64_t>(*value)) : std::nullopt;
  }
  // The shortest text of a float names that float only when it is read as one.
  const auto value = parse_whole<float>(text);
  return value ? std::optional(encode_float(dtype, *value)) : std::nullopt;
}

std::string print_float(DType dtype, double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto result = dtype == DType::f64
                          ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), value)
                          : std::to_chars(buffer.data(), buffer.data() + buffer.size(), static_cast<float>(value));
  std::string text(buffer.data(), result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

const DTypeInfo& info(DType dtype) { return kInfo[static_cast<std::size_t>(dtype)]; }

std::optional<DType> find_dtype(std::string_view name) {
  for (std::size_t i = 0; i < kInfo.size(); ++i)
    if (kInfo[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::uint64_t encode_float(DType dtype, double value, Rounding rounding, bool saturate) {
  if (dtype == DType::f64) return std::bit_cast<std::uint64_t>(value);
  if (dtype == DType::f32 && rounding == Rounding::nearest_even && !saturate)
    return std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return encode(format_of(dtype), value, rounding, saturate);
}

double decode_float(DType dtype, std::uint64_t bits) {
  if (dtype == DType::f64) return std::bit_cast<double>(bits);
  if (dtype == DType::f32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  return decode(format_of(dtype), bits);
}

std::int64_t decode_int(DType dtype, std::uint64_t bits) {
  const int unused = 64 - info(dtype).bits;
  if (is_signed(dtype)) return static_cast<std::int64_t>(bits << unused) >> unused;
  return static_cast<std::int64_t>(bits << unused >> unused);
}

std::uint64_t encode_int(DType dtype, std::uint64_t value) {
  const int unused = 64 - info(dtype).bits;
  return value << unused >> unused;
}

std::optional<std::uint64_t> parse_literal(DType dtype, std::string_view text) {
  if (is_float(dtype)) return parse_float(dtype, text);
  if (dtype == DType::i1) {
    if (text == "true" || text == "1") return 1;
    if (text == "false" || text == "0") return 0;
    return std::nullopt;
  }
  if (is_signed(dtype)) {
    const auto value = parse_whole<std::int64_t>(text);
    if (!value || decode_int(dtype, static_cast<std::uint64_t>(*value)) != *value) return std::nullopt;
    return encode_int(dtype, static_cast<std::uint64_t>(*value));
  }
  const auto value = parse_whole<std::uint64_t>(text);
  if (!value || encode_int(dtype, *value) != *value) return std::nullopt;
  return value;
}

std::string print_literal(DType dtype, std::uint64_t bits) {
  if (is_float(dtype)) return print_float(dtype, decode_float(dtype, bits));
  if (dtype == DType::i1) return bits != 0 ? "true" : "false";
  if (is_signed(dtype)) return std::to_string(decode_int(dtype, bits));
  return std::to_string(bits);
}

}  // namespace flagos::compiler
