#include "conformance/mutants/settings.hpp"

#include <array>
#include <sstream>

namespace flagos::conformance::mutants {

Settings parse_settings(const char* text) {
  Settings settings;
  std::istringstream lines(text);
  std::getline(lines, settings.mutant);
  std::getline(lines, settings.wrapped);
  std::getline(lines, settings.trace);
  return settings;
}

std::string settings_text(const Settings& settings) {
  return settings.mutant + "\n" + settings.wrapped + "\n" + settings.trace + "\n";
}

}  // namespace flagos::conformance::mutants
