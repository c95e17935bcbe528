// flagos-conformance: checks a plugin against the contract.
#include <fmt/format.h>

#include <cxxopts.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "conformance/commands.hpp"
#include "conformance/helper.hpp"
#include "conformance/listing.hpp"
#include "conformance/locate.hpp"
#include "conformance/selection.hpp"
#include "conformance/session.hpp"
#include "conformance/subprocess.hpp"
#include "conformance/version.hpp"
#include "conformance/worker.hpp"

namespace flagos::conformance {
namespace {

constexpr int harness_error = 3;
// Every reader of JSON keeps whole numbers up to here.
constexpr std::uint64_t largest_seed = (1ull << 53) - 1;

cxxopts::Options command_line() {
  cxxopts::Options parser("flagos-conformance", "Checks a flagos plugin against the contract.");
  auto add = parser.add_options();
  const auto text = [] { return cxxopts::value<std::string>(); };
  const auto texts = [] { return cxxopts::value<std::vector<std::string>>(); };
  add("p,plugin", "file of the plugin, or its name, such as cpu", text(), "PLUGIN");
  add("device", "which device of the plugin", cxxopts::value<std::uint32_t>()->default_value("0"),
      "ORDINAL");
  add("level", "core or full", text()->default_value("core"), "LEVEL");
  add("certify",
      "a run that may lead to a certificate: everything, in two orders (or a shard of it)");
  add("only", "run only cases that match (* and ?); may be repeated", texts(), "GLOB");
  add("except", "leave out cases that match; may be repeated", texts(), "GLOB");
  add("shard", "part i of n, counted from 1; a case is always in the same one", text(), "I/N");
  add("seed", "of data and orders; default: random", cxxopts::value<std::uint64_t>(), "S");
  add("shuffle", "run in a random order");
  add("orders", "run everything in so many different orders", cxxopts::value<std::uint32_t>(), "N");
  add("repeat", "run every case so many times in each order",
      cxxopts::value<std::uint32_t>()->default_value("1"), "N");
  add("jobs", "workers at a time; default: 2, or 1 on one processor",
      cxxopts::value<std::uint32_t>(), "N");
  add("quick", "smaller sizes and fewer repeats; not for certification");
  add("timeout-scale", "multiplies all time limits", cxxopts::value<double>(), "X");
  add("expectations", "cases that are known not to pass", text(), "FILE");
  add("waivers", "failures that a certificate may hold for a while", text(), "FILE");
  add("approver-key", "public key with which the waivers must be approved", text(), "FILE");
  add("kernels", "folder with the suite's kernels", text(), "DIR");
  add("out", "folder for the report", text(), "DIR");
  add("package", "with --out: the whole report in one file as well");
  add("sign", "with --out: sign the report with this ed25519 key (PEM)", text(), "KEYFILE");
  add("resume", "go on with the run in --out");
  add("list", "list the cases and end");
  add("markdown", "with --list: as a page");
  add("debugger", "run the cases in one process under gdb, without time limits");
  add("in-process", "run the cases in this process, without time limits");
  add("null-check", "every case must see that the plugin does nothing");
  add("selftest", "run the cases that test the runner itself");
  add("verbose", "a line for every case");
  add("version", "print the version and end");
  add("h,help", "print this and end");
  return parser;
}

Level parse_level(const std::string& name) {
  if (name == "core") return Level::core;
  if (name == "full") return Level::full;
  throw std::runtime_error(fmt::format("--level takes core or full; it is '{}'", name));
}

std::uint32_t positive(std::uint32_t value, const char* option) {
  if (value == 0 || value > 10000) {
    throw std::runtime_error(fmt::format("{} takes 1 to 10000; it is {}", option, value));
  }
  return value;
}

// Instrumented code is slow.
double default_timeout_scale() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 4;
#else
  return 1;
#endif
}

template <typename Value>
Value value_or(const cxxopts::ParseResult& parsed, const char* name, Value otherwise) {
  return parsed.count(name) == 0 ? otherwise : parsed[name].as<Value>();
}

void read_plugin(Options& options) {
  if (options.selftest) return;
  if (options.plugin.empty()) throw std::runtime_error("--plugin is missing (see --help)");
  options.plugin_path = find_plugin(options.plugin, options.executable);
}

// Shards may: `merge` makes one run of them.
void demand_certifiable(const Options& options) {
  if (!options.certify) return;
  Options whole = options;
  whole.shard = {};
  auto reasons = not_for_certification(whole);
  if (options.shard.count > most_merged_shards) {
    reasons.push_back(fmt::format("at most {} shards can be merged", most_merged_shards));
  }
  if (!reasons.empty()) {
    throw std::runtime_error(fmt::format("--certify: {}", fmt::join(reasons, "; ")));
  }
}

Options read_options(const cxxopts::ParseResult& parsed) {
  const std::vector<std::string> none;
  Options options;
  options.executable = own_executable();
  options.plugin = value_or<std::string>(parsed, "plugin", "");
  options.device = parsed["device"].as<std::uint32_t>();
  options.level = parse_level(parsed["level"].as<std::string>());
  options.certify = parsed.count("certify") != 0;
  options.only = value_or(parsed, "only", none);
  options.except = value_or(parsed, "except", none);
  options.shard = parse_shard(value_or<std::string>(parsed, "shard", "1/1"));
  options.seed = value_or<std::uint64_t>(parsed, "seed", std::random_device()());
  if (options.seed > largest_seed) {
    throw std::runtime_error(
        fmt::format("--seed takes 0 to {}; it is {}", largest_seed, options.seed));
  }
  options.shuffle = parsed.count("shuffle") != 0;
  options.orders =
      positive(value_or<std::uint32_t>(parsed, "orders", options.certify ? 2 : 1), "--orders");
  options.repeat = positive(parsed["repeat"].as<std::uint32_t>(), "--repeat");
  const std::uint32_t processors = std::max(1u, std::thread::hardware_concurrency());
  options.jobs =
      positive(value_or<std::uint32_t>(parsed, "jobs", std::min(2u, processors)), "--jobs");
  options.quick = parsed.count("quick") != 0;
  options.timeout_scale = value_or(parsed, "timeout-scale", default_timeout_scale());
  if (!(options.timeout_scale > 0 && options.timeout_scale <= 1000)) {
    throw std::runtime_error("--timeout-scale takes a number above 0, at most 1000");
  }
  options.expectations = value_or<std::string>(parsed, "expectations", "");
  options.kernels_dir =
      value_or<std::string>(parsed, "kernels", find_kernels_dir(options.executable));
  options.out = value_or<std::string>(parsed, "out", "");
  options.resume = parsed.count("resume") != 0;
  options.waivers = value_or<std::string>(parsed, "waivers", "");
  options.approver_key = value_or<std::string>(parsed, "approver-key", "");
  options.package = parsed.count("package") != 0;
  options.signing_key = value_or<std::string>(parsed, "sign", "");
  for (const char* const option : {"resume", "package", "sign"}) {
    if (parsed.count(option) != 0 && options.out.empty()) {
      throw std::runtime_error(fmt::format("--{} needs --out", option));
    }
  }
  options.null_check = parsed.count("null-check") != 0;
  options.selftest = parsed.count("selftest") != 0;
  options.verbose = parsed.count("verbose") != 0;
  return options;
}

int list(const Options& options, bool markdown) {
  Options everything = options;
  if (markdown) everything.level = Level::full;
  const auto cases = select_cases(all_cases(), everything);
  fmt::print("{}", markdown ? list_cases_as_markdown(cases) : list_cases(cases));
  return 0;
}

// Replaces this process by a debugger that runs it again.
int run_debugger(const Options& options, int argc, char** argv) {
  const std::string gdb = find_program("gdb");
  if (gdb.empty()) throw std::runtime_error("--debugger: gdb is not on PATH");
  std::vector<std::string> command = {gdb, "--args", options.executable, "--in-process"};
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--debugger") command.emplace_back(argv[i]);
  }
  std::vector<char*> arguments;
  for (std::string& part : command) arguments.push_back(part.data());
  arguments.push_back(nullptr);
  execv(gdb.c_str(), arguments.data());
  throw std::runtime_error(fmt::format("cannot start '{}': {}", gdb, std::strerror(errno)));
}

