#include "tools/describe.hpp"

#include <fmt/format.h>

#include <cstring>

#include "tools/names.hpp"

namespace flagos::tools {
namespace {

using nlohmann::json;

// The text of a fixed array, whether its writer ended it or not.
template <std::size_t N>
std::string text_of(const char (&array)[N]) {
  return {array, strnlen(array, N)};
}

std::string uuid_text(const std::uint8_t (&uuid)[16]) {
  std::string text;
  for (std::size_t i = 0; i < 16; ++i)
    text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
  return text;
}

json capability_names(std::uint64_t capabilities) {
  static constexpr const char* names[] = {"async_submit",           "pageable_copy_sync",
                                          "concurrent_streams",     "host_addresses",
                                          "pageable_kernel_access", "fake",
                                          "cooperative_launch",     "cluster_launch"};
  json result = json::array();
  for (std::size_t bit = 0; bit < std::size(names); ++bit) {
    if ((capabilities >> bit & 1) != 0) result.push_back(names[bit]);
  }
  return result;
}

json describe_properties(const flagos_device_info_t& info) {
  return {{"index", info.index},
          {"id", text_of(info.id)},
          {"name", text_of(info.name)},
          {"vendor", text_of(info.vendor)},
          {"driver_version", text_of(info.driver_version)},
          {"uuid", uuid_text(info.uuid)},
          {"bus_id", text_of(info.bus_id)},
          {"type", device_type_name(info.type)},
          {"schedule_class", schedule_class_name(info.schedule_class)},
          {"capabilities", capability_names(info.capabilities)},
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
          {"priority_high", info.priority_high},
          {"dlpack_device_type", info.dlpack_device_type},
          {"dlpack_device_id", info.dlpack_device_id}};
}

void describe_locality(flagos_runtime_t* runtime, std::uint32_t index, json& out) {
  flagos_locality_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_device_get_locality(runtime, index, &info), "asking where a device is");
  out["numa_node"] = info.numa_node < 0 ? json() : json(info.numa_node);
  out["processors"] = text_of(info.processors);
}

json describe_link(flagos_runtime_t* runtime, std::uint32_t from, std::uint32_t to) {
  flagos_link_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_device_get_link(runtime, from, to, &info), "asking for a link");
  return {{"from", from},
          {"to", to},
          {"type", link_type_name(info.type)},
          {"native_copy", (info.flags & FLAGOS_LINK_FLAG_NATIVE_COPY) != 0},
          {"direct_access", (info.flags & FLAGOS_LINK_FLAG_DIRECT_ACCESS) != 0},
          {"atomics", (info.flags & FLAGOS_LINK_FLAG_ATOMICS) != 0},
          {"distance", info.distance},
          {"bandwidth_bytes_per_s", info.bandwidth_bytes_per_s}};
}

json describe_features(flagos_device_t* device) {
  json result = json::object();
  for (flagos_feature_t feature = 0; feature < FLAGOS_FEATURE_COUNT; ++feature) {
    flagos_support_t support = FLAGOS_SUPPORT_ABSENT;
    check(flagos_device_get_feature(device, feature, &support), "asking for a feature");
    result[feature_name(feature)] = support_name(support);
  }
  return result;
}

json describe_formats(flagos_device_t* device) {
  json result = json::array();
  std::uint32_t count = 0;
  check(flagos_module_get_format_count(device, &count), "asking for kernel formats");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_module_get_format(device, i, &info), "asking for a kernel format");
    result.push_back({{"name", text_of(info.name)},
                      {"version", text_of(info.version)},
                      {"target", text_of(info.target)},
                      {"priority", info.priority},
                      {"load", (info.flags & FLAGOS_FORMAT_FLAG_LOAD) != 0},
                      {"compile", (info.flags & FLAGOS_FORMAT_FLAG_COMPILE) != 0},
                      {"path", (info.flags & FLAGOS_FORMAT_FLAG_PATH) != 0},
                      {"reflection", (info.flags & FLAGOS_FORMAT_FLAG_REFLECTION) != 0}});
  }
  return result;
}

void describe_open_device(flagos_device_t* device, json& out) {
  std::uint64_t free_bytes = 0, total_bytes = 0;
  check(flagos_device_query_memory(device, &free_bytes, &total_bytes), "asking for memory");
  out["free_bytes"] = free_bytes;
  out["features"] = describe_features(device);
  out["formats"] = describe_formats(device);
}

}  // namespace

json describe_candidate(const flagos_candidate_info_t& info) {
  return {{"path", text_of(info.path)},
          {"name", text_of(info.name)},
          {"vendor", text_of(info.vendor)},
          {"version", text_of(info.version)},
          {"verdict", verdict_name(info.verdict)},
          {"reason", text_of(info.reason)},
          {"abi_version", info.abi_version == 0 ? json() : json(version_text(info.abi_version))},
          {"device_count", info.device_count}};
}

json describe_candidates(flagos_runtime_t* runtime) {
  json result = json::array();
  std::uint32_t count = 0;
  check(flagos_runtime_get_candidate_count(runtime, &count), "counting candidates");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_candidate_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_runtime_get_candidate(runtime, i, &info), "asking for a candidate");
    result.push_back(describe_candidate(info));
  }
  return result;
}

json describe_device(flagos_runtime_t* runtime, std::uint32_t index) {
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_device_describe(runtime, index, &info), "describing a device");
  json result = describe_properties(info);
  describe_locality(runtime, index, result);
  flagos_device_t* device = nullptr;
  try {
    check(flagos_device_open(runtime, index, &device), "opening the device");
    describe_open_device(device, result);
  } catch (const std::exception& error) {
    result["error"] = error.what();
  }
  flagos_device_close(device);
  return result;
}

json describe_devices(flagos_runtime_t* runtime) {
  json result = json::array();
  std::uint32_t count = 0;
  check(flagos_device_get_count(runtime, &count), "counting devices");
  for (std::uint32_t i = 0; i < count; ++i) result.push_back(describe_device(runtime, i));
  return result;
}

json describe_links(flagos_runtime_t* runtime) {
  json result = json::array();
  std::uint32_t count = 0;
  check(flagos_device_get_count(runtime, &count), "counting devices");
  for (std::uint32_t from = 0; from < count; ++from) {
    for (std::uint32_t to = 0; to < count; ++to) {
      if (from != to) result.push_back(describe_link(runtime, from, to));
    }
  }
  return result;
}

std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string feature_lines(const json& device, const std::string& indent) {
  std::string result;
  for (const char* support : {"native", "emulated", "absent"}) {
    std::string names;
    for (const auto& [name, value] : device.at("features").items()) {
      if (value == support) names += " " + name;
    }
    result += fmt::format("{}{:<10}{}\n", indent, support, names.empty() ? " -" : names);
  }
  return result;
}

RuntimeOwner::RuntimeOwner(std::uint64_t flags) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = flags;
  check(flagos_runtime_create(&desc, &runtime_), "finding plugins");
}

}  // namespace flagos::tools
