#include "conformance/package/matrix.hpp"

#include <fmt/format.h>

#include <set>

#include "conformance/html.hpp"
#include "conformance/statistics.hpp"

namespace flagos::conformance {
namespace {

// Wide tables scroll by themselves, with the keys too; the first column stays in sight.
constexpr const char* style = R"(
body { max-width: 90rem; }
.skip { position: absolute; left: -100rem; } .skip:focus { position: static; }
nav a { display: inline-block; padding: .6rem .9rem .6rem 0; } a { color: inherit; }
#chips td:last-child { min-width: 14rem; }
.wide td, .wide thead th { text-align: center; } .wide { width: auto; min-width: 100%; }
.wide th[scope=row] { position: sticky; left: 0; background: var(--card); text-align: left; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
@media (max-width: 40rem) { body { padding: .4rem; } section { padding: .6rem; } th { white-space: normal; } }
)";

std::string column_name(const StoredReport& report) {
  if (!report.device_name.empty()) return report.device_name;
  return report.plugin_name.empty() ? "no plugin" : report.plugin_name;
}

// A table of one row per name and one column per report.
class Grid {
 public:
  Grid(const char* id, const char* title, const char* caption,
       const std::vector<MatrixEntry>& entries)
      : id_(id), title_(title), caption_(caption) {
    head_ = "<thead><tr><th scope=\"col\"></th>";
    for (const MatrixEntry& entry : entries) {
      head_ += fmt::format("<th scope=\"col\">{}<br><span class=\"soft\">{} {}</span></th>",
                           escape_markup(column_name(entry.report)),
                           escape_markup(entry.report.plugin_name),
                           escape_markup(entry.report.plugin_version));
    }
    head_ += "</tr></thead>\n";
  }
  void start_row(const std::string& name) {
    rows_ += fmt::format("<tr><th scope=\"row\">{}</th>", escape_markup(name));
  }
  void cell(std::string_view tone, const std::string& text) {
    rows_ += fmt::format("<td class=\"{}\">{}</td>", tone, escape_markup(text));
  }
  void end_row() { rows_ += "</tr>\n"; }
  std::string markup() const {
    return fmt::format(
        "<section id=\"{0}\"><h2 id=\"{0}-title\">{1}</h2>\n"
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{0}-title\">"
        "<table "
        "class=\"wide\"><caption>{2}</caption>{3}<tbody>{4}</tbody></table></div>\n</section>\n",
        id_, title_, caption_, head_, rows_);
  }

