// What the checks of memory.cpp share with graphs.
#pragma once

#include <flagos.h>

#include <cstdint>

namespace flagos::core {

class Device;

// Throw what flagos_memory_copy_2d and flagos_memory_fill document.
void check_copy_2d(Device& device, const flagos_copy_2d_desc_t& desc);
void check_fill(Device& device, flagos_address_t target, std::uint32_t pattern_size, std::uint64_t size_bytes);

}  // namespace flagos::core
