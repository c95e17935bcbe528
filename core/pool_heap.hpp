// The bookkeeping of core's caching memory pool: segments from the device, cut into blocks, which are live or lie in
// the cache of the stream that freed them. Knows no device; not thread-safe. Two-level segregated fit (Masmano 2004):
// constant time, and no heap allocation once it has seen its load.
#pragma once

#include <flagos.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace flagos::core {

struct PoolCache;

struct PoolSegment {
  flagos_address_t base = 0;
  std::uint64_t size_bytes = 0;
  bool large = false;
  std::uint32_t live = 0;  // blocks
  struct PoolBlock* first = nullptr;
  std::size_t index = 0;  // in the heap's list
};

struct PoolBlock {
  flagos_address_t address = 0;
  std::uint64_t size_bytes = 0;
  PoolSegment* segment = nullptr;
  PoolCache* cache = nullptr;  // nullptr while it is live
  std::uint64_t freed = 0;     // the number of the free
  PoolBlock* left = nullptr;   // neighbours in the segment
  PoolBlock* right = nullptr;
  PoolBlock* bin_next = nullptr;
  PoolBlock* bin_previous = nullptr;
  PoolBlock* older = nullptr;  // in its cache, by `freed`
  PoolBlock* newer = nullptr;
};

// Free blocks by size.
class PoolBins {
 public:
  void insert(PoolBlock& block, std::uint64_t units);
  void remove(PoolBlock& block, std::uint64_t units);
  // A block of at least so many units, nearly the smallest; nullptr when there is none.
  PoolBlock* find(std::uint64_t units, std::uint64_t unit_bytes) const;

 private:
  static constexpr std::uint32_t rows = 60;
  static constexpr std::uint32_t columns = 16;
  struct Place {
    std::uint32_t row, column;
  };
  static Place place_of(std::uint64_t units);

  std::uint64_t used_rows_ = 0;
  std::array<std::uint32_t, rows> used_columns_{};
  std::array<std::array<PoolBlock*, columns>, rows> heads_{};
};

// What one stream freed, or, in the heap's own, what anybody may take.
struct PoolCache {
  std::array<PoolBins, 2> bins;  // of small and of large segments
  PoolBlock* oldest = nullptr;
  PoolBlock* newest = nullptr;
};

// Live blocks by address: open addressing, so that taking and giving allocate nothing.
class PoolIndex {
 public:
  PoolIndex() : slots_(64) {}
  void insert(PoolBlock* block);
  PoolBlock* find(flagos_address_t address) const;
  void erase(flagos_address_t address);

 private:
  std::size_t home(flagos_address_t address) const;
  void grow();
  std::vector<PoolBlock*> slots_;
  std::size_t used_ = 0;
};

class PoolHeap {
 public:
  // Blocks are multiples of `unit_bytes`, a power of two.
  explicit PoolHeap(std::uint64_t unit_bytes) : unit_(unit_bytes) {}

  static constexpr std::uint64_t small_bytes = std::uint64_t{1} << 20;    // blocks up to here share segments
  static constexpr std::uint64_t segment_bytes = std::uint64_t{2} << 20;  // of these

  // 0 when it does not fit 64 bits.
  std::uint64_t round(std::uint64_t size_bytes) const;
  // The size of a new segment for such a block.
  static std::uint64_t segment_size(std::uint64_t rounded_bytes);

  // A live block from a cache, or nullptr.
  PoolBlock* take(PoolCache& cache, std::uint64_t rounded_bytes);
  // Adds a segment; its memory lies in ready() then.
  void add_segment(flagos_address_t base, std::uint64_t size_bytes, bool large);
  // nullptr when it is not the start of a live block.
  PoolBlock* find(flagos_address_t address) const { return index_.find(address); }
  void give(PoolBlock& block, PoolCache& cache);
  // Moves what was freed up to number `freed` from a cache to ready().
  void move_to_ready(PoolCache& cache, std::uint64_t freed);
  // Takes out segments without live blocks until at most `keep_bytes` are held; gives their addresses.
  std::vector<flagos_address_t> trim(std::uint64_t keep_bytes);
  // All segments, live blocks or not.
  std::vector<flagos_address_t> clear();

  PoolCache& ready() { return ready_; }
  std::uint64_t last_freed() const { return freed_; }
  std::uint64_t live_blocks() const { return live_; }
  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t reserved_bytes() const { return reserved_; }

 private:
  PoolBlock& new_block();
  void insert(PoolCache& cache, PoolBlock& block);
  void remove(PoolBlock& block);
  // Joins a free block that lies in no cache with its free neighbours in `cache`.
  PoolBlock& coalesce(PoolBlock& block, PoolCache& cache);
  void absorb(PoolBlock& left, PoolBlock& right);
  void remove_segment(PoolSegment& segment);

  const std::uint64_t unit_;
  PoolCache ready_;
  PoolIndex index_;
  std::deque<PoolBlock> blocks_;
  std::vector<PoolBlock*> spare_;
  std::vector<std::unique_ptr<PoolSegment>> segments_;
  std::uint64_t freed_ = 0;
  std::uint64_t live_ = 0;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t reserved_ = 0;
};

}  // namespace flagos::core
