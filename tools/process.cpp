#include "tools/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t answer_limit = std::size_t{1} << 20;
constexpr std::size_t output_limit = 2048;
constexpr int cannot_start = 127;

std::vector<char*> to_argv(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  return argv;
}

struct Pipe {
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw CommandError(fmt::format("no pipe can be made: {}", strerror(errno)));
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(std::size_t end) {
    if (ends[end] >= 0) ::close(std::exchange(ends[end], -1));
  }
  std::array<int, 2> ends{-1, -1};
};

void limit_resource(decltype(RLIMIT_CPU) resource, rlim_t value) {
  const struct rlimit limit { value, value };
  ::setrlimit(resource, &limit);
}

// Between fork and exec: system calls only.
[[noreturn]] void become_watched(int output, int answer, char* const* argv, rlim_t seconds) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  limit_resource(RLIMIT_CORE, 0);
  limit_resource(RLIMIT_CPU, seconds);
  const int nothing = ::open("/dev/null", O_RDONLY);
  // Above 9 first, so that no target number is overwritten before it was used.
  const int safe_output = ::fcntl(output, F_DUPFD, 10);
  const int safe_answer = ::fcntl(answer, F_DUPFD, 10);
  const bool placed = ::dup2(nothing, 0) == 0 && ::dup2(safe_output, 1) == 1 &&
                      ::dup2(safe_output, 2) == 2 && ::dup2(safe_answer, 3) == 3;
  if (!placed || ::close_range(4, ~0u, 0) != 0) ::_exit(cannot_start);
  ::execv(argv[0], argv);
  ::_exit(cannot_start);
}

// Reads what is there, keeping the first or the last `limit` bytes; false at the end of the stream.
bool drain(int descriptor, std::string& text, std::size_t limit, bool keep_last) {
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count <= 0) return count < 0 && (errno == EINTR || errno == EAGAIN);
    const auto size = static_cast<std::size_t>(count);
    text.append(buffer.data(), keep_last ? size : std::min(size, limit - text.size()));
    if (text.size() > limit) text.erase(0, text.size() - limit);
  }
}

// Collects until the child has closed its answer or the time is over; true when it was over.
bool collect(Pipe& output, Pipe& answer, Clock::time_point end, Ending& ending) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return true;
    std::array<struct pollfd, 2> polled{{{answer.ends[0], POLLIN, 0}, {output.ends[0], POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), static_cast<int>(left)) < 0 && errno != EINTR)
      return true;
    if (polled[1].revents != 0 && !drain(output.ends[0], ending.output, output_limit, true))
      output.close_end(0);
    if (polled[0].revents != 0 && !drain(answer.ends[0], ending.answer, answer_limit, false))
      return false;
  }
}

// Waits for the end of the child, who may still print; false when the time is over first.
bool reap(pid_t child, Pipe& output, Clock::time_point end, Ending& ending, int& status) {
  for (;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (output.ends[0] >= 0 && !drain(output.ends[0], ending.output, output_limit, true))
      output.close_end(0);
    if (done == child || (done < 0 && errno != EINTR)) return true;
    if (Clock::now() >= end) return false;
    ::usleep(2000);
  }
}

void set_ending(int status, Ending& ending) {
  if (WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
  if (WIFEXITED(status)) ending.exit_code = WEXITSTATUS(status);
}

}  // namespace

std::string own_executable() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

std::string find_own_program(const std::string& name) {
  const fs::path folder = fs::path(own_executable()).parent_path();
  for (const fs::path& candidate :
       {folder / name, folder.parent_path() / "libexec" / "flagos" / name}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  return {};
}

int run_program(const std::vector<std::string>& command, const Environment& added) {
  const std::vector<char*> argv = to_argv(command);
  Pipe failure;  // closed by a successful exec; else it brings errno
  const pid_t child = ::fork();
  if (child < 0) throw CommandError(fmt::format("no process can be started: {}", strerror(errno)));
  if (child == 0) {
    for (const auto& [name, value] : added) ::setenv(name.c_str(), value.c_str(), 1);
    ::execvp(argv[0], argv.data());
    const int error = errno;
    const ssize_t written = ::write(failure.ends[1], &error, sizeof(error));
    ::_exit(written == sizeof(error) ? cannot_start : cannot_start - 1);
  }
  failure.close_end(1);
  int error = 0;
  const bool failed = ::read(failure.ends[0], &error, sizeof(error)) == sizeof(error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (failed)
    throw CommandError(fmt::format("'{}' cannot be started: {}", command.front(), strerror(error)));
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string describe_ending(const Ending& ending, std::chrono::seconds limit) {
  if (ending.timed_out) return fmt::format("did not answer within {} s", limit.count());
  if (ending.signal != 0) {
    const char* name = ::sigabbrev_np(ending.signal);
    return name ? fmt::format("was ended by SIG{}", name)
                : fmt::format("was ended by signal {}", ending.signal);
  }
  return fmt::format("exited with code {}", ending.exit_code);
}

Ending run_watched(const std::vector<std::string>& command, std::chrono::seconds limit) {
  Ending ending;
  Pipe output, answer;
  const std::vector<char*> argv = to_argv(command);
  const pid_t child = ::fork();
  if (child < 0) throw CommandError(fmt::format("no process can be started: {}", strerror(errno)));
  if (child == 0)
    become_watched(output.ends[1], answer.ends[1], argv.data(),
                   static_cast<rlim_t>(limit.count()) + 5);
  ::setpgid(child, child);  // here too: whichever of the two comes first
  for (Pipe* pipe : {&output, &answer}) {
    pipe->close_end(1);
    ::fcntl(pipe->ends[0], F_SETFL, O_NONBLOCK);
  }
  const Clock::time_point end = Clock::now() + limit;
  ending.timed_out = collect(output, answer, end, ending);
  int status = 0;
  ending.timed_out = ending.timed_out || !reap(child, output, end, ending, status);
  ::kill(-child, SIGKILL);  // and whatever it has started
  if (ending.timed_out) {
    ::waitpid(child, &status, 0);
  } else {
    set_ending(status, ending);
  }
  return ending;
}

}  // namespace flagos::tools
