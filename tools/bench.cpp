// flagos bench: finds the benchmark and runs it.
#include <fmt/format.h>

#include "tools/command.hpp"
#include "tools/process.hpp"

namespace flagos::tools {

int run_bench(const Arguments& arguments) {
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    fmt::print(
        "usage: flagos bench dispatch [ARGUMENTS]\n\n"
        "  dispatch  the cost of every hot entry, through core and through the direct table\n\n"
        "ARGUMENTS go to the benchmark; `flagos bench dispatch --help` lists them.\n");
    return 0;
  }
  if (arguments.empty()) throw UsageError("bench needs to know what: `flagos bench dispatch`");
  if (arguments[0] != "dispatch")
    throw UsageError(fmt::format("there is no benchmark '{}'; there is dispatch", arguments[0]));
  const std::string program = find_own_program("flagos_bench_dispatch");
  if (program.empty()) {
    throw CommandError(fmt::format(
        "flagos_bench_dispatch is not beside {}; build flagos with -DFLAGOS_BUILD_BENCH=ON",
        own_executable()));
  }
  std::vector<std::string> command = {program};
  command.insert(command.end(), arguments.begin() + 1, arguments.end());
  return run_program(command);
}

}  // namespace flagos::tools
