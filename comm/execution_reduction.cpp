// The reductions of operations: by the host, into memory that it reaches or over slots, or by the device itself.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"
#include "comm/execution.hpp"

namespace flagos::comm {

void Execution::begin_reduction(const PlannedReduction& reduction) {
  reduction_ = ReductionState{};
  if (reduction.source_count == 0) return;
  reduction_.is_done = false;
  for (std::uint32_t i = 0; i < reduction.source_count; ++i) {
    cursors_[i] = Cursor{};
    if (source_rank(reduction, i) != rank_) continue;
    reduction_.own_index = i;
    scales_[i] = reduction.own_is_partial ? 1 : operation_->scale;
  }
  reduction_.own_reached =
      reduction.bytes == 0 || reduction_.own_index == no_own || staging_.reaches(reduction.own);
  reduction_.target_reached = reduction.bytes == 0 || staging_.reaches(reduction.target);
  reduction_.reduction = operation_->reduction;
  reduction_.reduction.dtype = reduction.dtype;
  // An average is a sum until the end.
  if (!reduction.is_final && reduction_.reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE)
    reduction_.reduction.kind = FLAGOS_COMM_REDUCTION_SUM;
  choose_reducer(reduction);
}

// On the device only what starts and ends there.
void Execution::choose_reducer(const PlannedReduction& reduction) {
  if (!staging_.may_reduce() || reduction.bytes == 0 || reduction_.own_index == no_own ||
      !staging_.is_with_device(reduction.own) || !staging_.is_with_device(reduction.target))
    return;
  reduction_.kernel =
      staging_.reducer(reduction_.reduction, reduction.source_count, reduction.bytes);
  if (reduction_.kernel == nullptr) return;
  reduction_.own_reached = true;  // by the kernel, where it is
  reduction_.target_reached = false;
}

// Brings our own contribution to where the host can read it.
bool Execution::step_own(const PlannedReduction& reduction) {
  bool moved = false;
  while (reduction_.slot_count < 2 && reduction_.fetched < reduction.bytes) {
    const int slot = staging_.take_incoming();
    if (slot == Staging::none) break;
    const std::uint64_t bytes = std::min(Staging::slot_bytes, reduction.bytes - reduction_.fetched);
    staging_.fetch(slot, reduction.own + reduction_.fetched, bytes);
    reduction_.fetched += bytes;
    reduction_.slots[reduction_.slot_count++] = {slot, bytes, 0};
    moved = true;
  }
  return moved;
}

// Whether all contributions have bytes, and how many all of them have.
bool Execution::gather_sources(const PlannedReduction& reduction, std::uint64_t& out_bytes) {
  bool all = true;
  out_bytes = std::min(reduction.bytes - reduction_.done, piece_bytes);
  for (std::uint32_t i = 0; i < reduction.source_count; ++i) {
    if (i == reduction_.own_index) continue;
    Cursor& cursor = cursors_[i];
    if (cursor.available == 0) {
      Peer& peer = peers_[source_rank(reduction, i)];
      const Entry* const entry = peer.front();
      if (entry == nullptr) {
        all = false;
        continue;
      }
      if (!cursor.has_begun) check_header(entry->header, peer, reduction.bytes, -1);
      cursor.has_begun = true;
      scales_[i] = entry->header.scale;
      const std::uint64_t size = entry->bytes;
      if (size > reduction.bytes - reduction_.done || size % dtype_bytes(reduction.dtype) != 0)
        throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: rank {} sent {} bytes where {} were left",
                    describe(*operation_), peer.rank, size, reduction.bytes - reduction_.done);
      if (size != 0) cursor.data = data_of(*entry, peer, size);
      cursor.available = size;
    }
    sources_[i] = cursor.data;
    out_bytes = std::min(out_bytes, cursor.available);
  }
  if (reduction_.own_index != no_own) {
    const void*& own_source = sources_[reduction_.own_index];
    if (reduction_.own_reached) {
      own_source = host(reduction.own + reduction_.done);
    } else if (reduction_.slot_count == 0 || !staging_.has_arrived(reduction_.slots[0].slot)) {
      all &= reduction.bytes == 0;
    } else {
      const ReductionState::Own& own = reduction_.slots[0];
      own_source = staging_.data(own.slot) + own.used;
      out_bytes = std::min(out_bytes, own.bytes - own.used);
    }
  }
  const std::uint64_t limit = gate_limit(reduction.gate, reduction.bytes);
  out_bytes = std::min(out_bytes, limit - std::min(limit, reduction_.done));
  return all;
}

