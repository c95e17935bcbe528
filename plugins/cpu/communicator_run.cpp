// How operations move bytes. Where all ranks are threads of one process and there is much to move, they read each other's
// buffers; else everybody puts chunks into slots that all map. Reductions go over the ranks in their order, so that all
// ranks get the same bits.
#include <algorithm>
#include <cstring>

#include "plugins/cpu/communicator.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t direct_bytes = 32 << 10;  // from here on buffers are read, not slots
constexpr std::uint64_t slice_bytes = 16 << 10;   // and every rank reduces a slice, not everything

std::byte* pointer(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

}  // namespace

// One operation as this rank sees it.
struct Communicator::Work {
  std::string what;
  Announcement said;  // with source: what this rank gives, if it does
  std::uint64_t width = 0, count = 0;
  std::byte* target = nullptr;
  std::uint64_t pieces = 1;  // of what a rank gives: one for each rank, or the same for all
  bool one_gives = false;    // the root
  bool gives = true, takes = true, reduces = false;
  bool is_direct = false;
};

std::byte* Communicator::given_by(const Work& work, std::uint32_t rank, std::uint64_t parity,
                                  std::uint64_t start, std::uint64_t piece,
                                  std::uint64_t piece_count) {
  const std::uint64_t offset = (piece * work.count + start) * work.width;
  if (rank == rank_) return pointer(work.said.source) + offset;
  if (!work.is_direct) return segment_.slot(rank, parity) + piece * piece_count * work.width;
  return pointer(segment_.state(rank).said[(count_ - 1) % 2].source) + offset;
}

void Communicator::reduce_from(const Work& work, const std::vector<const void*>& sources,
                               std::byte* target, std::uint64_t count) {
  std::vector<double> scales;
  if (work.said.reduction == FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM)
    for (std::uint32_t i = 0; i < size_; ++i)
      scales.push_back(segment_.state(i).said[(count_ - 1) % 2].scale);
  reduce({work.said.dtype, static_cast<std::uint8_t>(work.said.reduction), false}, size_,
         sources.data(), scales.empty() ? nullptr : scales.data(), size_, target, count);
}

void Communicator::take(const Work& work, std::uint64_t parity, std::uint64_t start,
                        std::uint64_t count) {
  const std::uint64_t piece = work.pieces == 1 ? 0 : rank_;
  std::vector<const void*> sources;
  for (std::uint32_t i = 0; i < size_; ++i) {
    if (work.one_gives && i != work.said.peer) continue;
    std::byte* const from = given_by(work, i, parity, start, piece, count);
    if (work.reduces) {
      sources.push_back(from);
      continue;
    }
    const std::uint64_t block = work.one_gives ? 0 : i;
    std::byte* const to = work.target + (block * work.count + start) * work.width;
    if (from != to) std::memcpy(to, from, count * work.width);
  }
  if (work.reduces) reduce_from(work, sources, work.target + start * work.width, count);
}

void Communicator::run_phases(const Work& work) {
  const std::uint64_t chunk =
      work.is_direct ? work.count : RankSegment::slot_bytes / (work.width * work.pieces);
  std::uint64_t parity = 0;
  for (std::uint64_t start = 0; start < work.count; start += chunk, ++parity) {
    const std::uint64_t count = std::min(chunk, work.count - start);
    if (!work.is_direct) {
      for (std::uint64_t piece = 0; work.gives && piece < work.pieces; ++piece)
        std::memcpy(segment_.slot(rank_, parity) + piece * count * work.width,
                    given_by(work, rank_, parity, start, piece, count), count * work.width);
      advance();
      wait_for_all(work.what);
    }
    if (!work.takes) continue;
    const Reading reading(*this, work.is_direct);
    if (!reading.is_allowed()) throw_failed();
    take(work, parity, start, count);
  }
  if (!work.is_direct || work.count == 0) return;
  // Buffers are the caller's again when nobody reads them any more.
  advance();
  wait_for_all(work.what);
}

