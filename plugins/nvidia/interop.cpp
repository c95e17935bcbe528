#include "plugins/nvidia/interop.hpp"

#include <memory>

#include "base/native_object.hpp"
#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/event.hpp"
#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {
namespace {

// The types by their first handle.
constexpr const char* device_type = "CUcontext";
constexpr const char* stream_type = "CUstream";
constexpr const char* event_type = "CUevent";
constexpr const char* memory_type = "CUdeviceptr";

}  // namespace

flagos_status_t device_get_native(flagos_plugin_device_t* device,
                                  flagos_native_t* out_native) noexcept {
  const Device& self = from_c(device);
  show_native(*out_native, device_type,
              {number_of(self.context()), static_cast<std::uint64_t>(self.id())});
  return FLAGOS_STATUS_OK;
}

flagos_status_t stream_get_native(flagos_plugin_stream_t* stream,
                                  flagos_native_t* out_native) noexcept {
  show_native(*out_native, stream_type, {number_of(from_c(stream).show())});
  return FLAGOS_STATUS_OK;
}

flagos_status_t event_get_native(flagos_plugin_event_t* event,
                                 flagos_native_t* out_native) noexcept {
  const Event& self = from_c(event);
  return entry(self.device().host(),
               [&] { show_native(*out_native, event_type, {number_of(self.show())}); });
}

flagos_status_t memory_get_native(flagos_plugin_device_t* device, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    Allocation found;
    std::uint64_t offset = 0;
    if (!self.memory().find(address, &found, &offset))
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "no memory of CUDA has the address {:#x}", address);
    show_native(*out_native, memory_type, {found.base, number_of(self.context()), offset});
  });
}

flagos_status_t device_wrap_native(flagos_plugin_instance_t* instance, std::uint32_t index,
                                   const flagos_native_t* native, std::uint64_t flags,
                                   flagos_plugin_device_t** out_device) noexcept {
  Instance& self = from_c(instance);
  return entry(self.host(), [&] {
    check_native(*native, device_type, 2, {0});
    const DeviceDescription& description = self.devices()[index];
    const auto context = handle_at<CUcontext>(*native, 0);
    CUdevice device = -1;
    {
      const Current current(self.driver(), context);
      self.driver().check(self.driver().cuCtxGetDevice(&device), "cuCtxGetDevice");
    }
    if (device != description.id || native->handles[1] != static_cast<std::uint64_t>(device))
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a CUcontext of CUdevice {}, given as {}; '{}' is {}", device, native->handles[1],
                  description.info.name, description.id);
    *out_device =
        to_c(std::make_unique<Device>(self, index, context, is_given_away(flags)).release());
  });
}

flagos_status_t stream_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t flags,
                                   flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    check_native(*native, stream_type, 1, {0});
    const auto stream = handle_at<CUstream>(*native, 0);
    CUcontext context = nullptr;
    self.check(self.driver().cuStreamGetCtx(stream, &context), "cuStreamGetCtx");
    if (context != self.context())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "the CUstream is of another context than this opening of '{}'",
                  self.description().info.name);
    *out_stream = to_c(std::make_unique<Stream>(self, 0, stream, is_given_away(flags)).release());
  });
}

flagos_status_t event_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                  std::uint64_t flags, flagos_plugin_event_t** out_event) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    check_native(*native, event_type, 1, {0});
    auto event = std::make_unique<Event>(self, FLAGOS_EVENT_FLAG_NO_TIMING);
    event->follow(handle_at<CUevent>(*native, 0), is_given_away(flags));
    *out_event = to_c(event.release());
  });
}

flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t size_bytes, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    check_native(*native, memory_type, 3, {0, 1});
    if (handle_at<CUcontext>(*native, 1) != self.context())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "memory of CUcontext {:#x}, this device is opened on {:#x}", native->handles[1],
                  number_of(self.context()));
    *out_address = self.memory().wrap(native->handles[0] + native->handles[2], size_bytes,
                                      is_given_away(flags));
  });
}

}  // namespace flagos::nvidia
