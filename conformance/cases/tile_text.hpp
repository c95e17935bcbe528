// A portable kernel as text, and what it must compute.
#pragma once

#include <cstdint>
#include <string>

#include "conformance/case.hpp"

namespace flagos::conformance::tile {

inline constexpr const char* format = "flagos.tile";

// Whether the device lists the format.
bool is_taken(Context& t);
// The kernel "scale": y = x * factor.
std::string scale_by(std::uint32_t factor);
flagos_module_desc_t desc_of(const std::string& text, const char* name = format);  // borrows both
void check_scale(Context& t, flagos_module_t* module, std::uint32_t factor);
// Loads it, checks it, unloads it; false where this installation compiles no portable kernels.
bool loads(Context& t, std::uint32_t factor);

}  // namespace flagos::conformance::tile