void Execution::release_sources(const PlannedReduction& reduction, std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < reduction.source_count; ++i) {
    if (i == reduction_.own_index) continue;
    Cursor& cursor = cursors_[i];
    cursor.available -= bytes;
    cursor.data += bytes;
    if (cursor.available == 0) peers_[source_rank(reduction, i)].pop();
  }
}

// Reduces into memory that the host reaches, or into a slot that goes to the device from there.
bool Execution::write_result(const PlannedReduction& reduction, std::uint64_t bytes) {
  const bool has_own_slot = reduction_.own_index != no_own && !reduction_.own_reached;
  const flagos_address_t target = reduction.target + reduction_.done;
  int slot = Staging::none;
  void* result = host(target);
  if (!reduction_.target_reached) {
    if (has_own_slot) {
      result = const_cast<void*>(sources_[reduction_.own_index]);
    } else {
      slot = staging_.take_incoming();
      if (slot == Staging::none) return false;
      result = staging_.data(slot);
    }
  }
  const std::uint32_t width = dtype_bytes(reduction.dtype);
  reduce(reduction_.reduction, reduction.source_count, sources_.data(), scales_.data(),
         reduction.divisor, result, bytes / width);
  if (slot != Staging::none) staging_.store(slot, target, bytes);
  if (!has_own_slot) return true;
  ReductionState::Own& own = reduction_.slots[0];
  own.used += bytes;
  if (own.used < own.bytes) return true;
  if (reduction_.target_reached) {
    staging_.give_back(own.slot);
  } else {
    staging_.store(own.slot, target + bytes - own.bytes, own.bytes);
  }
  reduction_.slots[0] = reduction_.slots[1];
  --reduction_.slot_count;
  return true;
}

// What the others sent goes to the device over slots, and a kernel adds it to what is there. The stream keeps the order, so
// that the next piece may use the same memory.
bool Execution::reduce_on_device(const PlannedReduction& reduction, std::uint64_t bytes) {
  std::array<int, most_kernel_sources> slots{};
  const std::uint32_t others = reduction.source_count - 1;
  for (std::uint32_t i = 0; i < others; ++i) {
    slots[i] = staging_.take_incoming();
    if (slots[i] != Staging::none) continue;
    while (i > 0) staging_.give_back(slots[--i]);
    return false;
  }
  ReductionLaunch launch(*reduction_.kernel, reduction.target + reduction_.done);
  std::uint32_t part = 0;
  for (std::uint32_t i = 0; i < reduction.source_count; ++i) {
    if (i == reduction_.own_index) {
      launch.add_source(reduction.own + reduction_.done);
      continue;
    }
    std::memcpy(staging_.data(slots[part]), sources_[i], bytes);
    staging_.store(slots[part], staging_.part(part), bytes);
    launch.add_source(staging_.part(part++));
  }
  launch.finish(reduction_.reduction, reduction.source_count, bytes, scales_.data(),
                reduction.divisor);
  staging_.launch(launch);
  return true;
}

bool Execution::step_reduction() {
  const PlannedReduction& reduction = plan_.phases[phase_].reduction;
  bool moved = false;
  while (!reduction_.is_done) {
    if (!reduction_.own_reached) moved |= step_own(reduction);
    std::uint64_t bytes = 0;
    if (!gather_sources(reduction, bytes)) break;
    if (bytes == 0 && reduction_.done < reduction.bytes) break;
    if (!reduction_.target_reached) bytes = std::min(bytes, Staging::slot_bytes);
    if (bytes != 0 && !(reduction_.kernel != nullptr ? reduce_on_device(reduction, bytes)
                                                     : write_result(reduction, bytes)))
      break;
    release_sources(reduction, bytes);
    reduction_.done += bytes;
    reduction_.is_done = reduction_.done == reduction.bytes;
    moved = true;
    if (bytes == piece_bytes) break;
  }
  return moved;
}

}  // namespace flagos::comm
