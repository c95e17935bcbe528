#include "plugins/cpu/interop.hpp"

#include "base/native_object.hpp"
#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"

namespace flagos::cpu {
namespace {

constexpr const char* pointer_type = "void*";

}  // namespace

flagos_status_t memory_get_native(flagos_plugin_device_t*, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept {
  show_native(*out_native, pointer_type, {address});
  return FLAGOS_STATUS_OK;
}

flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, pointer_type, 1, {0});
    const flagos_address_t address = native->handles[0];
    self.heap().wrap(address, is_given_away(flags));
    *out_address = address;
  });
}

}  // namespace flagos::cpu
