#include "compiler/attributes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "compiler/lexer.hpp"

namespace flagos::compiler {
namespace {

using Form = Attribute::Form;
using Kind = AttributeRule::Kind;

// "" or what the attribute should have been.
std::string resolve(Attribute& attribute, const AttributeRule& rule, DType dtype) {
  switch (rule.kind) {
    case Kind::flag:
      return attribute.form == Form::flag ? "" : "takes no value";
    case Kind::string:
      return attribute.form == Form::string ? "" : "takes a string";
    case Kind::list:
      return attribute.form == Form::list ? "" : "takes a list of integers";
    case Kind::word: {
      const auto& words = rule.choices;
      if (attribute.form == Form::word && std::find(words.begin(), words.end(), attribute.text) != words.end())
        return "";
      return fmt::format("is one of {}", fmt::join(words, ", "));
    }
    case Kind::integer: {
      const char* end = attribute.text.data() + attribute.text.size();
      if (attribute.form != Form::number) return "takes an integer";
      const auto result = std::from_chars(attribute.text.data(), end, attribute.integer);
      if (result.ec != std::errc() || result.ptr != end || attribute.integer == kDynamic)
        return "takes a 64-bit integer";
      attribute.text.clear();
      return "";
    }
    case Kind::literal: {
      const bool readable = attribute.form == Form::number || attribute.form == Form::word;
      const auto bits = readable ? parse_literal(dtype, attribute.text) : std::nullopt;
      if (!bits)
        return fmt::format("takes a value of type {}, not '{}'", info(dtype).name, attribute.text.substr(0, 40));
      attribute.form = Form::number;
      attribute.integer = static_cast<std::int64_t>(*bits);
      attribute.text.clear();
      return "";
    }
  }
  return "";
}

bool is_default(const Attribute& attribute, const AttributeRule& rule) {
  if (rule.required) return false;
  switch (rule.kind) {
    case Kind::integer:
      return attribute.integer == rule.integer;
    case Kind::word:
      return attribute.text == rule.choices.front();
    case Kind::literal:
      return attribute.integer == 0 && rule.name == "pad";
    default:
      return false;
  }
}

}  // namespace

bool is_hint(const Attribute& attribute) { return attribute.name.starts_with("hint."); }

bool settle_number(Attribute& attribute) {
  if (attribute.form != Form::number) return true;
  for (const DType dtype : {DType::i64, DType::f64}) {
    const auto bits = parse_literal(dtype, attribute.text);
    if (!bits) continue;
    attribute.text = print_literal(dtype, *bits);
    return true;
  }
  return false;
}

void sort_by_name(std::vector<Attribute>& attributes) {
  std::sort(attributes.begin(), attributes.end(),
            [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
}

AttributeProblem resolve_attributes(std::vector<Attribute>& attributes, const std::vector<AttributeRule>& rules,
                                    DType dtype) {
  std::vector<Attribute> hints, ordered;
  for (Attribute& attribute : attributes) {
    if (is_hint(attribute)) {
      if (!settle_number(attribute)) return {fmt::format("attribute '{}' is no number", attribute.name), false};
      hints.push_back(attribute);
      continue;
    }
    const AttributeRule* rule = find_rule(rules, attribute.name);
    if (!rule) return {fmt::format("attribute '{}'", attribute.name), true};
    const std::string problem = resolve(attribute, *rule, dtype);
    if (!problem.empty()) return {fmt::format("attribute '{}' {}", attribute.name, problem), false};
  }
  for (const AttributeRule& rule : rules) {
    const auto found = std::find_if(attributes.begin(), attributes.end(),
                                    [&](const Attribute& attribute) { return attribute.name == rule.name; });
    if (found == attributes.end()) {
      if (rule.required) return {fmt::format("attribute '{}' is missing", rule.name), false};
    } else if (!is_default(*found, rule)) {
      ordered.push_back(std::move(*found));
    }
  }
  sort_by_name(hints);
  std::move(hints.begin(), hints.end(), std::back_inserter(ordered));
  attributes = std::move(ordered);
  return {};
}

std::string print_attribute(const Attribute& attribute, DType dtype) {
  std::string text = attribute.name;
  switch (attribute.form) {
    case Form::flag:
      return text;
    case Form::word:
      return text + "=" + attribute.text;
    case Form::string:
      return fmt::format("{}=\"{}\"", text, escape(attribute.text));
    case Form::number: {
      if (!attribute.text.empty()) return text + "=" + attribute.text;
      // A literal is the only number whose rule is not an integer; parse_rules names them value, pad and eq.
      const bool literal = attribute.name == "value" || attribute.name == "pad" || attribute.name == "eq";
      return text + "=" +
             (literal ? print_literal(dtype, static_cast<std::uint64_t>(attribute.integer))
                      : std::to_string(attribute.integer));
    }
    case Form::list:
      break;
  }
  text += "=[";
  for (std::size_t i = 0; i < attribute.list.size(); ++i) {
    if (i != 0) text += ", ";
    text += attribute.list[i] == kDynamic ? "?" : std::to_string(attribute.list[i]);
  }
  return text + "]";
}

std::string print_attributes(const std::vector<Attribute>& attributes, DType dtype) {
  std::string text;
  for (const Attribute& attribute : attributes) {
    if (!text.empty()) text += ", ";
    text += print_attribute(attribute, dtype);
  }
  return text;
}

}  // namespace flagos::compiler
