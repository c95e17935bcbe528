// A plugin file that carries one mutant.
#pragma once

#include <string>

#include "conformance/mutants/settings.hpp"

namespace flagos::conformance::mutants {

// Copies the plugin with the bugs to `path` and writes the settings into the copy. Throws std::runtime_error.
void write_mutant_file(const std::string& interposer, const Settings& settings,
                       const std::string& path);

}  // namespace flagos::conformance::mutants
