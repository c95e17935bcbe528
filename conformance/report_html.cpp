// report.html: the report for people, in one file, without scripts or anything from elsewhere.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/features.hpp"
#include "conformance/html.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"
#include "conformance/statistics.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr std::size_t slowest_shown = 15;
constexpr std::size_t log_shown = 4000;

std::string_view tone_of(Status status) {
  if (status == Status::pass) return "good";
  return is_allowed(status) || is_incomplete(status) ? "warn" : "bad";
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
    headline = claimed_name(input.options);
  } else if (judgement.reasons.empty()) {
    tone = "warn";
    headline = "Nothing failed, but NOT FOR CERTIFICATION";
  } else if (!judgement.not_for_certification.empty()) {
    headline += " (NOT FOR CERTIFICATION)";
  }
  std::string text = fmt::format("<section class=\"banner {0}\"><h1 class=\"{0}\">{1}</h1>\n", tone,
                                 escape_markup(headline));
  text += fmt::format("<p>{}</p>\n", totals_line(judgement.totals));
  text += html_list(judgement.reasons) + html_list(judgement.not_for_certification);
  return text + "</section>\n";
}

// ---- what was tested ----

std::string subject(const ReportInput& input) {
  const Options& options = input.options;
  const json& suite = input.header.at("suite");
  std::string rows;
  if (input.record.capabilities.is_object()) {
    const json& plugin = input.record.capabilities.at("plugin");
    rows += html_name_row(
        "plugin", fmt::format("{} {} by {}, ABI {}", plain_text(plugin.at("name")),
                              plain_text(plugin.at("version")), plain_text(plugin.at("vendor")),
                              plain_text(plugin.at("abi_version"))));
    const json& device = input.record.capabilities.at("device");
    rows += html_name_row("device", plain_text(device.at("name")));
  }
  for (const json& file : input.header.at("plugin_files")) {
    rows += html_name_row("file", plain_text(file.at("name")));
    rows += html_name_row("SHA-256", plain_text(file.at("sha256")));
  }
  rows += html_name_row(
      "suite",
      fmt::format("flagos-conformance {} (commit {}{})", plain_text(suite.at("version")),
                  plain_text(suite.at("commit")), suite.at("dirty") == true ? ", changed" : ""));
  rows += html_name_row("level", std::string(level_name(options.level)));
  rows += html_name_row("seed", std::to_string(options.seed));
  rows += html_name_row(
      "run", fmt::format("{} orders x {} repeats, {} jobs, shard {}/{}, {:.0f} s", options.orders,
                         options.repeat, options.jobs, options.shard.index + 1, options.shard.count,
                         input.record.wall_seconds));
  if (const auto shards = input.header.find("shards"); shards != input.header.end()) {
    for (std::size_t i = 0; i < shards->size(); ++i) {
      rows += html_name_row(fmt::format("merged: last line of shard {}/{}", i + 1, shards->size()),
                            plain_text((*shards)[i].at("events_root")));
    }
  }
  rows += html_name_row("started", input.record.started_utc);
  rows += html_name_row("last line of events.jsonl", input.chain_root);
  return html_table_section("What was tested", "", rows);
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
  return html_table_section("Passed of all cases, by category and level", head, rows);
}

std::string capability_table(const Record& record) {
  if (!record.capabilities.is_object()) return "";
  std::string rows;
  for (const auto& [name, support] : record.capabilities.at("features").items()) {
    const std::string value = plain_text(support);
    const char* const tone = value == "absent" ? "soft" : value == "native" ? "good" : "warn";
    rows += html_row({escape_markup(name),
                      fmt::format("<span class=\"{}\">{}</span>", tone, escape_markup(value))});
  }
  std::string device;
  for (const auto& [name, value] : record.capabilities.at("device").items()) {
    device += html_name_row(name, plain_text(value));
  }
  std::string formats;
  for (const json& format : record.capabilities.at("formats")) {
    formats += html_name_row("kernel format", fmt::format("{} {} {}", plain_text(format.at("name")),
                                                          plain_text(format.at("version")),
                                                          plain_text(format.at("target"))));
  }
  return html_table_section("Features", "<tr><th>feature</th><th>support</th></tr>\n", rows) +
         html_table_section("Device", "", device + formats);
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
  text += "<pre tabindex=\"0\">" + escape_markup(outcome.repro) + "</pre>\n";
  if (!outcome.log.empty()) {
    const std::size_t start = outcome.log.size() - std::min(outcome.log.size(), log_shown);
    text += "<details><summary>last lines of its output</summary><pre tabindex=\"0\">" +
            escape_markup(std::string_view(outcome.log).substr(start)) + "</pre></details>\n";
  }
  return text + "</article>\n";
}

