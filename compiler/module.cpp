#include "compiler/module.hpp"

#include <fmt/format.h>

#include "compiler/diagnostic.hpp"

namespace flagos::compiler {

std::int64_t Type::elements() const {
  std::int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= dims[static_cast<std::size_t>(i)];
  return count;
}

Type Type::with(DType other) const {
  Type type = *this;
  type.dtype = other;
  return type;
}

std::string print_type(const Type& type) {
  const std::string_view element = info(type.dtype).name;
  switch (type.kind) {
    case Type::Kind::none:
      return "none";
    case Type::Kind::scalar:
      return std::string(element);
    case Type::Kind::pointer:
      return fmt::format("ptr<{}>", element);
    case Type::Kind::view:
      return fmt::format("view<{}, {}>", element, type.rank);
    case Type::Kind::tile:
      break;
  }
  std::string text = "tile<";
  for (std::size_t i = 0; i < type.rank; ++i) text += fmt::format("{}x", type.dims[i]);
  return text + std::string(element) + ">";
}

const Attribute* Op::find(std::string_view name) const {
  for (const Attribute& attribute : attributes)
    if (attribute.name == name) return &attribute;
  return nullptr;
}

std::int64_t Op::integer(std::string_view name) const {
  if (const Attribute* attribute = find(name)) return attribute->integer;
  const AttributeRule* rule = info(code).find(name);
  return rule ? rule->integer : 0;
}

std::string_view Op::word(std::string_view name) const {
  if (const Attribute* attribute = find(name)) return attribute->text;
  const AttributeRule* rule = info(code).find(name);
  return rule && !rule->choices.empty() ? rule->choices.front() : std::string_view();
}

std::string print(const Diagnostic& diagnostic) {
  std::string text;
  if (diagnostic.line != 0) text = fmt::format("line {}, column {}", diagnostic.line, diagnostic.column);
  if (!diagnostic.file.empty())
    text += fmt::format("{}({}:{})", text.empty() ? "" : " ", diagnostic.file, diagnostic.file_line);
  return text.empty() ? diagnostic.reason : fmt::format("{}: {}", text, diagnostic.reason);
}

}  // namespace flagos::compiler
