#include "conformance/package/verify.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "conformance/json_text.hpp"
#include "conformance/package/attestation.hpp"
#include "conformance/package/test_keys.hpp"
#include "conformance/package/test_run.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

Verification check(const Files& files, VerifyOptions options = {}) {
  if (options.today.empty()) options.today = "2026-03-02";
  return verify_package(files, small_cases(), options);
}

bool refused(const Verification& result, const std::string& part) {
  const bool found = std::any_of(
      result.refusals.begin(), result.refusals.end(),
      [&](const std::string& reason) { return reason.find(part) != std::string::npos; });
  if (!found) {
    for (const std::string& reason : result.refusals) MESSAGE("refused: " << reason);
  }
  return found;
}

void replace_once(std::string& text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  text.replace(at, what.size(), with);
}

// The same forger with more patience: the hashes are made to fit.
Files with_sums(Files files) {
  sum_again(files);
  return files;
}

}  // namespace

TEST_CASE("the package of a run is genuine and conformant") {
  const TestFolder folder;
  const Verification result = check(write_small_run(folder.path()));
  CHECK(result.refusals == std::vector<std::string>());
  CHECK(result.reasons == std::vector<std::string>());
  CHECK(result.conformant);
  CHECK(result.subject == "small 1.2 by Nobody on Small <chip>: flagos-conformant 1.0/core");
}

TEST_CASE("a genuine report of a failure is no certificate") {
  const TestFolder folder;
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  const Files files = write_small_run(folder.path(), run);
  const Verification result = check(files);
  CHECK(result.refusals == std::vector<std::string>());
  CHECK_FALSE(result.conformant);
  CHECK(files.at("logs/copy.b.txt") == "what it printed");
}

TEST_CASE("a changed status is seen, whoever mends the hashes around it") {
  const TestFolder folder;
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  Files files = write_small_run(folder.path(), run);
  replace_once(files["report.json"], "\"status\":\"FAIL\"", "\"status\":\"PASS\"");
  CHECK(refused(check(files), "report.json does not have the hash that SHA256SUMS says"));
  CHECK(refused(check(with_sums(files)),
                "report.json is not what events.jsonl gives: /cases/1/status"));

  files = read_package(folder.path());
  replace_once(files["events.jsonl"], "\"status\":\"FAIL\"", "\"status\":\"PASS\"");
  CHECK(refused(check(with_sums(files)), "events.jsonl: line"));

  std::vector<json> events = events_of(read_package(folder.path()));
  for (json& event : events) {
    if (event.at("event") == "result") event["result"]["status"] = "PASS";
  }
  files = read_package(folder.path());
  files["events.jsonl"] = chained(events);
  CHECK(refused(check(with_sums(files)), "the totals are not those of its results"));
}

TEST_CASE("a changed digest is seen") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  replace_once(files["digests.json"], sha256_hex("copy.a1"), sha256_hex("copy.a2"));
  CHECK(refused(check(files), "digests.json does not have the hash"));
  CHECK(refused(check(with_sums(files)),
                "digests.json is not what events.jsonl gives: /copy.a[size=1]"));
}

TEST_CASE("another order is seen") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  std::vector<json> events = events_of(files);
  std::vector<std::size_t> results;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].at("event") == "result") results.push_back(i);
  }
  REQUIRE(results.size() == 6);
  std::vector<json> swapped = events;
  std::swap(swapped[results[0]]["result"], swapped[results[1]]["result"]);
  std::swap(swapped[results[1]]["result"], swapped[results[2]]["result"]);
  files["events.jsonl"] = chained(swapped);
  CHECK(refused(check(with_sums(files)), "out of the order that seed 7 gives"));

  swapped = events;
  std::swap(swapped[results[0]], swapped[results[1]]);
  files["events.jsonl"] = chained(swapped);
  CHECK(refused(check(with_sums(files)), "ended before the one that stands before it"));

  // One order that is said to be two.
  const TestFolder other;
  SmallRun once;
  once.orders = 1;
  files = write_small_run(other.path(), once);
  CHECK_FALSE(check(files).conformant);
  replace_once(files["report.json"], "\"orders\":1", "\"orders\":2");
  CHECK(refused(check(with_sums(files)), "/run/orders is 2, expected 1"));
}

