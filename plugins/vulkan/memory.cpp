#include "plugins/vulkan/memory.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint64_t chunk_bytes = 16u << 20;
constexpr std::uint64_t largest_carved = 1u << 20;
// Behind shared memory, so that an importer knows whether its owner still has it.
constexpr std::uint64_t nonce_room = 256;
constexpr std::size_t address_attempts = 8;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

const Block* Heap::find(std::uint64_t address) const noexcept {
  const auto above = std::upper_bound(
      blocks_.begin(), blocks_.end(), address,
      [](std::uint64_t wanted, const auto& block) { return wanted < block->address(); });
  if (above == blocks_.begin()) return nullptr;
  const Block& block = **std::prev(above);
  return block.contains(address) ? &block : nullptr;
}

Block& Heap::insert(std::unique_ptr<Block> block) {
  const auto above = std::upper_bound(
      blocks_.begin(), blocks_.end(), block->address(),
      [](std::uint64_t wanted, const auto& other) { return wanted < other->address(); });
  has_translated_ = has_translated_ || block->address() != block->device_address();
  return **blocks_.insert(above, std::move(block));
}

// A buffer whose device address is taken by host memory is held until another one was found.
std::unique_ptr<Block> Heap::make_block(std::uint64_t size_bytes, std::uint64_t alignment,
                                        flagos_memory_kind_t kind, bool is_shared) {
  std::vector<std::unique_ptr<Block>> overlapping;
  bool is_padded = false;
  while (overlapping.size() < address_attempts) {
    Sharing sharing;
    sharing.is_shared = is_shared;
    auto block = std::make_unique<Block>(device_, size_bytes, kind, sharing);
    if (block->overlaps_host()) {
      overlapping.push_back(std::move(block));
    } else if (block->address() % alignment == 0 || is_padded) {
      return block;
    } else {
      size_bytes += alignment;  // the driver aligns less than was asked for
      is_padded = true;
    }
  }
  throw_error(FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
              "{} bytes: {} times the driver gave an address of host memory", size_bytes,
              overlapping.size());
}

Heap::Allocation Heap::allocation_of(Block& block, std::uint64_t offset, std::uint64_t size_bytes,
                                     std::uint64_t counted_bytes) {
  Block::Ranges one{{offset, size_bytes}};
  return {&block, offset, size_bytes, counted_bytes, one.extract(one.begin())};
}

std::uint64_t Heap::carve(Block& block, std::uint64_t size_bytes, std::uint64_t alignment,
                          std::uint64_t counted_bytes) {
  for (auto range = block.free_ranges.begin(); range != block.free_ranges.end(); ++range) {
    const auto [start, room] = *range;
    const std::uint64_t first = round_up(block.address() + start, alignment) - block.address();
    if (first + size_bytes > start + room) continue;
    // What needs memory comes first.
    Block::Ranges left;
    if (first > start) left.emplace(start, first - start);
    if (first + size_bytes < start + room)
      left.emplace(first + size_bytes, start + room - first - size_bytes);
    allocations_.emplace(block.address() + first,
                         allocation_of(block, first, size_bytes, counted_bytes));
    block.free_ranges.erase(range);
    block.free_ranges.merge(left);
    return block.address() + first;
  }
  return 0;
}

std::uint64_t Heap::place(const flagos_memory_desc_t& desc, std::uint64_t size_bytes,
                          std::uint64_t counted_bytes) {
  const std::uint64_t alignment =
      std::max<std::uint64_t>(desc.alignment_bytes, allocation_alignment);
  const bool is_shared = (desc.flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) != 0;
  const bool small = size_bytes <= largest_carved && !is_shared;
  std::unique_lock lock(device_.instance().mutex);
  if (small) {
    for (const auto& block : blocks_) {
      if (!block->is_chunk || block->kind() != desc.kind) continue;
      const std::uint64_t address = carve(*block, size_bytes, alignment, counted_bytes);
      if (address != 0) return address;
    }
  }
  lock.unlock();
  std::unique_ptr<Block> made =
      make_block(small ? chunk_bytes : size_bytes + (is_shared ? nonce_room : 0), alignment,
                 desc.kind, is_shared);
  lock.lock();
  made->free_ranges.emplace(0, made->size_bytes());
  made->is_chunk = small;
  return carve(insert(std::move(made)), size_bytes, alignment, counted_bytes);
}

