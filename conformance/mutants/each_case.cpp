#include "conformance/mutants/each_case.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <tuple>

#include "conformance/mutants/hunt.hpp"
#include "conformance/mutants/slots.hpp"

namespace flagos::conformance::mutants {
namespace {

// Bugs that a look at the result finds.
constexpr std::array<std::string_view, 6> coarse = {"/skip",   "/fail",   "/fail-after",
                                                    "/size-1", "/size+1", "/other-status"};

std::size_t fineness(std::string_view id) {
  const auto found = std::find_if(coarse.begin(), coarse.end(),
                                  [&](std::string_view suffix) { return id.ends_with(suffix); });
  return static_cast<std::size_t>(found - coarse.begin());
}

std::map<std::string, std::size_t, std::less<>> callers_of(const CaseMap& map) {
  std::map<std::string, std::size_t, std::less<>> count;
  for (const auto& [id, seen] : map.cases)
    for (const std::string& entry : seen.entries) ++count[entry];
  return count;
}

}  // namespace

std::vector<const Mutant*> candidates_for(const Case& the_case, const CaseMap& map,
                                          const std::set<std::string>& killed, std::size_t most) {
  using Rank = std::tuple<bool, std::size_t, std::size_t>;  // the least comes first
  const auto callers = callers_of(map);
  std::vector<std::pair<Rank, const Mutant*>> found;
  for (const Mutant& mutant : all_mutants()) {
    if (mutant.kind == Class::baseline || mutant.full_size || !killed.contains(mutant.id)) continue;
    if (cases_for(mutant, map, {&the_case}).empty()) continue;
    const bool is_named =
        std::find(mutant.cases.begin(), mutant.cases.end(), the_case.id) != mutant.cases.end();
    const auto count =
        mutant.slot == slot_count ? callers.end() : callers.find(slots()[mutant.slot].name);
    found.emplace_back(Rank(!is_named, count == callers.end() ? map.cases.size() : count->second,
                            fineness(mutant.id)),
                       &mutant);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const Mutant*> candidates;
  for (const auto& [rank, mutant] : found) {
    if (candidates.size() == most) break;
    candidates.push_back(mutant);
  }
  return candidates;
}

}  // namespace flagos::conformance::mutants
