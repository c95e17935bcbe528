// What a copy of the plugin with the bugs is told: it stands in the file itself, so that every process that a case
// starts, with whatever environment, has the same bug.
#pragma once

#include <cstddef>
#include <string>

namespace flagos::conformance::mutants {

// The place in the file. The text behind the mark is "<mutant>\n<wrapped plugin>\n<trace file>\n", and zeros.
inline constexpr std::size_t settings_size = 4096;
inline constexpr std::size_t mark_size = 32;
struct SettingsBlock {
  char mark[mark_size];
  char text[settings_size - mark_size];
};

struct Settings {
  std::string mutant;   // "" or "none": the wrapped plugin as it is
  std::string wrapped;  // its file
  std::string trace;    // a file that is told which entries are called, see Trace; "": none
};

Settings parse_settings(const char* text);
std::string settings_text(const Settings& settings);

}  // namespace flagos::conformance::mutants
