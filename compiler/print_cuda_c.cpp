// CUDA C++ for NVRTC or nvcc, without any header. Divisions and square roots round once unless -use_fast_math is given:
// do not give it.
#include <fmt/format.h>

#include <charconv>

#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {
namespace {

constexpr std::string_view kPrelude = R"(typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
#define FN static __device__ __forceinline__
#define UNROLL(n) _Pragma("unroll")
#define to_i32(x) ((i32)(x))
#define to_u32(x) ((u32)(x))
#define to_i64(x) ((i64)(x))
#define to_u64(x) ((u64)(x))
#define to_f32(x) ((f32)(x))
#define to_f64(x) ((f64)(x))
#define bits_f32(x) __float_as_uint(x)
#define f32_bits(x) __uint_as_float(x)
#define bits_f64(x) ((u64)__double_as_longlong(x))
#define f64_bits(x) __longlong_as_double((i64)(x))
#define U64(high, low) (((u64)(u32)(high) << 32) | (u32)(low))
#define group_id(axis) ((axis) == 0 ? blockIdx.x : (axis) == 1 ? blockIdx.y : blockIdx.z)
#define group_count(axis) ((axis) == 0 ? gridDim.x : (axis) == 1 ? gridDim.y : gridDim.z)
#define strict_add_f32(a, b) __fadd_rn(a, b)
#define strict_sub_f32(a, b) __fsub_rn(a, b)
#define strict_mul_f32(a, b) __fmul_rn(a, b)
#define strict_add_f64(a, b) __dadd_rn(a, b)
#define strict_sub_f64(a, b) __dsub_rn(a, b)
#define strict_mul_f64(a, b) __dmul_rn(a, b)
#define LOCAL_BARRIER __syncthreads()
#define GLOBAL_BARRIER __syncthreads()
#define LOCAL_ADD(i, x) atomicAdd(&L[i], x)
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
#define store_i8(p, i, x) (p)[i] = (signed char)(x)
#define store_i16(p, i, x) (p)[i] = (short)(x)
#define store_i32(p, i, x) (p)[i] = (x)
#define store_i64(p, i, x) (p)[i] = (x)
#define store_u8(p, i, x) (p)[i] = (unsigned char)(x)
#define store_u16(p, i, x) (p)[i] = (unsigned short)(x)
#define store_u32(p, i, x) (p)[i] = (x)
#define store_u64(p, i, x) (p)[i] = (x)
#define store_f16(p, i, x) (p)[i] = (unsigned short)(x)
#define store_bf16(p, i, x) (p)[i] = (unsigned short)(x)
#define store_f32(p, i, x) (p)[i] = (x)
#define store_f64(p, i, x) (p)[i] = (x)
#define store_f8e4m3(p, i, x) (p)[i] = (unsigned char)(x)
#define store_f8e5m2(p, i, x) (p)[i] = (unsigned char)(x)
)";

// The signed 64-bit addition and exchange are those of the unsigned type.
constexpr std::string_view kAtomic = R"(#define FENCE __threadfence()
#define ADDRESS(p, i, bytes) ((u64)(p) + (u64)(i) * bytes)
#define atomic_load_u32(a) (*(volatile u32*)(a))
#define atomic_cas_u32(a, old, new) atomicCAS((u32*)(a), old, new)
#define atomic_exchange_u32(a, x) atomicExch((u32*)(a), x)
#define atomic_add_i32(a, x) atomicAdd((i32*)(a), x)
#define atomic_add_u32(a, x) atomicAdd((u32*)(a), x)
#define atomic_min_i32(a, x) atomicMin((i32*)(a), x)
#define atomic_min_u32(a, x) atomicMin((u32*)(a), x)
#define atomic_max_i32(a, x) atomicMax((i32*)(a), x)
#define atomic_max_u32(a, x) atomicMax((u32*)(a), x)
#define atomic_and_i32(a, x) atomicAnd((i32*)(a), x)
#define atomic_and_u32(a, x) atomicAnd((u32*)(a), x)
#define atomic_or_i32(a, x) atomicOr((i32*)(a), x)
#define atomic_or_u32(a, x) atomicOr((u32*)(a), x)
#define atomic_xor_i32(a, x) atomicXor((i32*)(a), x)
#define atomic_xor_u32(a, x) atomicXor((u32*)(a), x)
#define atomic_load_u64(a) (*(volatile u64*)(a))
#define atomic_cas_u64(a, old, new) atomicCAS((u64*)(a), old, new)
#define atomic_exchange_u64(a, x) atomicExch((u64*)(a), x)
#define atomic_add_i64(a, x) ((i64)atomicAdd((u64*)(a), (u64)(x)))
#define atomic_add_u64(a, x) atomicAdd((u64*)(a), x)
#define atomic_min_i64(a, x) atomicMin((i64*)(a), x)
#define atomic_min_u64(a, x) atomicMin((u64*)(a), x)
#define atomic_max_i64(a, x) atomicMax((i64*)(a), x)
#define atomic_max_u64(a, x) atomicMax((u64*)(a), x)
#define atomic_and_i64(a, x) ((i64)atomicAnd((u64*)(a), (u64)(x)))
#define atomic_and_u64(a, x) atomicAnd((u64*)(a), x)
#define atomic_or_i64(a, x) ((i64)atomicOr((u64*)(a), (u64)(x)))
#define atomic_or_u64(a, x) atomicOr((u64*)(a), x)
#define atomic_xor_i64(a, x) ((i64)atomicXor((u64*)(a), (u64)(x)))
#define atomic_xor_u64(a, x) atomicXor((u64*)(a), x)
)";

