#include "conformance/package/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>

#include "conformance/features.hpp"
#include "conformance/json_text.hpp"
#include "conformance/package/attestation.hpp"
#include "conformance/package/package.hpp"
#include "conformance/package/plausible.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"
#include "conformance/version.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 9> required_files = {
    "SHA256SUMS",  "caps.json", "digests.json", "env.json",    "events.jsonl",
    "report.html", "junit.xml", "report.json",  "waivers.json"};
constexpr const char* attestation_file = "attestation.json";

class Verifier {
 public:
  Verifier(const Files& files, const std::vector<Case>& cases, const VerifyOptions& options)
      : files_(files), cases_(cases), options_(options) {}

  Verification run() {
    for (const std::string_view name : required_files) {
      if (!files_.contains(std::string(name))) refuse(fmt::format("{} is missing", name));
    }
    if (!result_.genuine()) return result_;
    attempt([&] { check_sums(); });
    attempt([&] { check_signature(); });
    attempt([&] { check_log(); });
    return result_;
  }

 private:
  void refuse(const std::string& reason) { result_.refusals.push_back(reason); }
  void note(const std::string& text) { result_.notes.push_back(text); }

  // One check; what it throws is a reason, and the next check runs.
  template <typename Check>
  void attempt(Check check) {
    try {
      check();
    } catch (const json::exception&) {
      refuse("a file of the package lacks a member, or one is of the wrong kind");
    } catch (const std::exception& error) {
      refuse(error.what());
    }
  }

  void check_sums() {
    Files summed = files_;
    summed.erase("SHA256SUMS");
    summed.erase(attestation_file);
    const std::string expected = make_sums(summed);
    if (files_.at("SHA256SUMS") == expected) return;
    const std::string& found = files_.at("SHA256SUMS");
    const std::size_t before = result_.refusals.size();
    for (const auto& [name, bytes] : summed) {
      const std::size_t at = found.find(fmt::format("  {}\n", name));
      if (at == std::string::npos || at < 64) {
        refuse(fmt::format("SHA256SUMS does not name {}", name));
      } else if (found.compare(at - 64, 64, sha256_hex(bytes)) != 0) {
        refuse(fmt::format("{} does not have the hash that SHA256SUMS says", name));
      }
    }
    if (result_.refusals.size() == before) refuse("SHA256SUMS names files that are not there");
  }

  void check_signature() {
    const auto found = files_.find(attestation_file);
    if (found == files_.end()) {
      if (!options_.key.empty())
        refuse("the package is not signed, and --key asks for a signature");
      return note("the package is not signed: it is the word of whoever made it");
    }
    const Envelope envelope = read_attestation(found->second);
    if (options_.key.empty()) {
      return note(fmt::format("the signature of key {} was not checked: --key names no key",
                              envelope.key_id));
    }
    const Key key = Key::read_public(options_.key);
    const bool named = envelope.key_id == key.id();
    if (named && key.verifies(signed_bytes(envelope.payload), envelope.signature)) {
      note(fmt::format("signed by the key {}", key.id()));
    } else {
      refuse(fmt::format("the attestation is not signed by the key {} (it names key {})", key.id(),
                         envelope.key_id));
    }
  }

