// Looks for a case that finds one mutant.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/mutants/case_map.hpp"
#include "conformance/mutants/catalogue.hpp"
#include "conformance/result.hpp"

namespace flagos::conformance::mutants {

// killed and survived are of bugs, clean and alarm of plugins that are right. absent: the wrapped plugin lacks the entry;
// idle: the bug shows only when the entry refuses, which it does in no case.
enum class Fate { killed, survived, clean, alarm, absent, idle };
std::string_view fate_name(Fate fate);
Fate fate_from_name(std::string_view name);

struct Hunted {
  std::string id;  // "crash@50"
  Fate fate = Fate::survived;
  std::string killer;  // the case; "" when there is none
  std::string status;  // of the case: "FAIL", "CRASH", ...
  std::string text;
  double seconds = 0;
  std::size_t cases_run = 0;
};

nlohmann::json to_json(const Hunted& hunted);
Hunted hunted_from_json(const nlohmann::json& json);

// Whether a baseline is a plugin that every case must pass on.
bool must_pass(const Mutant& mutant);

// The cases that may find the mutant, the most promising ones first: those that must find it, then those of the entry's
// own categories, the quick ones first.
std::vector<const Case*> cases_for(const Mutant& mutant, const CaseMap& map,
                                   const std::vector<const Case*>& cases);

// Whether a case that ended so tells the plugin from a right one.
bool is_kill(const CaseResult& result);

// Runs `cases` on the plugin of `settings`, which carries the mutant, up to the first that finds it or for `at_most`
// seconds.
Hunted hunt(const Mutant& mutant, const std::string& id, Context::Settings settings,
            const std::vector<const Case*>& cases, const CaseMap& map, double at_most);

}  // namespace flagos::conformance::mutants
