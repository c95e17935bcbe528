// GLSL 4.6 for Vulkan, in the convention of the vulkan plugin: one text for all kernels, each in `#ifdef
// FLAGOS_KERNEL_<name>`; memory by 64-bit addresses; arguments in a block of push constants, or a buffer where they are
// more than every device takes.
#include <fmt/format.h>

#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {
namespace {

constexpr std::uint32_t kPushBytes = 128;

// An int becomes an int64_t by its halves: Mesa (seen in 22.3) compares what was widened with a constant wrongly
// (plugins/vulkan/driver_bugs).
constexpr std::string_view kPrelude = R"(#define i32 int
#define u32 uint
#define i64 int64_t
#define u64 uint64_t
#define f32 float
#define FN
#define PRECISE precise
#define RINT(x) roundEven(x)
#define SQRT(x) sqrt(x)
#define FLOOR(x) floor(x)
#define UNROLL(n)
#define to_i32(x) int(x)
#define to_u32(x) uint(x)
#define to_f32(x) float(x)
#define bits_f32(x) floatBitsToUint(x)
#define f32_bits(x) uintBitsToFloat(x)
#define U64(high, low) ((uint64_t(uint(high)) << 32) | uint64_t(uint(low)))
#define group_id(axis) gl_WorkGroupID[axis]
#define group_count(axis) gl_NumWorkGroups[axis]
#define LOCAL_BARRIER memoryBarrierShared(); barrier()
#define GLOBAL_BARRIER memoryBarrierBuffer(); memoryBarrierShared(); barrier()
#define LOCAL_ADD(i, x) atomicAdd(L[i], x)
#define FAIL(word) if (t == 0u) a.flagos_status.value = word
int64_t to_i64(int x) { return packInt2x32(ivec2(x, x >> 31)); }
int64_t to_i64(uint x) { return int64_t(x); }
int64_t to_i64(int64_t x) { return x; }
int64_t to_i64(uint64_t x) { return int64_t(x); }
int64_t to_i64(float x) { return int64_t(x); }
uint64_t to_u64(int x) { return uint64_t(to_i64(x)); }
uint64_t to_u64(uint x) { return uint64_t(x); }
uint64_t to_u64(int64_t x) { return uint64_t(x); }
uint64_t to_u64(uint64_t x) { return x; }
uint64_t to_u64(float x) { return uint64_t(x); }
float strict_add_f32(float a, float b) { precise float r = a + b; return r; }
float strict_sub_f32(float a, float b) { precise float r = a - b; return r; }
float strict_mul_f32(float a, float b) { precise float r = a * b; return r; }
#define MEMORY(type, align) layout(buffer_reference, scalar, buffer_reference_align = align) COHERENT buffer
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Status { int value; };
MEMORY(i8, 1) M_i8 { int8_t at; };
MEMORY(u8, 1) M_u8 { uint8_t at; };
MEMORY(i16, 2) M_i16 { int16_t at; };
MEMORY(u16, 2) M_u16 { uint16_t at; };
MEMORY(i32, 4) M_i32 { int at; };
MEMORY(u32, 4) M_u32 { uint at; };
MEMORY(i64, 8) M_i64 { int64_t at; };
MEMORY(u64, 8) M_u64 { uint64_t at; };
MEMORY(f32, 4) M_f32 { float at; };
#define ADDRESS(p, i, bytes) (p + uint64_t(i) * uint64_t(bytes))
#define load_i1(p, i) (M_u8(ADDRESS(p, i, 1)).at != uint8_t(0))
#define load_i8(p, i) int(M_i8(ADDRESS(p, i, 1)).at)
#define load_i16(p, i) int(M_i16(ADDRESS(p, i, 2)).at)
#define load_i32(p, i) M_i32(ADDRESS(p, i, 4)).at
#define load_i64(p, i) M_i64(ADDRESS(p, i, 8)).at
#define load_u8(p, i) uint(M_u8(ADDRESS(p, i, 1)).at)
#define load_u16(p, i) uint(M_u16(ADDRESS(p, i, 2)).at)
#define load_u32(p, i) M_u32(ADDRESS(p, i, 4)).at
#define load_u64(p, i) M_u64(ADDRESS(p, i, 8)).at
#define load_f16(p, i) load_u16(p, i)
#define load_bf16(p, i) load_u16(p, i)
#define load_f32(p, i) M_f32(ADDRESS(p, i, 4)).at
#define load_f64(p, i) M_f64(ADDRESS(p, i, 8)).at
#define load_f8e4m3(p, i) load_u8(p, i)
#define load_f8e5m2(p, i) load_u8(p, i)
#define store_i1(p, i, x) M_u8(ADDRESS(p, i, 1)).at = uint8_t((x) ? 1 : 0)
#define store_i8(p, i, x) M_i8(ADDRESS(p, i, 1)).at = int8_t(x)
#define store_i16(p, i, x) M_i16(ADDRESS(p, i, 2)).at = int16_t(x)
#define store_i32(p, i, x) M_i32(ADDRESS(p, i, 4)).at = (x)
#define store_i64(p, i, x) M_i64(ADDRESS(p, i, 8)).at = (x)
#define store_u8(p, i, x) M_u8(ADDRESS(p, i, 1)).at = uint8_t(x)
#define store_u16(p, i, x) M_u16(ADDRESS(p, i, 2)).at = uint16_t(x)
#define store_u32(p, i, x) M_u32(ADDRESS(p, i, 4)).at = (x)
#define store_u64(p, i, x) M_u64(ADDRESS(p, i, 8)).at = (x)
#define store_f16(p, i, x) store_u16(p, i, x)
#define store_bf16(p, i, x) store_u16(p, i, x)
#define store_f32(p, i, x) M_f32(ADDRESS(p, i, 4)).at = (x)
#define store_f64(p, i, x) M_f64(ADDRESS(p, i, 8)).at = (x)
#define store_f8e4m3(p, i, x) store_u8(p, i, x)
#define store_f8e5m2(p, i, x) store_u8(p, i, x)
)";

