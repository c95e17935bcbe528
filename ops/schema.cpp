#include "ops/schema.hpp"

#include <algorithm>
#include <cctype>

#include "base/error.hpp"

namespace flagos::ops {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(at);
    parts.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool take(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw_error(FLAGOS_STATUS_INTERNAL, "'{}' is no schema: {}", text, why);
}

Parameter parse_parameter(std::string_view text) {
  Parameter parameter;
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) refuse(text, "a parameter is a type and a name");
  std::string_view type = text.substr(0, space);
  std::string_view name = trim(text.substr(space));
  if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
    parameter.default_text = name.substr(equals + 1);
    name = name.substr(0, equals);
  }
  parameter.name = name;
  if (take(type, ":bool")) parameter.elements = Parameter::Elements::boolean;
  if (take(type, ":int")) parameter.elements = Parameter::Elements::integer;
  parameter.list = take(type, "[]");
  parameter.optional = take(type, "?");
  parameter.output = take(type, "!");
  using Kind = Parameter::Kind;
  constexpr std::pair<std::string_view, Kind> kinds[] = {
      {"Tensor", Kind::tensor}, {"int", Kind::integer},   {"float", Kind::real},
      {"bool", Kind::boolean},  {"Scalar", Kind::scalar}, {"str", Kind::word}};
  const auto* const found = std::find_if(std::begin(kinds), std::end(kinds),
                                         [&](const auto& k) { return k.first == type; });
  if (found == std::end(kinds)) refuse(text, "an unknown type");
  parameter.kind = found->second;
  if (parameter.kind == Kind::word) {
    for (const std::string_view word : split(parameter.default_text, '|'))
      parameter.words.emplace_back(word);
    parameter.default_text = parameter.words.front();
  }
  return parameter;
}

}  // namespace

Schema Schema::parse(std::string_view text) {
  Schema schema;
  const std::size_t open = text.find('(');
  if (open == std::string_view::npos || !text.ends_with(')'))
    refuse(text, "it is not name(parameters)");
  schema.name = text.substr(0, open);
  for (const std::string_view part : split(text.substr(open + 1, text.size() - open - 2), ','))
    schema.parameters.push_back(parse_parameter(part));
  return schema;
}

std::string Schema::function_name() const {
  std::string out;
  for (const char c : name)
    out += c == '.' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::size_t Schema::index_of(std::string_view parameter) const {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].name == parameter) return i;
  throw_error(FLAGOS_STATUS_INTERNAL, "{} has no parameter '{}'", name, parameter);
}

std::string c_parameter(const Parameter& parameter) {
  using Kind = Parameter::Kind;
  const std::string& name = parameter.name;
  std::string type;
  switch (parameter.kind) {
    case Kind::tensor:
      type = parameter.list ? "const flagos_tensor_t* const*" : "const flagos_tensor_t*";
      break;
    case Kind::integer:
      type = parameter.list || parameter.optional ? "const int64_t*" : "int64_t";
      break;
    case Kind::real:
      type = parameter.optional ? "const double*" : "double";
      break;
    case Kind::boolean:
      type = "uint32_t";
      break;
    case Kind::scalar:
      type = "const flagos_scalar_t*";
      break;
    case Kind::word:
      type = "const char*";
      break;
  }
  std::string out = type + " " + name;
  if (parameter.list) out += ", uint32_t " + name + "_count";
  return out;
}

}  // namespace flagos::ops
