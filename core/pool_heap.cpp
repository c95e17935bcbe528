// Blocks, bins and segments of a caching pool.
#include "core/pool_heap.hpp"

#include <bit>

namespace flagos::core {

// ---- bins --------------------------------------------------------------------------------------------------------

// Row 0 holds 0 to 15 units one by one; every row above a power of two, in 16 steps.
PoolBins::Place PoolBins::place_of(std::uint64_t units) {
  if (units < columns) return {0, static_cast<std::uint32_t>(units)};
  const auto log = static_cast<std::uint32_t>(std::bit_width(units) - 1);
  return {log - 3, static_cast<std::uint32_t>(units >> (log - 4)) & (columns - 1)};
}

void PoolBins::insert(PoolBlock& block, std::uint64_t units) {
  const Place place = place_of(units);
  PoolBlock*& head = heads_[place.row][place.column];
  block.bin_previous = nullptr;
  block.bin_next = head;
  if (head != nullptr) head->bin_previous = &block;
  head = &block;
  used_columns_[place.row] |= 1u << place.column;
  used_rows_ |= std::uint64_t{1} << place.row;
}

void PoolBins::remove(PoolBlock& block, std::uint64_t units) {
  const Place place = place_of(units);
  if (block.bin_next != nullptr) block.bin_next->bin_previous = block.bin_previous;
  if (block.bin_previous != nullptr) {
    block.bin_previous->bin_next = block.bin_next;
    return;
  }
  heads_[place.row][place.column] = block.bin_next;
  if (block.bin_next != nullptr) return;
  used_columns_[place.row] &= ~(1u << place.column);
  if (used_columns_[place.row] == 0) used_rows_ &= ~(std::uint64_t{1} << place.row);
}

PoolBlock* PoolBins::find(std::uint64_t units, std::uint64_t unit_bytes) const {
  const Place place = place_of(units);
  // In its own bin some are too small; the one that was just given back comes first and is not.
  int tries = 8;
  for (PoolBlock* block = heads_[place.row][place.column]; block != nullptr && tries > 0; block = block->bin_next) {
    if (block->size_bytes >= units * unit_bytes) return block;
    --tries;
  }
  const std::uint32_t right = place.column + 1 < columns ? used_columns_[place.row] >> (place.column + 1) : 0;
  if (right != 0) return heads_[place.row][place.column + 1 + static_cast<std::uint32_t>(std::countr_zero(right))];
  const std::uint64_t above = used_rows_ >> (place.row + 1);
  if (above == 0) return nullptr;
  const std::uint32_t row = place.row + 1 + static_cast<std::uint32_t>(std::countr_zero(above));
  return heads_[row][static_cast<std::uint32_t>(std::countr_zero(used_columns_[row]))];
}

// ---- index -------------------------------------------------------------------------------------------------------

std::size_t PoolIndex::home(flagos_address_t address) const {
  return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15u) >> 20) & (slots_.size() - 1);
}

void PoolIndex::insert(PoolBlock* block) {
  if (++used_ * 2 > slots_.size()) grow();
  std::size_t slot = home(block->address);
  while (slots_[slot] != nullptr) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = block;
}

PoolBlock* PoolIndex::find(flagos_address_t address) const {
  for (std::size_t slot = home(address); slots_[slot] != nullptr; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot]->address == address) return slots_[slot];
  }
  return nullptr;
}

void PoolIndex::erase(flagos_address_t address) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = home(address);
  while (slots_[hole] == nullptr || slots_[hole]->address != address) hole = (hole + 1) & mask;
  // Those behind the hole move up unless that would put them before their home.
  for (std::size_t slot = (hole + 1) & mask; slots_[slot] != nullptr; slot = (slot + 1) & mask) {
    const std::size_t wanted = home(slots_[slot]->address);
    if (((slot - wanted) & mask) < ((slot - hole) & mask)) continue;
    slots_[hole] = slots_[slot];
    hole = slot;
  }
  slots_[hole] = nullptr;
  --used_;
}

void PoolIndex::grow() {
  std::vector<PoolBlock*> former(slots_.size() * 2);
  former.swap(slots_);
  used_ = 1;
  for (PoolBlock* block : former) {
    if (block == nullptr) continue;
    ++used_;
    std::size_t slot = home(block->address);
    while (slots_[slot] != nullptr) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = block;
  }
}

// ---- heap --------------------------------------------------------------------------------------------------------

std::uint64_t PoolHeap::round(std::uint64_t size_bytes) const {
  if (size_bytes == 0) return unit_;
  if (size_bytes > UINT64_MAX - segment_bytes) return 0;
  return (size_bytes + unit_ - 1) & ~(unit_ - 1);
}

std::uint64_t PoolHeap::segment_size(std::uint64_t rounded_bytes) {
  return (rounded_bytes + segment_bytes - 1) / segment_bytes * segment_bytes;
}

PoolBlock& PoolHeap::new_block() {
  if (spare_.empty()) {
    spare_.reserve(blocks_.size() + 1);  // so that giving blocks back never allocates
    return blocks_.emplace_back();
  }
  PoolBlock& block = *spare_.back();
  spare_.pop_back();
  block = {};
  return block;
}

