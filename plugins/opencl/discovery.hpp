// What the driver has: every platform and device, described, in an order that is the same on every
// start.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <string>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/opencl/driver.hpp"

namespace flagos::opencl {

struct DeviceDescription {
  cl_platform_id platform = nullptr;
  cl_device_id id = nullptr;
  std::shared_ptr<void> sub_device;  // releases it; NULL for a whole device
  cl_device_id whole = nullptr;      // what it is a part of, or itself
  std::string platform_name;
  std::string extensions;
  cl_device_svm_capabilities svm = 0;
  bool has_usm = false;
  bool uses_host_memory = false;     // has none of its own
  std::string il_version;            // "" where the device takes no SPIR-V
  std::uint64_t base_alignment = 1;  // of sub-buffers, in bytes
  flagos_device_info_t info{};
};

// All devices, sorted by platform, bus and uuid; with FLAGOS_OPENCL_SUBDEVICES the parts of those
// that can be split, in their place. Says through the log what is missing when there is none.
std::vector<DeviceDescription> discover(const Driver& driver, const Host& host);
// Those that FLAGOS_OPENCL_DEVICES names, in its order.
std::vector<DeviceDescription> filter(std::vector<DeviceDescription> devices, const Host& host);

}  // namespace flagos::opencl
