// Child processes of a case, the clock, and what the process holds.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/context_state.hpp"
#include "conformance/helper.hpp"

namespace flagos::conformance {
namespace {

constexpr int killed_after_timeout = 2000;
constexpr std::size_t helper_text_limit = 1 << 20;

int exit_value(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1000 + WTERMSIG(wait_status);
}

// Waits without a signal handler, since the process is not ours alone: the plugin lives in it too.
int wait_for(pid_t pid, double seconds, const std::function<void(int)>& pause) {
  const double end = now_seconds() + seconds;
  int status = 0;
  while (true) {
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) return exit_value(status);
    if (done < 0 && errno != EINTR) return killed_after_timeout;
    if (now_seconds() >= end) break;
    pause(2);
  }
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return killed_after_timeout;
}

void sleep_ms(int milliseconds) { poll(nullptr, 0, milliseconds); }

[[noreturn]] void run_child(const std::function<int()>& body, Context::State& state) {
  int code = 120;
  try {
    code = body();
  } catch (const CaseEnded&) {
    std::fprintf(stderr, "a check failed in the child: %s\n", state.text.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "an exception left the child: %s\n", error.what());
  }
  _exit(code);
}

// Reads what is there; keeps at most helper_text_limit bytes.
void drain(int descriptor, std::string& text, int milliseconds) {
  pollfd entry{descriptor, POLLIN, 0};
  if (poll(&entry, 1, milliseconds) <= 0) return;
  char block[4096];
  const ssize_t size = read(descriptor, block, sizeof(block));
  if (size <= 0) {
    sleep_ms(milliseconds);  // the end of the stream: poll does not wait any more
    return;
  }
  const std::size_t room = helper_text_limit - std::min(helper_text_limit, text.size());
  text.append(block, std::min(room, static_cast<std::size_t>(size)));
}

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) close(end);
    }
  }
  void close_end(int index) {
    close(ends[index]);
    ends[index] = -1;
  }
};

pid_t spawn_helper(const std::vector<std::string>& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) errno = error;
  return error == 0 ? pid : -1;
}

}  // namespace

int Context::in_child(const std::function<int()>& body, double seconds) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) resource(fmt::format("fork: {}", std::strerror(errno)));
  if (pid == 0) run_child(body, *state_);
  return wait_for(pid, seconds, sleep_ms);
}

int Context::run_helper(const std::string& name, const std::vector<std::string>& arguments,
                        double seconds, std::string* out_text) {
  std::vector<std::string> command = {state_->settings.helper_path, "--helper", name,
                                      settings_to_json(state_->settings).dump()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Pipe output;
  if (pipe2(output.ends, O_CLOEXEC) != 0) resource(fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t pid = spawn_helper(command, output.ends[1]);
  if (pid < 0) {
    state_->end(Status::harness_error, fmt::format("cannot start '{}': {}", command[0],
                                                   std::strerror(errno)));
  }
  output.close_end(1);
  std::string text;
  const int code = wait_for(pid, seconds, [&](int milliseconds) {
    drain(output.ends[0], text, milliseconds);
  });
  for (std::size_t before = text.size() + 1; before != text.size();) {
    before = text.size();
    drain(output.ends[0], text, 0);
  }
  if (out_text != nullptr) *out_text = text;
  return code;
}

double now_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

namespace {

std::uint64_t entries_of(const char* folder) {
  const std::filesystem::directory_iterator entries(folder);
  return static_cast<std::uint64_t>(std::distance(begin(entries), end(entries)));
}

std::uint64_t lines_of(const char* path) {
  std::ifstream file(path);
  std::uint64_t lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Resources resources_now() {
  return {resident_bytes(), entries_of("/proc/self/fd"), entries_of("/proc/self/task"),
          lines_of("/proc/self/maps")};
}

}  // namespace flagos::conformance
