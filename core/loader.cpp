// The order in which a library is judged: file, permissions, manifest, ELF, dynamic linker, symbol.
#include "core/loader.hpp"

#include <dlfcn.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>

#include "base/dynamic_library.hpp"
#include "base/elf.hpp"
#include "base/error.hpp"
#include "core/digest.hpp"
#include "core/log.hpp"

namespace flagos::core {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(flagos_verdict_t verdict, std::string reason) { throw Refused{verdict, std::move(reason)}; }

std::string resolve_path(const std::string& path) {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  if (error) refuse(FLAGOS_VERDICT_MISSING, fmt::format("the file cannot be found: {}", error.message()));
  return resolved.string();
}

std::vector<std::byte> read_library(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    refuse(FLAGOS_VERDICT_MISSING, fmt::format("the file cannot be found: {}", std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) refuse(FLAGOS_VERDICT_NOT_A_LIBRARY, "it is not a regular file");
  if (status.st_size == 0) refuse(FLAGOS_VERDICT_NOT_A_LIBRARY, "the file is empty");
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), status.st_size))
    refuse(FLAGOS_VERDICT_NOT_A_LIBRARY, fmt::format("the file cannot be read: {}", std::strerror(errno)));
  return bytes;
}

std::optional<Manifest> judge_manifest(const std::string& path, std::span<const std::byte> bytes,
                                       const LoadContext& context) {
  std::optional<Manifest> manifest;
  try {
    manifest = read_manifest(path);
  } catch (const Error& error) {
    refuse(FLAGOS_VERDICT_MANIFEST, error.what());
  }
  if (!manifest) return manifest;
  const auto text = [](std::uint32_t version) {
    return fmt::format("{}.{}", FLAGOS_VERSION_MAJOR(version), FLAGOS_VERSION_MINOR(version));
  };
  if (manifest->abi_version_min > FLAGOS_ABI_VERSION ||
      manifest->abi_version_max < FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, 0))
    refuse(FLAGOS_VERDICT_VERSION,
           fmt::format("by its manifest it implements ABI {} to {}, this flagos offers {} to {}",
                       text(manifest->abi_version_min), text(manifest->abi_version_max),
                       text(FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, 0)), text(FLAGOS_ABI_VERSION)));
  if (!manifest->sha256.empty() && manifest->sha256 != hex(sha256(bytes)))
    refuse(FLAGOS_VERDICT_MANIFEST, "its SHA-256 is not the one in its manifest");
  if (context.has_name(manifest->name))
    refuse(FLAGOS_VERDICT_DUPLICATE, fmt::format("a plugin named '{}' is loaded already", escape(manifest->name)));
  return manifest;
}

void judge_elf(std::span<const std::byte> bytes) {
  ElfLibrary library;
  try {
    library = read_elf_library(bytes);
  } catch (const Error& error) {
    refuse(FLAGOS_VERDICT_NOT_A_LIBRARY, error.what());
  }
  if (!library.exports(FLAGOS_PLUGIN_OPEN_SYMBOL))
    refuse(FLAGOS_VERDICT_NO_ENTRY, fmt::format("it does not export {}", FLAGOS_PLUGIN_OPEN_SYMBOL));
}

// Libraries stay mapped for good: threads and destructors of a plugin may outlive its use.
void keep_mapped(std::unique_ptr<DynamicLibrary> library) {
  static auto* mutex = new std::mutex;
  static auto* libraries = new std::vector<std::unique_ptr<DynamicLibrary>>;
  std::lock_guard lock(*mutex);
  libraries->push_back(std::move(library));
}

std::optional<std::string> fault_of_entry(const fs::path& entry, bool is_folder) {
  struct stat status {};
  if (::lstat(entry.c_str(), &status) != 0) return fmt::format("{} cannot be examined", escape(entry.string()));
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return fmt::format("{} belongs to user {}, neither to root nor to this user", escape(entry.string()),
                       status.st_uid);
  // In a sticky folder of root's (/tmp) others can add entries but not replace ours.
  if (is_folder && (status.st_mode & S_ISVTX) != 0 && status.st_uid == 0) return std::nullopt;
  if ((status.st_mode & S_IWOTH) != 0)
    return fmt::format("{} can be written by others (chmod o-w)", escape(entry.string()));
  if ((status.st_mode & S_IWGRP) != 0 && status.st_gid != 0 && status.st_gid != ::getegid())
    return fmt::format("{} can be written by group {} (chmod g-w)", escape(entry.string()), status.st_gid);
  return std::nullopt;
}

