// The subcommands, and what they share: options, and sentences instead of exceptions.
#pragma once

#include <cxxopts.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace flagos::tools {

using Arguments = std::vector<std::string>;  // behind the name of the subcommand

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments& arguments);
};

const std::vector<Command>& commands();

// The command line is wrong: one sentence, exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Something that was asked for cannot be done: one sentence, exit code 1.
class CommandError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Finds the subcommand and runs it; prints sentences for errors. Returns the exit code.
int run_command_line(const Arguments& arguments);

// Parses; an option that does not exist, or a positional argument beyond `positional`, is a
// UsageError. Prints the help and returns nothing when --help was given.
std::optional<cxxopts::ParseResult> parse(cxxopts::Options& options, const Arguments& arguments,
                                          const std::vector<std::string>& positional = {});

// Splits at the first "--": what stands behind it belongs to another program.
std::pair<Arguments, Arguments> split_at_dashes(const Arguments& arguments);

// The program of the conformance suite; a CommandError when it is not there.
std::string suite_program();

// The subcommands.
int run_bench(const Arguments& arguments);
int run_certify(const Arguments& arguments);
int run_conformance(const Arguments& arguments);
int run_doctor(const Arguments& arguments);
int run_info(const Arguments& arguments);
int run_kernel(const Arguments& arguments);
int run_matrix(const Arguments& arguments);
int run_ops(const Arguments& arguments);
int run_run(const Arguments& arguments);
int run_trace(const Arguments& arguments);
int run_version(const Arguments& arguments);

}  // namespace flagos::tools
