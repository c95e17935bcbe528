#include "comm/testing/processes.hpp"

#include <fcntl.h>
#include <flagos_comm.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "comm/testing/world.hpp"

extern char** environ;

namespace flagos::comm::testing {
namespace {

using Clock = std::chrono::steady_clock;

std::string hex(const flagos_comm_unique_id_t& id) {
  std::string text;
  for (const std::uint8_t byte : id.bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", byte);
    text += digits;
  }
  return text;
}

void must(int error) {
  if (error != 0) throw std::system_error(error, std::generic_category(), "a rank's process");
}

}  // namespace

std::uint64_t Outcome::number(const std::string& name) const {
  const std::size_t at = (" " + output).find(" " + name + "=");
  return at == std::string::npos
             ? UINT64_MAX
             : std::strtoull(output.c_str() + at + name.size() + 1, nullptr, 10);
}

RankProcess::RankProcess(const std::string& program, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& variables) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) must(errno);
  output_ = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  const auto is_replaced = [&](const std::string& inherited) {
    const std::string name = inherited.substr(0, inherited.find('=') + 1);
    return std::any_of(variables.begin(), variables.end(),
                       [&](const std::string& own) { return own.starts_with(name); });
  };
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!is_replaced(*variable)) envp.push_back(*variable);
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  envp.push_back(nullptr);
  must(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), envp.data()));
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
}

RankProcess::~RankProcess() {
  if (pid_ > 0) end(0);
  close(output_);
}

Outcome RankProcess::end(int timeout_ms) {
  Outcome outcome;
  const Clock::time_point until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (Clock::now() >= until) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  pid_ = 0;
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  char buffer[4096];
  for (ssize_t got = 0; (got = read(output_, buffer, sizeof(buffer))) > 0;)
    outcome.output.append(buffer, static_cast<std::size_t>(got));
  return outcome;
}

std::vector<std::unique_ptr<RankProcess>> start_ranks(std::uint32_t size,
                                                      const std::vector<std::string>& devices,
                                                      const std::vector<std::string>& scenario,
                                                      std::vector<std::string> variables) {
  const bool by_launcher = !variables.empty() && variables[0].find("{rank}") != std::string::npos;
  if (!by_launcher) {
    flagos_comm_unique_id_t id{};
    check(flagos_comm_unique_id_create(&id));
    variables.push_back("FLAGOS_COMM_ID=" + hex(id));
  }
  std::vector<std::unique_ptr<RankProcess>> ranks;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    std::vector<std::string> arguments = {std::to_string(rank), std::to_string(size),
                                          devices[rank % devices.size()]};
    arguments.insert(arguments.end(), scenario.begin(), scenario.end());
    std::vector<std::string> own = variables;
    for (std::string& variable : own)
      if (const std::size_t at = variable.find("{rank}"); at != std::string::npos)
        variable.replace(at, 6, std::to_string(rank));
    ranks.push_back(std::make_unique<RankProcess>(FLAGOS_COMM_RANK_PROGRAM, arguments, own));
  }
  return ranks;
}

namespace {

bool never_met(const std::vector<Outcome>& outcomes) {
  bool is_alone = false, is_late = false;
  for (const Outcome& outcome : outcomes) {
    is_alone |= outcome.contains("have joined; missing");
    const std::uint64_t late = outcome.number("late");
    is_late |= late != UINT64_MAX && late >= 300;
  }
  return is_alone && is_late;
}

}  // namespace

std::vector<Outcome> run_ranks(std::uint32_t size, std::uint32_t victim,
                               const std::vector<std::string>& scenario,
                               const std::vector<std::string>& variables) {
  std::vector<Outcome> outcomes;
  for (int attempt = 0; attempt < 5; ++attempt) {
    auto ranks = start_ranks(size, {"cpu"}, scenario, variables);
    outcomes.assign(size, {});
    for (std::uint32_t rank = 0; rank < size; ++rank)
      if (rank != victim) outcomes[rank] = ranks[rank]->end(60'000);
    if (!never_met(outcomes)) break;
  }
  return outcomes;
}

std::uint64_t busy_ms() {
  static const std::uint64_t ms = std::getenv("FLAGOS_TEST_IDLE") != nullptr ? 0 : 10'000;
  return ms;
}

}  // namespace flagos::comm::testing