TEST_CASE("the order of a run that was gone on with is seen, too") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  const std::vector<json> events = events_of(files);
  std::vector<std::size_t> results;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].at("event") == "result") results.push_back(i);
  }
  REQUIRE(results.size() == 6);
  const json resume = {{"event", "resume"}, {"started_utc", "2026-03-01T11:00:00Z"}};
  const auto refused_order = [&](const std::vector<json>& changed) {
    files["events.jsonl"] = chained(changed);
    return refused(check(with_sums(files)), "out of the order that seed 7 gives");
  };
  // Behind each result it may have been interrupted.
  for (const std::size_t at : results) {
    std::vector<json> cut = events;
    cut.insert(cut.begin() + static_cast<std::ptrdiff_t>(at) + 1, resume);
    CHECK_FALSE(refused_order(cut));
  }
  // Its first part does not begin with the second case.
  std::vector<json> swapped = events;
  std::swap(swapped[results[0]]["result"], swapped[results[1]]["result"]);
  swapped.insert(swapped.begin() + static_cast<std::ptrdiff_t>(results[0]) + 1, resume);
  CHECK(refused_order(swapped));
  // Nor has its second part another order than the rest.
  swapped = events;
  std::swap(swapped[results[3]]["result"], swapped[results[4]]["result"]);
  std::swap(swapped[results[4]]["result"], swapped[results[5]]["result"]);
  swapped.insert(swapped.begin() + static_cast<std::ptrdiff_t>(results[2]) + 1, resume);
  CHECK(refused_order(swapped));
}

TEST_CASE("changed capabilities are seen") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  replace_once(files["caps.json"], "\"graph\":\"absent\"", "\"graph\":\"native\"");
  CHECK(refused(check(with_sums(files)),
                "caps.json is not what events.jsonl gives: /features/graph"));

  // In the log as well: a feature that is there makes its cases mandatory.
  std::vector<json> events = events_of(files);
  for (json& event : events) {
    if (event.at("event") != "capabilities") continue;
    event["capabilities"]["features"]["graph"] = "native";
    CHECK(refused(check(with_sums([&] {
                    Files some = files;
                    some["events.jsonl"] = chained(events);
                    return some;
                  }())),
                  "do not have the hash that stands beside them"));
    event["sha256"] = sha256_hex(canonical_json(event["capabilities"]));
  }
  files["events.jsonl"] = chained(events);
  CHECK(refused(check(with_sums(files)), "graph.c was skipped, but the device has graph"));
}

TEST_CASE("another plugin's file is seen") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  VerifyOptions options;
  options.plugin = own_executable();
  CHECK(check(files, options).refusals == std::vector<std::string>());
  options.plugin = folder / "report.json";
  CHECK(refused(check(files, options), "the package is about"));

  const std::string hash = sha256_file(own_executable());
  std::string& report = files["report.json"];
  for (std::size_t at = report.find(hash); at != std::string::npos;
       at = report.find(hash, at + 1)) {
    report.replace(at, 64, sha256_hex("another"));
  }
  CHECK(refused(check(with_sums(files)), "report.json is not what events.jsonl gives"));
}

TEST_CASE("a log that is cut off is seen") {
  const TestFolder folder;
  const Files files = write_small_run(folder.path());
  Files cut = files;
  cut["events.jsonl"].resize(cut["events.jsonl"].size() - 10);
  CHECK(refused(check(with_sums(cut)), "events.jsonl: its last line is cut off"));
  std::vector<json> events = events_of(files);
  events.pop_back();
  cut["events.jsonl"] = chained(events);
  CHECK(refused(check(with_sums(cut)), "the line with the totals is missing"));
  cut["events.jsonl"] = "";
  CHECK(refused(check(with_sums(cut)), "it is empty"));
}

TEST_CASE("results of another run are seen") {
  const TestFolder folder;
  const TestFolder other;
  Files files = write_small_run(folder.path());
  SmallRun run;
  run.seed = 8;
  const std::vector<json> foreign = events_of(write_small_run(other.path(), run));
  std::vector<json> events = events_of(files);
  events[3] = foreign[3];
  std::string text;
  for (const json& event : events) text += canonical_json(event) + "\n";
  files["events.jsonl"] = text;
  CHECK(refused(check(with_sums(files)), "does not follow the line before it"));

  // With a chain that was mended, but for the name of the run.
  events = events_of(write_small_run(folder.path()));
  events.insert(events.begin() + 3, foreign[3]);
  files["events.jsonl"] = chained(events);
  CHECK_FALSE(check(with_sums(files)).genuine());
}

