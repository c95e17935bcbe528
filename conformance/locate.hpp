// Finds the suite's own files and the plugin that is meant.
#pragma once

#include <string>

namespace flagos::conformance {

// The path of this program.
std::string own_executable();

// The folder with the suite's kernels, beside the program or in an installed tree.
std::string find_kernels_dir(const std::string& executable);

// `plugin` is a file, or a name such as "cpu" that is looked for in FLAGOS_PLUGIN_PATH and in our
// own plugin folders. Throws std::runtime_error that says where it looked.
std::string find_plugin(const std::string& plugin, const std::string& executable);

}  // namespace flagos::conformance
