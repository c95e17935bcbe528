#include "tools/search.hpp"

#include <dlfcn.h>
#include <flagos.h>
#include <stdlib.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const char* text) {
  std::vector<std::string> parts;
  if (!text) return parts;
  std::string part;
  for (const char* c = text;; ++c) {
    if (*c != ':' && *c != '\0') {
      part += *c;
      continue;
    }
    if (!part.empty()) parts.push_back(std::move(part));
    part.clear();
    if (*c == '\0') return parts;
  }
}

std::string user_folder() {
  if (const char* data = secure_getenv("XDG_DATA_HOME"); data && data[0] == '/')
    return std::string(data) + "/flagos/plugins";
  if (const char* home = secure_getenv("HOME"); home && home[0] == '/')
    return std::string(home) + "/.local/share/flagos/plugins";
  return {};
}

// flagos/plugins beside the libflagos that this process uses.
std::string library_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&flagos_status_get_name), &info) == 0 || !info.dli_fname)
    return {};
  std::error_code error;
  const fs::path library = fs::canonical(info.dli_fname, error);
  return error ? std::string() : (library.parent_path() / "flagos" / "plugins").string();
}

std::vector<std::string> search_folders() {
  std::vector<std::string> folders;
  for (const std::string& folder : split(secure_getenv("FLAGOS_PLUGIN_PATH"))) {
    if (folder.front() == '/') folders.push_back(folder);
  }
  for (const std::string& folder :
       {user_folder(), std::string(FLAGOS_SYSTEM_PLUGIN_FOLDER), library_folder()}) {
    if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end())
      folders.push_back(folder);
  }
  return folders;
}

std::vector<std::string> plugins_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("libflagos_plugin_") && name.ends_with(".so"))
      files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Search search_plugins() {
  Search search;
  if (const char* files = secure_getenv("FLAGOS_PLUGIN_FILES")) {
    search.files = split(files);
    return search;
  }
  search.folders = search_folders();
  std::vector<std::string> seen;
  for (const std::string& folder : search.folders) {
    for (const std::string& file : plugins_in(folder)) {
      std::error_code error;
      const std::string resolved = fs::weakly_canonical(file, error).string();
      if (std::find(seen.begin(), seen.end(), resolved) != seen.end()) continue;
      seen.push_back(resolved);
      search.files.push_back(file);
    }
  }
  return search;
}

std::string find_plugin(const std::string& path_or_name) {
  std::error_code error;
  const bool is_path = path_or_name.find('/') != std::string::npos || path_or_name.ends_with(".so");
  if (is_path) {
    if (fs::exists(path_or_name, error)) return path_or_name;
    throw CommandError(fmt::format("there is no plugin file '{}'; check the path", path_or_name));
  }
  const Search search = search_plugins();
  for (const std::string& file : search.files) {
    if (fs::path(file).filename() == "libflagos_plugin_" + path_or_name + ".so") return file;
  }
  if (search.folders.empty()) {
    throw CommandError(
        fmt::format("there is no plugin '{}' in FLAGOS_PLUGIN_FILES; give its path", path_or_name));
  }
  throw CommandError(
      fmt::format("there is no libflagos_plugin_{}.so in {}; give its path, or name its folder in "
                  "FLAGOS_PLUGIN_PATH",
                  path_or_name, fmt::join(search.folders, ", ")));
}

}  // namespace flagos::tools
