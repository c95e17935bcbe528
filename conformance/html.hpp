// Parts of our pages: one file each, no scripts, nothing from elsewhere.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::conformance {

// Text for HTML and XML: markup characters are escaped, control characters and broken UTF-8
// replaced.
std::string escape_markup(std::string_view text);

// A whole page around `body`, which is markup; `extra_style` comes behind the common style.
std::string html_page(std::string_view title, const std::string& body,
                      std::string_view extra_style = "");

// What follows takes and gives markup, but for names and values that are said to be text.
std::string html_section(std::string_view title, const std::string& body);
// A table, wide ones scroll by themselves, with the keys too; `name_text` says what it is about to those who cannot see it.
std::string html_table(std::string_view name_text, std::string_view head, const std::string& rows);
// A section that is one table, named by its title.
std::string html_table_section(std::string_view title, std::string_view head,
                               const std::string& rows);
std::string html_row(std::initializer_list<std::string> cells);
std::string html_name_row(std::string_view name_text, const std::string& value_text);
std::string html_list(const std::vector<std::string>& texts);

// A JSON value as one line of text.
std::string plain_text(const nlohmann::json& value);

}  // namespace flagos::conformance