void PoolHeap::insert(PoolCache& cache, PoolBlock& block) {
  block.cache = &cache;
  cache.bins[block.segment->large].insert(block, block.size_bytes / unit_);
  block.newer = nullptr;
  block.older = cache.newest;
  (cache.newest != nullptr ? cache.newest->newer : cache.oldest) = &block;
  cache.newest = &block;
}

void PoolHeap::remove(PoolBlock& block) {
  PoolCache& cache = *block.cache;
  cache.bins[block.segment->large].remove(block, block.size_bytes / unit_);
  (block.older != nullptr ? block.older->newer : cache.oldest) = block.newer;
  (block.newer != nullptr ? block.newer->older : cache.newest) = block.older;
  block.cache = nullptr;
}

// `right` joins `left`, which lies just before it.
void PoolHeap::absorb(PoolBlock& left, PoolBlock& right) {
  left.size_bytes += right.size_bytes;
  left.right = right.right;
  if (left.right != nullptr) left.right->left = &left;
  spare_.push_back(&right);
}

PoolBlock& PoolHeap::coalesce(PoolBlock& block, PoolCache& cache) {
  if (PoolBlock* right = block.right; right != nullptr && right->cache == &cache) {
    remove(*right);
    absorb(block, *right);
  }
  PoolBlock* left = block.left;
  if (left == nullptr || left->cache != &cache) return block;
  const std::uint64_t freed = block.freed;
  remove(*left);
  absorb(*left, block);
  left->freed = freed;
  return *left;
}

PoolBlock* PoolHeap::take(PoolCache& cache, std::uint64_t rounded_bytes) {
  const bool large = rounded_bytes > small_bytes;
  PoolBlock* found = cache.bins[large].find(rounded_bytes / unit_, unit_);
  if (found == nullptr) return nullptr;
  const std::uint64_t rest = found->size_bytes - rounded_bytes;
  PoolBlock* taken = found;
  if (rest == 0) {
    remove(*found);
  } else {
    // The front becomes the block; the rest keeps its place among what was freed.
    taken = &new_block();
    cache.bins[large].remove(*found, found->size_bytes / unit_);
    taken->address = found->address;
    taken->segment = found->segment;
    taken->left = found->left;
    taken->right = found;
    (taken->left != nullptr ? taken->left->right : found->segment->first) = taken;
    found->left = taken;
    found->address += rounded_bytes;
    found->size_bytes = rest;
    cache.bins[large].insert(*found, rest / unit_);
  }
  taken->size_bytes = rounded_bytes;
  index_.insert(taken);
  ++taken->segment->live;
  ++live_;
  used_bytes_ += rounded_bytes;
  return taken;
}

void PoolHeap::add_segment(flagos_address_t base, std::uint64_t size_bytes, bool large) {
  auto segment = std::make_unique<PoolSegment>();
  segment->base = base;
  segment->size_bytes = size_bytes;
  segment->large = large;
  segment->index = segments_.size();
  PoolBlock& block = new_block();
  block.address = base;
  block.size_bytes = size_bytes;
  block.segment = segment.get();
  segment->first = &block;
  segments_.push_back(std::move(segment));
  reserved_ += size_bytes;
  insert(ready_, block);
}

void PoolHeap::give(PoolBlock& block, PoolCache& cache) {
  index_.erase(block.address);
  --block.segment->live;
  --live_;
  used_bytes_ -= block.size_bytes;
  block.freed = ++freed_;
  insert(cache, coalesce(block, cache));
}

void PoolHeap::move_to_ready(PoolCache& cache, std::uint64_t freed) {
  while (cache.oldest != nullptr && cache.oldest->freed <= freed) {
    PoolBlock& block = *cache.oldest;
    remove(block);
    insert(ready_, coalesce(block, ready_));
  }
}

void PoolHeap::remove_segment(PoolSegment& segment) {
  for (PoolBlock* block = segment.first; block != nullptr;) {
    PoolBlock* next = block->right;
    if (block->cache != nullptr) {
      remove(*block);
    } else {
      index_.erase(block->address);
      --live_;
      used_bytes_ -= block->size_bytes;
    }
    spare_.push_back(block);
    block = next;
  }
  reserved_ -= segment.size_bytes;
  const std::size_t index = segment.index;
  segments_[index] = std::move(segments_.back());
  segments_[index]->index = index;
  segments_.pop_back();
}

std::vector<flagos_address_t> PoolHeap::trim(std::uint64_t keep_bytes) {
  std::vector<flagos_address_t> bases;
  for (std::size_t i = segments_.size(); i-- > 0 && reserved_ > keep_bytes;) {
    if (segments_[i]->live != 0) continue;
    bases.push_back(segments_[i]->base);
    remove_segment(*segments_[i]);
  }
  return bases;
}

std::vector<flagos_address_t> PoolHeap::clear() {
  std::vector<flagos_address_t> bases;
  while (!segments_.empty()) {
    bases.push_back(segments_.back()->base);
    remove_segment(*segments_.back());
  }
  return bases;
}

}  // namespace flagos::core
