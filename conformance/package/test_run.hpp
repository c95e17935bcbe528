// A small run and its package, for tests: three cases, written as a session writes them.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <iterator>
#include <random>

#include <stdlib.h>

#include "conformance/event_log.hpp"
#include "conformance/json_text.hpp"
#include "conformance/locate.hpp"
#include "conformance/package/package.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {

inline const std::vector<Case>& small_cases() {
  const auto nothing = [](Context&) {};
  static const std::vector<Case> cases = {
      {"copy.a", {.clause = "one"}, nothing, std::source_location::current()},
      {"copy.b", {.clause = "two"}, nothing, std::source_location::current()},
      {"graph.c",
       {.clause = "three", .level = Level::optional, .feature = "graph"},
       nothing,
       std::source_location::current()}};
  return cases;
}

class TestFolder {
 public:
  TestFolder() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/flagos_package_XXXXXX";
};

inline nlohmann::json small_capabilities() {
  return {
      {"plugin",
       {{"name", "small"},
        {"vendor", "Nobody"},
        {"version", "1.2"},
        {"abi_version", "1.0"},
        {"device_count", 1}}},
      {"runtime", {{"product_version", "0.1.0"}}},
      {"device",
       {{"id", "small:0"}, {"name", "Small <chip>"}, {"driver_version", "7.5"}, {"fake", false}}},
      {"features", {{"graph", "absent"}}},
      {"formats", nlohmann::json::array()}};
}

// What a test wants otherwise than a run that may lead to a certificate.
struct SmallRun {
  std::uint64_t seed = 7;
  std::uint32_t orders = 2;
  Shard shard;
  bool quick = false;
  std::string uuid = "01";
  std::string device_name = "Small <chip>";
  std::string plugin = own_executable();  // any file
  std::string signing_key;
  Waivers waivers;
  std::function<void(CaseResult&)> change = [](CaseResult&) {};
};

// Writes the report of a run into a folder and returns its files.
inline Files write_small_run(const std::string& folder, const SmallRun& wanted = {}) {
  Options options;
  options.executable = own_executable();
  options.plugin = options.plugin_path = wanted.plugin;
  options.out = folder;
  options.certify = true;
  options.seed = wanted.seed;
  options.orders = wanted.orders;
  options.shard = wanted.shard;
  options.quick = wanted.quick;
  options.signing_key = wanted.signing_key;
  const std::vector<const Case*> cases = select_cases(small_cases(), options);
  Record record;
  record.started_utc = record.ended_utc = "2026-03-01T10:00:00Z";
  record.capabilities = small_capabilities();
  record.capabilities["device"]["uuid"] = wanted.uuid;
  record.capabilities["device"]["name"] = wanted.device_name;
  record.wall_seconds = 10;
  EventLog log = EventLog::create(folder + "/events.jsonl");
  log.append(make_run_header(options, cases, {}, wanted.waivers, record.started_utc));
  record.plugin_sha256 = log.header().at("plugin_files").at(0).at("sha256");
  record.capabilities_hash = record.capabilities_hash_end =
      sha256_hex(canonical_json(record.capabilities));
  record.capability_snapshots = 1;
  log.append({{"event", "capabilities"},
              {"sha256", record.capabilities_hash},
              {"capabilities", record.capabilities}});
  double at = 0;
  for (const Batch& batch : plan_batches(cases, options, {})) {
    for (const Case* const the_case : batch.cases) {
      CaseResult result;
      result.id = the_case->id;
      result.status = *the_case->options.feature == '\0' ? Status::pass : Status::not_supported;
      result.text = result.status == Status::pass ? "" : "feature graph is absent";
      result.checks = 3;
      result.seconds = 0.25;
      result.digest = sha256_hex(result.id);
      if (result.status == Status::pass) {
        result.digests = {{"size=1", sha256_hex(result.id + "1")},
                          {"size=2", sha256_hex(result.id + "2")}};
      }
      wanted.change(result);
      at += 0.5;
      const std::string printed = is_allowed(result.status) ? "" : "what it printed";
      log.append({{"event", "result"},
                  {"run", log.run()},
                  {"at", at},
                  {"pass", batch.pass},
                  {"result", to_json(result)},
                  {"log", printed}});
      record.attempts[result.id].push_back({batch.pass, result, printed});
    }
  }
  log.append(make_run_totals(record, judge(options, cases, record, {}, wanted.waivers)));
  write_reports(options, small_cases());
  return read_package(folder);
}

// Puts an event log together again after its events were changed, so that its chain holds.
inline std::string chained(const std::vector<nlohmann::json>& events) {
  std::string text;
  std::string previous(64, '0');
  std::string run;
  for (nlohmann::json event : events) {
    event["prev"] = previous;
    if (event.contains("run")) event["run"] = run;
    const std::string line = canonical_json(event);
    previous = sha256_hex(line);
    if (run.empty()) run = run_name(previous);
    text += line + "\n";
  }
  return text;
}

inline std::vector<nlohmann::json> events_of(const Files& files) {
  std::size_t used = 0;
  std::string root;
  return read_event_chain(files.at("events.jsonl"), &used, &root);
}

inline void sum_again(Files& files) {
  Files summed = files;
  summed.erase("SHA256SUMS");
  summed.erase("attestation.json");
  files["SHA256SUMS"] = make_sums(summed);
}

// `files` again and again with one value of its log exchanged for another of any kind, and all sums right.
template <typename Look>
void with_values_of_any_kind(const Files& files, std::uint32_t seed, int rounds, Look&& look) {
  using nlohmann::json;
  const std::vector<json> events = events_of(files);
  const json values[] = {nullptr,        -1,   1e300,  "text",    json::array(),
                         json::object(), true, {1, 2}, {{"a", 1}}};
  std::mt19937_64 random(seed);
  for (int round = 0; round < rounds; ++round) {
    std::vector<json> spoiled = events;
    json& event = spoiled[random() % spoiled.size()];
    json flat = event.flatten();
    auto member = flat.begin();
    std::advance(member, static_cast<std::ptrdiff_t>(random() % flat.size()));
    event[json::json_pointer(member.key())] = values[random() % std::size(values)];
    Files changed = files;
    changed["events.jsonl"] = chained(spoiled);
    sum_again(changed);
    look(changed);
  }
}

}  // namespace flagos::conformance
