// Bytes on their way: the slots of this rank's segment, and copies between them and memory that the host does not reach.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/client.hpp"
#include "comm/device_reduction.hpp"
#include "comm/operation.hpp"
#include "comm/peer.hpp"

namespace flagos::comm {

class Staging {
 public:
  static constexpr std::uint64_t slot_bytes = Segment::slot_bytes;
  static constexpr int none = -1;

  // Over slots [first, first + count) of the segment.
  Staging(flagos_device_t* device, std::shared_ptr<Segment> segment, std::uint32_t size,
          std::uint32_t first, std::uint32_t count);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  flagos_device_t* device() const { return device_; }
  // Whether the host does not reach memory of the device.
  bool is_remote() const { return !host_addresses_; }
  // Whether the host reads and writes what is there.
  bool reaches(flagos_address_t address) const;
  // Throws when a range ends past its allocation, or is in nobody's memory.
  Allocation check_range(flagos_address_t address, std::uint64_t bytes, const char* what) const;
  // Throws when what was found then is not there any more.
  void check_still_there(const Allocation& allocation) const;

  // A slot that nobody uses; `none` when all are in use. Slots for what goes out and for what comes in are apart, so that
  // neither starves the other.
  int take_outgoing();
  int take_incoming();
  void give_back(int slot) { slots_[slot].state = State::free; }
  std::byte* data(int slot) { return segment_->slot(first_ + static_cast<std::uint32_t>(slot)); }
  std::uint64_t offset(int slot) { return segment_->offset_of(data(slot)); }

  // From memory to a slot; done when has_arrived() says so.
  void fetch(int slot, flagos_address_t address, std::uint64_t bytes);
  // From a slot to memory; the slot is given back when it is done.
  void store(int slot, flagos_address_t address, std::uint64_t bytes);
  bool has_arrived(int slot);
  // The slot is read by a peer until it has consumed its entry of that number.
  void lend(int slot, Peer& peer, std::uint32_t number);

  // Between two places of which the host does not reach both; done when is_settled() says so.
  void copy(flagos_address_t from, flagos_address_t to, std::uint64_t bytes);

  // The device reduces in the place of the host where that is faster, or always if so configured.
  void prepare_reductions(Reducer wanted);
  bool may_reduce() const { return reduction_ != nullptr; }
  // Whether kernels of the device reach what lies there.
  bool is_with_device(flagos_address_t address) const;
  // The kernel to reduce so much with; nullptr when the host does it.
  const DeviceReduction::Kernel* reducer(const Reduction& reduction, std::uint32_t sources,
                                         std::uint64_t bytes) const;
  // What other ranks have sent, a slot of it each, where kernels of the device read it.
  flagos_address_t part(std::uint32_t index);
  // Done when is_settled() says so.
  void launch(const ReductionLaunch& reduction);
  std::uint64_t launches() const { return launches_.load(std::memory_order_relaxed); }

  // Whether all stores and copies are done.
  bool is_settled();

 private:
  enum class State { free, used, lent, storing };
  struct Lent {
    Peer* peer;
    std::uint32_t number;
  };
  struct Slot {
    State state = State::free;
    flagos_event_t* event = nullptr;
    std::vector<Lent> lent;
  };

  void prepare_device();
  void record_copied();
  bool is_complete(flagos_event_t* event);

  flagos_device_t* device_;
  std::shared_ptr<Segment> segment_;
  bool host_addresses_ = false;
  bool registered_ = false;
  flagos_stream_t* stream_ = nullptr;
  flagos_event_t* copied_ = nullptr;
  bool copying_ = false;
  Reducer reducer_ = Reducer::host;
  DeviceReduction* reduction_ = nullptr;  // stays with the device
  flagos_address_t parts_ = 0;
  std::atomic<std::uint64_t> launches_{0};
  const std::uint32_t first_;
  std::vector<Slot> slots_;
  const std::size_t outgoing_;  // how many of them are for what goes out
};

// Where the host finds what it reaches.
inline std::byte* host(flagos_address_t address) {
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

// Whether the host reads and writes memory of the device.
bool has_host_addresses(flagos_device_t* device);

}  // namespace flagos::comm
