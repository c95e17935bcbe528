// Memory that other processes and plugins map: the plugin's own where it exports, else a file in host memory that the
// plugin is given as registered memory.
#pragma once

#include <flagos.h>

#include <cstdint>

namespace flagos::core {

class Device;

// For flagos_memory_alloc with FLAGOS_MEMORY_FLAG_EXPORTABLE. Throws UNSUPPORTED where the device cannot.
flagos_address_t allocate_host_file(Device& device, const flagos_memory_desc_t& desc, std::uint64_t asked_bytes);

}  // namespace flagos::core
