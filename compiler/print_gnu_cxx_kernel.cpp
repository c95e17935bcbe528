// The serial schedule in C++ with GNU vectors: a function for each kernel, in the native convention of the cpu plugin.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "compiler/print_gnu_cxx.hpp"
#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {
namespace {

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

// A kernel may be called `t`, which hides the type: so `struct`.
std::string print_descriptor(const Kernel& kernel, std::size_t index, std::size_t shared_bytes) {
  return fmt::format(
      "extern \"C\" __attribute__((visibility(\"default\"))) const struct flagos_cpu_kernel_t "
      "flagos_cpu_kernel_{0};\n"
      "extern \"C\" const struct flagos_cpu_kernel_t flagos_cpu_kernel_{0} = {{\n"
      "    (u32)sizeof(struct flagos_cpu_kernel_t), {1:#x}u,\n"
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

class GnuCxx final : public SerialDialect {
 public:
  explicit GnuCxx(const Target& target) : target_(target) {}

  std::string vector_type(DType, int) const override { return "auto"; }
  std::string pointer_type(Area, DType dtype) const override { return memory_type(dtype) + "*"; }
  std::string literal(DType dtype, std::uint64_t bits) const override { return gnu_cxx::literal(dtype, bits); }
  std::string memory_literal(DType dtype, std::uint64_t bits) const override {
    return gnu_cxx::memory_literal(dtype, bits);
  }

  // Operands tell which one; what they do not tell is an argument of the template.
  std::string function(std::string_view name, Area, DType dtype, int lanes) const override {
    if (name == "iota") return fmt::format("iota<{}, {}>", memory_type(dtype), lanes);
    if (name == "to_u64") return "to<u64>";
    if (name == "argreduce_min") return "argreduce<true>";
    if (name == "argreduce_max") return "argreduce<false>";
    if (name == "sort_up") return "sort<false>";
    if (name == "sort_down") return "sort<true>";
    const bool counts = name == "all" || name == "first" || (name.starts_with("load") && lanes > 1);
    return counts ? fmt::format("{}<{}>", name, lanes) : std::string(name);
  }
  std::string elementwise(const Op& op, DType from, DType to, int,
                          const std::vector<std::string>& operands) const override {
    return gnu_cxx::elementwise(op, from, to, operands);
  }
  std::string begin_extreme(const Extreme& of, const std::string& name) const override {
    return fmt::format("Extreme<{}, {}, V<{}, {}>> {};", of.ignores_nan, of.least, memory_type(of.dtype), of.lanes,
                       name);
  }
  std::string take_extreme(const Extreme&, const std::string& name, const std::string& x) const override {
    return fmt::format("{}.take({});", name, x);
  }
  std::string join_extreme(const Extreme&, const std::string& name, const std::string& other) const override {
    return fmt::format("{}.join({});", name, other);
  }
  std::string end_extreme(Writer&, const Extreme&, const std::string& name) const override {
    return name + ".result()";
  }
  std::string fold(Writer&, std::string_view how, std::string_view nan, DType dtype, int,
                   const std::string& x) const override {
    return fmt::format("fold({}, [](auto x, auto y) {{ return {}; }})", x, combine(how, nan, dtype, 1, "x", "y"));
  }
  std::string reference(const std::string& name) const override { return name; }

  std::string argument(std::size_t index) const override { return fmt::format("a.v{}", index); }
  std::string program(bool count, std::int64_t axis) const override {
    return fmt::format("(i32)block->{}[{}]", count ? "grid" : "block_index", axis);
  }
  std::string fail(const std::string& text, std::uint32_t, const std::string& element) const override {
    return fmt::format("return fail(block, {}, {});", quote(text), element);
  }
  bool print(Writer& out, const std::string& text, const std::vector<Type>& types,
             const std::vector<std::string>& values) const override;
  std::string atomic(const Op& op, DType dtype, const std::string& pointer,
                     const std::vector<std::string>& values) const override;
  void product(Writer& out, const Product& product) const override;
  int rows_at_once() const override { return gnu_cxx::rows_at_once(target_.vector_bits); }

  std::string text(const Module& module, const std::vector<SerialKernel>& kernels,
                   const SerialNeeds& needs) const override;
  std::uint64_t launch_scratch(std::size_t bytes) const override { return bytes <= kStackBytes ? 0 : bytes; }
  std::vector<std::string> options(const SerialNeeds& needs) const override { return options_of(target_, needs.dot); }

 private:
  const Target& target_;
};

// The first elements of each value, in the widest type of their kind, for the plugin to write out.
bool GnuCxx::print(Writer& out, const std::string& text, const std::vector<Type>& types,
                   const std::vector<std::string>& values) const {
  constexpr std::int64_t most = 32;
  out.open("if (block->struct_size >= sizeof(flagos_cpu_block_t) && block->report != 0) {");
  std::string list;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Type& of = types[i];
    const DType lane = lane_dtype(of.dtype);
    const DType wide = is_float(lane)      ? lane
                       : lane == DType::i1 ? DType::i1
                       : is_signed(lane)   ? DType::i64
                                           : DType::u64;
    const std::string item = wide == DType::i1 ? "u8" : memory_type(wide), data = fmt::format("d_{}", i);
    const std::int64_t shown = std::min(of.elements(), most);
    out.line("{} {}[{}];", item, data, shown);
    if (of.is_tile()) {
      out.line("for (i64 j = 0; j < {}; ++j) {}[j] = ({})get({} + j);", shown, data, item, values[i]);
    } else {
      out.line("{}[0] = ({}){};", data, item, values[i]);
    }
    list += fmt::format("{{{:#x}, {}, {}, {}}}, ", info(wide).abi, shown, of.is_tile() ? of.elements() : 0, data);
  }
  if (types.empty()) {
    out.line("block->report(block, {}, 0, 0);", quote(text));
  } else {
    out.line("const flagos_cpu_value_t values[] = {{{}}};", list);
    out.line("block->report(block, {}, values, {});", quote(text), types.size());
  }
  out.close();
  return true;
}

std::string_view order_of(const Op& op) {
  const std::string_view order = op.word("order");
  return order == "acquire"   ? "__ATOMIC_ACQUIRE"
         : order == "release" ? "__ATOMIC_RELEASE"
         : order == "acq_rel" ? "__ATOMIC_ACQ_REL"
                              : "__ATOMIC_RELAXED";
}

std::string GnuCxx::atomic(const Op& op, DType dtype, const std::string& pointer,
                           const std::vector<std::string>& values) const {
  const std::string_view order = order_of(op);
  if (op.code == OpCode::atomic_cas)
    return fmt::format("atomic_cas<{}>({}, {}, {})", order, pointer, values[0], values[1]);
  const std::string_view how = op.word("op");
  if (how == "exchange") return fmt::format("atomic_exchange<{}>({}, {})", order, pointer, values[0]);
  return fmt::format("atomic_update<{}>({}, {}, [](auto x, auto y) {{ return {}; }})", order, pointer, values[0],
                     combine(how, "", dtype, 1, "x", "y"));
}

void GnuCxx::product(Writer& out, const Product& product) const {
  const auto matrix = [](const Factor& factor) {
    return fmt::format("inside_of<{}>({}, {}, {}, {}, {}, {})", memory_type(factor.dtype), factor.data, factor.row,
                       factor.column, factor.rows, factor.columns, factor.inside);
  };
  const std::string how = product.bf16 == Bf16::tiles ? fmt::format("dot_tiles<{}>(tiles, ", product.k)
                          : product.bf16 == Bf16::pairs
                              ? fmt::format("dot<Pairs, {}>(", product.k)
                              : fmt::format("dot<Plain<{}>, {}>(", memory_type(product.dtype), product.k);
  out.line("{}{}, {}, {}, {}, {}, space);", how, matrix(product.a), matrix(product.b), product.c, product.m, product.n);
}

std::string GnuCxx::text(const Module&, const std::vector<SerialKernel>& kernels, const SerialNeeds& needs) const {
  std::string bodies, descriptors;
  for (const SerialKernel& made : kernels) {
    const Kernel& kernel = *made.kernel;
    const bool on_stack = launch_scratch(made.scratch_bytes) == 0;
    bodies += fmt::format("\n// {}\n", kernel.name) + print_arguments(kernel, made.index);
    bodies +=
        fmt::format("static void kernel_{}(const flagos_cpu_block_t* block, const void* packed) {{\n", made.index);
    bodies += fmt::format("  const arguments_{0}& a = *(const arguments_{0}*)packed;\n", made.index);
    bodies += on_stack ? fmt::format("  alignas(64) char scratch[{}];\n", made.scratch_bytes)
                       : "  char* const scratch = (char*)block->shared;\n";
    if (made.bf16 == Bf16::tiles) bodies += "  const Tiles tiles;\n";
    bodies += made.body + "}\n";
    if (made.has_location) bodies += fmt::format("#line 1 \"kernel {}\"\n", kernel.name);
    descriptors += print_descriptor(kernel, made.index, launch_scratch(made.scratch_bytes));
  }
  std::string text(gnu_cxx::declarations());
  text += fmt::format("namespace flagos_tile {{\nnamespace {{\nconstexpr int VECTOR_BYTES = {};\n",
                      target_.vector_bits / 8);
  text += gnu_cxx::prelude();
  if (needs.dot) text += gnu_cxx::micro_kernel(target_.vector_bits) + std::string(gnu_cxx::products());
  if (needs.bf16 != Bf16::plain) text += gnu_cxx::products_in_pairs();
  if (needs.bf16 == Bf16::tiles) text += gnu_cxx::products_in_tiles();
  if (needs.fails)
    text += fmt::format("constexpr i32 EXECUTION_FAILED = {};\n", static_cast<int>(FLAGOS_STATUS_EXECUTION_FAILED)) +
            std::string(gnu_cxx::fail());
  return text + bodies + "}\n}\n" + descriptors;
}

}  // namespace

std::unique_ptr<SerialDialect> make_gnu_cxx(const Target& target) { return std::make_unique<GnuCxx>(target); }

}  // namespace flagos::compiler::serial
