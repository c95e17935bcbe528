// Owners that cases use: streams, events, guarded memory, a stream blocker, and launches.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <utility>

#include "conformance/context_state.hpp"
#include "conformance/holding_grid.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint64_t wait_ns = 60'000'000'000;
constexpr std::uint64_t canary_size = 65536;
constexpr std::uint8_t canary = 0x5c;
// Large buffers are poisoned piece by piece, so that the host needs no second copy of them.
constexpr std::uint64_t piece_size = 16u << 20;

flagos_address_t allocate(Context& t, std::uint64_t size, flagos_memory_kind_t kind) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size;
  flagos_address_t address = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &address),
       fmt::format("flagos_memory_alloc of {} bytes of kind {}", size, kind));
  return address;
}

flagos_address_t host_address(const void* pointer) {
  return static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

void* host_pointer(flagos_address_t address) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}

bool is_host_pointer(flagos_memory_kind_t kind) {
  return kind == FLAGOS_MEMORY_KIND_PINNED || kind == FLAGOS_MEMORY_KIND_MANAGED;
}

void put(Context& t, flagos_memory_kind_t kind, flagos_address_t target,
         std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  if (is_host_pointer(kind)) {
    std::memcpy(host_pointer(target), bytes.data(), bytes.size());
  } else {
    copy_and_wait(t, target, host_address(bytes.data()), bytes.size());
  }
}

std::vector<std::uint8_t> get(Context& t, flagos_memory_kind_t kind, flagos_address_t source,
                              std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size);
  if (size == 0) return bytes;
  if (is_host_pointer(kind)) {
    std::memcpy(bytes.data(), host_pointer(source), size);
  } else {
    copy_and_wait(t, host_address(bytes.data()), source, size);
  }
  return bytes;
}

void put_repeated(Context& t, flagos_memory_kind_t kind, flagos_address_t target,
                  std::uint64_t size, std::uint8_t value) {
  const std::vector<std::uint8_t> piece(std::min(size, piece_size), value);
  for (std::uint64_t done = 0; done < size; done += piece_size) {
    put(t, kind, target + done, std::span(piece).first(std::min(piece_size, size - done)));
  }
}

void verify_canary(Context& t, const std::vector<std::uint8_t>& bytes, const char* where) {
  const auto broken =
      std::find_if(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte != canary; });
  if (broken == bytes.end()) return;
  t.fail(
      fmt::format("memory {} a buffer was written: byte {} of the canary is 0x{:02x}, not "
                  "0x{:02x}",
                  where, broken - bytes.begin(), *broken, canary));
}

}  // namespace

// ---- Stream ----

Stream::Stream(Context& t, std::int32_t priority) : t_(t) {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.priority = priority;
  t.ok(flagos_stream_create(t.device(), &desc, &stream_), "flagos_stream_create");
}

Stream::~Stream() {
  if (stream_ != nullptr) flagos_stream_destroy(stream_);
}

void Stream::synchronize() {
  t_.ok(flagos_stream_synchronize(stream_, wait_ns), "flagos_stream_synchronize");
}

flagos_stream_t* Stream::release() { return std::exchange(stream_, nullptr); }

// ---- Event ----

Event::Event(Context& t, std::uint32_t flags) : t_(t) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = flags;
  t_.ok(flagos_event_create(t.device(), &desc, &event_), "flagos_event_create");
}

Event::~Event() {
  if (event_ != nullptr) flagos_event_destroy(event_);
}

flagos_event_t* Event::release() { return std::exchange(event_, nullptr); }

// ---- Buffer ----

Buffer::Buffer(Context& t, std::uint64_t size, flagos_memory_kind_t kind)
    : t_(t), size_(size), kind_(kind) {
  base_ = allocate(t, size + 2 * canary_size, kind);
  address_ = base_ + canary_size;
  try {
    put_repeated(t, kind, base_, canary_size, canary);
    put_repeated(t, kind, address_, size, poison);
    put_repeated(t, kind, address_ + size, canary_size, canary);
  } catch (...) {  // the destructor does not run for an object that was never made
    flagos_memory_free(t.device(), base_);
    throw;
  }
}

Buffer::~Buffer() noexcept(false) {
  // Frees also when verify() ends the case.
  struct Free {
    Context& t;
    flagos_address_t address;
    ~Free() { flagos_memory_free(t.device(), address); }
  } const free_at_end{t_, base_};
  if (std::uncaught_exceptions() == 0) verify();
}

void* Buffer::pointer(std::uint64_t offset) const {
  return is_host_pointer(kind_) ? host_pointer(address_ + offset) : nullptr;
}

void Buffer::write(std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  if (offset + bytes.size() > size_) {
    t_.state().end(Status::harness_error,
                   fmt::format("the case writes {} bytes at {} into a buffer of {}", bytes.size(),
                               offset, size_));
  }
  put(t_, kind_, address_ + offset, bytes);
}

std::vector<std::uint8_t> Buffer::read() { return read(0, size_); }

