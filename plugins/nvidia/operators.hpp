// The group operators: products by cuBLASLt.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::nvidia {

flagos_status_t operator_get_info(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_operator_info_t* out_info) noexcept;
flagos_status_t operator_query(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                               flagos_operator_support_t* out_support) noexcept;
flagos_status_t operator_run(flagos_plugin_stream_t* stream,
                             const flagos_operator_desc_t* desc) noexcept;

}  // namespace flagos::nvidia
