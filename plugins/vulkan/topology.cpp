#include "plugins/vulkan/topology.hpp"

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"

namespace flagos::vulkan {

// Core adds what the bus tells; copies between devices of ours go through the host.
flagos_status_t device_get_link(flagos_plugin_instance_t* instance, std::uint32_t from_index,
                                std::uint32_t to_index, flagos_link_info_t* out_info) noexcept {
  const Instance& self = from_c(instance);
  const PhysicalDevice& from = self.physical(from_index);
  const PhysicalDevice& to = self.physical(to_index);
  if (from.is_software() && to.is_software())
    out_info->type = FLAGOS_LINK_TYPE_HOST_MEMORY;
  else if (from.group == to.group)
    out_info->type = FLAGOS_LINK_TYPE_FABRIC;  // the driver sees the two as one
  return FLAGOS_STATUS_OK;
}

}  // namespace flagos::vulkan
