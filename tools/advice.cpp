#include "tools/advice.hpp"

#include <fmt/format.h>

#include <map>

#include "tools/table.hpp"

namespace flagos::tools {
namespace {

// The library that the dynamic linker misses, from its sentence; "" when it says something else.
std::string missing_library(const std::string& reason) {
  const std::size_t end = reason.find(": cannot open shared object file");
  if (end == std::string::npos) return {};
  const std::size_t start = reason.find_last_of(" '\"", end - 1);
  return reason.substr(start == std::string::npos ? 0 : start + 1,
                       end - (start == std::string::npos ? 0 : start + 1));
}

std::string advice_for_load_failure(const std::string& reason) {
  const std::string library = missing_library(reason);
  if (library.empty())
    return "install the version of the vendor's libraries that the plugin was built with";
  return fmt::format(
      "install the package that has {0} (apt-file search {0}), or name its folder in "
      "LD_LIBRARY_PATH",
      printable(library));
}

}  // namespace

std::string advice_for(const nlohmann::json& report) {
  static const std::map<std::string, const char*> by_verdict = {
      {"missing", "check the path"},
      {"permissions", "chmod as the reason says, and check that the file is the one you installed"},
      {"manifest",
       "install the library and its .json together, from one package; or correct the .json"},
      {"not_a_library", "copy or install the file again, in the build for this machine"},
      {"no_entry", "this is not a flagos plugin: take the file out of the plugin folders"},
      {"version", "install a build of the plugin, or of flagos, so that their ABI ranges meet"},
      {"bad_table", "the plugin breaks the contract: ask its vendor for a newer build"},
      {"open_failed", "see the reason; the vendor's driver may be missing or may not run"},
      {"duplicate", "take one of the two files out of the plugin folders"},
      {"crashed", "run `gdb --args flagos doctor --probe FILE` to see where, and tell its vendor"}};
  const std::string verdict = report.value("verdict", "");
  if (verdict == "load_failed") return advice_for_load_failure(report.value("reason", ""));
  if (verdict == "loaded" && report.at("devices").empty()) {
    const bool has_said = report.contains("says") && !report.at("says").empty();
    if (has_said) return "do what the plugin says, then run `flagos doctor` again";
    return "no device was found: install the vendor's driver, and check that this user may use the "
           "device files";
  }
  const auto found = by_verdict.find(verdict);
  return found == by_verdict.end() ? std::string() : found->second;
}

}  // namespace flagos::tools
