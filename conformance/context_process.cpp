// Child processes of a case, the clock, and what the process holds.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <poll.h>
#include <unistd.h>

#include "conformance/context_state.hpp"
#include "conformance/helper.hpp"
#include "conformance/subprocess.hpp"

namespace flagos::conformance {
namespace {

constexpr int child_threw = 120;

[[noreturn]] void run_child(const std::function<int()>& body, Context::State& state) {
  int code = child_threw;
  try {
    code = body();
  } catch (const CaseEnded&) {
    std::fprintf(stderr, "a check failed in the child: %s\n", state.text.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "an exception left the child: %s\n", error.what());
  }
  _exit(code);
}

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

int Context::in_child(const std::function<int()>& body, double seconds) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) resource(fmt::format("fork: {}", std::strerror(errno)));
  if (pid == 0) run_child(body, *state_);
  return wait_for_child(pid, seconds, [](int milliseconds) { poll(nullptr, 0, milliseconds); });
}

int Context::run_helper(const std::string& name, const std::vector<std::string>& arguments,
                        double seconds, std::string* out_text) {
  std::vector<std::string> command = {state_->settings.helper_path, "--helper", name,
                                      settings_to_json(state_->settings).dump()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  try {
    const Captured captured = run_captured(command, seconds);
    if (out_text != nullptr) *out_text = captured.text;
    return captured.code;
  } catch (const std::runtime_error& error) {
    state_->end(Status::harness_error, error.what());
  }
}

double now_seconds() { return steady_seconds(); }

Resources resources_now() {
  return {sanitized() ? 0 : resident_bytes(), entries_of("/proc/self/fd"),
          entries_of("/proc/self/task"), sanitized() ? 0 : lines_of("/proc/self/maps")};
}

}  // namespace flagos::conformance
