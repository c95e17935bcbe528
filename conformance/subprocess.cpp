#include "conformance/subprocess.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace flagos::conformance {
namespace {

constexpr std::size_t text_limit = 1 << 20;
// A worker finds its own pipes at low numbers; a pipe made here must not stand in their way.
constexpr int lowest_descriptor = 10;

int exit_value(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1000 + WTERMSIG(wait_status);
}

// Reads what comes within the time; keeps at most text_limit bytes.
void drain(int descriptor, std::string& text, int milliseconds) {
  pollfd entry{descriptor, POLLIN, 0};
  if (poll(&entry, 1, milliseconds) <= 0) return;
  char block[4096];
  const ssize_t size = read(descriptor, block, sizeof(block));
  if (size <= 0) {
    poll(nullptr, 0, milliseconds);  // at the end of the stream poll does not wait any more
    return;
  }
  const std::size_t room = text_limit - std::min(text_limit, text.size());
  text.append(block, std::min(room, static_cast<std::size_t>(size)));
}

pid_t spawn_captured(const std::vector<std::string>& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::runtime_error(
        fmt::format("cannot start '{}': {}", command[0], std::strerror(error)));
  }
  return pid;
}

int move_up(int descriptor) {
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, lowest_descriptor);
  const int error = errno;
  close(descriptor);
  if (moved < 0) throw std::runtime_error(fmt::format("fcntl: {}", std::strerror(error)));
  return moved;
}

void close_once(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

}  // namespace

Pipe::Pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw std::runtime_error(fmt::format("pipe2: {}", std::strerror(errno)));
  }
  read_end = move_up(ends[0]);
  write_end = move_up(ends[1]);
}

Pipe::~Pipe() {
  close_read();
  close_write();
}

void Pipe::close_read() { close_once(read_end); }
void Pipe::close_write() { close_once(write_end); }

// No signal handler and no SIGCHLD: the process may not be ours alone.
int wait_for_child(pid_t pid, double seconds, const std::function<void(int)>& pause) {
  const double end = steady_seconds() + seconds;
  int status = 0;
  while (true) {
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) return exit_value(status);
    if (done < 0 && errno != EINTR) return killed_after_timeout;
    if (steady_seconds() >= end) break;
    pause(2);
  }
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return killed_after_timeout;
}

Captured run_captured(const std::vector<std::string>& command, double seconds) {
  Pipe output;
  const pid_t pid = spawn_captured(command, output.write_end);
  output.close_write();
  Captured captured;
  captured.code = wait_for_child(
      pid, seconds, [&](int milliseconds) { drain(output.read_end, captured.text, milliseconds); });
  for (std::size_t before = text_limit + 1; before != captured.text.size();) {
    before = captured.text.size();
    drain(output.read_end, captured.text, 0);
  }
  return captured;
}

std::string find_program(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  std::string rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const std::string path = rest.substr(0, colon) + "/" + name;
    if (path.front() == '/' && access(path.c_str(), X_OK) == 0) return path;
    rest.erase(0, colon + 1);
  }
  return "";
}

double steady_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace flagos::conformance
