#include "plugins/vulkan/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint64_t chunk_bytes = 16u << 20;
constexpr std::uint64_t largest_carved = 1u << 20;
constexpr std::size_t address_attempts = 8;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

const char* kind_name(flagos_memory_kind_t kind) {
  return kind == FLAGOS_MEMORY_KIND_PINNED    ? "pinned"
         : kind == FLAGOS_MEMORY_KIND_MANAGED ? "managed"
                                              : "device";
}

// Whether the host's own address space reaches so far at all.
constexpr std::uint64_t end_of_host_addresses = std::uint64_t{1} << 47;

}  // namespace

Block::Block(Device& device, std::uint64_t size_bytes, flagos_memory_kind_t kind)
    : device_(device), size_bytes_(size_bytes), kind_(kind) {
  const MemoryTypes& types = device.physical().memory_types();
  const std::uint32_t type = kind == FLAGOS_MEMORY_KIND_PINNED    ? types.pinned
                             : kind == FLAGOS_MEMORY_KIND_MANAGED ? types.managed
                                                                  : types.device;
  try {
    create(type);
  } catch (...) {
    release();
    throw;
  }
}

Block::Block(Device& device, std::byte* pointer, std::uint64_t size_bytes)
    : device_(device), size_bytes_(size_bytes), kind_(FLAGOS_MEMORY_KIND_REGISTERED) {
  try {
    import(pointer);
  } catch (...) {
    release();
    throw;
  }
}

void Block::create_buffer(std::uint64_t size_bytes, const void* next) {
  VkBufferCreateInfo buffer{};
  buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  buffer.pNext = next;
  buffer.size = size_bytes;
  buffer.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                 VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
  if (device_.physical().has_addresses()) buffer.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  buffer_bytes_ = size_bytes;
  check_made(device_.vk().vkCreateBuffer(device_.handle(), &buffer, nullptr, &buffer_), buffer_,
             "vkCreateBuffer of {} bytes", size_bytes);
}

// The pages around the memory; what else lies in them is never touched.
void Block::import(std::byte* pointer) {
  const DeviceFunctions& vk = device_.vk();
  const VkDevice handle = device_.handle();
  const std::uint64_t page = device_.physical().host_pointer_alignment();
  constexpr VkExternalMemoryHandleTypeFlagBits type =
      VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  address_ = reinterpret_cast<std::uint64_t>(pointer);
  buffer_offset_ = address_ % page;
  const std::uint64_t bytes = round_up(buffer_offset_ + size_bytes_, page);
  VkImportMemoryHostPointerInfoEXT host{};
  host.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT;
  host.handleType = type;
  host.pHostPointer = pointer - buffer_offset_;

  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.handleTypes = type;
  create_buffer(bytes, &external);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(handle, buffer_, &needs);
  VkMemoryHostPointerPropertiesEXT properties{};
  properties.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT;
  check(vk.vkGetMemoryHostPointerPropertiesEXT(handle, type, host.pHostPointer, &properties),
        "vkGetMemoryHostPointerPropertiesEXT of {} bytes at {:#x}", size_bytes_, address_);
  const std::uint32_t types = needs.memoryTypeBits & properties.memoryTypeBits;
  if (types == 0 || needs.size > bytes)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the device cannot use {} bytes of the host at {:#x}",
                size_bytes_, address_);
  const std::uint32_t pinned = device_.physical().memory_types().pinned;
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.pNext = &host;
  flags.flags = device_.physical().has_addresses() ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT : 0;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.pNext = &flags;
  allocate.allocationSize = bytes;
  allocate.memoryTypeIndex =
      (types >> pinned & 1) != 0 ? pinned : static_cast<std::uint32_t>(std::countr_zero(types));
  check_made(vk.vkAllocateMemory(handle, &allocate, nullptr, &memory_), memory_,
             "vkAllocateMemory around {} bytes of the host at {:#x}", size_bytes_, address_);
  check(vk.vkBindBufferMemory(handle, buffer_, memory_, 0), "vkBindBufferMemory");
  device_address_ = device_.physical().has_addresses() ? ask_address() : address_;
  host_ = pointer;
}

void Block::create(std::uint32_t type) {
  const DeviceFunctions& vk = device_.vk();
  const VkDevice handle = device_.handle();
  create_buffer(size_bytes_, nullptr);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(handle, buffer_, &needs);
  if ((needs.memoryTypeBits >> type & 1) == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "buffers cannot lie in memory type {} ({} memory)", type,
                kind_name(kind_));
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.flags = device_.physical().has_addresses() ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT : 0;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.pNext = &flags;
  allocate.allocationSize = needs.size;
  allocate.memoryTypeIndex = type;
  const VkResult result = vk.vkAllocateMemory(handle, &allocate, nullptr, &memory_);
  if (result < VK_SUCCESS) memory_ = VK_NULL_HANDLE;
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && kind_ == FLAGOS_MEMORY_KIND_PINNED)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "vkAllocateMemory of {} pinned bytes: {} ({})",
                needs.size, result_name(result), static_cast<int>(result));
  check(result, "vkAllocateMemory of {} bytes of {} memory", needs.size, kind_name(kind_));
  check(vk.vkBindBufferMemory(handle, buffer_, memory_, 0), "vkBindBufferMemory");
  const bool is_mapped =
      kind_ != FLAGOS_MEMORY_KIND_DEVICE || device_.physical().memory_types().is_device_mapped;
  if (is_mapped) {
    void* pointer = nullptr;
    check(vk.vkMapMemory(handle, memory_, 0, VK_WHOLE_SIZE, 0, &pointer), "vkMapMemory of {} bytes",
          size_bytes_);
    host_ = static_cast<std::byte*>(pointer);
  }
  if (device_.physical().has_addresses())
    take_address(is_mapped);
  else
    make_address();
}

