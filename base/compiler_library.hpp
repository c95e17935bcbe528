// libflagos_compiler, opened at run time: who runs no portable kernel does not need it. RAII around its handles.
#pragma once

#include <flagos_compiler.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flagos {

// Its functions; see flagos_compiler.h.
struct CompilerLibrary {
  decltype(&flagos_tile_get_version) get_version;
  decltype(&flagos_compiler_last_error) last_error;
  decltype(&flagos_tile_module_create) module_create;
  decltype(&flagos_tile_module_destroy) module_destroy;
  decltype(&flagos_tile_module_get_text) module_get_text;
  decltype(&flagos_tile_module_get_hash) module_get_hash;
  decltype(&flagos_tile_module_get_kernel_count) module_get_kernel_count;
  decltype(&flagos_tile_module_get_kernel_info) module_get_kernel_info;
  decltype(&flagos_tile_module_get_argument_info) module_get_argument_info;
  decltype(&flagos_tile_module_interpret) module_interpret;
  decltype(&flagos_tile_get_lowering_version) get_lowering_version;
  decltype(&flagos_tile_get_dialect) get_dialect;
  decltype(&flagos_tile_module_lower) module_lower;
  decltype(&flagos_tile_source_destroy) source_destroy;
  decltype(&flagos_tile_source_get_info) source_get_info;
  decltype(&flagos_tile_source_get_launch_info) source_get_launch_info;
  decltype(&flagos_tile_source_get_assertion) source_get_assertion;

  // Throws Error with the library's own text unless the status is OK.
  void expect(flagos_status_t status) const;
};

// Looked for once: beside the library or program that `near` lies in, where its package has it, and where the dynamic
// linker looks. Stays open for good. Throws NOT_FOUND, each time with the words of the first.
const CompilerLibrary& open_compiler(const void* near);

struct TileKernel {
  std::string name;
  std::string constants;
  std::vector<flagos_parameter_t> parameters;
  std::uint32_t argument_bytes = 0;  // of the packed block
};

// A module that was read and verified.
class TileModule {
 public:
  // Throws what flagos_tile_module_create gives.
  TileModule(const CompilerLibrary& library, std::string_view text);
  ~TileModule();
  TileModule(const TileModule&) = delete;
  TileModule& operator=(const TileModule&) = delete;

  const CompilerLibrary& library() const noexcept { return library_; }
  flagos_tile_module_t* get() const noexcept { return module_; }
  std::array<std::uint8_t, 32> hash() const;
  std::string text() const;  // canonical, with locations
  const std::vector<TileKernel>& kernels() const noexcept { return kernels_; }

 private:
  TileKernel describe(std::uint32_t index) const;

  const CompilerLibrary& library_;
  flagos_tile_module_t* module_ = nullptr;
  std::vector<TileKernel> kernels_;
};

// An assertion of a kernel: the number that a word of failure has for it, and its author's message.
struct TileAssertion {
  std::uint32_t number = 0;
  std::string message;
};

// A module in the language of a target.
class TileSource {
 public:
  // Throws what flagos_tile_module_lower gives.
  TileSource(const TileModule& module, const std::string& target);
  ~TileSource();
  TileSource(const TileSource&) = delete;
  TileSource& operator=(const TileSource&) = delete;

  std::string_view text() const noexcept { return {info_.text, info_.size_bytes}; }
  const char* target() const noexcept { return info_.target; }
  const char* options() const noexcept { return info_.options; }
  flagos_tile_launch_info_t launch(std::uint32_t kernel) const;
  std::vector<TileAssertion> assertions(std::uint32_t kernel) const;

 private:
  const CompilerLibrary& library_;
  flagos_tile_source_t* source_ = nullptr;
  flagos_tile_source_info_t info_{};
};

// The dialects that it prints, in its order.
std::vector<std::string> dialects_of(const CompilerLibrary& library);

}  // namespace flagos
