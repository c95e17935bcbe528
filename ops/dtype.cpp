#include "ops/dtype.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace flagos::ops {
namespace {

struct Row {
  flagos_dtype_t abi;
  const char* name;
  std::uint32_t size;
  tile::DType stored, computed;
};
using T = tile::DType;
constexpr Row rows[dtype_count] = {
    {FLAGOS_DTYPE_BOOL, "bool", 1, T::u8, T::i1},
    {FLAGOS_DTYPE_UINT8, "uint8", 1, T::u8, T::u8},
    {FLAGOS_DTYPE_INT8, "int8", 1, T::i8, T::i8},
    {FLAGOS_DTYPE_INT16, "int16", 2, T::i16, T::i16},
    {FLAGOS_DTYPE_INT32, "int32", 4, T::i32, T::i32},
    {FLAGOS_DTYPE_INT64, "int64", 8, T::i64, T::i64},
    {FLAGOS_DTYPE_FLOAT16, "float16", 2, T::f16, T::f32},
    {FLAGOS_DTYPE_BFLOAT16, "bfloat16", 2, T::bf16, T::f32},
    {FLAGOS_DTYPE_FLOAT32, "float32", 4, T::f32, T::f32},
    {FLAGOS_DTYPE_FLOAT64, "float64", 8, T::f64, T::f64},
    {FLAGOS_DTYPE_COMPLEX64, "complex64", 8, T::f32, T::f32},
};
const Row& row(DType dtype) { return rows[static_cast<int>(dtype)]; }

}  // namespace

bool from_abi(flagos_dtype_t dtype, DType& out) {
  for (int i = 0; i < dtype_count; ++i) {
    if (rows[i].abi != dtype) continue;
    out = static_cast<DType>(i);
    return true;
  }
  return false;
}
flagos_dtype_t to_abi(DType dtype) { return row(dtype).abi; }
const char* dtype_name(DType dtype) { return row(dtype).name; }
std::string dtype_text(flagos_dtype_t dtype) {
  DType known;
  return from_abi(dtype, known) ? dtype_name(known) : fmt::format("dtype {:#010x}", dtype);
}
std::uint32_t size_of(DType dtype) { return row(dtype).size; }
tile::DType stored_as(DType dtype) { return row(dtype).stored; }
tile::DType computed_as(DType dtype) { return row(dtype).computed; }

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  if (category_of(a) != category_of(b) || category_of(b) == Category::boolean) return b;
  if (a == DType::f16 && b == DType::bf16) return DType::f32;
  if (a == DType::u8) return b == DType::i8 ? DType::i16 : b;  // unsigned meets signed
  return b;
}

bool can_cast(DType from, DType to) { return category_of(from) <= category_of(to); }

std::string DTypes::text() const {
  std::string out;
  int left = 0;
  for (int i = 0; i < dtype_count; ++i) left += static_cast<int>(has(static_cast<DType>(i)));
  for (int i = 0; i < dtype_count; ++i) {
    if (!has(static_cast<DType>(i))) continue;
    if (!out.empty()) out += left == 1 ? " or " : ", ";
    out += rows[i].name;
    --left;
  }
  return out;
}

}  // namespace flagos::ops
