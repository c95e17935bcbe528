#include "conformance/cases/native_support.hpp"

#include <cstring>

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::array kind_names{"device", "stream", "event", "memory"};

}  // namespace

std::string name_of(NativeKind kind) { return kind_names[static_cast<std::size_t>(kind)]; }

flagos_status_t get_native(const World& world, NativeKind kind, flagos_native_t* out_native) {
  switch (kind) {
    case NativeKind::device:
      return flagos_device_get_native(world.device(), out_native);
    case NativeKind::stream:
      return flagos_stream_get_native(world.stream(), out_native);
    case NativeKind::event:
      return flagos_event_get_native(world.event(), out_native);
    case NativeKind::memory:
      return flagos_memory_get_native(world.spare_device(), world.spare_memory(), out_native);
  }
  return FLAGOS_STATUS_UNSUPPORTED;
}

flagos_native_t native_of(const World& world, NativeKind kind) {
  flagos_native_t native{};
  native.struct_size = sizeof native;
  if (world.live() && get_native(world, kind, &native) == ok) return native;
  std::strcpy(native.type, "nothing_known");
  native.handle_count = 1;
  native.handles[0] = 1;
  return native;
}

flagos_status_t wrap_and_drop(const World& world, NativeKind kind, const flagos_native_t* native,
                              std::uint64_t flags) {
  flagos_status_t status = FLAGOS_STATUS_UNSUPPORTED;
  if (kind == NativeKind::device) {
    flagos_device_t* device = nullptr;
    status =
        flagos_device_wrap_native(world.runtime(), world.device_index(), native, flags, &device);
    flagos_device_close(device);
  } else if (kind == NativeKind::stream) {
    flagos_stream_t* stream = nullptr;
    status = flagos_stream_wrap_native(world.device(), native, flags, &stream);
    flagos_stream_destroy(stream);
  } else if (kind == NativeKind::event) {
    flagos_event_t* event = nullptr;
    status = flagos_event_wrap_native(world.device(), native, flags, &event);
    flagos_event_destroy(event);
  } else {
    flagos_address_t address = 0;
    status = flagos_memory_wrap_native(world.device(), native, World::memory_size, flags, &address);
    flagos_memory_free(world.device(), address);
    flagos_device_synchronize(world.device(),
                              60'000'000'000u);  // the free may wait for pending work
  }
  return status;
}

std::optional<NativeKind> wrappable_kind(const World& world) {
  if (!world.has(FLAGOS_FEATURE_NATIVE_OBJECTS)) return std::nullopt;
  for (const NativeKind kind : all_native_kinds) {
    flagos_native_t native{};
    native.struct_size = sizeof native;
    if (get_native(world, kind, &native) == ok && wrap_and_drop(world, kind, &native) == ok)
      return kind;
  }
  return std::nullopt;
}

}  // namespace flagos::conformance
