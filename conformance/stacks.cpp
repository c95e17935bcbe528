#include "conformance/stacks.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "conformance/subprocess.hpp"

namespace flagos::conformance {
namespace {

constexpr double debugger_seconds = 25;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string from_debugger(pid_t pid) {
  std::vector<std::string> command;
  if (const std::string gdb = find_program("gdb"); !gdb.empty()) {
    command = {gdb,
               "-nx",
               "-batch",
               "-iex",
               "set debuginfod enabled off",
               "-p",
               std::to_string(pid),
               "-ex",
               "thread apply all backtrace 40"};
  } else if (const std::string eu_stack = find_program("eu-stack"); !eu_stack.empty()) {
    command = {eu_stack, "-p", std::to_string(pid)};
  } else {
    return "";
  }
  try {
    const Captured captured = run_captured(command, debugger_seconds);
    return captured.code == 0 ? captured.text : "";
  } catch (const std::runtime_error&) {
    return "";  // /proc still tells something
  }
}

std::string from_proc(pid_t pid) {
  std::string text;
  std::error_code error;
  const std::filesystem::path folder = fmt::format("/proc/{}/task", pid);
  for (const auto& task : std::filesystem::directory_iterator(folder, error)) {
    text += fmt::format("thread {} {}: waits in {}\n", task.path().filename().string(),
                        file_text(task.path() / "comm"), file_text(task.path() / "wchan"));
    if (const std::string stack = file_text(task.path() / "stack"); !stack.empty()) {
      text += stack + "\n";
    }
  }
  return text;
}

}  // namespace

std::string dump_stacks(pid_t pid) { return from_proc(pid) + from_debugger(pid); }

}  // namespace flagos::conformance
