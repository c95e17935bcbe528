// What lies between two devices.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::nvidia {

flagos_status_t device_get_link(flagos_plugin_instance_t* instance, std::uint32_t from_index,
                                std::uint32_t to_index, flagos_link_info_t* out_info) noexcept;

}  // namespace flagos::nvidia
