#include "conformance/session.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <stdexcept>

#include <signal.h>

#include "conformance/context_state.hpp"
#include "conformance/json_text.hpp"
#include "conformance/report.hpp"
#include "conformance/run_log.hpp"
#include "conformance/runner.hpp"
#include "conformance/selection.hpp"

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

// Two logs whose first lines have equal keys are of the same run.
json run_key(const json& header) {
  json key = header;
  for (const char* const member : {"prev", "started_utc", "environment"}) key.erase(member);
  for (const char* const option :
       {"plugin", "jobs", "timeout_scale", "certify", "only", "except"}) {
    key.at("options").erase(option);
  }
  return key;
}

// What the session allows beforehand.
struct Allowances {
  Expectations expectations;
  Waivers waivers;
};

Allowances load_allowances(const Options& options) {
  Allowances allowances;
  if (!options.expectations.empty()) {
    allowances.expectations = load_expectations(options.expectations, all_cases());
  }
  if (options.waivers.empty()) return allowances;
  allowances.waivers = load_waivers(options.waivers, all_cases());
  if (!options.approver_key.empty()) {
    demand_approvals(allowances.waivers, Key::read_public(options.approver_key));
  }
  return allowances;
}

EventLog start_log(const Options& options, const json& header) {
  EventLog log = options.out.empty() ? EventLog() : EventLog::create(options.out + "/events.jsonl");
  log.append(header);
  return log;
}

// What the run that is gone on with was started with, so that nobody has to remember it.
void adopt_options(Options& options, const json& header) {
  const Options before = logged_options(header);
  options.seed = before.seed;
  options.jobs = before.jobs;
  options.timeout_scale = before.timeout_scale;
  options.certify = before.certify;
}

EventLog open_log(Options& options, const std::vector<const Case*>& cases,
                  const Allowances& allowances) {
  if (!options.out.empty()) demand_report_folder(options.out);
  const std::string path = options.out + "/events.jsonl";
  const auto header = [&] {
    return make_run_header(options, cases, allowances.expectations, allowances.waivers, utc_now());
  };
  if (!options.resume || !fs::exists(path)) return start_log(options, header());
  EventLog log = EventLog::resume(path);
  if (log.loaded().empty()) return start_log(options, header());
  const json& before = log.loaded().front();
  try {
    adopt_options(options, before);
    const std::string difference = first_difference(run_key(header()), run_key(before));
    if (!difference.empty()) throw std::runtime_error(difference);
  } catch (const json::exception&) {
    throw std::runtime_error(fmt::format("'{}' does not begin with a run", path));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("'{}' is of another run: {}", path, error.what()));
  }
  log.append({{"event", "resume"}, {"started_utc", utc_now()}});
  return log;
}

void print_verdict(const Options& options, const Judgement& judgement, const std::string& package) {
  if (options.null_check) return;
  for (const std::string& reason : judgement.reasons) fmt::print("not conformant: {}\n", reason);
  for (const std::string& reason : judgement.not_for_certification) {
    fmt::print("NOT FOR CERTIFICATION: {}\n", reason);
  }
  if (judgement.conformant) fmt::print("conformant: {}\n", claimed_name(options));
  if (!options.out.empty()) fmt::print("report: {}/report.html\n", options.out);
  if (!package.empty()) fmt::print("package: {}\n", package);
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
  const Allowances allowances = load_allowances(options);
  // A key that cannot be used is seen before the run, not hours later.
  if (!options.signing_key.empty()) Key::read_private(options.signing_key);
  EventLog log = open_log(options, cases, allowances);
  install_handlers();
  Progress progress(cases.size() * passes(options), options.verbose, false);
  progress.say(fmt::format("{} cases, {} run{} of each, seed {}, {} job{}", cases.size(),
                           passes(options), passes(options) == 1 ? "" : "s", options.seed,
                           options.jobs, options.jobs == 1 ? "" : "s"));
  Runner runner(options, cases, log, progress);
  Record record = runner.run();
  record.started_utc = log.header().at("started_utc").get<std::string>();
  record.ended_utc = utc_now();
  progress.finish();

  const Judgement judgement =
      judge(options, cases, record, allowances.expectations, allowances.waivers);
  log.append(make_run_totals(record, judgement));
  const std::string package = options.out.empty() ? "" : write_reports(options, all_cases());
  print_verdict(options, judgement, package);
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
