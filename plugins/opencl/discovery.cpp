#include "plugins/opencl/discovery.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>
#include <tuple>

#include "base/device_filter.hpp"

namespace flagos::opencl {
namespace {

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::memset(target, 0, size);
  std::memcpy(target, text.data(), std::min(text.size(), size - 1));
}

bool has_extension(const DeviceDescription& device, std::string_view name) {
  const std::string padded = " " + device.extensions + " ";
  return padded.find(fmt::format(" {} ", name)) != std::string::npos;
}

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string bus_id(const Driver& driver, const DeviceDescription& device) {
  if (!has_extension(device, "cl_khr_pci_bus_info")) return {};
  const auto bus =
      driver.device_value(device.id, CL_DEVICE_PCI_BUS_INFO_KHR, cl_device_pci_bus_info_khr{});
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", bus.pci_domain, bus.pci_bus, bus.pci_device,
                     bus.pci_function);
}

// The driver's own where it has one; else made of what names the device after every boot: its
// names, where it sits, and how many like it came before.
void set_uuid(const Driver& driver, DeviceDescription& device, std::size_t number) {
  struct Uuid {
    std::uint8_t bytes[16];
  };
  if (has_extension(device, "cl_khr_device_uuid") && !device.sub_device) {
    const Uuid own = driver.device_value(device.id, CL_DEVICE_UUID_KHR, Uuid{});
    std::memcpy(device.info.uuid, own.bytes, sizeof(own.bytes));
    if (std::any_of(own.bytes, own.bytes + 16, [](std::uint8_t b) { return b != 0; })) return;
  }
  const std::string text =
      fmt::format("flagos opencl {} {} {} {} {}", device.platform_name, device.info.name,
                  device.info.vendor, device.info.bus_id, number);
  const std::uint64_t halves[2] = {fnv1a(text, 0xcbf29ce484222325u),
                                   fnv1a(text, 0x84222325cbf29ce4u)};
  std::memcpy(device.info.uuid, halves, sizeof(halves));
  // Version 8, made by a rule of our own: never zero.
  device.info.uuid[6] = static_cast<std::uint8_t>((device.info.uuid[6] & 0x0f) | 0x80);
  device.info.uuid[8] = static_cast<std::uint8_t>((device.info.uuid[8] & 0x3f) | 0x80);
}

flagos_device_type_t type_of(cl_device_type type) {
  if ((type & CL_DEVICE_TYPE_CPU) != 0) return FLAGOS_DEVICE_TYPE_CPU;
  if ((type & CL_DEVICE_TYPE_GPU) != 0) return FLAGOS_DEVICE_TYPE_GPU;
  return FLAGOS_DEVICE_TYPE_OTHER;
}

void set_limits(const Driver& driver, DeviceDescription& device) {
  flagos_device_info_t& info = device.info;
  const auto value = [&](cl_device_info what, auto fallback) {
    return driver.device_value(device.id, what, fallback);
  };
  info.memory_bytes = value(CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong{0});
  info.max_allocation_bytes =
      std::min<std::uint64_t>(value(CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong{0}), info.memory_bytes);
  device.base_alignment =
      std::max<std::uint64_t>(1, value(CL_DEVICE_MEM_BASE_ADDR_ALIGN, cl_uint{1024}) / 8);
  info.allocation_alignment =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(256, device.base_alignment));
  // What an allocation is larger by, so that its first byte can be aligned.
  info.max_allocation_bytes -=
      std::min<std::uint64_t>(info.max_allocation_bytes, info.allocation_alignment);
  info.compute_units = std::max(1u, value(CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint{1}));
  struct Sizes {
    std::size_t size[3];
  };
  const auto sizes = value(CL_DEVICE_MAX_WORK_ITEM_SIZES, Sizes{{1, 1, 1}});
  std::uint64_t product = 1;
  for (int i = 0; i < 3; ++i) {
    info.max_block[i] =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(sizes.size[i], 1, INT32_MAX));
    product *= std::min<std::uint64_t>(info.max_block[i], 1u << 20);
  }
  const std::uint64_t group = value(CL_DEVICE_MAX_WORK_GROUP_SIZE, std::size_t{1});
  info.max_block_threads = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::max<std::uint64_t>(1, group), product));
  info.max_grid[0] = INT32_MAX;
  info.max_grid[1] = info.max_grid[2] = 65535;
  info.subgroup_size = std::max<std::uint32_t>(
      1, static_cast<std::uint32_t>(
             value(CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, std::size_t{1})));
  info.max_shared_bytes = static_cast<std::uint32_t>(
      std::clamp<cl_ulong>(value(CL_DEVICE_LOCAL_MEM_SIZE, cl_ulong{1}), 1, INT32_MAX));
  info.max_argument_bytes = static_cast<std::uint32_t>(
      std::clamp<std::size_t>(value(CL_DEVICE_MAX_PARAMETER_SIZE, std::size_t{0}), 4096, 65536));
}

