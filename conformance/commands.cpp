#include "conformance/commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <cxxopts.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "conformance/json_text.hpp"
#include "conformance/locate.hpp"
#include "conformance/mutants/command.hpp"
#include "conformance/package/diff.hpp"
#include "conformance/package/matrix.hpp"
#include "conformance/package/package.hpp"
#include "conformance/package/replay.hpp"
#include "conformance/package/verify.hpp"
#include "conformance/program/soak.hpp"
#include "conformance/report.hpp"
#include "conformance/shards.hpp"

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t names_shown = 5;

std::string today_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

// Nothing when the help was asked for.
std::optional<cxxopts::ParseResult> parse(cxxopts::Options& parser, const char* positional,
                                          int argc, char** argv) {
  parser.add_options()("h,help", "print this and end");
  parser.add_options()(positional, "", cxxopts::value<std::vector<std::string>>());
  parser.parse_positional(positional);
  const auto parsed = parser.parse(argc - 1, argv + 1);
  if (parsed.count("help") == 0) return parsed;
  fmt::print("{}", parser.help());
  return std::nullopt;
}

std::vector<std::string> paths_of(const cxxopts::ParseResult& parsed, const char* positional,
                                  std::size_t least, std::size_t most, const char* usage) {
  std::vector<std::string> paths;
  if (parsed.count(positional) != 0) paths = parsed[positional].as<std::vector<std::string>>();
  if (paths.size() < least || paths.size() > most) {
    throw std::runtime_error(fmt::format("usage: flagos-conformance {}", usage));
  }
  return paths;
}

std::string value_of(const cxxopts::ParseResult& parsed, const char* name) {
  return parsed.count(name) == 0 ? "" : parsed[name].as<std::string>();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error(fmt::format("cannot write '{}'", path));
}

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), names_shown); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > names_shown ? text + ", ..." : text;
}

// ---- verify ----

void replay(const Files& files, const std::string& plugin, Verification& result) {
  Options options;
  options.executable = own_executable();
  options.plugin = plugin;
  options.plugin_path = find_plugin(plugin, options.executable);
  options.kernels_dir = find_kernels_dir(options.executable);
  options.jobs = std::min(2u, std::max(1u, std::thread::hardware_concurrency()));
  const Replay found = replay_package(files, all_cases(), options);
  result.notes.push_back(fmt::format("{} digests were computed again on {}", found.equal, plugin));
  if (!found.unanswered.empty()) {
    result.notes.push_back(fmt::format("{} digests could not be computed on {}: {}",
                                       found.unanswered.size(), plugin, some_of(found.unanswered)));
  }
  for (const std::string& name : found.different) {
    result.refusals.push_back(
        fmt::format("{} has another digest on {}: its claim is false", name, plugin));
  }
}

int print_verification(const Verification& result) {
  if (!result.subject.empty()) fmt::print("{}\n", result.subject);
  for (const std::string& note : result.notes) fmt::print("note: {}\n", note);
  for (const std::string& refusal : result.refusals) fmt::print("refused: {}\n", refusal);
  if (!result.genuine()) {
    fmt::print("NOT VERIFIED\n");
    return 1;
  }
  for (const std::string& reason : result.reasons) fmt::print("no certificate: {}\n", reason);
  fmt::print("{}\n", result.conformant ? "VERIFIED: conformant"
                                       : "VERIFIED as a report, which is NO CERTIFICATE");
  return result.conformant ? 0 : 2;
}

