#include "conformance/judgement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "conformance/features.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

// At most one case in a hundred may be waived in a certificate.
constexpr std::size_t waived_per_cases = 100;

std::size_t count_of(const Counts& counts, Status status) {
  return counts[static_cast<std::size_t>(status)];
}

std::string names_of(const std::vector<Status>& runs) {
  std::string names;
  for (const Status status : runs) {
    names += names.empty() ? "" : ", ";
    names += status_name(status);
  }
  return names;
}

// Runs that were cut off say nothing about whether the others agree.
bool statuses_differ(const std::vector<Status>& runs) {
  std::set<Status> seen(runs.begin(), runs.end());
  seen.erase(Status::not_run);
  return seen.size() > 1;
}

bool digests_differ(const std::vector<Attempted>& attempts) {
  std::set<std::string> seen;
  for (const Attempted& attempted : attempts) {
    if (attempted.result.status == Status::pass) seen.insert(attempted.result.digest);
  }
  return seen.size() > 1;
}

void judge_agreement(Outcome& outcome, const std::vector<Attempted>& attempts) {
  if (outcome.status == Status::harness_error) return;
  if (statuses_differ(outcome.runs)) {
    outcome.status = Status::flaky;
    outcome.text = fmt::format("runs differ ({}): {}", names_of(outcome.runs), outcome.text);
  } else if (outcome.the_case->options.oracle == Oracle::exact && digests_differ(attempts)) {
    outcome.status = worse(outcome.status, Status::flaky);
    outcome.text = "equal runs gave different bytes";
  }
}

// Samples of one quantity belong together, whichever run they are from.
void add_samples(std::vector<Measurement>& all, const std::vector<Measurement>& more) {
  for (const Measurement& measurement : more) {
    const auto same = std::find_if(all.begin(), all.end(), [&](const Measurement& other) {
      return other.name == measurement.name && other.unit == measurement.unit;
    });
    if (same == all.end()) {
      all.push_back(measurement);
    } else {
      same->samples.insert(same->samples.end(), measurement.samples.begin(),
                           measurement.samples.end());
    }
  }
}

Outcome combine(const Case& the_case, const std::vector<Attempted>& attempts) {
  Outcome outcome;
  outcome.the_case = &the_case;
  outcome.status = attempts.empty() ? Status::not_run : Status::pass;
  for (const Attempted& attempted : attempts) {
    const CaseResult& result = attempted.result;
    outcome.runs.push_back(result.status);
    if (result.status >= outcome.status) {
      outcome.status = result.status;
      outcome.text = result.text;
      outcome.log = attempted.log;
    }
    outcome.digest = outcome.digest.empty() ? result.digest : outcome.digest;
    if (outcome.digests.empty()) outcome.digests = result.digests;
    add_samples(outcome.measurements, result.measurements);
    outcome.checks = std::max(outcome.checks, result.checks);
    outcome.subcases = std::max(outcome.subcases, result.subcases);
    outcome.seconds = std::max(outcome.seconds, result.seconds);
  }
  judge_agreement(outcome, attempts);
  return outcome;
}

void apply(Outcome& outcome, const Expectations& expectations) {
  const auto found = expectations.find(outcome.the_case->id);
  if (found == expectations.end()) return;
  outcome.reason = found->second.reason;
  outcome.status = apply_expectation(outcome.status, found->second);
  if (outcome.status == Status::xpass) outcome.text = "it passed: remove the expectation";
}

WaiverSubject subject_of(const Record& record) {
  WaiverSubject subject;
  subject.plugin_sha256 = record.plugin_sha256;
  if (!record.capabilities.is_object()) return subject;
  const nlohmann::json& device = record.capabilities.at("device");
  subject.plugin_version = record.capabilities.at("plugin").value("version", "");
  subject.device_id = device.value("id", "");
  subject.driver_version = device.value("driver_version", "");
  return subject;
}

void apply(Judgement& judgement, const Waivers& waivers, const Record& record) {
  if (waivers.empty()) return;
  const WaiverSubject subject = subject_of(record);
  const std::string today = record.started_utc.substr(0, 10);
  judgement.waiver_matches.assign(waivers.size(), 0);
  for (std::size_t i = 0; i < waivers.size(); ++i) {
    const Waiver& waiver = waivers[i];
    const auto outcome =
        std::find_if(judgement.outcomes.begin(), judgement.outcomes.end(),
                     [&](const Outcome& candidate) { return candidate.the_case->id == waiver.id; });
    if (outcome == judgement.outcomes.end() || !waiver.covers(subject)) continue;
    if (waiver.has_expired(today)) {
      judgement.reasons.push_back(
          fmt::format("the waiver of {} expired on {}", waiver.id, waiver.expires));
    } else if (outcome->status == Status::pass) {
      outcome->status = Status::xpass;
      outcome->text = "it passed: remove the waiver";
    } else if (waiver.foresees(outcome->status, outcome->text)) {
      outcome->status = Status::waived;
      outcome->reason = fmt::format("{}: {} ({})", waiver_class_name(waiver.waiver_class),
                                    waiver.reason, waiver.issue);
      ++judgement.waiver_matches[i];
    }
  }
}

