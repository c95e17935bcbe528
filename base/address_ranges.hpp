// Addresses for drivers that have buffer objects only: ranges of the process's address space that
// nothing else can lie in, and the way back from an address to the object and the offset in it.
// Knows no driver.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace flagos {

class AddressRanges {
 public:
  struct Found {
    void* object = nullptr;  // NULL: no range contains the address
    std::uint64_t base = 0;
    std::uint64_t size_bytes = 0;
    std::uint64_t offset = 0;  // of the address in the range
    explicit operator bool() const noexcept { return object != nullptr; }
  };

  AddressRanges();
  ~AddressRanges();
  AddressRanges(const AddressRanges&) = delete;
  AddressRanges& operator=(const AddressRanges&) = delete;

  // A new range for `object`, which is not NULL. Nobody can read or write there; between two ranges
  // lies at least one byte that belongs to none. The alignment is a power of two. Throws
  // OUT_OF_RESOURCES.
  std::uint64_t reserve(std::uint64_t size_bytes, std::uint64_t alignment_bytes, void* object);
  // Memory that was placed by somebody else, such as a mapped buffer. Throws INVALID_ARGUMENT when
  // it overlaps another one. Found a little slower than a reserved one.
  void attach(std::uint64_t base, std::uint64_t size_bytes, void* object);
  // Takes out the range that starts at `base`; gives its object, NULL when there is none.
  void* release(std::uint64_t base) noexcept;

  // From any thread, beside all of the above, without a lock for reserved ranges. The caller sees
  // to it that the object lives as long as it is used.
  Found find(std::uint64_t address) const noexcept;
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  // Slots are used again but never given back, so a late reader reads a slot, if perhaps another
  // range's: `version` is odd while it changes and differs afterwards.
  struct Slot {
    std::atomic<std::uint32_t> version{0};
    std::atomic<std::uint64_t> base{0};
    std::atomic<std::uint64_t> size_bytes{0};
    std::atomic<void*> object{nullptr};
    std::uint64_t mapped_base = 0;
    std::uint64_t mapped_bytes = 0;
    Slot* next = nullptr;  // in one of the lists below
  };
  struct Leaf;
  struct Attached {
    std::uint64_t size_bytes;
    void* object;
  };

  static void write(Slot& slot, std::uint64_t base, std::uint64_t size_bytes, void* object) noexcept;
  std::atomic<Slot*>* entry(std::uint64_t granule) const noexcept;
  void make_leaves(std::uint64_t base, std::uint64_t size_bytes);
  void point(std::uint64_t base, std::uint64_t size_bytes, Slot* slot) noexcept;
  Slot& take_slot(std::uint64_t bytes);
  void give_slot(Slot& slot) noexcept;
  static std::uint64_t map(std::uint64_t bytes);
  static void unmap(std::uint64_t base, std::uint64_t bytes) noexcept;
  Found find_attached(std::uint64_t address) const noexcept;
  void* release_attached(std::uint64_t base) noexcept;

  std::unique_ptr<std::atomic<Leaf*>[], void (*)(void*)> root_;
  std::atomic<std::uint64_t> count_{0};
  std::mutex mutex_;  // all that follows, and every change of the tables
  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::vector<std::unique_ptr<Slot>> slots_;
  Slot* free_slots_ = nullptr;
  // Slots that keep their range, by its size: taking one again splits no mapping of the system's.
  std::map<std::uint64_t, Slot*> spare_;
  std::uint64_t spare_bytes_ = 0;

  mutable std::shared_mutex attached_mutex_;
  std::map<std::uint64_t, Attached> attached_;
};

}  // namespace flagos
