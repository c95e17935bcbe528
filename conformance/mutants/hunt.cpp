#include "conformance/mutants/hunt.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

#include "conformance/mutants/case_feed.hpp"
#include "conformance/selection.hpp"
#include "conformance/subprocess.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> fate_names = {"killed", "survived", "clean",
                                                        "alarm",  "absent",   "idle"};

constexpr double slow_seconds = 2;

// Which categories of cases look at a group of entries first.
struct Home {
  std::string_view group;
  std::array<std::string_view, 4> categories;
};
constexpr Home homes[] = {
    {"device", {"dev", "prof"}},  {"memory", {"copy", "fill", "mem", "host"}},
    {"stream", {"stream", "cb"}}, {"event", {"event"}},
    {"module", {"mod", "elfso"}}, {"kernel", {"krn"}},
    {"memory_pool", {"mem"}},     {"timeline", {"tl"}},
    {"graph", {"graph"}},         {"profiling", {"prof"}},
    {"host", {"prof"}},           {"interop", {"interop", "ipc"}},
    {"topology", {"peer"}},       {"operators", {"op"}},
    {"virtual_memory", {"mem"}},  {"collective", {"coll"}},
};

bool is_home(const Mutant& mutant, const Case& the_case) {
  const std::string& entry = mutant.entry;
  const bool makes = mutant.slot != slot_count && (slots()[mutant.slot].kind == Kind::create ||
                                                   slots()[mutant.slot].kind == Kind::destroy);
  if (makes && category_of(the_case.id) == "leak") return true;
  const std::string_view group = std::string_view(entry).substr(0, entry.find('.'));
  for (const Home& home : homes) {
    if (home.group != group) continue;
    return std::find(home.categories.begin(), home.categories.end(), category_of(the_case.id)) !=
           home.categories.end();
  }
  return false;
}

// A hanging mutant is not waited for as long as a plugin, which may be slow.
double patience(const Mutant& mutant, const Case& the_case, const SeenCase& seen) {
  const double limit = time_limit(the_case, {});
  if (must_pass(mutant)) return 4 * limit;
  if (mutant.full_size) return limit;
  return std::min(limit, std::max(10.0, 20 * seen.seconds));
}

// Cases that are alone on the device are alone here, too: other hunts run beside this one.
std::shared_mutex& device() {
  static std::shared_mutex mutex;
  return mutex;
}

CaseResult next_of(CaseFeed& feed, const Case& the_case, double seconds) {
  if (the_case.options.isolation == Isolation::destructive) {
    const std::unique_lock lock(device());
    return feed.next(seconds);
  }
  const std::shared_lock lock(device());
  return feed.next(seconds);
}

// On a machine with much to do it may fail by itself: then it is asked a second time.
bool depends_on_time(const Case& the_case, const CaseResult& result) {
  return the_case.options.oracle == Oracle::live || result.status == Status::timeout;
}

bool may_find(const Mutant& mutant, const Case& the_case, const SeenCase& seen) {
  if (must_pass(mutant)) return mutant.id != "min-caps" || the_case.options.level == Level::core;
  if (!seen.supported) return false;
  if (mutant.full_size) {
    return std::find(mutant.cases.begin(), mutant.cases.end(), the_case.id) != mutant.cases.end();
  }
  if (mutant.slot == slot_count) return true;
  const std::string entry(slots()[mutant.slot].name);
  return (mutant.shows_in_refusals ? seen.refusals : seen.entries).contains(entry);
}

}  // namespace

std::string_view fate_name(Fate fate) { return fate_names[static_cast<std::size_t>(fate)]; }

Fate fate_from_name(std::string_view name) {
  const auto found = std::find(fate_names.begin(), fate_names.end(), name);
  if (found == fate_names.end())
    throw std::runtime_error("unknown fate '" + std::string(name) + "'");
  return static_cast<Fate>(found - fate_names.begin());
}

