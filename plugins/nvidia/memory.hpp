// Memory of a device: what was allocated, registered, imported or wrapped, by address.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {

class Device;

// Whose an address is, as far as copies are concerned.
enum class Place {
  pageable,  // ordinary host memory, or of nobody
  host,      // pinned or registered
  device,
  managed
};

struct Allocation {
  enum class Owner {
    nobody,  // wrapped: the program's own
    pool,    // of the driver's pool
    driver,  // cuMemAlloc and cuMemAllocManaged
    host,    // cuMemHostAlloc
    registered,
    mapped,   // made and mapped, to be given away by descriptor
    reserved  // addresses of the group virtual_memory, whatever is mapped there
  };
  Owner owner = Owner::nobody;
  Place place = Place::device;
  flagos_address_t base =
      0;  // as the driver gave it; the address may lie behind it, for its alignment
  std::uint64_t size_bytes = 0;
  CUmemGenericAllocationHandle handle = 0;
  std::uint64_t owner_word = 0;  // of mapped memory that was made here
};

// Where pinned memory is mapped by hand: the driver gives access to the host apart from that to devices.
class PinnedMappings {
 public:
  void add(flagos_address_t address, std::uint64_t size_bytes) {
    const std::lock_guard lock(mutex_);
    sizes_[address] = size_bytes;
  }
  void remove(flagos_address_t address) noexcept {
    const std::lock_guard lock(mutex_);
    sizes_.erase(address);
  }
  // Calls use(address, size) for each that lies in the range.
  template <typename Use>
  void each(flagos_address_t address, std::uint64_t size_bytes, const Use& use) const {
    const std::lock_guard lock(mutex_);
    for (auto at = sizes_.lower_bound(address);
         at != sizes_.end() && at->first < address + size_bytes; ++at)
      use(at->first, at->second);
  }

 private:
  mutable std::mutex mutex_;
  std::map<flagos_address_t, std::uint64_t> sizes_;
};

class Memory {
 public:
  explicit Memory(Device& device);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // All in the device's context.
  flagos_address_t alloc(const flagos_memory_desc_t& desc);
  void free(flagos_address_t address) noexcept;
  flagos_address_t register_host(void* pointer, std::uint64_t size_bytes);
  void unregister_host(void* pointer);
  flagos_address_t reserve(std::uint64_t size_bytes, std::uint64_t alignment_bytes,
                           flagos_address_t wanted);
  flagos_address_t wrap(flagos_address_t address, std::uint64_t size_bytes, bool given_away);
  void export_to(flagos_address_t address, flagos_plugin_external_t& out_external);
  flagos_address_t import_from(const flagos_plugin_external_t& external);

  Place place_of(flagos_address_t address) const noexcept;
  // False when it lies in no allocation; `out_offset` is that from the driver's own address.
  bool find(flagos_address_t address, Allocation* out_allocation,
            std::uint64_t* out_offset) const noexcept;
  // Free memory as the driver counts, and what its pool keeps for the next allocation.
  std::uint64_t free_bytes() const;

  PinnedMappings pinned_mappings;

 private:
  void take(Allocation& allocation, const flagos_memory_desc_t& desc, std::uint64_t bytes);
  void give_back(const Allocation& allocation) noexcept;
  void zero(const Allocation& allocation, flagos_address_t address, std::uint64_t bytes);
  void add(flagos_address_t address, const Allocation& allocation);
  Allocation make_mapped(std::uint64_t bytes);
  void map(Allocation& allocation);
  // The last word of mapped memory says whether its owner still has it: descriptors outlive it.
  void write_owner(const Allocation& allocation, std::uint64_t word);
  std::uint64_t read_owner(const Allocation& allocation);

  Device& device_;
  const Driver& driver_;
  CUmemoryPool pool_ = nullptr;  // NULL where the driver has none
  mutable std::shared_mutex mutex_;
  std::map<flagos_address_t, Allocation> allocations_;
};

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept;
void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept;
flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t flags,
                                     flagos_address_t* out_address) noexcept;
flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept;
flagos_status_t memory_export(flagos_plugin_device_t* device, flagos_address_t address,
                              flagos_plugin_external_t* out_external) noexcept;
flagos_status_t memory_import(flagos_plugin_device_t* device,
                              const flagos_plugin_external_t* external,
                              flagos_address_t* out_address) noexcept;

}  // namespace flagos::nvidia
