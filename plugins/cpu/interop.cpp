#include "plugins/cpu/interop.hpp"

#include <cstring>
#include <string_view>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"

namespace flagos::cpu {
namespace {

constexpr std::string_view pointer_type = "void*";

// The pointer in a description of memory.
flagos_address_t pointer_of(const flagos_native_t& native) {
  const std::string_view type(native.type);
  if (type != pointer_type)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a native object of type '{}'; the cpu takes '{}'",
                type, pointer_type);
  if (native.handle_count != 1 || native.handles[0] == 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "'{}' with {} handles, the first {:#x}; one pointer that is not NULL is needed",
                type, native.handle_count, native.handles[0]);
  return native.handles[0];
}

}  // namespace

flagos_status_t memory_get_native(flagos_plugin_device_t*, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept {
  pointer_type.copy(out_native->type, pointer_type.size());
  out_native->handle_count = 1;
  out_native->handles[0] = address;
  return FLAGOS_STATUS_OK;
}

flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const flagos_address_t address = pointer_of(*native);
    self.heap().wrap(address, (flags & FLAGOS_WRAP_FLAG_OWN) != 0);
    *out_address = address;
  });
}

}  // namespace flagos::cpu
