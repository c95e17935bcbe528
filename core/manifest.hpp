// The JSON file beside a plugin's library: lets core refuse it before any of its code runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace flagos::core {

struct Manifest {
  std::string name;
  std::string vendor;
  std::string version;
  std::uint32_t abi_version_min = 0;
  std::uint32_t abi_version_max = 0;
  std::string sha256;  // of the library, lower case hex; "" when not given
};

// The manifest of `library` (same path, ".json" instead of ".so"); nothing when there is none.
// Throws Error (INVALID_ARGUMENT) with the reason when it is broken or about another file.
std::optional<Manifest> read_manifest(const std::string& library);

}  // namespace flagos::core
