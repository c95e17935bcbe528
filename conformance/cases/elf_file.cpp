#include "conformance/cases/elf_file.hpp"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace flagos::conformance {
namespace {

// A file of 64 bits in memory; every access is checked against its end.
class Reader {
 public:
  explicit Reader(std::vector<char> bytes) : bytes_(std::move(bytes)) {}

  template <class T>
  bool get(std::uint64_t offset, T& value) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return false;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return true;
  }
  std::string text(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return "";
    return std::string(bytes_.data() + offset,
                       strnlen(bytes_.data() + offset, bytes_.size() - offset));
  }

 private:
  std::vector<char> bytes_;
};

void read_segments(const Reader& reader, const Elf64_Ehdr& header, ElfFile& file) {
  file.executable_stack = true;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (!reader.get(header.e_phoff + std::uint64_t{i} * header.e_phentsize, segment)) return;
    if (segment.p_type == PT_GNU_STACK) file.executable_stack = (segment.p_flags & PF_X) != 0;
    if (segment.p_type == PT_GNU_RELRO) file.relro = true;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0)
      file.writable_code = true;
  }
}

void read_symbols(const Reader& reader, const Elf64_Shdr& symbols, const Elf64_Shdr& names,
                  ElfFile& file) {
  for (std::uint64_t at = sizeof(Elf64_Sym); at < symbols.sh_size; at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol{};
    if (!reader.get(symbols.sh_offset + at, symbol)) return;
    const auto binding = ELF64_ST_BIND(symbol.st_info);
    const std::string name = reader.text(names.sh_offset + symbol.st_name);
    if (symbol.st_shndx == SHN_UNDEF) {
      if (binding == STB_GLOBAL) file.undefined.push_back(name);
    } else if (binding != STB_LOCAL &&
               symbol.st_shndx != SHN_ABS) {  // SHN_ABS: the name of a symbol version
      file.exported.push_back(name);
    }
  }
}

void read_dynamic(const Reader& reader, const Elf64_Shdr& dynamic, const Elf64_Shdr& names,
                  ElfFile& file) {
  for (std::uint64_t at = 0; at < dynamic.sh_size; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry{};
    if (!reader.get(dynamic.sh_offset + at, entry) || entry.d_tag == DT_NULL) return;
    if (entry.d_tag == DT_TEXTREL) file.text_relocations = true;
    if (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0)
      file.text_relocations = true;
    if (entry.d_tag == DT_RUNPATH || entry.d_tag == DT_RPATH)
      file.run_path = reader.text(names.sh_offset + entry.d_un.d_val);
  }
}

}  // namespace

ElfFile read_elf(const std::string& path) {
  ElfFile file;
  std::ifstream stream(path, std::ios::binary);
  const Reader reader({std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()});
  Elf64_Ehdr header{};
  if (!reader.get(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64) {
    file.error = path + " is not an ELF file of 64 bits";
    return file;
  }
  file.position_independent = header.e_type == ET_DYN;
  read_segments(reader, header, file);
  const auto section = [&](unsigned index, Elf64_Shdr& out) {
    return reader.get(header.e_shoff + std::uint64_t{index} * header.e_shentsize, out);
  };
  bool symbols_found = false;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr one{}, names{};
    if (!section(i, one) || (one.sh_type != SHT_DYNSYM && one.sh_type != SHT_DYNAMIC) ||
        !section(one.sh_link, names))
      continue;
    if (one.sh_type == SHT_DYNSYM) {
      symbols_found = true;
      read_symbols(reader, one, names, file);
    } else {
      read_dynamic(reader, one, names, file);
    }
  }
  if (!symbols_found) file.error = path + " has no dynamic symbol table";
  return file;
}

std::string folder_outside_of_origin(const ElfFile& file) {
  std::string rest = file.run_path;
  while (!rest.empty()) {
    const std::string folder = rest.substr(0, rest.find(':'));
    if (!folder.starts_with("$ORIGIN")) return folder;
    rest = folder.size() == rest.size() ? "" : rest.substr(folder.size() + 1);
  }
  return "";
}

}  // namespace flagos::conformance
