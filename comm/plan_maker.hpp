// Writes plans: what all algorithms are made of, and the algorithms. One file for those of one step between any two ranks,
// one for those that go over other ranks.
#pragma once

#include "comm/plan.hpp"

namespace flagos::comm {

// A part of `count` elements for each rank, nearly equal; starts at multiples of a cache line where there are enough.
struct Slices {
  std::uint64_t count, parts, width;
  std::uint64_t start(std::uint64_t part) const {
    const std::uint64_t line = width < 64 ? 64 / width : 1;
    if (count < line * parts) return count * part / parts;
    const std::uint64_t lines = count / line;
    return part == parts ? count : lines * part / parts * line;
  }
  std::uint64_t size(std::uint64_t part) const { return start(part + 1) - start(part); }
};

// Elements of a large buffer that are dealt with together, so that neighbours work on different ones at the same time.
struct Round {
  std::uint64_t start, count;
};

class PlanMaker {
 public:
  PlanMaker(const Operation& operation, const Topology& topology, flagos_address_t scratch,
            Plan& plan)
      : request_(operation.request),
        topology_(topology),
        rank_(topology.rank),
        size_(topology.size),
        source_(request_.source),
        target_(request_.target),
        count_(request_.count),
        dtype_(request_.dtype),
        width_(dtype_bytes(dtype_)),
        is_widened_(needs_wide_partials(operation)),
        scratch_(scratch),
        plan_(plan) {}

  void make();

 private:
  // ---- pieces
  void begin_phase();
  Phase& phase() { return plan_.phases.back(); }
  // To all of the ranks but this one.
  void send_to_each(flagos_address_t address, std::uint64_t bytes,
                    const std::vector<std::uint32_t>& ranks, bool partial = false,
                    bool buffered = false);
  // To all ranks in [first, last) but this one.
  void send(flagos_address_t address, std::uint64_t bytes, std::uint32_t first, std::uint32_t last,
            bool partial = false, bool buffered = false);
  void send_to(flagos_address_t address, std::uint64_t bytes, std::uint32_t peer,
               bool partial = false, bool buffered = false) {
    if (peer != rank_) send(address, bytes, peer, peer + 1, partial, buffered);
  }
  void add_send(Send& send);
  void receive(flagos_address_t address, std::uint64_t bytes, std::uint32_t peer,
               std::int32_t gate = -1);
  void copy_own(flagos_address_t from, flagos_address_t to, std::uint64_t bytes,
                std::uint8_t conversion = 0);
  // Over ranks [first, last), or the ranks of a list in its order, or two of them.
  PlannedReduction& reduce_range(std::uint32_t last, flagos_address_t own, flagos_address_t target,
                                 std::uint64_t bytes);
  PlannedReduction& reduce_over(const std::vector<std::uint32_t>& ranks, flagos_address_t own,
                                flagos_address_t target, std::uint64_t bytes);
  PlannedReduction& reduce_pair(std::uint32_t low, std::uint32_t high, flagos_address_t own,
                                flagos_address_t target, std::uint64_t bytes);
  PlannedReduction& begin_reduction(flagos_address_t own, flagos_address_t target,
                                    std::uint64_t bytes);
  flagos_address_t source(std::uint64_t offset = 0) const { return source_ + offset; }
  flagos_address_t target(std::uint64_t offset = 0) const { return target_ + offset; }
  // A rank's block of either side.
  flagos_address_t source_block(std::uint32_t rank) const {
    return source(request_.source_offset(rank) * width_);
  }
  flagos_address_t target_block(std::uint32_t rank) const {
    return target(request_.target_offset(rank) * width_);
  }
  std::uint64_t source_bytes(std::uint32_t rank) const {
    return request_.source_count(rank) * width_;
  }
  std::uint64_t target_bytes(std::uint32_t rank) const {
    return request_.target_count(rank) * width_;
  }
  std::uint64_t bytes() const { return count_ * width_; }
  std::uint64_t elements_in(std::uint64_t bytes) const { return bytes / width_; }
  // Calls `each` for rounds of so many elements; once also where there are none.
  template <typename Each>
  void in_rounds(std::uint64_t elements, Each&& each) const {
    std::uint64_t start = 0;
    do {
      const std::uint64_t left = count_ - start;
      const Round round{start, left < elements ? left : elements};
      each(round);
      start += round.count;
    } while (start < count_);
  }

  // ---- direct
  void all_reduce_one_step();
  void all_reduce_slices();
  void reduce();
  void reduce_scatter();
  void scan(std::uint32_t last);
  void broadcast();
  void all_gather();
  void gather();
  void scatter();
  void all_to_all();
  void exchange();
  void copy_from_self(std::size_t index);
  void barrier();
  void make_direct();

  // ---- over other ranks
  void broadcast_slices();
  void broadcast_tree();
  void broadcast_clusters();
  void reduce_slices();
  void reduce_tree();
  void reduce_clusters();
  void all_reduce_tree();
  void all_reduce_ring();
  void all_reduce_clusters();
  void reduce_scatter_ring();
  void reduce_scatter_clusters();
  void all_gather_ring();
  void all_gather_clusters();
  void barrier_tree();
  // What is left to do where the plugins' own collectives work within clusters; see native.hpp.
  void among_clusters();
  // `add` in float32 on scratch memory, in the place of numbers of 8 or 16 bits in the caller's.
  using Add = void (PlanMaker::*)();
  void widened(std::uint64_t blocks, Add add);

  const Request& request_;
  const Topology& topology_;
  const std::uint32_t rank_, size_;
  flagos_address_t source_, target_;
  std::uint64_t count_;
  flagos_dtype_t dtype_;
  std::uint64_t width_;
  const bool is_widened_;
  const flagos_address_t scratch_;
  Plan& plan_;
};

}  // namespace flagos::comm
