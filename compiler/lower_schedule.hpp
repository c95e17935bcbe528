// One function for each schedule; lower() asks the one that the target names.
#pragma once

#include "compiler/lower.hpp"

namespace flagos::compiler {

Lowered lower_serial(const Module& module, const Target& target);
Lowered lower_simt(const Module& module, const Target& target);
Lowered lower_tile_calls(const Module& module, const Target& target);

}  // namespace flagos::compiler
