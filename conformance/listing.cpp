#include "conformance/listing.hpp"

#include <fmt/format.h>

#include <map>
#include <string_view>

#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

std::string tags(const CaseOptions& options) {
  std::string text;
  if (options.query) text += " query";
  if (options.smoke) text += " smoke";
  return text.empty() ? "" : text.substr(1);
}

// A clause may hold a bar, which would end a cell of the table.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

std::string markdown_row(const Case& the_case) {
  const CaseOptions& options = the_case.options;
  return fmt::format("| `{}` | {} | {} | {} | {} | {} | {} |\n", the_case.id,
                     level_name(options.level), oracle_name(options.oracle),
                     isolation_name(options.isolation), options.feature, tags(options),
                     cell(options.clause));
}

}  // namespace

std::string list_cases(const std::vector<const Case*>& cases) {
  std::string text;
  for (const Case* const the_case : cases) {
    const CaseOptions& options = the_case->options;
    text += fmt::format("{:<44} {:<8} {:<6} {:<11} {:<16} {}\n", the_case->id,
                        level_name(options.level), oracle_name(options.oracle),
                        isolation_name(options.isolation),
                        *options.feature == '\0' ? "-" : options.feature, options.clause);
  }
  return text;
}

std::string list_cases_as_markdown(const std::vector<const Case*>& cases) {
  std::map<std::string, std::vector<const Case*>> categories;
  std::map<Level, std::size_t> levels;
  for (const Case* const the_case : cases) {
    categories[category_of(the_case->id)].push_back(the_case);
    ++levels[the_case->options.level];
  }
  std::string text = "# Cases of the conformance suite\n\n";
  text += "Made by `conformance/update_docs.sh`; do not edit.\n";
  text += "What the columns mean stands in [conformance/README.md](../conformance/README.md).\n\n";
  text += fmt::format("{} cases: {} core, {} full, {} optional.\n", cases.size(),
                      levels[Level::core], levels[Level::full], levels[Level::optional]);
  for (const auto& [category, members] : categories) {
    text += fmt::format("\n## {} ({})\n\n", category, members.size());
    text += "| case | level | oracle | isolation | feature | tags | clause |\n";
    text += "|---|---|---|---|---|---|---|\n";
    for (const Case* const the_case : members) text += markdown_row(*the_case);
  }
  return text;
}

}  // namespace flagos::conformance
