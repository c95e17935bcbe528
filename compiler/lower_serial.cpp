// The serial schedule in C++ with GNU vectors: a function for each kernel, in the native convention of the cpu plugin.
#include <fmt/format.h>

#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"
#include "compiler/print_gnu_cxx.hpp"
#include "compiler/serial_emit.hpp"
#include "compiler/simplify.hpp"

namespace flagos::compiler {
namespace {

using gnu_cxx::memory_type;

// The places of at most this many bytes are on the stack of the thread; others come from the plugin.
constexpr std::size_t kStackBytes = 32 << 10;

struct Layout {
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
};

std::size_t bytes_of(const Type& type) {
  return type.kind == Type::Kind::pointer ? 8 : static_cast<std::size_t>(info(type.dtype).bytes);
}

Layout layout_of(const Kernel& kernel) {
  Layout layout;
  std::size_t alignment = 1;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const std::size_t bytes = bytes_of(kernel.values[i]);
    layout.bytes = (layout.bytes + bytes - 1) / bytes * bytes;
    layout.offsets.push_back(layout.bytes);
    layout.bytes += bytes;
    alignment = std::max(alignment, bytes);
  }
  layout.bytes = (layout.bytes + alignment - 1) / alignment * alignment;
  return layout;
}

// The packed arguments, as C++ and as the plugin is told of them.
std::string print_arguments(const Kernel& kernel, std::size_t index) {
  const Layout layout = layout_of(kernel);
  std::string members, parameters;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const Type& type = kernel.values[i];
    const bool pointer = type.kind == Type::Kind::pointer;
    const std::size_t bytes = bytes_of(type);
    members +=
        fmt::format("  {} v{};  // {}\n", pointer ? "u64" : memory_type(type.dtype), i, kernel.arguments[i].name);
    parameters += fmt::format(
        "    {{{:#x}, {}, {}, {}}},\n",
        static_cast<std::uint32_t>(pointer ? static_cast<flagos_dtype_t>(FLAGOS_DTYPE_ADDRESS) : info(type.dtype).abi),
        bytes, bytes, layout.offsets[i]);
  }
  std::string text = fmt::format("struct arguments_{} {{\n{}}};\n", index, members);
  if (!kernel.arguments.empty())
    text += fmt::format("const flagos_parameter_t parameters_{}[] = {{\n{}}};\n", index, parameters);
  return text;
}

std::string print_descriptor(const Kernel& kernel, std::size_t index, std::size_t shared_bytes) {
  return fmt::format(
      "extern \"C\" __attribute__((visibility(\"default\"))) const flagos_cpu_kernel_t flagos_cpu_kernel_{0};\n"
      "extern \"C\" const flagos_cpu_kernel_t flagos_cpu_kernel_{0} = {{(u32)sizeof(flagos_cpu_kernel_t), {1:#x}u,\n"
      "    flagos_tile::kernel_{2}, {3}, {4}, {5}, {6}, 1}};\n",
      kernel.name, FLAGOS_ABI_VERSION, index,
      kernel.arguments.empty() ? "0" : fmt::format("flagos_tile::parameters_{}", index), kernel.arguments.size(),
      layout_of(kernel).bytes, shared_bytes);
}

// As the cpu plugin compiles.
std::vector<std::string> options_of(const Target& target, bool has_dot) {
  std::vector<std::string> options = {"-std=gnu++17",
                                      has_dot ? "-O2" : "-O1",
                                      "-fno-math-errno",
                                      "-fno-trapping-math",
                                      "-ffp-contract=fast",
                                      "-fno-strict-aliasing",
                                      "-fwrapv",
                                      "-fPIC",
                                      "-shared",
                                      "-nostdlib",
                                      "-fno-exceptions",
                                      "-fno-rtti",
                                      "-fno-stack-protector",
                                      "-fno-asynchronous-unwind-tables",
                                      "-fvisibility=hidden",
                                      "-Wno-psabi",
                                      "-Wl,-z,now",
                                      "-Wl,--build-id=none"};
  const std::string isa = target.isa.substr(0, target.isa.find('+'));
  if (isa == "aarch64") options.push_back("-march=armv8-a");
  if (!isa.empty() && isa != "aarch64") options.push_back("-march=" + isa);
  return options;
}

}  // namespace

Lowered lower_serial(const Module& given, const Target& target) {
  if (target.dialect != Dialect::gnu_cxx)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': the serial schedule is printed in gnu-c++ only",
                print_target(target));
  const Module module = simplify(given);
  Lowered lowered;
  std::string kernels, descriptors;
  bool fails = false, has_dot = false, has_amx = false;
  for (std::size_t i = 0; i < module.kernels.size(); ++i) {
    const Kernel& kernel = module.kernels[i];
    serial::Emitter emitter(module, kernel, target);
    const std::string body = emitter.emit();
    const std::size_t scratch = emitter.scratch_bytes();
    if (scratch > target.scratch_bytes)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "kernel '{}' needs {} bytes of scratch for a program; target '{}' has {}",
                  kernel.name, scratch, print_target(target), target.scratch_bytes);
    const bool on_stack = scratch <= kStackBytes;
    kernels += fmt::format("\n// {}\n", kernel.name) + print_arguments(kernel, i);
    kernels += fmt::format("static void kernel_{}(const flagos_cpu_block_t* block, const void* packed) {{\n", i);
    kernels += fmt::format("  const arguments_{0}& a = *(const arguments_{0}*)packed;\n", i);
    kernels += on_stack ? fmt::format("  alignas(64) char scratch[{}];\n", scratch)
                        : "  char* const scratch = (char*)block->shared;\n";
    kernels += body + "}\n";
    if (!module.files.empty()) kernels += fmt::format("#line 1 \"kernel {}\"\n", kernel.name);
    descriptors += print_descriptor(kernel, i, on_stack ? 0 : scratch);
    lowered.kernels.push_back({kernel.name, 1, 0, on_stack ? 0 : scratch, emitter.fails()});
    fails |= emitter.fails();
    has_dot |= emitter.has_dot();
    has_amx |= emitter.has_amx();
  }
  lowered.source = gnu_cxx::declarations();
  lowered.source +=
      fmt::format("namespace flagos_tile {{\nnamespace {{\nconstexpr int VECTOR_BYTES = {};\n", target.vector_bits / 8);
  lowered.source += gnu_cxx::prelude();
  if (has_dot) lowered.source += gnu_cxx::micro_kernel(target.vector_bits) + std::string(gnu_cxx::products());
  if (has_amx) lowered.source += gnu_cxx::products_by_amx();
  if (fails)
    lowered.source +=
        fmt::format("constexpr i32 EXECUTION_FAILED = {};\n", static_cast<int>(FLAGOS_STATUS_EXECUTION_FAILED)) +
        std::string(gnu_cxx::fail());
  lowered.source += kernels + "}\n}\n" + descriptors;
  lowered.options = options_of(target, has_dot);
  return lowered;
}

}  // namespace flagos::compiler
