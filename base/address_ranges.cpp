#include "base/address_ranges.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <new>
#include <utility>

#include "base/error.hpp"

namespace flagos {
namespace {

// A range starts at a multiple of a granule and shares none with another one.
constexpr unsigned granule_bits = 16;
constexpr unsigned leaf_bits = 14;     // 1 GiB of addresses per leaf
constexpr unsigned address_bits = 48;  // what user space has, on all machines we know
constexpr std::uint64_t granule_bytes = std::uint64_t{1} << granule_bits;
constexpr std::uint64_t leaf_entries = std::uint64_t{1} << leaf_bits;
constexpr std::uint64_t root_entries = std::uint64_t{1} << (address_bits - granule_bits - leaf_bits);
constexpr std::uint64_t spare_limit_bytes = std::uint64_t{64} << 30;  // of addresses, not of memory

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

struct AddressRanges::Leaf {
  std::atomic<Slot*> entries[leaf_entries] = {};
};

// Of calloc, so that the system gives memory only for what is used of it.
AddressRanges::AddressRanges()
    : root_(static_cast<std::atomic<Leaf*>*>(std::calloc(root_entries, sizeof(std::atomic<Leaf*>))), std::free) {
  if (root_ == nullptr) throw std::bad_alloc();
}

AddressRanges::~AddressRanges() {
  for (const auto& slot : slots_) unmap(slot->mapped_base, slot->mapped_bytes);
}

std::atomic<AddressRanges::Slot*>* AddressRanges::entry(std::uint64_t granule) const noexcept {
  const std::uint64_t index = granule >> leaf_bits;
  if (index >= root_entries) return nullptr;
  Leaf* leaf = root_[index].load(std::memory_order_acquire);
  return leaf != nullptr ? &leaf->entries[granule & (leaf_entries - 1)] : nullptr;
}

AddressRanges::Found AddressRanges::find(std::uint64_t address) const noexcept {
  const std::atomic<Slot*>* place = entry(address >> granule_bits);
  const Slot* slot = place != nullptr ? place->load(std::memory_order_acquire) : nullptr;
  if (slot != nullptr) {
    const std::uint32_t version = slot->version.load(std::memory_order_acquire);
    // Ordered one by one and not by a fence, which the thread sanitizer cannot see; it costs nothing on x86.
    const std::uint64_t base = slot->base.load(std::memory_order_acquire);
    const std::uint64_t size_bytes = slot->size_bytes.load(std::memory_order_acquire);
    void* object = slot->object.load(std::memory_order_acquire);
    // A slot that changed under us was released while we looked: the address is in no live range.
    const bool is_whole = version % 2 == 0 && slot->version.load(std::memory_order_relaxed) == version;
    if (is_whole && address - base < size_bytes) return {object, base, size_bytes, address - base};
    return {};
  }
  return find_attached(address);
}

AddressRanges::Found AddressRanges::find_attached(std::uint64_t address) const noexcept {
  const std::shared_lock lock(attached_mutex_);
  auto after = attached_.upper_bound(address);
  if (after == attached_.begin()) return {};
  const auto& [base, range] = *std::prev(after);
  if (address - base >= range.size_bytes) return {};
  return {range.object, base, range.size_bytes, address - base};
}

void AddressRanges::write(Slot& slot, std::uint64_t base, std::uint64_t size_bytes, void* object) noexcept {
  const std::uint32_t version = slot.version.load(std::memory_order_relaxed);
  slot.version.store(version + 1, std::memory_order_relaxed);
  slot.base.store(base, std::memory_order_release);
  slot.size_bytes.store(size_bytes, std::memory_order_release);
  slot.object.store(object, std::memory_order_release);
  slot.version.store(version + 2, std::memory_order_release);
}

void AddressRanges::make_leaves(std::uint64_t base, std::uint64_t size_bytes) {
  const std::uint64_t last = (base + size_bytes - 1) >> (granule_bits + leaf_bits);
  for (std::uint64_t i = base >> (granule_bits + leaf_bits); i <= last; ++i) {
    if (root_[i].load(std::memory_order_relaxed) != nullptr) continue;
    leaves_.push_back(std::make_unique<Leaf>());
    root_[i].store(leaves_.back().get(), std::memory_order_release);
  }
}

void AddressRanges::point(std::uint64_t base, std::uint64_t size_bytes, Slot* slot) noexcept {
  const std::uint64_t last = (base + size_bytes - 1) >> granule_bits;
  for (std::uint64_t granule = base >> granule_bits; granule <= last; ++granule)
    entry(granule)->store(slot, std::memory_order_release);
}

// A slot with a range of exactly so many bytes.
AddressRanges::Slot& AddressRanges::take_slot(std::uint64_t bytes) {
  Slot*& spare = spare_[bytes];  // made here, so that give_slot need not
  if (spare != nullptr) {
    spare_bytes_ -= bytes;
    return *std::exchange(spare, spare->next);
  }
  if (free_slots_ == nullptr) {
    slots_.push_back(std::make_unique<Slot>());
    free_slots_ = slots_.back().get();
  }
  Slot& slot = *free_slots_;
  slot.mapped_base = map(bytes);
  slot.mapped_bytes = bytes;
  free_slots_ = std::exchange(slot.next, nullptr);
  return slot;
}

void AddressRanges::give_slot(Slot& slot) noexcept {
  if (spare_bytes_ + slot.mapped_bytes <= spare_limit_bytes) {
    spare_bytes_ += slot.mapped_bytes;
    slot.next = std::exchange(spare_[slot.mapped_bytes], &slot);
    return;
  }
  unmap(slot.mapped_base, slot.mapped_bytes);
  slot.mapped_bytes = 0;
  slot.next = std::exchange(free_slots_, &slot);
}

std::uint64_t AddressRanges::map(std::uint64_t bytes) {
  const std::uint64_t padded = bytes + granule_bytes;
  void* mapped = mmap(nullptr, padded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no range of {} bytes is left in the address space", bytes);
  const auto start = reinterpret_cast<std::uint64_t>(mapped);
  const std::uint64_t base = round_up(start, granule_bytes);
  unmap(start, base - start);
  unmap(base + bytes, start + padded - base - bytes);
  return base;
}

void AddressRanges::unmap(std::uint64_t base, std::uint64_t bytes) noexcept {
  if (bytes != 0) munmap(reinterpret_cast<void*>(base), bytes);
}

std::uint64_t AddressRanges::reserve(std::uint64_t size_bytes, std::uint64_t alignment_bytes, void* object) {
  const std::uint64_t padding = alignment_bytes > granule_bytes ? alignment_bytes : 0;
  if (size_bytes >> (address_bits - 1) != 0 || padding >> (address_bits - 1) != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no range of {} bytes aligned to {} is in the address space",
                size_bytes, alignment_bytes);
  const std::lock_guard lock(mutex_);
  Slot& slot = take_slot(round_up(size_bytes + 1, granule_bytes) + padding);
  const std::uint64_t base = round_up(slot.mapped_base, std::max(alignment_bytes, granule_bytes));
  try {
    make_leaves(base, size_bytes + 1);
  } catch (...) {
    give_slot(slot);
    throw;
  }
  write(slot, base, size_bytes, object);
  point(base, size_bytes + 1, &slot);
  count_.fetch_add(1, std::memory_order_relaxed);
  return base;
}

void AddressRanges::attach(std::uint64_t base, std::uint64_t size_bytes, void* object) {
  const std::unique_lock lock(attached_mutex_);
  const auto after = attached_.lower_bound(base);
  const bool hits_next = after != attached_.end() && after->first - base < size_bytes;
  const bool hits_previous =
      after != attached_.begin() && base - std::prev(after)->first < std::prev(after)->second.size_bytes;
  if (hits_next || hits_previous)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "memory of {} bytes at {:#x} overlaps other memory", size_bytes, base);
  attached_.emplace(base, Attached{size_bytes, object});
  count_.fetch_add(1, std::memory_order_relaxed);
}

void* AddressRanges::release_attached(std::uint64_t base) noexcept {
  const std::unique_lock lock(attached_mutex_);
  const auto found = attached_.find(base);
  if (found == attached_.end()) return nullptr;
  void* object = found->second.object;
  attached_.erase(found);
  count_.fetch_sub(1, std::memory_order_relaxed);
  return object;
}

void* AddressRanges::release(std::uint64_t base) noexcept {
  const std::lock_guard lock(mutex_);
  std::atomic<Slot*>* place = entry(base >> granule_bits);
  Slot* slot = place != nullptr ? place->load(std::memory_order_relaxed) : nullptr;
  if (slot == nullptr) return release_attached(base);
  if (slot->base.load(std::memory_order_relaxed) != base) return nullptr;
  void* object = slot->object.load(std::memory_order_relaxed);
  point(base, slot->size_bytes.load(std::memory_order_relaxed) + 1, nullptr);
  write(*slot, 0, 0, nullptr);
  give_slot(*slot);
  count_.fetch_sub(1, std::memory_order_relaxed);
  return object;
}

}  // namespace flagos
