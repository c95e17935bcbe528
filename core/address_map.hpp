// Which allocation contains an address: an ordered tree of immutable nodes. Lookups take no lock and run inside a
// read section; changes copy the path to the root and retire the old nodes.
#pragma once

#include <flagos.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

namespace flagos::core {

class HostFile;
class MemoryPool;
class Reservation;

struct Allocation {
  flagos_address_t base = 0;
  std::uint64_t size_bytes = 0;  // as asked for; 0 is a range that contains nothing
  flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_UNKNOWN;
  bool pool = false;             // a segment of a pool: not to be freed by flagos_memory_free
  void* host_pointer = nullptr;  // of a registration
  HostFile* file = nullptr;      // exported or imported: what is registered is this; ends with the allocation
  bool exportable = false;       // flagos_memory_export takes it
  bool imported = false;
  std::shared_ptr<Reservation> reservation;  // these are reserved addresses; see virtual_memory.hpp
};

class AddressMap {
 public:
  AddressMap() = default;
  ~AddressMap();
  AddressMap(const AddressMap&) = delete;
  AddressMap& operator=(const AddressMap&) = delete;

  // The allocation that contains `address`, or starts there. Inside a read section.
  const Allocation* find(flagos_address_t address) const;
  // False, and nothing changes, when it overlaps one that is there.
  bool insert(const Allocation& allocation);
  // Takes out the one that starts exactly at `base`, if `wanted` accepts it.
  template <typename Wanted>
  std::optional<Allocation> erase(flagos_address_t base, Wanted wanted) {
    std::lock_guard lock(mutex_);
    const Allocation* found = find_exact(base);
    if (found == nullptr || !wanted(*found)) return std::nullopt;
    const Allocation copy = *found;
    erase_locked(base);
    return copy;
  }
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  // Any one of them, for the cleaning up of a device.
  std::optional<Allocation> first();

 private:
  struct Node;
  const Allocation* find_exact(flagos_address_t base) const;
  void erase_locked(flagos_address_t base);

  std::atomic<const Node*> root_{nullptr};
  std::atomic<std::uint64_t> count_{0};
  std::mutex mutex_;
};

}  // namespace flagos::core
