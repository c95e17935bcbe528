// The exported functions of the device group.
#include <cstring>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/module.hpp"
#include "core/reaper.hpp"
#include "core/runtime.hpp"
#include "core/stream.hpp"
#include "core/tile_program.hpp"
#include "core/tile_road.hpp"

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_device_get_count(flagos_runtime_t* runtime, uint32_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(out_count, "out_count") = static_cast<std::uint32_t>(object.devices().size());
  });
}

flagos_status_t flagos_device_describe(flagos_runtime_t* runtime, uint32_t index, flagos_device_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const auto devices = resolve<Runtime>(runtime, "runtime").devices();
    if (index >= devices.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "device {} of {}", index, devices.size());
    finish_out(out_info, devices[index].info);
  });
}

flagos_status_t flagos_device_find(flagos_runtime_t* runtime, const char* id, uint32_t* out_index) {
  clear_out(out_index);
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(id, "id");
    require(out_index, "out_index");
    const std::string_view wanted(id, ::strnlen(id, sizeof(flagos_device_info_t::id)));
    std::string known;
    for (const Runtime::DeviceEntry& device : object.devices()) {
      if (wanted == device.info.id || (device.ordinal == 0 && wanted == device.plugin->name())) {
        *out_index = device.info.index;
        return;
      }
      known += fmt::format("{}{}", known.empty() ? "" : ", ", device.info.id);
    }
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no device '{}'; there {}", wanted,
                known.empty() ? "is none at all" : "are: " + known);
  });
}

flagos_status_t flagos_device_open(flagos_runtime_t* runtime, uint32_t index, flagos_device_t** out_device) {
  clear_out(out_device);
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(out_device, "out_device");
    const auto devices = object.devices();
    if (index >= devices.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "device {} of {}", index, devices.size());
    const Runtime::DeviceEntry& found = devices[index];
    auto device = Ref<Device>::adopt(new Device(object, *found.plugin, found.ordinal, found.info));
    handles.insert(device.get());
    *out_device = to_handle<flagos_device_t>(*device.detach());
  });
}

flagos_status_t flagos_device_close(flagos_device_t* device) {
  if (device == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] {
    Ref<Device> object(&resolve<Device>(device, "device"));
    {
      Pause pause;
      object->attachments().release_all(device);
    }
    const std::string children = object->describe_children();
    if (!children.empty()) throw_error(FLAGOS_STATUS_BUSY, "device {} still has {}", object->info().id, children);
    if (!remove_handle(object.get())) throw_handle_gone(Tag::device);
    Pause pause;
    epoch::synchronize();
    object->releases().drain(FLAGOS_TIMEOUT_INFINITE);
    reaper_forget(*object);
  });
}

flagos_status_t flagos_device_get_info(flagos_device_t* device, flagos_device_info_t* out_info) {
  return entry(
      __func__,
      [&] {
        begin_out(out_info, "out_info");
        finish_out(out_info, resolve<Device>(device, "device").info());
      },
      Callback::allowed);
}

flagos_status_t flagos_device_get_feature(flagos_device_t* device, flagos_feature_t feature,
                                          flagos_support_t* out_support) {
  clear_out(out_support);
  return entry(
      __func__,
      [&] {
        Device& object = resolve<Device>(device, "device");
        require(out_support, "out_support");
        if (feature < 0 || feature >= FLAGOS_FEATURE_COUNT)
          throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "feature is {}, not a FLAGOS_FEATURE_*", feature);
        const flagos_support_t support = object.support(feature);
        // Portable kernels are compiled by core where the plugin takes what comes of it.
        const bool by_core = feature == FLAGOS_FEATURE_COMPILE && support == FLAGOS_SUPPORT_ABSENT && compiles(object);
        *out_support = by_core ? FLAGOS_SUPPORT_EMULATED : support;
      },
      Callback::allowed);
}

