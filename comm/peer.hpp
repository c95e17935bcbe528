// Another rank, as this one sees it: the rings in both directions and how far they are used.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>

#include "comm/segment.hpp"

namespace flagos::comm {

struct Peer {
  std::uint32_t rank = 0;
  std::shared_ptr<Segment>
      segment;          // the peer's; of a peer that is reached by a network, a stand-in for it
  Ring* out = nullptr;  // in our segment
  Ring* in = nullptr;   // in the peer's
  bool takes_pointers = false;  // reads our memory, not only our segment
  bool gives_pointers = false;
  int process = -1;   // a descriptor of its process; -1 when it is this one's, or on another host
  int doorbell = -1;  // of the thread that stands in for a remote rank
  std::atomic<std::uint32_t>* sleeping = nullptr;  // whether that thread sleeps
  std::uint32_t written = 0;                       // entries of `out`
  std::uint32_t taken = 0;                         // entries of `in`
  std::uint32_t seen_consumed = 0;
  std::uint64_t messages_sent = 0;  // of exchanges
  std::uint64_t messages_received = 0;

  bool has_room() {
    if (written - seen_consumed < Ring::entry_count) return true;
    seen_consumed = out->consumed.load(std::memory_order_acquire);
    return written - seen_consumed < Ring::entry_count;
  }
  // Whether the peer is done with all entries up to the number.
  bool is_consumed(std::uint32_t number) {
    if (static_cast<std::int32_t>(seen_consumed - number) >= 0) return true;
    seen_consumed = out->consumed.load(std::memory_order_acquire);
    return static_cast<std::int32_t>(seen_consumed - number) >= 0;
  }
  Entry& next_out() { return out->entries[written % Ring::entry_count]; }
  // Hands the entry over; it has a number from 1 on.
  std::uint32_t push() {
    Entry& entry = next_out();
    ++written;
    entry.stamp.store(written, std::memory_order_release);
    wake();
    return written;
  }
  void wake() {
    if (sleeping == nullptr) return segment->head().bell.ring();
    full_fence();
    const std::uint64_t one = 1;
    if (sleeping->load(std::memory_order_relaxed) != 0)
      static_cast<void>(!::write(doorbell, &one, sizeof(one)));
  }
  // Also who sleeps with nothing to do.
  void wake_always() const {
    if (sleeping == nullptr) return segment->head().bell.ring_always();
    const std::uint64_t one = 1;
    static_cast<void>(!::write(doorbell, &one, sizeof(one)));
  }
  // The oldest entry that was not consumed; nullptr when there is none.
  const Entry* front() const {
    const Entry& entry = in->entries[taken % Ring::entry_count];
    return entry.stamp.load(std::memory_order_acquire) == taken + 1 ? &entry : nullptr;
  }
  void pop() {
    ++taken;
    in->consumed.store(taken, std::memory_order_release);
    wake();
  }
};

}  // namespace flagos::comm