int orchestrate(int argc, char** argv) {
  cxxopts::Options parser = command_line();
  const cxxopts::ParseResult parsed = parser.parse(argc, argv);
  if (parsed.count("help") != 0) {
    fmt::print(
        "{}\nExit codes: 0 allowed, 1 not allowed, 2 incomplete, 3 error of the suite or its "
        "use.\n\nWhat is done with reports: flagos-conformance verify, merge, diff, matrix; and "
        "what the suite is worth: mutants; random programs for hours: soak (each has --help).\n",
        parser.help());
    return 0;
  }
  if (parsed.count("version") != 0) {
    fmt::print("flagos-conformance {} (ABI {}.{})\n", suite_version, FLAGOS_ABI_MAJOR,
               FLAGOS_ABI_MINOR);
    return 0;
  }
  if (!parsed.unmatched().empty()) {
    throw std::runtime_error(
        fmt::format("unknown argument '{}' (see --help)", parsed.unmatched().front()));
  }
  Options options = read_options(parsed);
  if (parsed.count("list") != 0) return list(options, parsed.count("markdown") != 0);
  read_plugin(options);
  demand_certifiable(options);
  if (parsed.count("debugger") != 0) return run_debugger(options, argc, argv);
  if (parsed.count("in-process") != 0) return run_in_process(options);
  return run_session(std::move(options));
}

}  // namespace
}  // namespace flagos::conformance

int main(int argc, char** argv) {
  using namespace flagos::conformance;
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--worker") return worker_main();
  if (mode == "--helper") return helper_main({argv + 2, argv + argc});
  try {
    if (is_command(argc, argv)) return run_command(argc, argv);
    return orchestrate(argc, argv);
  } catch (const cxxopts::exceptions::exception& error) {
    const std::string command = is_command(argc, argv) ? mode + " " : "";
    fmt::print(stderr, "flagos-conformance: {}; see `flagos-conformance {}--help`\n", error.what(),
               command);
    return harness_error;
  } catch (const std::exception& error) {
    fmt::print(stderr, "flagos-conformance: {}\n", error.what());
    return harness_error;
  }
}
