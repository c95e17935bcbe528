// Pools: the caching one on top of PoolHeap, and the plugin's.
#include "core/memory_pool.hpp"

#include <algorithm>

#include "base/never_destroyed.hpp"
#include "core/entry.hpp"
#include "core/graph_exec.hpp"
#include "core/module.hpp"
#include "core/soft_queue.hpp"
#include "core/timeline.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

flagos_event_desc_t marker_desc() {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  return desc;
}

// The pools with a live handle, so that a stream's end and a full device find them without a search.
struct LivePools {
  std::mutex mutex;
  std::vector<MemoryPool*> pools;
};
LivePools& live_pools() {
  static NeverDestroyed<LivePools> the_pools;
  return *the_pools;
}

std::vector<Ref<MemoryPool>> pools_of(const Device& device) {
  std::vector<Ref<MemoryPool>> found;
  std::lock_guard lock(live_pools().mutex);
  for (MemoryPool* pool : live_pools().pools) {
    if (&pool->device() == &device && pool->try_retain()) found.push_back(Ref<MemoryPool>::adopt(pool));
  }
  return found;
}

}  // namespace

MemoryPool::MemoryPool(Device& device, const flagos_memory_pool_desc_t& desc)
    : Child(Tag::memory_pool, device),
      kind_(desc.kind),
      heap_(std::max<std::uint64_t>(256, device.info().allocation_alignment)),
      limit_bytes_(desc.limit_bytes) {
  if (tables().has.memory_pool) {
    expect(tables().memory_pool.create(device.native(), &desc, &native_), "memory_pool.create");
    if (native_ == nullptr)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from memory_pool.create");
    validate_made(&device, NativeKind::memory_pool, native_, "memory_pool.create");
  }
  std::lock_guard lock(live_pools().mutex);
  live_pools().pools.push_back(this);
}

MemoryPool::~MemoryPool() {
  std::lock_guard lock(live_pools().mutex);
  std::erase(live_pools().pools, this);
}

void MemoryPool::release() {
  if (native_ != nullptr) {
    validate_gone(&device(), NativeKind::memory_pool, native_);
    tables().memory_pool.destroy(native_);
  }
  delete this;
}

void MemoryPool::close() {
  std::lock_guard lock(mutex_);
  const std::uint64_t live = native_ != nullptr ? native_blocks_.size() : heap_.live_blocks();
  if (live != 0) throw_error(FLAGOS_STATUS_BUSY, "{} blocks of the pool are live", live);
  closed_ = true;
}

void MemoryPool::on_destroy() {
  std::vector<flagos_address_t> segments;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    segments = heap_.clear();
    for (const auto& [address, size] : native_blocks_) segments.push_back(address);
  }
  if (native_ == nullptr) return give_back(segments);
  // The blocks of a native pool go with it.
  for (const flagos_address_t address : segments)
    device().addresses().erase(address, [](const Allocation&) { return true; });
}

