// Packages of reports: one file of a genuine package is changed, or the archive itself. Whatever comes in is read and judged;
// what is not what was written is not genuine.
#define DOCTEST_CONFIG_DISABLE
#define DOCTEST_CONFIG_EVALUATE_ASSERTS_EVEN_WHEN_DISABLED
#include "conformance/package/test_run.hpp"

#include <stdexcept>

#include "conformance/package/diff.hpp"
#include "conformance/package/stored_report.hpp"
#include "conformance/package/verify.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace flagos::fuzz {
namespace {

using namespace flagos::conformance;

const Files& genuine() {
  static const Files files = [] {
    std::filesystem::create_directory(folder() + "/run");
    return write_small_run(folder() + "/run");
  }();
  return files;
}

std::string name_of(std::uint32_t number) {
  return std::next(genuine().begin(), number % genuine().size())->first;
}

void judge(const Files& files) {
  VerifyOptions options;
  options.today = "2026-03-02";
  const Verification found = verify_package(files, small_cases(), options);
  const auto written = [](const Files& some) {
    std::map<std::string, std::string> kept(some.begin(), some.end());
    kept.erase("SHA256SUMS");
    return kept;
  };
  if (found.genuine() && found.conformant)
    demand(written(files) == written(genuine()), "a changed package is no certificate");
  if (found.genuine()) claimed_digests(files);
}

void change_file(Bytes& bytes) {
  Files files = genuine();
  const bool sums = bytes.below(2) != 0;
  std::string& text = files[name_of(bytes.below(255))];
  // Either all of it, or a part.
  if (bytes.below(2) != 0) {
    text = text_of(bytes.take(bytes.size()));
  } else {
    const std::size_t at = text.empty() ? 0 : bytes.number<std::uint16_t>() % text.size();
    const std::size_t removed = bytes.below(64);
    text.replace(at, removed, text_of(bytes.take(bytes.size())));
  }
  if (sums) sum_again(files);
  try {
    judge(files);
  } catch (const std::exception& error) {
    demand(false, error.what());  // verify_package answers, it does not throw
  }
}

// The log of events, with a chain that holds again.
void change_event(Bytes& bytes) {
  Files files = genuine();
  std::vector<nlohmann::json> events = events_of(files);
  nlohmann::json& event = events[bytes.below(255) % events.size()];
  if (event.empty()) return;
  nlohmann::json* place = &event;
  for (int depth = 0; depth < 6 && place->is_structured() && !place->empty(); ++depth) {
    place =
        &*std::next(place->begin(), static_cast<std::ptrdiff_t>(bytes.below(255) % place->size()));
    if (bytes.below(4) == 0) break;
  }
  const nlohmann::json value =
      nlohmann::json::parse(text_of(bytes.take(bytes.size())), nullptr, false);
  if (value.is_discarded()) return;
  *place = value;
  try {
    files["events.jsonl"] = chained(events);
  } catch (const std::exception&) {
    return;  // a name that cannot be written
  }
  sum_again(files);
  try {
    judge(files);
  } catch (const std::exception& error) {
    demand(false, error.what());
  }
}

void read_file_of(Bytes& bytes, const char* name) {
  const std::string path = folder() + "/" + name;
  write_file(path, text_of(bytes.take(bytes.size())));
  try {
    if (std::string_view(name) == "report.json") {
      const StoredReport report = read_stored_report(path);
      diff_text(diff_reports(report, report));
    } else {
      read_package(path);
    }
  } catch (const std::runtime_error& error) {
    demand(*error.what() != '\0', "a refusal says why");
  }
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  char number = 0;
  for (const auto& [name, text] : genuine()) {
    for (const char sums : {0, 1}) {
      all.push_back(std::string{0, sums, number, 1} + text);
      all.push_back(std::string{0, sums, number, 0, 40, 0, 2} + "\"x\"");
    }
    ++number;
  }
  for (char event = 0; event < 8; ++event) {
    for (const char* const value : {"null", "\"\"", "-1", "1e300", "[]", "{}"})
      all.push_back(std::string{1, event, 3, 1, 2, 1, 1, 0} + value);
  }
  all.push_back('\x02' + genuine().at("report.json"));
  const std::string archive = folder() + "/seed.tar.zst";
  write_archive(archive, "seed", {{"report.json", "{}"}, {"logs/a.txt", "a"}});
  all.push_back('\x03' + read_whole_file(archive));
  return all;
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  Bytes bytes(data, size);
  switch (bytes.below(4)) {
    case 0:
      change_file(bytes);
      break;
    case 1:
      change_event(bytes);
      break;
    case 2:
      read_file_of(bytes, "report.json");
      break;
    default:
      read_file_of(bytes, "package.tar.zst");
      break;
  }
  return 0;
}
