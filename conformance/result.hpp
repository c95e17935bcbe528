// The outcome of one run of one case, as a worker reports it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

#include "conformance/status.hpp"

namespace flagos::conformance {

struct CaseResult {
  std::string id;
  Status status = Status::not_run;
  std::string text;    // why it did not pass
  std::string digest;  // of the result bytes; "" when the case has none
  std::uint64_t checks = 0;
  std::uint64_t subcases = 0;
  double seconds = 0;
};

nlohmann::json to_json(const CaseResult& result);
// Throws nlohmann::json::exception or std::runtime_error when it is not a result.
CaseResult result_from_json(const nlohmann::json& json);

}  // namespace flagos::conformance