std::uint64_t Block::ask_address() const noexcept {
  VkBufferDeviceAddressInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  info.buffer = buffer_;
  return device_.vk().vkGetBufferDeviceAddress(device_.handle(), &info) + buffer_offset_;
}

void Block::take_address(bool is_mapped) {
  device_address_ = ask_address();
  const bool host_addresses =
      kind_ != FLAGOS_MEMORY_KIND_DEVICE || (is_mapped && device_.physical().is_software());
  address_ = host_addresses ? reinterpret_cast<std::uint64_t>(host_) : device_address_;
  if (!host_addresses) reserve_host_range();
}

// The driver has none: where the host reaches the memory, and else a range that nothing else can have.
void Block::make_address() {
  if (host_ == nullptr) {
    reserved_ =
        mmap(nullptr, size_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved_ == MAP_FAILED) {
      reserved_ = nullptr;
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no range of {} addresses is left", size_bytes_);
    }
  }
  address_ = reinterpret_cast<std::uint64_t>(host_ != nullptr ? host_ : reserved_);
  device_address_ = address_;
}

void Block::reserve_host_range() {
  if (reinterpret_cast<std::uint64_t>(host_) == address_ || address_ >= end_of_host_addresses)
    return;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t first = address_ / page * page;
  const std::uint64_t bytes = round_up(address_ + size_bytes_, page) - first;
  void* wanted = reinterpret_cast<void*>(first);
  void* got = mmap(wanted, bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == MAP_FAILED && errno != EEXIST) return;  // nothing of the host can lie there
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, bytes);
    overlaps_host_ = true;
    return;
  }
  reserved_ = wanted;
}

void Block::release() noexcept {
  const DeviceFunctions& vk = device_.vk();
  vk.vkDestroyBuffer(device_.handle(), buffer_, nullptr);
  vk.vkFreeMemory(device_.handle(), memory_, nullptr);
  if (reserved_ == nullptr) return;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uint64_t>(reserved_);
  munmap(reserved_, round_up(address_ + size_bytes_, page) - first);
}

Block::~Block() { release(); }

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
                                        flagos_memory_kind_t kind) {
  std::vector<std::unique_ptr<Block>> overlapping;
  bool is_padded = false;
  while (overlapping.size() < address_attempts) {
    auto block = std::make_unique<Block>(device_, size_bytes, kind);
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

std::uint64_t Heap::carve(Block& block, std::uint64_t size_bytes, std::uint64_t alignment,
                          std::uint64_t counted_bytes) {
  for (auto range = block.free_ranges.begin(); range != block.free_ranges.end(); ++range) {
    const auto [start, room] = *range;
    const std::uint64_t first = round_up(block.address() + start, alignment) - block.address();
    if (first + size_bytes > start + room) continue;
    allocations_.emplace(block.address() + first,
                         Allocation{&block, first, size_bytes, counted_bytes});
    block.free_ranges.erase(range);
    if (first > start) block.free_ranges.emplace(start, first - start);
    if (first + size_bytes < start + room)
      block.free_ranges.emplace(first + size_bytes, start + room - first - size_bytes);
    return block.address() + first;
  }
  return 0;
}

std::uint64_t Heap::place(const flagos_memory_desc_t& desc, std::uint64_t size_bytes,
                          std::uint64_t counted_bytes) {
  const std::uint64_t alignment =
      std::max<std::uint64_t>(desc.alignment_bytes, allocation_alignment);
  const bool small = size_bytes <= largest_carved;
  std::unique_lock lock(device_.instance().mutex);
  if (small) {
    for (const auto& block : blocks_) {
      if (!block->is_chunk || block->kind() != desc.kind) continue;
      const std::uint64_t address = carve(*block, size_bytes, alignment, counted_bytes);
      if (address != 0) return address;
    }
  }
  lock.unlock();
  std::unique_ptr<Block> made = make_block(small ? chunk_bytes : size_bytes, alignment, desc.kind);
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
  const std::shared_ptr<Stream> stream = device_.internal_stream();
  lock.unlock();
  const std::uint32_t nothing = 0;
  stream->fill(address, &nothing, 1, size_bytes);
  stream->synchronize(UINT64_MAX);
}

// The block, when nothing is left in it and it need not be kept; the caller destroys it without the
// lock.
std::unique_ptr<Block> Heap::give_back(const Allocation& allocation) noexcept {
  Block& block = *allocation.block;
  auto& ranges = block.free_ranges;
  auto range = ranges.emplace(allocation.offset, allocation.size_bytes).first;
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
  const std::lock_guard lock(device_.instance().mutex);
  const auto found = allocations_.find(address);
  if (found == allocations_.end()) return;
  used_bytes_.fetch_sub(found->second.counted_bytes);
  block = give_back(found->second);
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
