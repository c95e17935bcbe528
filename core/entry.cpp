// Errors, struct checks and the other parts of an entry that are not on the fast path.
#include "core/entry.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/assertions.hpp"
#include "core/log.hpp"

namespace flagos::core {

std::atomic<std::uint32_t> process_state{0};

namespace {

struct StatusName {
  flagos_status_t status;
  const char* name;
};
constexpr std::array<StatusName, 30> status_names = {{
    {FLAGOS_STATUS_OK, "FLAGOS_STATUS_OK"},
    {FLAGOS_STATUS_TIMEOUT, "FLAGOS_STATUS_TIMEOUT"},
    {FLAGOS_STATUS_NOT_READY, "FLAGOS_STATUS_NOT_READY"},
    {FLAGOS_STATUS_INVALID_ARGUMENT, "FLAGOS_STATUS_INVALID_ARGUMENT"},
    {FLAGOS_STATUS_INVALID_HANDLE, "FLAGOS_STATUS_INVALID_HANDLE"},
    {FLAGOS_STATUS_INVALID_STRUCT_SIZE, "FLAGOS_STATUS_INVALID_STRUCT_SIZE"},
    {FLAGOS_STATUS_BUFFER_TOO_SMALL, "FLAGOS_STATUS_BUFFER_TOO_SMALL"},
    {FLAGOS_STATUS_NOT_FOUND, "FLAGOS_STATUS_NOT_FOUND"},
    {FLAGOS_STATUS_NOT_PERMITTED, "FLAGOS_STATUS_NOT_PERMITTED"},
    {FLAGOS_STATUS_BAD_PROCESS, "FLAGOS_STATUS_BAD_PROCESS"},
    {FLAGOS_STATUS_INVALID_IMAGE, "FLAGOS_STATUS_INVALID_IMAGE"},
    {FLAGOS_STATUS_COMPILE_FAILED, "FLAGOS_STATUS_COMPILE_FAILED"},
    {FLAGOS_STATUS_INVALID_GRAPH, "FLAGOS_STATUS_INVALID_GRAPH"},
    {FLAGOS_STATUS_GRAPH_MISMATCH, "FLAGOS_STATUS_GRAPH_MISMATCH"},
    {FLAGOS_STATUS_PLUGIN_REJECTED, "FLAGOS_STATUS_PLUGIN_REJECTED"},
    {FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "FLAGOS_STATUS_OUT_OF_HOST_MEMORY"},
    {FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY"},
    {FLAGOS_STATUS_OUT_OF_RESOURCES, "FLAGOS_STATUS_OUT_OF_RESOURCES"},
    {FLAGOS_STATUS_BUSY, "FLAGOS_STATUS_BUSY"},
    {FLAGOS_STATUS_UNSUPPORTED, "FLAGOS_STATUS_UNSUPPORTED"},
    {FLAGOS_STATUS_UNSUPPORTED_VERSION, "FLAGOS_STATUS_UNSUPPORTED_VERSION"},
    {FLAGOS_STATUS_DEVICE_LOST, "FLAGOS_STATUS_DEVICE_LOST"},
    {FLAGOS_STATUS_EXECUTION_FAILED, "FLAGOS_STATUS_EXECUTION_FAILED"},
    {FLAGOS_STATUS_CANCELLED, "FLAGOS_STATUS_CANCELLED"},
    {FLAGOS_STATUS_RANK_FAILED, "FLAGOS_STATUS_RANK_FAILED"},
    {FLAGOS_STATUS_RANK_MISMATCH, "FLAGOS_STATUS_RANK_MISMATCH"},
    {FLAGOS_STATUS_COMM_TIMEOUT, "FLAGOS_STATUS_COMM_TIMEOUT"},
    {FLAGOS_STATUS_COMM_ABORTED, "FLAGOS_STATUS_COMM_ABORTED"},
    {FLAGOS_STATUS_COMM_REFUSED, "FLAGOS_STATUS_COMM_REFUSED"},
    {FLAGOS_STATUS_INTERNAL, "FLAGOS_STATUS_INTERNAL"},
}};

const char* name_of(flagos_status_t status) noexcept {
  if (status == FLAGOS_STATUS_PLUGIN_PROTOCOL) return "FLAGOS_STATUS_PLUGIN_PROTOCOL";
  for (const StatusName& entry : status_names) {
    if (entry.status == status) return entry.name;
  }
  return nullptr;
}

flagos_status_t refuse(flagos_status_t status, const char* name, const char* why) noexcept {
  char text[256];
  std::snprintf(text, sizeof(text), "%s: %s", name, why);
  set_error_text(status, text);
  return status;
}

}  // namespace

void set_error_text(flagos_status_t, const char* text) noexcept {
  char* target = this_thread().error_text;
  constexpr std::size_t room = sizeof(ThreadRecord::error_text) - 1;
  // Whole characters only, and a caller's bytes that are none are shown as '?': the text is always UTF-8.
  std::size_t size = 0;
  for (std::string_view rest(text); !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    const std::size_t step = std::max<std::size_t>(length, 1);
    if (size + step > room) break;
    if (length == 0) {
      target[size] = '?';
    } else {
      std::memmove(target + size, rest.data(), length);
    }
    size += step;
    rest.remove_prefix(step);
  }
  target[size] = '\0';
}

// Kept aside until the call is known to fail: a plugin may fail inside a call that core then answers with OK.
void set_plugin_text(flagos_status_t status, const char* text) noexcept {
  ThreadRecord& record = this_thread();
  record.plugin_status = status;
  std::snprintf(record.plugin_text, sizeof(record.plugin_text), "%s", text == nullptr ? "" : text);
}

flagos_status_t refuse_callback(const char* name) noexcept {
  return refuse(FLAGOS_STATUS_NOT_PERMITTED, name,
                "called inside a host callback, where only functions marked 'Callback: yes' are allowed");
}

flagos_status_t refuse_forked(const char* name) noexcept {
  return refuse(FLAGOS_STATUS_BAD_PROCESS, name,
                "called in the child of a fork, where only flagos_runtime_abandon works; use exec or fork earlier");
}

void throw_invalid_handle(const void* handle, Tag expected, const char* parameter) {
  if (handle == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{} is NULL, not a {}", parameter, tag_name(expected));
  const Object* object = handles.find(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle)));
  if (object != nullptr)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{} is a {}, not a {}", parameter, tag_name(object->tag()),
                tag_name(expected));
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{} is not a live {}: destroyed already, or never made", parameter,
              tag_name(expected));
}

