// Which instructions kernels may use on this machine.
#pragma once

#include <string>
#include <string_view>

namespace flagos::cpu {

// "x86-64-v4+amx", "x86-64-v4+bf16", "x86-64-v4", "-v3", "-v2", "x86-64" or "aarch64": what a target's isa is called. Behind + stands
// what the machine has beside the level. "" on a machine that we know no name for.
std::string probe_isa();

// What the compiler's -march is called for it; "" when the isa is not known.
std::string march_of(std::string_view isa);

}  // namespace flagos::cpu
