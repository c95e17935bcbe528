#include "conformance/package/replay.hpp"

#include <map>
#include <stdexcept>

#include "conformance/package/verify.hpp"
#include "conformance/run_log.hpp"
#include "conformance/runner.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

using Digests = std::map<std::string, std::string>;

// "copy.len[size=1]" -> "copy.len"
std::string case_of(const std::string& subcase) { return subcase.substr(0, subcase.find('[')); }

Digests run_again(const std::vector<const Case*>& cases, const Options& options) {
  EventLog log;  // in memory
  Progress progress(cases.size(), options.verbose, !options.verbose);
  Runner runner(options, cases, log, progress);
  const Record record = runner.run();
  Digests digests;
  for (const auto& [id, attempts] : record.attempts) {
    const CaseResult& result = attempts.front().result;
    if (result.status != Status::pass) continue;
    for (const auto& [parameters, digest] : result.digests) {
      digests[subcase_name(id, parameters)] = digest;
    }
  }
  return digests;
}

}  // namespace

Replay replay_package(const Files& files, const std::vector<Case>& cases, Options options) {
  const Digests claimed = claimed_digests(files);
  const auto log = files.find("events.jsonl");
  if (log == files.end()) throw std::runtime_error("events.jsonl is missing");
  const LoggedRun run = read_run_log(log->second, cases);
  options.level = Level::full;
  options.seed = run.options.seed;
  options.quick = run.options.quick;
  options.selftest = run.options.selftest;
  if (options.selftest) options.plugin_path.clear();  // these cases use none
  options.only.clear();
  for (const auto& [name, digest] : claimed) {
    if (options.only.empty() || options.only.back() != case_of(name))
      options.only.push_back(case_of(name));
  }
  Replay replay;
  if (claimed.empty()) return replay;
  const Digests found = run_again(select_cases(cases, options), options);
  for (const auto& [name, digest] : claimed) {
    const auto again = found.find(name);
    if (again == found.end()) {
      replay.unanswered.push_back(name);
    } else if (again->second == digest) {
      ++replay.equal;
    } else {
      replay.different.push_back(name);
    }
  }
  return replay;
}

}  // namespace flagos::conformance
