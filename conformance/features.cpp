#include "conformance/features.hpp"

#include <array>

namespace flagos::conformance {
namespace {

constexpr std::array<std::string_view, FLAGOS_FEATURE_COUNT> feature_names = {
    "copy_2d",       "wide_fill",      "memory_update", "pinned_memory",  "managed_memory",
    "host_register", "prefetch",       "memory_pool",   "host_callback",  "stream_value",
    "timeline",      "graph",          "capture",       "compile",        "prepared_launch",
    "profiling",     "recover",        "module_global", "peer_copy",      "export_memory",
    "export_event",  "native_objects", "operators",     "virtual_memory", "collective",
};
static_assert(!feature_names.back().empty(), "every feature has a name");

constexpr std::array<std::string_view, 8> capability_bits = {
    "async_submit",       "pageable_copy_sync",     "concurrent_streams",
    "host_addresses",     "pageable_kernel_access", "fake",
    "cooperative_launch", "cluster_launch",
};

}  // namespace

std::string_view feature_name(flagos_feature_t feature) {
  if (feature < 0 || feature >= FLAGOS_FEATURE_COUNT) return "";
  return feature_names[static_cast<std::size_t>(feature)];
}

std::optional<flagos_feature_t> feature_from_name(std::string_view name) {
  for (std::size_t i = 0; i < feature_names.size(); ++i) {
    if (feature_names[i] == name) return static_cast<flagos_feature_t>(i);
  }
  return std::nullopt;
}

std::string_view support_name(flagos_support_t support) {
  switch (support) {
    case FLAGOS_SUPPORT_ABSENT:
      return "absent";
    case FLAGOS_SUPPORT_EMULATED:
      return "emulated";
    case FLAGOS_SUPPORT_NATIVE:
      return "native";
    default:
      return "unknown";
  }
}

std::vector<std::string> capability_names(std::uint64_t capabilities) {
  std::vector<std::string> names;
  for (std::size_t bit = 0; bit < 64; ++bit) {
    if ((capabilities >> bit & 1) == 0) continue;
    names.push_back(bit < capability_bits.size() ? std::string(capability_bits[bit])
                                                 : "bit_" + std::to_string(bit));
  }
  return names;
}

const std::vector<flagos_feature_t>& features_of_full() {
  static const std::vector<flagos_feature_t> features = {
      FLAGOS_FEATURE_HOST_CALLBACK, FLAGOS_FEATURE_TIMELINE, FLAGOS_FEATURE_GRAPH,
      FLAGOS_FEATURE_CAPTURE, FLAGOS_FEATURE_MEMORY_POOL};
  return features;
}

}  // namespace flagos::conformance
