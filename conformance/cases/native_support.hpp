// Native objects in a world: what the plugin shows, and what it takes in.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "conformance/cases/entry_world.hpp"

namespace flagos::conformance {

enum class NativeKind : std::uint8_t { device, stream, event, memory };
inline constexpr std::array all_native_kinds{NativeKind::device, NativeKind::stream,
                                             NativeKind::event, NativeKind::memory};
std::string name_of(NativeKind kind);

// Memory is that of the spare device: an address can belong to one allocation of a device only.
flagos_status_t get_native(const World& world, NativeKind kind, flagos_native_t* out_native);
// As the plugin shows it, or a made-up one that nobody takes.
flagos_native_t native_of(const World& world, NativeKind kind);
// Wraps it without OWN and drops what came of it.
flagos_status_t wrap_and_drop(const World& world, NativeKind kind, const flagos_native_t* native,
                              std::uint64_t flags = 0);
// The first kind that the plugin both shows and takes in.
std::optional<NativeKind> wrappable_kind(const World& world);

}  // namespace flagos::conformance
