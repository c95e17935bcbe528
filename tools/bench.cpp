// flagos bench: finds the benchmark and runs it.
#include <fmt/format.h>

#include "tools/command.hpp"
#include "tools/process.hpp"

namespace flagos::tools {

int run_bench(const Arguments& arguments) {
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    fmt::print(
        "usage: flagos bench dispatch|ops [ARGUMENTS]\n\n"
        "  dispatch  the cost of every hot entry, through core and through the direct table\n"
        "  ops       operators beside what memory and arithmetic of the device can do\n\n"
        "ARGUMENTS go to the benchmark; `flagos bench ops --help` lists them.\n");
    return 0;
  }
  if (arguments.empty())
    throw UsageError("bench needs to know what: `flagos bench dispatch` or `flagos bench ops`");
  if (arguments[0] != "dispatch" && arguments[0] != "ops")
    throw UsageError(
        fmt::format("there is no benchmark '{}'; there are dispatch and ops", arguments[0]));
  const std::string name = "flagos_bench_" + arguments[0];
  const std::string program = find_own_program(name);
  if (program.empty()) {
    throw CommandError(fmt::format("{} is not beside {}; build flagos with -DFLAGOS_BUILD_BENCH=ON",
                                   name, own_executable()));
  }
  std::vector<std::string> command = {program};
  command.insert(command.end(), arguments.begin() + 1, arguments.end());
  return run_program(command);
}

}  // namespace flagos::tools