std::uint64_t Heap::alloc(const flagos_memory_desc_t& desc) {
  const PhysicalDevice& physical = device_.physical();
  if (desc.kind == FLAGOS_MEMORY_KIND_MANAGED &&
      physical.memory_types().managed == MemoryTypes::none)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{} has no memory that is the host's and its own",
                physical.name());
  const bool pinned = desc.kind == FLAGOS_MEMORY_KIND_PINNED;
  const flagos_status_t none =
      pinned ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  if (desc.size_bytes > physical.max_allocation_bytes())
    throw_error(none, "{} bytes of {} memory; the largest allocation of {} is {}", desc.size_bytes,
                kind_name(desc.kind), physical.name(), physical.max_allocation_bytes());
  const std::uint64_t size_bytes = round_up(desc.size_bytes, allocation_alignment);
  const std::uint64_t counted_bytes = pinned ? 0 : size_bytes;
  const std::uint64_t before = used_bytes_.fetch_add(counted_bytes);
  try {
    if (before + counted_bytes > physical.memory_bytes())
      throw_error(none, "{} bytes of {} memory; {} of {} bytes are in use", desc.size_bytes,
                  kind_name(desc.kind), before, physical.memory_bytes());
    const std::uint64_t address = place(desc, size_bytes, counted_bytes);
    if ((desc.flags & FLAGOS_MEMORY_FLAG_ZERO) != 0) {
      try {
        zero(address, desc.size_bytes);
      } catch (...) {
        free(address);
        used_bytes_.fetch_add(counted_bytes);  // taken back below
        throw;
      }
    }
    return address;
  } catch (...) {
    used_bytes_.fetch_sub(counted_bytes);
    throw;
  }
}

void Heap::zero(std::uint64_t address, std::uint64_t size_bytes) {
  std::unique_lock lock(device_.instance().mutex);
  const Block& block = *find(address);
  if (block.host() != nullptr) {
    lock.unlock();
    std::memset(block.host() + (address - block.address()), 0, size_bytes);
    return;
  }
  lock.unlock();
  const std::uint32_t nothing = 0;
  device_.run_internally([&](Stream& stream) {
    stream.fill(address, &nothing, 1, size_bytes);
    stream.synchronize(UINT64_MAX);
  });
}

// The block, when nothing is left in it and it need not be kept; the caller destroys it without the
// lock.
std::unique_ptr<Block> Heap::give_back(Allocation allocation) noexcept {
  Block& block = *allocation.block;
  auto& ranges = block.free_ranges;
  auto range = ranges.insert(std::move(allocation.hole)).position;
  const auto next = std::next(range);
  if (next != ranges.end() && range->first + range->second == next->first) {
    range->second += next->second;
    ranges.erase(next);
  }
  if (range != ranges.begin()) {
    const auto previous = std::prev(range);
    if (previous->first + previous->second == range->first) {
      previous->second += range->second;
      ranges.erase(range);
    }
  }
  const auto is_empty = [](const Block& candidate) {
    return candidate.free_ranges.size() == 1 &&
           candidate.free_ranges.begin()->second == candidate.size_bytes();
  };
  if (!is_empty(block)) return nullptr;
  const bool another_is_kept =
      std::any_of(blocks_.begin(), blocks_.end(), [&](const std::unique_ptr<Block>& other) {
        return other.get() != &block && other->is_chunk && other->kind() == block.kind() &&
               is_empty(*other);
      });
  if (block.is_chunk && !another_is_kept) return nullptr;
  return take_out(block);
}

std::unique_ptr<Block> Heap::take_out(const Block& block) noexcept {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const auto& other) { return other.get() == &block; });
  std::unique_ptr<Block> owner = std::move(*found);
  blocks_.erase(found);
  return owner;
}

std::uint64_t Heap::register_host(std::byte* pointer, std::uint64_t size_bytes) {
  if (device_.vk().vkGetMemoryHostPointerPropertiesEXT == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{} has no VK_EXT_external_memory_host",
                device_.physical().name());
  auto block = std::make_unique<Block>(device_, pointer, size_bytes);
  const std::lock_guard lock(device_.instance().mutex);
  const Block*& place = registrations_[pointer];
  place = &insert(std::move(block));
  return place->address();
}

std::uint64_t Heap::wrap(const Block::Native& native, std::uint64_t size_bytes) {
  auto borrowed = native;
  borrowed.own = false;  // until it is known to be new
  auto block = std::make_unique<Block>(device_, borrowed, size_bytes);
  const auto overlaps = [&](const std::unique_ptr<Block>& other) {
    return block->contains(other->address()) || other->contains(block->address());
  };
  const std::lock_guard lock(device_.instance().mutex);
  if (block->overlaps_host() || std::any_of(blocks_.begin(), blocks_.end(), overlaps))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {:#x} are known already", size_bytes,
                block->address());
  Block& kept = insert(std::move(block));
  allocations_.emplace(kept.address(), allocation_of(kept, 0, size_bytes, 0));
  if (native.own) kept.take_ownership();
  return kept.address();
}

