// A stream-ordered allocator: the plugin's own where it has one, else a caching one of core's.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/device.hpp"
#include "core/event.hpp"
#include "core/pool_heap.hpp"
#include "core/stream.hpp"

namespace flagos::core {

class MemoryPool : public Child {
 public:
  static constexpr Tag tag_of = Tag::memory_pool;

  MemoryPool(Device& device, const flagos_memory_pool_desc_t& desc);
  ~MemoryPool() override;
  void release() override;
  void on_destroy() override;

  flagos_address_t alloc(Stream& stream, std::uint64_t size_bytes);
  // Throws INVALID_HANDLE unless `address` is a live block.
  void free(Stream& stream, flagos_address_t address);
  void trim(std::uint64_t keep_bytes);
  void set_limit(std::uint64_t limit_bytes);
  flagos_memory_pool_statistics_t statistics();
  // Nothing can be taken from it afterwards. Throws BUSY while blocks are live.
  void close();

  // The stream's handle is being destroyed: what it freed may go to others when its work has passed.
  void forget(Stream& stream);

 private:
  // What one stream freed, and the point on it behind which a part of that may go to others.
  struct StreamCache : PoolCache {
    std::uint64_t stream = 0;             // its handle
    std::shared_ptr<NativeEvent> marker;  // nullptr: none was needed yet
    std::uint64_t marked = 0;             // up to this free
    bool pending = false;                 // the marker was recorded and not seen complete
    bool gone = false;                    // the stream was destroyed
  };

  StreamCache& cache_of(std::uint64_t stream);
  PoolBlock* take(std::uint64_t stream, std::uint64_t rounded_bytes);
  flagos_status_t grow(std::uint64_t rounded_bytes, std::vector<flagos_address_t>& trimmed);
  flagos_status_t add_segment(std::uint64_t size_bytes, bool large);
  void harvest(std::uint64_t except);
  void harvest(StreamCache& cache);
  void mark(StreamCache& cache, Stream& stream);
  void give_back(const std::vector<flagos_address_t>& segments);
  void count_allocation();

  flagos_address_t alloc_native(Stream& stream, std::uint64_t size_bytes);
  void free_native(Stream& stream, flagos_address_t address);
  [[noreturn]] void throw_not_live(flagos_address_t address) const;

  const flagos_memory_kind_t kind_;
  flagos_plugin_memory_pool_t* native_ = nullptr;
  std::mutex mutex_;  // of all that follows
  bool closed_ = false;
  std::unordered_map<flagos_address_t, std::uint64_t> native_blocks_;  // live ones of a native pool
  PoolHeap heap_;
  std::unordered_map<std::uint64_t, std::unique_ptr<StreamCache>> caches_;  // by stream
  StreamCache* last_cache_ = nullptr;                                       // most calls come from one stream
  std::vector<std::unique_ptr<StreamCache>> orphans_;                       // of destroyed streams
  std::vector<std::shared_ptr<NativeEvent>> garbage_;  // events must not be destroyed under the lock
  std::uint64_t limit_bytes_;
  flagos_memory_pool_statistics_t statistics_{};
};

// ---- for stream.cpp and memory.cpp ----

// Tells all pools of the device that a stream is being destroyed; from Stream::on_destroy.
void memory_pools_forget(Stream& stream);
// Gives what the pools of a device do not use back to it; before an allocation is tried again.
void memory_pools_trim(Device& device);

}  // namespace flagos::core
