#include "conformance/run_log.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <stdexcept>

#include "conformance/commit.hpp"
#include "conformance/event_log.hpp"
#include "conformance/judgement.hpp"
#include "conformance/plugin_file.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"
#include "conformance/shards.hpp"
#include "conformance/version.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

json suite_json(const Options& options, const std::vector<const Case*>& cases) {
  return {{"name", "flagos-conformance"},
          {"version", suite_version},
          {"commit", suite_commit},
          {"dirty", suite_dirty},
          {"abi_header_version", fmt::format("{}.{}", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR)},
          {"caselist_sha256", caselist_sha256(cases)},
          {"binary_sha256", sha256_file(options.executable)}};
}

json options_json(const Options& options) {
  return {{"plugin", options.plugin},
          {"device", options.device},
          {"level", level_name(options.level)},
          {"only", options.only},
          {"except", options.except},
          {"shard", {{"index", options.shard.index}, {"count", options.shard.count}}},
          {"seed", options.seed},
          {"jobs", options.jobs},
          {"orders", options.orders},
          {"repeat", options.repeat},
          {"shuffle", options.shuffle},
          {"quick", options.quick},
          {"certify", options.certify},
          {"selftest", options.selftest},
          {"null_check", options.null_check},
          {"timeout_scale", options.timeout_scale}};
}

std::uint32_t count_in(const json& value, const char* name, std::uint32_t least,
                       std::uint32_t most) {
  const auto count = value.at(name).get<std::int64_t>();
  if (count < least || count > most) {
    throw std::runtime_error(fmt::format("{} is {}, which no run has", name, count));
  }
  return static_cast<std::uint32_t>(count);
}

Options options_from_json(const json& value) {
  constexpr std::uint32_t most = 10000;
  constexpr std::uint32_t most_passes = 1000;
  Options options;
  options.plugin = value.at("plugin").get<std::string>();
  options.device = count_in(value, "device", 0, most);
  const auto level = value.at("level").get<std::string>();
  if (level != "core" && level != "full") throw std::runtime_error("the level is none");
  options.level = level == "full" ? Level::full : Level::core;
  options.only = value.at("only").get<std::vector<std::string>>();
  options.except = value.at("except").get<std::vector<std::string>>();
  options.shard.count = count_in(value.at("shard"), "count", 1, most);
  options.shard.index = count_in(value.at("shard"), "index", 0, options.shard.count - 1);
  options.seed = value.at("seed").get<std::uint64_t>();
  options.jobs = count_in(value, "jobs", 1, most);
  options.orders = count_in(value, "orders", 1, most);
  options.repeat = count_in(value, "repeat", 1, most);
  if (passes(options) > most_passes)
    throw std::runtime_error("it has more orders and repeats than a run has");
  options.shuffle = value.at("shuffle").get<bool>();
  options.quick = value.at("quick").get<bool>();
  options.certify = value.at("certify").get<bool>();
  options.selftest = value.at("selftest").get<bool>();
  options.null_check = value.at("null_check").get<bool>();
  options.timeout_scale = value.at("timeout_scale").get<double>();
  if (!(options.timeout_scale > 0 && options.timeout_scale <= 1000)) {
    throw std::runtime_error("timeout_scale is out of range");
  }
  return options;
}

void read_header(LoggedRun& run, const json& event, const std::vector<Case>& cases) {
  if (event.at("event") != "run") throw std::runtime_error("the log does not begin with its run");
  run.header = event;
  run.options = options_from_json(event.at("options"));
  if (!event.at("plugin_files").empty()) {
    const json& file = event.at("plugin_files").at(0);
    run.options.plugin_path = file.at("name").get<std::string>();
    run.record.plugin_sha256 = file.at("sha256").get<std::string>();
  }
  run.expectations = parse_expectations(event.at("expectations").dump(), cases);
  run.waivers = parse_waivers(event.at("waivers"), cases);
  run.record.started_utc = event.at("started_utc").get<std::string>();
}

void read_result(LoggedRun& run, const json& event, const std::string& name) {
  if (event.at("run") != name) throw std::runtime_error("the result is of another run");
  Attempted attempted{count_in(event, "pass", 0, passes(run.options) - 1),
                      result_from_json(event.at("result")), event.at("log").get<std::string>()};
  LoggedResult logged{{attempted.pass, attempted.result.id},
                      event.at("at").get<double>(),
                      attempted.result.seconds};
  if (!run.results.empty() && logged.at < run.results.back().at) {
    throw std::runtime_error("the result ended before the one that stands before it");
  }
  for (const Attempted& other : run.record.attempts[attempted.result.id]) {
    if (other.pass != attempted.pass) continue;
    throw std::runtime_error(
        fmt::format("{} has two results in pass {}", attempted.result.id, attempted.pass));
  }
  run.record.attempts[attempted.result.id].push_back(std::move(attempted));
  run.results.push_back(std::move(logged));
}

