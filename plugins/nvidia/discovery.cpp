#include "plugins/nvidia/discovery.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/device_filter.hpp"

namespace flagos::nvidia {
namespace {

// cuLaunchKernel takes 4 KiB of arguments on every device and driver.
constexpr std::uint32_t argument_bytes = 4096;
constexpr std::int32_t dlpack_cuda = 2;

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::memset(target, 0, size);
  std::memcpy(target, text.data(), std::min(text.size(), size - 1));
}

void set_limits(const Driver& driver, DeviceDescription& device) {
  flagos_device_info_t& info = device.info;
  const auto limit = [&](CUdevice_attribute what, int least) {
    return static_cast<std::uint32_t>(std::max(least, driver.attribute(device.id, what)));
  };
  std::size_t bytes = 0;
  driver.check(driver.cuDeviceTotalMem_v2(&bytes, device.id), "cuDeviceTotalMem");
  info.memory_bytes = info.max_allocation_bytes = bytes;
  info.allocation_alignment = 256;
  info.compute_units = limit(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1);
  for (int i = 0; i < 3; ++i) {
    info.max_block[i] = limit(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i, 1);
    info.max_grid[i] = limit(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i, 1);
  }
  info.max_block_threads = limit(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1);
  info.subgroup_size = limit(CU_DEVICE_ATTRIBUTE_WARP_SIZE, 1);
  info.max_shared_bytes = std::max(limit(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0),
                                   limit(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 1));
  info.max_argument_bytes = argument_bytes;
}

// The range needs a context, which is made for the question: cheap beside what opening costs anyway.
void set_priorities(const Driver& driver, DeviceDescription& device) {
  CUcontext context = nullptr;
  driver.check(driver.cuDevicePrimaryCtxRetain(&context, device.id), "cuDevicePrimaryCtxRetain",
               "device '{}'", device.info.name);
  int least = 0, greatest = 0;
  CUresult code = CUDA_SUCCESS;
  {
    const Current current(driver, context);
    code = driver.cuCtxGetStreamPriorityRange(&least, &greatest);
  }
  driver.cuDevicePrimaryCtxRelease_v2(device.id);
  driver.check(code, "cuCtxGetStreamPriorityRange");
  device.info.priority_low = least;
  device.info.priority_high = greatest;
}

void set_capabilities(const Driver& driver, DeviceDescription& device) {
  const auto has = [&](CUdevice_attribute what) { return driver.attribute(device.id, what) != 0; };
  std::uint64_t& bits = device.info.capabilities;
  bits = FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC;
  if (has(CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS))
    bits |= FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS;
  if (has(CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS))
    bits |= FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS;
  if (has(CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH) && driver.cuLaunchKernelEx != nullptr)
    bits |= FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH;
  if (has(CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH) && driver.cuLaunchKernelEx != nullptr)
    bits |= FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH;
  if (driver.is_fake) bits |= FLAGOS_DEVICE_CAPABILITY_FAKE;
  device.has_managed = has(CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY);
  device.has_prefetch = has(CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS);
  device.has_virtual_memory = has(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) &&
                              driver.cuMemAddressReserve != nullptr;
  // Places of the host came with CUDA 12.2; where the system has but one node its number is 0.
  device.has_pinned_virtual_memory = device.has_virtual_memory && driver.version >= 12020;
  device.host_node = std::max(0, driver.attribute(device.id, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID));
  device.has_exports = device.has_virtual_memory &&
                       has(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED) &&
                       driver.cuMemExportToShareableHandle != nullptr;
  device.has_wide_values = has(CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS) &&
                           driver.cuStreamWaitValue64_v2 != nullptr;
}

std::string bus_id(const Driver& driver, CUdevice device) {
  char text[32] = {};
  if (driver.cuDeviceGetPCIBusId(text, sizeof(text) - 1, device) != CUDA_SUCCESS) return {};
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

DeviceDescription describe(const Driver& driver, int ordinal) {
  DeviceDescription device;
  driver.check(driver.cuDeviceGet(&device.id, ordinal), "cuDeviceGet", "device {}", ordinal);
  device.capability =
      10 * driver.attribute(device.id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
      driver.attribute(device.id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  flagos_device_info_t& info = device.info;
  char name[sizeof(info.name)] = {};
  driver.check(driver.cuDeviceGetName(name, sizeof(name) - 1, device.id), "cuDeviceGetName",
               "device {}", ordinal);
  copy_text(info.name, name);
  copy_text(info.vendor, "NVIDIA");
  copy_text(info.driver_version,
            fmt::format("CUDA {}.{}{}", driver.version / 1000, driver.version % 1000 / 10,
                        driver.is_fake ? " (fake)" : ""));
  copy_text(info.bus_id, bus_id(driver, device.id));
  CUuuid uuid{};
  driver.check(driver.cuDeviceGetUuid_v2(&uuid, device.id), "cuDeviceGetUuid", "device {}",
               ordinal);
  std::memcpy(info.uuid, uuid.bytes, sizeof(info.uuid));
  info.type = FLAGOS_DEVICE_TYPE_GPU;
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SIMT;
  info.dlpack_device_type = dlpack_cuda;
  info.dlpack_device_id = ordinal;
  set_limits(driver, device);
  set_priorities(driver, device);
  set_capabilities(driver, device);
  return device;
}

// Why the plugin does not show the device; "" when it does.
std::string objection(const Driver& driver, int ordinal) {
  CUdevice id = 0;
  if (driver.cuDeviceGet(&id, ordinal) != CUDA_SUCCESS) return {};
  if (driver.attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) == CU_COMPUTEMODE_PROHIBITED)
    return "its compute mode is 'prohibited' (nvidia-smi -c 0 changes it)";
  if (driver.attribute(id, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING) == 0)
    return "it has no unified addresses";
  return {};
}

std::vector<DeviceDescription> filter(std::vector<DeviceDescription> devices, const Host& host) {
  constexpr const char* variable = "FLAGOS_NVIDIA_DEVICES";
  std::vector<FilterDevice> names;
  for (const DeviceDescription& device : devices) {
    FilterDevice& name = names.emplace_back();
    name.name = device.info.name;
    std::copy_n(device.info.uuid, sizeof(name.uuid), name.uuid);
  }
  const DeviceSelection selection = select_devices(variable, host.get_config(variable), names);
  for (const std::string& warning : selection.warnings) host.log(FLAGOS_LOG_LEVEL_WARNING, warning);
  std::vector<DeviceDescription> chosen;
  for (const std::size_t index : selection.indices) chosen.push_back(devices[index]);
  return chosen;
}

}  // namespace

std::vector<DeviceDescription> discover(const Driver& driver, const Host& host) {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "cuDeviceGetCount");
  std::vector<DeviceDescription> devices;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const std::string reason = objection(driver, ordinal);
    if (reason.empty()) {
      devices.push_back(describe(driver, ordinal));
    } else {
      host.log(FLAGOS_LOG_LEVEL_WARNING,
               fmt::format("NVIDIA device {} is left out: {}", ordinal, reason));
    }
  }
  return filter(std::move(devices), host);
}

}  // namespace flagos::nvidia
