#include "comm/reduction_kernels.hpp"

#include <utility>
#include <vector>

#include "flagos/tile.hpp"

namespace flagos::comm {
namespace {

using tile::DType;
using tile::Tile;

bool is_floating(flagos_dtype_t dtype) { return !is_exact(dtype); }
bool is_complex(flagos_dtype_t dtype) { return dtype == FLAGOS_DTYPE_COMPLEX64; }

// How the numbers lie in memory; a truth value is a byte.
DType stored_type(flagos_dtype_t dtype) {
  switch (dtype) {
    case FLAGOS_DTYPE_INT8:
      return DType::i8;
    case FLAGOS_DTYPE_INT16:
      return DType::i16;
    case FLAGOS_DTYPE_INT32:
      return DType::i32;
    case FLAGOS_DTYPE_INT64:
      return DType::i64;
    case FLAGOS_DTYPE_UINT16:
      return DType::u16;
    case FLAGOS_DTYPE_UINT32:
      return DType::u32;
    case FLAGOS_DTYPE_UINT64:
      return DType::u64;
    case FLAGOS_DTYPE_FLOAT16:
      return DType::f16;
    case FLAGOS_DTYPE_BFLOAT16:
      return DType::bf16;
    case FLAGOS_DTYPE_FLOAT64:
      return DType::f64;
    case FLAGOS_DTYPE_FLOAT32:
    case FLAGOS_DTYPE_COMPLEX64:
      return DType::f32;
    default:
      return DType::u8;
  }
}

// In what is computed.
DType value_type(const Reduction& reduction) {
  if (is_narrow(reduction.dtype)) return DType::f32;
  if (reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE && is_exact(reduction.dtype))
    return DType::i64;
  return stored_type(reduction.dtype);
}

// What is computed in rank order otherwise: the same as in reduce().
bool is_sorted(const Reduction& reduction) {
  return reduction.deterministic && is_floating(reduction.dtype) &&
         reduction.kind != FLAGOS_COMM_REDUCTION_MIN && reduction.kind != FLAGOS_COMM_REDUCTION_MAX;
}

Tile combine(const Reduction& reduction, const Tile& a, const Tile& b) {
  const bool is_truth = reduction.dtype == FLAGOS_DTYPE_BOOL;
  switch (reduction.kind) {
    case FLAGOS_COMM_REDUCTION_PRODUCT:
      return is_truth ? a & b : is_floating(reduction.dtype) ? strict(a * b) : a * b;
    case FLAGOS_COMM_REDUCTION_MIN:
      return is_truth ? a & b : min(a, b);
    case FLAGOS_COMM_REDUCTION_MAX:
      return is_truth ? a | b : max(a, b);
    case FLAGOS_COMM_REDUCTION_BIT_AND:
      return a & b;
    case FLAGOS_COMM_REDUCTION_BIT_OR:
      return a | b;
    case FLAGOS_COMM_REDUCTION_BIT_XOR:
      return a ^ b;
    default:
      return is_truth ? a | b : is_floating(reduction.dtype) ? strict(a + b) : a + b;
  }
}

// Bits as integers in the order of the numbers, and back: the same step twice.
Tile order_key(const Tile& bits) {
  const bool is_wide = bits.dtype() == DType::i64;
  const Tile sign = bits >> (is_wide ? 63 : 31);
  return bits ^ (is_wide ? sign & 0x7fffffffffffffffLL : sign & 0x7fffffffLL);
}

// As reduce() in the deterministic mode: odd-even transposition.
void sort(std::vector<Tile>& values) {
  const DType dtype = values[0].dtype();
  const DType key = dtype == DType::f64 ? DType::i64 : DType::i32;
  std::vector<Tile> keys;
  for (const Tile& value : values) keys.push_back(order_key(bitcast(value, key)));
  for (std::size_t round = 0; round < keys.size(); ++round) {
    for (std::size_t i = round % 2; i + 1 < keys.size(); i += 2) {
      Tile low = min(keys[i], keys[i + 1]), high = max(keys[i], keys[i + 1]);
      keys[i] = std::move(low);
      keys[i + 1] = std::move(high);
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = bitcast(order_key(keys[i]), dtype);
}

void build(tile::Kernel& k, const Reduction& reduction, std::uint32_t source_count) {
  constexpr int block = kernel_block;
  const DType stored = stored_type(reduction.dtype), value = value_type(reduction);
  const tile::Pointer target = k.pointer("target", stored);
  std::vector<tile::Pointer> sources;
  for (std::uint32_t i = 0; i < source_count; ++i)
    sources.push_back(k.pointer("source" + std::to_string(i), stored));
  const Tile count = k.scalar("count", DType::i32);
  std::vector<Tile> scalars;
  const bool is_average = reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE;
  if (is_average) scalars.push_back(k.scalar("divisor", value));
  for (std::uint32_t i = 0; i < source_count && reduction.kind == premultiplied_sum; ++i)
    scalars.push_back(k.scalar("scale" + std::to_string(i), value));
  const Tile at = k.program_id(0) * block;
  const bool is_truth = reduction.dtype == FLAGOS_DTYPE_BOOL;
  std::vector<Tile> values;
  for (std::uint32_t i = 0; i < source_count; ++i) {
    Tile loaded = cast(k.load(k.view(sources[i], {count}, {1}), {at}, {block}), value);
    if (is_truth) loaded = cast(loaded != 0, DType::u8);
    if (reduction.kind == premultiplied_sum) loaded = strict(loaded * scalars[i]);
    values.push_back(std::move(loaded));
  }
  if (is_sorted(reduction)) sort(values);
  Tile result = values[0];
  for (std::uint32_t i = 1; i < source_count; ++i) result = combine(reduction, result, values[i]);
  if (is_average) result = result / scalars[0];
  k.store(k.view(target, {count}, {1}), {at}, cast(result, stored));
}

}  // namespace

bool has_kernel(const Reduction& reduction, std::uint32_t source_count) {
  if (source_count < 2 || source_count > most_kernel_sources || !is_defined(reduction))
    return false;
  const std::uint32_t bytes = dtype_bytes(reduction.dtype);
  if (is_floating(reduction.dtype) && bytes == 1) return false;
  if (is_complex(reduction.dtype)) return reduction.kind != FLAGOS_COMM_REDUCTION_PRODUCT;
  return is_floating(reduction.dtype) || bytes < 8 ||
         reduction.kind != FLAGOS_COMM_REDUCTION_AVERAGE;
}

std::uint32_t numbers_in(const Reduction& reduction) { return is_complex(reduction.dtype) ? 2 : 1; }

Scalar scalar_of(const Reduction& reduction) {
  const DType value = value_type(reduction);
  return value == DType::f64 ? Scalar::f64 : value == DType::f32 ? Scalar::f32 : Scalar::i64;
}

std::string kernel_text(const Reduction& reduction, std::uint32_t source_count) {
  tile::Module module;
  module.kernel("reduce", {{"BLOCK", kernel_block}, {"SOURCES", source_count}},
                [&](tile::Kernel& k) { build(k, reduction, source_count); });
  return module.text();
}

}  // namespace flagos::comm
