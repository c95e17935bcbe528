// Reads ELF from untrusted bytes: every offset is checked before it is followed, nothing is run or
// mapped.
#include "base/elf.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace flagos {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t machine = EM_X86_64;
constexpr const char* machine_name = "x86_64";
#elif defined(__aarch64__)
constexpr std::uint16_t machine = EM_AARCH64;
constexpr const char* machine_name = "aarch64";
#elif defined(__riscv)
constexpr std::uint16_t machine = EM_RISCV;
constexpr const char* machine_name = "riscv64";
#else
#error "name this machine's ELF number here"
#endif

template <typename... Args>
[[noreturn]] void invalid(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(FLAGOS_STATUS_INVALID_IMAGE, format, std::forward<Args>(args)...);
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  ElfLibrary read();

 private:
  // Copies, since the bytes may lie at any alignment.
  template <typename T>
  T at(std::uint64_t offset, const char* what) const {
    require(offset, sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  void require(std::uint64_t offset, std::uint64_t size, const char* what) const;
  // The file offset of [address, address + size), which must lie in the file's part of one segment.
  std::uint64_t to_offset(std::uint64_t address, std::uint64_t size, const char* what) const;
  bool is_mapped(std::uint64_t address, std::uint64_t size) const;
  std::uint64_t dynamic(std::int64_t tag) const;
  bool has_dynamic(std::int64_t tag) const;
  std::string string(std::uint64_t offset, const char* what) const;

  void read_header();
  void read_segments();
  void check_sections() const;
  void read_dynamic();
  void check_dynamic_tables() const;
  void check_relocations(std::int64_t table, std::int64_t size) const;
  std::uint64_t count_symbols() const;
  std::uint64_t count_hashed_symbols() const;
  void read_symbols(ElfLibrary& library) const;

  std::span<const std::byte> bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> loads_;
  Elf64_Phdr dynamic_segment_{};
  std::vector<Elf64_Dyn> dynamic_;
  std::uint64_t strings_offset_ = 0;
  std::uint64_t strings_size_ = 0;
  std::uint64_t symbols_offset_ = 0;
  std::uint64_t symbol_count_ = 0;
};

void Reader::require(std::uint64_t offset, std::uint64_t size, const char* what) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset)
    invalid("truncated: the {} needs {} bytes at {}, the image has {}", what, size, offset, bytes_.size());
}

std::uint64_t Reader::to_offset(std::uint64_t address, std::uint64_t size, const char* what) const {
  for (const Elf64_Phdr& load : loads_) {
    if (address < load.p_vaddr) continue;
    const std::uint64_t inside = address - load.p_vaddr;
    if (inside <= load.p_filesz && size <= load.p_filesz - inside) return load.p_offset + inside;
  }
  invalid("the {} ({} bytes at address {:#x}) lies outside every loaded segment", what, size, address);
}

bool Reader::is_mapped(std::uint64_t address, std::uint64_t size) const {
  return std::any_of(loads_.begin(), loads_.end(), [&](const Elf64_Phdr& load) {
    return address >= load.p_vaddr && address - load.p_vaddr <= load.p_memsz &&
           size <= load.p_memsz - (address - load.p_vaddr);
  });
}

bool Reader::has_dynamic(std::int64_t tag) const {
  return std::any_of(dynamic_.begin(), dynamic_.end(), [&](const Elf64_Dyn& entry) { return entry.d_tag == tag; });
}

std::uint64_t Reader::dynamic(std::int64_t tag) const {
  // The dynamic linker takes the last entry of a tag.
  for (auto entry = dynamic_.rbegin(); entry != dynamic_.rend(); ++entry)
    if (entry->d_tag == tag) return entry->d_un.d_val;
  return 0;
}

