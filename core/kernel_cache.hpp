// Compiled portable kernels on disk: one file for each, found by a digest of all that went into it. Any number of
// processes may use one folder. What is damaged, or may have been written by others, is never used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"

namespace flagos::core {

class KernelCache {
 public:
  // FLAGOS_KERNEL_CACHE: a folder, or "off"; else flagos/kernels in the user's cache folder.
  // FLAGOS_KERNEL_CACHE_READ_ONLY=1, FLAGOS_KERNEL_CACHE_MIB (1024), FLAGOS_KERNEL_PACKS: folders, with colons.
  struct Settings {
    std::string folder;  // "": none
    bool writes = true;
    std::uint64_t limit_bytes = std::uint64_t{1} << 30;
    std::vector<std::string> packs;
  };
  // Without the environment, or where it is not to be trusted, nothing is kept.
  static Settings read_settings(bool environment);

  explicit KernelCache(Settings settings) : settings_(std::move(settings)) {}

  // What was stored under the key, unchanged.
  std::optional<std::vector<std::byte>> find(const Digest& key) const;
  // A file of the packs: folders that somebody made on purpose and that are never written. It is given as it is.
  std::optional<std::vector<std::byte>> find_in_packs(const std::string& name) const;
  // No disk, no room, no permission: one line in the log, and that is all.
  void store(const Digest& key, const std::vector<std::byte>& bytes) const;

  static std::string file_name(const Digest& key);
  // The whole file, as store writes it.
  static std::vector<std::byte> wrap(const Digest& key, const std::vector<std::byte>& bytes);

 private:
  void trim() const;

  Settings settings_;
};

}  // namespace flagos::core