void throw_null(const char* parameter) { throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is NULL", parameter); }

void check_struct_size(const void* pointer, std::uint32_t struct_size, std::size_t minimum, std::size_t known,
                       const char* type) {
  if (struct_size < minimum)
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: struct_size is {}, at least {} is needed", type, struct_size,
                minimum);
  constexpr std::uint32_t largest = 1u << 16;
  if (struct_size > largest)
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: struct_size is {}, more than any version has", type,
                struct_size);
  const auto* bytes = static_cast<const unsigned char*>(pointer);
  for (std::size_t i = known; i < struct_size; ++i) {
    if (bytes[i] != 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "{}: byte {} is {}, in a member that this version does not know; update flagos or set it to zero",
                  type, i, bytes[i]);
  }
}

void check_extensions(const flagos_extension_t* next, const char* type) {
  std::uint32_t count = 0;
  for (; next != nullptr; next = next->next) {
    if (++count > FLAGOS_EXTENSION_CHAIN_MAX)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: more than {} chained structs, or a cycle", type,
                  FLAGOS_EXTENSION_CHAIN_MAX);
    if (next->struct_size < sizeof(flagos_extension_t))
      throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: chained struct {} has struct_size {}, at least {} is needed",
                  type, count, next->struct_size, sizeof(flagos_extension_t));
    if ((next->type & FLAGOS_EXTENSION_IGNORABLE) == 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: chained struct {} is of type {:#x}, which this version does not know",
                  type, count, next->type);
  }
}

void throw_unknown_flags(std::uint64_t flags, const char* what) {
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: this version does not know the flags {:#x}", what, flags);
}

bool known_status(flagos_status_t status) { return name_of(status) != nullptr; }

namespace {

// What the plugin said of the launch, and the sentence behind it.
void set_assertion_text(const ThreadRecord& record, flagos_status_t status) noexcept {
  const bool said = record.plugin_status == status && record.plugin_text[0] != '\0';
  guard(
      [&] {
        const std::string sentence = assertion_text(status);
        const std::string text = fmt::format("{}{}{}", said ? record.plugin_text : "a kernel failed",
                                             sentence.empty() ? "" : ": ", sentence);
        set_error_text(status, text.c_str());
      },
      [&](flagos_status_t, const char*) { set_error_text(status, said ? record.plugin_text : "a kernel failed"); });
}

}  // namespace

flagos_status_t checked_slow(flagos_status_t status, const char* slot) noexcept {
  if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER && known_status(status)) return status;
  ThreadRecord& record = this_thread();
  char text[256];
  if (is_assertion(status)) {
    set_assertion_text(record, status);
    status = FLAGOS_STATUS_EXECUTION_FAILED;
  } else if (!known_status(status)) {
    std::snprintf(text, sizeof(text), "the plugin returned the unknown status %#x from %s",
                  static_cast<unsigned>(status), slot);
    status = FLAGOS_STATUS_PLUGIN_PROTOCOL;
    set_error_text(status, text);
  } else if (record.plugin_status == status && record.plugin_text[0] != '\0') {
    set_error_text(status, record.plugin_text);
  } else {
    std::snprintf(text, sizeof(text), "the plugin returned %s from %s", name_of(status), slot);
    set_error_text(status, text);
  }
  record.plugin_status = FLAGOS_STATUS_OK;
  return status;
}

void throw_plugin_failed(flagos_status_t status, const char* slot) {
  status = checked_slow(status, slot);
  if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned {} from {}, which has no such answer",
                name_of(status), slot);
  throw Error(status, this_thread().error_text);
}

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000u + static_cast<std::uint64_t>(time.tv_nsec);
}

Deadline::Deadline(std::uint64_t timeout_ns) {
  const std::uint64_t now = timeout_ns == 0 || timeout_ns == FLAGOS_TIMEOUT_INFINITE ? 0 : now_ns();
  end_ns_ = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

bool Deadline::expired() const { return end_ns_ != UINT64_MAX && (end_ns_ == 0 || now_ns() >= end_ns_); }

std::uint64_t Deadline::slice_ns() const {
  constexpr std::uint64_t slice = 50'000'000;
  return std::min(slice, remaining_ns());
}

std::uint64_t Deadline::remaining_ns() const {
  if (end_ns_ == UINT64_MAX || end_ns_ == 0) return end_ns_;
  const std::uint64_t now = now_ns();
  return now >= end_ns_ ? 0 : end_ns_ - now;
}

}  // namespace flagos::core

using namespace flagos::core;

const char* flagos_status_get_name(flagos_status_t status) {
  const char* name = name_of(status);
  return name != nullptr ? name : "FLAGOS_STATUS_UNKNOWN";
}

const char* flagos_last_error(void) { return this_thread().error_text; }

void flagos_set_last_error(const char* text) {
  if (text != nullptr) set_error_text(FLAGOS_STATUS_OK, text);
}
