#include "conformance/package/plausible.hpp"

#include <fmt/format.h>

#include <map>

#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

// No case opens a plugin, checks something and closes it in less.
constexpr double shortest_seconds = 1e-7;
// From a case's limit to the moment at which its worker is gone, and for clocks of two processes.
constexpr double slack_seconds = 120;
constexpr double clock_seconds = 0.5;

// The seed says in which order the cases of a worker run. A run that was interrupted and gone on
// with has other workers, and so other orders.
void check_order(const LoggedRun& run, const std::vector<const Case*>& cases,
                 std::vector<std::string>& reasons) {
  if (run.resumed) return;
  std::map<Attempt, std::size_t> position;
  for (std::size_t i = 0; i < run.results.size(); ++i) position[run.results[i].attempt] = i;
  for (const Batch& batch : plan_batches(cases, run.options, {})) {
    std::size_t last = 0;
    for (const Case* const the_case : batch.cases) {
      const auto found = position.find({batch.pass, the_case->id});
      if (found == position.end()) continue;
      if (found->second < last) {
        reasons.push_back(fmt::format("{} stands out of the order that seed {} gives to pass {}",
                                      the_case->id, run.options.seed, batch.pass));
        return;
      }
      last = found->second;
    }
  }
}

void check_times(const LoggedRun& run, std::vector<std::string>& reasons) {
  const double wall = run.record.wall_seconds;
  double sum = 0;
  for (const auto& [id, attempts] : run.record.attempts) {
    for (const Attempted& attempted : attempts) {
      const CaseResult& result = attempted.result;
      sum += result.seconds;
      if (result.status == Status::pass && !(result.seconds >= shortest_seconds)) {
        reasons.push_back(fmt::format("{} took {} s, which no case does", id, result.seconds));
        return;
      }
    }
  }
  for (const LoggedResult& logged : run.results) {
    const bool fits = logged.seconds >= 0 && logged.seconds <= logged.at + clock_seconds &&
                      logged.at <= wall + clock_seconds;
    if (fits) continue;
    reasons.push_back(
        fmt::format("{} took {:.3f} s and ended {:.3f} s after the start of a run of {:.3f} s",
                    logged.attempt.second, logged.seconds, logged.at, wall));
    return;
  }
  if (sum > wall * run.options.jobs + clock_seconds) {
    reasons.push_back(
        fmt::format("its cases took {:.1f} s in all, more than {} jobs have in {:.1f} s", sum,
                    run.options.jobs, wall));
  }
}

void check_limits(const LoggedRun& run, const std::vector<const Case*>& cases,
                  std::vector<std::string>& reasons) {
  for (const Case* const the_case : cases) {
    const auto found = run.record.attempts.find(the_case->id);
    if (found == run.record.attempts.end()) continue;
    for (const Attempted& attempted : found->second) {
      if (attempted.result.seconds <= time_limit(*the_case, run.options) + slack_seconds) continue;
      reasons.push_back(fmt::format("{} took longer than its time limit", the_case->id));
      return;
    }
  }
}

}  // namespace

std::vector<std::string> implausible(const LoggedRun& run, const std::vector<const Case*>& cases) {
  std::vector<std::string> reasons;
  check_order(run, cases, reasons);
  check_times(run, reasons);
  check_limits(run, cases, reasons);
  return reasons;
}

}  // namespace flagos::conformance
