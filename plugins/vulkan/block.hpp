// One buffer with its memory: allocated, imported, or the caller's.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <cstdint>
#include <map>

#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

class Device;

// Memory that other processes can have: exported, or imported from a descriptor.
struct Sharing {
  bool is_shared = false;
  int fd = -1;  // of an import; stays the caller's
  std::uint64_t allocation_bytes = 0;
  std::uint32_t memory_type = 0;
};

// One buffer with its memory.
class Block {
 public:
  Block(Device& device, std::uint64_t size_bytes, flagos_memory_kind_t kind,
        const Sharing& sharing = {});
  // Memory of the caller, where the device can reach it.
  Block(Device& device, std::byte* pointer, std::uint64_t size_bytes);
  // A buffer of the caller's, from this offset on; with `own` it is destroyed with the block.
  struct Native {
    VkBuffer buffer;
    VkDeviceMemory memory;  // only to be freed with the buffer
    std::uint64_t offset;
    bool own;
  };
  Block(Device& device, const Native& native, std::uint64_t size_bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  VkBuffer buffer() const noexcept { return buffer_; }
  std::uint64_t allocation_bytes() const noexcept { return allocation_bytes_; }
  std::uint32_t memory_type() const noexcept { return memory_type_; }
  VkDeviceMemory memory() const noexcept { return memory_; }
  std::uint64_t address() const noexcept { return address_; }
  std::uint64_t device_address() const noexcept { return device_address_; }
  std::byte* host() const noexcept { return host_; }
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  std::uint64_t buffer_bytes() const noexcept { return buffer_bytes_; }
  flagos_memory_kind_t kind() const noexcept { return kind_; }
  // Its address is one of host memory too: it must not be given out.
  bool overlaps_host() const noexcept { return overlaps_host_; }
  // Where an address of it lies in the buffer.
  std::uint64_t offset_of(std::uint64_t address) const noexcept {
    return address - address_ + buffer_offset_;
  }
  bool contains(std::uint64_t address) const noexcept { return address - address_ < size_bytes_; }

  void take_ownership() noexcept { is_borrowed_ = false; }

  // Chunks only: what is free, offset to size.
  using Ranges = std::map<std::uint64_t, std::uint64_t>;
  Ranges free_ranges;
  bool is_chunk = false;
  bool is_shared = false;
  std::uint64_t nonce = 0;  // of memory that was exported from here, see Heap::export_block

 private:
  void create(std::uint32_t type, const Sharing& sharing);
  void allocate(std::uint64_t needed_bytes, const Sharing& sharing);
  void import(std::byte* pointer);
  void create_buffer(std::uint64_t size_bytes, const void* next);
  void release() noexcept;
  std::uint64_t ask_address() const noexcept;
  void take_address(bool is_mapped);
  void make_address();
  void reserve_host_range();

  Device& device_;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  std::uint64_t address_ = 0;
  std::uint64_t device_address_ = 0;
  std::uint64_t buffer_offset_ = 0;  // an import begins at a page
  std::uint64_t buffer_bytes_ = 0;
  std::byte* host_ = nullptr;
  std::uint64_t size_bytes_;
  void* reserved_ = nullptr;
  bool overlaps_host_ = false;
  bool is_borrowed_ = false;
  std::uint64_t allocation_bytes_ = 0;
  std::uint32_t memory_type_ = 0;
  const flagos_memory_kind_t kind_;
};

// "device", "pinned" or "managed".
const char* kind_name(flagos_memory_kind_t kind) noexcept;

}  // namespace flagos::vulkan
