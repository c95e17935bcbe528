// flagos bench: finds the benchmark and runs it.
#include <fmt/format.h>

#include "tools/command.hpp"
#include "tools/process.hpp"

namespace flagos::tools {

int run_bench(const Arguments& arguments) {
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    fmt::print(
        "usage: flagos bench dispatch|ops|comm [ARGUMENTS]\n\n"
        "  dispatch  the cost of every hot entry, through core and through the direct table\n"
        "  ops       operators beside what memory and arithmetic of the device can do\n"
        "  comm      collectives: time and bandwidth, every result checked\n\n"
        "ARGUMENTS go to the benchmark; `flagos bench ops --help` lists them.\n");
    return 0;
  }
  if (arguments.empty())
    throw UsageError("bench needs to know what: `flagos bench dispatch`, `ops` or `comm`");
  if (arguments[0] != "dispatch" && arguments[0] != "ops" && arguments[0] != "comm")
    throw UsageError(
        fmt::format("there is no benchmark '{}'; there are dispatch, ops and comm", arguments[0]));
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
