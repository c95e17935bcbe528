// Judges a parsed module: types, shapes, dominance, regions, facts. What passes can be interpreted and lowered.
#pragma once

#include "compiler/module.hpp"

namespace flagos::compiler {

// Throws Refused (INVALID_IMAGE) with up to 16 diagnostics.
void verify(const Module& module);

}  // namespace flagos::compiler
