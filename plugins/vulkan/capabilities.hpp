// Which SPIR-V capabilities a device has switched on.
#pragma once

#include <cstdint>
#include <span>

#include "plugins/vulkan/physical_device.hpp"

namespace flagos::vulkan {

// Throws UNSUPPORTED naming the first that the device does not have.
void check_capabilities(std::span<const std::uint32_t> capabilities, const PhysicalDevice& device);

}  // namespace flagos::vulkan
