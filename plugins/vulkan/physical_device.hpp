// What the loader tells of a device, before it is opened.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

// The features of a device that matter to kernels, as one chain.
struct Features {
  Features() noexcept;
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  // Hangs what `extensions` allow into the chain.
  void link(const std::vector<std::string>& extensions);

  VkPhysicalDeviceFeatures2 base{};
  VkPhysicalDeviceVulkan11Features vulkan11{};
  VkPhysicalDeviceVulkan12Features vulkan12{};
  VkPhysicalDeviceMaintenance4Features maintenance4{};
  VkPhysicalDeviceShaderClockFeaturesKHR clock{};
  VkPhysicalDeviceShaderAtomicFloatFeaturesEXT atomic_float{};
};

// How the memory types of a device are used.
struct MemoryTypes {
  static constexpr std::uint32_t none = UINT32_MAX;
  std::uint32_t device = none;
  std::uint32_t pinned = none;   // host visible, coherent, cached where there is such a type
  std::uint32_t managed = none;  // on the device and visible to the host
  // Device memory is ordinary memory of the host: copies from and to it need no staging.
  bool is_device_mapped = false;
};

class PhysicalDevice {
 public:
  PhysicalDevice(const InstanceFunctions& functions, VkPhysicalDevice handle);

  // "" when it can be used, else the reason.
  std::string unusable_reason() const;
  std::string name() const { return properties_.properties.deviceName; }
  std::string driver() const;
  // It runs on the host's processors.
  bool is_software() const noexcept {
    return properties().deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  }
  std::string bus_id() const { return bus_id_; }
  std::array<std::uint8_t, 16> uuid() const noexcept;
  void describe(flagos_device_info_t& info) const;

  const VkPhysicalDeviceLimits& limits() const noexcept { return properties_.properties.limits; }
  const VkPhysicalDeviceProperties& properties() const noexcept { return properties_.properties; }
  const Features& features() const noexcept { return *features_; }
  const MemoryTypes& memory_types() const noexcept { return memory_types_; }
  const std::vector<std::string>& extensions() const noexcept { return extensions_; }
  // Kernels can use addresses; else buffers are bound to them one by one.
  bool has_addresses() const noexcept {
    return features_->vulkan12.bufferDeviceAddress != VK_FALSE;
  }
  bool has_subgroup(VkSubgroupFeatureFlagBits feature) const noexcept {
    return (properties11_.subgroupSupportedOperations & feature) != 0 &&
           (properties11_.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  }
  VkPhysicalDevice handle() const noexcept { return handle_; }
  const std::uint8_t* device_uuid() const noexcept { return properties11_.deviceUUID; }
  std::uint32_t queue_family() const noexcept { return queue_family_; }
  std::uint32_t queue_count() const noexcept { return queue_count_; }
  std::uint32_t timestamp_bits() const noexcept { return timestamp_bits_; }
  std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }
  std::uint64_t max_allocation_bytes() const noexcept;
  // Of memory that is imported; 0 when none can be.
  std::uint64_t host_pointer_alignment() const noexcept { return host_pointer_alignment_; }

  // Its memory can be given to other processes, and taken from them, as a descriptor.
  bool shares_memory() const noexcept { return shares_memory_; }
  const std::uint8_t* driver_uuid() const noexcept { return properties11_.driverUUID; }
  // The group of linked devices that it is in, by number.
  std::uint32_t group = 0;

 private:
  bool has_extension(const char* name) const noexcept;
  void read_properties();
  void choose_queues();
  void choose_memory();
  void ask_sharing();
  std::uint32_t find_type(VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags unwanted) const;

  const InstanceFunctions& functions_;
  VkPhysicalDevice handle_;
  std::vector<std::string> extensions_;
  VkPhysicalDeviceProperties2 properties_{};
  VkPhysicalDeviceVulkan11Properties properties11_{};
  VkPhysicalDeviceVulkan12Properties properties12_{};
  VkPhysicalDeviceMemoryProperties memory_{};
  std::unique_ptr<Features> features_;
  std::string bus_id_;
  std::uint64_t max_buffer_bytes_ = UINT64_MAX;
  std::uint32_t queue_family_ = UINT32_MAX;
  std::uint32_t queue_count_ = 0;
  std::uint32_t timestamp_bits_ = 0;
  std::uint32_t compute_units_ = 1;
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t host_pointer_alignment_ = 0;
  bool shares_memory_ = false;
  MemoryTypes memory_types_;
};

constexpr std::uint32_t max_argument_bytes = 4096;
constexpr std::uint32_t allocation_alignment = 256;
constexpr std::uint32_t max_queues = 8;

}  // namespace flagos::vulkan
