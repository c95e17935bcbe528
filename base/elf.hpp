// Reads a 64-bit ELF shared object without running it: the loader judges a plugin by it, the cpu plugin a module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos {

struct ElfSymbol {
  std::string name;
  std::uint64_t size;
  bool function;  // else data
};

struct ElfLibrary {
  std::vector<ElfSymbol> exported;  // defined, global or weak, of default visibility, in the order of the file
  std::vector<std::string> needed;  // DT_NEEDED
  bool exports(std::string_view name) const;
};

// Checks that `bytes` are a complete shared object for this machine: header, class, machine, and every segment,
// section and dynamic entry inside the bytes, so that a truncated file never reaches the dynamic linker.
// Throws Error: INVALID_IMAGE with the reason, UNSUPPORTED for another architecture or class.
ElfLibrary read_elf_library(std::span<const std::byte> bytes);

}  // namespace flagos
