#include "plugins/opencl/topology.hpp"

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"

namespace flagos::opencl {

// Core adds what the bus tells (`bus_id`); copies between devices of ours go through the host.
flagos_status_t device_get_link(flagos_plugin_instance_t* instance, std::uint32_t from_index,
                                std::uint32_t to_index, flagos_link_info_t* out_info) noexcept {
  const auto& devices = from_c(instance).devices();
  const DeviceDescription& from = devices[from_index];
  const DeviceDescription& to = devices[to_index];
  if (from.whole == to.whole) {
    out_info->type = FLAGOS_LINK_TYPE_SAME;  // parts of one device
  } else if (from.uses_host_memory && to.uses_host_memory) {
    out_info->type = FLAGOS_LINK_TYPE_HOST_MEMORY;
  }
  return FLAGOS_STATUS_OK;
}

}  // namespace flagos::opencl
