// Writes the files of a report, each complete or not at all.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

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

std::string text_of(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

json digests_json(const Judgement& judgement) {
  json digests = json::object();
  for (const Outcome& outcome : judgement.outcomes) {
    const bool exact = outcome.the_case->options.oracle == Oracle::exact;
    if (exact && !outcome.digest.empty()) digests[outcome.the_case->id] = outcome.digest;
  }
  return digests;
}

json waivers_json(const Judgement& judgement) {
  json waivers = json::array();
  for (const Outcome& outcome : judgement.outcomes) {
    if (outcome.reason.empty()) continue;
    waivers.push_back({{"id", outcome.the_case->id},
                       {"reason", outcome.reason},
                       {"status", status_name(outcome.status)}});
  }
  return waivers;
}

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  void add(const std::string& name, const std::string& text) {
    write_file(path_ + "/" + name, text);
    sums_ += fmt::format("{}  {}\n", sha256_hex(text), name);
  }
  void add_existing(const std::string& name) {
    const std::string path = path_ + "/" + name;
    sums_ += fmt::format("{}  {}\n", sha256_file(path), name);
  }
  void write_sums() { write_file(path_ + "/SHA256SUMS", sums_); }

 private:
  std::string path_;
  std::string sums_;
};

}  // namespace

std::string log_file_name(const std::string& id) { return "logs/" + id + ".txt"; }

void write_reports(const ReportInput& input) {
  const std::string& out = input.options.out;
  std::filesystem::remove_all(out + "/logs");
  std::filesystem::create_directories(out + "/logs");
  Folder folder(out);
  folder.add("report.json", text_of(make_report_json(input)));
  folder.add("report.html", make_report_html(input));
  folder.add("junit.xml", make_junit(input));
  folder.add("caps.json", text_of(input.record.capabilities));
  folder.add("env.json", text_of(input.environment));
  folder.add("digests.json", text_of(digests_json(input.judgement)));
  folder.add("waivers.json", text_of(waivers_json(input.judgement)));
  for (const Outcome& outcome : input.judgement.outcomes) {
    if (!outcome.log.empty()) folder.add(log_file_name(outcome.the_case->id), outcome.log);
  }
  folder.add_existing("events.jsonl");
  folder.write_sums();
}

}  // namespace flagos::conformance