 private:
  std::string id_, title_, caption_, head_, rows_;
};

std::string chips(const std::vector<MatrixEntry>& entries) {
  std::string rows;
  for (const MatrixEntry& entry : entries) {
    const StoredReport& report = entry.report;
    const std::string name = escape_markup(column_name(report));
    const std::string linked =
        entry.link.empty() ? name
                           : fmt::format("<a href=\"{}\">{}</a>", escape_markup(entry.link), name);
    const std::string verdict =
        report.conformant ? fmt::format("flagos-conformant {}/{}", report.abi_version, report.level)
                          : "not conformant";
    std::string why;
    for (const std::string& reason : report.reasons) why += (why.empty() ? "" : "; ") + reason;
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"{}\">{}</td><td>{} {} by "
        "{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td></tr>\n",
        linked, report.conformant ? "good" : "bad", escape_markup(verdict),
        escape_markup(report.plugin_name), escape_markup(report.plugin_version),
        escape_markup(report.vendor), escape_markup(report.driver_version),
        escape_markup(report.suite_version), escape_markup(report.started_utc.substr(0, 10)),
        escape_markup(why));
  }
  return fmt::format(
      "<section id=\"chips\"><h2 id=\"chips-title\">Chips</h2>\n<div class=\"scroll\" "
      "tabindex=\"0\" role=\"region\" "
      "aria-labelledby=\"chips-title\"><table><caption>A name leads to the whole report.</caption>"
      "<thead><tr><th scope=\"col\">chip</th><th scope=\"col\">verdict</th><th "
      "scope=\"col\">plugin</th>"
      "<th scope=\"col\">driver</th><th scope=\"col\">suite</th><th scope=\"col\">date</th>"
      "<th scope=\"col\">why not</th></tr></thead>\n<tbody>{}</tbody></table></div>\n</section>\n",
      rows);
}

std::string features(const std::vector<MatrixEntry>& entries) {
  std::set<std::string> names;
  for (const MatrixEntry& entry : entries) {
    for (const auto& [name, support] : entry.report.features) names.insert(name);
  }
  Grid grid("features", "Features",
            "native: by the chip; emulated: by flagos on top of it; absent: not there.", entries);
  for (const std::string& name : names) {
    grid.start_row(name);
    for (const MatrixEntry& entry : entries) {
      const auto found = entry.report.features.find(name);
      const std::string support = found == entry.report.features.end() ? "unknown" : found->second;
      grid.cell(support == "native" ? "good" : support == "emulated" ? "warn" : "soft", support);
    }
    grid.end_row();
  }
  return grid.markup();
}

std::string categories(const std::vector<MatrixEntry>& entries) {
  std::set<std::string> names;
  for (const MatrixEntry& entry : entries) {
    for (const auto& [name, counts] : entry.report.categories) names.insert(name);
  }
  Grid grid("categories", "Cases", "Passed of those that the chip must pass, by category.",
            entries);
  for (const std::string& name : names) {
    grid.start_row(name);
    for (const MatrixEntry& entry : entries) {
      std::size_t passed = 0;
      std::size_t asked = 0;
      const auto found = entry.report.categories.find(name);
      if (found != entry.report.categories.end()) {
        for (const auto& [status, count] : found->second) {
          passed += status == "PASS" ? count : 0;
          asked += status == "NOT_SUPPORTED" ? 0 : count;
        }
      }
      grid.cell(asked == 0        ? "soft"
                : passed == asked ? "good"
                                  : "bad",
                asked == 0 ? "–" : fmt::format("{} / {}", passed, asked));
    }
    grid.end_row();
  }
  return grid.markup();
}

std::string figures(const std::vector<MatrixEntry>& entries) {
  std::set<std::pair<std::string, std::string>> names;
  for (const MatrixEntry& entry : entries) {
    for (const auto& [name, measurement] : entry.report.figures) names.insert(name);
  }
  if (names.empty()) return "";
  Grid grid("performance", "Performance", "Medians, reported and not judged.", entries);
  for (const auto& name : names) {
    grid.start_row(name.first + ": " + name.second);
    for (const MatrixEntry& entry : entries) {
      const auto found = entry.report.figures.find(name);
      if (found == entry.report.figures.end()) {
        grid.cell("soft", "–");
      } else {
        grid.cell("", fmt::format("{:.4g} {}", summarize(found->second.samples).median,
                                  found->second.unit));
      }
    }
    grid.end_row();
  }
  return grid.markup();
}

}  // namespace

std::string make_matrix(const std::vector<MatrixEntry>& entries) {
  const std::string performance = figures(entries);
  std::string body =
      "<a class=\"skip\" href=\"#chips\">To the table of chips</a>\n<header><h1>flagos "
      "compatibility matrix</h1>\n";
  body +=
      "<nav aria-label=\"Tables\"><a href=\"#chips\">Chips</a><a href=\"#features\">Features</a>"
      "<a href=\"#categories\">Cases</a>";
  if (!performance.empty()) body += "<a href=\"#performance\">Performance</a>";
  body += "</nav></header>\n<main>\n" + chips(entries) + features(entries) + categories(entries) +
          performance;
  return html_page("flagos compatibility matrix", body + "</main>\n", style);
}

}  // namespace flagos::conformance
