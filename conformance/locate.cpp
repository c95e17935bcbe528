#include "conformance/locate.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "conformance/version.hpp"

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

// Of an installed tree, then of a build tree.
std::vector<fs::path> library_folders(const std::string& executable) {
  const fs::path bin = fs::path(executable).parent_path();
  return {bin / bin_to_lib, bin / "../lib"};
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<fs::path> plugin_folders(const std::string& executable) {
  std::vector<fs::path> folders;
  const char* const variable = std::getenv("FLAGOS_PLUGIN_PATH");
  std::istringstream entries(variable == nullptr ? "" : variable);
  for (std::string entry; std::getline(entries, entry, ':');) {
    if (!entry.empty()) folders.emplace_back(entry);
  }
  for (const fs::path& library : library_folders(executable)) {
    folders.push_back(library / "flagos/plugins");
    folders.push_back(library / "flagos/extra_plugins");
  }
  return folders;
}

}  // namespace

std::string own_executable() { return fs::read_symlink("/proc/self/exe").string(); }

std::string find_kernels_dir(const std::string& executable) {
  const std::vector<fs::path> libraries = library_folders(executable);
  for (const fs::path& library : libraries) {
    std::error_code error;
    const fs::path folder = library / "flagos/conformance";
    if (fs::is_directory(folder, error)) return fs::canonical(folder).string();
  }
  return (libraries.front() / "flagos/conformance").lexically_normal().string();
}

std::string find_plugin(const std::string& plugin, const std::string& executable) {
  const bool is_path = plugin.find('/') != std::string::npos || plugin.ends_with(".so");
  if (is_path) {
    if (is_file(plugin)) return fs::canonical(plugin).string();
    throw std::runtime_error(fmt::format("there is no plugin file '{}'", plugin));
  }
  std::string looked;
  for (const fs::path& folder : plugin_folders(executable)) {
    const fs::path path = folder / fmt::format("libflagos_plugin_{}.so", plugin);
    if (is_file(path)) return fs::canonical(path).string();
    looked += (looked.empty() ? "" : ", ") + folder.lexically_normal().string();
  }
  throw std::runtime_error(fmt::format("there is no plugin '{}' in {}", plugin, looked));
}

}  // namespace flagos::conformance
