#include "conformance/expectations.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>

namespace flagos::conformance {
namespace {

constexpr std::size_t shortest_reason = 20;

std::optional<Expect> expect_from_name(const std::string& name) {
  if (name == "unsupported") return Expect::unsupported;
  if (name == "expected_failure") return Expect::expected_failure;
  return std::nullopt;
}

std::string text_member(const nlohmann::json& entry, const char* member) {
  const auto found = entry.find(member);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

void complain_of_unknown(const nlohmann::json& object, const std::set<std::string>& known,
                         const std::string& where, std::vector<std::string>& mistakes) {
  for (const auto& [name, value] : object.items()) {
    if (!known.contains(name))
      mistakes.push_back(fmt::format("{}: unknown member '{}'", where, name));
  }
}

bool is_case(const std::vector<Case>& cases, const std::string& id) {
  return std::any_of(cases.begin(), cases.end(), [&](const Case& c) { return c.id == id; });
}

void read_entry(const nlohmann::json& entry, std::size_t index, const std::vector<Case>& cases,
                Expectations& result, std::vector<std::string>& mistakes) {
  std::string where = fmt::format("entry {}", index + 1);
  if (!entry.is_object()) {
    mistakes.push_back(where + " is no object");
    return;
  }
  const std::string id = text_member(entry, "id");
  const std::string reason = text_member(entry, "reason");
  const auto expect = expect_from_name(text_member(entry, "expect"));
  if (!id.empty()) where = fmt::format("entry {} ('{}')", index + 1, id);
  complain_of_unknown(entry, {"id", "expect", "reason"}, where, mistakes);
  if (id.empty()) mistakes.push_back(where + " has no id");
  if (!id.empty() && !is_case(cases, id)) mistakes.push_back(where + ": there is no such case");
  if (!expect) {
    mistakes.push_back(where + ": expect must be 'unsupported' or 'expected_failure'");
  }
  if (reason.size() < shortest_reason) {
    mistakes.push_back(fmt::format("{}: the reason has {} characters, at least {} are asked for",
                                   where, reason.size(), shortest_reason));
  }
  if (expect && !result.insert({id, {*expect, reason}}).second) {
    mistakes.push_back(where + " stands twice");
  }
}

}  // namespace

nlohmann::json to_json(const Expectations& expectations) {
  nlohmann::json entries = nlohmann::json::array();
  for (const auto& [id, expectation] : expectations) {
    const bool never = expectation.expect == Expect::unsupported;
    entries.push_back({{"id", id},
                       {"expect", never ? "unsupported" : "expected_failure"},
                       {"reason", expectation.reason}});
  }
  return {{"cases", entries}};
}

Expectations parse_expectations(const std::string& text, const std::vector<Case>& cases) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) throw std::runtime_error("it is not JSON");
  if (!json.is_object() || !json.contains("cases") || !json["cases"].is_array()) {
    throw std::runtime_error("it is not an object with an array 'cases'");
  }
  std::vector<std::string> mistakes;
  complain_of_unknown(json, {"cases"}, "the file", mistakes);
  Expectations result;
  for (std::size_t i = 0; i < json["cases"].size(); ++i) {
    read_entry(json["cases"][i], i, cases, result, mistakes);
  }
  if (!mistakes.empty()) throw std::runtime_error(fmt::format("{}", fmt::join(mistakes, "; ")));
  return result;
}

Expectations load_expectations(const std::string& path, const std::vector<Case>& cases) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read the expectations '{}'", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return parse_expectations(text, cases);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("expectations '{}': {}", path, error.what()));
  }
}

Status apply_expectation(Status found, const Expectation& expectation) {
  if (found == Status::pass) return Status::xpass;
  // What the machine or the suite could not judge stays so; a case that differs from run to run is
  // no known failure.
  const bool failed = found == Status::fail || found == Status::crash || found == Status::timeout ||
                      found == Status::leak;
  if (failed) return Status::waived;
  return found == Status::device_lost && expectation.expect == Expect::expected_failure
             ? Status::waived
             : found;
}

}  // namespace flagos::conformance
