// OpenCL C 1.2: what it spells its own way. No fp16 is needed, fp64 and 64-bit atomics only where a kernel uses them.
// To round every division and square root once, build with -cl-fp32-correctly-rounded-divide-sqrt where the device has
// it; never with -cl-fast-relaxed-math.
#include <fmt/format.h>

#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {
namespace {

constexpr std::string_view kPrelude = R"(typedef int i32;
typedef uint u32;
typedef long i64;
typedef ulong u64;
typedef float f32;
#define FN
#define UNROLL(n)
#define to_i32(x) ((i32)(x))
#define to_u32(x) ((u32)(x))
#define to_i64(x) ((i64)(x))
#define to_u64(x) ((u64)(x))
#define to_f32(x) ((f32)(x))
#define bits_f32(x) as_uint((f32)(x))
#define f32_bits(x) as_float((u32)(x))
#define U64(high, low) (((u64)(u32)(high) << 32) | (u32)(low))
#define group_id(axis) get_group_id(axis)
#define group_count(axis) get_num_groups(axis)
#define strict_add_f32(a, b) ((a) + (b))
#define strict_sub_f32(a, b) ((a) - (b))
#define strict_mul_f32(a, b) ((a) * (b))
#define LOCAL_BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define GLOBAL_BARRIER barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define LOCAL_ADD(i, x) atomic_add((volatile __local u32*)&L[i], x)
#define FAIL(word) if (t == 0u) *flagos_failure = word
#define load_i1(p, i) ((p)[i] != 0)
#define load_i8(p, i) ((i32)(p)[i])
#define load_i16(p, i) ((i32)(p)[i])
#define load_i32(p, i) ((p)[i])
#define load_i64(p, i) ((p)[i])
#define load_u8(p, i) ((u32)(p)[i])
#define load_u16(p, i) ((u32)(p)[i])
#define load_u32(p, i) ((p)[i])
#define load_u64(p, i) ((p)[i])
#define load_f16(p, i) ((u32)(p)[i])
#define load_bf16(p, i) ((u32)(p)[i])
#define load_f32(p, i) ((p)[i])
#define load_f64(p, i) ((p)[i])
#define load_f8e4m3(p, i) ((u32)(p)[i])
#define load_f8e5m2(p, i) ((u32)(p)[i])
#define store_i1(p, i, x) (p)[i] = (x) ? 1 : 0
#define store_i8(p, i, x) (p)[i] = (char)(x)
#define store_i16(p, i, x) (p)[i] = (short)(x)
#define store_i32(p, i, x) (p)[i] = (x)
#define store_i64(p, i, x) (p)[i] = (x)
#define store_u8(p, i, x) (p)[i] = (uchar)(x)
#define store_u16(p, i, x) (p)[i] = (ushort)(x)
#define store_u32(p, i, x) (p)[i] = (x)
#define store_u64(p, i, x) (p)[i] = (x)
#define store_f16(p, i, x) (p)[i] = (ushort)(x)
#define store_bf16(p, i, x) (p)[i] = (ushort)(x)
#define store_f32(p, i, x) (p)[i] = (x)
#define store_f64(p, i, x) (p)[i] = (x)
#define store_f8e4m3(p, i, x) (p)[i] = (uchar)(x)
#define store_f8e5m2(p, i, x) (p)[i] = (uchar)(x)
)";

constexpr std::string_view kDouble = R"(#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double f64;
#define to_f64(x) ((f64)(x))
#define bits_f64(x) as_ulong((f64)(x))
#define f64_bits(x) as_double((u64)(x))
#define strict_add_f64(a, b) ((a) + (b))
#define strict_sub_f64(a, b) ((a) - (b))
#define strict_mul_f64(a, b) ((a) * (b))
)";

constexpr std::string_view kAtomic = R"(#define FENCE mem_fence(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define ADDRESS(p, i, bytes) ((u64)(p) + (u64)(i) * bytes)
#define AT(type, a) ((volatile __global type*)(a))
#define atomic_load_u32(a) (*AT(u32, a))
#define atomic_cas_u32(a, old, new) atomic_cmpxchg(AT(u32, a), old, new)
#define atomic_exchange_u32(a, x) atomic_xchg(AT(u32, a), x)
#define atomic_add_i32(a, x) atomic_add(AT(i32, a), x)
#define atomic_add_u32(a, x) atomic_add(AT(u32, a), x)
#define atomic_min_i32(a, x) atomic_min(AT(i32, a), x)
#define atomic_min_u32(a, x) atomic_min(AT(u32, a), x)
#define atomic_max_i32(a, x) atomic_max(AT(i32, a), x)
#define atomic_max_u32(a, x) atomic_max(AT(u32, a), x)
#define atomic_and_i32(a, x) atomic_and(AT(i32, a), x)
#define atomic_and_u32(a, x) atomic_and(AT(u32, a), x)
#define atomic_or_i32(a, x) atomic_or(AT(i32, a), x)
#define atomic_or_u32(a, x) atomic_or(AT(u32, a), x)
#define atomic_xor_i32(a, x) atomic_xor(AT(i32, a), x)
#define atomic_xor_u32(a, x) atomic_xor(AT(u32, a), x)
)";

