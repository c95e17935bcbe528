#include "conformance/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <vector>

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr int deepest = 64;
constexpr std::uint64_t largest_whole = (1ull << 53) - 1;
constexpr std::size_t longest_shown = 120;

std::string quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Number::toString of ECMAScript, from the shortest digits that read back as the same double.
std::string number_text(double value) {
  if (value == 0) return "0";
  if (!std::isfinite(value))
    return quoted(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::fabs(value),
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c != '.') digits += c;
  }
  // The value is 0.DIGITS x 10^point.
  const int point = std::atoi(std::string(text.substr(e + 1)).c_str()) + 1;
  const int count = static_cast<int>(digits.size());
  std::string result;
  if (point >= count && point <= 21) {
    result = digits + std::string(static_cast<std::size_t>(point - count), '0');
  } else if (point > 0 && point <= 21) {
    result = digits.substr(0, static_cast<std::size_t>(point)) + "." +
             digits.substr(static_cast<std::size_t>(point));
  } else if (point > -6 && point <= 0) {
    result = "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
  } else {
    const std::string fraction = count > 1 ? "." + digits.substr(1) : "";
    result = fmt::format("{}{}e{:+}", digits[0], fraction, point - 1);
  }
  return value < 0 ? "-" + result : result;
}

// In the order of UTF-16 code units only characters beyond U+FFFF stand elsewhere than in the order
// of bytes: their first unit, 0xd800 to 0xdbff, is below U+E000 to U+FFFF.
bool before_in_utf16(const std::string& a, const std::string& b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  const auto left = static_cast<std::uint8_t>(*x);
  const auto right = static_cast<std::uint8_t>(*y);
  const bool left_pair = left >= 0xf0;
  const bool right_pair = right >= 0xf0;
  if (left_pair != right_pair && left >= 0xee && right >= 0xee) return left_pair;
  return left < right;
}

void append(std::string& text, const json& value);

void append_object(std::string& text, const json& object) {
  std::vector<const json::object_t::value_type*> members;
  for (const auto& member : object.get_ref<const json::object_t&>()) members.push_back(&member);
  std::sort(members.begin(), members.end(),
            [](const auto* a, const auto* b) { return before_in_utf16(a->first, b->first); });
  text += '{';
  for (const auto* const member : members) {
    if (text.back() != '{') text += ',';
    text += quoted(member->first) + ":";
    append(text, member->second);
  }
  text += '}';
}

void append_array(std::string& text, const json& array) {
  text += '[';
  bool first = true;
  for (const json& item : array) {
    if (!std::exchange(first, false)) text += ',';
    append(text, item);
  }
  text += ']';
}

void append(std::string& text, const json& value) {
  if (value.is_object()) {
    append_object(text, value);
  } else if (value.is_array()) {
    append_array(text, value);
  } else if (value.is_string()) {
    text += quoted(value.get_ref<const std::string&>());
  } else if (value.is_number_float()) {
    text += number_text(value.get<double>());
  } else if (value.is_number()) {
    const bool negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(value.get<std::int64_t>())
                                        : value.get<std::uint64_t>();
    text += size <= largest_whole ? value.dump() : quoted(value.dump());
  } else {
    text += value.dump();
  }
}

std::string shown(const json& value) {
  std::string text = canonical_json(value);
  if (text.size() > longest_shown) text = text.substr(0, longest_shown) + "...";
  return text;
}

// One step of a JSON pointer.
std::string step(const std::string& name) {
  std::string text = "/";
  for (const char c : name) text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return text;
}

std::string difference(const json& found, const json& expected, const std::string& where) {
  if (found == expected) return "";
  const std::string place = where.empty() ? "the whole" : where;
  if (found.is_object() && expected.is_object()) {
    for (const auto& [name, value] : expected.items()) {
      const auto other = found.find(name);
      if (other == found.end()) return where + step(name) + " is missing";
      if (auto text = difference(*other, value, where + step(name)); !text.empty()) return text;
    }
    for (const auto& [name, value] : found.items()) {
      if (!expected.contains(name)) return where + step(name) + " should not be there";
    }
  }
  if (found.is_array() && expected.is_array()) {
    if (found.size() != expected.size()) {
      return fmt::format("{} has {} elements, expected {}", place, found.size(), expected.size());
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto text = difference(found[i], expected[i], where + step(std::to_string(i)));
      if (!text.empty()) return text;
    }
  }
  return fmt::format("{} is {}, expected {}", place, shown(found), shown(expected));
}

}  // namespace

std::string canonical_json(const json& value) {
  std::string text;
  append(text, value);
  return text;
}

json parse_json(std::string_view text, const std::string& what) {
  const auto bounded = [&](int depth, json::parse_event_t, json&) {
    if (depth > deepest) {
      throw std::runtime_error(fmt::format("{} is nested more than {} deep", what, deepest));
    }
    return true;
  };
  try {
    return json::parse(text, bounded);
  } catch (const json::exception&) {
    throw std::runtime_error(what + " is not JSON");
  }
}

json parse_canonical_json(std::string_view text, const std::string& what) {
  json value = parse_json(text, what);
  if (canonical_json(value) != text) {
    throw std::runtime_error(what + " is not in the canonical form of RFC 8785");
  }
  return value;
}

std::string first_difference(const json& found, const json& expected) {
  return difference(found, expected, "");
}

}  // namespace flagos::conformance
