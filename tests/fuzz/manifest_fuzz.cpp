// The manifest beside a plugin: any bytes are refused with one printable sentence, or give values within their bounds.
#include "base/error.hpp"
#include "core/manifest.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace flagos::fuzz {

std::vector<std::string> seeds() {
  return {
      R"({"manifest_version": 1, "name": "cpu", "vendor": "flagos", "version": "0.1.0", "library": "libplugin.so",
          "abi": {"min": "1.0", "max": "1.0"}, "abi_version_min": "1.0", "abi_version_max": "1.0",
          "families": ["cpu"], "formats": ["elf-so"], "levels": ["core"]})",
      R"({"manifest_version": 1, "name": "x", "vendor": "", "version": "", "library": "libplugin.so", "abi_min": "1.0",
          "abi_max": "1.65535", "sha256": "0000000000000000000000000000000000000000000000000000000000000000"})",
      R"([[[[[[[[[[1]]]]]]]]]])", R"({"name": null, "name": 1e400})"};
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  const std::string library = folder() + "/libplugin.so";
  write_file(folder() + "/libplugin.json", {reinterpret_cast<const char*>(data), size});
  try {
    const auto manifest = flagos::core::read_manifest(library);
    demand(manifest.has_value(), "a manifest that is there is read");
    demand(!manifest->name.empty() && manifest->name.size() < 256, "a manifest has a name");
    demand(manifest->sha256.empty() || manifest->sha256.size() == 64, "a hash has 64 digits");
  } catch (const flagos::Error& error) {
    demand(error.status() == FLAGOS_STATUS_INVALID_ARGUMENT,
           "a broken manifest is INVALID_ARGUMENT");
    for (const char* at = error.what(); *at != '\0'; ++at) {
      demand(static_cast<unsigned char>(*at) >= 0x20, "a sentence has no control characters");
    }
  }
  return 0;
}
