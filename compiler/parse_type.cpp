#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "compiler/attributes.hpp"
#include "compiler/parser_state.hpp"

namespace flagos::compiler::reading {

Type Parser::parse_type() {
  const Token start = token_;
  const std::string_view name = expect(Kind::name, "a type");
  Type type;
  if (const auto dtype = find_dtype(name)) return Type::scalar(*dtype);
  if (name != "tile" && name != "ptr" && name != "view")
    refuse(start, fmt::format("'{}' is no type", name.substr(0, 40)));
  expect("<", "of the type");
  if (name == "tile") {
    parse_shape(type);
  } else {
    const Token element = token_;
    const auto dtype = find_dtype(expect(Kind::name, "an element type"));
    if (!dtype) refuse(element, fmt::format("'{}' is no element type", element.text.substr(0, 40)));
    type.kind = name == "ptr" ? Type::Kind::pointer : Type::Kind::view;
    type.dtype = *dtype;
    if (type.kind == Type::Kind::view) {
      expect(",", "before the view's rank");
      const Token rank = token_;
      const auto value = whole_number<int>(expect(Kind::number, "a rank"));
      if (!value || *value < 1 || *value > Limits::rank)
        refuse(rank, fmt::format("the rank of a view is 1 to {}, not {}", Limits::rank, rank.text.substr(0, 40)));
      type.rank = static_cast<std::uint8_t>(*value);
    }
  }
  expect(">", "of the type");
  return type;
}

// "256x64xf32", which is one token.
void Parser::parse_shape(Type& type) {
  const Token start = token_;
  std::string_view text = expect(Kind::number, "a shape, such as 256x64xf32,");
  type.kind = Type::Kind::tile;
  std::int64_t elements = 1;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    const std::size_t cross = std::min(text.find('x'), text.size());
    const auto extent = whole_number<std::int64_t>(text.substr(0, cross));
    if (!extent || *extent < 1 || *extent > Limits::tile_elements)
      refuse(start, fmt::format("extent '{}' is not 1 to {}", text.substr(0, std::min<std::size_t>(cross, 40)),
                                Limits::tile_elements));
    if (type.rank == Limits::rank) refuse(start, fmt::format("the tile has more than {} axes", Limits::rank));
    type.dims[type.rank++] = static_cast<std::int32_t>(*extent);
    elements *= *extent;
    if (elements > Limits::tile_elements)
      refuse(start, fmt::format("the tile has more than {} elements", Limits::tile_elements));
    text.remove_prefix(std::min(cross + 1, text.size()));
  }
  const auto dtype = find_dtype(text);
  if (!dtype) refuse(start, fmt::format("'{}' is no element type", text.substr(0, 40)));
  type.dtype = *dtype;
}

std::vector<Attribute> Parser::parse_attributes(std::string_view close) {
  std::vector<Attribute> attributes;
  std::unordered_set<std::string> names;
  while (!at(close)) {
    const Token start = token_;
    attributes.push_back(parse_attribute());
    if (!names.insert(attributes.back().name).second)
      refuse(start, fmt::format("attribute '{}' is given twice", attributes.back().name));
    check_count(attributes.size(), Limits::list, "attributes");
    if (!take(",")) break;
  }
  expect(close, "of the attributes");
  return attributes;
}

Attribute Parser::parse_attribute() {
  Attribute attribute;
  attribute.name = expect(Kind::name, "an attribute");
  if (take("=")) parse_value(attribute);
  return attribute;
}

void Parser::parse_value(Attribute& attribute) {
  const Token value = token_;
  switch (value.kind) {
    case Kind::number:
      attribute.form = Attribute::Form::number;
      attribute.text = value.text;
      break;
    case Kind::name:
      attribute.form = Attribute::Form::word;
      attribute.text = value.text;
      break;
    case Kind::string:
      attribute.form = Attribute::Form::string;
      attribute.text = unescape(value.text);
      break;
    default:
      if (at("[")) return parse_list(attribute);
      refuse(value, fmt::format("attribute '{}': a value is expected, not {}", attribute.name, describe(value)));
  }
  advance();
}

void Parser::parse_list(Attribute& attribute) {
  attribute.form = Attribute::Form::list;
  expect("[", "of the list");
  while (!at("]")) {
    const Token item = token_;
    if (take("?")) {
      attribute.list.push_back(kDynamic);
    } else {
      const auto value = whole_number<std::int64_t>(expect(Kind::number, "an integer"));
      if (!value || *value == kDynamic) refuse(item, fmt::format("{} is no 64-bit integer", describe(item)));
      attribute.list.push_back(*value);
    }
    check_count(attribute.list.size(), Limits::list, "values in a list");
    if (!take(",")) break;
  }
  expect("]", "of the list");
}

}  // namespace flagos::compiler::reading
