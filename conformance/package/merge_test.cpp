// The shards of a run become one package that says what the whole run would have said.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "conformance/package/test_run.hpp"
#include "conformance/package/verify.hpp"
#include "conformance/shards.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

// With three shards each of the small cases stands alone.
constexpr std::uint32_t shard_count = 3;

SmallRun shard_of(std::uint32_t index, SmallRun run = {}) {
  run.shard = {index, shard_count};
  return run;
}

std::string log_of(const SmallRun& run) {
  const TestFolder folder;
  return write_small_run(folder.path(), run).at("events.jsonl");
}

std::vector<std::string> all_logs(const SmallRun& run = {}) {
  std::vector<std::string> logs;
  for (std::uint32_t i = 0; i < shard_count; ++i) logs.push_back(log_of(shard_of(i, run)));
  return logs;
}

// The package that `flagos conformance merge` writes.
Files package_of(const std::string& log) {
  const TestFolder folder;
  std::ofstream(folder / "events.jsonl", std::ios::binary) << log;
  Options options;
  options.out = folder.path();
  write_reports(options, small_cases());
  return read_package(folder.path());
}

Verification check(const Files& files) {
  VerifyOptions options;
  options.today = "2026-03-02";
  return verify_package(files, small_cases(), options);
}

std::string why_not(const std::vector<std::string>& logs) {
  try {
    merge_logs(logs, small_cases());
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("it says: " << text);
  return found;
}

bool refused(const std::vector<json>& events, const std::string& part) {
  Files files = package_of(merge_logs(all_logs(), small_cases()));
  files["events.jsonl"] = chained(events);
  sum_again(files);
  const Verification found = check(files);
  return says(found.genuine() ? "" : found.refusals.front(), part);
}

}  // namespace

TEST_CASE("the shards of a certifying run make a certificate, in whatever order they come") {
  std::vector<std::string> logs = all_logs();
  const std::string merged = merge_logs(logs, small_cases());
  std::reverse(logs.begin(), logs.end());
  CHECK(merge_logs(logs, small_cases()) == merged);

  const Files files = package_of(merged);
  const Verification found = check(files);
  CHECK(found.refusals == std::vector<std::string>());
  CHECK(found.reasons == std::vector<std::string>());
  CHECK(found.conformant);
  CHECK(found.subject == "small 1.2 by Nobody on Small <chip>: flagos-conformant 1.0/core");

  // What a whole run gives, the merged one gives too.
  const TestFolder folder;
  const Files whole = write_small_run(folder.path());
  CHECK(files.at("digests.json") == whole.at("digests.json"));
  const json report = json::parse(files.at("report.json"));
  const json expected = json::parse(whole.at("report.json"));
  for (const char* const member : {"suite", "totals", "verdict", "cases", "features"})
    CHECK(report.at(member) == expected.at(member));
  CHECK(report.at("run").at("shards").size() == shard_count);
  CHECK(report.at("run").at("wall_seconds") == 30);
}

TEST_CASE("the merged package names the packages of its shards") {
  std::vector<std::string> logs;
  json named = json::array();
  for (std::uint32_t i = 0; i < shard_count; ++i) {
    const TestFolder folder;
    const Files files = write_small_run(folder.path(), shard_of(i));
    logs.push_back(files.at("events.jsonl"));
    named.push_back({json::parse(files.at("report.json")).at("events_root"),
                     sha256_hex(files.at("SHA256SUMS"))});
  }
  const Files files = package_of(merge_logs(logs, small_cases()));
  const json shards = json::parse(files.at("report.json")).at("run").at("shards");
  REQUIRE(shards.size() == named.size());
  for (std::size_t i = 0; i < shards.size(); ++i) {
    CHECK(shards[i].at("events_root") == named[i][0]);
    CHECK(shards[i].at("sha256sums") == named[i][1]);
    CHECK(files.at("report.html").find(named[i][0].get<std::string>()) != std::string::npos);
  }
}

TEST_CASE("a failure in one shard is a failure of the whole") {
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  const Files files = package_of(merge_logs(all_logs(run), small_cases()));
  const Verification found = check(files);
  CHECK(found.genuine());
  CHECK_FALSE(found.conformant);
  CHECK(files.at("logs/copy.b.txt") == "what it printed");
}

TEST_CASE("a shard on another card of the same model belongs to the run") {
  std::vector<std::string> logs = all_logs();
  SmallRun other = shard_of(1);
  other.uuid = "02";
  logs[1] = log_of(other);
  CHECK(check(package_of(merge_logs(logs, small_cases()))).conformant);
}

