#include "conformance/plugin_file.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

// A struct at an offset of the file; nothing when it would end behind the file.
template <typename Struct>
std::optional<Struct> struct_at(const std::string& bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Struct)) return std::nullopt;
  Struct value;
  std::memcpy(&value, bytes.data() + offset, sizeof(Struct));
  return value;
}

std::uint64_t padded(std::uint64_t size) { return (size + 3) / 4 * 4; }

std::string build_id_in_notes(const std::string& bytes, std::uint64_t start, std::uint64_t size) {
  if (start > bytes.size() || size > bytes.size() - start) return "";
  const std::uint64_t end = start + size;
  while (start < end) {
    const auto note = struct_at<Elf64_Nhdr>(bytes, start);
    if (!note) return "";
    const std::uint64_t name = start + sizeof(Elf64_Nhdr);
    const std::uint64_t id = name + padded(note->n_namesz);
    if (id + note->n_descsz > end) return "";
    const bool is_gnu = note->n_namesz == 4 && bytes.compare(name, 4, "GNU\0", 4) == 0;
    if (is_gnu && note->n_type == NT_GNU_BUILD_ID) {
      std::string text;
      for (std::uint64_t i = 0; i < note->n_descsz; ++i) {
        text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[id + i]));
      }
      return text;
    }
    start = id + padded(note->n_descsz);
  }
  return "";
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// Paths of mapped files whose name says that they are shared objects.
std::map<std::string, std::string> mapped_libraries() {
  std::map<std::string, std::string> libraries;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    const std::string name = fs::path(path).filename().string();
    const bool is_library = name.ends_with(".so") || name.find(".so.") != std::string::npos;
    if (is_library && !name.ends_with(" (deleted)")) libraries.emplace(name, path);
  }
  return libraries;
}

}  // namespace

std::string elf_build_id(const std::string& bytes) {
  const auto header = struct_at<Elf64_Ehdr>(bytes, 0);
  const bool is_elf = header && std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
                      header->e_ident[EI_CLASS] == ELFCLASS64;
  if (!is_elf || header->e_phentsize != sizeof(Elf64_Phdr)) return "";
  for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = struct_at<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return "";
    if (segment->p_type != PT_NOTE) continue;
    const std::string id = build_id_in_notes(bytes, segment->p_offset, segment->p_filesz);
    if (!id.empty()) return id;
  }
  return "";
}

nlohmann::json describe_plugin_file(const std::string& path) {
  const std::string bytes = read_bytes(path);
  return {{"name", fs::path(path).filename().string()},
          {"size_bytes", bytes.size()},
          {"sha256", sha256_file(path)},
          {"build_id", elf_build_id(bytes)}};
}

nlohmann::json describe_loaded_libraries(const std::string& plugin_path) {
  nlohmann::json libraries = nlohmann::json::array();
  for (const auto& [name, path] : mapped_libraries()) {
    std::error_code error;
    if (fs::equivalent(path, plugin_path, error) || error) continue;
    libraries.push_back({{"name", name}, {"sha256", sha256_file(path)}});
  }
  return libraries;
}

}  // namespace flagos::conformance
