// Objects of the vendor's own API: shown, and taken in.
#include <cstring>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/epoch.hpp"
#include "core/event.hpp"
#include "core/runtime.hpp"
#include "core/stream.hpp"

namespace flagos::core {

namespace {

void require_native(const Device& device) {
  device.require_feature(FLAGOS_FEATURE_NATIVE_OBJECTS, "objects of a vendor's API");
}

// What the plugin filled in, if it makes sense.
template <typename Call>
void show(flagos_native_t* out_native, Call&& call) {
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  expect(call(&native), "interop.get_native");
  constexpr std::size_t most = sizeof(native.handles) / sizeof(native.handles[0]);
  if (native.handle_count == 0 || native.handle_count > most ||
      std::memchr(native.type, '\0', sizeof(native.type)) == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin described a native object with {} handles",
                native.handle_count);
  finish_out(out_native, native);
}

const flagos_native_t& check_native(const flagos_native_t* native, std::uint64_t flags) {
  const flagos_native_t& used = check_desc(native, "flagos_native_t");
  check_flags(flags, FLAGOS_WRAP_FLAG_OWN, "flags");
  constexpr std::size_t most = sizeof(used.handles) / sizeof(used.handles[0]);
  if (used.handle_count == 0 || used.handle_count > most)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a native object with {} handles; 1 to {} are possible",
                used.handle_count, most);
  if (std::memchr(used.type, '\0', sizeof(used.type)) == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the type of the native object has no end");
  return used;
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_device_get_native(flagos_device_t* device, flagos_native_t* out_native) {
  return entry(__func__, [&] {
    begin_out(out_native, "out_native");
    Device& object = resolve<Device>(device, "device");
    require_native(object);
    show(out_native,
         [&](flagos_native_t* out) { return object.tables().interop.get_native_device(object.native(), out); });
  });
}

flagos_status_t flagos_stream_get_native(flagos_stream_t* stream, flagos_native_t* out_native) {
  return entry(__func__, [&] {
    begin_out(out_native, "out_native");
    Stream& object = resolve<Stream>(stream, "stream");
    require_native(object.device());
    show(out_native,
         [&](flagos_native_t* out) { return object.tables().interop.get_native_stream(object.native(), out); });
  });
}

flagos_status_t flagos_event_get_native(flagos_event_t* event, flagos_native_t* out_native) {
  return entry(__func__, [&] {
    begin_out(out_native, "out_native");
    Event& object = resolve<Event>(event, "event");
    require_native(object.device());
    show(out_native,
         [&](flagos_native_t* out) { return object.tables().interop.get_native_event(object.native(), out); });
  });
}

flagos_status_t flagos_memory_get_native(flagos_device_t* device, flagos_address_t address,
                                         flagos_native_t* out_native) {
  return entry(__func__, [&] {
    begin_out(out_native, "out_native");
    Device& object = resolve<Device>(device, "device");
    require_native(object);
    if (object.addresses().find(address) == nullptr)
      throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{:#x} is not in a live allocation of this opening of device {}",
                  address, object.info().id);
    show(out_native, [&](flagos_native_t* out) {
      return object.tables().interop.get_native_memory(object.native(), address, out);
    });
  });
}

flagos_status_t flagos_device_wrap_native(flagos_runtime_t* runtime, uint32_t index, const flagos_native_t* native,
                                          uint64_t flags, flagos_device_t** out_device) {
  clear_out(out_device);
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(out_device, "out_device");
    const flagos_native_t& used = check_native(native, flags);
    const auto devices = object.devices();
    if (index >= devices.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "device {} of {}", index, devices.size());
    const Runtime::DeviceEntry& found = devices[index];
    auto device = Ref<Device>::adopt(new Device(object, *found.plugin, found.ordinal, found.info, &used, flags));
    handles.insert(device.get());
    *out_device = to_handle<flagos_device_t>(*device.detach());
  });
}

flagos_status_t flagos_stream_wrap_native(flagos_device_t* device, const flagos_native_t* native, uint64_t flags,
                                          flagos_stream_t** out_stream) {
  clear_out(out_stream);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_stream, "out_stream");
    const flagos_native_t& used = check_native(native, flags);
    require_native(object);
    object.throw_if_lost();
    *out_stream = publish<flagos_stream_t>(Ref<Stream>::adopt(new Stream(object, used, flags)));
  });
}

flagos_status_t flagos_event_wrap_native(flagos_device_t* device, const flagos_native_t* native, uint64_t flags,
                                         flagos_event_t** out_event) {
  clear_out(out_event);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_event, "out_event");
    const flagos_native_t& used = check_native(native, flags);
    require_native(object);
    object.throw_if_lost();
    flagos_plugin_event_t* event = nullptr;
    expect(object.tables().interop.wrap_native_event(object.native(), &used, flags, &event),
           "interop.wrap_native_event");
    if (event == nullptr)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from interop.wrap_native_event");
    auto wrapped = std::make_shared<NativeEvent>(object, event);
    *out_event = publish<flagos_event_t>(Ref<Event>::adopt(new Event(object, std::move(wrapped))));
  });
}

flagos_status_t flagos_memory_wrap_native(flagos_device_t* device, const flagos_native_t* native, uint64_t size_bytes,
                                          uint64_t flags, flagos_address_t* out_address) {
  clear_out(out_address);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_address, "out_address");
    const flagos_native_t& used = check_native(native, flags);
    require_native(object);
    if (size_bytes == 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "0 bytes of a native object cannot be wrapped");
    object.throw_if_lost();
    const Ref<Device> kept(&object);
    {
      // It may have been wrapped before, and just be given back by another thread.
      const Pause pause;
      object.releases().settle();
    }
    Allocation allocation;
    allocation.size_bytes = size_bytes;
    allocation.kind = FLAGOS_MEMORY_KIND_DEVICE;
    expect(object.tables().interop.wrap_native_memory(object.native(), &used, size_bytes, flags, &allocation.base),
           "interop.wrap_native_memory");
    if (!object.addresses().insert(allocation)) {
      // With OWN the object would go, which the caller still uses by its other address.
      if ((flags & FLAGOS_WRAP_FLAG_OWN) == 0) object.tables().memory.free(object.native(), allocation.base);
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {:#x} overlap a live allocation of device {}",
                  size_bytes, allocation.base, object.info().id);
    }
    object.count_allocation(1);
    *out_address = allocation.base;
  });
}
