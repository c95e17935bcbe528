#include "base/reduce/reduce.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <memory>

namespace flagos {
namespace {

struct Type {
  flagos_dtype_t dtype;
  const char* name;
  enum Class { boolean, integer, floating, complex } type_class;
};
constexpr std::array<Type, dtype_count> types = {{
    {FLAGOS_DTYPE_BOOL, "bool", Type::boolean},
    {FLAGOS_DTYPE_INT8, "int8", Type::integer},
    {FLAGOS_DTYPE_INT16, "int16", Type::integer},
    {FLAGOS_DTYPE_INT32, "int32", Type::integer},
    {FLAGOS_DTYPE_INT64, "int64", Type::integer},
    {FLAGOS_DTYPE_UINT8, "uint8", Type::integer},
    {FLAGOS_DTYPE_UINT16, "uint16", Type::integer},
    {FLAGOS_DTYPE_UINT32, "uint32", Type::integer},
    {FLAGOS_DTYPE_UINT64, "uint64", Type::integer},
    {FLAGOS_DTYPE_FLOAT8_E4M3FN, "float8_e4m3fn", Type::floating},
    {FLAGOS_DTYPE_FLOAT8_E5M2, "float8_e5m2", Type::floating},
    {FLAGOS_DTYPE_FLOAT16, "float16", Type::floating},
    {FLAGOS_DTYPE_BFLOAT16, "bfloat16", Type::floating},
    {FLAGOS_DTYPE_FLOAT32, "float32", Type::floating},
    {FLAGOS_DTYPE_FLOAT64, "float64", Type::floating},
    {FLAGOS_DTYPE_COMPLEX64, "complex64", Type::complex},
}};

// Where a dtype would be in an index of them all: asked for several times in each operation.
constexpr std::size_t place_of(flagos_dtype_t dtype) {
  return (FLAGOS_DTYPE_CODE(dtype) * 8 + static_cast<std::size_t>(std::countr_zero(FLAGOS_DTYPE_BITS(dtype) | 128U))) %
         128;
}
constexpr std::array<std::uint8_t, 128> type_at = [] {
  std::array<std::uint8_t, 128> index{};
  for (std::size_t i = 0; i < types.size(); ++i) index[place_of(types[i].dtype)] = static_cast<std::uint8_t>(i);
  return index;
}();

const Type* find(flagos_dtype_t dtype) {
  const Type& type = types[type_at[place_of(dtype)]];
  return type.dtype == dtype ? &type : nullptr;
}

ReduceFunction* choose() {
#ifdef FLAGOS_REDUCE_LOOPS_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return reduce_v4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return reduce_v3;
#endif
  return reduce_baseline;
}

// Of the thread, on the heap: large thread-local arrays would take the stacks of all threads of the process.
void* workspace() {
  static thread_local std::unique_ptr<std::byte[]> bytes;
  if (bytes == nullptr) bytes = std::make_unique<std::byte[]>(workspace_bytes);
  return bytes.get();
}

}  // namespace

const char* reduction_name(std::uint8_t reduction) {
  static constexpr std::array<const char*, 9> names = {
      "sum", "product", "min", "max", "average", "bit_and", "bit_or", "bit_xor", "premultiplied sum"};
  return reduction < names.size() ? names[reduction] : "unknown";
}

flagos_dtype_t dtype_at(std::uint32_t number) { return types[number].dtype; }

std::uint32_t dtype_number(flagos_dtype_t dtype) {
  const Type* const type = find(dtype);
  return type != nullptr ? static_cast<std::uint32_t>(type - types.data()) : dtype_count;
}

std::uint32_t dtype_bytes(flagos_dtype_t dtype) {
  return find(dtype) != nullptr ? (FLAGOS_DTYPE_BITS(dtype) + 7) / 8 : 0;
}

const char* dtype_name(flagos_dtype_t dtype) {
  const Type* const type = find(dtype);
  return type != nullptr ? type->name : "no dtype of collectives";
}

bool is_exact(flagos_dtype_t dtype) {
  const Type* const type = find(dtype);
  return type != nullptr && (type->type_class == Type::boolean || type->type_class == Type::integer);
}

bool is_narrow(flagos_dtype_t dtype) {
  const Type* const type = find(dtype);
  return type != nullptr && type->type_class == Type::floating && FLAGOS_DTYPE_BITS(dtype) < 32;
}

bool is_defined(const Reduction& reduction) {
  const Type* const type = find(reduction.dtype);
  if (type == nullptr) return false;
  switch (reduction.kind) {
    case FLAGOS_COMM_REDUCTION_SUM:
    case FLAGOS_COMM_REDUCTION_PRODUCT:
      return true;
    case FLAGOS_COMM_REDUCTION_MIN:
    case FLAGOS_COMM_REDUCTION_MAX:
      return type->type_class != Type::complex;
    case FLAGOS_COMM_REDUCTION_AVERAGE:
      return type->type_class != Type::boolean;
    case FLAGOS_COMM_REDUCTION_BIT_AND:
    case FLAGOS_COMM_REDUCTION_BIT_OR:
    case FLAGOS_COMM_REDUCTION_BIT_XOR:
      return type->type_class == Type::integer || type->type_class == Type::boolean;
    case premultiplied_sum:
      return type->type_class == Type::floating || type->type_class == Type::complex;
    default:
      return false;
  }
}

void reduce(const Reduction& reduction, std::uint32_t source_count, const void* const* sources, const double* scales,
            std::uint32_t divisor, void* target, std::uint64_t count) {
  static ReduceFunction* const function = choose();
  function(reduction, source_count, sources, scales, divisor, target, count,
           reduction.deterministic ? workspace() : nullptr);
}

}  // namespace flagos
