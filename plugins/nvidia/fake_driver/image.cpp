#include "plugins/nvidia/fake_driver/image.hpp"

#include <elf.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace flagos::nvidia::fake {
namespace {

constexpr std::uint16_t cuda_machine = 190;
constexpr std::uint32_t fatbin_magic = 0xba55ed50;
constexpr std::string_view image_mark = "// flagos-fake-image ";
constexpr int newest_ptx_major = 8;  // of CUDA 12

#if defined(__x86_64__)
constexpr std::uint16_t host_machine = EM_X86_64;
#else
constexpr std::uint16_t host_machine = EM_AARCH64;
#endif

std::uint64_t hash_of(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

// Sections' table and sections end inside; the caller knows that there is at least a header.
std::size_t elf_size(const char* image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  return header.e_shoff + std::size_t{header.e_shnum} * header.e_shentsize;
}

CUresult read_cubin(const char* image, std::vector<char>& out_object) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
    return CUDA_ERROR_INVALID_IMAGE;
  if (header.e_machine != cuda_machine) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  out_object.assign(image, image + elf_size(image));
  header.e_machine = host_machine;
  std::memcpy(out_object.data(), &header, sizeof(header));
  return CUDA_SUCCESS;
}

int digit_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

CUresult read_ptx(std::string_view text, std::vector<char>& out_object) {
  int major = 0, minor = 0;
  const std::size_t version = text.find(".version ");
  if (version == std::string_view::npos ||
      std::sscanf(text.data() + version, ".version %d.%d", &major, &minor) != 2)
    return CUDA_ERROR_INVALID_PTX;
  if (major > newest_ptx_major) return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  const std::size_t mark = text.find(image_mark);
  unsigned long long size = 0, hash = 0;
  if (mark == std::string_view::npos ||
      std::sscanf(text.data() + mark + image_mark.size(), "%llu %llx", &size, &hash) != 2 ||
      size < sizeof(Elf64_Ehdr))
    return CUDA_ERROR_INVALID_PTX;
  std::string bytes;
  for (std::size_t at = text.find("\n//:", mark); at != std::string_view::npos;
       at = text.find("\n//:", at + 1))
    for (std::size_t i = at + 4;
         i + 1 < text.size() && digit_of(text[i]) >= 0 && digit_of(text[i + 1]) >= 0; i += 2)
      bytes.push_back(static_cast<char>(digit_of(text[i]) << 4 | digit_of(text[i + 1])));
  if (bytes.size() != size || hash_of(bytes) != hash) return CUDA_ERROR_INVALID_PTX;
  return read_cubin(bytes.data(), out_object);
}

}  // namespace

std::vector<char> make_cubin(std::vector<char> object) {
  Elf64_Ehdr header;
  std::memcpy(&header, object.data(), sizeof(header));
  header.e_machine = cuda_machine;
  std::memcpy(object.data(), &header, sizeof(header));
  object.resize(elf_size(object.data()));
  return object;
}

std::string make_ptx(const std::vector<char>& cubin, const std::string& target,
                     const std::vector<std::string>& kernels) {
  const std::string_view bytes(cubin.data(), cubin.size());
  std::string text =
      "//\n// No PTX: what the host's compiler made, by flagos' fake of NVRTC\n//\n\n.version "
      "8.0\n.target " +
      target + "\n.address_size 64\n\n";
  for (const std::string& kernel : kernels) text += ".visible .entry " + kernel + "()\n";
  char line[80];
  std::snprintf(line, sizeof(line), "%s%zu %llx", image_mark.data(), bytes.size(),
                static_cast<unsigned long long>(hash_of(bytes)));
  text += line;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 64 == 0) text += "\n//:";
    text += "0123456789abcdef"[static_cast<unsigned char>(bytes[i]) >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text + "\n";
}

CUresult read_image(const void* image, std::vector<char>& out_object) {
  const auto* bytes = static_cast<const char*>(image);
  std::uint32_t magic = 0;
  std::memcpy(&magic, bytes, sizeof(magic));
  if (magic == fatbin_magic) {
    std::uint16_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes + 6, sizeof(header_bytes));
    bytes += header_bytes;
    std::memcpy(&magic, bytes, sizeof(magic));
  }
  if (std::memcmp(bytes, ELFMAG, SELFMAG) == 0) return read_cubin(bytes, out_object);
  return read_ptx(bytes, out_object);  // ends with a NUL
}

}  // namespace flagos::nvidia::fake
