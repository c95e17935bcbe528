#include "tools/command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace flagos::tools {
namespace {

void print_help() {
  fmt::print("usage: flagos COMMAND [ARGUMENTS]\n\n");
  for (const Command& command : commands())
    fmt::print("  {:<12}{}\n", command.name, command.summary);
  fmt::print("\n`flagos COMMAND --help` tells more about one.\n");
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  throw UsageError(
      fmt::format("there is no command '{}'; there are {}", name, fmt::join(names, ", ")));
}

int run_found(const Arguments& arguments) {
  if (arguments.empty()) throw UsageError("a command is missing; `flagos --help` lists them");
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    print_help();
    return 0;
  }
  if (name == "--version") return run_version({});
  return find_command(name).run({arguments.begin() + 1, arguments.end()});
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"info", "shows the plugins that load, the devices, and what each can do", run_info},
      {"doctor", "probes every plugin in a process of its own; says what is missing", run_doctor},
      {"certify", "runs the conformance suite on a plugin and writes a report", run_certify},
      {"conformance",
       "the suite itself: runs cases, `verify`, `merge`, `diff` and `matrix` of reports",
       run_conformance},
      {"matrix", "writes one page that compares reports: chips by features and cases", run_matrix},
      {"kernel", "prints, verifies, compiles, runs and measures portable kernels", run_kernel},
      {"ops", "lists the operators: types, bounds, results of their tests", run_ops},
      {"trace", "runs a program and records its flagos calls for Perfetto", run_trace},
      {"bench", "measures: `flagos bench dispatch`, `ops` or `comm`", run_bench},
      {"run", "starts a program as the ranks of a communicator on this host", run_run},
      {"version", "prints the versions of the product and of the ABI", run_version}};
  return all;
}

int run_command_line(const Arguments& arguments) {
  const bool named = !arguments.empty() && !arguments.front().starts_with("-");
  const std::string program = named ? "flagos " + arguments.front() : "flagos";
  try {
    return run_found(arguments);
  } catch (const UsageError& error) {
    fmt::print(stderr, "flagos: {}\n", error.what());
    return 2;
  } catch (const cxxopts::exceptions::exception& error) {
    fmt::print(stderr, "{}: {}; see `{} --help`\n", program, error.what(), program);
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
}

std::optional<cxxopts::ParseResult> parse(cxxopts::Options& options, const Arguments& arguments,
                                          const std::vector<std::string>& positional) {
  options.add_options()("h,help", "print this and end");
  if (!positional.empty()) options.parse_positional(positional);
  std::vector<const char*> argv = {"flagos"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const auto parsed = options.parse(static_cast<int>(argv.size()), argv.data());
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help({""}));
    return std::nullopt;
  }
  if (!parsed.unmatched().empty()) {
    throw UsageError(fmt::format("the argument '{}' is one too many", parsed.unmatched().front()));
  }
  return parsed;
}

std::pair<Arguments, Arguments> split_at_dashes(const Arguments& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  Arguments behind;
  if (dashes != arguments.end()) behind.assign(dashes + 1, arguments.end());
  return {Arguments(arguments.begin(), dashes), behind};
}

}  // namespace flagos::tools