constexpr std::string_view kDouble = R"(#define f64 double
#define to_f64(x) double(x)
int64_t to_i64(double x) { return int64_t(x); }
uint64_t to_u64(double x) { return uint64_t(x); }
#define bits_f64(x) packUint2x32(unpackDouble2x32(x))
#define f64_bits(x) packDouble2x32(unpackUint2x32(x))
MEMORY(f64, 8) M_f64 { double at; };
double strict_add_f64(double a, double b) { precise double r = a + b; return r; }
double strict_sub_f64(double a, double b) { precise double r = a - b; return r; }
double strict_mul_f64(double a, double b) { precise double r = a * b; return r; }
)";

constexpr std::string_view kAtomic = R"(#define FENCE memoryBarrierBuffer()
#define atomic_load_u32(a) atomicOr(M_u32(a).at, 0u)
#define atomic_cas_u32(a, old, new) atomicCompSwap(M_u32(a).at, old, new)
#define atomic_exchange_u32(a, x) atomicExchange(M_u32(a).at, x)
#define atomic_add_i32(a, x) atomicAdd(M_i32(a).at, x)
#define atomic_add_u32(a, x) atomicAdd(M_u32(a).at, x)
#define atomic_min_i32(a, x) atomicMin(M_i32(a).at, x)
#define atomic_min_u32(a, x) atomicMin(M_u32(a).at, x)
#define atomic_max_i32(a, x) atomicMax(M_i32(a).at, x)
#define atomic_max_u32(a, x) atomicMax(M_u32(a).at, x)
#define atomic_and_i32(a, x) atomicAnd(M_i32(a).at, x)
#define atomic_and_u32(a, x) atomicAnd(M_u32(a).at, x)
#define atomic_or_i32(a, x) atomicOr(M_i32(a).at, x)
#define atomic_or_u32(a, x) atomicOr(M_u32(a).at, x)
#define atomic_xor_i32(a, x) atomicXor(M_i32(a).at, x)
#define atomic_xor_u32(a, x) atomicXor(M_u32(a).at, x)
)";