TEST_CASE("times that cannot be are seen") {
  const TestFolder folder;
  SmallRun run;
  run.change = [](CaseResult& result) { result.seconds = result.id == "copy.a" ? 0 : 0.25; };
  CHECK(refused(check(write_small_run(folder.path(), run)), "copy.a took 0 s, which no case does"));
  run.change = [](CaseResult& result) { result.seconds = 5; };
  CHECK(refused(check(write_small_run(folder.path(), run)), "ended"));
}

TEST_CASE("a signature binds the package to a key") {
  const TestFolder folder;
  write_test_keys(folder.path());
  SmallRun run;
  run.signing_key = folder / "a.key";
  const TestFolder report;
  const Files files = write_small_run(report.path(), run);
  VerifyOptions options;
  options.key = folder / "a.pub";
  CHECK(check(files, options).refusals == std::vector<std::string>());
  CHECK(check(files).genuine());  // and a note that it was not checked

  // Signed again, with another key.
  Files resigned = files;
  const json statement =
      parse_canonical_json(read_attestation(files.at("attestation.json")).payload, "it");
  const json report_json = json::parse(files.at("report.json"));
  resigned["attestation.json"] = make_attestation(report_json, sha256_hex(files.at("SHA256SUMS")),
                                                  Key::read_private(folder / "b.key"));
  CHECK(refused(check(resigned, options), "is not signed by the key"));
  CHECK(statement.at("predicate").at("result") == "PASSED");
  CHECK(statement.at("subject").at(0).at("digest").at("sha256") == sha256_file(own_executable()));

  // A statement about another report.
  Files other = files;
  json changed = report_json;
  changed["run"]["seed"] = 8;
  other["attestation.json"] = make_attestation(changed, sha256_hex(files.at("SHA256SUMS")),
                                               Key::read_private(folder / "a.key"));
  CHECK(refused(check(other, options),
                "attestation.json is about another report: /predicate/x-flagos/seed"));

  // Without a signature.
  Files unsigned_files = files;
  unsigned_files.erase("attestation.json");
  CHECK(refused(check(unsigned_files, options), "is not signed"));
}

TEST_CASE("files that should not be there, or are not, are named") {
  const TestFolder folder;
  Files files = write_small_run(folder.path());
  files["extra.txt"] = "more";
  CHECK(refused(check(files), "SHA256SUMS does not name extra.txt"));
  CHECK(refused(check(with_sums(files)), "extra.txt is no part of a package"));
  files.erase("extra.txt");
  files.erase("caps.json");
  CHECK(refused(check(with_sums(files)), "caps.json is missing"));
}

TEST_CASE("garbage is refused, never a crash: random bytes over a whole package") {
  const TestFolder folder;
  const TestFolder keys;
  write_test_keys(keys.path());
  SmallRun run;
  run.signing_key = keys / "a.key";
  const Files files = write_small_run(folder.path(), run);
  VerifyOptions options;
  options.key = keys / "a.pub";
  std::mt19937_64 random(20260301);
  for (int round = 0; round < 400; ++round) {
    Files spoiled = files;
    const auto names = std::vector<std::string>{"events.jsonl", "report.json", "attestation.json",
                                                "SHA256SUMS", "digests.json"};
    std::string& bytes = spoiled[names[random() % names.size()]];
    const std::size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(at, 1 + random() % 64);
        break;
      case 2:
        bytes.insert(
            at, std::string(1 + random() % 32, static_cast<char>("[{\"9-e\xff\n"[random() % 8])));
        break;
      default:
        bytes.resize(at);
    }
    if (spoiled == files) continue;
    CHECK_FALSE(check(spoiled, options).genuine());
    CHECK_NOTHROW(check(with_sums(spoiled)));
  }
}

TEST_CASE("a log whose values are of any kind is a sentence") {
  const TestFolder folder;
  write_small_run(folder.path());
  const Files files = read_package(folder.path());
  with_values_of_any_kind(files, 5, 600,
                          [](const Files& changed) { CHECK_NOTHROW(check(changed)); });
}

}  // namespace flagos::conformance
