#include "conformance/report.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>

#include <stdlib.h>

#include "conformance/html.hpp"
#include "conformance/json_text.hpp"
#include "conformance/listing.hpp"
#include "conformance/locate.hpp"
#include "conformance/package/test_run.hpp"
#include "conformance/secrets.hpp"
#include "conformance/sha256.hpp"
#include "conformance/statistics.hpp"

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
    options.selftest = true;
    options.executable = own_executable();
    options.seed = 9;
    record.attempts["copy.fails"] = {attempt(failing(), Status::fail, hostile)};
    record.attempts["copy.passes"] = {attempt(passing(), Status::pass, "")};
    record.attempts["graph.skips"] = {attempt(skipping(), Status::not_supported, "absent")};
    judgement = judge(options, {&failing(), &passing(), &skipping()}, record, {});
  }
  ReportInput input() const {
    const nlohmann::json suite = {{"version", "0.1.0"}, {"commit", "c0ffee"}, {"dirty", false}};
    return {options,
            record,
            judgement,
            "root",
            {{"suite", suite},
             {"plugin_files", nlohmann::json::array()},
             {"environment", {{"system", hostile}}},
             {"waivers", {{"waivers", nlohmann::json::array()}}},
             {"expectations", {{"cases", nlohmann::json::array()}}}}};
  }

  Options options;
  Record record;
  Judgement judgement;
};

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
  CHECK(report.at("suite").at("commit") == "c0ffee");
  CHECK(report.at("cases_expected") == 3);
  CHECK(report.at("cases_run") == 3);
  CHECK(report.at("missing").empty());
  CHECK(report.at("claim").at("name") == "flagos-conformant 1.0/core");
  CHECK(report.at("limits").size() >= 4);
}

TEST_CASE("all files are written, and their sums are right") {
  const TestFolder folder;
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  const Files files = write_small_run(folder.path(), run);
  CHECK(files.size() == 10);
  std::istringstream sums(files.at("SHA256SUMS"));
  std::size_t summed = 0;
  for (std::string sum, name; sums >> sum >> name; ++summed) {
    CHECK_MESSAGE(sha256_hex(files.at(name)) == sum, name);
  }
  CHECK(summed == 9);
  CHECK(files.at("logs/copy.b.txt") == "what it printed");
  const auto digests = nlohmann::json::parse(files.at("digests.json"));
  CHECK(digests == nlohmann::json{{"copy.a[size=1]", sha256_hex("copy.a1")},
                                  {"copy.a[size=2]", sha256_hex("copy.a2")}});
  for (const auto& [name, bytes] : files) {
    if (name.ends_with(".json")) CHECK(canonical_json(nlohmann::json::parse(bytes)) == bytes);
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    CHECK(entry.path().extension() != ".part");
  }
}

TEST_CASE("equal logs give equal files") {
  const TestFolder folder;
  const Files files = write_small_run(folder.path());
  LoggedRun run = read_run_log(files.at("events.jsonl"), small_cases());
  for (const auto& [name, bytes] : make_report_files(run, judge_log(run, small_cases()))) {
    CHECK_MESSAGE(files.at(name) == bytes, name);
  }
}

TEST_CASE("a folder that cannot be written is named") {
  Options options;
  options.out = "/proc/nowhere";
  CHECK_THROWS_WITH(write_reports(options, small_cases()), doctest::Contains("/proc/nowhere"));
}

TEST_CASE("what is secret does not reach a log") {
  setenv("FLAGOS_TEST_TOKEN", "a-very-secret-word", 1);
  CHECK(without_secrets("it said a-very-secret-word twice: a-very-secret-word") ==
        "it said [removed] twice: [removed]");
  unsetenv("FLAGOS_TEST_TOKEN");
  CHECK(without_secrets("nothing here") == "nothing here");
}

TEST_CASE("figures are summed up") {
  CHECK(summarize({3, 1, 2}).median == 2);
  CHECK(summarize({4, 1, 2, 3}).median == 2.5);
  CHECK(summarize({}).median == 0);
  CHECK(summarize({3, 1, 2}).most == 3);
  const Interval same = bootstrap_ratio({1, 1.01, 0.99, 1}, {1, 0.99, 1.01, 1});
  CHECK(same.low <= 1);
  CHECK(same.high >= 1);
  const Interval twice = bootstrap_ratio({1, 1.01, 0.99, 1}, {2, 2.01, 1.99, 2});
  CHECK(twice.low > 1.9);
  CHECK(twice.high < 2.1);
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
