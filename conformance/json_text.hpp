// JSON as text: the one canonical form that hashes are made of (RFC 8785), and reading what a
// stranger wrote.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace flagos::conformance {

// RFC 8785: no spaces, members in the order of their UTF-16 code units, the shortest form of every
// number. A whole number that a double cannot hold (beyond 2^53) becomes a string of its digits; so
// do infinities and NaN, which JSON does not have. Broken UTF-8 is replaced by U+FFFD.
std::string canonical_json(const nlohmann::json& value);

// Parses without trust: bounded depth, and one sentence for every mistake, naming `what`.
// Throws std::runtime_error.
nlohmann::json parse_json(std::string_view text, const std::string& what);
// The same, and the text must be in canonical form, so that no two texts mean the same.
nlohmann::json parse_canonical_json(std::string_view text, const std::string& what);

// Where two values first differ, and how: "/run/seed is 7, expected 8". "" when they are equal.
std::string first_difference(const nlohmann::json& found, const nlohmann::json& expected);

}  // namespace flagos::conformance
