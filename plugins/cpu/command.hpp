// What a stream is asked to do, and the queue that holds it. Commands stand one behind the other in
// chunks of bytes that are used again and again: a launch with its arguments is one or a few cache
// lines, and nothing is allocated for it in steady state.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "plugins/cpu/event.hpp"
#include "plugins/cpu/graph.hpp"
#include "plugins/cpu/kernel.hpp"
#include "plugins/cpu/message.hpp"
#include "plugins/cpu/product.hpp"
#include "plugins/cpu/timeline.hpp"
#include "plugins/cpu/value_poller.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

class Communicator;

enum class CommandType : std::uint8_t {
  end_of_chunk,
  launch,
  copy,
  copy_2d,
  fill,
  update,
  prefetch,
  host,
  write_value,
  wait_value,
  record,
  wait_record,
  wait_timeline,
  signal_timeline,
  graph,
  product,
  collective,
  exchange,
  mark
};

struct Command {
  CommandType type;
  std::uint32_t size_bytes;  // of the command with what follows it, a multiple of 64
  std::uint64_t queued_ns;   // 0 while nobody profiles
};

// The argument block stands behind it, aligned to 64 as parameters may ask for.
struct LaunchCommand : Command {
  static constexpr CommandType command_type = CommandType::launch;
  const Kernel* kernel;
  LaunchShape shape;
  std::uint32_t argument_bytes;

  std::byte* arguments() noexcept { return reinterpret_cast<std::byte*>(this) + 64; }
};
static_assert(sizeof(LaunchCommand) <= 64);

struct CopyCommand : Command {
  static constexpr CommandType command_type = CommandType::copy;
  flagos_address_t target;
  flagos_address_t source;
  std::uint64_t bytes;
};

struct Copy2dCommand : Command {
  static constexpr CommandType command_type = CommandType::copy_2d;
  flagos_copy_2d_desc_t desc;
};

struct FillCommand : Command {
  static constexpr CommandType command_type = CommandType::fill;
  flagos_address_t target;
  std::uint64_t bytes;
  std::uint32_t pattern_bytes;
  std::byte pattern[16];
};

// Few bytes stand behind it; many are in a block of their own, so that they need not fit a chunk.
struct UpdateCommand : Command {
  static constexpr CommandType command_type = CommandType::update;
  flagos_address_t target;
  std::uint64_t bytes;
  std::unique_ptr<std::byte[]> data;

  std::byte* source() noexcept {
    return data ? data.get() : reinterpret_cast<std::byte*>(this + 1);
  }
};

struct PrefetchCommand : Command {
  static constexpr CommandType command_type = CommandType::prefetch;
  flagos_address_t address;
  std::uint64_t bytes;
};

struct HostCommand : Command {
  static constexpr CommandType command_type = CommandType::host;
  flagos_host_function_t function;
  void* user_data;
};

struct WriteValueCommand : Command {
  static constexpr CommandType command_type = CommandType::write_value;
  flagos_address_t target;
  std::uint64_t value;
  std::uint32_t bytes;
};

struct WaitValueCommand : Command {
  static constexpr CommandType command_type = CommandType::wait_value;
  ValueCondition condition;
};

struct RecordCommand : Command {
  static constexpr CommandType command_type = CommandType::record;
  RecordRef record;
};

struct WaitRecordCommand : Command {
  static constexpr CommandType command_type = CommandType::wait_record;
  RecordRef record;
};

struct WaitTimelineCommand : Command {
  static constexpr CommandType command_type = CommandType::wait_timeline;
  TimelineRef timeline;
  std::uint64_t value;
};

struct SignalTimelineCommand : Command {
  static constexpr CommandType command_type = CommandType::signal_timeline;
  TimelineRef timeline;
  std::uint64_t value;
};

// Around commands that count as one submission; nobody is told of it.
struct MarkCommand : Command {
  static constexpr CommandType command_type = CommandType::mark;
  bool begins;
};

// One run of a graph; the records of its event nodes were bound when it was launched.
struct GraphCommand : Command {
  static constexpr CommandType command_type = CommandType::graph;
  Graph* graph;
  ProgramRef program;
  std::unique_ptr<RecordRef[]> records;  // one per node where the graph has event nodes
};

// A native operator.
struct ProductCommand : Command {
  static constexpr CommandType command_type = CommandType::product;
  Product product;
};

// An operation of several ranks, and sends and receives; both wait for other ranks.
struct CollectiveCommand : Command {
  static constexpr CommandType command_type = CommandType::collective;
  Communicator* communicator;
  std::uint64_t turn;
  flagos_collective_operation_t operation;
  flagos_collective_desc_t desc;
};
struct ExchangeCommand : Command {
  static constexpr CommandType command_type = CommandType::exchange;
  Communicator* communicator;
  std::size_t count;
  std::unique_ptr<Message[]> messages;
};

// Ends the life of a command, whatever its type.
void destroy_command(Command& command) noexcept;
// As a profiler shows it.
flagos_record_kind_t command_kind(const Command& command) noexcept;
const char* command_name(const Command& command) noexcept;
std::uint64_t command_bytes(const Command& command) noexcept;

// Several producers one at a time (the caller has a lock), one consumer at a time. How many
// commands there are is the stream's to know.
class CommandQueue {
 public:
  static constexpr std::size_t chunk_bytes = 16 * 1024 - 64;
  static constexpr std::size_t max_command_bytes = chunk_bytes;
  static constexpr std::uint32_t spare_limit = 64;

  CommandQueue() = default;
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  static constexpr std::size_t round_up(std::size_t size) { return (size + 63) & ~std::size_t{63}; }

  // Producer. Memory for one command of `size_bytes`, a multiple of 64; it counts once committed.
  bool needs_chunk(std::size_t size_bytes) const noexcept {
    return tail_ == nullptr || tail_offset_ + size_bytes > chunk_bytes;
  }
  void* reserve(std::size_t size_bytes);
  void commit(std::size_t size_bytes) noexcept { tail_offset_ += size_bytes; }

  // Consumer, only while there is a command.
  Command& front() noexcept;
  void pop() noexcept;

  std::uint32_t chunk_count() const noexcept {
    return chunk_count_.load(std::memory_order_relaxed);
  }

 private:
  struct alignas(64) Chunk {
    Chunk* next = nullptr;
    alignas(64) std::byte bytes[chunk_bytes];
  };
  Chunk* take_chunk();
  void recycle(Chunk* chunk) noexcept;

  Chunk* tail_ = nullptr;
  std::size_t tail_offset_ = 0;
  alignas(64) Chunk* head_ = nullptr;
  std::size_t head_offset_ = 0;
  std::atomic<Chunk*> first_{nullptr};  // hands the first chunk to the consumer
  alignas(64) SpinLock spare_lock_;
  Chunk* spare_ = nullptr;
  std::uint32_t spare_count_ = 0;
  std::atomic<std::uint32_t> chunk_count_{0};  // in use
};

}  // namespace flagos::cpu
