#include "plugins/opencl/interop.hpp"

#include <memory>
#include <string_view>

#include "base/native_object.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/event.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/stream.hpp"

namespace flagos::opencl {
namespace {

// The types by their first handle.
constexpr const char* device_type = "cl_context";
constexpr const char* stream_type = "cl_command_queue";
constexpr const char* event_type = "cl_event";
constexpr const char* buffer_type = "cl_mem";
constexpr const char* pointer_type = "void*";

}  // namespace

flagos_status_t device_get_native(flagos_plugin_device_t* device,
                                  flagos_native_t* out_native) noexcept {
  const Device& self = from_c(device);
  show_native(
      *out_native, device_type,
      {number_of(self.context()), number_of(self.id()), number_of(self.description().platform)});
  return FLAGOS_STATUS_OK;
}

flagos_status_t stream_get_native(flagos_plugin_stream_t* stream,
                                  flagos_native_t* out_native) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(),
               [&] { show_native(*out_native, stream_type, {number_of(self.show_queue())}); });
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
    std::uint64_t offset = 0;
    const Allocation* const found = self.memory().find(address, &offset);
    if (found == nullptr || (found->buffer == nullptr && found->pointer == nullptr))
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "no object of OpenCL has the address {:#x}", address);
    const bool is_buffer = found->buffer != nullptr;
    show_native(*out_native, is_buffer ? buffer_type : pointer_type,
                {is_buffer ? number_of(found->buffer) : number_of(found->pointer),
                 number_of(self.context()), offset});
  });
}

flagos_status_t device_wrap_native(flagos_plugin_instance_t* instance, std::uint32_t index,
                                   const flagos_native_t* native, std::uint64_t flags,
                                   flagos_plugin_device_t** out_device) noexcept {
  Instance& self = from_c(instance);
  return entry(self.host(), [&] {
    check_native(*native, device_type, 3, {0, 1, 2});
    const DeviceDescription& description = self.devices()[index];
    if (handle_at<cl_device_id>(*native, 1) != description.id ||
        handle_at<cl_platform_id>(*native, 2) != description.platform)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a cl_context for cl_device_id {:#x} of platform {:#x}; '{}' is {:#x} of {:#x}",
                  native->handles[1], native->handles[2], description.info.name,
                  number_of(description.id), number_of(description.platform));
    const auto context = handle_at<cl_context>(*native, 0);
    *out_device = to_c(std::make_unique<Device>(self, index, context).release());
    // Ours has a reference of its own by now; so it is for all that is wrapped.
    if (is_given_away(flags)) self.driver().clReleaseContext(context);
  });
}

flagos_status_t stream_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t flags,
                                   flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, stream_type, 1, {0});
    const auto queue = handle_at<cl_command_queue>(*native, 0);
    *out_stream = to_c(std::make_unique<Stream>(self, queue).release());
    if (is_given_away(flags)) self.driver().clReleaseCommandQueue(queue);
  });
}

flagos_status_t event_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                  std::uint64_t flags, flagos_plugin_event_t** out_event) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, event_type, 1, {0});
    const auto given = handle_at<cl_event>(*native, 0);
    auto event = std::make_unique<Event>(self, FLAGOS_EVENT_FLAG_NO_TIMING);
    event->follow(given);
    *out_event = to_c(event.release());
    if (is_given_away(flags)) self.driver().clReleaseEvent(given);
  });
}

flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t size_bytes, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const bool is_pointer = std::string_view(native->type) == pointer_type;
    check_native(*native, is_pointer ? pointer_type : buffer_type, 3, {0, 1});
    if (handle_at<cl_context>(*native, 1) != self.context())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "memory of cl_context {:#x}, this device is opened on {:#x}: memory is used on "
                  "its own only",
                  native->handles[1], number_of(self.context()));
    const std::uint64_t offset = native->handles[2];
    if (is_pointer) {
      *out_address = self.memory().wrap_pointer(handle_at<void*>(*native, 0), offset, size_bytes,
                                                is_given_away(flags));
      return;
    }
    const auto buffer = handle_at<cl_mem>(*native, 0);
    *out_address = self.memory().wrap_buffer(buffer, offset, size_bytes);
    if (is_given_away(flags)) self.driver().clReleaseMemObject(buffer);
  });
}

}  // namespace flagos::opencl
