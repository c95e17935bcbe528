#include "base/native_object.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace flagos {

void show_native(flagos_native_t& native, std::string_view type,
                 std::initializer_list<std::uint64_t> handles) noexcept {
  std::memset(native.type, 0, sizeof(native.type));
  type.copy(native.type, sizeof(native.type) - 1);
  native.handle_count = static_cast<std::uint32_t>(handles.size());
  std::copy(handles.begin(), handles.end(), native.handles);
}

void check_native(const flagos_native_t& native, std::string_view type, std::uint32_t count,
                  std::initializer_list<std::uint32_t> objects) {
  if (std::string_view(native.type) != type)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a native object of type '{}'; here '{}' is needed", native.type, type);
  if (native.handle_count != count)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "'{}' with {} handles; it has {}", type, native.handle_count, count);
  for (const std::uint32_t index : objects)
    if (native.handles[index] == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "'{}' whose handle {} is 0", type, index);
}

}  // namespace flagos
