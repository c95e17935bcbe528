#include "conformance/expectations.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

namespace flagos::conformance {
namespace {

void nothing(Context&) {}

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"copy.a", {.clause = "test"}, &nothing, std::source_location::current()},
      {"copy.b", {.clause = "test"}, &nothing, std::source_location::current()}};
  return list;
}

// The text of the complaint, "" when there is none.
std::string complaint(const std::string& text) {
  try {
    parse_expectations(text, cases());
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a good file") {
  const Expectations expectations = parse_expectations(
      R"({"cases": [
        {"id": "copy.a", "expect": "unsupported", "reason": "the chip has no such copy engine"},
        {"id": "copy.b", "expect": "expected_failure", "reason": "driver bug 1234, to be fixed"}]})",
      cases());
  REQUIRE(expectations.size() == 2);
  CHECK(expectations.at("copy.a").expect == Expect::unsupported);
  CHECK(expectations.at("copy.b").expect == Expect::expected_failure);
  CHECK(expectations.at("copy.b").reason == "driver bug 1234, to be fixed");
  CHECK(parse_expectations(R"({"cases": []})", cases()).empty());
}

TEST_CASE("broken files are refused with a sentence that names the place") {
  CHECK(contains(complaint(""), "not JSON"));
  CHECK(contains(complaint("{\"cases\": ["), "not JSON"));
  CHECK(contains(complaint("[]"), "array 'cases'"));
  CHECK(contains(complaint("{}"), "array 'cases'"));
  CHECK(contains(complaint(R"({"cases": {}})"), "array 'cases'"));
  CHECK(contains(complaint(R"({"cases": [], "extra": 1})"), "unknown member 'extra'"));
  CHECK(contains(complaint(R"({"cases": [5]})"), "entry 1 is no object"));
  CHECK(contains(complaint(R"({"cases": [{}]})"), "entry 1 has no id"));
  const std::string reason = R"(, "reason": "long enough to be a reason"})";
  CHECK(
      contains(complaint(R"({"cases": [{"id": "copy.zz", "expect": "unsupported")" + reason + "]}"),
               "('copy.zz'): there is no such case"));
  CHECK(contains(complaint(R"({"cases": [{"id": "copy.a", "expect": "ok")" + reason + "]}"),
                 "expect must be"));
  CHECK(contains(complaint(R"({"cases": [{"id": "copy.a", "expect": 1)" + reason + "]}"),
                 "expect must be"));
  CHECK(contains(
      complaint(R"({"cases": [{"id": "copy.a", "expect": "unsupported", "reason": "short"}]})"),
      "at least 20"));
  const std::string good = R"({"id": "copy.a", "expect": "unsupported")" + reason;
  CHECK(contains(complaint(R"({"cases": [)" + good + "," + good + "]}"), "stands twice"));
  CHECK(complaint(R"({"cases": [)" + good + "]}").empty());
}

TEST_CASE("all mistakes are told at once") {
  const std::string text = complaint(
      R"({"cases": [{"id": "copy.x", "expect": "no", "reason": ""}, {"id": "copy.y", "expect": "no"}]})");
  CHECK(contains(text, "copy.x"));
  CHECK(contains(text, "copy.y"));
}

TEST_CASE("a missing file is named") {
  CHECK_THROWS_WITH_AS(load_expectations("/nowhere/expectations.json", cases()),
                       doctest::Contains("/nowhere/expectations.json"), std::runtime_error);
}

TEST_CASE("a pass turns an expectation red, a failure is waived, the rest stays") {
  const Expectation failure{Expect::expected_failure, "a reason"};
  const Expectation unsupported{Expect::unsupported, "a reason"};
  for (const Expectation& expectation : {failure, unsupported}) {
    CHECK(apply_expectation(Status::pass, expectation) == Status::xpass);
    CHECK(apply_expectation(Status::fail, expectation) == Status::waived);
    CHECK(apply_expectation(Status::crash, expectation) == Status::waived);
    CHECK(apply_expectation(Status::not_supported, expectation) == Status::not_supported);
    CHECK(apply_expectation(Status::flaky, expectation) == Status::flaky);
    CHECK(apply_expectation(Status::not_run, expectation) == Status::not_run);
    CHECK(apply_expectation(Status::harness_error, expectation) == Status::harness_error);
  }
}

}  // namespace flagos::conformance
