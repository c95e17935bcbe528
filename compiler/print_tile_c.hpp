// Tile calls as C++: the chip's own header says what TK_TILE, TK_KERNEL and the calls are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "compiler/simt_dialect.hpp"

namespace flagos::compiler {

std::unique_ptr<SimtDialect> make_tile_c();
std::string print_tile_kernel(const Kernel& kernel, std::uint64_t bytes, const std::string& body);

}  // namespace flagos::compiler
