#include "plugins/vulkan/physical_device.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace flagos::vulkan {
namespace {

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::strncpy(target, text.c_str(), size - 1);
}

const char* vendor_name(std::uint32_t id) noexcept {
  switch (id) {
    case 0x1002:
      return "AMD";
    case 0x1010:
      return "Imagination";
    case 0x106b:
      return "Apple";
    case 0x10de:
      return "NVIDIA";
    case 0x13b5:
      return "Arm";
    case 0x5143:
      return "Qualcomm";
    case 0x8086:
      return "Intel";
    case VK_VENDOR_ID_MESA:
      return "Mesa";
    default:
      return "unknown";
  }
}

flagos_device_type_t type_of(VkPhysicalDeviceType type) noexcept {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return FLAGOS_DEVICE_TYPE_CPU;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return FLAGOS_DEVICE_TYPE_GPU;
    default:
      return FLAGOS_DEVICE_TYPE_OTHER;
  }
}

bool contains(const std::vector<std::string>& all, const char* name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

constexpr VkMemoryPropertyFlags mapped =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

}  // namespace

Features::Features() noexcept {
  base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  vulkan11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
  vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES;
  clock.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CLOCK_FEATURES_KHR;
  atomic_float.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_ATOMIC_FLOAT_FEATURES_EXT;
  base.pNext = &vulkan11;
  vulkan11.pNext = &vulkan12;
}

void Features::link(const std::vector<std::string>& extensions) {
  void** end = &vulkan12.pNext;
  const auto add = [&](const char* extension, auto& feature) {
    if (!contains(extensions, extension)) return;
    *end = &feature;
    end = &feature.pNext;
  };
  add(VK_KHR_MAINTENANCE_4_EXTENSION_NAME, maintenance4);
  add(VK_KHR_SHADER_CLOCK_EXTENSION_NAME, clock);
  add(VK_EXT_SHADER_ATOMIC_FLOAT_EXTENSION_NAME, atomic_float);
}

PhysicalDevice::PhysicalDevice(const InstanceFunctions& functions, VkPhysicalDevice handle)
    : functions_(functions), handle_(handle), features_(std::make_unique<Features>()) {
  std::uint32_t count = 0;
  check(functions_.vkEnumerateDeviceExtensionProperties(handle_, nullptr, &count, nullptr),
        "vkEnumerateDeviceExtensionProperties");
  std::vector<VkExtensionProperties> found(count);
  check(functions_.vkEnumerateDeviceExtensionProperties(handle_, nullptr, &count, found.data()),
        "vkEnumerateDeviceExtensionProperties");
  for (std::uint32_t i = 0; i < count; ++i) extensions_.push_back(found[i].extensionName);
  read_properties();
  if (properties_.properties.apiVersion < VK_API_VERSION_1_2) return;
  features_->link(extensions_);
  functions_.vkGetPhysicalDeviceFeatures2(handle_, &features_->base);
  choose_queues();
  choose_memory();
  ask_sharing();
}

void PhysicalDevice::ask_sharing() {
  if (!has_extension(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME)) return;
  VkPhysicalDeviceExternalBufferInfo info{};
  info.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  info.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkExternalBufferProperties properties{};
  properties.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES;
  functions_.vkGetPhysicalDeviceExternalBufferProperties(handle_, &info, &properties);
  constexpr VkExternalMemoryFeatureFlags needed =
      VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT | VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
  shares_memory_ = (properties.externalMemoryProperties.externalMemoryFeatures & needed) == needed;
}

bool PhysicalDevice::has_extension(const char* name) const noexcept {
  return contains(extensions_, name);
}

