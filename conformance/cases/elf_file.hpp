// What the audit of a plugin file needs from its ELF headers, read without loading it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flagos::conformance {

struct ElfFile {
  std::string error;                   // "" when it was read
  std::vector<std::string> exported;   // defined global and weak names of the dynamic symbol table
  std::vector<std::string> undefined;  // names it takes from others, weak ones left out
  std::string run_path;                // RUNPATH or RPATH
  bool text_relocations = false;
  bool executable_stack = false;  // also when nothing says that it is not
  bool relro = false;
  bool writable_code = false;  // a segment is writable and executable
  bool position_independent = false;
};

// The first folder of run_path that does not begin where the file lies, or "".
std::string folder_outside_of_origin(const ElfFile& file);

ElfFile read_elf(const std::string& path);

}  // namespace flagos::conformance