const Block& Heap::export_block(std::uint64_t address) {
  std::unique_lock lock(device_.instance().mutex);
  const auto found = allocations_.find(address);
  if (found == allocations_.end() || !found->second.block->is_shared)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the memory at {:#x} is not exportable", address);
  Block& block = *found->second.block;
  lock.unlock();
  if (block.nonce == 0) {
    std::uint64_t nonce = 0;
    while (nonce == 0)
      if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
        throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "getrandom: {}",
                    std::generic_category().message(errno));
    set_nonce(block, nonce);
    block.nonce = nonce;
  }
  return block;
}

std::uint64_t Heap::import_block(std::unique_ptr<Block> block, std::uint64_t nonce,
                                 std::uint64_t size_bytes) {
  std::unique_lock lock(device_.instance().mutex);
  Block& kept = insert(std::move(block));
  kept.free_ranges.emplace(0, kept.size_bytes());
  const std::uint64_t address = carve(kept, size_bytes, allocation_alignment, 0);
  lock.unlock();
  bool is_there = false;
  try {
    is_there = nonce_of(kept) == nonce;
  } catch (...) {
    free(address);
    throw;
  }
  if (is_there) return address;
  free(address);
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the exporter has freed the memory");
}

std::uint64_t Heap::nonce_of(const Block& block) {
  std::uint64_t nonce = 0;
  const std::uint64_t at = block.size_bytes() - nonce_room;
  if (block.host() != nullptr)
    std::memcpy(&nonce, block.host() + at, sizeof(nonce));
  else
    copy_and_wait(reinterpret_cast<std::uint64_t>(&nonce), block.address() + at, sizeof(nonce));
  return nonce;
}

void Heap::set_nonce(const Block& block, std::uint64_t nonce) {
  const std::uint64_t at = block.size_bytes() - nonce_room;
  if (block.host() != nullptr)
    std::memcpy(block.host() + at, &nonce, sizeof(nonce));
  else
    copy_and_wait(block.address() + at, reinterpret_cast<std::uint64_t>(&nonce), sizeof(nonce));
}

void Heap::copy_and_wait(std::uint64_t target, std::uint64_t source, std::uint64_t size_bytes) {
  device_.run_internally([&](Stream& stream) {
    stream.copy(target, source, size_bytes);
    stream.synchronize(UINT64_MAX);
  });
}

void Heap::unregister_host(const std::byte* pointer) noexcept {
  std::unique_ptr<Block> block;  // destroyed without the lock
  const std::lock_guard lock(device_.instance().mutex);
  const auto found = registrations_.find(pointer);
  if (found == registrations_.end()) return;
  block = take_out(*found->second);
  registrations_.erase(found);
}

void Heap::free(flagos_address_t address) noexcept {
  std::unique_ptr<Block> block;
  std::unique_lock lock(device_.instance().mutex);
  auto found = allocations_.find(address);
  if (found == allocations_.end()) return;
  if (Block& exported = *found->second.block; exported.nonce != 0) {
    lock.unlock();
    guard([&] { set_nonce(exported, 0); },
          [&](flagos_status_t, const char* text) {
            device_.host().log(FLAGOS_LOG_LEVEL_WARNING, text);
          });
    lock.lock();
    found = allocations_.find(address);
  }
  used_bytes_.fetch_sub(found->second.counted_bytes);
  block = give_back(std::move(found->second));
  allocations_.erase(found);
}

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { *out_address = self.heap().alloc(*desc); });
}

void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept {
  from_c(device).heap().free(address);
}

flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t,
                                     flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_address = self.heap().register_host(static_cast<std::byte*>(pointer), size_bytes);
  });
}

flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept {
  from_c(device).heap().unregister_host(static_cast<const std::byte*>(pointer));
  return FLAGOS_STATUS_OK;
}

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] { self.copy(target, source, size_bytes); });
}

flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&]() -> flagos_status_t {
    if (pattern_size_bytes > 4)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "a fill pattern of {} bytes", pattern_size_bytes);
    self.fill(target, pattern, pattern_size_bytes, size_bytes);
    return FLAGOS_STATUS_OK;
  });
}

}  // namespace flagos::vulkan
