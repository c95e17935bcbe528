// The kill matrix as one page.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "conformance/html.hpp"
#include "conformance/mutants/matrix.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;

constexpr const char* style = R"(
td.killed { background: var(--good-back); } td.survived { background: var(--bad-back); }
td.excused { background: var(--warn-back); } details { margin: .4rem 0; }
)";

std::string code(const std::string& text) { return "<code>" + escape_markup(text) + "</code>"; }

std::string score_text(const Score& score) {
  return fmt::format(
      "{} of {} ({:.1f} %), {} survivors are equivalent: {:.1f} % of those that differ",
      score.killed, score.total, 100 * score.share(), score.equivalent,
      100 * score.share_of_different());
}

std::string banner(const Matrix& matrix) {
  const bool good = matrix.unreached.empty() && matrix.missing == 0;
  std::string text = fmt::format("<section class=\"banner {}\"><h2>{}</h2>", good ? "good" : "bad",
                                 good ? "All goals are reached" : "Goals are not reached");
  std::vector<std::string> lines = matrix.unreached;
  if (matrix.missing != 0)
    lines.push_back(fmt::format("{} mutants have not been hunted", matrix.missing));
  for (std::string& line : lines) line = escape_markup(line);
  return text + (lines.empty() ? "" : html_list(lines)) + "</section>\n";
}

std::string totals(const Matrix& matrix, const json& run) {
  std::string rows = html_name_row("generic mutants", score_text(matrix.generic));
  rows += html_name_row("seeded mutants", score_text(matrix.seeded));
  rows += html_name_row(
      "absent", fmt::format("{} mutants are of entries that the wrapped plugin does not have",
                            matrix.absent));
  rows += html_name_row(
      "idle", fmt::format("{} mutants show only when an entry refuses that refuses in no case",
                          matrix.idle));
  for (const auto& [name, value] : run.items()) rows += html_name_row(name, plain_text(value));
  return html_table_section("Totals", "", rows);
}

std::string outcome_cell(const Hunted& each, const Reasons& reasons) {
  if (each.fate == Fate::killed || each.fate == Fate::alarm)
    return fmt::format("{} by {}", escape_markup(each.status), code(each.killer));
  const Reason* const reason =
      each.fate == Fate::survived ? find_reason(reasons, each.id) : nullptr;
  if (reason == nullptr) return std::string(fate_name(each.fate));
  return fmt::format("survived, {}: {}", reason->equivalent ? "equivalent" : "a gap",
                     escape_markup(reason->text));
}

std::string of_class(const Matrix& matrix, const Reasons& reasons, Class kind, const char* title) {
  std::string rows;
  for (const Hunted& each : matrix.hunted) {
    const Mutant& mutant = *find_mutant(each.id);
    if (mutant.kind != kind) continue;
    rows += html_row({code(each.id), escape_markup(mutant.bug), outcome_cell(each, reasons),
                      fmt::format("{:.1f}", each.seconds)});
  }
  if (rows.empty()) return "";
  return html_table_section(
      title, "<tr><th>mutant</th><th>bug</th><th>found</th><th>seconds</th></tr>", rows);
}

std::string survivors(const Matrix& matrix, const Reasons& reasons) {
  std::string rows;
  for (const Hunted& each : matrix.hunted) {
    const Mutant& mutant = *find_mutant(each.id);
    if (mutant.kind != Class::generic || each.fate != Fate::survived) continue;
    rows += html_row({code(each.id), escape_markup(mutant.bug), outcome_cell(each, reasons)});
  }
  if (rows.empty()) return "";
  return html_table_section("Survivors", "<tr><th>mutant</th><th>bug</th><th>why</th></tr>", rows);
}

// A line for each entry, and behind it the mutants of the entry.
std::string entries(const Matrix& matrix, const Reasons& reasons) {
  std::map<std::string, std::vector<const Hunted*>> by_entry;
  for (const Hunted& each : matrix.hunted) {
    const Mutant& mutant = *find_mutant(each.id);
    if (mutant.kind == Class::generic && each.fate != Fate::absent && each.fate != Fate::idle)
      by_entry[mutant.entry].push_back(&each);
  }
  std::string body;
  for (const auto& [entry, all] : by_entry) {
    const auto killed = std::count_if(
        all.begin(), all.end(), [](const Hunted* each) { return each->fate == Fate::killed; });
    std::string rows;
    for (const Hunted* const each : all) {
      const bool excused = find_reason(reasons, each->id) != nullptr;
      const char* const look = each->fate == Fate::killed ? "killed"
                               : excused                  ? "excused"
                                                          : "survived";
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"{}\">{}</td></tr>\n",
                          code(each->id), escape_markup(find_mutant(each->id)->bug), look,
                          outcome_cell(*each, reasons));
    }
    body += fmt::format(
        "<details><summary>{}: {} of {}</summary>{}</details>\n", code(entry), killed, all.size(),
        html_table(entry, "<tr><th>mutant</th><th>bug</th><th>found</th></tr>", rows));
  }
  return body.empty() ? "" : html_section("Generic mutants by entry", body);
}

std::string killers(const Matrix& matrix) {
  std::map<std::string, std::size_t> kills;
  for (const Hunted& each : matrix.hunted)
    if (each.fate == Fate::killed) ++kills[each.killer];
  std::vector<std::pair<std::string, std::size_t>> sorted(kills.begin(), kills.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string rows;
  for (const auto& [id, count] : sorted) rows += html_row({code(id), std::to_string(count)});
  if (rows.empty()) return "";
  return html_section("Cases that found a mutant first",
                      "<details><summary>" + std::to_string(sorted.size()) + " cases</summary>" +
                          html_table("Cases", "<tr><th>case</th><th>mutants</th></tr>", rows) +
                          "</details>");
}

}  // namespace

std::string matrix_html(const Matrix& matrix, const Reasons& reasons, const json& run) {
  std::string body = "<h1>Kill matrix of the conformance suite</h1>\n";
  body +=
      "<p class=\"soft\">Each mutant is the reference plugin with one bug. A mutant is killed when "
      "a case of the suite "
      "does not pass on it; the first such case is named.</p>\n";
  body += banner(matrix) + totals(matrix, run);
  body += of_class(matrix, reasons, Class::baseline, "Baselines");
  body += of_class(matrix, reasons, Class::seeded, "Seeded mutants");
  body += survivors(matrix, reasons) + entries(matrix, reasons) + killers(matrix);
  return html_page("Kill matrix", body, style);
}

}  // namespace flagos::conformance::mutants
