// What differs between two reports, and whether it is for the better.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "conformance/package/stored_report.hpp"

namespace flagos::conformance {

enum class Direction { better, neutral, worse };

struct Difference {
  std::string kind;  // "regression", "fix", "numeric drift", ...
  Direction direction = Direction::neutral;
  std::string subject;  // a case, a feature, a member of the environment
  std::string before, after;
};

struct Diff {
  std::vector<std::string> not_comparable;  // why; then there are no differences
  std::vector<std::string> notes;
  std::vector<Difference> differences;

  // 0 the same, 1 only better, 2 something is worse, 3 not comparable. Against a golden report every
  // difference but times and environment is worse.
  int exit_code(bool golden) const;
};

Diff diff_reports(const StoredReport& before, const StoredReport& after);

std::string diff_text(const Diff& diff);
nlohmann::json diff_json(const StoredReport& before, const StoredReport& after, const Diff& diff,
                         bool golden);
std::string diff_html(const StoredReport& before, const StoredReport& after, const Diff& diff);

}  // namespace flagos::conformance
