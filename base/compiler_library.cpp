#include "base/compiler_library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"

namespace flagos {
namespace {

namespace fs = std::filesystem;

constexpr const char* library_name = "libflagos_compiler.so.1";

// Beside libflagos, above the folder of a plugin, or in the lib beside a program's bin.
std::vector<std::string> places(const void* near) {
  std::vector<std::string> found;
  Dl_info info{};
  std::error_code error;
  if (dladdr(near, &info) != 0 && info.dli_fname != nullptr) {
    const fs::path folder = fs::canonical(info.dli_fname, error).parent_path();
    for (const char* way : {".", "../..", "../lib"}) {
      const fs::path place = (folder / way / library_name).lexically_normal();
      if (!error && fs::exists(place, error)) found.push_back(place.string());
    }
  }
  found.emplace_back(library_name);
  return found;
}

std::unique_ptr<DynamicLibrary> open_library(const void* near) {
  std::string words;
  for (const std::string& place : places(near)) {
    try {
      return std::make_unique<DynamicLibrary>(place);
    } catch (const Error& error) {
      words += (words.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  throw_error(FLAGOS_STATUS_NOT_FOUND, "the compiler of portable kernels, {}: {}", library_name, words);
}

template <typename Function>
void bind(const DynamicLibrary& library, Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(library.symbol(name));
}

struct Opened {
  CompilerLibrary functions{};
  std::string fault;  // why it could not be opened
};

void bind_all(const DynamicLibrary& library, CompilerLibrary& f) {
  bind(library, f.get_version, "flagos_tile_get_version");
  bind(library, f.last_error, "flagos_compiler_last_error");
  bind(library, f.module_create, "flagos_tile_module_create");
  bind(library, f.module_destroy, "flagos_tile_module_destroy");
  bind(library, f.module_get_text, "flagos_tile_module_get_text");
  bind(library, f.module_get_hash, "flagos_tile_module_get_hash");
  bind(library, f.module_get_kernel_count, "flagos_tile_module_get_kernel_count");
  bind(library, f.module_get_kernel_info, "flagos_tile_module_get_kernel_info");
  bind(library, f.module_get_argument_info, "flagos_tile_module_get_argument_info");
  bind(library, f.module_interpret, "flagos_tile_module_interpret");
  bind(library, f.get_lowering_version, "flagos_tile_get_lowering_version");
  bind(library, f.get_dialect, "flagos_tile_get_dialect");
  bind(library, f.module_lower, "flagos_tile_module_lower");
  bind(library, f.source_destroy, "flagos_tile_source_destroy");
  bind(library, f.source_get_info, "flagos_tile_source_get_info");
  bind(library, f.source_get_launch_info, "flagos_tile_source_get_launch_info");
  bind(library, f.source_get_assertion, "flagos_tile_source_get_assertion");
}

// Never closed nor destroyed: threads may be in it while the process ends.
const Opened& open_once(const void* near) {
  static const Opened* const opened = [near] {
    auto* made = new Opened;
    try {
      static auto* const library = open_library(near).release();
      bind_all(*library, made->functions);
    } catch (const Error& error) {
      made->fault = error.what();
    }
    return made;
  }();
  return *opened;
}

std::uint32_t size_of(const flagos_tile_argument_info_t& info) {
  if ((info.flags & FLAGOS_TILE_ARGUMENT_FLAG_POINTER) != 0) return 8;
  return (FLAGOS_DTYPE_BITS(info.dtype) + 7) / 8;
}

}  // namespace

void CompilerLibrary::expect(flagos_status_t status) const {
  if (status != FLAGOS_STATUS_OK) throw Error(status, last_error());
}

const CompilerLibrary& open_compiler(const void* near) {
  const Opened& opened = open_once(near);
  if (!opened.fault.empty()) throw Error(FLAGOS_STATUS_NOT_FOUND, opened.fault);
  return opened.functions;
}

TileModule::TileModule(const CompilerLibrary& library, std::string_view text) : library_(library) {
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.text = text.data();
  desc.size_bytes = text.size();
  library_.expect(library_.module_create(&desc, &module_));
  try {
    std::uint32_t count = 0;
    library_.expect(library_.module_get_kernel_count(module_, &count));
    for (std::uint32_t i = 0; i < count; ++i) kernels_.push_back(describe(i));
  } catch (...) {
    library_.module_destroy(module_);
    throw;
  }
}

TileModule::~TileModule() { library_.module_destroy(module_); }

TileKernel TileModule::describe(std::uint32_t index) const {
  flagos_tile_kernel_info_t info{};
  info.struct_size = sizeof(info);
  library_.expect(library_.module_get_kernel_info(module_, index, &info));
  TileKernel kernel{info.name, info.constants, {}, 0};
  for (std::uint32_t i = 0; i < info.argument_count; ++i) {
    flagos_tile_argument_info_t argument{};
    argument.struct_size = sizeof(argument);
    library_.expect(library_.module_get_argument_info(module_, index, i, &argument));
    const std::uint32_t size = size_of(argument);
    const bool is_pointer = (argument.flags & FLAGOS_TILE_ARGUMENT_FLAG_POINTER) != 0;
    const std::uint32_t offset = (kernel.argument_bytes + size - 1) / size * size;
    kernel.parameters.push_back(
        {is_pointer ? flagos_dtype_t{FLAGOS_DTYPE_ADDRESS} : argument.dtype, size, size, offset});
    kernel.argument_bytes = offset + size;
  }
  return kernel;
}

std::array<std::uint8_t, 32> TileModule::hash() const {
  std::array<std::uint8_t, 32> hash{};
  library_.expect(library_.module_get_hash(module_, hash.data()));
  return hash;
}

std::string TileModule::text() const {
  const char* text = nullptr;
  std::uint64_t size = 0;
  library_.expect(library_.module_get_text(module_, FLAGOS_TILE_TEXT_FLAG_LOCATIONS, &text, &size));
  return {text, size};
}

TileSource::TileSource(const TileModule& module, const std::string& target) : library_(module.library()) {
  library_.expect(library_.module_lower(module.get(), target.c_str(), &source_));
  info_.struct_size = sizeof(info_);
  library_.source_get_info(source_, &info_);
}

TileSource::~TileSource() { library_.source_destroy(source_); }

flagos_tile_launch_info_t TileSource::launch(std::uint32_t kernel) const {
  flagos_tile_launch_info_t launch{};
  launch.struct_size = sizeof(launch);
  library_.expect(library_.source_get_launch_info(source_, kernel, &launch));
  return launch;
}

std::vector<TileAssertion> TileSource::assertions(std::uint32_t kernel) const {
  std::vector<TileAssertion> all;
  for (std::uint32_t i = 0;; ++i) {
    std::uint32_t number = 0;
    const char* message = nullptr;
    const flagos_status_t status = library_.source_get_assertion(source_, kernel, i, &number, &message);
    if (status == FLAGOS_STATUS_NOT_FOUND) return all;
    library_.expect(status);
    all.push_back({number, message});
  }
}

std::vector<std::string> dialects_of(const CompilerLibrary& library) {
  std::vector<std::string> dialects;
  const char* name = nullptr;
  for (std::uint32_t i = 0; library.get_dialect(i, &name) == FLAGOS_STATUS_OK; ++i) dialects.emplace_back(name);
  return dialects;
}

}  // namespace flagos
