// Which instructions kernels may use on this machine.
#pragma once

#include <string>
#include <string_view>

namespace flagos::cpu {

// "x86-64-v4", "-v3", "-v2", "x86-64" or "aarch64": what the compiler's -march and a target's isa are
// called. "" on a machine that we know no name for.
std::string probe_isa();

// True if code made for `isa` runs on a machine of `own`.
bool runs_on(std::string_view isa, std::string_view own);

}  // namespace flagos::cpu
