// Makes the files of a report from the log of its run, and writes each complete or not at all.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

#include "conformance/json_text.hpp"
#include "conformance/package/attestation.hpp"
#include "conformance/package/package.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const std::string& path) {
  throw std::runtime_error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

// Under another name first: whoever looks sees the old file, or the whole new one.
void write_file(const std::string& path, std::string_view text) {
  const std::string draft = path + ".part";
  const int descriptor = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) cannot_write(draft);
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) cannot_write(draft);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool synced = fsync(descriptor) == 0;
  if (close(descriptor) != 0 || !synced) cannot_write(draft);
  if (rename(draft.c_str(), path.c_str()) != 0) cannot_write(path);
}

json digests_json(const Judgement& judgement) {
  json digests = json::object();
  for (const Outcome& outcome : judgement.outcomes) {
    if (outcome.status != Status::pass) continue;
    for (const auto& [parameters, digest] : outcome.digests) {
      digests[subcase_name(outcome.the_case->id, parameters)] = digest;
    }
  }
  return digests;
}

json waivers_json(const LoggedRun& run, const Judgement& judgement) {
  const auto status_of = [&](const std::string& id) {
    for (const Outcome& outcome : judgement.outcomes) {
      if (outcome.the_case->id == id) return std::string(status_name(outcome.status));
    }
    return std::string("not part of this run");
  };
  json expectations = to_json(run.expectations).at("cases");
  for (json& entry : expectations) entry["status"] = status_of(entry.at("id"));
  json waivers = json::array();
  for (std::size_t i = 0; i < run.waivers.size(); ++i) {
    json entry = run.waivers[i].entry;
    entry["matches"] = judgement.waiver_matches.at(i);
    entry["status"] = status_of(run.waivers[i].id);
    waivers.push_back(entry);
  }
  return {{"expectations", expectations}, {"waivers", waivers}};
}

// The report of another run in the same folder.
void remove_old_report(const std::string& out) {
  fs::remove_all(out + "/logs");
  fs::create_directories(out + "/logs");
  fs::remove(out + "/attestation.json");
  for (const auto& entry : fs::directory_iterator(out)) {
    if (is_package_name(entry.path().filename().string())) fs::remove(entry.path());
  }
}

}  // namespace

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

std::string log_file_name(const std::string& id) { return "logs/" + id + ".txt"; }

Judgement judge_log(LoggedRun& run, const std::vector<Case>& all) {
  const std::vector<const Case*> cases = select_cases(all, run.options);
  add_not_run(run.record, cases, run.options);
  return judge(run.options, cases, run.record, run.expectations, run.waivers);
}

Files make_report_files(const LoggedRun& run, const Judgement& judgement) {
  const ReportInput input{run.options, run.record, judgement, run.chain_root, run.header};
  Files files;
  files["report.json"] = canonical_json(make_report_json(input));
  files["report.html"] = make_report_html(input);
  files["junit.xml"] = make_junit(input);
  files["caps.json"] = canonical_json(run.record.capabilities);
  files["env.json"] = canonical_json(run.header.at("environment"));
  files["digests.json"] = canonical_json(digests_json(judgement));
  files["waivers.json"] = canonical_json(waivers_json(run, judgement));
  for (const Outcome& outcome : judgement.outcomes) {
    if (!outcome.log.empty()) files[log_file_name(outcome.the_case->id)] = outcome.log;
  }
  return files;
}

std::string write_reports(const Options& options, const std::vector<Case>& cases) {
  const std::string& out = options.out;
  const std::string log = read_whole_file(out + "/events.jsonl");
  LoggedRun run = read_run_log(log, cases);
  const Judgement judgement = judge_log(run, cases);
  Files files = make_report_files(run, judgement);
  files["events.jsonl"] = log;
  files["SHA256SUMS"] = make_sums(files);
  if (!options.signing_key.empty()) {
    const Key key = Key::read_private(options.signing_key);
    const json report = json::parse(files.at("report.json"));
    files["attestation.json"] = make_attestation(report, sha256_hex(files.at("SHA256SUMS")), key);
  }
  remove_old_report(out);
  for (const auto& [name, bytes] : files) {
    if (name != "events.jsonl") write_file(out + "/" + name, bytes);
  }
  if (!options.package) return "";
  const std::string name = package_name(json::parse(files.at("report.json")));
  const std::string path = out + "/" + name + ".tar.zst";
  write_archive(path, name, files);
  return path;
}

}  // namespace flagos::conformance
