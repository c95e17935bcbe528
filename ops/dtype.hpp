// Data types of tensors: their sizes and names, sets of them, and ATen's rules of promotion.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <string>

#include "flagos/tile.hpp"

namespace flagos::ops {

// In this order of promotion within a category.
enum class DType : std::uint8_t { boolean, u8, i8, i16, i32, i64, f16, bf16, f32, f64, c64 };
constexpr int dtype_count = 11;

enum class Category : std::uint8_t { boolean, integral, floating, complex };
constexpr Category category_of(DType dtype) {
  if (dtype == DType::boolean) return Category::boolean;
  if (dtype <= DType::i64) return Category::integral;
  return dtype == DType::c64 ? Category::complex : Category::floating;
}
constexpr bool is_floating(DType dtype) { return category_of(dtype) == Category::floating; }
constexpr bool is_integral(DType dtype) { return category_of(dtype) == Category::integral; }

// false when the operators do not know it.
bool from_abi(flagos_dtype_t dtype, DType& out);
flagos_dtype_t to_abi(DType dtype);
// "float32", as PyTorch and NumPy say.
const char* dtype_name(DType dtype);
// Of a dtype that may be unknown: "float32" or "dtype 0x00010409".
std::string dtype_text(flagos_dtype_t dtype);
std::uint32_t size_of(DType dtype);
// What a kernel loads and stores; bool as u8, complex as two f32.
tile::DType stored_as(DType dtype);
// What a kernel computes in: f16 and bf16 in f32, bool as i1.
tile::DType computed_as(DType dtype);

// The smallest type that holds both, as torch.promote_types.
DType promote(DType a, DType b);
// Whether a result may be written to an output, as torch.can_cast: not to a lower category.
bool can_cast(DType from, DType to);

class DTypes {
 public:
  constexpr DTypes() = default;
  constexpr DTypes(DType dtype) : bits_(1U << static_cast<int>(dtype)) {}
  constexpr bool has(DType dtype) const { return (bits_ >> static_cast<int>(dtype)) & 1U; }
  constexpr DTypes operator|(DTypes other) const {
    DTypes both;
    both.bits_ = bits_ | other.bits_;
    return both;
  }
  std::string text() const;  // "float16, bfloat16 or float32"

 private:
  std::uint32_t bits_ = 0;
};
constexpr DTypes half_floats = DTypes(DType::f16) | DType::bf16;
constexpr DTypes floats = half_floats | DType::f32 | DType::f64;
constexpr DTypes integers = DTypes(DType::u8) | DType::i8 | DType::i16 | DType::i32 | DType::i64;
constexpr DTypes numbers = floats | integers;
constexpr DTypes everything = numbers | DType::boolean;
constexpr DTypes indices = DTypes(DType::i32) | DType::i64;
// What holds in memory beside: only copies and pointwise operations take complex numbers.
constexpr DTypes with_complex(DTypes dtypes) { return dtypes | DType::c64; }

}  // namespace flagos::ops
