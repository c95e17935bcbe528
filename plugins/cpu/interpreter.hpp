// Portable kernels on a machine without a C++ compiler: flagos.tile is taken as it is and run by the
// interpreter of libflagos_compiler, which is exact and slow.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/compiler_library.hpp"
#include "base/plugin_host.hpp"
#include "plugins/cpu/kernel.hpp"

namespace flagos::cpu {

constexpr const char* tile_format = "flagos.tile";

// NULL when libflagos_compiler cannot be opened.
const CompilerLibrary* find_interpreter();

class Interpreter {
 public:
  // Throws what flagos_tile_module_create gives.
  Interpreter(const Host& host, const CompilerLibrary& library, std::string_view text)
      : host_(host), module_(library, text) {}

  const std::vector<TileKernel>& kernels() const noexcept { return module_.kernels(); }
  // All programs of a launch, one after the other; why it failed, or NULL.
  Failure run(std::uint32_t kernel, const LaunchShape& shape, const void* arguments) const noexcept;

 private:
  void interpret(std::uint32_t kernel, const LaunchShape& shape, const void* arguments) const;

  const Host& host_;
  TileModule module_;
};

}  // namespace flagos::cpu
