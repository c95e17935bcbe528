// What the C functions share: handles, struct sizes, error texts.
#pragma once

#include <flagos_compiler.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/guard.hpp"
#include "compiler/module.hpp"

namespace flagos::compiler {

// A module with everything that the getters hand out.
struct Loaded {
  Module module;
  std::string text, text_with_locations;
  std::array<std::uint8_t, 32> digest{};
  std::vector<std::string> constants;           // of each kernel
  std::vector<std::vector<std::string>> facts;  // of each kernel's arguments
};
using LoadedPtr = std::shared_ptr<const Loaded>;

// Handles count up and are never given twice, so that a stale one is known for what it is.
template <typename Object>
class Handles {
 public:
  explicit Handles(const char* noun) : noun_(noun) {}
  template <typename Handle>
  Handle* add(std::shared_ptr<const Object> object) {
    const std::unique_lock lock(mutex_);
    const std::uintptr_t handle = ++last_ << 4;
    live_.emplace(handle, std::move(object));
    return reinterpret_cast<Handle*>(handle);
  }
  std::shared_ptr<const Object> find(const void* handle) const {
    const std::shared_lock lock(mutex_);
    const auto found = live_.find(reinterpret_cast<std::uintptr_t>(handle));
    if (found == live_.end()) refuse(handle);
    return found->second;
  }
  void remove(const void* handle) {
    const std::unique_lock lock(mutex_);
    if (live_.erase(reinterpret_cast<std::uintptr_t>(handle)) == 0) refuse(handle);
  }

 private:
  [[noreturn]] void refuse(const void* handle) const {
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{} is no live {}", fmt::ptr(handle), noun_);
  }
  const char* const noun_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::uintptr_t, std::shared_ptr<const Object>> live_;
  std::uintptr_t last_ = 0;
};

// Never destroyed: a thread may still call while the process ends.
Handles<Loaded>& modules();

// What flagos_compiler_last_error gives on this thread.
void set_api_error(flagos_status_t status, const char* text) noexcept;

template <typename Body>
flagos_status_t entry(Body&& body) noexcept {
  return guard(std::forward<Body>(body), set_api_error);
}

void demand(const void* pointer, std::string_view name);
// Throws NOT_FOUND.
const Kernel& kernel_of(const Loaded& loaded, std::uint32_t kernel);

// No version of a struct is larger; a size above is a value that was never set.
constexpr std::uint32_t kLargestStruct = 4096;

template <typename T>
void check_size(const T& value, std::string_view name) {
  if (value.struct_size > kLargestStruct)
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: struct_size is {}, more than any version has", name,
                value.struct_size);
  if (value.struct_size < sizeof(T))
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "{}: struct_size is {}, the 1.0 size is {}", name, value.struct_size,
                sizeof(T));
}

template <typename T>
void check_desc(const T* desc, std::string_view name) {
  demand(desc, "desc");
  check_size(*desc, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(desc);
  if (std::any_of(bytes + sizeof(T), bytes + desc->struct_size, [](unsigned char byte) { return byte != 0; }))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: a member behind byte {} is set, which this version does not know", name,
                sizeof(T));
  if (desc->padding != 0) throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: padding is {}, not 0", name, desc->padding);
  int length = 0;
  for (const flagos_extension_t* next = desc->next; next; next = next->next) {
    if (++length > FLAGOS_EXTENSION_CHAIN_MAX)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: more than {} chained structs", name, FLAGOS_EXTENSION_CHAIN_MAX);
    if ((next->type & FLAGOS_EXTENSION_IGNORABLE) == 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: chained struct of type {} is not known", name, next->type);
  }
}

// Results up to the caller's struct_size; behind the members that are known, zero.
template <typename T>
void write_out(T* out, T value) {
  const std::uint32_t size = out->struct_size;
  value.struct_size = size;
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &value, sizeof(T));
}

template <typename T>
void clear_out(T* out) noexcept {
  if (!out || out->struct_size < sizeof(T) || out->struct_size > kLargestStruct) return;
  write_out(out, T{});
}

}  // namespace flagos::compiler
