// What every exported function does around its body: read section, fork and callback rules, trace, errors, and the
// checks of arguments that are the same everywhere.
#pragma once

#include <flagos.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/guard.hpp"
#include "core/crash_report.hpp"
#include "core/epoch.hpp"
#include "core/handle_table.hpp"

namespace flagos::core {

// Rare states of the process; 0 on the fast path.
enum : std::uint32_t { process_forked = 1, process_tracing = 2, process_validating = 4, process_recording = 8 };
extern std::atomic<std::uint32_t> process_state;

// Sets the error text of this thread.
void set_error_text(flagos_status_t status, const char* text) noexcept;

enum class Callback { forbidden, allowed };

// One call for the layers trace and crash; see trace.cpp.
class WatchedCall {
 public:
  WatchedCall(const char* name, ThreadRecord& record, std::uint32_t state);
  ~WatchedCall();
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

 private:
  const char* name_;
  ThreadRecord& record_;
  const std::uint32_t state_;
  std::uint64_t start_ns_ = 0;
  const char* outer_ = nullptr;  // the call within which this one was made
  const void* outer_handle_ = nullptr;
};

// NOT_PERMITTED or BAD_PROCESS with their texts.
flagos_status_t refuse_callback(const char* name) noexcept;
flagos_status_t refuse_forked(const char* name) noexcept;

template <typename Body>
flagos_status_t entry(const char* name, Body&& body, Callback callback = Callback::forbidden) noexcept {
  const std::uint32_t state = process_state.load(std::memory_order_relaxed);
  if (state & process_forked) [[unlikely]]
    return refuse_forked(name);
  ThreadRecord& record = this_thread();
  if (record.in_callback && callback == Callback::forbidden) [[unlikely]]
    return refuse_callback(name);
  ReadSection section(record);
  if (state & (process_tracing | process_recording)) [[unlikely]] {
    WatchedCall call(name, record, state);
    return guard(std::forward<Body>(body), set_error_text);
  }
  return guard(std::forward<Body>(body), set_error_text);
}

// ---- handles -----------------------------------------------------------------------------------------------------

[[noreturn]] void throw_invalid_handle(const void* handle, Tag expected, const char* parameter);

// The object behind a handle; T::tag_of is its Tag.
template <typename T>
T& resolve(const void* handle, const char* parameter) {
  Object* object = handles.find(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle)));
  if (object == nullptr || object->tag() != T::tag_of) [[unlikely]]
    throw_invalid_handle(handle, T::tag_of, parameter);
  if (process_state.load(std::memory_order_relaxed) & process_recording) [[unlikely]]
    crash_report_note(handle);
  return static_cast<T&>(*object);
}

template <typename Handle>
Handle* to_handle(const Object& object) {
  return reinterpret_cast<Handle*>(static_cast<std::uintptr_t>(object.handle()));
}

// ---- pointers and structs ----------------------------------------------------------------------------------------

[[noreturn]] void throw_null(const char* parameter);

template <typename T>
T& require(T* pointer, const char* parameter) {
  if (pointer == nullptr) [[unlikely]]
    throw_null(parameter);
  return *pointer;
}

// Clears an out parameter at the start of an entry, so that a failing call leaves it cleared.
template <typename T>
void clear_out(T* out) {
  if (out != nullptr) *out = T{};
}

// struct_size rules for structs that come in: at least `minimum`; what lies past `known` must be zero.
void check_struct_size(const void* pointer, std::uint32_t struct_size, std::size_t minimum, std::size_t known,
                       const char* type);
// Refuses unknown extensions, cycles and long chains.
void check_extensions(const flagos_extension_t* next, const char* type);
[[noreturn]] void throw_unknown_flags(std::uint64_t flags, const char* what);

// A desc that comes in; all structs of 1.0 have one size, so minimum and known agree until the contract grows.
template <typename T>
const T& check_desc(const T* desc, const char* type) {
  const T& value = require(desc, type);
  if (value.struct_size != sizeof(T)) [[unlikely]]
    check_struct_size(desc, value.struct_size, sizeof(T), sizeof(T), type);
  if constexpr (requires { value.next; }) {
    if (value.next != nullptr) [[unlikely]]
      check_extensions(value.next, type);
  }
  return value;
}

inline void check_flags(std::uint64_t flags, std::uint64_t known, const char* what) {
  if (flags & ~known) [[unlikely]]
    throw_unknown_flags(flags & ~known, what);
}

// A struct that comes out: checks struct_size and zeroes what the caller has room for, keeping struct_size.
template <typename T>
void begin_out(T* out, const char* type) {
  T& value = require(out, type);
  const std::uint32_t size = value.struct_size;
  if (size < sizeof(T))
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: struct_size is {}, at least {} is needed", type, size,
                sizeof(T));
  std::memset(out, 0, sizeof(T));
  value.struct_size = size;
}
// Stores the result, keeping the caller's struct_size.
template <typename T>
void finish_out(T* out, const T& result) {
  const std::uint32_t size = out->struct_size;
  *out = result;
  out->struct_size = size;
}

// The two-call form of getters: the count always; the items when there is room. Capacity 0 asks for the count.
template <typename T>
void give_out(const T* items, std::uint64_t count, std::uint64_t capacity, T* target, std::uint64_t* out_count,
              const char* what) {
  if (capacity != 0) require(target, what);
  require(out_count, "the size") = count;
  if (capacity == 0) return;
  if (capacity < count)
    throw_error(FLAGOS_STATUS_BUFFER_TOO_SMALL, "{}: there is room for {}, {} are needed", what, capacity, count);
  std::copy(items, items + count, target);
}

// ---- what plugins return -----------------------------------------------------------------------------------------

bool known_status(flagos_status_t status);
// Throws nothing; turns a status that no contract knows into PLUGIN_PROTOCOL.
flagos_status_t checked_slow(flagos_status_t status, const char* slot) noexcept;
inline flagos_status_t checked(flagos_status_t status, const char* slot) noexcept {
  return status == FLAGOS_STATUS_OK ? status : checked_slow(status, slot);
}
[[noreturn]] void throw_plugin_failed(flagos_status_t status, const char* slot);
// Throws Error with the plugin's text unless the status is OK.
inline void expect(flagos_status_t status, const char* slot) {
  if (status != FLAGOS_STATUS_OK) [[unlikely]]
    throw_plugin_failed(status, slot);
}

// What a plugin said through its host table about the call that it is about to fail.
void set_plugin_text(flagos_status_t status, const char* text) noexcept;

// The host's monotonic clock.
std::uint64_t now_ns();

// A point in time to wait until; splits waits into slices, so that destroys and device losses are noticed.
class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns);
  bool expired() const;
  std::uint64_t slice_ns() const;      // at most 50 ms, 0 when expired
  std::uint64_t remaining_ns() const;  // FLAGOS_TIMEOUT_INFINITE when there is no end

 private:
  std::uint64_t end_ns_;
};

}  // namespace flagos::core
