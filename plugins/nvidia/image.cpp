#include "plugins/nvidia/image.hpp"

#include <elf.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>

#include "base/error.hpp"

namespace flagos::nvidia {
namespace {

constexpr std::uint16_t cuda_machine = 190;
constexpr std::uint32_t fatbin_magic = 0xba55ed50;

template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(FLAGOS_STATUS_INVALID_IMAGE, format, std::forward<Args>(args)...);
}

template <typename Value>
Value read_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  Value value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

bool is_inside(std::uint64_t offset, std::uint64_t size, std::uint64_t whole) {
  return offset <= whole && size <= whole - offset;
}

Elf64_Ehdr check_elf(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Elf64_Ehdr))
    refuse("a cubin of {} bytes, its header alone has {}", bytes.size(), sizeof(Elf64_Ehdr));
  const auto header = read_at<Elf64_Ehdr>(bytes, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    refuse("a cubin is an ELF file; the image begins with other bytes");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    refuse("the ELF file is not one of 64 bits, little endian");
  if (header.e_machine != cuda_machine)
    refuse("the ELF file is for machine {}, code for NVIDIA devices has {}", header.e_machine,
           cuda_machine);
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 ||
      !is_inside(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr), bytes.size()))
    refuse("the cubin of {} bytes is cut off: its sections are listed at {}", bytes.size(),
           header.e_shoff);
  for (std::uint16_t i = 0; i < header.e_shnum; ++i) {
    const auto section = read_at<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL &&
        !is_inside(section.sh_offset, section.sh_size, bytes.size()))
      refuse("section {} of the cubin ends at {}, past its {} bytes", i,
             section.sh_offset + section.sh_size, bytes.size());
  }
  if (header.e_phnum != 0 &&
      !is_inside(header.e_phoff, std::uint64_t{header.e_phnum} * header.e_phentsize, bytes.size()))
    refuse("the cubin of {} bytes is cut off: its segments are listed at {}", bytes.size(),
           header.e_phoff);
  return header;
}

// Text, perhaps with a NUL behind it.
std::string_view text_of(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return text;
}

void check_text(std::string_view text, const char* what) {
  const auto is_text = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20
               ? byte != 0x7f
               : byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v';
  };
  const auto wrong = std::find_if_not(text.begin(), text.end(), is_text);
  if (wrong != text.end())
    refuse("{} is text: byte {} of the image is {:#04x}", what, wrong - text.begin(),
           static_cast<unsigned char>(*wrong));
}

void check_ptx(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  check_text(text, "PTX");
  if (ptx_version(text).empty() || text.find(".target") == std::string_view::npos)
    refuse("PTX says .version and .target; the image has no {}",
           ptx_version(text).empty() ? ".version" : ".target");
}

void check_fatbin(std::span<const std::byte> bytes) {
  constexpr std::uint64_t header_bytes = 16;
  if (bytes.size() < header_bytes)
    refuse("a fatbin of {} bytes, its header alone has {}", bytes.size(), header_bytes);
  if (read_at<std::uint32_t>(bytes, 0) != fatbin_magic)
    refuse("a fatbin begins with {:#x}; the image does not", fatbin_magic);
  const auto header = read_at<std::uint16_t>(bytes, 6);
  const auto rest = read_at<std::uint64_t>(bytes, 8);
  if (header < header_bytes || !is_inside(header, rest, bytes.size()) || rest == 0)
    refuse("the fatbin says that it has {} bytes behind a header of {}; the image has {}", rest,
           header, bytes.size());
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::vector<std::string> ptx_kernels(std::string_view text) {
  std::vector<std::string> names;
  constexpr std::string_view mark = ".entry";
  for (std::size_t at = text.find(mark); at != std::string_view::npos;
       at = text.find(mark, at + 1)) {
    std::size_t from = at + mark.size();
    while (from < text.size() && std::isspace(static_cast<unsigned char>(text[from])) != 0) ++from;
    std::size_t to = from;
    while (to < text.size() && (is_word(text[to]) || text[to] == '$')) ++to;
    if (to != from) names.emplace_back(text.substr(from, to - from));
  }
  return names;
}

// A kernel's code is the section ".text.<its name>".
std::vector<std::string> cubin_kernels(std::span<const std::byte> bytes) {
  const Elf64_Ehdr header = check_elf(bytes);
  std::vector<std::string> names;
  if (header.e_shstrndx >= header.e_shnum) return names;
  const auto texts =
      read_at<Elf64_Shdr>(bytes, header.e_shoff + header.e_shstrndx * sizeof(Elf64_Shdr));
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()) + texts.sh_offset,
                             texts.sh_size);
  constexpr std::string_view prefix = ".text.";
  for (std::uint16_t i = 0; i < header.e_shnum; ++i) {
    const auto section = read_at<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_name >= all.size()) continue;
    const std::string_view name =
        all.substr(section.sh_name, all.find('\0', section.sh_name) - section.sh_name);
    if (name.starts_with(prefix)) names.emplace_back(name.substr(prefix.size()));
  }
  return names;
}

}  // namespace

void check_image(std::string_view format, std::span<const std::byte> bytes) {
  if (bytes.empty()) refuse("an empty image of format '{}'", format);
  if (format == cubin_format) {
    check_elf(bytes);
  } else if (format == ptx_format) {
    check_ptx(bytes);
  } else {
    check_fatbin(bytes);
  }
}

std::string read_source(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (text.empty()) refuse("an empty image of format '{}'", source_format);
  check_text(text, "CUDA C++");
  return std::string(text);
}

std::string ptx_version(std::string_view text) {
  constexpr std::string_view mark = ".version";
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return {};
  const std::size_t from = text.find_first_not_of(" \t", at + mark.size());
  if (from == std::string_view::npos) return {};
  const std::size_t to = std::min(text.find_first_not_of("0123456789.", from), text.size());
  return std::string(text.substr(from, to - from));
}

std::vector<std::string> kernel_names(std::string_view format, std::span<const std::byte> bytes) {
  if (format == ptx_format) return ptx_kernels(text_of(bytes));
  if (format == cubin_format) return cubin_kernels(bytes);
  return {};
}

}  // namespace flagos::nvidia