json to_json(const Hunted& hunted) {
  return {{"mutant", hunted.id},          {"fate", fate_name(hunted.fate)},
          {"case", hunted.killer},        {"status", hunted.status},
          {"text", hunted.text},          {"seconds", hunted.seconds},
          {"cases_run", hunted.cases_run}};
}

Hunted hunted_from_json(const json& stored) {
  Hunted hunted;
  stored.at("mutant").get_to(hunted.id);
  hunted.fate = fate_from_name(stored.at("fate").get<std::string>());
  stored.at("case").get_to(hunted.killer);
  stored.at("status").get_to(hunted.status);
  stored.at("text").get_to(hunted.text);
  stored.at("seconds").get_to(hunted.seconds);
  stored.at("cases_run").get_to(hunted.cases_run);
  return hunted;
}

bool must_pass(const Mutant& mutant) {
  return mutant.id == "none" || mutant.id == "slow" || mutant.id == "min-caps" ||
         mutant.id == "max-caps";
}

std::vector<const Case*> cases_for(const Mutant& mutant, const CaseMap& map,
                                   const std::vector<const Case*>& cases) {
  struct Candidate {
    const Case* the_case;
    std::size_t rank;
    double cost;
  };
  std::vector<Candidate> candidates;
  for (const Case* const the_case : cases) {
    const auto seen = map.cases.find(the_case->id);
    if (seen == map.cases.end()) continue;
    if (!may_find(mutant, *the_case, seen->second)) continue;
    const auto named = std::find(mutant.cases.begin(), mutant.cases.end(), the_case->id);
    const auto place = static_cast<std::size_t>(named - mutant.cases.begin());
    const std::size_t rank = named != mutant.cases.end()  ? place
                             : is_home(mutant, *the_case) ? mutant.cases.size()
                                                          : mutant.cases.size() + 1;
    // A slow case about something else is not worth its time: it is there for what it is about.
    if (!must_pass(mutant) && rank > mutant.cases.size() && seen->second.seconds > slow_seconds)
      continue;
    // A process of its own costs a start; a case that is alone on the device stops the others.
    const bool alone = the_case->options.isolation == Isolation::destructive;
    const bool own = the_case->options.isolation != Isolation::shared;
    candidates.push_back({the_case, rank, seen->second.seconds + (alone ? 5 : own ? 0.05 : 0)});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.rank != b.rank ? a.rank < b.rank : a.cost < b.cost;
                   });
  std::vector<const Case*> sorted;
  for (const Candidate& candidate : candidates) sorted.push_back(candidate.the_case);
  return sorted;
}

bool is_kill(const CaseResult& result) {
  return !is_allowed(result.status) && result.status != Status::resource &&
         result.status != Status::harness_error;
}

Hunted hunt(const Mutant& mutant, const std::string& id, Context::Settings settings,
            const std::vector<const Case*>& cases, const CaseMap& map, double at_most) {
  const double start = steady_seconds();
  Hunted hunted;
  hunted.id = id;
  if (mutant.full_size) settings.quick = false;
  CaseFeed feed(settings, cases);
  CaseResult result;
  result.status = Status::pass;
  const double most = must_pass(mutant) ? std::numeric_limits<double>::infinity() : at_most;
  while (!feed.at_end() && !is_kill(result) && steady_seconds() - start < most) {
    const Case& the_case = feed.coming();
    const double limit = patience(mutant, the_case, map.cases.at(the_case.id));
    result = next_of(feed, the_case, limit);
    ++hunted.cases_run;
    if (is_kill(result) && depends_on_time(the_case, result)) {
      CaseFeed again(settings, {&the_case});
      result = next_of(again, the_case, limit);
    }
  }
  if (!is_kill(result)) result = feed.end();
  hunted.seconds = steady_seconds() - start;
  const bool right = must_pass(mutant);
  hunted.fate = is_kill(result) ? (right ? Fate::alarm : Fate::killed)
                                : (right ? Fate::clean : Fate::survived);
  if (!is_kill(result)) return hunted;
  hunted.killer = result.id;
  hunted.status = status_name(result.status);
  hunted.text = result.text;
  return hunted;
}

}  // namespace flagos::conformance::mutants