constexpr std::string_view kAtomic64 = R"(#define atomic_load_u64(a) atomicOr(M_u64(a).at, uint64_t(0))
#define atomic_cas_u64(a, old, new) atomicCompSwap(M_u64(a).at, old, new)
#define atomic_exchange_u64(a, x) atomicExchange(M_u64(a).at, x)
#define atomic_add_i64(a, x) atomicAdd(M_i64(a).at, x)
#define atomic_add_u64(a, x) atomicAdd(M_u64(a).at, x)
#define atomic_min_i64(a, x) atomicMin(M_i64(a).at, x)
#define atomic_min_u64(a, x) atomicMin(M_u64(a).at, x)
#define atomic_max_i64(a, x) atomicMax(M_i64(a).at, x)
#define atomic_max_u64(a, x) atomicMax(M_u64(a).at, x)
#define atomic_and_i64(a, x) atomicAnd(M_i64(a).at, x)
#define atomic_and_u64(a, x) atomicAnd(M_u64(a).at, x)
#define atomic_or_i64(a, x) atomicOr(M_i64(a).at, x)
#define atomic_or_u64(a, x) atomicOr(M_u64(a).at, x)
#define atomic_xor_i64(a, x) atomicXor(M_i64(a).at, x)
#define atomic_xor_u64(a, x) atomicXor(M_u64(a).at, x)
)";

std::string_view argument_type(const Type& type) {
  if (type.kind == Type::Kind::pointer) return "uint64_t";
  switch (type.dtype) {
    case DType::i64:
      return "int64_t";
    case DType::f32:
      return "float";
    case DType::f64:
      return "double";
    default:
      return "int";
  }
}

class Glsl final : public SimtDialect {
 public:
  std::string prelude(const Module& module, const SimtNeeds& needs) const override {
    std::string text = "#version 460\n";
    for (const Kernel& kernel : module.kernels) text += fmt::format("#pragma flagos kernel({})\n", kernel.name);
    for (const std::string_view name :
         {"EXT_buffer_reference", "EXT_scalar_block_layout", "EXT_shader_explicit_arithmetic_types_int64",
          "EXT_shader_explicit_arithmetic_types_int8", "EXT_shader_explicit_arithmetic_types_int16",
          "EXT_shader_8bit_storage", "EXT_shader_16bit_storage"})
      text += fmt::format("#extension GL_{} : require\n", name);
    if (needs.atomic64) text += "#extension GL_EXT_shader_atomic_int64 : require\n";
    if (!module.files.empty()) text += "#extension GL_GOOGLE_cpp_style_line_directive : require\n";
    text += fmt::format("#define COHERENT{}\n", needs.shared_memory ? " coherent" : "");
    text += kPrelude;
    if (needs.f64) text += kDouble;
    if (needs.atomic) text += kAtomic;
    if (needs.atomic64) text += kAtomic64;
    return text;
  }

  std::string kernel(const SimtKernel& made) const override {
    std::string members, names;
    std::uint32_t bytes = made.fails ? 8 : 0;
    for (std::size_t i = 0; i < made.kernel->arguments.size(); ++i) {
      const Type& type = made.kernel->values[i];
      const std::string name = fmt::format("p{}{}", i, type.kind == Type::Kind::pointer ? "_address" : "");
      members += fmt::format("  {} {};\n", argument_type(type), name);
      names += fmt::format("const {} p{} = a.{};\n", argument_type(type), i, name);
      bytes += 8;
    }
    if (made.fails) members += "  Status flagos_status;\n";
    std::string text =
        fmt::format("#ifdef FLAGOS_KERNEL_{}\nlayout(local_size_x = {}) in;\n", made.kernel->name, made.threads);
    if (!members.empty())
      text += fmt::format("layout({}, scalar) {} Arguments {{\n{}}} a;\n",
                          bytes <= kPushBytes ? "push_constant" : "set = 0, binding = 0",
                          bytes <= kPushBytes ? "uniform" : "readonly buffer", members);
    if (made.local_words > 0) text += fmt::format("shared uint L[{}];\n", made.local_words);
    return text + "void main() {\n" + names + "const uint t = gl_LocalInvocationID.x;\n" + made.body + "}\n#endif\n";
  }

  // Vulkan lets the functions of f32 be far off, and has none of f64: those are ours.
  std::string function(OpCode code, DType) const override {
    switch (code) {
      case OpCode::sqrt:
      case OpCode::floor:
      case OpCode::ceil:
      case OpCode::trunc:
        return std::string(info(code).name);
      case OpCode::rint:
        return "roundEven";
      default:
        return "";
    }
  }

  std::string location(std::uint32_t line, std::string_view file) const override {
    return fmt::format("#line {} \"{}\"", line, file);
  }
};

}  // namespace

std::unique_ptr<SimtDialect> make_glsl() { return std::make_unique<Glsl>(); }

}  // namespace flagos::compiler
