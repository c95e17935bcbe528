#include "conformance/package/diff.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "conformance/package/matrix.hpp"
#include "conformance/package/test_run.hpp"

namespace flagos::conformance {
namespace {

StoredReport stored(const TestFolder& folder, const SmallRun& run = {}) {
  write_small_run(folder.path(), run);
  return read_stored_report(folder.path());
}

const Difference* find(const Diff& diff, const std::string& kind) {
  const auto found = std::find_if(diff.differences.begin(), diff.differences.end(),
                                  [&](const Difference& one) { return one.kind == kind; });
  return found == diff.differences.end() ? nullptr : &*found;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE(
    "a report is read from its folder, its package and its report.json, and differs in nothing") {
  const TestFolder folder;
  const StoredReport report = stored(folder);
  CHECK(report.cases.size() == 3);
  CHECK(report.features.at("graph") == "absent");
  CHECK(report.conformant);
  write_archive(folder / "x.tar.zst", "top", read_package(folder.path()));
  for (const std::string& path : {folder.path(), folder / "x.tar.zst", folder / "report.json"}) {
    const Diff diff = diff_reports(report, read_stored_report(path));
    CHECK(diff.differences.empty());
    CHECK(diff.exit_code(true) == 0);
  }
}

TEST_CASE("each class of difference, and what it is worth") {
  const TestFolder a;
  const TestFolder b;
  const StoredReport before = stored(a);
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  StoredReport after = stored(b, run);
  Diff diff = diff_reports(before, after);
  REQUIRE(find(diff, "regression") != nullptr);
  CHECK(find(diff, "regression")->subject == "copy.b");
  CHECK(diff.exit_code(false) == 2);
  diff = diff_reports(after, before);
  CHECK(find(diff, "fix") != nullptr);
  CHECK(diff.exit_code(false) == 1);
  CHECK(diff.exit_code(true) == 2);
  StoredReport crashed = after;
  crashed.cases["copy.b"].status = Status::crash;
  CHECK(find(diff_reports(after, crashed), "kind change")->direction == Direction::worse);

  after = before;
  after.cases["copy.a"].digests["size=1"] = "other bytes";
  diff = diff_reports(before, after);
  REQUIRE(find(diff, "numeric drift") != nullptr);
  CHECK(find(diff, "numeric drift")->subject == "copy.a[size=1]");
  CHECK(diff.exit_code(false) == 2);
  after.seed = 99;  // other data, so other digests
  CHECK(find(diff_reports(before, after), "numeric drift") == nullptr);

  after = before;
  after.cases.erase("copy.a");
  after.cases["copy.new"].status = Status::pass;
  diff = diff_reports(before, after);
  CHECK(find(diff, "removed case")->direction == Direction::worse);
  CHECK(find(diff, "new case")->direction == Direction::better);

  after = before;
  after.features["graph"] = "emulated";
  CHECK(find(diff_reports(before, after), "capability")->direction == Direction::better);
  CHECK(find(diff_reports(after, before), "capability")->direction == Direction::worse);

  after = before;
  after.cases["copy.a"].seconds *= 4;
  diff = diff_reports(before, after);
  CHECK(find(diff, "time") != nullptr);
  CHECK(diff.exit_code(true) == 0);

  after = before;
  after.environment["kernel"] = "another";
  diff = diff_reports(before, after);
  CHECK(find(diff, "environment")->subject == "kernel");
  CHECK(diff.exit_code(false) == 0);

  after = before;
  after.waivers["copy.a"] = "{}";
  CHECK(find(diff_reports(before, after), "waiver")->direction == Direction::worse);
  CHECK(find(diff_reports(after, before), "waiver")->direction == Direction::better);

  after = before;
  after.quick = true;
  diff = diff_reports(before, after);
  CHECK(diff.exit_code(false) == 3);
  CHECK(diff.not_comparable.size() == 1);
}

TEST_CASE("figures differ when their samples do, by more than a twentieth") {
  const TestFolder folder;
  StoredReport before = stored(folder);
  StoredReport after = before;
  before.figures[{"perf.copy", "copy"}] = {"copy", "GB/s", {10, 10.1, 9.9, 10, 10.05}};
  after.figures[{"perf.copy", "copy"}] = {"copy", "GB/s", {12, 12.1, 11.9, 12, 12.05}};
  CHECK(find(diff_reports(before, after), "performance")->direction == Direction::better);
  CHECK(find(diff_reports(after, before), "performance")->direction == Direction::worse);
  after.figures[{"perf.copy", "copy"}].samples = {10.2, 10.1, 9.9, 10.3, 10.05};
  CHECK(find(diff_reports(before, after), "performance") == nullptr);
  before.figures[{"perf.copy", "copy"}].unit = after.figures[{"perf.copy", "copy"}].unit = "ns";
  after.figures[{"perf.copy", "copy"}].samples = {12, 12.1, 11.9, 12, 12.05};
  CHECK(find(diff_reports(before, after), "performance")->direction == Direction::worse);
}

TEST_CASE("the difference as text, JSON and page") {
  const TestFolder a;
  const TestFolder b;
  const StoredReport before = stored(a);
  SmallRun run;
  run.change = [](CaseResult& result) {
    if (result.id == "copy.b") result.status = Status::fail;
  };
  const StoredReport after = stored(b, run);
  const Diff diff = diff_reports(before, after);
  CHECK(count_of(diff_text(diff), "worse   regression: copy.b: 'PASS' -> 'FAIL'") == 1);
  CHECK(count_of(diff_text(diff), "0 better, 1 worse") == 1);
  const auto json = diff_json(before, after, diff, false);
  CHECK(json.at("exit_code") == 2);
  CHECK(json.at("differences").at(0).at("kind") == "regression");
  const std::string page = diff_html(before, after, diff);
  CHECK(count_of(page, "<script") + count_of(page, "src=") + count_of(page, "<chip>") == 0);
  CHECK(count_of(page, "regression") == 1);
}

TEST_CASE("the matrix compares chips, without scripts and network") {
  const TestFolder folder;
  const StoredReport report = stored(folder);
  StoredReport other = report;
  other.device_name = "<script>alert(1)</script>";
  other.features["graph"] = "native";
  other.conformant = false;
  other.figures[{"perf.copy", "copy"}] = {"copy", "GB/s", {1, 2, 3}};
  const std::string page = make_matrix({{report, "small/report.html"}, {other, ""}});
  CHECK(count_of(page, "<script") + count_of(page, "src=") + count_of(page, "http") == 0);
  CHECK(count_of(page, "<a href=\"small/report.html\">Small &lt;chip&gt;</a>") == 1);
  CHECK(count_of(page, "<td class=\"good\">native</td>") == 1);
  CHECK(count_of(page, "<td class=\"soft\">absent</td>") == 1);
  CHECK(count_of(page, "<td class=\"good\">2 / 2</td>") == 2);
  CHECK(count_of(page, "2 GB/s") == 1);
}

TEST_CASE("garbage is a sentence that names the file") {
  const TestFolder folder;
  write_small_run(folder.path());
  const std::string good = read_whole_file(folder / "report.json");
  const std::string path = folder / "spoiled.json";
  std::mt19937_64 random(11);
  for (int round = 0; round < 400; ++round) {
    std::string text = good;
    const std::size_t at = random() % text.size();
    if (round % 2 == 0) {
      text[at] = static_cast<char>(random());
    } else {
      text.erase(at, 1 + random() % 50);
    }
    std::ofstream(path, std::ios::binary) << text;
    try {
      const StoredReport report = read_stored_report(path);
      diff_html(report, report, diff_reports(report, report));
      make_matrix({{report, ""}});
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()).find("spoiled.json") != std::string::npos);
    }
  }
  CHECK_THROWS_WITH(read_stored_report(folder / "none"), doctest::Contains("none"));
  CHECK_THROWS_WITH(read_stored_report(folder / "none.json"), doctest::Contains("none.json"));
}

}  // namespace flagos::conformance