std::string Reader::string(std::uint64_t offset, const char* what) const {
  if (offset >= strings_size_) invalid("the {} lies outside the string table", what);
  const auto* first = reinterpret_cast<const char*>(bytes_.data()) + strings_offset_ + offset;
  const auto* end = static_cast<const char*>(std::memchr(first, 0, strings_size_ - offset));
  if (end == nullptr) invalid("the {} has no end", what);
  return {first, end};
}

void Reader::read_header() {
  if (bytes_.empty()) invalid("the image is empty");
  constexpr std::size_t magic_size = SELFMAG;
  if (bytes_.size() < magic_size || std::memcmp(bytes_.data(), ELFMAG, magic_size) != 0)
    invalid("not an ELF file: it does not start with the ELF magic number");
  header_ = at<Elf64_Ehdr>(0, "ELF header");
  const unsigned char* ident = header_.e_ident;
  if (ident[EI_CLASS] != ELFCLASS64)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "ELF class {} (2 is 64-bit): only 64-bit libraries are taken",
                ident[EI_CLASS]);
  if (ident[EI_DATA] != ELFDATA2LSB)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "ELF byte order {} (1 is little-endian): only little-endian is taken",
                ident[EI_DATA]);
  if (ident[EI_VERSION] != EV_CURRENT || header_.e_version != EV_CURRENT)
    invalid("ELF version {}, expected 1", header_.e_version);
  if (header_.e_machine != machine)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "built for ELF machine {}, this machine is {} ({})", header_.e_machine,
                machine_name, machine);
  if (header_.e_type != ET_DYN)
    invalid("ELF type {}, a shared object has type {}: link with -shared", header_.e_type, ET_DYN);
}

void Reader::read_segments() {
  if (header_.e_phnum == 0 || header_.e_phentsize != sizeof(Elf64_Phdr))
    invalid("{} program headers of {} bytes, expected at least 1 of {}", header_.e_phnum, header_.e_phentsize,
            sizeof(Elf64_Phdr));
  bool found_dynamic = false;
  for (std::uint64_t i = 0; i < header_.e_phnum; ++i) {
    if (header_.e_phoff > bytes_.size()) invalid("truncated: the program headers start at {}", header_.e_phoff);
    const auto segment = at<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr), "program header");
    require(segment.p_offset, segment.p_filesz, "segment");
    if (segment.p_type == PT_LOAD) {
      if (segment.p_filesz > segment.p_memsz || segment.p_memsz > (std::uint64_t{1} << 46) ||
          segment.p_vaddr > (std::uint64_t{1} << 46))
        invalid("segment {} has impossible sizes", i);
      if (!loads_.empty() && segment.p_vaddr < loads_.back().p_vaddr + loads_.back().p_memsz)
        invalid("segment {} is out of order or overlaps the one before", i);
      if (segment.p_align > 1 && ((segment.p_align & (segment.p_align - 1)) != 0 ||
                                  (segment.p_vaddr - segment.p_offset) % segment.p_align != 0))
        invalid("segment {} is misaligned", i);
      loads_.push_back(segment);
    } else if (segment.p_type == PT_DYNAMIC) {
      dynamic_segment_ = segment;
      found_dynamic = true;
    }
  }
  if (loads_.empty()) invalid("no segment to load");
  if (!found_dynamic) invalid("no dynamic segment: not a shared object");
}

void Reader::check_sections() const {
  if (header_.e_shoff == 0) return;  // stripped; the dynamic linker does not need them
  if (header_.e_shnum != 0 && header_.e_shentsize != sizeof(Elf64_Shdr))
    invalid("section headers of {} bytes, expected {}", header_.e_shentsize, sizeof(Elf64_Shdr));
  require(header_.e_shoff, std::uint64_t{header_.e_shnum} * sizeof(Elf64_Shdr), "section headers");
  for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
    const auto section = at<Elf64_Shdr>(header_.e_shoff + i * sizeof(Elf64_Shdr), "section header");
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL)
      require(section.sh_offset, section.sh_size, "section");
  }
}

