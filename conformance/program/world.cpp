#include "conformance/program/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include <unistd.h>

namespace flagos::conformance {
namespace {

void demand_ok(flagos_status_t status, const char* entry) {
  if (status == FLAGOS_STATUS_OK) return;
  throw std::runtime_error(
      fmt::format("{}: {}: {}", entry, flagos_status_get_name(status), flagos_last_error()));
}

struct Image {
  flagos_format_info_t format;
  std::string path;
};

// The suite's kernels in the format that the device likes best; none where it takes none of ours.
std::optional<Image> find_image(flagos_device_t* device, const std::string& kernels_dir) {
  std::optional<Image> best;
  std::uint32_t count = 0;
  demand_ok(flagos_module_get_format_count(device, &count), "flagos_module_get_format_count");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t format{};
    format.struct_size = sizeof(format);
    demand_ok(flagos_module_get_format(device, i, &format), "flagos_module_get_format");
    const std::string path = fmt::format("{}/kernels.{}", kernels_dir, format.name);
    if ((format.flags & FLAGOS_FORMAT_FLAG_LOAD) == 0 || access(path.c_str(), R_OK) != 0) continue;
    if (!best || format.priority > best->format.priority) best = Image{format, path};
  }
  return best;
}

flagos_module_t* load(flagos_device_t* device, const Image& image) {
  std::ifstream file(image.path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = image.format.name;
  if ((image.format.flags & FLAGOS_FORMAT_FLAG_PATH) != 0) {
    desc.path = image.path.c_str();
  } else {
    desc.data = bytes.data();
    desc.size_bytes = bytes.size();
  }
  flagos_module_t* module = nullptr;
  demand_ok(flagos_module_load(device, &desc, &module),
            "flagos_module_load of the suite's kernels");
  return module;
}

flagos_kernel_t* kernel_of(flagos_module_t* module, const char* name) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name;
  flagos_kernel_t* kernel = nullptr;
  demand_ok(flagos_module_get_kernel(module, &desc, &kernel), name);
  return kernel;
}

}  // namespace

ProgramWorld::ProgramWorld(const std::string& plugin_path, const std::string& kernels_dir,
                           std::uint32_t most_devices) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  demand_ok(flagos_runtime_create(&desc, &runtime_), "flagos_runtime_create");
  try {
    demand_ok(flagos_runtime_add_plugin(runtime_, plugin_path.c_str()),
              "flagos_runtime_add_plugin");
    std::uint32_t count = 0;
    demand_ok(flagos_device_get_count(runtime_, &count), "flagos_device_get_count");
    if (count == 0) throw NoDevice(fmt::format("'{}' has no device", plugin_path));
    for (std::uint32_t i = 0; i < std::min(count, most_devices); ++i) open(i, kernels_dir);
  } catch (...) {
    close();
    throw;
  }
}

ProgramWorld::~ProgramWorld() { close(); }

void ProgramWorld::open(std::uint32_t index, const std::string& kernels_dir) {
  Place place;
  demand_ok(flagos_device_open(runtime_, index, &place.device), "flagos_device_open");
  places_.push_back(place);
  const std::optional<Image> image = find_image(place.device, kernels_dir);
  if (!image) return;
  flagos_module_t* const module = load(place.device, *image);
  modules_.push_back(module);
  places_.back().step = kernel_of(module, "data_step");
  places_.back().add = kernel_of(module, "data_add");
  places_.back().fail = kernel_of(module, "data_fail");
}

std::uint64_t ProgramWorld::free_bytes() const {
  std::uint64_t all = 0;
  for (const Place& place : places_) {
    std::uint64_t free_bytes = 0, total_bytes = 0;
    demand_ok(flagos_device_query_memory(place.device, &free_bytes, &total_bytes),
              "flagos_device_query_memory");
    all += free_bytes;
  }
  return all;
}

std::string ProgramWorld::close() {
  std::string why;
  const auto note = [&](flagos_status_t status, const char* entry) {
    if (status != FLAGOS_STATUS_OK && why.empty())
      why = fmt::format("{}: {}: {}", entry, flagos_status_get_name(status), flagos_last_error());
  };
  for (flagos_module_t* const module : modules_)
    note(flagos_module_unload(module), "flagos_module_unload");
  for (const Place& place : places_) note(flagos_device_close(place.device), "flagos_device_close");
  if (runtime_ != nullptr) note(flagos_runtime_destroy(runtime_), "flagos_runtime_destroy");
  modules_.clear();
  places_.clear();
  runtime_ = nullptr;
  return why;
}

}  // namespace flagos::conformance
