// flagos certify: runs the conformance suite on a plugin, twice in different orders, and says where
// the report and its package are.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "tools/command.hpp"
#include "tools/process.hpp"
#include "tools/search.hpp"

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;

// "./flagos-report-cpu-20260102-030405"
std::string default_folder(const std::string& plugin) {
  std::string name = fs::path(plugin).stem().string();
  constexpr std::string_view prefix = "libflagos_plugin_";
  if (name.starts_with(prefix)) name = name.substr(prefix.size());
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char date[32];
  std::strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &utc);
  return fmt::format("./flagos-report-{}-{}", name, date);
}

// The suite refuses --certify with options that leave something out.
bool leaves_out(const Arguments& extra) {
  return std::any_of(extra.begin(), extra.end(), [](const std::string& argument) {
    return argument == "--quick" || argument.starts_with("--only") ||
           argument.starts_with("--except");
  });
}

// One that `flagos conformance merge` puts together with the others.
bool is_shard(const Arguments& extra) {
  return std::any_of(extra.begin(), extra.end(),
                     [](const std::string& argument) { return argument.starts_with("--shard"); });
}

void print_result(int code, bool partial, const std::string& plugin, const std::string& out) {
  const char* verdict = "the suite could not do its work";
  if (code == 0)
    verdict = partial ? "passed, but a part of the suite is no certificate" : "certified";
  if (code == 1) verdict = "NOT certified";
  if (code == 2) verdict = "incomplete, so NOT certified";
  fmt::print("{}: {}\nreport: {}\n", plugin, verdict,
             fs::absolute(out).lexically_normal().string());
}

}  // namespace

int run_certify(const Arguments& arguments) {
  cxxopts::Options options("flagos certify",
                           "Runs the conformance suite on a plugin, in two orders.");
  auto add = options.add_options();
  const auto text = [] { return cxxopts::value<std::string>(); };
  add("plugin", "file or name, such as cpu", text(), "PLUGIN");
  add("level", "core or full", text()->default_value("core"), "LEVEL");
  add("out", "folder for the report; default: ./flagos-report-<plugin>-<date>", text(), "DIR");
  add("jobs", "workers at a time", text(), "N");
  add("sign", "sign the report with this ed25519 key (PEM)", text(), "KEYFILE");
  options.positional_help("PLUGIN [-- arguments for flagos-conformance]");
  const auto [own, extra] = split_at_dashes(arguments);
  const auto parsed = parse(options, own, {"plugin"});
  if (!parsed) return 0;
  if (parsed->count("plugin") == 0)
    throw UsageError("certify needs a PLUGIN: a file, or a name such as cpu");
  const std::string level = (*parsed)["level"].as<std::string>();
  if (level != "core" && level != "full")
    throw UsageError(fmt::format("--level takes core or full; it is '{}'", level));

  const std::string suite = suite_program();
  const std::string plugin = find_plugin((*parsed)["plugin"].as<std::string>());
  const std::string out =
      parsed->count("out") > 0 ? (*parsed)["out"].as<std::string>() : default_folder(plugin);
  const bool partial = leaves_out(extra);
  std::vector<std::string> command = {suite, "--plugin", plugin, "--level",
                                      level, "--out",    out,    "--package"};
  if (partial) {
    command.emplace_back("--orders=2");
  } else {
    command.emplace_back("--certify");
  }
  if (parsed->count("jobs") > 0) {
    command.push_back(fmt::format("--jobs={}", (*parsed)["jobs"].as<std::string>()));
  }
  if (parsed->count("sign") > 0) {
    command.push_back(fmt::format("--sign={}", (*parsed)["sign"].as<std::string>()));
  }
  command.insert(command.end(), extra.begin(), extra.end());
  fflush(stdout);
  const int code = run_program(command);
  print_result(code, partial || is_shard(extra), plugin, out);
  return code;
}

}  // namespace flagos::tools
