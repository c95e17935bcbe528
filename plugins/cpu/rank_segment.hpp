// What the ranks of a communicator share, as threads of one process or as processes of one host: who is there, how far each
// is, what each does, and slots for bytes.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/fence.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

// The name of a segment, random; whoever knows it may join.
struct SegmentId {
  std::array<std::uint8_t, 16> bytes;
};
SegmentId make_segment_id();

// Wakes the threads of a rank that sleep, from any process.
struct alignas(64) RankBell {
  std::atomic<std::uint32_t> count{0};
  std::atomic<std::uint32_t> sleepers{0};

  void ring() noexcept {
    full_fence();
    if (sleepers.load(std::memory_order_relaxed) != 0) ring_always();
  }
  void ring_always() noexcept;
  // Who sleeps, or is about to.
  class Sleeper {
   public:
    explicit Sleeper(RankBell& bell) : bell_(bell) { bell_.sleepers.fetch_add(1); }
    ~Sleeper() { bell_.sleepers.fetch_sub(1); }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

   private:
    RankBell& bell_;
  };
  // Returns at once when the bell has rung since `seen` was read from `count`.
  void sleep(std::uint32_t seen, std::uint64_t most_ns) noexcept;
};

// What a rank says of its operation. Ranks must agree on all but the last four.
struct Announcement {
  std::uint32_t operation = 0;
  flagos_dtype_t dtype = 0;
  std::int32_t reduction = 0;
  std::uint32_t peer = 0;
  std::uint64_t count = 0;
  // of the rank itself
  double scale = 0;
  std::uint64_t source = 0, target = 0;  // where all ranks are in one process
  std::int32_t color = 0, key = 0;  // of a split, with the name of the segment that it would make
  SegmentId id{};
};

struct alignas(64) RankState {
  std::atomic<std::uint32_t> joined{0};   // its process
  std::atomic<std::uint32_t> closed{0};   // it has left
  std::uint64_t process = 0;              // a number of its process, and of those forked from it
  std::uint64_t process_namespace = 0;    // in which `joined` is a process
  std::atomic<std::uint64_t> step{0};     // grows with every phase of an operation
  std::atomic<std::uint32_t> readers{0};  // threads that read buffers of other ranks
  RankBell bell;
  std::array<Announcement, 2> said;  // of this operation and the last one
};

// A message in pieces from one rank to another; two pieces are on their way at most.
struct Piece {
  std::uint64_t message_bytes = 0;
  std::uint64_t bytes = 0;    // of this piece
  std::uint64_t address = 0;  // within a process; else the bytes are in the channel's slot
};
struct alignas(64) Channel {
  static constexpr std::uint32_t depth = 2;
  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) std::atomic<std::uint64_t> read{0};
  std::array<Piece, depth> pieces;
};

struct SegmentHead {
  enum : std::uint32_t { healthy, failing, failed };

  std::atomic<std::uint32_t> size{0};
  std::atomic<std::uint32_t> joined{0};  // how many ranks
  // The first failure; text and status are there when it is `failed`.
  std::atomic<std::uint32_t> failure{healthy};
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::array<char, 240> text{};
};

class SegmentFile;
class SegmentMemory;

class RankSegment {
 public:
  static constexpr std::uint32_t most_ranks = 128;
  static constexpr std::uint64_t slot_bytes = 256 << 10;  // of a rank, twice
  static constexpr std::uint64_t piece_bytes = 64 << 10;  // of a channel, twice

  // Waits until all have joined. Throws INVALID_ARGUMENT for what ranks do not agree on, COMM_TIMEOUT.
  RankSegment(const SegmentId& id, std::uint32_t rank, std::uint32_t size,
              const Deadline& deadline);
  ~RankSegment();
  RankSegment(const RankSegment&) = delete;
  RankSegment& operator=(const RankSegment&) = delete;

  std::uint32_t size() const noexcept { return size_; }
  // Of all ranks at once: they read each other's memory.
  bool is_one_process() const noexcept { return is_one_process_; }
  bool is_own_process(std::uint32_t rank) noexcept {
    return state(rank).process == state(rank_).process &&
           state(rank).joined.load() == state(rank_).joined.load();
  }

  SegmentHead& head() noexcept { return *reinterpret_cast<SegmentHead*>(memory_); }
  RankState& state(std::uint32_t rank) noexcept { return at<RankState>(states_)[rank]; }
  Channel& channel(std::uint32_t from, std::uint32_t to) noexcept {
    return at<Channel>(channels_)[from * size_ + to];
  }
  std::byte* slot(std::uint32_t rank, std::uint64_t parity) noexcept {
    return memory_ + slots_ + (rank * 2 + parity % 2) * slot_bytes;
  }
  std::byte* piece(std::uint32_t from, std::uint32_t to, std::uint64_t index) noexcept {
    return memory_ + pieces_ +
           ((from * size_ + to) * Channel::depth + index % Channel::depth) * piece_bytes;
  }

  // The first one counts; all ranks are woken.
  void fail(flagos_status_t status, const std::string& text) noexcept;
  bool has_failed() noexcept {
    return head().failure.load(std::memory_order_seq_cst) == SegmentHead::failed;
  }
  void wake_all() noexcept;
  bool has_left(std::uint32_t rank) noexcept {
    return state(rank).closed.load(std::memory_order_acquire) != 0;
  }
  // The process of a rank has ended.
  bool is_dead(std::uint32_t rank) noexcept;

 private:
  template <typename T>
  T* at(std::uint64_t offset) noexcept {
    return reinterpret_cast<T*>(memory_ + offset);
  }
  void place();
  void enter(SegmentFile& file);
  void wait_for_all(SegmentFile& file, const Deadline& deadline);
  void look_at_ranks();
  std::string missing();

  const std::uint32_t rank_, size_;
  std::uint64_t states_ = 0, channels_ = 0, slots_ = 0, pieces_ = 0, bytes_ = 0;
  std::shared_ptr<SegmentMemory> shared_;
  std::byte* memory_ = nullptr;  // its own
  bool is_one_process_ = true;
  std::unique_ptr<int[]>
      processes_;  // descriptors of other ranks' processes; -1 where there is none
};

}  // namespace flagos::cpu
