// What events.jsonl says about a run beside the results of cases: its first line and its last one.
// From this file alone every other file of a report can be made again.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "conformance/expectations.hpp"
#include "conformance/options.hpp"
#include "conformance/record.hpp"
#include "conformance/selection.hpp"
#include "conformance/waivers.hpp"

namespace flagos::conformance {

struct Judgement;

// The first event: the suite, the plugin's file, the options, the machine, and what was excused
// beforehand.
nlohmann::json make_run_header(const Options& options, const std::vector<const Case*>& cases,
                               const Expectations& expectations, const Waivers& waivers,
                               const std::string& started_utc);
// The last event: how it ended.
nlohmann::json make_run_totals(const Record& record, const Judgement& judgement);

// The SHA-256 of the ids of the cases, one per line.
std::string caselist_sha256(const std::vector<const Case*>& cases);

// One result in the order of the log.
struct LoggedResult {
  Attempt attempt;
  double at = 0;  // seconds since the start of the run
  double seconds = 0;
};

// A run as its log tells it.
struct LoggedRun {
  nlohmann::json header;
  nlohmann::json totals;
  Options options;
  Expectations expectations;
  Waivers waivers;
  Record record;
  std::vector<LoggedResult> results;
  std::vector<std::size_t> resumed_at;  // how many results there were whenever it was gone on with
  std::string chain_root;
  std::vector<LoggedRun> shards;  // of a merged run; results and times stand in them
};

// The options that a run was started with, from the first line of its log.
Options logged_options(const nlohmann::json& header);

// Reads and checks a complete log. Throws std::runtime_error with a sentence that names the line.
LoggedRun read_run_log(const std::string& text, const std::vector<Case>& cases);

}  // namespace flagos::conformance
