// A worker as its orchestrator sees it: started, listened to, and ended with all that it started.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "conformance/subprocess.hpp"

namespace flagos::conformance {

class WorkerProcess {
 public:
  // Starts `executable --worker` in a process group of its own and hands it the job.
  WorkerProcess(const std::string& executable, const nlohmann::json& job);
  // Kills what is left of it.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t pid() const { return pid_; }
  int report_descriptor() const { return report_.read_end; }
  int output_descriptor() const { return output_.read_end; }

  // Reads what is there, without waiting. Complete report lines are returned.
  std::vector<std::string> pump();
  // The last 64 KiB that it wrote to stdout and stderr since the call before.
  std::string take_output();
  // Lets it go on after a result.
  void acknowledge();
  // The wait status once the process has ended; its group is killed then.
  std::optional<int> try_reap();
  void kill_group();

 private:
  void read_output();
  void read_reports();

  Pipe job_;
  Pipe report_;
  Pipe output_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  std::string partial_line_;
  std::string tail_;
};

// "was killed by SIGSEGV (11)", "ended with exit code 3".
std::string describe_wait_status(int wait_status);

}  // namespace flagos::conformance
