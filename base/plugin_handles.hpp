// A plugin's objects as core sees them, and back. Core never looks into them, so they are plain pointers.
#pragma once

#include <flagos_plugin.h>

#include <type_traits>

namespace flagos {

// One pair: the plugin's class, and the handle of the ABI that stands for it. The class may be incomplete.
template <typename Object, typename Handle>
struct PluginHandle {
  static Object* object_of(Handle* handle) noexcept { return reinterpret_cast<Object*>(handle); }
  static Handle* handle_of(Object* object) noexcept { return reinterpret_cast<Handle*>(object); }
};

// All pairs of a plugin.
template <typename... Pairs>
struct PluginHandles : Pairs... {
  using Pairs::handle_of...;
  using Pairs::object_of...;
};

}  // namespace flagos