// Failures that nobody but the plugin's makers has excused.
void add_known_failures(Judgement& judgement, const Waivers& waivers) {
  std::size_t excused = 0;
  for (std::size_t i = 0; i < waivers.size(); ++i) {
    const bool counts = counts_for_certification(waivers[i].waiver_class);
    excused += counts ? judgement.waiver_matches[i] : 0;
  }
  const std::size_t known = count_of(judgement.totals, Status::waived) - excused;
  if (known == 0) return;
  judgement.not_for_certification.push_back(
      fmt::format("{} known failure{} waived; only approved waivers may be part of a certificate",
                  known, known == 1 ? " is" : "s are"));
}

void add_status_reasons(Judgement& judgement) {
  for (int i = 0; i < status_count; ++i) {
    const auto status = static_cast<Status>(i);
    const std::size_t count = count_of(judgement.totals, status);
    if (count == 0 || is_allowed(status)) continue;
    judgement.reasons.push_back(
        fmt::format("{} case{} {}", count, count == 1 ? " is" : "s are", status_name(status)));
  }
}

void add_feature_reasons(Judgement& judgement, const Options& options, const Record& record) {
  if (options.level != Level::full || !record.capabilities.is_object()) return;
  const nlohmann::json& features = record.capabilities.at("features");
  for (const flagos_feature_t feature : features_of_full()) {
    const std::string name(feature_name(feature));
    if (features.at(name) == "absent") {
      judgement.reasons.push_back(fmt::format("level full demands the feature {}", name));
    }
  }
}

void add_certificate_reasons(Judgement& judgement, const Record& record) {
  const std::size_t waived = count_of(judgement.totals, Status::waived);
  const std::size_t mandatory =
      judgement.outcomes.size() - count_of(judgement.totals, Status::not_supported);
  const std::size_t most = mandatory / waived_per_cases;
  if (waived > most) {
    judgement.reasons.push_back(
        fmt::format("{} cases are waived, at most {} may be", waived, most));
  }
  if (record.capabilities.is_object() && record.capabilities.at("device").at("fake") == true) {
    judgement.not_for_certification.push_back("the device stands in for a chip that is absent");
  }
}

int exit_code_of(const Judgement& judgement, const Options& options, const Record& record) {
  bool failed = !record.plugin_faults.empty();
  bool incomplete = !record.stopped.empty();
  bool harness = !record.harness_faults.empty();
  for (const Outcome& outcome : judgement.outcomes) {
    harness |= outcome.status == Status::harness_error;
    incomplete |= is_incomplete(outcome.status);
    failed |= !is_allowed(outcome.status) && !is_incomplete(outcome.status);
  }
  if (harness) return 3;
  if (failed) return 1;
  if (incomplete) return 2;
  if (!options.certify || judgement.conformant) return 0;
  // A shard of a certifying run is fine when nothing but the other shards is missing.
  const bool is_shard = options.shard.count > 1 && judgement.reasons.empty() &&
                        judgement.not_for_certification == not_for_certification(options) &&
                        judgement.not_for_certification.size() == 1;
  return is_shard ? 0 : 1;
}

}  // namespace

Judgement judge(const Options& options, const std::vector<const Case*>& cases, const Record& record,
                const Expectations& expectations, const Waivers& waivers) {
  static const std::vector<Attempted> none;
  Judgement judgement;
  judgement.not_for_certification = not_for_certification(options);
  for (const Case* const the_case : cases) {
    const auto found = record.attempts.find(the_case->id);
    Outcome outcome = combine(*the_case, found == record.attempts.end() ? none : found->second);
    apply(outcome, expectations);
    outcome.repro = repro_line(options, the_case->id);
    judgement.outcomes.push_back(std::move(outcome));
  }
  apply(judgement, waivers, record);
  for (const Outcome& outcome : judgement.outcomes) {
    const auto status = static_cast<std::size_t>(outcome.status);
    ++judgement.totals[status];
    ++judgement.by_category[category_of(outcome.the_case->id)][status];
  }
  judgement.reasons.insert(judgement.reasons.end(), record.harness_faults.begin(),
                           record.harness_faults.end());
  judgement.reasons.insert(judgement.reasons.end(), record.plugin_faults.begin(),
                           record.plugin_faults.end());
  if (!record.stopped.empty()) judgement.reasons.push_back("stopped: " + record.stopped);
  if (judgement.outcomes.empty()) judgement.reasons.push_back("no case was selected");
  add_status_reasons(judgement);
  add_feature_reasons(judgement, options, record);
  add_certificate_reasons(judgement, record);
  add_known_failures(judgement, waivers);
  judgement.conformant = judgement.reasons.empty() && judgement.not_for_certification.empty();
  judgement.exit_code = exit_code_of(judgement, options, record);
  return judgement;
}

void add_not_run(Record& record, const std::vector<const Case*>& cases, const Options& options) {
  for (const Case* const the_case : cases) {
    std::vector<Attempted>& attempts = record.attempts[the_case->id];
    for (std::uint32_t pass = 0; pass < passes(options); ++pass) {
      const bool has_run = std::any_of(attempts.begin(), attempts.end(),
                                       [&](const Attempted& one) { return one.pass == pass; });
      if (has_run) continue;
      CaseResult result;
      result.id = the_case->id;
      result.text = record.stopped;
      attempts.push_back({pass, result, {}});
    }
  }
}

std::vector<std::string> passes_on_null(const Judgement& judgement) {
  std::vector<std::string> ids;
  for (const Outcome& outcome : judgement.outcomes) {
    const bool passed =
        std::find(outcome.runs.begin(), outcome.runs.end(), Status::pass) != outcome.runs.end();
    if (passed && !outcome.the_case->options.query) ids.push_back(outcome.the_case->id);
  }
  return ids;
}

}  // namespace flagos::conformance
