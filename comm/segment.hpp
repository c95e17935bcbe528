// The memory that a rank shares with the others: its bell, what became of it, its rings to them, and slots for bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "comm/channel.hpp"

namespace flagos::comm {

// Who a segment belongs to and how it is reached; sent to the other ranks.
struct SegmentName {
  std::uint64_t id;  // random; the same process finds the segment by it
  std::uint64_t bytes;
  std::int32_t pid;
  std::int32_t fd;  // of the memory, in that process
  std::uint64_t pid_namespace;
  std::array<std::uint8_t, 16> boot;  // of the host
};

// What a segment starts with.
struct SegmentHead {
  static constexpr std::uint64_t magic_value = 0x31676573736f676c;
  std::uint64_t magic = magic_value;
  std::uint32_t rank = 0;
  std::uint32_t size = 0;
  std::atomic<std::uint32_t> closed{0};   // the rank has left
  std::atomic<std::uint32_t> stopped{0};  // it has failed, and reads nobody's memory any more
  Bell bell;
  Questions questions;
  Failure failure;
};

class Segment {
 public:
  static constexpr std::uint64_t slot_bytes = 256 << 10;
  static constexpr std::uint32_t slot_count = 24;
  // The first ones are for operations of all ranks, the others for one-sided ones, so that neither waits for the other.
  static constexpr std::uint32_t collective_slots = 16;
  static constexpr std::uint32_t lanes = 2;

  // One of this rank, for `size` ranks.
  static std::shared_ptr<Segment> create(std::uint32_t rank, std::uint32_t size);
  // Another rank's. Throws when it cannot be reached.
  static std::shared_ptr<Segment> open(const SegmentName& name, std::uint32_t rank,
                                       std::uint32_t size);

  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const SegmentName& name() const { return name_; }
  SegmentHead& head() { return *reinterpret_cast<SegmentHead*>(memory_); }
  // From the owner to `rank`; one for operations of all ranks, one for one-sided ones.
  Ring& ring(std::uint32_t rank, std::uint32_t lane = 0) {
    return reinterpret_cast<Ring*>(memory_ + rings_offset())[lane * size_ + rank];
  }
  std::byte* slot(std::uint32_t index) { return memory_ + slots_offset_ + index * slot_bytes; }
  std::uint64_t offset_of(const void* pointer) const {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(pointer) - memory_);
  }
  // The bytes in the slots at an offset that another process gave; nullptr when they are not within the slots.
  const std::byte* at(std::uint64_t offset, std::uint64_t bytes) const;

  // Whether a rank with this name is on this host, and in this process.
  static bool same_host(const SegmentName& name);
  static bool same_process(const SegmentName& name);

 private:
  Segment() = default;
  static std::uint64_t rings_offset();
  static std::uint64_t slots_offset(std::uint32_t size);
  void map(int fd, std::uint32_t size);

  SegmentName name_{};
  int fd_ = -1;
  std::uint32_t size_ = 0;
  std::byte* memory_ = nullptr;
  std::uint64_t slots_offset_ = 0;
};

}  // namespace flagos::comm
