// Element types of flagos.tile: their names, sizes, and the exact conversions between their bits and numbers.
#pragma once

#include <flagos.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flagos::compiler {

enum class DType : std::uint8_t { i1, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, f8e4m3, f8e5m2 };
inline constexpr int kDTypeCount = 15;

enum class DTypeClass : std::uint8_t { boolean, signed_int, unsigned_int, floating };

struct DTypeInfo {
  std::string_view name;
  DTypeClass dtype_class;
  int bits;   // of the value; i1 has 1
  int bytes;  // in memory
  flagos_dtype_t abi;
};

const DTypeInfo& info(DType dtype);
std::optional<DType> find_dtype(std::string_view name);

inline bool is_float(DType dtype) { return info(dtype).dtype_class == DTypeClass::floating; }
// Computed in f32.
inline bool is_narrow(DType dtype) { return is_float(dtype) && info(dtype).bits < 32; }
inline bool is_signed(DType dtype) { return info(dtype).dtype_class == DTypeClass::signed_int; }
inline bool is_int(DType dtype) {
  return info(dtype).dtype_class == DTypeClass::signed_int || info(dtype).dtype_class == DTypeClass::unsigned_int;
}
// i32, i64: what offsets, extents and strides are.
inline bool is_index(DType dtype) { return dtype == DType::i32 || dtype == DType::i64; }

enum class Rounding : std::uint8_t { nearest_even, toward_zero };

// The bits of a number in a floating type. One rounding, from any double. What is too large becomes infinity (NaN in
// f8e4m3, which has none), with `saturate` the largest number.
std::uint64_t encode_float(DType dtype, double value, Rounding rounding = Rounding::nearest_even,
                           bool saturate = false);
double decode_float(DType dtype, std::uint64_t bits);

// Integers as 64-bit values: sign- or zero-extended by their type, and cut back to it.
std::int64_t decode_int(DType dtype, std::uint64_t bits);
std::uint64_t encode_int(DType dtype, std::uint64_t value);

// A literal of the text: the bits that `text` gives in `dtype`, or nothing where it is not one or does not fit.
std::optional<std::uint64_t> parse_literal(DType dtype, std::string_view text);
// The one text of a value: the shortest that reads back as the same bits; every NaN is `nan`.
std::string print_literal(DType dtype, std::uint64_t bits);

}  // namespace flagos::compiler
