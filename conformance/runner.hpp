// The orchestrator: hands cases to workers, ends those that hang, and keeps what became of each
// case.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "conformance/event_log.hpp"
#include "conformance/options.hpp"
#include "conformance/progress.hpp"
#include "conformance/record.hpp"
#include "conformance/selection.hpp"
#include "conformance/worker_process.hpp"

namespace flagos::conformance {

class Runner {
 public:
  Runner(const Options& options, std::vector<const Case*> cases, EventLog& log, Progress& progress);
  ~Runner();

  // Runs what the log does not hold yet. Throws std::runtime_error when the run itself cannot go
  // on.
  Record run();

 private:
  struct Active;  // a worker and the batch that it works on

  void read_log();
  void probe();
  void loop();
  void start_workers();
  void start(Batch batch);
  bool may_start(const Batch& batch) const;
  void wait_for_events() const;

  void serve(Active& active);
  void take_line(Active& active, const std::string& line);
  void begin_case(Active& active, const std::string& id);
  void end_case(Active& active, const nlohmann::json& result);
  void take_capabilities(const nlohmann::json& event);
  void check_deadline(Active& active);

  void finish(Active& active, int wait_status);
  void finish_current(Active& active, int wait_status, const std::string& output);
  void finish_idle(Active& active, int wait_status, const std::string& output);
  void finish_ping(bool passed);
  void requeue(const Active& active);
  void ask_for_ping();

  void keep(const Active& active, const CaseResult& result, const std::string& log);
  void stop(const std::string& reason);
  double seconds_of_run() const;

  const Options& options_;
  std::vector<const Case*> cases_;
  EventLog& log_;
  Progress& progress_;
  Record record_;
  std::set<Attempt> done_;
  std::deque<Batch> queue_;
  std::list<std::unique_ptr<Active>> active_;
  bool ping_wanted_ = false;
  double start_ = 0;
  double before_ = 0;  // seconds of the sessions that are gone on with
};

// Ends the run at the next occasion; safe in a signal handler.
void interrupt_runner();

}  // namespace flagos::conformance