DeviceDescription describe(const Driver& driver, cl_platform_id platform, cl_device_id id) {
  DeviceDescription device;
  device.platform = platform;
  device.id = device.whole = id;
  device.platform_name = driver.platform_text(platform, CL_PLATFORM_NAME);
  device.extensions = driver.device_text(id, CL_DEVICE_EXTENSIONS);
  if (driver.clSVMAlloc != nullptr && driver.clEnqueueSVMMemcpy != nullptr)
    device.svm = driver.device_value(id, CL_DEVICE_SVM_CAPABILITIES, cl_device_svm_capabilities{0});
  device.has_usm = has_extension(device, "cl_intel_unified_shared_memory");
  device.uses_host_memory =
      driver.device_value(id, CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool{CL_FALSE}) != CL_FALSE;
  const bool takes_il =
      driver.clCreateProgramWithIL != nullptr || has_extension(device, "cl_khr_il_program");
  if (takes_il) device.il_version = driver.device_text(id, CL_DEVICE_IL_VERSION);
  flagos_device_info_t& info = device.info;
  copy_text(info.name, driver.device_text(id, CL_DEVICE_NAME));
  copy_text(info.vendor, driver.device_text(id, CL_DEVICE_VENDOR));
  copy_text(info.driver_version, driver.device_text(id, CL_DRIVER_VERSION));
  copy_text(info.bus_id, bus_id(driver, device));
  info.type = type_of(driver.device_value(id, CL_DEVICE_TYPE, cl_device_type{0}));
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SIMT;
  info.capabilities = FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT;
  // Streams are queues of one device, and may run side by side where there is room for two.
  set_limits(driver, device);
  if (info.compute_units > 1) info.capabilities |= FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS;
  if ((device.svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM) != 0)
    info.capabilities |= FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS;
  if (driver.is_fake) info.capabilities |= FLAGOS_DEVICE_CAPABILITY_FAKE;
  return device;
}

// The compute units one by one; none where the driver cannot split it.
std::vector<std::shared_ptr<void>> split(const Driver& driver, cl_device_id device,
                                         const Host& host) {
  const cl_device_partition_property properties[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
  cl_uint count = 0;
  cl_int code = driver.clCreateSubDevices(device, properties, 0, nullptr, &count);
  std::vector<cl_device_id> parts(count);
  if (code == CL_SUCCESS && count > 1)
    code = driver.clCreateSubDevices(device, properties, count, parts.data(), nullptr);
  if (code == CL_SUCCESS && count > 1) {
    const auto release = [&driver](void* part) {
      driver.clReleaseDevice(static_cast<cl_device_id>(part));
    };
    std::vector<std::shared_ptr<void>> owned;
    for (cl_device_id part : parts) owned.emplace_back(part, release);
    return owned;
  }
  host.log(FLAGOS_LOG_LEVEL_INFO,
           fmt::format("FLAGOS_OPENCL_SUBDEVICES: '{}' is not split: clCreateSubDevices: {}",
                       driver.device_text(device, CL_DEVICE_NAME), code_text(code)));
  return {};
}

void add_device(const Driver& driver, const Host& host, cl_platform_id platform, cl_device_id id,
                bool sub_devices, std::vector<DeviceDescription>& devices) {
  const bool works = driver.device_value(id, CL_DEVICE_AVAILABLE, cl_bool{CL_TRUE}) != CL_FALSE &&
                     driver.device_value(id, CL_DEVICE_ENDIAN_LITTLE, cl_bool{CL_TRUE}) != CL_FALSE;
  if (!works) {
    host.log(FLAGOS_LOG_LEVEL_INFO,
             fmt::format("OpenCL device '{}' is left out: it is not available, or big-endian",
                         driver.device_text(id, CL_DEVICE_NAME)));
    return;
  }
  std::vector<std::shared_ptr<void>> parts;
  if (sub_devices) parts = split(driver, id, host);
  if (parts.empty()) {
    devices.push_back(describe(driver, platform, id));
    return;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    DeviceDescription part = describe(driver, platform, static_cast<cl_device_id>(parts[i].get()));
    part.sub_device = parts[i];
    part.whole = id;
    const std::string name = fmt::format("{} (part {} of {})", part.info.name, i + 1, parts.size());
    copy_text(part.info.name, name);
    devices.push_back(std::move(part));
  }
}

std::vector<cl_platform_id> platforms_of(const Driver& driver, const Host& host) {
  cl_uint count = 0;
  const cl_int code = driver.clGetPlatformIDs(0, nullptr, &count);
  if (code != CL_SUCCESS && code != CL_PLATFORM_NOT_FOUND_KHR)
    Driver::fail(code, "clGetPlatformIDs", {});
  std::vector<cl_platform_id> platforms(count);
  if (count != 0)
    Driver::check(driver.clGetPlatformIDs(count, platforms.data(), nullptr), "clGetPlatformIDs");
  if (platforms.empty())
    host.log(FLAGOS_LOG_LEVEL_INFO,
             "no OpenCL device: the loader found no driver (ICD) in /etc/OpenCL/vendors; install "
             "one, on Debian pocl-opencl-icd for the processor, intel-opencl-icd or "
             "mesa-opencl-icd for a GPU, or that of the card's vendor");
  return platforms;
}

std::vector<cl_device_id> devices_of(const Driver& driver, cl_platform_id platform) {
  cl_uint count = 0;
  const cl_int code = driver.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
  if (code == CL_DEVICE_NOT_FOUND) return {};
  Driver::check(code, "clGetDeviceIDs", "devices of platform '{}'",
                driver.platform_text(platform, CL_PLATFORM_NAME));
  std::vector<cl_device_id> devices(count);
  if (count != 0)
    Driver::check(
        driver.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr),
        "clGetDeviceIDs");
  return devices;
}