std::string failures(const Judgement& judgement) {
  std::string text;
  for (const Outcome& outcome : judgement.outcomes) {
    if (!is_allowed(outcome.status) || outcome.status == Status::waived) text += failure(outcome);
  }
  return html_section("Cases that did not pass", text.empty() ? "<p>None.</p>\n" : text);
}

std::string skipped(const Judgement& judgement) {
  std::string rows;
  for (const Outcome& outcome : judgement.outcomes) {
    if (outcome.status != Status::not_supported) continue;
    rows += html_row(
        {"<code>" + escape_markup(outcome.the_case->id) + "</code>", escape_markup(outcome.text)});
  }
  return rows.empty()
             ? ""
             : html_table_section("Not supported", "<tr><th>case</th><th>why</th></tr>\n", rows);
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
  return html_table_section("Slowest cases",
                            "<tr><th>case</th><th class=\"number\">time</th></tr>\n", rows);
}

std::string performance(const Judgement& judgement) {
  std::string rows;
  for (const Outcome& outcome : judgement.outcomes) {
    for (const Measurement& measurement : outcome.measurements) {
      const Summary summary = summarize(measurement.samples);
      rows += fmt::format(
          "<tr><td><code>{}</code></td><td>{}</td><td class=\"number\">{:.4g}</td>"
          "<td class=\"number\">{:.4g} to {:.4g}</td><td "
          "class=\"number\">{}</td><td>{}</td></tr>\n",
          escape_markup(outcome.the_case->id), escape_markup(measurement.name), summary.median,
          summary.least, summary.most, measurement.samples.size(), escape_markup(measurement.unit));
    }
  }
  if (rows.empty()) return "";
  constexpr std::string_view head =
      "<tr><th>case</th><th>figure</th><th class=\"number\">median</th><th class=\"number\">range"
      "</th><th class=\"number\">samples</th><th>unit</th></tr>\n";
  return html_table_section("Performance, reported and not judged", head, rows);
}

std::string waivers(const ReportInput& input) {
  std::string rows;
  for (const json& entry : input.header.at("waivers").at("waivers")) {
    rows += html_row({"<code>" + escape_markup(plain_text(entry.at("id"))) + "</code>",
                      escape_markup(plain_text(entry.at("class"))),
                      escape_markup(plain_text(entry.at("reason"))),
                      escape_markup(plain_text(entry.at("issue"))),
                      escape_markup(plain_text(entry.at("owner"))),
                      escape_markup(plain_text(entry.at("expires")))});
  }
  for (const json& entry : input.header.at("expectations").at("cases")) {
    rows += html_row({"<code>" + escape_markup(plain_text(entry.at("id"))) + "</code>",
                      escape_markup(plain_text(entry.at("expect"))),
                      escape_markup(plain_text(entry.at("reason"))), "", "", ""});
  }
  if (rows.empty()) return html_section("Waivers", "<p>None.</p>\n");
  constexpr std::string_view head =
      "<tr><th>case</th><th>class</th><th>reason</th><th>issue</th><th>owner</th><th>expires</th></"
      "tr>\n";
  return html_table_section("Waivers", head, rows);
}

std::string environment(const json& values, const Record& record) {
  std::string rows;
  for (const auto& [name, value] : values.items()) rows += html_name_row(name, plain_text(value));
  std::string libraries;
  for (const json& library : record.libraries) {
    libraries += html_row({escape_markup(plain_text(library.at("name"))),
                           "<code>" + escape_markup(plain_text(library.at("sha256"))) + "</code>"});
  }
  std::string text = html_table_section("Environment", "", rows);
  if (libraries.empty()) return text;
  return text +
         html_section(
             "Libraries in the process of the plugin",
             "<details><summary>their SHA-256</summary>" +
                 html_table("Libraries", "<tr><th>library</th><th>SHA-256</th></tr>\n", libraries) +
                 "</details>\n");
}

}  // namespace

std::string make_report_html(const ReportInput& input) {
  std::string body = "<p class=\"soft\">flagos conformance report</p>\n";
  body += banner(input) + subject(input) + matrix(input.judgement) + failures(input.judgement);
  body += waivers(input) + capability_table(input.record) + performance(input.judgement);
  body += skipped(input.judgement) + slowest(input.judgement);
  body += environment(input.header.at("environment"), input.record);
  return html_page("flagos conformance report", body);
}

}  // namespace flagos::conformance
