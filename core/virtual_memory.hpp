// Reserved addresses, physical memory, and the book of what is mapped where.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/device.hpp"

namespace flagos::core {

// Whether the device has virtual memory at all: a plugin offers the group for all devices of its family.
bool offers_virtual_memory(const Tables& tables, flagos_plugin_device_t* device);

class PhysicalMemory : public Child {
 public:
  static constexpr Tag tag_of = Tag::physical_memory;

  // Takes over the plugin's object.
  PhysicalMemory(Device& device, flagos_plugin_physical_memory_t* native, const flagos_physical_memory_desc_t& desc,
                 std::uint64_t granularity);
  void release() override;

  flagos_plugin_physical_memory_t* native() const { return native_; }
  const flagos_physical_memory_desc_t& desc() const { return desc_; }
  std::uint64_t granularity() const { return granularity_; }

 private:
  flagos_plugin_physical_memory_t* native_;
  const flagos_physical_memory_desc_t desc_;
  const std::uint64_t granularity_;
};

// A range of reserved addresses: one allocation of the device's address map, which keeps it. Lookups take no lock and run
// inside a read section.
class Reservation : public std::enable_shared_from_this<Reservation> {
 public:
  struct Mapped {
    flagos_address_t address = 0;
    std::uint64_t size_bytes = 0;
    flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_UNKNOWN;
    flagos_memory_access_t access = FLAGOS_MEMORY_ACCESS_NONE;  // of the device that it was reserved on
  };

  Reservation(Device& device, flagos_address_t base, std::uint64_t size_bytes);
  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  // ---- lookups ----
  // Throws INVALID_ARGUMENT unless something is mapped all over the range, and the device has `access` to it.
  void check_range(flagos_address_t address, std::uint64_t size_bytes, flagos_memory_access_t access,
                   const char* what) const;
  std::optional<Mapped> find(flagos_address_t address) const;

  // ---- changes ----
  void map(flagos_address_t address, std::uint64_t size_bytes, PhysicalMemory& memory, std::uint64_t offset_bytes);
  // False when nothing is mapped from there on.
  bool unmap(flagos_address_t address);
  void set_access(flagos_address_t address, std::uint64_t size_bytes, Device& accessor, flagos_memory_access_t access);
  // Nothing is mapped any more from here on; throws BUSY when something is.
  void close();
  // Its work has passed: gives the addresses back, with what is still mapped when the device goes.
  void end();

 private:
  struct Mapping {
    std::uint64_t size_bytes = 0;
    Ref<PhysicalMemory> memory;
    flagos_memory_access_t access = FLAGOS_MEMORY_ACCESS_NONE;
    bool leaving = false;  // unmapped, and work may still use it
  };
  using Mappings = std::map<flagos_address_t, Mapping>;
  struct Book : epoch::Retired {
    std::vector<Mapped> mapped;  // in the order of addresses, without what is leaving
  };

  void check_free(flagos_address_t address, std::uint64_t size_bytes) const;
  std::unique_ptr<Book> book() const;
  void publish(std::unique_ptr<Book> next);
  void finish_unmap(flagos_address_t address);
  Mappings::node_type take_out(Mappings::iterator mapping);

  Device& device_;
  const flagos_address_t base_;
  const std::uint64_t size_bytes_;
  std::mutex mutex_;
  Mappings mappings_;
  bool closed_ = false;
  bool ended_ = false;
  std::atomic<Book*> book_;
};

}  // namespace flagos::core