constexpr std::string_view kAtomic64 = R"(#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#define atomic_load_u64(a) (*AT(u64, a))
#define atomic_cas_u64(a, old, new) atom_cmpxchg(AT(u64, a), old, new)
#define atomic_exchange_u64(a, x) atom_xchg(AT(u64, a), x)
#define atomic_add_i64(a, x) atom_add(AT(i64, a), x)
#define atomic_add_u64(a, x) atom_add(AT(u64, a), x)
#define atomic_min_i64(a, x) atom_min(AT(i64, a), x)
#define atomic_min_u64(a, x) atom_min(AT(u64, a), x)
#define atomic_max_i64(a, x) atom_max(AT(i64, a), x)
#define atomic_max_u64(a, x) atom_max(AT(u64, a), x)
#define atomic_and_i64(a, x) atom_and(AT(i64, a), x)
#define atomic_and_u64(a, x) atom_and(AT(u64, a), x)
#define atomic_or_i64(a, x) atom_or(AT(i64, a), x)
#define atomic_or_u64(a, x) atom_or(AT(u64, a), x)
#define atomic_xor_i64(a, x) atom_xor(AT(i64, a), x)
#define atomic_xor_u64(a, x) atom_xor(AT(u64, a), x)
)";

}  // namespace

std::string_view opencl_type(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return "char";
    case DType::i16:
      return "short";
    case DType::i32:
      return "int";
    case DType::i64:
      return "long";
    case DType::u32:
      return "uint";
    case DType::u64:
      return "ulong";
    case DType::f32:
      return "float";
    case DType::f64:
      return "double";
    default:
      return info(dtype).bytes == 1 ? "uchar" : "ushort";
  }
}

namespace {

class OpenclC final : public SimtDialect {
 public:
  std::string prelude(const Module&, const SimtNeeds& needs) const override {
    std::string text = fmt::format("#pragma OPENCL FP_CONTRACT {}\n", needs.strict ? "OFF" : "ON");
    text += kPrelude;
    if (needs.f64) text += kDouble;
    if (needs.atomic) text += kAtomic;
    if (needs.atomic64) text += kAtomic64;
    return text;
  }

  std::string kernel(const SimtKernel& made) const override {
    std::string arguments;
    for (std::size_t i = 0; i < made.kernel->arguments.size(); ++i) {
      const Type& type = made.kernel->values[i];
      const auto argument = static_cast<ValueId>(i);
      const std::string_view dtype = opencl_type(type.dtype);
      arguments += i == 0 ? "" : ", ";
      arguments +=
          type.kind == Type::Kind::pointer
              ? fmt::format("__global {}{}* p{}", is_readonly(*made.kernel, argument) ? "const " : "", dtype, i)
              : fmt::format("{} p{}", dtype, i);
    }
    if (made.fails) arguments += std::string(arguments.empty() ? "" : ", ") + "__global int* flagos_failure";
    return fmt::format(
        "__kernel __attribute__((reqd_work_group_size({}, 1, 1))) void {}({}) {{\n{}const u32 t = "
        "(u32)get_local_id(0);\n{}}}\n",
        made.threads, symbol(*made.kernel), arguments,
        made.local_words > 0 ? fmt::format("__local u32 L[{}];\n", made.local_words) : "", made.body);
  }

  std::string symbol(const Kernel& kernel) const override { return entry_of(kernel); }

  std::string function(OpCode code, DType) const override {
    return code == OpCode::rem ? "fmod" : std::string(info(code).name);
  }

  std::optional<std::string_view> printf_length() const override { return "l"; }

  std::string location(std::uint32_t line, std::string_view file) const override {
    return fmt::format("#line {} \"{}\"", line, file);
  }
};

}  // namespace

std::unique_ptr<SimtDialect> make_opencl_c() { return std::make_unique<OpenclC>(); }

}  // namespace flagos::compiler