void append_files(std::vector<std::string>& files, const std::string& folder) {
  constexpr std::size_t most_entries = 100'000;
  std::vector<std::string> found;
  std::error_code error;
  std::size_t entries = 0;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (++entries > most_entries) {
      log(FLAGOS_LOG_LEVEL_WARNING, "{} has more than {} entries; the rest is not looked at", folder, most_entries);
      break;
    }
    const std::string name = it->path().filename().string();
    if (name.starts_with("libflagos_plugin_") && name.ends_with(".so")) found.push_back(it->path().string());
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
}

std::vector<std::string> split_path(const char* text) {
  std::vector<std::string> parts;
  std::string_view rest(text);
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string_view part = rest.substr(0, colon);
    if (!part.empty()) parts.emplace_back(part);
    if (colon == std::string_view::npos) return parts;
    rest.remove_prefix(colon + 1);
  }
}

std::string user_folder() {
  if (const char* data = ::secure_getenv("XDG_DATA_HOME"); data != nullptr && data[0] == '/')
    return std::string(data) + "/flagos/plugins";
  if (const char* home = ::secure_getenv("HOME"); home != nullptr && home[0] == '/')
    return std::string(home) + "/.local/share/flagos/plugins";
  return {};
}

}  // namespace

std::optional<std::string> permission_fault(const std::string& resolved_path) {
  const fs::path file(resolved_path);
  if (auto fault = fault_of_entry(file, false)) return fault;
  for (fs::path folder = file.parent_path();; folder = folder.parent_path()) {
    if (auto fault = fault_of_entry(folder, true)) return fault;
    if (folder == folder.parent_path()) return std::nullopt;
  }
}

LoadedLibrary load_library(const std::string& path, const LoadContext& context) {
  LoadedLibrary library;
  library.path = resolve_path(path);
  if (context.is_loaded(library.path)) refuse(FLAGOS_VERDICT_DUPLICATE, "the same file is loaded already");
  const std::vector<std::byte> bytes = read_library(library.path);
  if (auto fault = permission_fault(library.path)) refuse(FLAGOS_VERDICT_PERMISSIONS, *fault);
  library.manifest = judge_manifest(library.path, bytes, context);
  judge_elf(bytes);
  try {
    auto loaded = std::make_unique<DynamicLibrary>(library.path);
    library.open = reinterpret_cast<flagos_plugin_open_t>(loaded->symbol(FLAGOS_PLUGIN_OPEN_SYMBOL));
    keep_mapped(std::move(loaded));
  } catch (const Error& error) {
    refuse(FLAGOS_VERDICT_LOAD_FAILED, error.what());
  }
  return library;
}

std::string folder_beside_library(const char* name) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&flagos_status_get_name), &info) == 0 || info.dli_fname == nullptr)
    return {};
  std::error_code error;
  const fs::path library = fs::canonical(info.dli_fname, error);
  return error ? std::string() : (library.parent_path() / "flagos" / name).string();
}

std::vector<std::string> find_libraries(bool environment, bool& named) {
  std::vector<std::string> files;
  const char* listed = environment ? ::secure_getenv("FLAGOS_PLUGIN_FILES") : nullptr;
  named = listed != nullptr;
  if (named) return split_path(listed);
  if (const char* folders = environment ? ::secure_getenv("FLAGOS_PLUGIN_PATH") : nullptr) {
    for (const std::string& folder : split_path(folders)) {
      if (folder.front() == '/') {
        append_files(files, folder);
      } else {
        log(FLAGOS_LOG_LEVEL_WARNING, "FLAGOS_PLUGIN_PATH: '{}' is not an absolute path and is not looked at", folder);
      }
    }
  }
  if (environment) append_files(files, user_folder());
  append_files(files, FLAGOS_SYSTEM_PLUGIN_FOLDER);
  append_files(files, folder_beside_library("plugins"));
  // Folders may be named twice, or be the same through a link: each file once, the first place counts.
  std::vector<std::string> unique;
  std::vector<std::string> seen;
  for (const std::string& file : files) {
    std::error_code error;
    std::string resolved = fs::weakly_canonical(file, error).string();
    if (std::find(seen.begin(), seen.end(), resolved) != seen.end()) continue;
    seen.push_back(std::move(resolved));
    unique.push_back(file);
  }
  return unique;
}

}  // namespace flagos::core
