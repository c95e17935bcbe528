// Templates of device.hpp.
#pragma once

#include "core/device.hpp"
#include "core/entry.hpp"

namespace flagos::core {

template <typename Handle, typename T>
Handle* publish(Ref<T> child) {
  T* object = child.get();
  const std::uint64_t handle = handles.insert(object);  // throws before anything changed
  child.detach();
  object->device().count(object->tag(), 1);
  return reinterpret_cast<Handle*>(static_cast<std::uintptr_t>(handle));
}

template <typename T>
void destroy_child(T& child) {
  Ref<Device> device(&child.device());
  if (!remove_handle(&child)) throw_handle_gone(child.tag());
  device->count(child.tag(), -1);
  child.on_destroy();
}

}  // namespace flagos::core
