// The files that a run leaves behind; conformance/README.md says what stands in each.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "conformance/judgement.hpp"
#include "conformance/package/archive.hpp"
#include "conformance/run_log.hpp"

namespace flagos::conformance {

// All that a report is made from.
struct ReportInput {
  const Options& options;
  const Record& record;
  const Judgement& judgement;
  std::string chain_root;  // of events.jsonl
  nlohmann::json header;   // its first line
};

nlohmann::json make_report_json(const ReportInput& input);
std::string make_report_html(const ReportInput& input);
std::string make_junit(const ReportInput& input);

// "flagos-conformant 1.0/core", what a conformant run may call itself.
std::string claimed_name(const Options& options);

// The machine: system, processor, memory, limits, variables of the allow-list.
nlohmann::json describe_environment();

// Judges a run from its log. Cases without a result count as NOT_RUN.
Judgement judge_log(LoggedRun& run, const std::vector<Case>& cases);

// Every file of the report but events.jsonl, SHA256SUMS and attestation.json: equal logs give equal
// files.
Files make_report_files(const LoggedRun& run, const Judgement& judgement);

// Makes the folder of a report. Throws std::runtime_error when it holds something else.
void demand_report_folder(const std::string& out);

// What options.out, where events.jsonl is complete, is asked to hold beside it: the files above,
// their hashes, the attestation and the package. Each is complete or absent.
// Returns the path of the package, "" when none was asked for. Throws std::runtime_error that names
// the file.
std::string write_reports(const Options& options, const std::vector<Case>& cases);

// The file that holds what was printed during a case, relative to the folder of the report.
std::string log_file_name(const std::string& id);

}  // namespace flagos::conformance
