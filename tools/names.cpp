#include "tools/names.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

template <std::size_t N>
const char* name_of(const std::array<const char*, N>& names, std::int32_t value) {
  return value >= 0 && static_cast<std::size_t>(value) < N ? names[static_cast<std::size_t>(value)]
                                                           : "unknown";
}

}  // namespace

const char* verdict_name(flagos_verdict_t verdict) {
  static constexpr std::array names = {"loaded",        "missing",     "permissions", "manifest",
                                       "not_a_library", "load_failed", "no_entry",    "version",
                                       "bad_table",     "open_failed", "duplicate",   "crashed"};
  return name_of(names, verdict);
}

const char* feature_name(flagos_feature_t feature) {
  static constexpr std::array<const char*, FLAGOS_FEATURE_COUNT> names = {
      "copy_2d",       "wide_fill",      "memory_update", "pinned_memory",  "managed_memory",
      "host_register", "prefetch",       "memory_pool",   "host_callback",  "stream_value",
      "timeline",      "graph",          "capture",       "compile",        "prepared_launch",
      "profiling",     "recover",        "module_global", "peer_copy",      "export_memory",
      "export_event",  "native_objects", "operators",     "virtual_memory", "collective"};
  return name_of(names, feature);
}

const char* support_name(flagos_support_t support) {
  static constexpr std::array names = {"absent", "emulated", "native"};
  return name_of(names, support);
}

const char* device_type_name(flagos_device_type_t type) {
  static constexpr std::array names = {"other", "cpu", "gpu", "npu"};
  return name_of(names, type);
}

const char* link_type_name(flagos_link_type_t type) {
  static constexpr std::array names = {"unknown", "same", "host_memory", "fabric", "pci", "system"};
  return name_of(names, type);
}

const char* schedule_class_name(flagos_schedule_class_t schedule_class) {
  static constexpr std::array names = {"serial", "simt", "tile"};
  return name_of(names, schedule_class);
}

std::string version_text(std::uint32_t abi_version) {
  return fmt::format("{}.{}", FLAGOS_VERSION_MAJOR(abi_version), FLAGOS_VERSION_MINOR(abi_version));
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

void check(flagos_status_t status, const char* what) {
  if (status == FLAGOS_STATUS_OK) return;
  throw CommandError(
      fmt::format("{}: {} ({})", what, flagos_last_error(), flagos_status_get_name(status)));
}

}  // namespace flagos::tools
