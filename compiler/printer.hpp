// Module to text: one printer, one text for each module. Its hash names the module.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "compiler/module.hpp"

namespace flagos::compiler {

std::string print(const Module& module);
// The trailing part that says where each operation was written; "" when nothing is known.
std::string print_locations(const Module& module);
// SHA-256 of print(module).
std::array<std::uint8_t, 32> hash(const Module& module);

}  // namespace flagos::compiler
