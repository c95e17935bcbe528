// Text to module. What it makes has known operations and attributes and resolved names; the verifier judges the rest.
#pragma once

#include <string_view>

#include "compiler/module.hpp"

namespace flagos::compiler {

// Throws Refused: INVALID_IMAGE, or UNSUPPORTED_VERSION where a newer flagos.tile may know what this one does not.
Module parse(std::string_view text);

}  // namespace flagos::compiler
