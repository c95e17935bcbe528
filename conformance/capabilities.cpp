#include "conformance/capabilities.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "conformance/features.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

std::string version_text(std::uint32_t version) {
  return fmt::format("{}.{}", FLAGOS_VERSION_MAJOR(version), FLAGOS_VERSION_MINOR(version));
}

std::string_view type_name(flagos_device_type_t type) {
  switch (type) {
    case FLAGOS_DEVICE_TYPE_CPU:
      return "cpu";
    case FLAGOS_DEVICE_TYPE_GPU:
      return "gpu";
    case FLAGOS_DEVICE_TYPE_NPU:
      return "npu";
    default:
      return "other";
  }
}

std::string_view schedule_name(flagos_schedule_class_t schedule) {
  switch (schedule) {
    case FLAGOS_SCHEDULE_CLASS_SERIAL:
      return "serial";
    case FLAGOS_SCHEDULE_CLASS_SIMT:
      return "simt";
    case FLAGOS_SCHEDULE_CLASS_TILE:
      return "tile";
    default:
      return "unknown";
  }
}

json plugin_json(Context& t) {
  flagos_candidate_info_t info{};
  info.struct_size = sizeof(info);
  t.ok(flagos_runtime_get_candidate(t.runtime(), 0, &info), "flagos_runtime_get_candidate");
  return {{"name", info.name},
          {"vendor", info.vendor},
          {"version", info.version},
          {"abi_version", version_text(info.abi_version)},
          {"device_count", info.device_count}};
}

json runtime_json(Context& t) {
  flagos_version_info_t info{};
  info.struct_size = sizeof(info);
  t.ok(flagos_get_version(&info), "flagos_get_version");
  return {{"product_version", info.product_version},
          {"abi_version", version_text(info.abi_version)},
          {"abi_version_min", version_text(info.abi_version_min)}};
}

json device_json(const flagos_device_info_t& info) {
  return {{"id", info.id},
          {"name", info.name},
          {"vendor", info.vendor},
          {"driver_version", info.driver_version},
          {"uuid", fmt::format("{:02x}", fmt::join(info.uuid, ""))},
          {"bus_id", info.bus_id},
          {"type", type_name(info.type)},
          {"schedule_class", schedule_name(info.schedule_class)},
          {"capabilities", capability_names(info.capabilities)},
          {"fake", (info.capabilities & FLAGOS_DEVICE_CAPABILITY_FAKE) != 0},
          {"memory_bytes", info.memory_bytes},
          {"max_allocation_bytes", info.max_allocation_bytes},
          {"allocation_alignment", info.allocation_alignment},
          {"compute_units", info.compute_units},
          {"max_grid", info.max_grid},
          {"max_block", info.max_block},
          {"max_block_threads", info.max_block_threads},
          {"subgroup_size", info.subgroup_size},
          {"max_shared_bytes", info.max_shared_bytes},
          {"max_argument_bytes", info.max_argument_bytes},
          {"priority_low", info.priority_low},
          {"priority_high", info.priority_high}};
}

json formats_json(Context& t) {
  std::uint32_t count = 0;
  t.ok(flagos_module_get_format_count(t.device(), &count), "flagos_module_get_format_count");
  json formats = json::array();
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    t.ok(flagos_module_get_format(t.device(), i, &info), "flagos_module_get_format");
    formats.push_back({{"name", info.name},
                       {"version", info.version},
                       {"target", info.target},
                       {"priority", info.priority},
                       {"flags", info.flags},
                       {"schedule_class", schedule_name(info.schedule_class)}});
  }
  return formats;
}

json features_json(Context& t) {
  json features = json::object();
  for (flagos_feature_t feature = 0; feature < FLAGOS_FEATURE_COUNT; ++feature) {
    features[std::string(feature_name(feature))] = support_name(t.support(feature));
  }
  return features;
}

}  // namespace

json describe_capabilities(Context& t) {
  return {{"plugin", plugin_json(t)},
          {"runtime", runtime_json(t)},
          {"device", device_json(t.info())},
          {"features", features_json(t)},
          {"formats", formats_json(t)}};
}

}  // namespace flagos::conformance