void Reader::read_dynamic() {
  if (!is_mapped(dynamic_segment_.p_vaddr, dynamic_segment_.p_filesz)) invalid("the dynamic segment is not loaded");
  const std::uint64_t count = dynamic_segment_.p_filesz / sizeof(Elf64_Dyn);
  bool ended = false;
  for (std::uint64_t i = 0; i < count && !ended; ++i) {
    // Read where the dynamic linker will read it: in its loaded place.
    const std::uint64_t offset =
        to_offset(dynamic_segment_.p_vaddr + i * sizeof(Elf64_Dyn), sizeof(Elf64_Dyn), "dynamic section");
    const auto entry = at<Elf64_Dyn>(offset, "dynamic entry");
    ended = entry.d_tag == DT_NULL;
    if (!ended) dynamic_.push_back(entry);
  }
  if (!ended) invalid("the dynamic section has no end");
  for (const std::int64_t tag : {std::int64_t{DT_STRTAB}, std::int64_t{DT_SYMTAB}, std::int64_t{DT_STRSZ}})
    if (!has_dynamic(tag)) invalid("the dynamic section lacks entry {}", tag);
  if (has_dynamic(DT_SYMENT) && dynamic(DT_SYMENT) != sizeof(Elf64_Sym)) invalid("symbols of an unknown size");
  strings_size_ = dynamic(DT_STRSZ);
  strings_offset_ = to_offset(dynamic(DT_STRTAB), strings_size_, "string table");
  symbol_count_ = count_symbols();
  if (symbol_count_ > bytes_.size() / sizeof(Elf64_Sym)) invalid("{} symbols do not fit the image", symbol_count_);
  symbols_offset_ = to_offset(dynamic(DT_SYMTAB), symbol_count_ * sizeof(Elf64_Sym), "symbol table");
}

std::uint64_t Reader::count_symbols() const {
  if (has_dynamic(DT_GNU_HASH)) return count_hashed_symbols();
  if (!has_dynamic(DT_HASH)) invalid("no hash table of symbols");
  const std::uint64_t table = to_offset(dynamic(DT_HASH), 2 * sizeof(std::uint32_t), "hash table");
  const auto buckets = at<std::uint32_t>(table, "hash table");
  const auto chains = at<std::uint32_t>(table + 4, "hash table");
  to_offset(dynamic(DT_HASH), (2 + std::uint64_t{buckets} + chains) * sizeof(std::uint32_t), "hash table");
  return chains;
}

// The GNU hash table has no count: it ends with the chain of the highest bucket.
std::uint64_t Reader::count_hashed_symbols() const {
  const std::uint64_t address = dynamic(DT_GNU_HASH);
  const std::uint64_t table = to_offset(address, 4 * sizeof(std::uint32_t), "hash table");
  const auto bucket_count = at<std::uint32_t>(table, "hash table");
  const auto first = at<std::uint32_t>(table + 4, "hash table");
  const auto bloom_count = at<std::uint32_t>(table + 8, "hash table");
  if (bucket_count == 0 || bloom_count == 0 || (bloom_count & (bloom_count - 1)) != 0)
    invalid("the hash table of symbols is broken");
  const std::uint64_t buckets = address + 16 + std::uint64_t{bloom_count} * 8;
  const std::uint64_t buckets_offset = to_offset(buckets, std::uint64_t{bucket_count} * 4, "hash table");
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < bucket_count; ++i) {
    const auto head = at<std::uint32_t>(buckets_offset + i * 4, "hash table");
    if (head != 0 && head < first) invalid("the hash table of symbols is broken");
    last = std::max<std::uint64_t>(last, head);
  }
  if (last == 0) return first;
  const std::uint64_t chains = buckets + std::uint64_t{bucket_count} * 4;
  for (;; ++last) {
    const std::uint64_t offset = to_offset(chains + (last - first) * 4, 4, "hash table");
    if ((at<std::uint32_t>(offset, "hash table") & 1u) != 0) return last + 1;
  }
}

