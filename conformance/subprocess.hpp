// Runs a program to its end, with a time limit, and keeps what it wrote.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace flagos::conformance {

// An exit code; 1000 + signal; or killed_after_timeout.
inline constexpr int killed_after_timeout = 2000;

struct Captured {
  int code = 0;
  std::string text;  // stdout and stderr, at most 1 MiB
};

// `command[0]` is a path. Throws std::runtime_error when it cannot be started.
Captured run_captured(const std::vector<std::string>& command, double seconds);

// Waits for a child, calling `pause(milliseconds)` between looks; kills it when the time is over.
int wait_for_child(pid_t pid, double seconds, const std::function<void(int)>& pause);

// The path of a program on PATH, "" when there is none.
std::string find_program(const std::string& name);

// Seconds on the monotonic clock.
double steady_seconds();

// Two ends of a pipe, close-on-exec and above the numbers that a worker gets.
struct Pipe {
  Pipe();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read();
  void close_write();

  int read_end = -1;
  int write_end = -1;
};

}  // namespace flagos::conformance
