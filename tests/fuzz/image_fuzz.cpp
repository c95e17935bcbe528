// Images of modules: shared objects as the loader and the cpu plugin read them, and binaries of portable kernels, with a
// check sum that does not hold and with one that was made to.
#include <fstream>
#include <iterator>

#include "base/elf.hpp"
#include "base/error.hpp"
#include "core/digest.hpp"
#include "core/tile_binary.hpp"
#include "tests/fuzz/runtime.hpp"

namespace flagos::fuzz {
namespace {

using Image = std::vector<std::byte>;

void read_elf(const Image& image) {
  try {
    const ElfLibrary library = read_elf_library(image);
    for (const ElfSymbol& symbol : library.exported)
      demand(library.exports(symbol.name), "a name that is listed is found");
  } catch (const Error& error) {
    demand(error.status() == FLAGOS_STATUS_INVALID_IMAGE ||
               error.status() == FLAGOS_STATUS_UNSUPPORTED,
           "a broken shared object is INVALID_IMAGE or UNSUPPORTED");
  }
}

void read_binary(const Image& image) {
  try {
    const core::TileBinary binary = core::read_tile_binary(image);
    const Image written = core::write_tile_binary(binary);
    demand(core::write_tile_binary(core::read_tile_binary(written)) == written,
           "what was written is read the same");
    for (const core::TileRecord& kernel : binary.kernels)
      demand(binary.find(kernel.name) != nullptr, "a kernel is found");
  } catch (const Error& error) {
    demand(error.status() == FLAGOS_STATUS_INVALID_IMAGE ||
               error.status() == FLAGOS_STATUS_UNSUPPORTED_VERSION,
           "a broken binary is INVALID_IMAGE or of another version");
  }
}

// Size and check sum as they must be, so that what lies between them is read.
void mend(Image& image) {
  constexpr std::size_t size_at = 12, digest_bytes = sizeof(core::Digest);
  if (image.size() < size_at + 8 + digest_bytes) return;
  const std::uint64_t size = image.size();
  std::memcpy(image.data() + size_at, &size, sizeof(size));
  const core::Digest digest =
      core::sha256(std::span<const std::byte>(image).first(image.size() - digest_bytes));
  std::memcpy(image.data() + image.size() - digest_bytes, digest.data(), digest_bytes);
}

flagos_device_t* device() {
  static flagos_device_t* const opened = open_device(make_runtime("cpu", flagos_plugin_open));
  return opened;
}

// The formats that a device takes as data, without a compiler. Code of an image that is whole would run: shared objects are
// read only (read_elf).
void load(const Image& image, const char* format) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = format;
  desc.data = image.data();
  desc.size_bytes = image.size();
  flagos_module_t* module = nullptr;
  const flagos_status_t status = flagos_module_load(device(), &desc, &module);
  demand((status == FLAGOS_STATUS_OK) == (module != nullptr), "a module comes with OK only");
  if (module == nullptr) return;
  std::uint32_t count = 0;
  flagos_module_get_kernel_count(module, &count);
  for (std::uint32_t i = 0; i < std::min(count, 8u); ++i) {
    const char* name = nullptr;
    flagos_module_get_kernel_name(module, i, &name);
    demand(name != nullptr, "a kernel that is counted has a name");
    flagos_kernel_desc_t wanted{};
    wanted.struct_size = sizeof(wanted);
    wanted.name = name;
    flagos_kernel_t* kernel = nullptr;
    if (flagos_module_get_kernel(module, &wanted, &kernel) != FLAGOS_STATUS_OK) continue;
    flagos_kernel_info_t info{};
    info.struct_size = sizeof(info);
    flagos_kernel_get_info(kernel, &info);
    flagos_parameter_t parameter{};
    for (std::uint32_t p = 0; p < std::min(info.parameter_count, 64u); ++p)
      flagos_kernel_get_parameter(kernel, p, &parameter);
  }
  flagos_module_unload(module);
}

std::string small_binary() {
  core::TileBinary binary;
  binary.module = std::string(64, 'a');
  binary.plugin = "cpu";
  binary.target = "gnu-c++;isa=x86-64-v3";
  binary.format = "elf-so";
  binary.maker = "somebody";
  core::TileRecord record;
  record.name = "k";
  record.argument_bytes = 8;
  record.parameters = {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}};
  binary.kernels = {record};
  const Image bytes = core::write_tile_binary(binary);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The head, the segments and the tables of names of this very program are more than an input may hold: a shared object that
// is small enough, by hand.
std::string small_elf() {
  std::string image(64 + 56 * 2 + 96, '\0');
  const char head[] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0, 1};
  std::memcpy(image.data(), head, sizeof(head));
  const std::uint64_t segments_at = 64, dynamic_at = 64 + 112, size = image.size();
  const std::uint16_t sizes[] = {64, 56, 2, 64, 0, 0};
  std::memcpy(image.data() + 32, &segments_at, 8);
  std::memcpy(image.data() + 52, sizes, sizeof(sizes));
  const std::uint64_t load[] = {0x500000001, 0, 0, 0, size, size, 4096};
  const std::uint64_t dynamic[] = {0x600000002, dynamic_at, dynamic_at, dynamic_at, 96, 96, 8};
  const std::uint64_t entries[] = {5, dynamic_at + 80, 10, 16, 6, dynamic_at + 64, 11, 24, 0, 0};
  std::memcpy(image.data() + 64, load, sizeof(load));
  std::memcpy(image.data() + 64 + 56, dynamic, sizeof(dynamic));
  std::memcpy(image.data() + dynamic_at, entries, sizeof(entries));
  return image;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (char kind = 0; kind < 6; ++kind) {
    all.push_back(std::string(1, kind) + small_binary());
    all.push_back(std::string(1, kind) + small_elf());
  }
  all.push_back(std::string(1, 5) + "flagos.tile 1.0\nkernel k() {\n}\n");
  return all;
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_OFF);
  Bytes bytes(data, size);
  const std::uint32_t kind = bytes.below(6);
  const auto rest = bytes.take(bytes.size());
  Image image(rest.size());
  if (!rest.empty()) std::memcpy(image.data(), rest.data(), rest.size());
  if (kind == 2 || kind == 4) mend(image);
  switch (kind) {
    case 0:
      read_elf(image);
      break;
    case 1:
    case 2:
      read_binary(image);
      break;
    case 3:
    case 4:
      load(image, "flagos.tile-binary");
      break;
    default:
      load(image, "flagos.tile");
      break;
  }
  return 0;
}
