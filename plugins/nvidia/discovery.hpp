// What the driver has: every device that may be used, described.
#pragma once

#include <flagos_plugin.h>

#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {

struct DeviceDescription {
  CUdevice id = 0;
  int capability = 0;  // 80 is compute capability 8.0
  bool has_managed = false;
  bool has_prefetch = false;  // of managed memory
  bool has_virtual_memory = false;
  bool has_pinned_virtual_memory = false;
  bool has_exports = false;      // memory that is given away by descriptor
  bool has_wide_values = false;  // stream operations on values of 64 bits
  int host_node = 0;             // of the host's memory, the one nearest to the device
  flagos_device_info_t info{};
};

// All devices in the driver's order, or those that FLAGOS_NVIDIA_DEVICES names, in its order. What is left out is a line in
// the log.
std::vector<DeviceDescription> discover(const Driver& driver, const Host& host);

}  // namespace flagos::nvidia