int run_verify(int argc, char** argv) {
  cxxopts::Options parser("flagos-conformance verify",
                          "Checks a package, or the folder of a report.");
  const auto text = [] { return cxxopts::value<std::string>(); };
  auto add = parser.add_options();
  add("key", "public key of the signer (PEM, ed25519)", text(), "FILE");
  add("approver-key", "public key of whoever approves waivers", text(), "FILE");
  add("plugin", "the plugin's file: it must be the one that was tested", text(), "FILE");
  add("suite-sha256", "of the published suite's program", text(), "HASH");
  add("replay", "compute the digests again, on --replay-plugin");
  add("replay-plugin", "file or name", text()->default_value("cpu"), "PLUGIN");
  parser.positional_help(
      "PACKAGE\n\nExit codes: 0 a certificate, 1 refused, 2 genuine but no certificate, 3 error of "
      "use.");
  const auto parsed = parse(parser, "package", argc, argv);
  if (!parsed) return 0;
  const auto paths =
      paths_of(*parsed, "package", 1, 1, "verify PACKAGE [--key FILE] [--plugin FILE] [--replay]");
  VerifyOptions options;
  options.key = value_of(*parsed, "key");
  options.approver_key = value_of(*parsed, "approver-key");
  options.plugin = value_of(*parsed, "plugin");
  options.suite_sha256 = value_of(*parsed, "suite-sha256");
  options.today = today_utc();
  Verification result;
  const std::string replay_plugin = (*parsed)["replay-plugin"].as<std::string>();
  const bool replays = parsed->count("replay") != 0;
  if (replays) find_plugin(replay_plugin, own_executable());
  if (!fs::exists(paths[0]))
    throw std::runtime_error(fmt::format("there is no package '{}'", paths[0]));
  try {
    const Files files = read_package(paths[0]);
    result = verify_package(files, all_cases(), options);
    if (replays && result.genuine()) replay(files, replay_plugin, result);
  } catch (const std::runtime_error& error) {
    result.refusals.emplace_back(error.what());
  }
  return print_verification(result);
}

// ---- merge ----

// The logs of packages that are genuine; what is wrong with the others goes to `refusals`.
std::vector<std::string> genuine_logs(const std::vector<std::string>& paths,
                                      const VerifyOptions& options,
                                      std::vector<std::string>& refusals) {
  std::vector<std::string> logs;
  for (const std::string& path : paths) {
    const Files files = read_package(path);
    const Verification found = verify_package(files, all_cases(), options);
    for (const std::string& refusal : found.refusals)
      refusals.push_back(fmt::format("'{}': {}", path, refusal));
    if (found.genuine()) logs.push_back(files.at("events.jsonl"));
  }
  return logs;
}

Verification merge(const std::vector<std::string>& paths, const VerifyOptions& verify,
                   const Options& options) {
  Verification result;
  try {
    const auto logs = genuine_logs(paths, verify, result.refusals);
    if (!result.genuine()) return result;
    const std::string log = merge_logs(logs, all_cases());
    demand_report_folder(options.out);
    write_text(options.out + "/events.jsonl", log);
    const std::string package = write_reports(options, all_cases());
    VerifyOptions whole = verify;
    whole.key.clear();  // the shards' key need not be that of the whole
    result = verify_package(read_package(options.out), all_cases(), whole);
    result.notes = {
        fmt::format("{} shards in {}", paths.size(), package.empty() ? options.out : package)};
  } catch (const std::runtime_error& error) {
    result.refusals.emplace_back(error.what());
  }
  return result;
}

int run_merge(int argc, char** argv) {
  cxxopts::Options parser("flagos-conformance merge",
                          "Makes one report of the shards of a run, each of them checked first.");
  const auto text = [] { return cxxopts::value<std::string>(); };
  auto add = parser.add_options();
  add("out", "folder for the report", text(), "DIR");
  add("package", "the whole report in one file as well");
  add("sign", "sign the report with this ed25519 key (PEM)", text(), "KEYFILE");
  add("key", "public key with which every shard must be signed (PEM, ed25519)", text(), "FILE");
  add("approver-key", "public key of whoever approves waivers", text(), "FILE");
  parser.positional_help(
      "SHARD...\n\nA SHARD is the package of a run with --shard I/N, or its folder.\n"
      "Exit codes: 0 a certificate, 1 refused, 2 no certificate, 3 error of use.");
  const auto parsed = parse(parser, "shards", argc, argv);
  if (!parsed) return 0;
  const auto paths = paths_of(*parsed, "shards", 2, most_merged_shards,
                              "merge SHARD... --out DIR [--package] [--sign KEYFILE]");
  Options options;
  options.out = value_of(*parsed, "out");
  if (options.out.empty()) throw std::runtime_error("merge needs --out, the folder for the report");
  options.package = parsed->count("package") != 0;
  options.signing_key = value_of(*parsed, "sign");
  if (!options.signing_key.empty()) Key::read_private(options.signing_key);
  VerifyOptions verify;
  verify.key = value_of(*parsed, "key");
  verify.approver_key = value_of(*parsed, "approver-key");
  verify.today = today_utc();
  return print_verification(merge(paths, verify, options));
}

