// Other programs: where they are, running them, and running one that must not be trusted.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace flagos::tools {

std::string own_executable();

// A program of ours: beside this one, or in libexec/flagos of the same prefix. "" when there is
// none.
std::string find_own_program(const std::string& name);

using Environment = std::vector<std::pair<std::string, std::string>>;  // variables added to ours

// Runs a program, found through PATH, on our terminal. Its exit code, or 128 + the signal that
// ended it. Throws CommandError when it cannot be started.
int run_program(const std::vector<std::string>& command, const Environment& added = {});

// How a watched child ended.
struct Ending {
  bool timed_out = false;
  int exit_code = 0;   // when it exited
  int signal = 0;      // when a signal ended it
  std::string answer;  // what it wrote to file descriptor 3, cut at 1 MiB
  std::string output;  // what it printed, the last 2 KiB
};

// "exited with code 3", "was ended by SIGSEGV", "did not answer within 5 s".
std::string describe_ending(const Ending& ending, std::chrono::seconds limit);

// Runs a child that may do anything: in a process group of its own that is killed after `limit`,
// with no file of ours open, no input, no core file, and bounded processor time.
Ending run_watched(const std::vector<std::string>& command, std::chrono::seconds limit);

}  // namespace flagos::tools
