// The plugin's objects as core sees them, and back. Core never looks into them, so they are plain
// pointers.
#pragma once

#include <flagos_plugin.h>

namespace flagos::nvidia {

class Communicator;
class Device;
class Event;
class Graph;
class Instance;
class Kernel;
class Module;
class PhysicalMemory;
class Prepared;
class Stream;

// Which object a handle stands for, and the other way round.
template <typename Handle>
struct ObjectOf;
template <typename Object>
struct HandleOf;

#define FLAGOS_NVIDIA_HANDLE(Object, Handle) \
  template <>                                \
  struct ObjectOf<Handle> {                  \
    using Type = Object;                     \
  };                                         \
  template <>                                \
  struct HandleOf<Object> {                  \
    using Type = Handle;                     \
  }

FLAGOS_NVIDIA_HANDLE(Instance, flagos_plugin_instance_t);
FLAGOS_NVIDIA_HANDLE(Device, flagos_plugin_device_t);
FLAGOS_NVIDIA_HANDLE(Stream, flagos_plugin_stream_t);
FLAGOS_NVIDIA_HANDLE(Event, flagos_plugin_event_t);
FLAGOS_NVIDIA_HANDLE(Module, flagos_plugin_module_t);
FLAGOS_NVIDIA_HANDLE(Kernel, flagos_plugin_kernel_t);
FLAGOS_NVIDIA_HANDLE(Prepared, flagos_plugin_prepared_t);
FLAGOS_NVIDIA_HANDLE(Graph, flagos_plugin_graph_t);
FLAGOS_NVIDIA_HANDLE(Communicator, flagos_plugin_communicator_t);
FLAGOS_NVIDIA_HANDLE(PhysicalMemory, flagos_plugin_physical_memory_t);
#undef FLAGOS_NVIDIA_HANDLE

template <typename Handle>
typename ObjectOf<Handle>::Type& from_c(Handle* handle) noexcept {
  return *reinterpret_cast<typename ObjectOf<Handle>::Type*>(handle);
}

template <typename Object>
typename HandleOf<Object>::Type* to_c(Object* object) noexcept {
  return reinterpret_cast<typename HandleOf<Object>::Type*>(object);
}

}  // namespace flagos::nvidia
