// report.html: the report for people, in one file, without scripts or anything from elsewhere.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/features.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/version.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr std::size_t slowest_shown = 15;
constexpr std::size_t log_shown = 4000;

constexpr const char* style = R"(
:root { --text: #1c2430; --soft: #5b6675; --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8;
  --good: #17793b; --good-back: #e3f4e8; --bad: #b3261e; --bad-back: #fbe9e7;
  --warn: #8a5a00; --warn-back: #fdf3dc; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e8ee; --soft: #9aa6b5; --page: #12161c; --card: #1b212a; --line: #323b47;
    --good: #6fd08f; --good-back: #173423; --bad: #ff9c92; --bad-back: #43201d;
    --warn: #f0c36d; --warn-back: #3a2d10; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; margin: 1rem 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.banner.good { background: var(--good-back); } .banner.bad { background: var(--bad-back); }
.banner.warn { background: var(--warn-back); }
.banner ul { margin: .4rem 0 0; padding-left: 1.2rem; color: var(--text); }
.soft { color: var(--soft); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } td.number, th.number { text-align: right; white-space: nowrap; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { margin: .4rem 0; padding: .6rem; background: var(--page); border-radius: .3rem; max-height: 24rem;
  overflow: auto; }
article { border-top: 1px solid var(--line); padding: .7rem 0; }
article:first-of-type { border-top: 0; }
)";

std::string_view tone_of(Status status) {
  if (status == Status::pass) return "good";
  return is_allowed(status) || is_incomplete(status) ? "warn" : "bad";
}

std::string row(std::initializer_list<std::string> cells) {
  std::string text = "<tr>";
  for (const std::string& cell : cells) text += "<td>" + cell + "</td>";
  return text + "</tr>\n";
}

std::string name_row(std::string_view name, const std::string& value) {
  return fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", name, escape_markup(value));
}

std::string table(std::string_view head, const std::string& rows) {
  return fmt::format("<div class=\"scroll\"><table>{}{}</table></div>\n", head, rows);
}

std::string section(std::string_view title, const std::string& body) {
  return fmt::format("<section><h2>{}</h2>\n{}</section>\n", title, body);
}

// A JSON value of the capabilities or the environment as one line of text.
std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const json& item : value) text += (text.empty() ? "" : ", ") + plain(item);
  return text;
}

std::string list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += "<li>" + escape_markup(item) + "</li>\n";
  return text.empty() ? "" : "<ul>\n" + text + "</ul>\n";
}

// ---- the banner ----