void read_totals(LoggedRun& run, const json& event) {
  Record& record = run.record;
  run.totals = event;
  record.stopped = event.at("stopped").get<std::string>();
  record.plugin_faults = event.at("plugin_faults").get<std::vector<std::string>>();
  record.harness_faults = event.at("harness_faults").get<std::vector<std::string>>();
  record.capabilities_hash_end = event.at("capabilities_sha256_end").get<std::string>();
  record.capability_snapshots = event.at("capability_snapshots").get<std::uint64_t>();
  record.ended_utc = event.at("ended_utc").get<std::string>();
  record.wall_seconds = event.at("wall_seconds").get<double>();
}

void read_event(LoggedRun& run, const json& event, const std::string& name) {
  const auto kind = event.at("event").get<std::string>();
  if (kind == "result") {
    read_result(run, event, name);
  } else if (kind == "capabilities") {
    run.record.capabilities = event.at("capabilities");
    run.record.capabilities_hash = event.at("sha256").get<std::string>();
  } else if (kind == "libraries") {
    run.record.libraries = event.at("libraries");
  } else if (kind == "resume") {
    run.resumed_at.push_back(run.results.size());
  } else if (kind == "totals") {
    read_totals(run, event);
  } else if (kind != "stopped") {
    throw std::runtime_error(fmt::format("there is no event '{}'", kind));
  }
}

[[noreturn]] void throw_no_end() {
  throw std::runtime_error("the log has no end: the line with the totals is missing");
}

LoggedRun read_merged_run(const std::vector<json>& events, const std::string& chain_root,
                          const std::vector<Case>& cases) {
  try {
    if (events.back().at("event") != "totals") throw_no_end();
    return read_merged_log(events, chain_root, cases);
  } catch (const json::exception&) {
    throw std::runtime_error("a member of a merged run is missing or of the wrong kind");
  }
}

// A run that was resumed may have ended before: only what the last end says counts.
void demand_end(const LoggedRun& run, const std::vector<json>& events) {
  if (run.totals.is_null() || events.back().at("event") != "totals") {
    throw_no_end();
  }
}

}  // namespace

std::string caselist_sha256(const std::vector<const Case*>& cases) {
  std::string ids;
  for (const Case* const the_case : cases) ids += the_case->id + "\n";
  return sha256_hex(ids);
}

json make_run_header(const Options& options, const std::vector<const Case*>& cases,
                     const Expectations& expectations, const Waivers& waivers,
                     const std::string& started_utc) {
  json files = json::array();
  if (!options.plugin_path.empty()) files.push_back(describe_plugin_file(options.plugin_path));
  return {{"event", "run"},
          {"schema", 2},
          {"suite", suite_json(options, cases)},
          {"plugin_files", files},
          {"options", options_json(options)},
          {"environment", describe_environment()},
          {"expectations", to_json(expectations)},
          {"waivers", to_json(waivers)},
          {"started_utc", started_utc}};
}

json make_run_totals(const Record& record, const Judgement& judgement) {
  json statuses = json::object();
  for (const Outcome& outcome : judgement.outcomes) {
    statuses[outcome.the_case->id] = status_name(outcome.status);
  }
  return {{"event", "totals"},
          {"cases", statuses},
          {"conformant", judgement.conformant},
          {"stopped", record.stopped},
          {"plugin_faults", record.plugin_faults},
          {"harness_faults", record.harness_faults},
          {"capabilities_sha256_end", record.capabilities_hash_end},
          {"capability_snapshots", record.capability_snapshots},
          {"ended_utc", record.ended_utc},
          {"wall_seconds", record.wall_seconds}};
}

Options logged_options(const json& header) { return options_from_json(header.at("options")); }

LoggedRun read_run_log(const std::string& text, const std::vector<Case>& cases) {
  LoggedRun run;
  std::size_t used = 0;
  const std::vector<json> events = read_event_chain(text, &used, &run.chain_root);
  if (used < text.size()) throw std::runtime_error("its last line is cut off");
  if (events.empty()) throw std::runtime_error("it is empty");
  if (is_merged(events.front())) return read_merged_run(events, run.chain_root, cases);
  const std::string name = run_name(sha256_hex(text.substr(0, text.find('\n'))));
  for (std::size_t i = 0; i < events.size(); ++i) {
    try {
      if (i == 0) {
        read_header(run, events[i], cases);
      } else {
        read_event(run, events[i], name);
      }
    } catch (const json::exception&) {
      throw std::runtime_error(
          fmt::format("line {}: a member is missing or of the wrong kind", i + 1));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("line {}: {}", i + 1, error.what()));
    }
  }
  demand_end(run, events);
  return run;
}

}  // namespace flagos::conformance
