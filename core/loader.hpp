// Judges one library and loads it: from a path to the plugin's entry symbol, without running anything it refuses.
#pragma once

#include <flagos_plugin.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/manifest.hpp"

namespace flagos::core {

// Why a library was refused.
struct Refused {
  flagos_verdict_t verdict;
  std::string reason;  // a sentence without the file's name
};

struct LoadedLibrary {
  std::string path;  // absolute, links resolved
  std::optional<Manifest> manifest;
  flagos_plugin_open_t open;
};

// What the checks need to know about the plugins that are loaded already.
struct LoadContext {
  std::function<bool(const std::string& path)> is_loaded;  // by resolved path
  std::function<bool(const std::string& name)> has_name;
};

// Throws Refused.
LoadedLibrary load_library(const std::string& path, const LoadContext& context);

// Why a file, or a folder above it, can be changed by others; nothing when it cannot.
std::optional<std::string> permission_fault(const std::string& resolved_path);

// flagos/<name> beside libflagos itself; "" when that is not known.
std::string folder_beside_library(const char* name);

// The libraries that a search finds, in order: FLAGOS_PLUGIN_FILES, or the folders. `named` tells which of the two.
std::vector<std::string> find_libraries(bool environment, bool& named);

}  // namespace flagos::core