// ---- diff ----

int run_diff(int argc, char** argv) {
  cxxopts::Options parser("flagos-conformance diff", "Says what differs between two reports.");
  const auto text = [] { return cxxopts::value<std::string>(); };
  auto add = parser.add_options();
  add("json", "write the differences for programs", text(), "FILE");
  add("html", "write them as a page", text(), "FILE");
  add("golden", "A is what is expected: every difference but times and environment is worse");
  parser.positional_help(
      "A B\n\nExit codes: 0 the same, 1 only better, 2 something is worse, 3 not comparable.");
  const auto parsed = parse(parser, "reports", argc, argv);
  if (!parsed) return 0;
  const auto paths =
      paths_of(*parsed, "reports", 2, 2, "diff A B [--json FILE] [--html FILE] [--golden]");
  const StoredReport before = read_stored_report(paths[0]);
  const StoredReport after = read_stored_report(paths[1]);
  const Diff diff = diff_reports(before, after);
  const bool golden = parsed->count("golden") != 0;
  fmt::print("{}", diff_text(diff));
  if (const auto path = value_of(*parsed, "json"); !path.empty()) {
    write_text(path, canonical_json(diff_json(before, after, diff, golden)));
  }
  if (const auto path = value_of(*parsed, "html"); !path.empty())
    write_text(path, diff_html(before, after, diff));
  return diff.exit_code(golden);
}

// ---- matrix ----

// The page of a report, as a link from the folder of the matrix.
std::string link_to(const std::string& report, const fs::path& page) {
  const fs::path path = fs::absolute(report);
  fs::path target = path;
  if (fs::is_directory(path)) target = path / "report.html";
  if (path.extension() == ".json") target = path.parent_path() / "report.html";
  if (!fs::exists(target)) return "";
  return target.lexically_normal()
      .lexically_relative(fs::absolute(page).lexically_normal().parent_path())
      .generic_string();
}

int run_matrix(int argc, char** argv) {
  cxxopts::Options parser("flagos-conformance matrix", "Writes one page that compares reports.");
  parser.add_options()("out", "the page",
                       cxxopts::value<std::string>()->default_value("matrix.html"), "FILE");
  parser.positional_help(
      "REPORT...\n\nA REPORT is a package, the folder of a report, or its report.json.");
  const auto parsed = parse(parser, "reports", argc, argv);
  if (!parsed) return 0;
  const std::string page = (*parsed)["out"].as<std::string>();
  std::vector<MatrixEntry> entries;
  for (const std::string& path :
       paths_of(*parsed, "reports", 1, 1000, "matrix REPORT... [--out FILE]")) {
    entries.push_back({read_stored_report(path), link_to(path, page)});
  }
  write_text(page, make_matrix(entries));
  fmt::print("{} report{} in {}\n", entries.size(), entries.size() == 1 ? "" : "s", page);
  return 0;
}

}  // namespace

bool is_command(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  return name == "verify" || name == "merge" || name == "diff" || name == "matrix" ||
         name == "mutants" || name == "soak";
}

int run_command(int argc, char** argv) {
  const std::string_view name = argv[1];
  if (name == "verify") return run_verify(argc, argv);
  if (name == "merge") return run_merge(argc, argv);
  if (name == "diff") return run_diff(argc, argv);
  if (name == "mutants") return mutants::run_mutants(argc, argv);
  if (name == "soak") return soak_command(argc - 1, argv + 1);
  return run_matrix(argc, argv);
}

}  // namespace flagos::conformance
