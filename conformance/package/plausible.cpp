#include "conformance/package/plausible.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

// No case opens a plugin, checks something and closes it in less.
constexpr double shortest_seconds = 1e-7;
// From a case's limit to the moment at which its worker is gone, and for clocks of two processes.
constexpr double slack_seconds = 120;
constexpr double clock_seconds = 0.5;

// The results from one start of the run to the next: of each worker the first cases of those that were left, in the order
// that the seed gives them.
void check_order_of_part(const LoggedRun& run, const std::vector<const Case*>& cases,
                         const std::set<Attempt>& done, std::size_t begin, std::size_t end,
                         std::vector<std::string>& reasons) {
  std::map<Attempt, std::size_t> position;
  for (std::size_t i = begin; i < end; ++i) position[run.results[i].attempt] = i;
  for (const Batch& batch : plan_batches(cases, run.options, done)) {
    std::size_t last = begin;
    const Case* missing = nullptr;
    for (const Case* const the_case : batch.cases) {
      const auto found = position.find({batch.pass, the_case->id});
      if (found == position.end()) {
        missing = the_case;
        continue;
      }
      if (missing != nullptr || found->second < last) {
        reasons.push_back(fmt::format("{} stands out of the order that seed {} gives to pass {}",
                                      the_case->id, run.options.seed, batch.pass));
        return;
      }
      last = found->second;
    }
  }
}

// A run that was interrupted has a part behind each start.
void check_order(const LoggedRun& run, const std::vector<const Case*>& cases,
                 std::vector<std::string>& reasons) {
  std::set<Attempt> done;
  std::vector<std::size_t> ends = run.resumed_at;
  ends.push_back(run.results.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    check_order_of_part(run, cases, done, begin, end, reasons);
    if (!reasons.empty()) return;
    for (; begin < end; ++begin) done.insert(run.results[begin].attempt);
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
