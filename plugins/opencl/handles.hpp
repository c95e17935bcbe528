// The plugin's objects and the handles that stand for them.
#pragma once

#include "base/plugin_handles.hpp"

namespace flagos::opencl {

class Device;
class Event;
class Instance;
class Kernel;
class Module;
class Prepared;
class Stream;

using Handles = PluginHandles<
    PluginHandle<Device, flagos_plugin_device_t>, PluginHandle<Event, flagos_plugin_event_t>,
    PluginHandle<Instance, flagos_plugin_instance_t>, PluginHandle<Kernel, flagos_plugin_kernel_t>,
    PluginHandle<Module, flagos_plugin_module_t>, PluginHandle<Prepared, flagos_plugin_prepared_t>,
    PluginHandle<Stream, flagos_plugin_stream_t>>;

template <typename Handle>
auto& from_c(Handle* handle) noexcept {
  return *Handles::object_of(handle);
}

template <typename Object>
auto* to_c(Object* object) noexcept {
  return Handles::handle_of(object);
}

}  // namespace flagos::opencl
