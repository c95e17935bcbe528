// The group virtual_memory: reserved pages, and files in memory that are mapped over them.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

#include "base/plugin_host.hpp"
#include "plugins/cpu/memory.hpp"

namespace flagos::cpu {

// A file in memory without a name: it can be mapped many times, and given to other processes.
class PhysicalMemory {
 public:
  PhysicalMemory(MemoryAccount& account, const Host& host,
                 const flagos_physical_memory_desc_t& desc);
  // Of another process, whose account it is on.
  PhysicalMemory(const Host& host, const flagos_plugin_external_t& external);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  const Host& host() const noexcept { return host_; }
  int fd() const noexcept { return fd_; }
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  MemoryAccount* account_ = nullptr;
  const Host& host_;
  std::uint64_t size_bytes_;
  int fd_ = -1;
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

}  // namespace flagos::cpu
