// Memory of a device: buffers with an address, small allocations carved out of shared ones.
//
// An address of device memory is the buffer's device address; that of pinned and managed memory is
// the host pointer, and a launch turns it into the device's where the two differ. Where a device
// address is no host pointer the same range of the host is reserved, so that no host memory can
// ever have it. A device without such addresses gets addresses of the host: where the memory is mapped,
// else a reserved range; its kernels have the buffers bound to them.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "plugins/vulkan/block.hpp"
#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

class Device;

class Heap {
 public:
  Heap(Device& device, std::atomic<std::uint64_t>& used_bytes)
      : device_(device), used_bytes_(used_bytes) {}

  std::uint64_t alloc(const flagos_memory_desc_t& desc);
  void free(flagos_address_t address) noexcept;
  std::uint64_t register_host(std::byte* pointer, std::uint64_t size_bytes);
  // Throws INVALID_ARGUMENT when it lies in memory that is known already.
  std::uint64_t wrap(const Block::Native& native, std::uint64_t size_bytes);
  // The block of an exportable allocation; throws INVALID_ARGUMENT for another address. It has a nonce
  // from then on, which stands behind the memory until it is freed: so importers see that it was.
  const Block& export_block(std::uint64_t address);
  // Throws INVALID_HANDLE when the nonce is not behind the memory any more.
  std::uint64_t import_block(std::unique_ptr<Block> block, std::uint64_t nonce,
                             std::uint64_t size_bytes);
  void unregister_host(const std::byte* pointer) noexcept;
  std::uint64_t used_bytes() const noexcept { return used_bytes_.load(); }

  // With the instance's lock held. NULL: ordinary host memory.
  const Block* find(std::uint64_t address) const noexcept;
  // The address that a kernel must use.
  std::uint64_t translate(std::uint64_t address) const noexcept {
    if (!has_translated_) return address;
    const Block* block = find(address);
    return block == nullptr ? address : address - block->address() + block->device_address();
  }
  bool has_translated() const noexcept { return has_translated_; }

 private:
  struct Allocation {
    Block* block;
    std::uint64_t offset;
    std::uint64_t size_bytes;
    std::uint64_t counted_bytes;
    // What the free ranges of the block get back: made beforehand, since a free must not fail.
    Block::Ranges::node_type hole;
  };
  static Allocation allocation_of(Block& block, std::uint64_t offset, std::uint64_t size_bytes,
                                  std::uint64_t counted_bytes);

  std::uint64_t place(const flagos_memory_desc_t& desc, std::uint64_t size_bytes,
                      std::uint64_t counted_bytes);
  std::uint64_t carve(Block& block, std::uint64_t size_bytes, std::uint64_t alignment,
                      std::uint64_t counted_bytes);
  std::unique_ptr<Block> make_block(std::uint64_t size_bytes, std::uint64_t alignment,
                                    flagos_memory_kind_t kind, bool is_shared);
  std::uint64_t nonce_of(const Block& block);
  void set_nonce(const Block& block, std::uint64_t nonce);
  void copy_and_wait(std::uint64_t target, std::uint64_t source, std::uint64_t size_bytes);
  Block& insert(std::unique_ptr<Block> block);
  std::unique_ptr<Block> give_back(Allocation allocation) noexcept;
  std::unique_ptr<Block> take_out(const Block& block) noexcept;
  void zero(std::uint64_t address, std::uint64_t size_bytes);

  Device& device_;
  std::atomic<std::uint64_t>& used_bytes_;
  std::vector<std::unique_ptr<Block>> blocks_;  // by address
  std::unordered_map<std::uint64_t, Allocation> allocations_;
  std::unordered_map<const std::byte*, const Block*> registrations_;
  bool has_translated_ = false;
};

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept;
void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept;
flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t flags,
                                     flagos_address_t* out_address) noexcept;
flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept;
flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept;
flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept;

}  // namespace flagos::vulkan
