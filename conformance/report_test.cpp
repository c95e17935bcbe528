#include "conformance/report.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <stdlib.h>

#include "conformance/event_log.hpp"
#include "conformance/listing.hpp"
#include "conformance/locate.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

void nothing(Context&) {}

constexpr const char* hostile = "<script>alert('1' & \"2\")</script>\x01\xff";

const Case& failing() {
  static const Case the_case{
      "copy.fails", {.clause = "a <b> | c"}, &nothing, std::source_location::current()};
  return the_case;
}
const Case& passing() {
  static const Case the_case{
      "copy.passes", {.clause = "d"}, &nothing, std::source_location::current()};
  return the_case;
}
const Case& skipping() {
  static const Case the_case{"graph.skips",
                             {.clause = "e", .level = Level::optional, .feature = "graph"},
                             &nothing,
                             std::source_location::current()};
  return the_case;
}

Attempted attempt(const Case& the_case, Status status, const std::string& text) {
  CaseResult result;
  result.id = the_case.id;
  result.status = status;
  result.text = text;
  result.digest = status == Status::pass ? "d1" : "";
  return {0, result, status == Status::fail ? hostile : ""};
}

struct Fixture {
  Fixture() {
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    options.selftest = true;
    options.executable = own_executable();
    options.out = folder;
    options.seed = 9;
    record.attempts["copy.fails"] = {attempt(failing(), Status::fail, hostile)};
    record.attempts["copy.passes"] = {attempt(passing(), Status::pass, "")};
    record.attempts["graph.skips"] = {attempt(skipping(), Status::not_supported, "absent")};
    judgement = judge(options, {&failing(), &passing(), &skipping()}, record, {});
  }
  ~Fixture() { std::filesystem::remove_all(folder); }
  ReportInput input() const {
    return {options, record, judgement, "root", nlohmann::json{{"system", hostile}}};
  }

  std::string folder = "/tmp/flagos_report_XXXXXX";
  Options options;
  Record record;
  Judgement judgement;
};

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("markup is escaped, broken text replaced, the rest kept") {
  CHECK(escape_markup("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(escape_markup("line\n\ttab") == "line\n\ttab");
  CHECK(escape_markup("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  const std::string bad = "\xef\xbf\xbd";
  CHECK(escape_markup(std::string("\0", 1)) == bad);
  CHECK(escape_markup("\x1b[31m") == bad + "[31m");
  CHECK(escape_markup("\xff") == bad);
  CHECK(escape_markup("\xc3") == bad);                      // cut off
  CHECK(escape_markup("\xc0\x80") == bad + bad);            // overlong
  CHECK(escape_markup("\xed\xa0\x80") == bad + bad + bad);  // a surrogate
  CHECK(escape_markup("\xef\xbf\xbf") == bad + bad + bad);  // not allowed in XML
  CHECK(escape_markup("") == "");
}

TEST_CASE("the page holds no script, nothing from elsewhere, and every string escaped") {
  const Fixture fixture;
  const std::string html = make_report_html(fixture.input());
  CHECK(count_of(html, "<script") == 0);
  CHECK(count_of(html, "http://") + count_of(html, "https://") + count_of(html, "src=") == 0);
  CHECK(count_of(html, "&lt;script&gt;") >= 3);  // text, log, environment
  CHECK(count_of(html, "copy.fails") >= 2);
  CHECK(count_of(html, "--only copy.fails --seed 9") == 1);
  CHECK(count_of(html, "NOT FOR CERTIFICATION") == 1);
  CHECK(count_of(html, "prefers-color-scheme") == 1);
  CHECK(count_of(html, "name=\"viewport\"") == 1);
  for (const char* const tag : {"section", "table", "article", "details", "ul", "pre"}) {
    const std::string name = tag;
    CHECK_MESSAGE(count_of(html, "<" + name) == count_of(html, "</" + name + ">"), name);
  }
}

TEST_CASE("junit: a failure fails, only an absent feature is skipped") {
  const Fixture fixture;
  const std::string xml = make_junit(fixture.input());
  CHECK(count_of(xml, "<testsuite ") == 2);
  CHECK(count_of(xml, "<testcase ") == 3);
  CHECK(count_of(xml, "<failure type=\"FAIL\"") == 1);
  CHECK(count_of(xml, "<skipped") == 1);
  CHECK(count_of(xml, "tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"") == 1);
  CHECK(count_of(xml, "<script") == 0);
}

TEST_CASE("report.json says what ran and how it ended") {
  const Fixture fixture;
  const nlohmann::json report = make_report_json(fixture.input());
  CHECK(report.at("cases").size() == 3);
  CHECK(report.at("cases")[0].at("id") == "copy.fails");
  CHECK(report.at("cases")[0].at("status") == "FAIL");
  CHECK(report.at("cases")[0].at("repro") ==
        "flagos-conformance --selftest --only copy.fails --seed 9");
  CHECK(report.at("totals").at("by_status").at("PASS") == 1);
  CHECK(report.at("totals").at("by_category").at("copy").at("FAIL") == 1);
  CHECK(report.at("verdict").at("conformant") == false);
  CHECK_FALSE(report.at("verdict").at("reasons").empty());
  CHECK(report.at("suite").at("binary_sha256") == sha256_file(fixture.options.executable));
}

TEST_CASE("all files are written, and their sums are right") {
  const Fixture fixture;
  EventLog::create(fixture.folder + "/events.jsonl").append({{"event", "run"}});
  write_reports(fixture.input());
  std::istringstream sums(read_text(fixture.folder + "/SHA256SUMS"));
  std::size_t files = 0;
  for (std::string sum, name; sums >> sum >> name; ++files) {
    CHECK_MESSAGE(sha256_file(fixture.folder + "/" + name) == sum, name);
  }
  CHECK(files == 9);
  CHECK(read_text(fixture.folder + "/logs/copy.fails.txt") == hostile);
  const auto digests = nlohmann::json::parse(read_text(fixture.folder + "/digests.json"));
  CHECK(digests == nlohmann::json{{"copy.passes", "d1"}});
  for (const auto& entry : std::filesystem::directory_iterator(fixture.folder)) {
    CHECK(entry.path().extension() != ".part");
  }
}

TEST_CASE("a folder that cannot be written is named") {
  Fixture fixture;
  fixture.options.out = "/proc/nowhere";
  CHECK_THROWS_WITH(write_reports(fixture.input()), doctest::Contains("/proc/nowhere"));
}

TEST_CASE("the list escapes what would end a cell") {
  const std::string page = list_cases_as_markdown({&failing(), &passing(), &skipping()});
  CHECK(count_of(page, "a <b> \\| c") == 1);
  CHECK(count_of(page, "3 cases: 2 core, 0 full, 1 optional.") == 1);
  CHECK(count_of(page, "## copy (2)") == 1);
}

TEST_CASE("a repro line can be pasted") {
  Options options;
  options.plugin = "/a b/it's.so";
  options.seed = 3;
  options.level = Level::full;
  options.device = 1;
  CHECK(repro_line(options, "copy.a") ==
        "flagos-conformance --plugin '/a b/it'\\''s.so' --only copy.a --seed 3 --device 1 --level "
        "full");
}

}  // namespace flagos::conformance
