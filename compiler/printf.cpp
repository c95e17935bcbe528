#include "compiler/printf.hpp"

#include <fmt/format.h>

#include "compiler/serial_dialect.hpp"

namespace flagos::compiler {
namespace {

std::string without_conversions(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '%') out += c;
    out += c;
  }
  return out;
}

}  // namespace

std::string Printf::call(std::string_view format, std::string_view values) const {
  std::string program;
  for (int axis = 0; axis < 3; ++axis) program += fmt::format(", (int){}({})", group_id, axis);
  const std::string whole = fmt::format("program (%d, %d, %d): {}{}\n", without_conversions(text), format);
  return fmt::format("printf({}{}{});", serial::quote(whole), program, values);
}

std::string Printf::statement(DType dtype, std::string_view value, std::string_view index) const {
  const bool wide = info(dtype).bits == 64;
  const bool unsigned_ = !is_signed(dtype) && dtype != DType::i1;
  const std::string conversion = is_float(dtype) ? fmt::format("%.{}g", wide ? 17 : 9)
                                                 : fmt::format("%{}{}", wide ? length : "", unsigned_ ? "u" : "d");
  const std::string item = is_float(dtype) ? std::string(value)
                                           : fmt::format("({}{})({})", unsigned_ ? "unsigned " : "",
                                                         !wide            ? "int"
                                                         : length == "ll" ? "long long"
                                                                          : "long",
                                                         value);
  if (index.empty()) return call(" " + conversion, ", " + item);
  return call(" [%d] = " + conversion, fmt::format(", (int)({}), {}", index, item));
}

std::string message_of(const Module& module, const Op& op, std::string_view kind) {
  const std::string& text = op.find("message")->text;
  if (op.file < 0) return fmt::format("{}{}", kind, text);
  return fmt::format("{}:{}: {}{}", module.files[static_cast<std::size_t>(op.file)], op.file_line, kind, text);
}

}  // namespace flagos::compiler
