#include "conformance/session.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <stdexcept>

#include <signal.h>

#include "conformance/context_state.hpp"
#include "conformance/report.hpp"
#include "conformance/runner.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"
#include "conformance/version.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::vector<const Case*> demand_cases(const Options& options) {
  const auto unmatched = unmatched_patterns(all_cases(), options);
  if (!unmatched.empty()) {
    throw std::runtime_error(fmt::format("no case matches {}", fmt::join(unmatched, ", ")));
  }
  std::vector<const Case*> cases = select_cases(all_cases(), options);
  if (cases.empty() && options.shard.count == 1) throw std::runtime_error("no case is selected");
  return cases;
}

// Two logs with equal keys are of the same run.
json run_key(const Options& options, const std::vector<const Case*>& cases) {
  std::string ids;
  for (const Case* const the_case : cases) ids += the_case->id + "\n";
  return {{"suite_version", suite_version},
          {"plugin_sha256", options.plugin_path.empty() ? "" : sha256_file(options.plugin_path)},
          {"cases_sha256", sha256_hex(ids)},
          {"device", options.device},
          {"level", level_name(options.level)},
          {"seed", options.seed},
          {"orders", options.orders},
          {"repeat", options.repeat},
          {"shuffle", options.shuffle},
          {"quick", options.quick},
          {"selftest", options.selftest},
          {"null_check", options.null_check}};
}

void demand_report_folder(const std::string& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error || !fs::is_directory(out)) {
    throw std::runtime_error(fmt::format("cannot make the folder '{}'", out));
  }
  // An old report may be replaced; anything else is somebody's.
  if (!fs::is_empty(out) && !fs::exists(out + "/events.jsonl")) {
    throw std::runtime_error(fmt::format("the folder '{}' is not empty and holds no report", out));
  }
}

EventLog start_log(const Options& options, const json& key) {
  EventLog log = options.out.empty() ? EventLog() : EventLog::create(options.out + "/events.jsonl");
  log.append({{"event", "run"}, {"key", key}, {"started_utc", utc_now()}});
  return log;
}

// The seed of the run that is gone on with, so that nobody has to remember it.
void adopt_seed(Options& options, const EventLog& log) {
  if (!log.loaded().empty()) {
    options.seed = log.loaded().front().value("/key/seed"_json_pointer, options.seed);
  }
}

EventLog open_log(Options& options, const std::vector<const Case*>& cases) {
  if (!options.out.empty()) demand_report_folder(options.out);
  const std::string path = options.out + "/events.jsonl";
  if (!options.resume || !fs::exists(path)) return start_log(options, run_key(options, cases));
  EventLog log = EventLog::resume(path);
  if (log.loaded().empty()) return start_log(options, run_key(options, cases));
  adopt_seed(options, log);
  const json key = run_key(options, cases);
  const json before = log.loaded().front().value("key", json());
  if (before != key) {
    throw std::runtime_error(
        fmt::format("'{}' is of another run: {}", path, json::diff(before, key).dump()));
  }
  return log;
}

void print_verdict(const Options& options, const Judgement& judgement) {
  if (options.null_check) return;
  for (const std::string& reason : judgement.reasons) fmt::print("not conformant: {}\n", reason);
  for (const std::string& reason : judgement.not_for_certification) {
    fmt::print("NOT FOR CERTIFICATION: {}\n", reason);
  }
  if (judgement.conformant) {
    fmt::print("conformant: flagos {}.{}/{}\n", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR,
               level_name(options.level));
  }
  if (!options.out.empty()) fmt::print("report: {}/report.html\n", options.out);
}

int null_check_verdict(const Judgement& judgement, const Record& record) {
  if (!record.stopped.empty() || !record.harness_faults.empty()) {
    fmt::print("null check: incomplete: {}\n", record.stopped);
    return 3;
  }
  const std::vector<std::string> passed = passes_on_null(judgement);
  for (const std::string& id : passed) fmt::print("passes on a plugin that does nothing: {}\n", id);
  fmt::print("null check: {} of {} cases see that the plugin does nothing\n",
             judgement.outcomes.size() - passed.size(), judgement.outcomes.size());
  return passed.empty() ? 0 : 1;
}

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt_runner(); };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int run_session(Options options) {
  const std::vector<const Case*> cases = demand_cases(options);
  const Expectations expectations = options.expectations.empty()
                                        ? Expectations()
                                        : load_expectations(options.expectations, all_cases());
  EventLog log = open_log(options, cases);
  install_handlers();
  Progress progress(cases.size() * passes(options), options.verbose, false);
  progress.say(fmt::format("{} cases, {} run{} of each, seed {}, {} job{}", cases.size(),
                           passes(options), passes(options) == 1 ? "" : "s", options.seed,
                           options.jobs, options.jobs == 1 ? "" : "s"));
  const std::string started = utc_now();
  Runner runner(options, cases, log, progress);
  Record record = runner.run();
  record.started_utc = started;
  record.ended_utc = utc_now();
  progress.finish();

  const Judgement judgement = judge(options, cases, record, expectations);
  json totals = json::object();
  for (const Outcome& outcome : judgement.outcomes) {
    totals[outcome.the_case->id] = status_name(outcome.status);
  }
  log.append({{"event", "totals"}, {"cases", totals}, {"conformant", judgement.conformant}});
  if (!options.out.empty()) {
    write_reports({options, record, judgement, log.root(), describe_environment()});
  }
  print_verdict(options, judgement);
  return options.null_check ? null_check_verdict(judgement, record) : judgement.exit_code;
}

int run_in_process(const Options& options) {
  Context::Settings settings;
  settings.plugin_path = options.plugin_path;
  settings.device_ordinal = options.device;
  settings.seed = options.seed;
  settings.kernels_dir = options.kernels_dir;
  settings.helper_path = options.executable;
  settings.quick = options.quick;
  bool allowed = true;
  for (const Case* const the_case : demand_cases(options)) {
    const CaseResult result = run_case(*the_case, settings);
    fmt::print("{} {} {}\n", status_name(result.status), result.id, result.text);
    std::fflush(stdout);
    allowed &= is_allowed(result.status);
  }
  return allowed ? 0 : 1;
}

}  // namespace flagos::conformance
