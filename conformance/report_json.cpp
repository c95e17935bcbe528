// report.json: the verdict and everything that it rests on.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"
#include "conformance/version.hpp"

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

std::string caselist_sha256(const Judgement& judgement) {
  std::string ids;
  for (const Outcome& outcome : judgement.outcomes) ids += outcome.the_case->id + "\n";
  return sha256_hex(ids);
}

json suite_json(const ReportInput& input) {
  return {{"name", "flagos-conformance"},
          {"version", suite_version},
          {"abi_header_version", fmt::format("{}.{}", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR)},
          {"caselist_sha256", caselist_sha256(input.judgement)},
          {"binary_sha256", sha256_file(input.options.executable)}};
}

json plugin_json(const ReportInput& input) {
  if (input.options.plugin_path.empty()) return nullptr;
  const std::filesystem::path path = input.options.plugin_path;
  json plugin = {{"file",
                  {{"name", path.filename().string()},
                   {"sha256", input.record.plugin_sha256},
                   {"size_bytes", std::filesystem::file_size(path)}}}};
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
          {"resumed", options.resume}};
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
                 {"digest", outcome.digest}};
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

}  // namespace

json make_report_json(const ReportInput& input) {
  const Judgement& judgement = input.judgement;
  const bool known = input.record.capabilities.is_object();
  json report = {{"schema", 1},
                 {"suite", suite_json(input)},
                 {"plugin", plugin_json(input)},
                 {"devices", json::array()},
                 {"features", features_json(input.record)},
                 {"capabilities_sha256", input.record.capabilities_hash},
                 {"run", run_json(input)},
                 {"environment", input.environment},
                 {"cases_expected", judgement.outcomes.size()},
                 {"cases", json::array()},
                 {"events_root", input.chain_root}};
  if (known) {
    report["devices"].push_back(input.record.capabilities.at("device"));
    report["runtime"] = input.record.capabilities.at("runtime");
  }
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
