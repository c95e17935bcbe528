// report.json: the verdict and everything that it rests on.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/report.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

json counts_json(const Counts& counts) {
  json object = json::object();
  for (int i = 0; i < status_count; ++i) {
    if (counts[static_cast<std::size_t>(i)] == 0) continue;
    object[std::string(status_name(static_cast<Status>(i)))] = counts[static_cast<std::size_t>(i)];
  }
  return object;
}

json plugin_json(const ReportInput& input) {
  const json& files = input.header.at("plugin_files");
  if (files.empty()) return nullptr;
  json plugin = {{"file", files.at(0)}, {"files", files}, {"dependencies", input.record.libraries}};
  if (input.record.capabilities.is_object()) plugin.update(input.record.capabilities.at("plugin"));
  return plugin;
}

json run_json(const ReportInput& input) {
  const Options& options = input.options;
  return {{"seed", options.seed},
          {"level", level_name(options.level)},
          {"orders", options.orders},
          {"repeat", options.repeat},
          {"shard", {{"index", options.shard.index}, {"count", options.shard.count}}},
          {"jobs", options.jobs},
          {"quick", options.quick},
          {"only", options.only},
          {"except", options.except},
          {"timeout_scale", options.timeout_scale},
          {"device_ordinal", options.device},
          {"started_utc", input.record.started_utc},
          {"ended_utc", input.record.ended_utc},
          {"wall_seconds", input.record.wall_seconds},
          {"retries", 0}};
}

// Of a merged run: the packages that it was made from.
void add_shards(json& run, const ReportInput& input) {
  if (const auto shards = input.header.find("shards"); shards != input.header.end())
    run["shards"] = *shards;
}

json case_json(const Outcome& outcome) {
  const CaseOptions& options = outcome.the_case->options;
  json runs = json::array();
  for (const Status status : outcome.runs) runs.push_back(status_name(status));
  json object = {{"id", outcome.the_case->id},
                 {"params",
                  {{"level", level_name(options.level)},
                   {"oracle", oracle_name(options.oracle)},
                   {"isolation", isolation_name(options.isolation)},
                   {"feature", options.feature},
                   {"clause", options.clause}}},
                 {"status", status_name(outcome.status)},
                 {"runs", runs},
                 {"checks", outcome.checks},
                 {"subcases", outcome.subcases},
                 {"seconds", outcome.seconds},
                 {"text", outcome.text},
                 {"repro", outcome.repro},
                 {"digest", outcome.digest},
                 {"digests", outcome.digests}};
  if (!outcome.reason.empty()) object["expectation"] = outcome.reason;
  if (!outcome.log.empty()) object["log"] = log_file_name(outcome.the_case->id);
  return object;
}

json features_json(const Record& record) {
  json object = {{"absent", json::array()}, {"emulated", json::array()}, {"native", json::array()}};
  if (!record.capabilities.is_object()) return object;
  for (const auto& [name, support] : record.capabilities.at("features").items()) {
    object[support.get<std::string>()].push_back(name);
  }
  return object;
}

// What the run may be called, when its verdict allows it; who vouches for it is said elsewhere.
json claim_json(const ReportInput& input) {
  json features = json::array();
  if (input.record.capabilities.is_object()) {
    for (const auto& [name, support] : input.record.capabilities.at("features").items()) {
      if (support != "absent") features.push_back(name);
    }
  }
  return {{"name", claimed_name(input.options)},
          {"level", level_name(input.options.level)},
          {"abi_version", fmt::format("{}.{}", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR)},
          {"features", features}};
}

json performance_json(const Judgement& judgement) {
  json figures = json::array();
  for (const Outcome& outcome : judgement.outcomes) {
    for (const Measurement& measurement : outcome.measurements) {
      json figure = to_json(measurement);
      figure["id"] = outcome.the_case->id;
      figures.push_back(figure);
    }
  }
  return figures;
}

std::vector<std::string> not_run(const Judgement& judgement) {
  std::vector<std::string> ids;
  for (const Outcome& outcome : judgement.outcomes) {
    const bool ran = std::any_of(outcome.runs.begin(), outcome.runs.end(),
                                 [](Status status) { return status != Status::not_run; });
    if (!ran) ids.push_back(outcome.the_case->id);
  }
  return ids;
}

// What nobody should read into the verdict.
const std::vector<std::string>& limits() {
  static const std::vector<std::string> sentences = {
      "it holds for the plugin's file with this SHA-256 on this model of device and family of "
      "system, "
      "and for no other",
      "it says that the cases of this version of the suite held, not that the plugin has no "
      "defects",
      "it says nothing about speed: figures are reported, never judged",
      "without a signature by a key that the reader trusts it is the word of whoever made it",
  };
  return sentences;
}

}  // namespace

std::string claimed_name(const Options& options) {
  return fmt::format("flagos-conformant {}.{}/{}", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR,
                     level_name(options.level));
}

json make_report_json(const ReportInput& input) {
  const Judgement& judgement = input.judgement;
  const bool known = input.record.capabilities.is_object();
  const std::vector<std::string> missing = not_run(judgement);
  const Record& record = input.record;
  json report = {{"schema", 2},
                 {"suite", input.header.at("suite")},
                 {"plugin", plugin_json(input)},
                 {"devices", json::array()},
                 {"features", features_json(input.record)},
                 {"capabilities_sha256", input.record.capabilities_hash},
                 {"run", run_json(input)},
                 {"environment", input.header.at("environment")},
                 {"claim", claim_json(input)},
                 {"capabilities",
                  {{"sha256_start", record.capabilities_hash},
                   {"sha256_end", record.capabilities_hash_end},
                   {"snapshots", record.capability_snapshots}}},
                 {"performance", performance_json(judgement)},
                 {"limits", limits()},
                 {"cases_expected", judgement.outcomes.size()},
                 {"cases_run", judgement.outcomes.size() - missing.size()},
                 {"missing", missing},
                 {"cases", json::array()},
                 {"events_root", input.chain_root}};
  if (known) {
    report["devices"].push_back(input.record.capabilities.at("device"));
    report["runtime"] = input.record.capabilities.at("runtime");
  }
  add_shards(report["run"], input);
  json categories = json::object();
  for (const auto& [name, counts] : judgement.by_category) categories[name] = counts_json(counts);
  report["totals"] = {{"by_status", counts_json(judgement.totals)}, {"by_category", categories}};
  for (const Outcome& outcome : judgement.outcomes) report["cases"].push_back(case_json(outcome));
  report["verdict"] = {{"conformant", judgement.conformant},
                       {"level", level_name(input.options.level)},
                       {"reasons", judgement.reasons},
                       {"not_for_certification", judgement.not_for_certification},
                       {"exit_code", judgement.exit_code}};
  return report;
}

}  // namespace flagos::conformance