void PhysicalDevice::read_properties() {
  VkPhysicalDevicePCIBusInfoPropertiesEXT bus{};
  bus.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT;
  VkPhysicalDeviceMaintenance4Properties maintenance4{};
  maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
  VkPhysicalDeviceShaderSMBuiltinsPropertiesNV multiprocessors{};
  multiprocessors.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV;
  VkPhysicalDeviceShaderCorePropertiesAMD cores{};
  cores.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD;

  VkPhysicalDeviceExternalMemoryHostPropertiesEXT host{};
  host.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT;
  properties_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  functions_.vkGetPhysicalDeviceProperties2(handle_, &properties_);
  if (properties_.properties.apiVersion < VK_API_VERSION_1_2) return;
  properties11_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
  properties12_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES;
  properties_.pNext = &properties11_;
  properties11_.pNext = &properties12_;
  void** end = &properties12_.pNext;
  const auto add = [&](const char* extension, auto& structure) {
    if (!has_extension(extension)) return;
    *end = &structure;
    end = &structure.pNext;
  };
  add(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME, bus);
  add(VK_KHR_MAINTENANCE_4_EXTENSION_NAME, maintenance4);
  add(VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME, multiprocessors);
  add(VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME, cores);
  add(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, host);
  functions_.vkGetPhysicalDeviceProperties2(handle_, &properties_);
  properties12_.pNext = nullptr;  // the rest of the chain ends with this function

  if (has_extension(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME))
    bus_id_ = fmt::format("{:04x}:{:02x}:{:02x}.{:x}", bus.pciDomain, bus.pciBus, bus.pciDevice,
                          bus.pciFunction);
  host_pointer_alignment_ = host.minImportedHostPointerAlignment;
  if (maintenance4.maxBufferSize != 0) max_buffer_bytes_ = maintenance4.maxBufferSize;
  compute_units_ = std::max(multiprocessors.shaderSMCount, cores.shaderEngineCount *
                                                               cores.shaderArraysPerEngineCount *
                                                               cores.computeUnitsPerShaderArray);
  if (compute_units_ == 0 && properties_.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
    compute_units_ = static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  compute_units_ = std::max(compute_units_, 1u);
}

// A family for computing only runs beside graphics; of several the one with the most queues.
void PhysicalDevice::choose_queues() {
  std::uint32_t count = 0;
  functions_.vkGetPhysicalDeviceQueueFamilyProperties(handle_, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  functions_.vkGetPhysicalDeviceQueueFamilyProperties(handle_, &count, families.data());
  std::uint32_t best = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0 || families[i].queueCount == 0)
      continue;
    const bool graphics = (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0;
    const std::uint32_t score = families[i].queueCount * 2 + (graphics ? 0 : 1);
    if (score <= best) continue;
    best = score;
    queue_family_ = i;
    queue_count_ = std::min(families[i].queueCount, max_queues);
    timestamp_bits_ = families[i].timestampValidBits;
  }
}

std::uint32_t PhysicalDevice::find_type(VkMemoryPropertyFlags wanted,
                                        VkMemoryPropertyFlags unwanted) const {
  std::uint32_t best = MemoryTypes::none;
  std::uint64_t best_bytes = 0;
  constexpr VkMemoryPropertyFlags never =
      VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |
      VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
  for (std::uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
    const VkMemoryPropertyFlags flags = memory_.memoryTypes[i].propertyFlags;
    const std::uint64_t bytes = memory_.memoryHeaps[memory_.memoryTypes[i].heapIndex].size;
    if ((flags & wanted) != wanted || (flags & (unwanted | never)) != 0 || bytes <= best_bytes)
      continue;
    best = i;
    best_bytes = bytes;
  }
  return best;
}

void PhysicalDevice::choose_memory() {
  VkPhysicalDeviceMemoryProperties2 memory{};
  memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  functions_.vkGetPhysicalDeviceMemoryProperties2(handle_, &memory);
  memory_ = memory.memoryProperties;
  const auto first = [](std::initializer_list<std::uint32_t> choices) {
    for (const std::uint32_t choice : choices)
      if (choice != MemoryTypes::none) return choice;
    return MemoryTypes::none;
  };
  constexpr VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  constexpr VkMemoryPropertyFlags cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  const VkPhysicalDeviceType type = properties_.properties.deviceType;
  const bool shares_memory =
      type == VK_PHYSICAL_DEVICE_TYPE_CPU || type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
  const std::uint32_t direct =
      shares_memory ? find_type(local | mapped | cached, 0) : MemoryTypes::none;
  memory_types_.is_device_mapped = direct != MemoryTypes::none;
  memory_types_.device = first({direct, find_type(local, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT),
                                find_type(local, 0), find_type(0, 0)});
  memory_types_.pinned = first({find_type(mapped | cached, local), find_type(mapped | cached, 0),
                                find_type(mapped, local), find_type(mapped, 0)});
  memory_types_.managed =
      first({find_type(local | mapped | cached, 0), find_type(local | mapped, 0)});
  if (memory_types_.device != MemoryTypes::none)
    memory_bytes_ = memory_.memoryHeaps[memory_.memoryTypes[memory_types_.device].heapIndex].size;
}

std::string PhysicalDevice::unusable_reason() const {
  const std::uint32_t version = properties_.properties.apiVersion;
  if (version < VK_API_VERSION_1_2)
    return fmt::format("it has Vulkan {}.{}, at least 1.2 is needed", VK_API_VERSION_MAJOR(version),
                       VK_API_VERSION_MINOR(version));
  if (queue_count_ == 0) return "it has no queue for compute work";
  if (features_->vulkan12.timelineSemaphore == VK_FALSE) return "it has no timeline semaphores";
  if (features_->vulkan12.hostQueryReset == VK_FALSE)
    return "it cannot reset queries from the host";
  if (features_->base.features.shaderInt64 == VK_FALSE) return "it has no 64-bit integers";
  if (memory_types_.device == MemoryTypes::none || memory_types_.pinned == MemoryTypes::none)
    return "it has no memory that the host can reach";
  return {};
}

std::string PhysicalDevice::driver() const {
  const std::string info = properties12_.driverInfo;
  return info.empty() ? std::string(properties12_.driverName)
                      : fmt::format("{} {}", properties12_.driverName, info);
}

std::array<std::uint8_t, 16> PhysicalDevice::uuid() const noexcept {
  std::array<std::uint8_t, 16> uuid{};
  std::copy_n(properties11_.deviceUUID, 16, uuid.begin());
  // The contract wants one that is not all zero; some drivers give none.
  if (std::all_of(uuid.begin(), uuid.end(), [](std::uint8_t byte) { return byte == 0; })) {
    const std::uint32_t ids[2] = {properties_.properties.vendorID, properties_.properties.deviceID};
    std::memcpy(uuid.data(), ids, sizeof(ids));
    uuid[15] = 1;
  }
  return uuid;
}

std::uint64_t PhysicalDevice::max_allocation_bytes() const noexcept {
  return std::min({memory_bytes_, std::uint64_t{properties11_.maxMemoryAllocationSize},
                   max_buffer_bytes_}) /
         allocation_alignment * allocation_alignment;
}

void PhysicalDevice::describe(flagos_device_info_t& info) const {
  copy_text(info.name, name());
  copy_text(info.vendor, vendor_name(properties_.properties.vendorID));
  copy_text(info.driver_version, driver());
  copy_text(info.bus_id, bus_id_);
  const std::array<std::uint8_t, 16> id = uuid();
  std::copy(id.begin(), id.end(), info.uuid);
  info.type = type_of(properties_.properties.deviceType);
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SIMT;
  info.capabilities =
      FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC;
  // Streams that share a queue wait for each other's kernels.
  if (queue_count_ > 1) info.capabilities |= FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS;
  info.memory_bytes = memory_bytes_;
  info.max_allocation_bytes = max_allocation_bytes();
  info.allocation_alignment = allocation_alignment;
  info.compute_units = compute_units_;
  std::copy_n(limits().maxComputeWorkGroupCount, 3, info.max_grid);
  std::copy_n(limits().maxComputeWorkGroupSize, 3, info.max_block);
  info.max_block_threads = limits().maxComputeWorkGroupInvocations;
  info.subgroup_size = std::max(properties11_.subgroupSize, 1u);
  info.max_shared_bytes = limits().maxComputeSharedMemorySize;
  info.max_argument_bytes = max_argument_bytes;
}

}  // namespace flagos::vulkan
