// The plugin's objects as core sees them, and back. Core never looks into them, so they are plain
// pointers.
#pragma once

#include <flagos_plugin.h>

namespace flagos::cpu {

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
class Timeline;

// Which object a handle stands for, and the other way round.
template <typename Handle>
struct ObjectOf;
template <typename Object>
struct HandleOf;

template <>
struct ObjectOf<flagos_plugin_instance_t> {
  using Type = Instance;
};
template <>
struct HandleOf<Instance> {
  using Type = flagos_plugin_instance_t;
};

template <>
struct ObjectOf<flagos_plugin_device_t> {
  using Type = Device;
};
template <>
struct HandleOf<Device> {
  using Type = flagos_plugin_device_t;
};

template <>
struct ObjectOf<flagos_plugin_stream_t> {
  using Type = Stream;
};
template <>
struct HandleOf<Stream> {
  using Type = flagos_plugin_stream_t;
};

template <>
struct ObjectOf<flagos_plugin_event_t> {
  using Type = Event;
};
template <>
struct HandleOf<Event> {
  using Type = flagos_plugin_event_t;
};

template <>
struct ObjectOf<flagos_plugin_module_t> {
  using Type = Module;
};
template <>
struct HandleOf<Module> {
  using Type = flagos_plugin_module_t;
};

template <>
struct ObjectOf<flagos_plugin_kernel_t> {
  using Type = Kernel;
};
template <>
struct HandleOf<Kernel> {
  using Type = flagos_plugin_kernel_t;
};

template <>
struct ObjectOf<flagos_plugin_prepared_t> {
  using Type = Prepared;
};
template <>
struct HandleOf<Prepared> {
  using Type = flagos_plugin_prepared_t;
};

template <>
struct ObjectOf<flagos_plugin_timeline_t> {
  using Type = Timeline;
};
template <>
struct HandleOf<Timeline> {
  using Type = flagos_plugin_timeline_t;
};

template <>
struct ObjectOf<flagos_plugin_graph_t> {
  using Type = Graph;
};
template <>
struct HandleOf<Graph> {
  using Type = flagos_plugin_graph_t;
};

template <>
struct ObjectOf<flagos_plugin_physical_memory_t> {
  using Type = PhysicalMemory;
};
template <>
struct HandleOf<PhysicalMemory> {
  using Type = flagos_plugin_physical_memory_t;
};

template <>
struct ObjectOf<flagos_plugin_communicator_t> {
  using Type = Communicator;
};
template <>
struct HandleOf<Communicator> {
  using Type = flagos_plugin_communicator_t;
};

template <typename Handle>
typename ObjectOf<Handle>::Type& from_c(Handle* handle) noexcept {
  return *reinterpret_cast<typename ObjectOf<Handle>::Type*>(handle);
}

template <typename Object>
typename HandleOf<Object>::Type* to_c(Object* object) noexcept {
  return reinterpret_cast<typename HandleOf<Object>::Type*>(object);
}

}  // namespace flagos::cpu
