// Runs another program and waits for it: no shell, nothing of ours open in it, a time limit.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace flagos::cpu {

struct ChildEnding {
  int start_error = 0;  // errno when it could not be started
  bool timed_out = false;
  // False: somebody else in the process took its exit status (SIGCHLD is ignored, say).
  bool is_known = true;
  int exit_code = 0;
  int signal = 0;
  std::string output;  // stdout and stderr, the first 64 KiB

  bool succeeded() const noexcept {
    return start_error == 0 && !timed_out && (!is_known || (exit_code == 0 && signal == 0));
  }
};

// `command` starts with the path of the program, `environment` has "NAME=value". It runs in `folder`
// as a process group of its own, which is killed when the program has ended or `limit` has passed.
ChildEnding run_child(const std::vector<std::string>& command,
                      const std::vector<std::string>& environment, const std::string& folder,
                      std::chrono::milliseconds limit);

}  // namespace flagos::cpu