// The sums of a chunk are made in slices, one by each rank, and gathered.
void Communicator::reduce_slices(const Work& work) {
  const std::uint64_t chunk = work.is_direct ? work.count : RankSegment::slot_bytes / work.width;
  for (std::uint64_t start = 0; start < work.count; start += chunk) {
    const std::uint64_t count = std::min(chunk, work.count - start);
    const auto first = [&](std::uint64_t rank) { return count * rank / size_; };
    const auto bytes = [&](std::uint64_t rank) {
      return (first(rank + 1) - first(rank)) * work.width;
    };
    const std::uint64_t own = first(rank_) * work.width;
    std::byte* const target = work.target + start * work.width;
    if (!work.is_direct) {
      std::memcpy(segment_.slot(rank_, 0), pointer(work.said.source) + start * work.width,
                  count * work.width);
      advance();
      wait_for_all(work.what);
    }
    {
      const Reading reading(*this, work.is_direct);
      if (!reading.is_allowed()) throw_failed();
      std::vector<const void*> sources;
      for (std::uint32_t i = 0; i < size_; ++i)
        sources.push_back(given_by(work, i, 0, start, 0, count) + own);
      reduce_from(work, sources, target + own, bytes(rank_) / work.width);
    }
    if (!work.is_direct) std::memcpy(segment_.slot(rank_, 1) + own, target + own, bytes(rank_));
    advance();
    wait_for_all(work.what);
    const Reading reading(*this, work.is_direct);
    if (!reading.is_allowed()) throw_failed();
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (i == rank_) continue;
      const std::byte* const from = work.is_direct
                                        ? pointer(segment_.state(i).said[(count_ - 1) % 2].target)
                                        : segment_.slot(i, 1);
      const std::uint64_t at = first(i) * work.width;
      std::memcpy(target + at, from + at, bytes(i));
    }
  }
  if (!work.is_direct) return;
  advance();
  wait_for_all(work.what);
}

Failure Communicator::run(std::uint64_t turn, flagos_collective_operation_t operation,
                          const flagos_collective_desc_t& desc) noexcept {
  Work work;
  work.what = operation_name(operation);
  Failure failure = guarded(work.what, [&] {
    const bool is_root = desc.peer == rank_;
    work.width = dtype_bytes(desc.dtype);
    work.count = desc.count;
    work.target = pointer(desc.target);
    work.said.operation = static_cast<std::uint32_t>(operation);
    work.said.dtype = desc.dtype;
    work.said.reduction = desc.reduction;
    work.said.peer = desc.peer;
    work.said.count = desc.count;
    work.said.scale = desc.scale;
    work.said.source =
        operation == FLAGOS_COLLECTIVE_OPERATION_BROADCAST ? desc.target : desc.source;
    work.said.target = desc.target;
    switch (operation) {
      case FLAGOS_COLLECTIVE_OPERATION_REDUCE:
        work.takes = is_root;
        [[fallthrough]];
      case FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE:
        work.reduces = true;
        break;
      case FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER:
        work.reduces = true;
        work.pieces = size_;
        break;
      case FLAGOS_COLLECTIVE_OPERATION_BROADCAST:
        work.one_gives = true;
        work.gives = is_root;
        work.takes = !is_root;
        break;
      case FLAGOS_COLLECTIVE_OPERATION_GATHER:
        work.takes = is_root;
        break;
      case FLAGOS_COLLECTIVE_OPERATION_SCATTER:
        work.one_gives = true;
        work.gives = is_root;
        work.pieces = size_;
        break;
      case FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL:
        work.pieces = size_;
        break;
      default:
        break;
    }
    const std::uint64_t bytes = work.count * work.width;
    // A reduction of everything by everybody would write what others still read.
    const bool in_slices =
        operation == FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE && bytes > slice_bytes;
    work.is_direct = segment_.is_one_process() && bytes > direct_bytes;
    begin(work.said, turn, work.what);
    in_slices ? reduce_slices(work) : run_phases(work);
  });
  if (failure) wait_for_readers();
  turn_.store(turn + 1, std::memory_order_release);
  segment_.state(rank_).bell.ring();
  return failure;
}

}  // namespace flagos::cpu