std::vector<std::uint8_t> Buffer::read(std::uint64_t offset, std::uint64_t size) {
  if (offset + size > size_) {
    t_.state().end(
        Status::harness_error,
        fmt::format("the case reads {} bytes at {} from a buffer of {}", size, offset, size_));
  }
  return get(t_, kind_, address_ + offset, size);
}

void Buffer::verify() {
  if (t_.settings().null_check) return;
  verify_canary(t_, get(t_, kind_, base_, canary_size), "before");
  verify_canary(t_, get(t_, kind_, address_ + size_, canary_size), "behind");
}

// ---- Blocker ----

namespace {

constexpr std::uint32_t released = 1;

// Where the host cannot write the flag itself, a copy on another stream must, and so must be able
// to overtake.
bool choose_flag_memory(Context& t) {
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT);
  if (t.has(FLAGOS_FEATURE_PINNED_MEMORY)) return true;
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS);
  return false;
}

// Counts the rounds of a loop that has more than some drivers run. Only packs for drivers that are
// known to end loops have the kernel.
bool measure_cut_loops(Context& t) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = "count_rounds";
  flagos_kernel_t* kernel = nullptr;
  if (flagos_module_get_kernel(t.module(), &desc, &kernel) != FLAGOS_STATUS_OK) return false;
  constexpr std::uint32_t rounds = 100'000;
  Buffer counted(t, 4);
  counted.write(std::vector<std::uint8_t>(4, 0));
  Stream stream(t);
  launch(t, stream, kernel, {}, {}, {arg(counted.address()), arg_u32(rounds)});
  stream.synchronize();
  std::uint32_t done = 0;
  std::memcpy(&done, counted.read().data(), sizeof(done));
  return done < rounds;
}

}  // namespace

Dim3 holding_grid(Context& t) {
  static const bool cut = measure_cut_loops(t);
  return cut ? Dim3{4096, 1, 1} : Dim3{};
}

Blocker::Blocker(Context& t, flagos_stream_t* stream)
    : t_(t), host_visible_(choose_flag_memory(t)) {
  flagos_kernel_t* const kernel = t.kernel("spin_until");
  const flagos_memory_kind_t kind =
      host_visible_ ? FLAGOS_MEMORY_KIND_PINNED : FLAGOS_MEMORY_KIND_DEVICE;
  flag_ = allocate(t, 64, kind);
  try {
    put_repeated(t, kind, flag_, 64, 0);
    launch(t, stream, kernel, holding_grid(t), {}, {arg(flag_), arg_u32(released)});
  } catch (...) {
    flagos_memory_free(t.device(), flag_);
    throw;
  }
}

Blocker::~Blocker() {
  try {
    release();
  } catch (const CaseEnded&) {  // noted in the context; the kernel gives up by itself
  }
  flagos_memory_free(t_.device(), flag_);
}

void Blocker::release() {
  if (host_visible_) {
    std::atomic_ref<std::uint32_t>(*static_cast<std::uint32_t*>(host_pointer(flag_)))
        .store(released, std::memory_order_release);
  } else {
    copy_and_wait(t_, flag_, host_address(&released), sizeof(released));
  }
}

// ---- launches ----

flagos_argument_t arg(flagos_address_t value) { return {FLAGOS_DTYPE_ADDRESS, 0, value}; }

// The value's bytes stand first, whatever the byte order of the host.
template <typename Value>
static flagos_argument_t scalar(flagos_dtype_t dtype, Value value) {
  flagos_argument_t argument{dtype, 0, 0};
  std::memcpy(&argument.value, &value, sizeof(value));
  return argument;
}

flagos_argument_t arg_u32(std::uint32_t value) { return scalar(FLAGOS_DTYPE_UINT32, value); }
flagos_argument_t arg_u64(std::uint64_t value) { return scalar(FLAGOS_DTYPE_UINT64, value); }
flagos_argument_t arg_f32(float value) { return scalar(FLAGOS_DTYPE_FLOAT32, value); }

flagos_launch_desc_t launch_desc(Dim3 grid, Dim3 block,
                                 const std::vector<flagos_argument_t>& arguments,
                                 std::uint32_t shared_bytes) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.grid[0] = grid.x;
  desc.grid[1] = grid.y;
  desc.grid[2] = grid.z;
  desc.block[0] = block.x;
  desc.block[1] = block.y;
  desc.block[2] = block.z;
  desc.shared_bytes = shared_bytes;
  desc.argument_count = static_cast<std::uint32_t>(arguments.size());
  desc.arguments = arguments.empty() ? nullptr : arguments.data();
  return desc;
}

void launch(Context& t, flagos_stream_t* stream, flagos_kernel_t* kernel, Dim3 grid, Dim3 block,
            const std::vector<flagos_argument_t>& arguments, std::uint32_t shared_bytes) {
  const flagos_launch_desc_t desc = launch_desc(grid, block, arguments, shared_bytes);
  t.ok(flagos_kernel_launch(stream, kernel, &desc), "flagos_kernel_launch");
}

}  // namespace flagos::conformance