void Reader::check_dynamic_tables() const {
  const struct {
    std::int64_t table, size;
    const char* name;
  } tables[] = {{DT_RELA, DT_RELASZ, "relocations"},
                {DT_JMPREL, DT_PLTRELSZ, "relocations of functions"},
                {DT_INIT_ARRAY, DT_INIT_ARRAYSZ, "constructors"},
                {DT_FINI_ARRAY, DT_FINI_ARRAYSZ, "destructors"}};
  for (const auto& table : tables)
    if (has_dynamic(table.table)) to_offset(dynamic(table.table), dynamic(table.size), table.name);
  if (has_dynamic(DT_VERSYM)) to_offset(dynamic(DT_VERSYM), symbol_count_ * 2, "symbol versions");
  for (const std::int64_t tag :
       {std::int64_t{DT_VERNEED}, std::int64_t{DT_VERDEF}, std::int64_t{DT_INIT}, std::int64_t{DT_FINI}})
    if (has_dynamic(tag) && !is_mapped(dynamic(tag), 1)) invalid("dynamic entry {} points outside the image", tag);
  check_relocations(DT_RELA, DT_RELASZ);
  check_relocations(DT_JMPREL, DT_PLTRELSZ);
}

void Reader::check_relocations(std::int64_t table, std::int64_t size) const {
  if (!has_dynamic(table)) return;
  const std::uint64_t count = dynamic(size) / sizeof(Elf64_Rela);
  const std::uint64_t offset = to_offset(dynamic(table), dynamic(size), "relocations");
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto relocation = at<Elf64_Rela>(offset + i * sizeof(Elf64_Rela), "relocation");
    // Not against symbol_count_: a hash table need not count symbols that the library only uses.
    to_offset(dynamic(DT_SYMTAB) + ELF64_R_SYM(relocation.r_info) * sizeof(Elf64_Sym), sizeof(Elf64_Sym),
              "symbol of a relocation");
    if (ELF64_R_TYPE(relocation.r_info) != 0 && !is_mapped(relocation.r_offset, 1))
      invalid("relocation {} lies outside every loaded segment", i);
  }
}

void Reader::read_symbols(ElfLibrary& library) const {
  for (std::uint64_t i = 1; i < symbol_count_; ++i) {
    const auto symbol = at<Elf64_Sym>(symbols_offset_ + i * sizeof(Elf64_Sym), "symbol");
    const unsigned binding = ELF64_ST_BIND(symbol.st_info);
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    std::string name = string(symbol.st_name, "name of a symbol");
    const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS;
    const bool global = binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE;
    // Protected symbols are exported too; they only bind differently inside their library.
    const bool visible = visibility == STV_DEFAULT || visibility == STV_PROTECTED;
    const bool function = type == STT_FUNC || type == STT_GNU_IFUNC;
    if (!defined || !global || !visible || !(function || type == STT_OBJECT || type == STT_COMMON)) continue;
    if (!is_mapped(symbol.st_value, function ? 1 : symbol.st_size))
      invalid("symbol '{}' lies outside every loaded segment", name);
    library.exported.push_back({std::move(name), symbol.st_size, function});
  }
}

ElfLibrary Reader::read() {
  read_header();
  read_segments();
  check_sections();
  read_dynamic();
  check_dynamic_tables();
  ElfLibrary library;
  for (const Elf64_Dyn& entry : dynamic_)
    if (entry.d_tag == DT_NEEDED) library.needed.push_back(string(entry.d_un.d_val, "name of a needed library"));
  read_symbols(library);
  return library;
}

}  // namespace

bool ElfLibrary::exports(std::string_view name) const {
  return std::any_of(exported.begin(), exported.end(), [&](const ElfSymbol& symbol) { return symbol.name == name; });
}

ElfLibrary read_elf_library(std::span<const std::byte> bytes) { return Reader(bytes).read(); }

}  // namespace flagos
