#include "conformance/html.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "conformance/json_text.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

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
  vertical-align: top; overflow-wrap: break-word; }
th { font-weight: 600; white-space: nowrap; } td.number, th.number { text-align: right; white-space: nowrap; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; white-space: pre-wrap; }
pre { overflow-wrap: anywhere; margin: .4rem 0; padding: .6rem; background: var(--page); border-radius: .3rem; max-height: 24rem;
  overflow: auto; }
article { border-top: 1px solid var(--line); padding: .7rem 0; }
article:first-of-type { border-top: 0; }
.scroll:focus-visible, a:focus-visible, summary:focus-visible, pre:focus-visible {
  outline: 3px solid var(--warn); }
)";

}  // namespace

std::string html_page(std::string_view title, const std::string& body,
                      std::string_view extra_style) {
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n";
  text += fmt::format("<title>{}</title>\n<style>{}{}</style></head><body>\n", escape_markup(title),
                      style, extra_style);
  return text + body + "</body></html>\n";
}

std::string html_row(std::initializer_list<std::string> cells) {
  std::string text = "<tr>";
  for (const std::string& cell : cells) text += "<td>" + cell + "</td>";
  return text + "</tr>\n";
}

std::string html_name_row(std::string_view name, const std::string& value) {
  return fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape_markup(name),
                     escape_markup(value));
}

std::string html_table(std::string_view name, std::string_view head, const std::string& rows) {
  return fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">"
      "<table>{}{}</table></div>\n",
      escape_markup(name), head, rows);
}

std::string html_section(std::string_view title, const std::string& body) {
  return fmt::format("<section><h2>{}</h2>\n{}</section>\n", title, body);
}

std::string html_table_section(std::string_view title, std::string_view head,
                               const std::string& rows) {
  return html_section(title, html_table(title, head, rows));
}

std::string plain_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return canonical_json(value);
  std::string text;
  for (const json& item : value) text += (text.empty() ? "" : ", ") + plain_text(item);
  return text;
}

std::string html_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += "<li>" + escape_markup(item) + "</li>\n";
  return text.empty() ? "" : "<ul>\n" + text + "</ul>\n";
}

}  // namespace flagos::conformance