  void check_log() {
    try {
      run_ = read_run_log(files_.at("events.jsonl"), cases_);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("events.jsonl: {}", error.what()));
    }
    if (!same_suite(run_)) return;
    for (const LoggedRun& shard : run_.shards) attempt([&] { check_shard(shard); });
    const Judgement judgement = judge_log(run_, cases_);
    describe(judgement);
    attempt([&] { check_capabilities(run_.record); });
    attempt([&] { check_totals(run_, judgement); });
    attempt([&] { check_results(judgement); });
    attempt([&] { check_files(judgement); });
    attempt([&] { check_statement(); });
    attempt([&] { check_waivers(judgement); });
    attempt([&] { check_plugin(); });
    check_plausible(run_);
  }

  // What a shard's own package would be refused for; the cases it should have follow from the whole.
  void check_shard(LoggedRun shard) {
    if (!same_suite(shard)) return;
    const Judgement judgement = judge_log(shard, cases_);
    check_capabilities(shard.record);
    check_totals(shard, judgement);
    check_plausible(shard);
  }

  // The order and the times of a merged run are those of its shards.
  void check_plausible(const LoggedRun& run) {
    if (!run.shards.empty()) return;
    for (const std::string& reason : implausible(run, select_cases(cases_, run.options)))
      refuse(reason);
  }

  // Another suite would judge otherwise: only the one that made a package can check its files.
  bool same_suite(const LoggedRun& run) {
    const json& suite = run.header.at("suite");
    const auto version = suite.at("version").get<std::string>();
    if (version != suite_version) {
      refuse(fmt::format("the package is of suite {}, this is {}: verify it with that one", version,
                         suite_version));
      return false;
    }
    if (suite.at("caselist_sha256") != caselist_sha256(select_cases(cases_, run.options))) {
      refuse(fmt::format("its list of cases is not that of suite {}", suite_version));
      return false;
    }
    if (!options_.suite_sha256.empty() && suite.at("binary_sha256") != options_.suite_sha256) {
      refuse(fmt::format("it was made by a program with SHA-256 {}, not by the published one",
                         suite.at("binary_sha256").get<std::string>()));
    }
    if (suite.at("dirty") == true)
      note("the suite was built from sources with changes that no commit holds");
    return true;
  }

  void describe(const Judgement& judgement) {
    const json& capabilities = run_.record.capabilities;
    std::string subject = run_.options.plugin_path;
    if (capabilities.is_object()) {
      subject =
          fmt::format("{} {} by {} on {}", capabilities.at("plugin").at("name").get<std::string>(),
                      capabilities.at("plugin").at("version").get<std::string>(),
                      capabilities.at("plugin").at("vendor").get<std::string>(),
                      capabilities.at("device").at("name").get<std::string>());
    }
    result_.subject = fmt::format("{}: {}", subject, claimed_name(run_.options));
    result_.conformant = judgement.conformant;
    result_.reasons = judgement.reasons;
    result_.reasons.insert(result_.reasons.end(), judgement.not_for_certification.begin(),
                           judgement.not_for_certification.end());
  }

  void check_capabilities(const Record& record) {
    if (record.capabilities.is_null()) return;
    if (sha256_hex(canonical_json(record.capabilities)) != record.capabilities_hash) {
      refuse("events.jsonl: the capabilities do not have the hash that stands beside them");
    }
    const bool changed = record.capabilities_hash_end != record.capabilities_hash;
    if (changed && record.plugin_faults.empty()) refuse("the capabilities changed during the run");
  }

  // Features of the device and the cases that they make mandatory.
  void check_results(const Judgement& judgement) {
    std::set<std::string> expected;
    for (const Outcome& outcome : judgement.outcomes) expected.insert(outcome.the_case->id);
    for (const auto& [id, attempts] : run_.record.attempts) {
      if (!expected.contains(id))
        refuse(fmt::format("events.jsonl has a result of {}, which is no case of this run", id));
    }
    if (!run_.record.capabilities.is_object()) return;
    const json& features = run_.record.capabilities.at("features");
    for (const Outcome& outcome : judgement.outcomes) {
      const std::string feature = outcome.the_case->options.feature;
      if (feature.empty()) continue;
      const bool absent = features.at(feature) == "absent";
      const bool skipped = outcome.status == Status::not_supported &&
                           outcome.text == fmt::format("feature {} is absent", feature);
      if (skipped && !absent) {
        refuse(fmt::format("{} was skipped, but the device has {}", outcome.the_case->id, feature));
      }
      if (absent && outcome.status == Status::pass) {
        refuse(fmt::format("{} passed, but the device has no {}", outcome.the_case->id, feature));
      }
    }
  }

  void check_totals(const LoggedRun& run, const Judgement& judgement) {
    json totals = run.totals;
    totals.erase("prev");
    const std::string difference = first_difference(totals, make_run_totals(run.record, judgement));
    if (!difference.empty()) {
      refuse(fmt::format("events.jsonl: the totals are not those of its results: {}", difference));
    }
  }

  // All other files follow from the log.
  void check_files(const Judgement& judgement) {
    const Files expected = make_report_files(run_, judgement);
    for (const auto& [name, bytes] : expected) {
      const auto found = files_.find(name);
      if (found == files_.end()) {
        refuse(fmt::format("{} is missing", name));
      } else if (found->second != bytes) {
        attempt([&] { refuse(describe_difference(name, found->second, bytes)); });
      }
    }
    for (const auto& [name, bytes] : files_) {
      const bool known = expected.contains(name) || name == "events.jsonl" ||
                         name == "SHA256SUMS" || name == attestation_file;
      if (!known) refuse(fmt::format("{} is no part of a package", name));
    }
  }

  static std::string describe_difference(const std::string& name, const std::string& found,
                                         const std::string& expected) {
    std::string what = fmt::format("{} is not what events.jsonl gives", name);
    if (!name.ends_with(".json")) return what;
    return fmt::format("{}: {}", what,
                       first_difference(parse_canonical_json(found, name), json::parse(expected)));
  }

  void check_statement() {
    const auto found = files_.find(attestation_file);
    if (found == files_.end()) return;
    const json statement = parse_canonical_json(read_attestation(found->second).payload,
                                                "the statement in attestation.json");
    const json report = parse_canonical_json(files_.at("report.json"), "report.json");
    const auto difference =
        first_difference(statement, make_statement(report, sha256_hex(files_.at("SHA256SUMS"))));
    if (!difference.empty())
      refuse(fmt::format("attestation.json is about another report: {}", difference));
  }

  void check_waivers(const Judgement& judgement) {
    bool counted = false;
    for (std::size_t i = 0; i < run_.waivers.size(); ++i) {
      const Waiver& waiver = run_.waivers[i];
      if (judgement.waiver_matches.at(i) == 0) continue;
      counted |= counts_for_certification(waiver.waiver_class);
      if (!options_.today.empty() && waiver.has_expired(options_.today)) {
        refuse(fmt::format("the waiver of {} expired on {}", waiver.id, waiver.expires));
      }
    }
    if (!counted) return;
    if (options_.approver_key.empty()) {
      return refuse("it rests on waivers, and --approver-key names no key to check their approval");
    }
    demand_approvals(run_.waivers, Key::read_public(options_.approver_key));
  }

  void check_plugin() {
    if (options_.plugin.empty())
      return note("the plugin's file was not compared: --plugin names none");
    const std::string hash = sha256_file(options_.plugin);
    if (hash != run_.record.plugin_sha256) {
      refuse(fmt::format("the plugin '{}' has SHA-256 {}, the package is about {}", options_.plugin,
                         hash, run_.record.plugin_sha256));
    }
  }

  const Files& files_;
  const std::vector<Case>& cases_;
  const VerifyOptions& options_;
  LoggedRun run_;
  Verification result_;
};

}  // namespace

Verification verify_package(const Files& files, const std::vector<Case>& cases,
                            const VerifyOptions& options) {
  return Verifier(files, cases, options).run();
}

std::map<std::string, std::string> claimed_digests(const Files& files) {
  const auto found = files.find("digests.json");
  if (found == files.end()) throw std::runtime_error("digests.json is missing");
  try {
    return parse_canonical_json(found->second, "digests.json")
        .get<std::map<std::string, std::string>>();
  } catch (const json::exception&) {
    throw std::runtime_error("digests.json is no object of texts");
  }
}

}  // namespace flagos::conformance
