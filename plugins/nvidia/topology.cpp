#include "plugins/nvidia/topology.hpp"

#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {

// The driver copies between all of its devices, through the host where there is no other way. Atomic operations go over
// NVLink and not over the bus, so they tell the one from the other; core adds what the bus tells.
flagos_status_t device_get_link(flagos_plugin_instance_t* instance, std::uint32_t from_index,
                                std::uint32_t to_index, flagos_link_info_t* out_info) noexcept {
  const Instance& self = from_c(instance);
  const Driver& driver = self.driver();
  const CUdevice from = self.devices()[from_index].id, to = self.devices()[to_index].id;
  const auto ask = [&](CUdevice_P2PAttribute what) {
    int value = 0;
    return driver.cuDeviceGetP2PAttribute(&value, what, from, to) == CUDA_SUCCESS && value != 0;
  };
  const bool has_access = ask(CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED);
  if (has_access) out_info->flags |= FLAGOS_LINK_FLAG_NATIVE_COPY | FLAGOS_LINK_FLAG_DIRECT_ACCESS;
  if (has_access && ask(CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED)) {
    out_info->flags |= FLAGOS_LINK_FLAG_ATOMICS;
    out_info->type = FLAGOS_LINK_TYPE_FABRIC;
  }
  return FLAGOS_STATUS_OK;
}

}  // namespace flagos::nvidia