std::string totals_line(const Counts& totals) {
  std::string text;
  for (int i = 0; i < status_count; ++i) {
    const std::size_t count = totals[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    const auto status = static_cast<Status>(i);
    text += fmt::format("{}<span class=\"{}\">{} {}</span>", text.empty() ? "" : " · ",
                        tone_of(status), count, status_name(status));
  }
  return text.empty() ? "no case ran" : text;
}

std::string banner(const ReportInput& input) {
  const Judgement& judgement = input.judgement;
  std::string_view tone = "bad";
  std::string headline = "Not conformant";
  if (judgement.conformant) {
    tone = "good";
    headline = fmt::format("Conformant: flagos {}.{}/{}", FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR,
                           level_name(input.options.level));
  } else if (judgement.reasons.empty()) {
    tone = "warn";
    headline = "Nothing failed, but NOT FOR CERTIFICATION";
  } else if (!judgement.not_for_certification.empty()) {
    headline += " (NOT FOR CERTIFICATION)";
  }
  std::string text = fmt::format("<section class=\"banner {0}\"><h1 class=\"{0}\">{1}</h1>\n", tone,
                                 escape_markup(headline));
  text += fmt::format("<p>{}</p>\n", totals_line(judgement.totals));
  text += list(judgement.reasons) + list(judgement.not_for_certification);
  return text + "</section>\n";
}

// ---- what was tested ----

std::string subject(const ReportInput& input) {
  const Options& options = input.options;
  std::string rows;
  if (!options.plugin_path.empty()) {
    const std::size_t slash = options.plugin_path.rfind('/');
    rows += name_row("plugin file", options.plugin_path.substr(slash + 1));
    rows += name_row("SHA-256", input.record.plugin_sha256);
  }
  if (input.record.capabilities.is_object()) {
    const json& plugin = input.record.capabilities.at("plugin");
    rows += name_row("plugin", fmt::format("{} {} by {}, ABI {}", plain(plugin.at("name")),
                                           plain(plugin.at("version")), plain(plugin.at("vendor")),
                                           plain(plugin.at("abi_version"))));
  }
  rows += name_row("suite", fmt::format("flagos-conformance {}", suite_version));
  rows += name_row("level", std::string(level_name(options.level)));
  rows += name_row("seed", std::to_string(options.seed));
  rows += name_row(
      "run", fmt::format("{} orders x {} repeats, {} jobs, shard {}/{}, {:.0f} s", options.orders,
                         options.repeat, options.jobs, options.shard.index + 1, options.shard.count,
                         input.record.wall_seconds));
  rows += name_row("started", input.record.started_utc);
  rows += name_row("last line of events.jsonl", input.chain_root);
  return section("What was tested", table("", rows));
}

std::string matrix_cell(const std::vector<const Outcome*>& outcomes) {
  if (outcomes.empty()) return "<td class=\"number soft\">–</td>";
  std::size_t passed = 0;
  Status worst = Status::pass;
  for (const Outcome* const outcome : outcomes) {
    passed += outcome->status == Status::pass;
    worst = worse(worst, outcome->status);
  }
  return fmt::format("<td class=\"number {}\">{} / {}</td>", tone_of(worst), passed,
                     outcomes.size());
}

std::string matrix(const Judgement& judgement) {
  std::map<std::string, std::map<Level, std::vector<const Outcome*>>> cells;
  for (const Outcome& outcome : judgement.outcomes) {
    const std::string category = category_of(outcome.the_case->id);
    cells[category][outcome.the_case->options.level].push_back(&outcome);
  }
  std::string rows;
  for (auto& [category, by_level] : cells) {
    rows += fmt::format("<tr><th>{}</th>{}{}{}</tr>\n", escape_markup(category),
                        matrix_cell(by_level[Level::core]), matrix_cell(by_level[Level::full]),
                        matrix_cell(by_level[Level::optional]));
  }
  constexpr std::string_view head =
      "<tr><th>category</th><th class=\"number\">core</th><th class=\"number\">full</th>"
      "<th class=\"number\">optional</th></tr>\n";
  return section("Passed of all cases, by category and level", table(head, rows));
}

std::string capability_table(const Record& record) {
  if (!record.capabilities.is_object()) return "";
  std::string rows;
  for (const auto& [name, support] : record.capabilities.at("features").items()) {
    const std::string value = plain(support);
    const char* const tone = value == "absent" ? "soft" : value == "native" ? "good" : "warn";
    rows += row({escape_markup(name),
                 fmt::format("<span class=\"{}\">{}</span>", tone, escape_markup(value))});
  }
  std::string device;
  for (const auto& [name, value] : record.capabilities.at("device").items()) {
    device += name_row(escape_markup(name), plain(value));
  }
  std::string formats;
  for (const json& format : record.capabilities.at("formats")) {
    formats += name_row("kernel format",
                        fmt::format("{} {} {}", plain(format.at("name")),
                                    plain(format.at("version")), plain(format.at("target"))));
  }
  return section("Features", table("<tr><th>feature</th><th>support</th></tr>\n", rows)) +
         section("Device", table("", device + formats));
}

// ---- cases ----

std::string failure(const Outcome& outcome) {
  std::string text = fmt::format(
      "<article><strong class=\"{}\">{}</strong> <code>{}</code>"
      " <span class=\"soft\">{} · {}</span>\n",
      tone_of(outcome.status), status_name(outcome.status), escape_markup(outcome.the_case->id),
      level_name(outcome.the_case->options.level), escape_markup(outcome.the_case->options.clause));
  if (!outcome.text.empty()) text += "<p>" + escape_markup(outcome.text) + "</p>\n";
  if (!outcome.reason.empty()) {
    text += "<p class=\"soft\">expected: " + escape_markup(outcome.reason) + "</p>\n";
  }
  text += "<pre>" + escape_markup(outcome.repro) + "</pre>\n";
  if (!outcome.log.empty()) {
    const std::size_t start = outcome.log.size() - std::min(outcome.log.size(), log_shown);
    text += "<details><summary>last lines of its output</summary><pre>" +
            escape_markup(std::string_view(outcome.log).substr(start)) + "</pre></details>\n";
  }
  return text + "</article>\n";
}

std::string failures(const Judgement& judgement) {
  std::string text;
  for (const Outcome& outcome : judgement.outcomes) {
    if (!is_allowed(outcome.status) || outcome.status == Status::waived) text += failure(outcome);
  }
  return section("Cases that did not pass", text.empty() ? "<p>None.</p>\n" : text);
}

std::string skipped(const Judgement& judgement) {
  std::string rows;
  for (const Outcome& outcome : judgement.outcomes) {
    if (outcome.status != Status::not_supported) continue;
    rows += row(
        {"<code>" + escape_markup(outcome.the_case->id) + "</code>", escape_markup(outcome.text)});
  }
  return rows.empty() ? "" : section("Not supported", table("", rows));
}

std::string slowest(const Judgement& judgement) {
  std::vector<const Outcome*> order;
  for (const Outcome& outcome : judgement.outcomes) order.push_back(&outcome);
  std::sort(order.begin(), order.end(),
            [](const Outcome* a, const Outcome* b) { return a->seconds > b->seconds; });
  order.resize(std::min(order.size(), slowest_shown));
  std::string rows;
  for (const Outcome* const outcome : order) {
    rows += fmt::format("<tr><td><code>{}</code></td><td class=\"number\">{:.2f} s</td></tr>\n",
                        escape_markup(outcome->the_case->id), outcome->seconds);
  }
  return section("Slowest cases", table("", rows));
}

std::string environment(const json& values) {
  std::string rows;
  for (const auto& [name, value] : values.items())
    rows += name_row(escape_markup(name), plain(value));
  return section("Environment", table("", rows));
}

}  // namespace

std::string make_report_html(const ReportInput& input) {
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>flagos conformance report</title>\n";
  text += fmt::format("<style>{}</style></head><body>\n", style);
  text += "<p class=\"soft\">flagos conformance report</p>\n";
  text += banner(input) + subject(input) + matrix(input.judgement) + failures(input.judgement);
  text += capability_table(input.record) + skipped(input.judgement) + slowest(input.judgement);
  text += environment(input.environment);
  return text + "</body></html>\n";
}

}  // namespace flagos::conformance
