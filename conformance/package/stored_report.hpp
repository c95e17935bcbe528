// A report that is there, as `diff` and `matrix` read it: a package, its folder, or report.json.
#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

#include "conformance/result.hpp"

namespace flagos::conformance {

struct StoredCase {
  Status status = Status::not_run;
  std::string level, text;
  std::map<std::string, std::string> digests;
  double seconds = 0;
};

struct StoredReport {
  std::string path;
  std::string plugin_name, plugin_version, vendor, plugin_sha256;
  std::string device_name, driver_version;
  std::string suite_version, abi_version, level, started_utc, commit;
  bool quick = false;
  bool conformant = false;
  std::uint64_t seed = 0;
  std::vector<std::string> reasons;
  std::map<std::string, std::string> features;  // name -> absent, emulated, native
  std::map<std::string, StoredCase> cases;
  std::map<std::string, std::map<std::string, std::size_t>> categories;  // -> status -> count
  std::map<std::pair<std::string, std::string>, Measurement> figures;    // by case and name
  std::map<std::string, std::string> waivers;  // id and parameters -> canonical form of the entry
  nlohmann::json device, environment;
};

// Throws std::runtime_error with one sentence that names `path`.
StoredReport read_stored_report(const std::string& path);

}  // namespace flagos::conformance
