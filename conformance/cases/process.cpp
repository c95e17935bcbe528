#include "conformance/cases/process.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "conformance/cases/work.hpp"
#include "conformance/context_state.hpp"

namespace flagos::conformance {
namespace {

std::set<int> numbers_in(const char* folder) {
  std::set<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    numbers.insert(std::stoi(entry.path().filename()));
  return numbers;
}

}  // namespace

int run_checks(const Helper& h, void (*body)(Context&)) {
  const Case the_case{"helper", {.clause = "in a process of its own"}, body, {}};
  const CaseResult result = run_case(the_case, h.settings);
  if (result.status == Status::pass) return 0;
  std::fprintf(stderr, "%s\n", result.text.c_str());
  return 1;
}

void expect_helper(Context& t, const std::string& name, const std::vector<std::string>& arguments,
                   double seconds) {
  std::string text;
  const int code = t.run_helper(name, arguments, seconds, &text);
  t.check(code == 0, "the process " + name + " ends with 0, it ended with " + std::to_string(code) +
                         ": " + text);
}

std::set<int> open_descriptors() { return numbers_in("/proc/self/fd"); }

std::set<int> thread_ids() { return numbers_in("/proc/self/task"); }

std::uint64_t blocked_signals(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("SigBlk:")) return std::stoull(line.substr(7), nullptr, 16);
  return 0;
}

std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

void no_more_threads(Context& t, std::uint64_t before) {
  std::uint64_t threads = 0;
  eventually([&] { return (threads = resources_now().threads) <= before; }, 5);
  t.check(threads <= before, "threads: " + std::to_string(before) + " before, " +
                                 std::to_string(threads) + " afterwards");
}

}  // namespace flagos::conformance
