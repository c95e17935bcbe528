#include "plugins/cpu/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace flagos::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t output_limit = 64 * 1024;

class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no pipe for a compiler: {}",
                  std::strerror(errno));
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int end(std::size_t index) const noexcept { return ends_[index]; }
  void close_end(std::size_t index) noexcept {
    if (ends_[index] >= 0) close(std::exchange(ends_[index], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// What the child starts with: signals as they were at the beginning, only three files.
class SpawnSettings {
 public:
  SpawnSettings(int output, const std::string& folder) {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&files_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output, 1);
    posix_spawn_file_actions_adddup2(&files_, output, 2);
    posix_spawn_file_actions_addclosefrom_np(&files_, 3);
    posix_spawn_file_actions_addchdir_np(&files_, folder.c_str());
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  const posix_spawn_file_actions_t* files() const noexcept { return &files_; }
  const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Reads what is there; false at the end of the stream.
bool drain(int descriptor, std::string& output) {
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count == 0) return false;
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    const auto size = static_cast<std::size_t>(count);
    output.append(buffer.data(), std::min(size, output_limit - output.size()));
  }
}

// True when the child has ended.
bool reap(pid_t child, ChildEnding& ending, int options) {
  int status = 0;
  pid_t found = 0;
  do {
    found = waitpid(child, &status, options);
  } while (found < 0 && errno == EINTR);
  if (found == 0) return false;
  ending.is_known = found == child;
  if (ending.is_known && WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
  if (ending.is_known && WIFEXITED(status)) ending.exit_code = WEXITSTATUS(status);
  return true;
}

// Until the child has ended or the time is up. Its output may stay open in something that it left
// behind, and it may close its output and go on: so both are looked at.
void watch(pid_t child, int output, Clock::time_point end, ChildEnding& ending) {
  bool open = true;
  std::chrono::milliseconds pause{1};
  for (;;) {
    if (reap(child, ending, WNOHANG)) break;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) {
      ending.timed_out = true;
      break;
    }
    pollfd file{open ? output : -1, POLLIN, 0};
    if (poll(&file, 1, static_cast<int>(std::min(left, pause).count())) > 0)
      open = drain(output, ending.output);
    pause = std::min(pause * 2, std::chrono::milliseconds{open ? 20 : 4});
  }
  if (open) drain(output, ending.output);
}

}  // namespace

ChildEnding run_child(const std::vector<std::string>& command,
                      const std::vector<std::string>& environment, const std::string& folder,
                      std::chrono::milliseconds limit) {
  ChildEnding ending;
  Pipe output;
  const SpawnSettings settings(output.end(1), folder);
  pid_t child = -1;
  ending.start_error =
      posix_spawn(&child, command.front().c_str(), settings.files(), settings.attributes(),
                  pointers_to(command).data(), pointers_to(environment).data());
  if (ending.start_error != 0) return ending;
  output.close_end(1);
  fcntl(output.end(0), F_SETFL, O_NONBLOCK);
  watch(child, output.end(0), Clock::now() + limit, ending);
  kill(-child, SIGKILL);  // and whatever it has started
  if (ending.timed_out) reap(child, ending, 0);
  return ending;
}

}  // namespace flagos::cpu
