// How two ranks talk: a ring of entries for each direction, written by one of them and read by the other, in memory that
// both reach. Every transport is a way to have such rings.
#pragma once

#include <flagos_comm.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/fence.hpp"

namespace flagos::comm {

// What an operation does; travels with its messages.
enum class Kind : std::uint8_t {
  none,
  all_reduce,
  reduce,
  reduce_scatter,
  scan,
  exclusive_scan,
  broadcast,
  all_gather,
  gather,
  scatter,
  all_to_all,
  barrier,
  exchange,  // sends and receives
  put,       // from here on one-sided: no other rank calls
  get,
  signal,
  wait_signal,
};
inline bool is_one_sided(Kind kind) { return kind >= Kind::put; }
const char* name_of(Kind kind);

// What two ranks must agree on, and what the receiver needs to know of the sender.
struct Header {
  std::uint64_t sequence =
      0;  // of the operation in the communicator; of the message between the two for an exchange
  std::uint64_t count = 0;  // as the caller said it; 0 where ranks may differ
  std::uint64_t bytes = 0;  // of this message
  double scale = 1;         // of a premultiplied sum
  std::int32_t root = -1;
  flagos_dtype_t dtype = 0;
  Kind kind = Kind::none;
  std::uint8_t reduction = 0;
  std::uint8_t phase = 0;
  std::uint8_t padding = 0;
};
static_assert(sizeof(Header) == 48);

// Where the bytes of an entry are.
enum class Place : std::uint32_t {
  inside,   // in the entry
  slot,     // in the sender's segment, `where` bytes from its start
  pointer,  // at an address of this process
};

inline constexpr std::uint32_t inside_bytes = 184;

struct alignas(64) Entry {
  std::atomic<std::uint32_t> stamp{0};  // its number in the ring, from 1; written last
  Place place = Place::inside;
  std::uint64_t bytes = 0;
  std::uint64_t where = 0;
  Header header;  // of the message that the entry is a part of
  std::array<std::byte, inside_bytes> data;
};
static_assert(sizeof(Entry) == 256);

struct Ring {
  static constexpr std::uint32_t entry_count = 16;

  alignas(64) std::atomic<std::uint32_t> consumed{0};  // how many entries the reader is done with
  std::array<Entry, entry_count> entries;
};

// Wakes a thread that sleeps, of this process or of another.
struct alignas(64) Bell {
  std::atomic<std::uint32_t> count{0};
  std::atomic<std::uint32_t> sleeping{0};

  // After what the sleeper waits for has been written.
  void ring() {
    full_fence();
    if (sleeping.load(std::memory_order_relaxed) != 0) ring_always();
  }
  void ring_always();
  // Returns at once when the bell has rung since `seen` was read from `count`.
  void wait(std::uint32_t seen, std::uint64_t timeout_ns);
};

// Why a rank gave up; read by the others.
struct Failure {
  enum : std::uint32_t { none, writing, set };
  std::atomic<std::uint32_t> state{none};
  flagos_status_t status = FLAGOS_STATUS_OK;
  bool lacks_operation = false;  // written by a transport, which does not know what runs
  std::array<char, 504> text{};
};

// What a rank says when it is asked what it waits for.
struct Answer {
  enum class State : std::uint8_t {
    idle,    // no operation is under way
    stream,  // the next operation waits for the caller's stream
    device,  // the operation waits for the rank's own device, or is being worked on
    peer,    // it waits for the rank `awaited`
  };
  State state = State::idle;
  Kind kind = Kind::none;
  std::uint32_t awaited = 0;
  std::uint64_t sequence = 0;  // of the operation; when idle, of the next one
};

// Other ranks ask in here what the owner waits for, and find what it last answered. Nobody waits in any of these calls.
struct alignas(64) Questions {
  std::atomic<std::uint32_t> asked{0}, answered{0};

  // The number of the question; the owner's bell must be rung.
  std::uint32_t ask() { return asked.fetch_add(1, std::memory_order_acq_rel) + 1; }
  // By the owner alone.
  void answer(std::uint32_t number, const Answer& answer);
  // Whether the question of that number was answered.
  bool read(std::uint32_t number, Answer& out) const;

 private:
  std::atomic<std::uint32_t> version_{0};  // odd while an answer is written
  std::atomic<std::uint64_t> what_{0}, sequence_{0};
};

}  // namespace flagos::comm