TEST_CASE("what is not the shards of one run is refused with one sentence") {
  const std::vector<std::string> logs = all_logs();
  const auto with = [&](SmallRun run) {
    std::vector<std::string> changed = logs;
    changed[1] = log_of(shard_of(1, run));
    return why_not(changed);
  };
  SUBCASE("missing") { CHECK(why_not({logs[0], logs[2]}) == "shard 2/3 is missing"); }
  SUBCASE("doubled") {
    CHECK(why_not({logs[0], logs[1], logs[1], logs[2]}) == "shard 2/3 is there 2 times");
  }
  SUBCASE("of another number of shards") {
    SmallRun run;
    run.shard = {1, 2};
    CHECK(why_not({logs[0], log_of(run)}) == "shard 1/3 and shard 2/2 are not parts of one run");
  }
  SUBCASE("no shard") {
    const TestFolder folder;
    const std::string whole = write_small_run(folder.path()).at("events.jsonl");
    CHECK(why_not({whole, logs[1]}) == "a whole run is no shard");
    CHECK(why_not({merge_logs(logs, small_cases()), logs[1]}) ==
          "a run that was merged is no shard");
  }
  SUBCASE("too many") {
    SmallRun run;
    run.shard = {0, 17};
    CHECK(why_not({log_of(run)}) == "shard 1/17 is one of 17; at most 16 may be merged");
  }
  SUBCASE("another seed") {
    SmallRun run;
    run.seed = 8;
    CHECK(with(run) ==
          "shard 2/3 is of another run than shard 1/3: /options/seed is 8, expected 7");
  }
  SUBCASE("other orders") {
    SmallRun run;
    run.orders = 3;
    CHECK(says(with(run), "/options/orders is 3, expected 2"));
  }
  SUBCASE("other sizes") {
    SmallRun run;
    run.quick = true;
    CHECK(says(with(run), "/options/quick is true, expected false"));
  }
  SUBCASE("another plugin") {
    SmallRun run;
    run.plugin = "/bin/sh";
    CHECK(says(with(run), "shard 2/3 is of another run than shard 1/3: /plugin_files/0/"));
  }
  SUBCASE("another model of device") {
    SmallRun run;
    run.device_name = "Large chip";
    CHECK(says(with(run), "shard 2/3 saw another device than shard 1/3: /device/name"));
  }
  SUBCASE("another build of the suite") {
    std::vector<std::string> changed = logs;
    Files files;
    files["events.jsonl"] = logs[1];
    std::vector<json> events = events_of(files);
    events[0]["suite"]["binary_sha256"] = sha256_hex("another");
    changed[1] = chained(events);
    CHECK(says(why_not(changed), "/suite/binary_sha256"));
  }
}

TEST_CASE("what was changed in a shard is seen in the merged package") {
  const Files files = package_of(merge_logs(all_logs(), small_cases()));
  const std::vector<json> events = events_of(files);
  const auto is_result = [](const json& event) {
    return event.contains("line") && event.at("line").at("event") == "result";
  };
  const auto at = static_cast<std::size_t>(std::find_if(events.begin(), events.end(), is_result) -
                                           events.begin());
  REQUIRE(at < events.size());
  std::vector<json> changed = events;

  SUBCASE("a result, with the outer chain mended") {
    changed[at]["line"]["result"]["digest"] = sha256_hex("another");
    CHECK(refused(changed, "does not follow the line before it"));
  }
  SUBCASE("a result that is gone") {
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(at));
    CHECK(refused(changed, "does not follow the line before it"));
  }
  SUBCASE("a shard that is gone") {
    changed.erase(std::remove_if(changed.begin(), changed.end(),
                                 [](const json& event) { return event.value("shard", 0) == 2; }),
                  changed.end());
    CHECK(refused(changed, "shard 3/3 is missing"));
  }
  SUBCASE("shards in another order") {
    for (json& event : changed) {
      if (event.contains("shard")) event["shard"] = 2 - event["shard"].get<int>();
    }
    CHECK(refused(changed, "is no line of the next shard"));
  }
  SUBCASE("the root of a shard") {
    changed[0]["shards"][1]["events_root"] = sha256_hex("another");
    CHECK(refused(changed, "line 1 is not what its shards give: /shards/1/events_root"));
  }
  SUBCASE("the sums of a shard") {
    changed[0]["shards"][0]["sha256sums"] = sha256_hex("another");
    CHECK(refused(changed, "line 1 is not what its shards give: /shards/0/sha256sums"));
  }
  SUBCASE("the list of cases") {
    changed[0]["suite"]["caselist_sha256"] = sha256_hex("another");
    CHECK(refused(changed, "line 1 is not what its shards give: /suite/caselist_sha256"));
  }
  SUBCASE("the totals") {
    changed.back()["cases"]["copy.a"] = "FAIL";
    CHECK(refused(changed, "the totals are not those of its results: /cases/copy.a"));
  }
  SUBCASE("a log that is cut off") {
    changed.pop_back();
    CHECK(refused(changed, "the line with the totals is missing"));
  }
}

TEST_CASE(
    "a forger who mends a shard's chain is seen by its totals, and by the hash of its package") {
  std::vector<std::string> logs = all_logs();
  std::size_t forged = 0;
  for (std::string& log : logs) {
    Files files;
    files["events.jsonl"] = log;
    std::vector<json> events = events_of(files);
    for (json& event : events) {
      if (event.at("event") != "result" || event.at("result").at("id") != "copy.a") continue;
      event["result"]["status"] = "FAIL";
      ++forged;
    }
    log = chained(events);
  }
  CHECK(forged == 2);
  // Merged all the same: `merge` the command verifies each shard first, and `verify` sees it again.
  const Files files = package_of(merge_logs(logs, small_cases()));
  const Verification found = check(files);
  REQUIRE_FALSE(found.genuine());
  CHECK(says(found.refusals.front(), "the totals are not those of its results"));
}

TEST_CASE("a merged log whose values are of any kind is a sentence") {
  const Files files = package_of(merge_logs(all_logs(), small_cases()));
  with_values_of_any_kind(files, 11, 400,
                          [](const Files& changed) { CHECK_NOTHROW(check(changed)); });
}

}  // namespace flagos::conformance
