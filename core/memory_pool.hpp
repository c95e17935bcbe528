// A stream-ordered allocator: the plugin's own where it has one, else a caching one of core's.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <mutex>

#include "core/device.hpp"
#include "core/stream.hpp"

namespace flagos::core {

class PoolHeap;

class MemoryPool : public Child {
 public:
  static constexpr Tag tag_of = Tag::memory_pool;

  MemoryPool(Device& device, const flagos_memory_pool_desc_t& desc);
  ~MemoryPool() override;
  void release() override;

  flagos_address_t alloc(Stream& stream, std::uint64_t size_bytes);
  // Throws INVALID_HANDLE unless `address` is a live block.
  void free(Stream& stream, flagos_address_t address);
  void trim(std::uint64_t keep_bytes);
  void set_limit(std::uint64_t limit_bytes);
  flagos_memory_pool_statistics_t statistics();
  // True, and nothing can be taken from it any more, unless blocks are live.
  bool close();

  // The stream's handle is being destroyed: what it freed may go to others when its work has passed.
  void forget(Stream& stream);

 private:
  flagos_address_t alloc_native(Stream& stream, std::uint64_t size_bytes);
  void free_native(Stream& stream, flagos_address_t address);

  const flagos_memory_kind_t kind_;
  flagos_plugin_memory_pool_t* native_ = nullptr;
  std::mutex mutex_;
  std::unique_ptr<PoolHeap> heap_;  // under mutex_; nullptr when native
};

// ---- for stream.cpp and memory.cpp ----

// Tells all pools of the device that a stream is being destroyed; from Stream::on_destroy.
void memory_pools_forget(Stream& stream);
// Gives what the pools of a device do not use back to it; before an allocation is tried again.
void memory_pools_trim(Device& device);

}  // namespace flagos::core
