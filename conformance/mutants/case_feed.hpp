// Runs cases one at a time and waits for each: the caller stops when it has seen enough.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/result.hpp"
#include "conformance/worker_process.hpp"

namespace flagos::conformance::mutants {

class CaseFeed {
 public:
  // `cases` in the order in which they will be asked for. Those that may share a worker do.
  CaseFeed(const Context::Settings& settings, std::vector<const Case*> cases);
  ~CaseFeed();

  // The next case, killed after `seconds`.
  CaseResult next(double seconds);
  bool at_end() const { return next_ == cases_.size(); }
  const Case& coming() const { return *cases_[next_]; }
  // Behind the last case: lets the worker of the shared ones end; how it ended belongs to the last of them.
  CaseResult end();

 private:
  void start_shared();
  CaseResult run(WorkerProcess& worker, const Case& the_case, double seconds);
  CaseResult finish(WorkerProcess& worker, CaseResult result);

  const Context::Settings settings_;
  std::vector<const Case*> cases_;
  std::size_t next_ = 0;
  std::unique_ptr<WorkerProcess> shared_;  // waits behind its last case
  CaseResult last_shared_;
};

}  // namespace flagos::conformance::mutants
