// The command line of a soak: `flagos-conformance soak`, and the small program of the tests.
#include <fmt/format.h>

#include <cxxopts.hpp>
#include <random>
#include <stdexcept>

#include "conformance/locate.hpp"
#include "conformance/program/soak.hpp"

namespace flagos::conformance {

int soak_command(int argc, char** argv) {
  cxxopts::Options parser(
      "flagos-conformance soak",
      "Random programs on many threads against a model, with a log of what grows.");
  auto add = parser.add_options();
  add("p,plugin", "file of the plugin, or its name, such as cpu", cxxopts::value<std::string>(),
      "PLUGIN");
  add("devices", "use at most so many devices", cxxopts::value<std::uint32_t>()->default_value("2"),
      "N");
  add("threads", "programs at a time", cxxopts::value<std::uint32_t>()->default_value("8"), "N");
  add("minutes", "how long", cxxopts::value<double>()->default_value("10"), "N");
  add("steps", "so many steps of each thread instead",
      cxxopts::value<std::uint64_t>()->default_value("0"), "N");
  add("interval", "seconds between two lines of the log",
      cxxopts::value<double>()->default_value("10"), "S");
  add("seed", "of all decisions; default: random", cxxopts::value<std::uint64_t>(), "S");
  add("log", "write a JSON object a line", cxxopts::value<std::string>(), "FILE");
  add("storm", "a signal every 0.2 ms, with handlers that restart nothing");
  add("no-cases", "no cases of the suite between the programs");
  add("kernels", "folder with the suite's kernels", cxxopts::value<std::string>(), "DIR");
  add("h,help", "print this and end");
  const auto parsed = parser.parse(argc, argv);
  if (parsed.count("help") != 0) {
    fmt::print("{}\nExit codes: 0 nothing was found, 1 a mismatch or growth, 3 error of use.\n",
               parser.help());
    return 0;
  }
  if (!parsed.unmatched().empty())
    throw std::runtime_error(
        fmt::format("soak: unknown argument '{}' (see --help)", parsed.unmatched().front()));
  if (parsed.count("plugin") == 0)
    throw std::runtime_error("soak: --plugin is missing (see --help)");
  SoakOptions options;
  options.executable = own_executable();
  options.plugin_path = find_plugin(parsed["plugin"].as<std::string>(), options.executable);
  options.kernels_dir = parsed.count("kernels") != 0 ? parsed["kernels"].as<std::string>()
                                                     : find_kernels_dir(options.executable);
  options.devices = parsed["devices"].as<std::uint32_t>();
  options.threads = parsed["threads"].as<std::uint32_t>();
  options.seconds = parsed["minutes"].as<double>() * 60;
  options.steps = parsed["steps"].as<std::uint64_t>();
  options.interval = parsed["interval"].as<double>();
  options.seed =
      parsed.count("seed") != 0 ? parsed["seed"].as<std::uint64_t>() : std::random_device()();
  if (parsed.count("log") != 0) options.out = parsed["log"].as<std::string>();
  options.storm = parsed.count("storm") != 0;
  options.cases = parsed.count("no-cases") == 0 && options.steps == 0;
  if (options.devices == 0 || options.threads == 0 || options.threads > 4096)
    throw std::runtime_error(
        "soak: --devices and --threads take at least 1, --threads at most 4096");
  if (!(options.seconds > 0) || !(options.interval >= 0.1))
    throw std::runtime_error("soak: --minutes takes more than 0, --interval at least 0.1");
  return run_soak(options);
}

}  // namespace flagos::conformance