std::string_view uuid_of(const DeviceDescription& device) {
  return {reinterpret_cast<const char*>(device.info.uuid), sizeof(device.info.uuid)};
}

// By platform and bus; `last` decides between devices on one bus.
template <typename Last>
void sort_by(std::vector<DeviceDescription>& devices, const Last& last) {
  const auto rank = [&](const DeviceDescription& device) {
    return std::make_tuple(std::string_view(device.platform_name),
                           std::string_view(device.info.bus_id), last(device));
  };
  std::stable_sort(devices.begin(), devices.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

void sort_and_number(const Driver& driver, std::vector<DeviceDescription>& devices) {
  const auto name_of = [](const DeviceDescription& d) { return std::string_view(d.info.name); };
  sort_by(devices, name_of);
  std::size_t number = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const bool is_alike = i > 0 && name_of(devices[i]) == name_of(devices[i - 1]);
    number = is_alike ? number + 1 : 0;
    set_uuid(driver, devices[i], number);
  }
  sort_by(devices, uuid_of);
}

}  // namespace

std::vector<DeviceDescription> discover(const Driver& driver, const Host& host) {
  // Drivers make their devices at the first question, and PoCL shows them to a second thread before they are complete.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const bool sub_devices = host.get_switch("FLAGOS_OPENCL_SUBDEVICES");
  std::vector<DeviceDescription> devices;
  const std::vector<cl_platform_id> platforms = platforms_of(driver, host);
  for (cl_platform_id platform : platforms)
    for (cl_device_id id : devices_of(driver, platform))
      add_device(driver, host, platform, id, sub_devices, devices);
  if (devices.empty() && !platforms.empty())
    host.log(
        FLAGOS_LOG_LEVEL_INFO,
        fmt::format("no OpenCL device: platform '{}' and {} more have none that works; check "
                    "that the card is there and its kernel driver is loaded",
                    driver.platform_text(platforms[0], CL_PLATFORM_NAME), platforms.size() - 1));
  sort_and_number(driver, devices);
  return devices;
}

std::vector<DeviceDescription> filter(std::vector<DeviceDescription> devices, const Host& host) {
  constexpr const char* variable = "FLAGOS_OPENCL_DEVICES";
  std::vector<FilterDevice> names;
  for (const DeviceDescription& device : devices) {
    FilterDevice& name = names.emplace_back();
    name.name = device.info.name;
    std::copy_n(device.info.uuid, sizeof(name.uuid), name.uuid);
  }
  const DeviceSelection selection = select_devices(variable, host.get_config(variable), names);
  for (const std::string& warning : selection.warnings) host.log(FLAGOS_LOG_LEVEL_WARNING, warning);
  std::vector<DeviceDescription> chosen;
  for (const std::size_t index : selection.indices) chosen.push_back(std::move(devices[index]));
  return chosen;
}

}  // namespace flagos::opencl
