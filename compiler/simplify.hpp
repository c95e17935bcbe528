// Makes a verified module smaller, and means the same: constants are folded, equal operations done once, what nothing
// uses is left out, what a loop does not change is moved out of it. `extern` becomes its generic body.
#pragma once

#include "compiler/module.hpp"

namespace flagos::compiler {

Module simplify(const Module& module);

}  // namespace flagos::compiler
