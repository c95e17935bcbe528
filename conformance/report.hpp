// The files that a run leaves behind; conformance/README.md says what stands in each.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "conformance/judgement.hpp"

namespace flagos::conformance {

// All that a report is made from.
struct ReportInput {
  const Options& options;
  const Record& record;
  const Judgement& judgement;
  std::string chain_root;  // of events.jsonl
  nlohmann::json environment;
};

nlohmann::json make_report_json(const ReportInput& input);
std::string make_report_html(const ReportInput& input);
std::string make_junit(const ReportInput& input);

// The machine: system, processor, memory, limits, variables of the allow-list.
nlohmann::json describe_environment();

// Writes all files into options.out and their hashes into SHA256SUMS. Each is complete or absent.
// Throws std::runtime_error that names the file.
void write_reports(const ReportInput& input);

// Text for HTML and XML: markup characters are escaped, control characters and broken UTF-8
// replaced.
std::string escape_markup(std::string_view text);

// The file that holds what was printed during a case, relative to the folder of the report.
std::string log_file_name(const std::string& id);

}  // namespace flagos::conformance
