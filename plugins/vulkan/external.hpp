// Memory of other processes, by descriptors of the driver (VK_KHR_external_memory_fd).
#pragma once

#include <flagos_plugin.h>

namespace flagos::vulkan {

flagos_status_t memory_export(flagos_plugin_device_t* device, flagos_address_t address,
                              flagos_plugin_external_t* out_external) noexcept;
flagos_status_t memory_import(flagos_plugin_device_t* device,
                              const flagos_plugin_external_t* external,
                              flagos_address_t* out_address) noexcept;

}  // namespace flagos::vulkan
