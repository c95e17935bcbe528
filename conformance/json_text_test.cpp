#include "conformance/json_text.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace flagos::conformance {

using nlohmann::json;

TEST_CASE("members are sorted, and nothing stands between them") {
  CHECK(canonical_json(json::parse(R"({ "b" : [1, true, null], "a" : {"y":"z", "x":""} })")) ==
        R"({"a":{"x":"","y":"z"},"b":[1,true,null]})");
  // The example of RFC 8785, 3.2.3: by UTF-16 code units, so U+1F600 comes before U+FB33.
  const json names =
      json::parse(R"({"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One",)"
                  R"("\ud83d\ude00":"Emoji","\u0080":"Control","\u00f6":"Latin"})");
  CHECK(canonical_json(names) ==
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"\u00f6\":\"Latin\","
        "\"\u20ac\":\"Euro Sign\",\"\U0001F600\":\"Emoji\",\"\ufb33\":\"Hebrew\"}");
}

TEST_CASE("strings escape what RFC 8785 escapes, and no more") {
  CHECK(canonical_json("\u20ac$\x0f\nA'B\"\\\\\"/") == "\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
  CHECK(canonical_json(std::string("\xff")) == "\"\ufffd\"");
}

TEST_CASE("numbers as ECMAScript writes them") {
  // Appendix B of RFC 8785, and what lies between.
  const std::pair<double, const char*> numbers[] = {
      {0.0, "0"},
      {-0.0, "0"},
      {5e-324, "5e-324"},
      {-5e-324, "-5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {9007199254740992.0, "9007199254740992"},
      {295147905179352830000.0, "295147905179352830000"},
      {9.999999999999997e22, "9.999999999999997e+22"},
      {1e23, "1e+23"},
      {1e21, "1e+21"},
      {999999999999999900000.0, "999999999999999900000"},
      {0.000001, "0.000001"},
      {9.5e-7, "9.5e-7"},
      {333333333.3333333, "333333333.3333333"},
      {1.25, "1.25"},
      {-0.1, "-0.1"},
      {100.0, "100"},
  };
  for (const auto& [value, text] : numbers) CHECK(canonical_json(value) == text);
  CHECK(canonical_json(std::numeric_limits<double>::infinity()) == "\"Infinity\"");
  CHECK(canonical_json(std::nan("")) == "\"NaN\"");
  CHECK(canonical_json(9007199254740991ull) == "9007199254740991");
  CHECK(canonical_json(18446744073709551615ull) == "\"18446744073709551615\"");
  CHECK(canonical_json(-9007199254740993ll) == "\"-9007199254740993\"");
}

TEST_CASE("the canonical form is its own canonical form") {
  const std::string text =
      canonical_json({{"x", 1.5e300}, {"y", 18446744073709551615ull}, {"z", {1, 2.25, "\x01"}}});
  CHECK(canonical_json(parse_canonical_json(text, "it")) == text);
  CHECK_THROWS_WITH(parse_canonical_json("{\"a\": 1}", "it"), doctest::Contains("canonical"));
  CHECK_THROWS_WITH(parse_canonical_json(R"({"a":1,"a":1})", "it"), doctest::Contains("canonical"));
}

TEST_CASE("what is no JSON, or too deep, is a sentence") {
  CHECK_THROWS_WITH(parse_json("{", "report.json"), "report.json is not JSON");
  CHECK_THROWS_WITH(parse_json("", "it"), "it is not JSON");
  CHECK_THROWS_WITH(parse_json("1e999", "it"), "it is not JSON");
  CHECK_THROWS_WITH(parse_json(std::string(1 << 20, '['), "it"), doctest::Contains("nested"));
  CHECK(parse_json(std::string(60, '[') + std::string(60, ']'), "it").is_array());
}

TEST_CASE("the first difference has a place and both values") {
  const json a = {{"run", {{"seed", 7}, {"level", "core"}}}, {"cases", {1, 2}}};
  json b = a;
  CHECK(first_difference(a, b) == "");
  b["run"]["seed"] = 8;
  CHECK(first_difference(a, b) == "/run/seed is 7, expected 8");
  b = a;
  b["cases"].push_back(3);
  CHECK(first_difference(a, b) == "/cases has 2 elements, expected 3");
  b = a;
  b["more"] = 1;
  CHECK(first_difference(a, b) == "/more is missing");
  CHECK(first_difference(b, a) == "/more should not be there");
}

}  // namespace flagos::conformance
