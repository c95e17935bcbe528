#include "conformance/worker_process.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/worker.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t tail_limit = 64 << 10;
// A worker that floods the report pipe is not listened to for ever.
constexpr std::size_t line_limit = 4 << 20;

void set_nonblocking(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

// A search list of the caller's would add plugins beside the one under test.
std::vector<char*> worker_environment() {
  std::vector<char*> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const bool search =
        text.starts_with("FLAGOS_PLUGIN_FILES=") || text.starts_with("FLAGOS_PLUGIN_PATH=");
    if (!search) result.push_back(*entry);
  }
  result.push_back(nullptr);
  return result;
}

pid_t spawn(const std::string& executable, int job, int report, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, job, worker_job_descriptor);
  posix_spawn_file_actions_adddup2(&actions, report, worker_report_descriptor);
  // Whatever the caller left open is no business of a plugin.
  posix_spawn_file_actions_addclosefrom_np(&actions, worker_report_descriptor + 1);
  const char* const arguments[] = {executable.c_str(), "--worker", nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, executable.c_str(), &actions, &attributes,
                                const_cast<char* const*>(arguments), worker_environment().data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw std::runtime_error(
        fmt::format("cannot start '{}': {}", executable, std::strerror(error)));
  }
  return pid;
}

// SIGPIPE is ignored in the orchestrator; a worker that died early shows by its missing result.
void write_text(int descriptor, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = write(descriptor, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

WorkerProcess::WorkerProcess(const std::string& executable, const nlohmann::json& job)
    : pid_(spawn(executable, job_.read_end, report_.write_end, output_.write_end)) {
  job_.close_read();
  report_.close_write();
  output_.close_write();
  set_nonblocking(report_.read_end);
  set_nonblocking(output_.read_end);
  write_text(job_.write_end, job.dump() + "\n");
}

WorkerProcess::~WorkerProcess() {
  if (reaped_) return;
  kill_group();
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

void WorkerProcess::read_output() {
  char block[1 << 16];
  // A bound, so that one noisy worker cannot keep the others waiting.
  for (int i = 0; i < 64 && output_.read_end >= 0; ++i) {
    const ssize_t size = read(output_.read_end, block, sizeof(block));
    if (size < 0) return;
    if (size == 0) return output_.close_read();
    tail_.append(block, static_cast<std::size_t>(size));
    if (tail_.size() > tail_limit) tail_.erase(0, tail_.size() - tail_limit);
  }
}

void WorkerProcess::read_reports() {
  char block[1 << 16];
  for (int i = 0; i < 64 && report_.read_end >= 0; ++i) {
    const ssize_t size = read(report_.read_end, block, sizeof(block));
    if (size < 0) return;
    if (size == 0) return report_.close_read();
    partial_line_.append(block, static_cast<std::size_t>(size));
  }
}

std::vector<std::string> WorkerProcess::pump() {
  // Output first: what a case printed belongs to its own result.
  read_output();
  read_reports();
  std::vector<std::string> lines;
  std::size_t start = 0;
  for (std::size_t end = partial_line_.find('\n'); end != std::string::npos;
       end = partial_line_.find('\n', start)) {
    lines.push_back(partial_line_.substr(start, end - start));
    start = end + 1;
  }
  partial_line_.erase(0, start);
  if (partial_line_.size() > line_limit) partial_line_.clear();
  return lines;
}

std::string WorkerProcess::take_output() {
  read_output();
  return std::exchange(tail_, {});
}

void WorkerProcess::acknowledge() { write_text(job_.write_end, "."); }

std::optional<int> WorkerProcess::try_reap() {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  // Before the process is reaped its id, and so that of the group, cannot have been given to
  // another.
  kill_group();
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  return status;
}

void WorkerProcess::kill_group() { kill(-pid_, SIGKILL); }

std::string describe_wait_status(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    const char* const name = sigabbrev_np(number);
    return fmt::format("was killed by SIG{} ({})", name == nullptr ? "?" : name, number);
  }
  return fmt::format("ended with exit code {}", WEXITSTATUS(wait_status));
}

}  // namespace flagos::conformance
