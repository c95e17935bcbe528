#include "conformance/mutants/command.hpp"

#include <fmt/format.h>

#include <cxxopts.hpp>
#include <stdexcept>

#include "conformance/locate.hpp"
#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/mutant_file.hpp"
#include "conformance/mutants/session.hpp"

namespace flagos::conformance::mutants {
namespace {

cxxopts::Options command_line() {
  cxxopts::Options parser(
      "flagos-conformance mutants",
      "Puts one bug after the other into a plugin and looks which case finds it.");
  const auto text = [] { return cxxopts::value<std::string>(); };
  const auto texts = [] { return cxxopts::value<std::vector<std::string>>(); };
  auto add = parser.add_options();
  add("plugin", "the plugin that is right: file or name", text()->default_value("cpu"), "PLUGIN");
  add("interposer", "the plugin with the bugs: file or name", text()->default_value("mutant"),
      "PLUGIN");
  add("only", "hunt only mutants that match (* and ?); may be repeated", texts(), "GLOB");
  add("cases", "use only cases that match; may be repeated", texts(), "GLOB");
  add("shard", "part I of N, counted from 1", text()->default_value("1/1"), "I/N");
  add("jobs", "hunts at a time", cxxopts::value<unsigned>()->default_value("2"), "N");
  add("seed", "of the cases' data", cxxopts::value<std::uint64_t>()->default_value("1"), "S");
  add("at-most", "seconds that one hunt may take", cxxopts::value<double>()->default_value("60"),
      "SECONDS");
  add("full-size", "run the cases in their full sizes");
  add("reasons", "why survivors may survive; default: the suite's own", text(), "FILE");
  add("out", "folder for the kill matrix", text(), "DIR");
  add("resume", "go on with the hunt in --out");
  add("before", "folder of an earlier hunt: its killers are tried first; may be repeated", texts(),
      "DIR");
  add("known-at-most", "seconds for a mutant that survived in --before and has a written reason",
      cxxopts::value<double>()->default_value("10"), "SECONDS");
  add("merge", "folder of a hunt of another shard, taken into --out; may be repeated", texts(),
      "DIR");
  add("each-case", "then look for a mutant for every case that was the first to find none");
  add("times", "only this: how many of N times each mutant is found by the cases that name it",
      cxxopts::value<unsigned>()->default_value("0"), "N");
  add("list", "list the mutants and end");
  add("make", "write the plugin with this mutant to --out, a file, and end", text(), "MUTANT");
  add("h,help", "print this and end");
  return parser;
}

int list(const std::vector<std::string>& only) {
  for (const Mutant& mutant : all_mutants()) {
    if (!only.empty() && !matches_any(only, mutant.id)) continue;
    fmt::print("{:44} {:8} {}\n", mutant.id, class_name(mutant.kind), mutant.bug);
  }
  return 0;
}

Request read_request(const cxxopts::ParseResult& parsed) {
  const auto several = [&](const char* name) {
    return parsed.count(name) == 0 ? std::vector<std::string>()
                                   : parsed[name].as<std::vector<std::string>>();
  };
  const std::string executable = own_executable();
  Request request;
  request.only = several("only");
  request.cases = several("cases");
  request.shard = parse_shard(parsed["shard"].as<std::string>());
  request.jobs = parsed["jobs"].as<unsigned>();
  if (request.jobs == 0 || request.jobs > 256) throw std::runtime_error("--jobs takes 1 to 256");
  request.at_most = parsed["at-most"].as<double>();
  request.resume = parsed.count("resume") != 0;
  request.wrapped = find_plugin(parsed["plugin"].as<std::string>(), executable);
  request.interposer = find_plugin(parsed["interposer"].as<std::string>(), executable);
  request.settings.kernels_dir = find_kernels_dir(executable);
  request.settings.helper_path = executable;
  request.settings.seed = parsed["seed"].as<std::uint64_t>();
  request.settings.quick = parsed.count("full-size") == 0;
  request.reasons = parsed.count("reasons") == 0 ? request.settings.kernels_dir + "/survivors.json"
                                                 : parsed["reasons"].as<std::string>();
  request.before = several("before");
  request.merge = several("merge");
  request.each_case = parsed.count("each-case") != 0;
  request.times = parsed["times"].as<unsigned>();
  request.known_at_most = parsed["known-at-most"].as<double>();
  if (parsed.count("out") == 0) throw std::runtime_error("--out is missing (see --help)");
  request.out = parsed["out"].as<std::string>();
  return request;
}

int make(const Request& request, const std::string& id) {
  if (find_mutant(id) == nullptr)
    throw std::runtime_error(fmt::format("there is no mutant '{}' (--list shows them)", id));
  write_mutant_file(request.interposer, {id, request.wrapped, ""}, request.out);
  return 0;
}

}  // namespace

int run_mutants(int argc, char** argv) {
  cxxopts::Options parser = command_line();
  parser.custom_help("[--only GLOB] [--jobs N] [--shard I/N] --out DIR");
  const auto parsed = parser.parse(argc - 1, argv + 1);
  if (parsed.count("help") != 0) {
    fmt::print("{}\nExit codes: 0 all goals are reached, 1 not, 2 incomplete, 3 error of use.\n",
               parser.help());
    return 0;
  }
  if (!parsed.unmatched().empty()) {
    throw std::runtime_error(
        fmt::format("unknown argument '{}' (see --help)", parsed.unmatched().front()));
  }
  if (parsed.count("list") != 0)
    return list(parsed.count("only") == 0 ? std::vector<std::string>()
                                          : parsed["only"].as<std::vector<std::string>>());
  const Request request = read_request(parsed);
  if (parsed.count("make") != 0) return make(request, parsed["make"].as<std::string>());
  return run_session(request);
}

}  // namespace flagos::conformance::mutants