// What tensor cores and copies beside the work are, one function an instruction. A host that runs this text brings its
// own: tests do, to check which lane holds what.
constexpr std::string_view kTensor = R"(#define L16(i) ((unsigned short*)(L + (i)))
#ifndef FLAGOS_CUDA_TWIN
FN u32 tc_address(const void* local) { return (u32)__cvta_generic_to_shared(local); }
FN void tc_load4(u32* x, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(tc_address(row)) : "memory");
}
FN void tc_load4_trans(u32* x, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(tc_address(row)) : "memory");
}
FN void tc_load2(u32* x, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(x[0]), "=r"(x[1]) : "r"(tc_address(row)) : "memory");
}
FN void tc_load2_trans(u32* x, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(x[0]), "=r"(x[1]) : "r"(tc_address(row)) : "memory");
}
#define TC_MMA(name, sum, inout, kind)                                                                         \
  FN void tc_mma_##name(sum* d, const u32* a, const u32* b) {                                                 \
    asm volatile("mma.sync.aligned." kind " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"  \
                 : inout(d[0]), inout(d[1]), inout(d[2]), inout(d[3])                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                         \
  }
TC_MMA(f16, f32, "+f", "m16n8k16.row.col.f32.f16.f16.f32")
TC_MMA(bf16, f32, "+f", "m16n8k16.row.col.f32.bf16.bf16.f32")
TC_MMA(tf32, f32, "+f", "m16n8k8.row.col.f32.tf32.tf32.f32")
TC_MMA(s8, i32, "+r", "m16n8k32.row.col.s32.s8.s8.s32")
TC_MMA(u8, i32, "+r", "m16n8k32.row.col.s32.u8.u8.s32")
FN u32 tc_tf32(u32 x) {
  u32 y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(__uint_as_float(x)));
  return y;
}
FN void tc_copy16(void* local, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(tc_address(local)), "l"(global) : "memory");
}
FN void tc_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups> FN void tc_wait_but() { asm volatile("cp.async.wait_group %0;" :: "n"(groups) : "memory"); }
FN void tc_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif
)";

// Compilers before CUDA 12.4 do not know these.
constexpr std::string_view kTensorF8 = R"(#ifndef FLAGOS_CUDA_TWIN
TC_MMA(e4m3, f32, "+f", "m16n8k32.row.col.f32.e4m3.e4m3.f32")
TC_MMA(e5m2, f32, "+f", "m16n8k32.row.col.f32.e5m2.e5m2.f32")
#endif
)";

std::string_view memory_type(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return "signed char";
    case DType::i16:
      return "short";
    case DType::i32:
      return "int";
    case DType::i64:
      return "long long";
    case DType::u32:
      return "unsigned int";
    case DType::u64:
      return "unsigned long long";
    case DType::f32:
      return "float";
    case DType::f64:
      return "double";
    default:
      return info(dtype).bytes == 1 ? "unsigned char" : "unsigned short";
  }
}

class CudaC final : public SimtDialect {
 public:
  // A strict operation is an intrinsic: nothing else keeps the compiler from contracting.
  std::string prelude(const Module&, const SimtNeeds& needs) const override {
    return fmt::format("{}{}{}{}", kPrelude, needs.atomic ? kAtomic : "", needs.tensor ? kTensor : "",
                       needs.tensor_f8 ? kTensorF8 : "");
  }

  // mma of 32 bytes of depth and cp.async came with compute capability 8.0, mma of f8 with 8.9.
  TensorCores tensor_cores(const Target& target) const override {
    unsigned capability = 0;
    const std::string_view isa = target.isa;
    if (!isa.starts_with("sm_")) return {};
    std::from_chars(isa.data() + 3, isa.data() + isa.size(), capability);
    return {capability >= 80, capability >= 89 && !target.lacks("mma_f8")};
  }

  std::string kernel(const SimtKernel& made) const override {
    std::string arguments;
    for (std::size_t i = 0; i < made.kernel->arguments.size(); ++i) {
      const Type& type = made.kernel->values[i];
      const auto argument = static_cast<ValueId>(i);
      arguments += i == 0 ? "" : ", ";
      if (type.kind != Type::Kind::pointer) {
        arguments += fmt::format("{} p{}", memory_type(type.dtype), i);
        continue;
      }
      const bool readonly = is_readonly(*made.kernel, argument);
      arguments += fmt::format("{}{}*{} p{}", readonly ? "const " : "", memory_type(type.dtype),
                               readonly ? " __restrict__" : "", i);
    }
    if (made.fails) arguments += std::string(arguments.empty() ? "" : ", ") + "int* flagos_failure";
    return fmt::format(
        "extern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n{}const u32 t = threadIdx.x;\n{}}}\n",
        made.threads, symbol(*made.kernel), arguments,
        made.local_words > 0 ? fmt::format("__shared__ __align__(16) u32 L[{}];\n", made.local_words) : "", made.body);
  }

  std::string symbol(const Kernel& kernel) const override { return entry_of(kernel); }

  std::string function(OpCode code, DType dtype) const override {
    const std::string name = code == OpCode::rem ? "fmod" : std::string(info(code).name);
    return name + (dtype == DType::f32 ? "f" : "");
  }

  std::optional<std::string_view> printf_length() const override { return "ll"; }

  std::string location(std::uint32_t line, std::string_view file) const override {
    return fmt::format("#line {} \"{}\"", line, file);
  }
};

}  // namespace

std::unique_ptr<SimtDialect> make_cuda_c() { return std::make_unique<CudaC>(); }

}  // namespace flagos::compiler
