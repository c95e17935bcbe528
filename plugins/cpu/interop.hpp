// The group interop: memory is the one native object that the host's processors have.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::cpu {

flagos_status_t memory_get_native(flagos_plugin_device_t* device, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept;
flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t size_bytes, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept;

}  // namespace flagos::cpu