void MemoryPool::throw_not_live(flagos_address_t address) const {
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{:#x} is not the start of a live block of this pool", address);
}

// ---- the caching pool --------------------------------------------------------------------------------------------

MemoryPool::StreamCache& MemoryPool::cache_of(std::uint64_t stream) {
  if (last_cache_ != nullptr && last_cache_->stream == stream) return *last_cache_;
  auto& cache = caches_[stream];
  if (cache == nullptr) {
    cache = std::make_unique<StreamCache>();
    cache->stream = stream;
  }
  last_cache_ = cache.get();
  return *cache;
}

void MemoryPool::count_allocation() {
  ++statistics_.allocations;
  statistics_.used_high_bytes = std::max(statistics_.used_high_bytes, heap_.used_bytes());
}

PoolBlock* MemoryPool::take(std::uint64_t stream, std::uint64_t rounded_bytes) {
  if (PoolBlock* own = heap_.take(cache_of(stream), rounded_bytes)) return own;
  if (PoolBlock* ready = heap_.take(heap_.ready(), rounded_bytes)) return ready;
  harvest(stream);
  return heap_.take(heap_.ready(), rounded_bytes);
}

flagos_address_t MemoryPool::alloc(Stream& stream, std::uint64_t size_bytes) {
  if (native_ != nullptr) return alloc_native(stream, size_bytes);
  const std::uint64_t rounded = heap_.round(size_bytes);
  flagos_status_t status = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  Ref<MemoryPool> kept;  // while the read section is left
  Ref<Stream> kept_stream;
  for (int attempt = 0; attempt < 2 && rounded != 0; ++attempt) {
    std::vector<flagos_address_t> trimmed;
    std::vector<std::shared_ptr<NativeEvent>> garbage;
    PoolBlock* block = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (closed_) throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the pool was destroyed by another thread");
      block = take(stream.handle(), rounded);
      if (block == nullptr) {
        status = grow(rounded, trimmed);
        if (status == FLAGOS_STATUS_OK) block = take(stream.handle(), rounded);
        if (block != nullptr) ++statistics_.device_allocations;
      }
      if (block != nullptr) count_allocation();
      if (!garbage_.empty()) garbage.swap(garbage_);
    }
    if (!trimmed.empty()) give_back(trimmed);
    if (block != nullptr) return block->address;
    if (attempt != 0 || FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_RESOURCE) break;
    // What all pools of the device cache, and what was freed and waits for work, may be enough.
    memory_pools_trim(device());
    kept = Ref<MemoryPool>(this);
    kept_stream = Ref<Stream>(&stream);
    Pause pause;
    device().releases().drain(1'000'000'000);
  }
  const flagos_memory_pool_statistics_t now = statistics();
  throw_error(status, "{} bytes; the pool holds {} bytes, and {} of them are in use", size_bytes, now.reserved_bytes,
              now.used_bytes);
}

// Asks the device for a segment that holds such a block: a roomy one, else one that just fits.
flagos_status_t MemoryPool::grow(std::uint64_t rounded_bytes, std::vector<flagos_address_t>& trimmed) {
  const bool large = rounded_bytes > PoolHeap::small_bytes;
  std::uint64_t room = UINT64_MAX;
  if (limit_bytes_ != 0) {
    if (rounded_bytes > limit_bytes_) return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
    if (heap_.reserved_bytes() > limit_bytes_ - rounded_bytes) trimmed = heap_.trim(limit_bytes_ - rounded_bytes);
    room = limit_bytes_ - std::min(limit_bytes_, heap_.reserved_bytes());
  }
  room = std::min(room, device().info().max_allocation_bytes);
  if (room < rounded_bytes) return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  const std::uint64_t roomy = PoolHeap::segment_size(rounded_bytes);
  if (roomy <= room && add_segment(roomy, large) == FLAGOS_STATUS_OK) return FLAGOS_STATUS_OK;
  return add_segment(rounded_bytes, large);
}

flagos_status_t MemoryPool::add_segment(std::uint64_t size_bytes, bool large) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind_;
  desc.size_bytes = size_bytes;
  desc.alignment_bytes = device().info().allocation_alignment;
  flagos_address_t base = 0;
  const flagos_status_t status = tables().memory.alloc(device().native(), &desc, &base);
  if (status != FLAGOS_STATUS_OK) return checked(status, "memory.alloc");
  if (base == 0 || base % desc.alignment_bytes != 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin allocated at {:#x}, which is not aligned to {}", base,
                desc.alignment_bytes);
  Allocation allocation;
  allocation.base = base;
  allocation.size_bytes = size_bytes;
  allocation.kind = kind_;
  allocation.pool = true;
  bool inserted = false;
  try {
    inserted = device().addresses().insert(allocation);
    if (inserted) heap_.add_segment(base, size_bytes, large);
  } catch (...) {
    if (inserted) device().addresses().erase(base, [](const Allocation&) { return true; });
    tables().memory.free(device().native(), base);
    throw;
  }
  if (!inserted)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin handed out {} bytes at {:#x}, inside a live allocation",
                size_bytes, base);
  statistics_.reserved_high_bytes = std::max(statistics_.reserved_high_bytes, heap_.reserved_bytes());
  return FLAGOS_STATUS_OK;
}

// Outside the lock: a release looks at all streams.
void MemoryPool::give_back(const std::vector<flagos_address_t>& segments) {
  for (const flagos_address_t base : segments)
    release_allocation(device(), base, [](const Allocation& allocation) { return allocation.pool; });
}

void MemoryPool::free(Stream& stream, flagos_address_t address) {
  if (native_ != nullptr) return free_native(stream, address);
  std::lock_guard lock(mutex_);
  PoolBlock* block = heap_.find(address);
  if (block == nullptr) throw_not_live(address);
  StreamCache& cache = cache_of(stream.handle());
  heap_.give(*block, cache);
  // A destroyed stream comes here no more: its last point is now.
  if (stream.mode() & Stream::dead) {
    cache.gone = true;
    mark(cache, stream);
  }
}

// ---- from stream to stream ---------------------------------------------------------------------------------------

// Puts a point behind all that the stream was given so far.
void MemoryPool::mark(StreamCache& cache, Stream& stream) {
  // The record, too, must pass before the stream may go.
  const Stream::Submission submission(stream, Stream::Submission::By::core);
  cache.marked = heap_.last_freed();
  cache.pending = true;
  const bool fresh = cache.marker == nullptr || cache.marker.use_count() > 1 || (stream.mode() & Stream::soft) ||
                     cache.marker->failed.load(std::memory_order_acquire) != FLAGOS_STATUS_OK;
  if (fresh) {
    if (cache.marker != nullptr) garbage_.push_back(std::move(cache.marker));
    cache.marker = std::make_shared<NativeEvent>(device(), marker_desc());
  }
  if (stream.mode() & Stream::soft) {
    cache.marker->issued.store(false, std::memory_order_release);
    soft_submit(stream, RecordCommand{Ref<Event>(), cache.marker});
  } else if (tables().event.record(cache.marker->native(), stream.native()) != FLAGOS_STATUS_OK) {
    cache.pending = false;  // the stream is poisoned or lost: it uses nothing any more
  }
}

void MemoryPool::harvest(StreamCache& cache) {
  if (cache.oldest == nullptr) return;
  if (device().lost() != FLAGOS_STATUS_OK) return heap_.move_to_ready(cache, heap_.last_freed());
  if (cache.pending && cache.marker->synchronize(0) != FLAGOS_STATUS_TIMEOUT) cache.pending = false;
  if (!cache.pending) heap_.move_to_ready(cache, cache.marked);
  if (cache.pending || cache.oldest == nullptr || cache.gone) return;
  Object* object = handles.find(cache.stream);
  if (object == nullptr) return;  // it is being destroyed, and forget is about to come
  mark(cache, static_cast<Stream&>(*object));
  if (cache.pending && cache.marker->synchronize(0) != FLAGOS_STATUS_TIMEOUT) cache.pending = false;
  if (!cache.pending) heap_.move_to_ready(cache, cache.marked);
}

void MemoryPool::harvest(std::uint64_t except) {
  for (const auto& [stream, cache] : caches_) {
    if (stream != except) harvest(*cache);
  }
  std::erase_if(orphans_, [&](const std::unique_ptr<StreamCache>& cache) {
    harvest(*cache);
    if (cache->oldest != nullptr) return false;
    if (cache->marker != nullptr) garbage_.push_back(std::move(cache->marker));
    return true;
  });
}

void MemoryPool::forget(Stream& stream) {
  std::lock_guard lock(mutex_);
  const auto found = caches_.find(stream.handle());
  if (found == caches_.end()) return;
  StreamCache& cache = *found->second;
  if (last_cache_ == &cache) last_cache_ = nullptr;
  cache.gone = true;
  if (cache.oldest != nullptr) mark(cache, stream);
  orphans_.push_back(std::move(found->second));
  caches_.erase(found);
}

void MemoryPool::trim(std::uint64_t keep_bytes) {
  if (native_ != nullptr) return expect(tables().memory_pool.trim(native_, keep_bytes), "memory_pool.trim");
  std::vector<flagos_address_t> segments;
  {
    std::lock_guard lock(mutex_);
    segments = heap_.trim(keep_bytes);
  }
  give_back(segments);
}

void MemoryPool::set_limit(std::uint64_t limit_bytes) {
  if (native_ != nullptr) {
    expect(tables().memory_pool.set_limit(native_, limit_bytes), "memory_pool.set_limit");
    return;
  }
  std::vector<flagos_address_t> segments;
  {
    std::lock_guard lock(mutex_);
    limit_bytes_ = limit_bytes;
    if (limit_bytes != 0) segments = heap_.trim(limit_bytes);
  }
  give_back(segments);
}

flagos_memory_pool_statistics_t MemoryPool::statistics() {
  flagos_memory_pool_statistics_t result{};
  result.struct_size = sizeof(result);
  if (native_ != nullptr) {
    expect(tables().memory_pool.get_statistics(native_, &result), "memory_pool.get_statistics");
    return result;
  }
  std::lock_guard lock(mutex_);
  result = statistics_;
  result.used_bytes = heap_.used_bytes();
  result.reserved_bytes = heap_.reserved_bytes();
  result.live_blocks = heap_.live_blocks();
  return result;
}

// ---- the plugin's pool -------------------------------------------------------------------------------------------

flagos_address_t MemoryPool::alloc_native(Stream& stream, std::uint64_t size_bytes) {
  flagos_address_t address = 0;
  const std::uint64_t asked = std::max<std::uint64_t>(size_bytes, 1);
  expect(tables().memory_pool.alloc(native_, stream.native(), asked, &address), "memory_pool.alloc");
  Allocation allocation;
  allocation.base = address;
  allocation.size_bytes = size_bytes;
  allocation.kind = kind_;
  allocation.pool = true;
  std::lock_guard lock(mutex_);
  if (address == 0 || !device().addresses().insert(allocation))
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL,
                "the plugin's pool handed out {} bytes at {:#x}, inside a live allocation", size_bytes, address);
  native_blocks_.emplace(address, size_bytes);
  return address;
}

void MemoryPool::free_native(Stream& stream, flagos_address_t address) {
  {
    std::lock_guard lock(mutex_);
    if (native_blocks_.erase(address) == 0) throw_not_live(address);
    device().addresses().erase(address, [](const Allocation&) { return true; });
  }
  // Behind the work that core holds back.
  const bool held =
      soft_notify(stream, [pool = Ref<MemoryPool>(this), kept = Ref<Stream>(&stream), address](flagos_status_t) {
        pool->tables().memory_pool.free(pool->native_, kept->native(), address);
      });
  if (!held) expect(tables().memory_pool.free(native_, stream.native(), address), "memory_pool.free");
}

void memory_pools_forget(Stream& stream) {
  for (const Ref<MemoryPool>& pool : pools_of(stream.device())) pool->forget(stream);
}

void memory_pools_trim(Device& device) {
  for (const Ref<MemoryPool>& pool : pools_of(device)) {
    guard([&] { pool->trim(0); }, [](flagos_status_t, const char*) {});
  }
}

}  // namespace flagos::core
