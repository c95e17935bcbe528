#include "conformance/waivers.hpp"

#include <doctest/doctest.h>

#include <random>
#include <stdexcept>

#include "conformance/judgement.hpp"
#include "conformance/package/test_keys.hpp"
#include "conformance/package/test_run.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

const std::vector<Case>& waiver_cases() {
  const auto nothing = [](Context&) {};
  static const std::vector<Case> cases = [&] {
    std::vector<Case> list;
    for (const char* const id : {"abi.load.now", "copy.a", "mem.guard.write", "neg.handle.stale"}) {
      list.push_back({id, {.clause = "test"}, nothing, std::source_location::current()});
    }
    return list;
  }();
  return cases;
}

json good_entry() {
  return {{"id", "copy.a"},
          {"class", "hw-erratum"},
          {"expect", "FAIL"},
          {"check", "the last byte"},
          {"scope", {{"device_ids", {"small:0"}}}},
          {"reason", "erratum 12 of the chip: the last byte of odd copies is lost"},
          {"issue", "https://example.org/issues/12"},
          {"owner", "somebody"},
          {"created", "2026-01-01"},
          {"expires", "2026-06-01"},
          {"approval", to_base64(std::string(64, 'x'))}};
}

Waivers parse(const json& entry) { return parse_waivers({{"waivers", {entry}}}, waiver_cases()); }

