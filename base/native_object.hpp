// Objects of a vendor's API as the plugins of the group interop show them and take them in.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace flagos {

// A driver's handle as a number, and back.
template <typename Handle>
std::uint64_t number_of(Handle handle) noexcept {
  return reinterpret_cast<std::uint64_t>(handle);
}
template <typename Handle>
Handle handle_at(const flagos_native_t& native, std::size_t index) noexcept {
  return reinterpret_cast<Handle>(native.handles[index]);
}

inline bool is_given_away(std::uint64_t wrap_flags) noexcept { return (wrap_flags & FLAGOS_WRAP_FLAG_OWN) != 0; }

// At most six handles; the type's name fits `native.type`.
void show_native(flagos_native_t& native, std::string_view type, std::initializer_list<std::uint64_t> handles) noexcept;
// Throws INVALID_ARGUMENT unless it is of this type, has this many handles, and those of `objects`, which stand for
// objects and not for numbers, are not 0.
void check_native(const flagos_native_t& native, std::string_view type, std::uint32_t count,
                  std::initializer_list<std::uint32_t> objects);

}  // namespace flagos
