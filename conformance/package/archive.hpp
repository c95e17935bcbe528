// Files of a package in one .tar.zst, and out of it again.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace flagos::conformance {

using Files = std::map<std::string, std::string>;  // name relative to the package -> bytes

// What a package may hold at most: whoever opens one does not trust it yet.
struct ArchiveLimits {
  std::uint64_t total_bytes = 256ull << 20;
  std::uint64_t file_bytes = 64ull << 20;
  std::size_t files = 10000;
};

// Every file lies in the folder `top`. Equal files give equal archives. Complete or absent.
// Throws std::runtime_error that names the file.
void write_archive(const std::string& path, const std::string& top, const Files& files);

// Plain files below one folder, nothing else; that folder's name is left out.
// Throws std::runtime_error with a sentence that says what is wrong.
Files read_archive(const std::string& path, const ArchiveLimits& limits = {});

// The same of a folder on disk. Files that `is_wanted` refuses are left out.
Files read_folder(const std::string& path, bool (*is_wanted)(const std::string& name),
                  const ArchiveLimits& limits = {});

// Refuses names that lead out of the folder, and those that are no plain relative names.
void demand_plain_name(const std::string& name);

}  // namespace flagos::conformance
