// What the cases about memory, copies, fills and streams share: allocations without canaries,
// ordinary host memory with them, a second open of the device, and short forms of the calls.
#pragma once

#include <flagos.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance::data {

// Longer than anything here takes on a machine that is twenty times slower; a wait that reaches it
// is a hang.
inline constexpr std::uint64_t kPatienceNs = 60'000'000'000;
inline constexpr std::uint64_t kKib = 1024;
inline constexpr std::uint64_t kMib = 1024 * kKib;
inline constexpr std::uint64_t kGib = 1024 * kMib;

inline flagos_address_t host(const void* pointer) {
  return static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

flagos_memory_desc_t memory_desc(std::uint64_t size,
                                 flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE,
                                 std::uint64_t alignment = 0, std::uint64_t flags = 0);

// ---- calls that are expected to succeed
// ------------------------------------------------------------------------------

void copy(Context& t, flagos_stream_t* stream, flagos_address_t target, flagos_address_t source,
          std::uint64_t size);

template <typename Pattern>
void fill(Context& t, flagos_stream_t* stream, flagos_address_t target, Pattern pattern,
          std::uint64_t size) {
  t.ok(flagos_memory_fill(stream, target, &pattern, sizeof pattern, size),
       "fill of " + std::to_string(size) + " bytes");
}

// Launches target[i] = source[i] + addend for `count` 32-bit words.
void add_words(Context& t, flagos_stream_t* stream, flagos_address_t target,
               flagos_address_t source, std::uint32_t addend, std::uint32_t count);

void synchronize(Context& t, flagos_stream_t* stream);
void record(Context& t, flagos_event_t* event, flagos_stream_t* stream);
void wait_event(Context& t, flagos_stream_t* stream, flagos_event_t* event);

// Copies and waits.
void write(Context& t, flagos_stream_t* stream, flagos_address_t target,
           std::span<const std::uint8_t> bytes);
std::vector<std::uint8_t> read(Context& t, flagos_stream_t* stream, flagos_address_t source,
                               std::uint64_t size);

bool complete(Context& t, flagos_stream_t* stream);
bool complete(Context& t, flagos_event_t* event);
// The stream is still held by its blocker: what was called before has returned without waiting for
// it.
void check_held(Context& t, flagos_stream_t* stream, const std::string& what);

std::uint64_t free_bytes(Context& t);

// ---- what a case needs
// ---------------------------------------------------------------------------------------------

// Submission returns before the work is done; else no case may hold a stream.
void require_async(Context& t);
// Work of one stream runs while another one is held.
void require_concurrent(Context& t);

// ---- data
// ------------------------------------------------------------------------------------------------------------

// Random bytes, fast enough for large buffers.
std::vector<std::uint8_t> noise(Context& t, std::uint64_t size);
// equal_bytes without a digest for large blocks.
void same(Context& t, std::span<const std::uint8_t> actual, std::span<const std::uint8_t> expected,
          const std::string& what);
// All of them have this value.
void all_are(Context& t, std::span<const std::uint8_t> bytes, std::uint8_t value,
             const std::string& what);

template <typename Value>
std::span<const std::uint8_t> bytes_of(const Value& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}
template <typename Value>
std::span<const std::uint8_t> bytes_of(const std::vector<Value>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(Value)};
}

// The 32-bit words of a block.
std::vector<std::uint32_t> words(std::span<const std::uint8_t> bytes);

// ---- owners
// ----------------------------------------------------------------------------------------------------------

// An allocation without canaries, for cases about the allocator itself.
class Memory {
 public:
  Memory(Context& t, std::uint64_t size, flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE,
         std::uint64_t alignment = 0, std::uint64_t flags = 0);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  flagos_address_t address(std::uint64_t offset = 0) const { return address_ + offset; }
  std::uint64_t size() const { return size_; }
  void free();                 // checks OK
  flagos_address_t release();  // the caller frees it

 private:
  Context& t_;
  flagos_address_t address_ = 0;
  std::uint64_t size_;
};

// The device under test opened once more: its objects and memory are foreign to t.device().
class OtherDevice {
 public:
  explicit OtherDevice(Context& t);
  ~OtherDevice();
  OtherDevice(const OtherDevice&) = delete;
  OtherDevice& operator=(const OtherDevice&) = delete;
  operator flagos_device_t*() const { return device_; }
  void close();  // checks OK: nothing of it lives

 private:
  Context& t_;
  flagos_device_t* device_ = nullptr;
};

// A stream of a given open device.
class DeviceStream {
 public:
  DeviceStream(Context& t, flagos_device_t* device);
  ~DeviceStream();
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;
  operator flagos_stream_t*() const { return stream_; }

 private:
  flagos_stream_t* stream_ = nullptr;
};

// One end of a copy: device, pinned or managed memory, or with kind UNKNOWN ordinary host memory.
// Between canaries.
class Side {
 public:
  Side(Context& t, flagos_memory_kind_t kind, std::uint64_t size);
  ~Side() noexcept(false);  // a buffer checks its canaries at the end
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  flagos_address_t address(std::uint64_t offset = 0) const;
  void set(std::span<const std::uint8_t> bytes);
  std::vector<std::uint8_t> get();
  void verify();  // the canaries

 private:
  Context& t_;
  std::uint64_t size_;
  Buffer* buffer_ = nullptr;  // ours; a smart pointer would turn its throw into a crash
  std::vector<std::uint8_t> host_;
};

const char* kind_name(flagos_memory_kind_t kind);
// The kinds of memory that a copy can touch here: host, device, and what the device has of pinned
// and managed.
std::vector<flagos_memory_kind_t> copy_kinds(Context& t);

// An allocation that carries a tag in its first and last word, to see whether it keeps them.
struct Block {
  flagos_address_t address = 0;
  std::uint64_t size = 0;  // at least 4
  std::uint32_t tag = 0;
};
Block alloc_block(Context& t, std::uint64_t size, std::uint32_t tag,
                  flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE);
void stamp(Context& t, flagos_stream_t* stream, const Block& block);
void check_blocks(Context& t, flagos_stream_t* stream, std::span<const Block> blocks);
void free_blocks(Context& t, std::span<const Block> blocks);
void check_disjoint(Context& t, std::vector<Block> blocks);
inline bool overlap(flagos_address_t a, std::uint64_t a_size, flagos_address_t b,
                    std::uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
}

// The plugin in a process of its own, for helpers: `ready` says whether it opened.
class HelperDevice {
 public:
  explicit HelperDevice(const Helper& helper);
  ~HelperDevice();
  HelperDevice(const HelperDevice&) = delete;
  HelperDevice& operator=(const HelperDevice&) = delete;
  bool ready() const { return stream_ != nullptr; }
  flagos_device_t* device() const { return device_; }
  flagos_stream_t* stream() const { return stream_; }

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
};

}  // namespace flagos::conformance::data
