// flagos conformance, flagos matrix: the conformance suite's program, found beside this one.
#include <fmt/format.h>

#include "tools/command.hpp"
#include "tools/process.hpp"

namespace flagos::tools {

std::string suite_program() {
  const std::string suite = find_own_program("flagos-conformance");
  if (suite.empty()) {
    throw CommandError(fmt::format(
        "flagos-conformance is not beside {}; install flagos with its conformance suite",
        own_executable()));
  }
  return suite;
}

int run_conformance(const Arguments& arguments) {
  std::vector<std::string> command = {suite_program()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  fflush(stdout);
  return run_program(command);
}

int run_matrix(const Arguments& arguments) {
  Arguments all = {"matrix"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_conformance(all);
}

}  // namespace flagos::tools
