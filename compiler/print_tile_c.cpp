#include "compiler/print_tile_c.hpp"

#include <fmt/format.h>

#include "compiler/element_printer.hpp"

namespace flagos::compiler {
namespace {

class TileC final : public SimtDialect {
 public:
  std::string prelude(const Module&, const SimtNeeds&) const override {
    return "#ifndef TK_HEADER\n#define TK_HEADER <flagos/tile_twin.hpp>\n#endif\n#include TK_HEADER\n";
  }
  std::string kernel(const SimtKernel& made) const override {
    return print_tile_kernel(*made.kernel, made.local_words * 4ULL, made.body);
  }
  std::string function(OpCode code, DType) const override { return fmt::format("tk_scalar_{}", info(code).name); }
  std::string location(std::uint32_t line, std::string_view file) const override {
    return fmt::format("#line {} \"{}\"", line, file);
  }
};

// Of a parameter: "i32", or "f16*".
std::string parameter_type(const Type& type) {
  return std::string(info(type.dtype).name) + (type.kind == Type::Kind::pointer ? "*" : "");
}

}  // namespace

std::unique_ptr<SimtDialect> make_tile_c() { return std::make_unique<TileC>(); }

std::string print_tile_kernel(const Kernel& kernel, std::uint64_t bytes, const std::string& body) {
  std::string parameters, entries;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const Type& type = kernel.values[i];
    const bool pointer = type.kind == Type::Kind::pointer;
    parameters += pointer ? fmt::format(", TK_POINTER({}) p{}", info(type.dtype).name, i)
                          : fmt::format(", {} p{}", info(type.dtype).name, i);
    entries += fmt::format(", TK_ARGUMENT({}, {})", i, parameter_type(type));
  }
  const std::string inner = parameters.empty() ? "" : parameters.substr(2);
  std::string buffers;
  for (const Attribute& hint : kernel.hints)
    if (hint.name == "hint.dsa.buffers") buffers = fmt::format("TK_BUFFERS({});\n", hint.text);
  return fmt::format("TK_KERNEL({0}, ({1})) {{\nTK_ONCHIP({2});\n{3}{4}}}\nTK_ENTRY({0}, ({5}))\n", kernel.name, inner,
                     bytes, buffers, body, entries.empty() ? "" : entries.substr(2));
}

}  // namespace flagos::compiler