// The complaint about a good entry with one member changed; null takes it out.
std::string complaint(const char* member, const json& value) {
  json entry = good_entry();
  if (value.is_null()) {
    entry.erase(member);
  } else {
    entry[member] = value;
  }
  try {
    parse(entry);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a waiver says what, why, who, where and how long") {
  CHECK(parse(good_entry()).size() == 1);
  CHECK(says(complaint("id", "copy.*"), "names a pattern"));
  CHECK(says(complaint("id", "copy.none"), "a case that is not there"));
  for (const char* const id : {"abi.load.now", "mem.guard.write", "neg.handle.stale"}) {
    CHECK(says(complaint("id", id), "never waived"));
  }
  CHECK(says(complaint("class", "laziness"), "needs a class"));
  CHECK(says(complaint("expect", "PASS"), "must expect"));
  CHECK(says(complaint("check", nullptr), "'check'"));
  CHECK(says(complaint("scope", nullptr), "needs a 'scope'"));
  CHECK(says(complaint("scope", {{"weather", "rain"}}), "unknown member 'weather'"));
  CHECK(says(complaint("scope", {{"device_ids", "small:0"}}), "needs a list of texts"));
  CHECK(says(complaint("scope", {{"driver_version", {{"from", "1"}}}}), "{min, max}"));
  CHECK(says(complaint("reason", "too short"), "at least 40"));
  CHECK(says(complaint("issue", "12"), "needs a link"));
  CHECK(says(complaint("owner", ""), "needs an 'owner'"));
  CHECK(says(complaint("expires", "2026-07-01"), "it may last 180 at most"));
  CHECK(says(complaint("expires", "2025-12-31"), "lasts -1 days"));
  CHECK(says(complaint("expires", "soon"), "as dates"));
  CHECK(says(complaint("created", "2026-02-30"), "as dates"));
  CHECK(says(complaint("approval", nullptr), "needs an 'approval'"));
  CHECK(says(complaint("approval", "Zm9v"), "ed25519 signature"));
  CHECK(says(complaint("colour", "red"), "unknown member 'colour'"));
  json known = good_entry();
  known["class"] = "known-failure";
  known.erase("approval");
  CHECK(parse(known).size() == 1);
  CHECK_THROWS_WITH(parse_waivers({{"waivers", {good_entry(), good_entry()}}}, waiver_cases()),
                    doctest::Contains("stands twice"));
  for (const json& document :
       {json(), json::array(), json{{"waivers", 1}}, json{{"waivers", {1}}}}) {
    CHECK_THROWS_AS(parse_waivers(document, waiver_cases()), std::runtime_error);
  }
}

TEST_CASE("a waiver is for one plugin, one device, one failure") {
  json entry = good_entry();
  entry["scope"] = {{"plugin_version", {{"min", "1.9"}, {"max", "1.10.2"}}},
                    {"driver_version", {{"max", "7"}}}};
  entry["params"] = "size=3";
  const Waiver waiver = parse(entry)[0];
  CHECK(waiver.covers({"", "1.10", "", "6.5"}));
  CHECK_FALSE(waiver.covers({"", "1.11", "", "6.5"}));
  CHECK_FALSE(waiver.covers({"", "1.8", "", "6.5"}));
  CHECK_FALSE(waiver.covers({"", "1.10", "", "7.1"}));
  CHECK(waiver.foresees(Status::fail, "[size=3] expected: the last byte (copy.cpp:1)"));
  CHECK_FALSE(waiver.foresees(Status::fail, "[size=4] expected: the last byte (copy.cpp:1)"));
  CHECK_FALSE(waiver.foresees(Status::fail, "[size=3] expected: the first byte (copy.cpp:1)"));
  CHECK_FALSE(waiver.foresees(Status::crash, "[size=3] expected: the last byte (copy.cpp:1)"));
  CHECK_FALSE(parse(good_entry())[0].covers({"", "1", "other:0", "7"}));
}

TEST_CASE("versions and dates are compared as such") {
  CHECK(compare_versions("1.10", "1.9") > 0);
  CHECK(compare_versions("1.2", "1.2.1") < 0);
  CHECK(compare_versions("1.02", "1.2") == 0);
  CHECK(compare_versions("", "") == 0);
  CHECK(compare_versions("99999999999999999999999", "1") > 0);
  CHECK(days_between("2026-02-28", "2026-03-01") == 1);
  CHECK(days_between("2024-02-28", "2024-03-01") == 2);
  CHECK_FALSE(days_between("2026-2-28", "2026-03-01"));
  CHECK_FALSE(days_between("2026-13-01", "2026-03-01"));
}

namespace {

// A run in which copy.a fails as its waiver says, or otherwise.
Judgement judge_waived(const std::function<void(CaseResult&)>& change, const std::string& today,
                       const json& entry) {
  // A hundred cases, of which one may be waived.
  static const std::vector<Case> cases = [] {
    std::vector<Case> list = {waiver_cases()[1]};
    for (int i = 0; i < 99; ++i)
      list.push_back({"zoo.n" + std::to_string(i), list[0].options, list[0].run, list[0].where});
    return list;
  }();
  Options options;
  options.plugin_path = "plugin.so";
  options.orders = 2;
  Record record;
  record.started_utc = today + "T00:00:00Z";
  record.capabilities = small_capabilities();
  std::vector<const Case*> pointers;
  for (const Case& one : cases) {
    pointers.push_back(&one);
    for (std::uint32_t pass = 0; pass < 2; ++pass) {
      CaseResult result;
      result.id = one.id;
      result.status = Status::pass;
      if (one.id == "copy.a") change(result);
      record.attempts[one.id].push_back({pass, result, {}});
    }
  }
  return judge(options, pointers, record, {}, parse(entry));
}

}  // namespace

TEST_CASE("a waived failure may be part of a certificate, nothing else is excused") {
  const auto as_foreseen = [](CaseResult& result) {
    result.status = Status::fail;
    result.text = "expected: the last byte";
  };
  const Judgement waived = judge_waived(as_foreseen, "2026-03-01", good_entry());
  CHECK(waived.outcomes[0].status == Status::waived);
  CHECK(waived.waiver_matches[0] == 1);
  CHECK(waived.conformant);
  const Judgement expired = judge_waived(as_foreseen, "2026-06-02", good_entry());
  CHECK(expired.outcomes[0].status == Status::fail);
  CHECK_FALSE(expired.conformant);
  REQUIRE_FALSE(expired.reasons.empty());
  CHECK(says(expired.reasons[0], "expired on 2026-06-01"));
  const Judgement other = judge_waived([](CaseResult& result) { result.status = Status::crash; },
                                       "2026-03-01", good_entry());
  CHECK(other.outcomes[0].status == Status::crash);
  const Judgement passed = judge_waived([](CaseResult&) {}, "2026-03-01", good_entry());
  CHECK(passed.outcomes[0].status == Status::xpass);
  CHECK_FALSE(passed.conformant);
  json known = good_entry();
  known["class"] = "known-failure";
  const Judgement known_failure = judge_waived(as_foreseen, "2026-03-01", known);
  CHECK(known_failure.outcomes[0].status == Status::waived);
  CHECK_FALSE(known_failure.conformant);
  REQUIRE(known_failure.not_for_certification.size() == 1);
  CHECK(says(known_failure.not_for_certification[0], "1 known failure is waived"));
}

TEST_CASE("an approval is a signature over the rest of the entry") {
  const TestFolder folder;
  write_test_keys(folder.path());
  const Key approver = Key::read_private(folder / "a.key");
  json entry = good_entry();
  entry["approval"] = to_base64(approver.sign(approved_text(parse(entry)[0])));
  CHECK_NOTHROW(demand_approvals(parse(entry), Key::read_public(folder / "a.pub")));
  CHECK_THROWS_WITH(demand_approvals(parse(entry), Key::read_public(folder / "b.pub")),
                    doctest::Contains("is not approved by the key"));
  entry["expires"] = "2026-06-02";
  CHECK_THROWS(demand_approvals(parse(entry), approver));
}

TEST_CASE("garbage is a sentence") {
  const std::string text = json{{"waivers", {good_entry()}}}.dump();
  const TestFolder folder;
  std::mt19937_64 random(3);
  for (int round = 0; round < 500; ++round) {
    std::string spoiled = text;
    const std::size_t at = random() % spoiled.size();
    if (round % 2 == 0) {
      spoiled[at] = static_cast<char>(random());
    } else {
      spoiled.erase(at, 1 + random() % 20);
    }
    try {
      parse_waivers(parse_json(spoiled, "it"), waiver_cases());
    } catch (const std::runtime_error& error) {
      CHECK_FALSE(std::string(error.what()).empty());
    }
  }
  CHECK_THROWS_WITH(load_waivers(folder / "none", waiver_cases()),
                    doctest::Contains("cannot read the waivers"));
}

}  // namespace flagos::conformance