flagos_status_t flagos_device_query_memory(flagos_device_t* device, uint64_t* out_free_bytes,
                                           uint64_t* out_total_bytes) {
  clear_out(out_free_bytes);
  clear_out(out_total_bytes);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_free_bytes, "out_free_bytes");
    require(out_total_bytes, "out_total_bytes");
    object.throw_if_lost();
    object.releases().poll();
    std::uint64_t free_bytes = 0, total_bytes = 0;
    expect(object.tables().device.query_memory(object.native(), &free_bytes, &total_bytes), "device.query_memory");
    if (free_bytes > total_bytes)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin reports {} free bytes of {}", free_bytes, total_bytes);
    *out_free_bytes = free_bytes;
    *out_total_bytes = total_bytes;
  });
}

flagos_status_t flagos_device_query_status(flagos_device_t* device) {
  return entry(
      __func__,
      [&] {
        Device& object = resolve<Device>(device, "device");
        object.throw_if_lost();
        if (!object.tables().has.query_status) return;
        const flagos_status_t status = object.tables().device.query_status(object.native());
        if (status == FLAGOS_STATUS_DEVICE_LOST) object.set_lost(status, "device.query_status said so");
        expect(status, "device.query_status");
      },
      Callback::allowed);
}

flagos_status_t flagos_device_synchronize(flagos_device_t* device, uint64_t timeout_ns) {
  return entry(__func__, [&]() -> flagos_status_t {
    Ref<Device> object(&resolve<Device>(device, "device"));
    object->throw_if_lost();
    const flagos_status_t status = [&] {
      Pause pause;
      return object->synchronize(timeout_ns);
    }();
    object->releases().poll();
    if (status != FLAGOS_STATUS_OK && status != FLAGOS_STATUS_TIMEOUT)
      throw_error(status, "device {}: work on one of its streams failed with {}", object->info().id,
                  flagos_status_get_name(status));
    return status;
  });
}

flagos_status_t flagos_device_recover(flagos_device_t* device) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    object.require_feature(FLAGOS_FEATURE_RECOVER, "recover; close it and open it again");
    if (object.lost() == FLAGOS_STATUS_OK) return;
    expect(object.tables().device.recover(object.native()), "device.recover");
    object.tiles().clear();
    object.clear_lost();
  });
}

flagos_status_t flagos_device_attach(flagos_device_t* device, const void* key, void* attachment,
                                     flagos_attachment_release_t release, void** out_attachment) {
  clear_out(out_attachment);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    if (key == nullptr) throw_null("key");
    if (attachment == nullptr) throw_null("attachment");
    require(release, "release");
    require(out_attachment, "out_attachment") = object.attachments().attach(key, attachment, release);
  });
}

flagos_status_t flagos_device_get_attachment(flagos_device_t* device, const void* key, void** out_attachment) {
  clear_out(out_attachment);
  return entry(
      __func__,
      [&] {
        Device& object = resolve<Device>(device, "device");
        if (key == nullptr) throw_null("key");
        require(out_attachment, "out_attachment") = object.attachments().get(key);
      },
      Callback::allowed);
}

flagos_status_t flagos_device_get_table(flagos_device_t* device, const struct flagos_plugin_t** out_table,
                                        struct flagos_plugin_device_t** out_object) {
  clear_out(out_table);
  clear_out(out_object);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_table, "out_table") = &object.tables().root;
    if (out_object != nullptr) *out_object = object.native();
  });
}

flagos_status_t flagos_stream_get_plugin_object(flagos_stream_t* stream, struct flagos_plugin_stream_t** out_object) {
  clear_out(out_object);
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    require(out_object, "out_object") = object.native();
  });
}

flagos_status_t flagos_event_get_plugin_object(flagos_event_t* event, struct flagos_plugin_event_t** out_object) {
  clear_out(out_object);
  return entry(__func__, [&] {
    Event& object = resolve<Event>(event, "event");
    require(out_object, "out_object") = object.native();
  });
}

flagos_status_t flagos_kernel_get_plugin_object(flagos_kernel_t* kernel, struct flagos_plugin_kernel_t** out_object) {
  clear_out(out_object);
  return entry(__func__, [&] {
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    require(out_object, "out_object") = object.native();
  });
}
