// The group interop: objects of OpenCL's own, shown and taken in. README.md tells what the handles are.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::nvidia {

flagos_status_t device_get_native(flagos_plugin_device_t* device,
                                  flagos_native_t* out_native) noexcept;
flagos_status_t stream_get_native(flagos_plugin_stream_t* stream,
                                  flagos_native_t* out_native) noexcept;
flagos_status_t event_get_native(flagos_plugin_event_t* event,
                                 flagos_native_t* out_native) noexcept;
flagos_status_t memory_get_native(flagos_plugin_device_t* device, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept;
flagos_status_t device_wrap_native(flagos_plugin_instance_t* instance, std::uint32_t index,
                                   const flagos_native_t* native, std::uint64_t flags,
                                   flagos_plugin_device_t** out_device) noexcept;
flagos_status_t stream_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t flags,
                                   flagos_plugin_stream_t** out_stream) noexcept;
flagos_status_t event_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                  std::uint64_t flags, flagos_plugin_event_t** out_event) noexcept;
flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t size_bytes, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept;

}  // namespace flagos::nvidia
