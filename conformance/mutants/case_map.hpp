// Which case calls which entries, and how long it takes: seen once on the wrapped plugin.
#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/mutants/slots.hpp"

namespace flagos::conformance::mutants {

struct SeenCase {
  double seconds = 0;
  std::set<std::string> entries;   // "memory.copy"
  std::set<std::string> refusals;  // those that said something else than OK at least once
  bool supported = true;           // else it says nothing about this plugin
};

struct CaseMap {
  std::map<std::string, SeenCase> cases;
  std::set<std::string> filled;     // entries that the wrapped plugin has
  std::vector<std::string> alarms;  // cases that fail on it: nothing can be judged by them
};

nlohmann::json to_json(const CaseMap& map);
CaseMap case_map_from_json(const nlohmann::json& json);

// The bytes that a traced plugin writes.
class Trace {
 public:
  explicit Trace(const std::string& path);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const std::string& path() const { return path_; }
  // The entries that were called since the last look, and those that said something else than OK.
  std::set<std::string> called() const;
  std::set<std::string> refused() const;
  void forget();
  std::set<std::string> filled() const;

 private:
  std::string path_;
  unsigned char* bytes_ = nullptr;
};

// Runs every case on the file that is traced, `jobs` at a time. `folder` is for files that go away with it.
CaseMap record_case_map(const std::string& interposer, const std::string& wrapped,
                        Context::Settings settings, const std::vector<const Case*>& cases,
                        unsigned jobs, const std::string& folder);

}  // namespace flagos::conformance::mutants
