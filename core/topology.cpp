// Links between devices and the host's processors near them, from what plugins know and what the kernel tells.
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "core/entry.hpp"
#include "core/runtime.hpp"

namespace flagos::core {

namespace {

constexpr std::uint32_t near_distance = 10;  // firmware's figure for memory of the same node
constexpr std::uint32_t far_distance = 20;   // where it does not tell

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// A bus id is used as a part of a path, so it must be one.
bool is_bus_id(std::string_view id) {
  return !id.empty() &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isxdigit(c) || c == ':' || c == '.'; });
}

std::string bus_file(const flagos_device_info_t& info, const char* name) {
  if (!is_bus_id(info.bus_id)) return {};
  return first_line(fmt::format("/sys/bus/pci/devices/{}/{}", info.bus_id, name));
}

std::int32_t numa_node(const flagos_device_info_t& info) {
  const std::string text = bus_file(info, "numa_node");
  return text.empty() ? -1 : std::atoi(text.c_str());
}

std::string near_processors(const flagos_device_info_t& info) {
  if (info.type == FLAGOS_DEVICE_TYPE_CPU) return first_line("/sys/devices/system/cpu/online");
  return bus_file(info, "local_cpulist");
}

std::uint32_t node_distance(std::int32_t from, std::int32_t to) {
  if (from < 0 || to < 0) return from == to ? near_distance : far_distance;
  std::istringstream row(first_line(fmt::format("/sys/devices/system/node/node{}/distance", from)));
  std::uint32_t distance = 0;
  for (std::int32_t i = 0; i <= to; ++i) {
    if (!(row >> distance)) return from == to ? near_distance : far_distance;
  }
  return distance;
}

bool is_host_processor(const flagos_device_info_t& info) {
  return (info.capabilities & FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES) != 0 && info.type == FLAGOS_DEVICE_TYPE_CPU;
}

// What can be said without the plugin's help.
void complete_link(const flagos_device_info_t& from, const flagos_device_info_t& to, flagos_link_info_t& link) {
  if (link.type == FLAGOS_LINK_TYPE_UNKNOWN) {
    if (std::memcmp(from.uuid, to.uuid, sizeof(from.uuid)) == 0) {
      link.type = FLAGOS_LINK_TYPE_SAME;
    } else if (is_host_processor(from) && is_host_processor(to)) {
      link.type = FLAGOS_LINK_TYPE_HOST_MEMORY;
    } else if (is_bus_id(from.bus_id) && is_bus_id(to.bus_id)) {
      link.type = numa_node(from) == numa_node(to) ? FLAGOS_LINK_TYPE_PCI : FLAGOS_LINK_TYPE_SYSTEM;
    }
  }
  if (link.distance == 0 && from.index != to.index) link.distance = node_distance(numa_node(from), numa_node(to));
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_device_get_link(flagos_runtime_t* runtime, uint32_t from_index, uint32_t to_index,
                                       flagos_link_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const auto devices = resolve<Runtime>(runtime, "runtime").devices();
    const std::uint32_t last = std::max(from_index, to_index);
    if (last >= devices.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "device {} of {}", last, devices.size());
    const Runtime::DeviceEntry& from = devices[from_index];
    const Runtime::DeviceEntry& to = devices[to_index];
    flagos_link_info_t link{};
    link.struct_size = sizeof(link);
    const Tables& tables = from.plugin->tables();
    if (from_index == to_index) {
      link.type = FLAGOS_LINK_TYPE_SAME;
      link.flags = FLAGOS_LINK_FLAG_NATIVE_COPY | FLAGOS_LINK_FLAG_DIRECT_ACCESS | FLAGOS_LINK_FLAG_ATOMICS;
    } else if (from.plugin == to.plugin && tables.has.topology) {
      expect(tables.topology.get_link(from.plugin->instance(), from.ordinal, to.ordinal, &link), "topology.get_link");
      link.padding = 0;
    }
    complete_link(from.info, to.info, link);
    finish_out(out_info, link);
  });
}

flagos_status_t flagos_device_get_locality(flagos_runtime_t* runtime, uint32_t index,
                                           flagos_locality_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const auto devices = resolve<Runtime>(runtime, "runtime").devices();
    if (index >= devices.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "device {} of {}", index, devices.size());
    flagos_locality_info_t locality{};
    locality.numa_node = numa_node(devices[index].info);
    const std::string processors = near_processors(devices[index].info);
    processors.copy(locality.processors, sizeof(locality.processors) - 1);
    finish_out(out_info, locality);
  });
}
