// The group virtual_memory: the driver's reservations, and memory of it that is mapped there.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

#include "plugins/nvidia/device.hpp"

namespace flagos::nvidia {

// Memory of the driver without an address. In the device's context.
class PhysicalMemory {
 public:
  PhysicalMemory(Device& device, const flagos_physical_memory_desc_t& desc);
  // Of another process, or of another device's.
  PhysicalMemory(Device& device, const flagos_plugin_external_t& external);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  Device& device() const noexcept { return device_; }
  CUmemGenericAllocationHandle handle() const noexcept { return handle_; }
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  // The host's, which reaches it too.
  bool is_pinned() const noexcept { return is_pinned_; }
  void export_to(flagos_plugin_external_t& out_external) const;

 private:
  Device& device_;
  const std::uint64_t size_bytes_;
  const bool is_pinned_;
  CUmemGenericAllocationHandle handle_ = 0;
};

flagos_status_t virtual_memory_get_granularity(flagos_plugin_device_t* device,
                                               const flagos_physical_memory_desc_t* desc,
                                               std::uint64_t* out_minimum_bytes,
                                               std::uint64_t* out_recommended_bytes) noexcept;
flagos_status_t virtual_memory_reserve(flagos_plugin_device_t* device, std::uint64_t size_bytes,
                                       std::uint64_t alignment_bytes, flagos_address_t wanted,
                                       flagos_address_t* out_address) noexcept;
void virtual_memory_release(flagos_plugin_device_t* device, flagos_address_t address,
                            std::uint64_t size_bytes) noexcept;
flagos_status_t physical_memory_create(flagos_plugin_device_t* device,
                                       const flagos_physical_memory_desc_t* desc,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept;
void physical_memory_destroy(flagos_plugin_physical_memory_t* memory) noexcept;
flagos_status_t virtual_memory_map(flagos_plugin_device_t* device, flagos_address_t address,
                                   std::uint64_t size_bytes,
                                   flagos_plugin_physical_memory_t* memory,
                                   std::uint64_t offset_bytes) noexcept;
void virtual_memory_unmap(flagos_plugin_device_t* device, flagos_address_t address,
                          std::uint64_t size_bytes) noexcept;
flagos_status_t virtual_memory_set_access(flagos_plugin_device_t* device, flagos_address_t address,
                                          std::uint64_t size_bytes,
                                          flagos_plugin_device_t* accessor,
                                          flagos_memory_access_t access) noexcept;
flagos_status_t physical_memory_export(flagos_plugin_physical_memory_t* memory,
                                       flagos_plugin_external_t* out_external) noexcept;
flagos_status_t physical_memory_import(flagos_plugin_device_t* device,
                                       const flagos_plugin_external_t* external,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept;

}  // namespace flagos::nvidia
