// The kill matrix: what became of every mutant, what excuses the survivors, and whether the goals are reached.
#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

#include "conformance/mutants/hunt.hpp"

namespace flagos::conformance::mutants {

// Why a mutant may survive. `pattern` is an id, with * for any text.
struct Reason {
  std::string pattern;
  bool equivalent =
      false;  // nobody can tell the mutant from the plugin; else a gap of the suite, which is told
  std::string text;
};
using Reasons = std::vector<Reason>;

// Throws std::runtime_error that names the entry: no text, one of less than 20 characters, an id of no mutant.
Reasons read_reasons(const std::string& path);
const Reason* find_reason(const Reasons& reasons, std::string_view id);

struct Score {
  std::size_t killed = 0, equivalent = 0,
              total = 0;  // total: without those that are absent or idle
  double share() const {
    return total == 0 ? 1 : static_cast<double>(killed) / static_cast<double>(total);
  }
  double share_of_different() const {
    return total == equivalent
               ? 1
               : static_cast<double>(killed) / static_cast<double>(total - equivalent);
  }
};

struct Matrix {
  std::vector<Hunted> hunted;  // in the order of the list
  Score generic, seeded;
  std::size_t absent = 0, idle = 0;    // see Fate
  std::size_t missing = 0;             // mutants that were to be hunted and were not
  std::vector<std::string> unreached;  // goals, in sentences; empty: all are reached
  std::vector<std::string> notes;
};

inline constexpr double generic_goal = 0.95;

// `whole` is a run over all mutants: only then the share of killed ones is judged, and reasons that excuse nobody.
Matrix make_matrix(std::vector<Hunted> hunted, const Reasons& reasons, std::size_t missing,
                   bool whole);

nlohmann::json matrix_json(const Matrix& matrix, const Reasons& reasons, const nlohmann::json& run);
std::string matrix_html(const Matrix& matrix, const Reasons& reasons, const nlohmann::json& run);

}  // namespace flagos::conformance::mutants
