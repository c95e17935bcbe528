// One operation of one rank, as it waits in the queue: what the caller asked for, checked.
#pragma once

#include <flagos_comm.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/reduce/reduce.hpp"
#include "comm/channel.hpp"

namespace flagos::comm {

// Memory of the runtime that a call names, as it was at the call; of other memory base is 0.
struct Allocation {
  flagos_address_t address = 0;
  flagos_address_t base = 0;
  std::uint64_t size_bytes = 0;
};

// A send or receive of an exchange.
struct Message {
  bool is_send = false;
  std::uint32_t peer = 0;
  flagos_address_t address = 0;
  std::uint64_t count = 0;
  flagos_dtype_t dtype = 0;
  Allocation memory{};
};

// The caller's words, without arrays: most operations have none.
struct Words {
  Kind kind = Kind::none;
  flagos_stream_t* stream = nullptr;
  flagos_address_t source = 0;
  flagos_address_t target = 0;
  std::uint64_t count = 0;
  flagos_dtype_t dtype = 0;
  flagos_comm_reduction_t reduction = 0;
  std::uint32_t root = 0;
  bool has_counts = false;  // a `v` operation: blocks of their own sizes
  // One-sided: with `root`, in its part of the window; `count` is bytes, or signals.
  flagos_comm_window_t window = 0;
  std::uint64_t offset = 0;
  Allocation source_memory, target_memory;
  // Of an operation whose other parts the plugins' own collectives do: whether what this rank has is the result of its cluster.
  bool is_of_cluster = false;
};

struct Request : Words {
  // [size] each, in elements, of a `v` operation; without them blocks are equal and lie one behind the other.
  std::vector<std::uint64_t> source_counts, source_offsets, target_counts, target_offsets;
  std::vector<Message> messages;
  // The ranks that do something, if not all.
  std::vector<std::uint32_t> taking_part;

  // A rank's block of either side.
  std::uint64_t source_count(std::uint32_t rank) const {
    return source_counts.empty() ? count : source_counts[rank];
  }
  std::uint64_t source_offset(std::uint32_t rank) const {
    return source_offsets.empty() ? rank * count : source_offsets[rank];
  }
  std::uint64_t target_count(std::uint32_t rank) const {
    return target_counts.empty() ? count : target_counts[rank];
  }
  std::uint64_t target_offset(std::uint32_t rank) const {
    return target_offsets.empty() ? rank * count : target_offsets[rank];
  }

  // Empty again; keeps the memory of the arrays.
  void clear();
  // As an assignment, which costs more where there are no arrays.
  void copy(const Request& other);
};

// How much it moves among `size` ranks: all blocks of the side that has more of them, or all messages.
std::uint64_t bytes_of(const Request& request, std::uint32_t size);

struct Operation {
  Request request;
  Reduction reduction;
  double scale = 1;
  std::uint64_t bytes = 0;  // that it moves
  std::uint64_t sequence = 0;
  std::uint64_t value = 0;  // of the communicator's timeline when it is done; 0: nobody waits there
  std::atomic<bool> ready{false};  // the stream has arrived
  flagos_status_t stream_status = FLAGOS_STATUS_OK;
  class Communicator* owner =
      nullptr;            // nullptr when that is gone and a stream or a graph still knows this
  bool awaited = false;   // a stream will tell that it has arrived
  bool recorded = false;  // belongs to a graph: runs many times, one after the other
  std::mutex running;
  std::atomic<std::uint32_t> runs{0};
  Operation* next = nullptr;
};

// "all_reduce #7"
std::string describe(const Operation& operation);

struct Range {
  flagos_address_t start = 0;
  std::uint64_t bytes = 0;
};
// What this rank reads and writes.
void used_ranges(const Request& request, std::uint32_t rank, std::uint32_t size, Range& source,
                 Range& target);

// What a rank sends to itself in a group it must receive there, in the same order. Throws.
void check_messages_to_self(const Request& request, std::uint32_t rank);

// Checks a request against the communicator and fills the offsets of blocks that the caller left out. Throws.
void check_request(Request& request, std::uint32_t rank, std::uint32_t size);

}  // namespace flagos::comm
