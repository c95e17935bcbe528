// flagos run: starts a program several times on this host, as the ranks of one communicator.
#include <flagos_comm.h>

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "tools/command.hpp"

extern char** environ;

namespace flagos::tools {
namespace {

// Ranks whose fellow has failed have so long to find out and to say so.
constexpr std::chrono::seconds grace(10);

std::string id_in_hex() {
  flagos_comm_unique_id_t id{};
  if (flagos_comm_unique_id_create(&id) != FLAGOS_STATUS_OK)
    throw CommandError(flagos_last_error());
  std::string text;
  for (const std::uint8_t byte : id.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    parts.push_back(text.substr(start, end - start));
    if (parts.back().empty())
      throw UsageError(fmt::format("--devices: there is an empty name in '{}'", text));
    start = end + 1;
  }
  return parts;
}

pid_t start(const std::vector<std::string>& program, const std::vector<std::string>& variables) {
  std::vector<char*> argv, envp;
  for (const std::string& argument : program) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  // Ours first: of two variables of one name the first counts.
  for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
  envp.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), envp.data());
  if (error != 0)
    throw CommandError(fmt::format("'{}' cannot be started: {}", program[0], std::strerror(error)));
  return child;
}

struct Child {
  pid_t pid = 0;
  bool is_running = true;
};

// Waits for all; the exit code of the first that failed. After a failure the others get a while to end by themselves.
int wait_for(std::vector<Child>& children) {
  int result = 0;
  std::size_t running = children.size();
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
  while (running != 0) {
    for (std::size_t rank = 0; rank < children.size(); ++rank) {
      Child& child = children[rank];
      int status = 0;
      if (!child.is_running || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
      child.is_running = false;
      --running;
      const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      if (code == 0) continue;
      fmt::print(stderr, "flagos run: rank {} {}\n", rank,
                 WIFSIGNALED(status) ? fmt::format("was ended by signal {}", WTERMSIG(status))
                                     : fmt::format("ended with {}", code));
      if (result != 0) continue;
      result = code;
      end = std::chrono::steady_clock::now() + grace;
    }
    if (running != 0 && std::chrono::steady_clock::now() > end) {
      fmt::print(stderr, "flagos run: {} ranks are still there {} s later and are ended\n", running,
                 grace.count());
      for (const Child& child : children)
        if (child.is_running) kill(child.pid, SIGKILL);
      end = std::chrono::steady_clock::time_point::max();
    }
    if (running != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return result;
}

// As mpirun does: the first word that is neither an option nor the value of one is the program. `--` may stand before it.
std::pair<Arguments, Arguments> split_at_program(const Arguments& arguments) {
  auto at = arguments.begin();
  while (at != arguments.end() && at->starts_with('-') && *at != "--") {
    const bool has_value = *at == "-n" || *at == "--ranks" || *at == "--devices";
    at += has_value && at + 1 != arguments.end() ? 2 : 1;
  }
  Arguments own(arguments.begin(), at);
  if (at != arguments.end() && *at == "--") ++at;
  return {std::move(own), Arguments(at, arguments.end())};
}

}  // namespace

int run_run(const Arguments& arguments) {
  cxxopts::Options options("flagos run",
                           "Starts a program as the ranks of a communicator on this host.");
  options.add_options()("n,ranks", "how many", cxxopts::value<std::uint32_t>()->default_value("2"),
                        "N")("devices",
                             "of the ranks in turn; a program reads its own in FLAGOS_COMM_DEVICE",
                             cxxopts::value<std::string>()->default_value("cpu"), "ID,ID,...");
  options.custom_help("[-n N] [--devices ID,ID,...] PROGRAM ARGUMENTS");
  const auto [own, program] = split_at_program(arguments);
  const auto parsed = parse(options, own);
  if (!parsed) return 0;
  if (program.empty())
    throw UsageError("a program is missing: `flagos run -n 4 --devices cpu,opencl ./program`");
  const std::uint32_t size = (*parsed)["ranks"].as<std::uint32_t>();
  if (size == 0 || size > 4096)
    throw UsageError(fmt::format("{} ranks cannot be started; 1 to 4096 can", size));
  const std::vector<std::string> devices = split_at_commas((*parsed)["devices"].as<std::string>());
  const std::string id = "FLAGOS_COMM_ID=" + id_in_hex();
  std::vector<Child> children;
  try {
    for (std::uint32_t rank = 0; rank < size; ++rank)
      children.push_back(
          {start(program, {id, fmt::format("FLAGOS_COMM_RANK={}", rank),
                           fmt::format("FLAGOS_COMM_SIZE={}", size),
                           fmt::format("FLAGOS_COMM_DEVICE={}", devices[rank % devices.size()])})});
  } catch (const CommandError&) {
    for (const Child& child : children) kill(child.pid, SIGKILL);
    wait_for(children);
    throw;
  }
  return wait_for(children);
}

}  // namespace flagos::tools
