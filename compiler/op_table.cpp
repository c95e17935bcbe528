#include "compiler/op_table.hpp"

#include <charconv>
#include <unordered_map>

namespace flagos::compiler {
namespace {

using Kind = AttributeRule::Kind;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

AttributeRule parse_rule(std::string_view text) {
  const std::size_t colon = text.find(':');
  AttributeRule rule{text.substr(0, colon), Kind::word, false, 0, {}};
  std::string_view kind = text.substr(colon + 1);
  for (std::string_view* part : {&rule.name, &kind}) {
    if (!part->ends_with('!')) continue;
    rule.required = true;
    part->remove_suffix(1);
  }
  const std::size_t equals = kind.find('=');
  if (equals != std::string_view::npos)
    std::from_chars(kind.data() + equals + 1, kind.data() + kind.size(), rule.integer);
  kind = kind.substr(0, equals);
  if (kind == "flag") {
    rule.kind = Kind::flag;
  } else if (kind == "int") {
    rule.kind = Kind::integer;
  } else if (kind == "list") {
    rule.kind = Kind::list;
  } else if (kind == "literal") {
    rule.kind = Kind::literal;
  } else if (kind == "string") {
    rule.kind = Kind::string;
  } else {
    rule.choices = split(kind, '|');
  }
  return rule;
}

// `for_` is spelled for: the names of C++ keywords carry an underscore here.
std::string_view plain(std::string_view name) {
  if (name.ends_with('_')) name.remove_suffix(1);
  return name;
}

std::vector<OpInfo> make_table() {
  std::vector<OpInfo> table;
#define FLAGOS_ELEMENTWISE(name, operands, domain, result, attributes) \
  table.push_back({plain(#name),                                       \
                   Domain::domain,                                     \
                   Result::result,                                     \
                   operands,                                           \
                   operands,                                           \
                   1,                                                  \
                   1,                                                  \
                   0,                                                  \
                   0,                                                  \
                   {"", ""},                                           \
                   false,                                              \
                   Effect::none,                                       \
                   parse_rules(attributes)});
#define FLAGOS_OP(name, omin, omax, rmin, rmax, gmin, gmax, first, second, isolated, effect, attributes) \
  table.push_back({plain(#name),                                                                         \
                   Domain::none,                                                                         \
                   Result::none,                                                                         \
                   omin,                                                                                 \
                   omax,                                                                                 \
                   rmin,                                                                                 \
                   rmax,                                                                                 \
                   gmin,                                                                                 \
                   gmax,                                                                                 \
                   {first, second},                                                                      \
                   isolated,                                                                             \
                   Effect::effect,                                                                       \
                   parse_rules(attributes)});
#include "compiler/ops.inc"
  return table;
}

}  // namespace

std::vector<AttributeRule> parse_rules(std::string_view rules) {
  std::vector<AttributeRule> parsed;
  for (const std::string_view rule : split(rules, ' ')) parsed.push_back(parse_rule(rule));
  return parsed;
}

const AttributeRule* find_rule(const std::vector<AttributeRule>& rules, std::string_view name) {
  for (const AttributeRule& rule : rules)
    if (rule.name == name) return &rule;
  return nullptr;
}

const AttributeRule* OpInfo::find(std::string_view attribute) const { return find_rule(attributes, attribute); }

const std::vector<OpInfo>& op_table() {
  static const std::vector<OpInfo> table = make_table();
  return table;
}

std::optional<OpCode> find_op(std::string_view name) {
  static const auto by_name = [] {
    std::unordered_map<std::string_view, OpCode> map;
    for (std::size_t i = 0; i < op_table().size(); ++i) map.emplace(op_table()[i].name, static_cast<OpCode>(i));
    return map;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? std::nullopt : std::optional(found->second);
}

const std::vector<AttributeRule>& pointer_facts() {
  static const std::vector<AttributeRule> rules = parse_rules("readonly:flag noalias:flag align:int=1");
  return rules;
}

const std::vector<AttributeRule>& integer_facts() {
  static const std::vector<AttributeRule> rules = parse_rules("div:int=1 eq:literal range:list");
  return rules;
}

}  // namespace flagos::compiler
