// The plugin's objects as core sees them, and back. Core never looks into them, so they are plain
// pointers.
#pragma once

#include <flagos_plugin.h>

namespace flagos::cpu {

class Device;
class Event;
class Graph;
class Instance;
class Kernel;
class Module;
class Prepared;
class Stream;
class Timeline;

#define FLAGOS_CPU_HANDLE(Type, name)                              \
  inline flagos_plugin_##name##_t* to_c(Type* object) noexcept {   \
    return reinterpret_cast<flagos_plugin_##name##_t*>(object);    \
  }                                                                \
  inline Type& from_c(flagos_plugin_##name##_t* object) noexcept { \
    return *reinterpret_cast<Type*>(object);                       \
  }

FLAGOS_CPU_HANDLE(Instance, instance)
FLAGOS_CPU_HANDLE(Device, device)
FLAGOS_CPU_HANDLE(Stream, stream)
FLAGOS_CPU_HANDLE(Event, event)
FLAGOS_CPU_HANDLE(Module, module)
FLAGOS_CPU_HANDLE(Kernel, kernel)
FLAGOS_CPU_HANDLE(Prepared, prepared)
FLAGOS_CPU_HANDLE(Timeline, timeline)
FLAGOS_CPU_HANDLE(Graph, graph)
#undef FLAGOS_CPU_HANDLE

}  // namespace flagos::cpu
