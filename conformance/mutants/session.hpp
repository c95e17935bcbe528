// One hunt: from what was asked to the kill matrix and the exit code.
#pragma once

#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance::mutants {

struct Request {
  std::vector<std::string> only;   // globs of mutants
  std::vector<std::string> cases;  // globs of cases; empty: all
  Shard shard;
  unsigned jobs = 1;
  bool resume = false;
  double at_most = 60;        // seconds of a hunt
  double known_at_most = 10;  // of one that found nothing before, for a reason that is written down
  std::string wrapped, interposer, reasons, out;
  std::vector<std::string> before;  // folders of earlier hunts
  std::vector<std::string> merge;   // folders of hunts of other shards
  bool each_case = false;
  unsigned times = 0;  // not 0: only the rate is measured
  Context::Settings settings;
};

// Returns the exit code: 0 all goals are reached, 1 not, 2 incomplete. Ends at SIGINT and SIGTERM with what there is.
// Throws std::exception with a sentence.
int run_session(const Request& request);

}  // namespace flagos::conformance::mutants
