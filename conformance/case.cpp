// The registry of cases and helpers: filled before main by their registrars.
#include "conformance/case.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "conformance/registry.hpp"

namespace flagos::conformance {
namespace {

// Function statics: a registrar may run before any object of this file is made.
std::vector<Case>& registered_cases() {
  static std::vector<Case> cases;
  return cases;
}

std::vector<NamedHelper>& registered_helpers() {
  static std::vector<NamedHelper> helpers;
  return helpers;
}

// Two cases of one id would make every report ambiguous: the program does not start.
[[noreturn]] void refuse(const char* kind, std::string_view name) {
  std::fprintf(stderr, "flagos-conformance: two %s are named '%.*s'\n", kind,
               static_cast<int>(name.size()), name.data());
  std::abort();
}

std::vector<Case> sorted_cases() {
  std::vector<Case> cases = registered_cases();
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
  const auto same = std::adjacent_find(cases.begin(), cases.end(),
                                       [](const Case& a, const Case& b) { return a.id == b.id; });
  if (same != cases.end()) refuse("cases", same->id);
  return cases;
}

}  // namespace

const std::vector<Case>& all_cases() {
  static const std::vector<Case> cases = sorted_cases();
  return cases;
}

const Case* find_case(std::string_view id) {
  const auto& cases = all_cases();
  const auto found =
      std::lower_bound(cases.begin(), cases.end(), id,
                       [](const Case& a, std::string_view wanted) { return a.id < wanted; });
  return found != cases.end() && found->id == id ? &*found : nullptr;
}

const NamedHelper* find_helper(std::string_view name) {
  for (const NamedHelper& helper : registered_helpers()) {
    if (helper.name == name) return &helper;
  }
  return nullptr;
}

Registrar::Registrar(const char* id, const CaseOptions& options, void (*run)(Context&),
                     std::source_location where) {
  registered_cases().push_back({id, options, run, where});
}

HelperRegistrar::HelperRegistrar(const char* name, int (*run)(Helper&)) {
  if (find_helper(name) != nullptr) refuse("helpers", name);
  registered_helpers().push_back({name, run});
}

}  // namespace flagos::conformance
