// The outcome of one run of one case, as a worker reports it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "conformance/status.hpp"

namespace flagos::conformance {

// Samples of one quantity, for the report only.
struct Measurement {
  std::string name;  // with the parameters of the subcase, as in an id: "copy[size=1 MiB]"
  std::string unit;
  std::vector<double> samples;
};

struct CaseResult {
  std::string id;
  Status status = Status::not_run;
  std::string text;    // why it did not pass
  std::string digest;  // of all result bytes; "" when the case has none
  // Of the result bytes of each subcase, by its parameters; where another device must reach them.
  std::map<std::string, std::string> digests;
  std::vector<Measurement> measurements;
  std::uint64_t checks = 0;
  std::uint64_t subcases = 0;
  double seconds = 0;
};

// "copy.len[size=1]", "copy.len" without parameters.
std::string subcase_name(const std::string& id, const std::string& parameters);

nlohmann::json to_json(const Measurement& measurement);
nlohmann::json to_json(const CaseResult& result);
// Throws nlohmann::json::exception or std::runtime_error when it is not a result.
CaseResult result_from_json(const nlohmann::json& json);

}  // namespace flagos::conformance
