// Everything that a run has found out, before it is judged.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conformance/result.hpp"

namespace flagos::conformance {

// One run of one case.
struct Attempted {
  std::uint32_t pass = 0;
  CaseResult result;
  std::string
      log;  // what the worker printed meanwhile, and stacks; only when the case did not pass
};

struct Record {
  std::map<std::string, std::vector<Attempted>> attempts;  // by case id
  nlohmann::json capabilities;                             // null until the probe has answered
  std::string capabilities_hash;                           // at the start
  std::string capabilities_hash_end;  // of the last worker that described the device
  std::uint64_t capability_snapshots = 0;
  nlohmann::json libraries = nlohmann::json::array();  // mapped beside the plugin: [{name, sha256}]
  std::vector<std::string> plugin_faults;   // what the plugin did wrong outside of any case
  std::vector<std::string> harness_faults;  // what we did wrong
  std::string stopped;                      // why the rest was not run; "" when all was
  std::string plugin_sha256;
  std::string started_utc;
  std::string ended_utc;
  double wall_seconds = 0;
};

}  // namespace flagos::conformance
