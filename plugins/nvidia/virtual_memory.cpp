#include "plugins/nvidia/virtual_memory.hpp"

#include <memory>

#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {
namespace {

// The kind of descriptor in flagos_plugin_external_t; 1 is that of memory.cpp, which has an owner's word in it.
constexpr std::uint32_t external_type = 2;

CUmemAllocationProp properties_of(const Device& device, const flagos_physical_memory_desc_t& desc) {
  const DeviceDescription& description = device.description();
  const bool is_exportable = (desc.flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) != 0;
  const bool is_pinned = desc.kind == FLAGOS_MEMORY_KIND_PINNED;
  if (!description.has_virtual_memory || (is_pinned && !description.has_pinned_virtual_memory) ||
      (is_exportable && !description.has_exports))
    throw_error(
        FLAGOS_STATUS_UNSUPPORTED, "device '{}' has {}", description.info.name,
        !description.has_virtual_memory ? "no virtual memory"
        : is_pinned && !description.has_pinned_virtual_memory
            ? fmt::format("virtual memory of kind DEVICE only: pinned memory is mapped by "
                          "drivers for CUDA 12.2 or newer, this one is for {}.{}",
                          device.driver().version / 1000, device.driver().version % 1000 / 10)
            : "a driver that gives out no descriptors of memory");
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes =
      is_exportable ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE;
  properties.location = is_pinned
                            ? CUmemLocation{CU_MEM_LOCATION_TYPE_HOST_NUMA, description.host_node}
                            : CUmemLocation{CU_MEM_LOCATION_TYPE_DEVICE, device.id()};
  return properties;
}

void check_reaches(const Device& accessor, const Device& device) {
  int reaches = 1;
  if (accessor.id() != device.id())
    device.driver().check(
        device.driver().cuDeviceCanAccessPeer(&reaches, accessor.id(), device.id()),
        "cuDeviceCanAccessPeer");
  if (reaches == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device '{}' does not reach the memory of '{}'",
                accessor.description().info.name, device.description().info.name);
}

void give_access_to_host(Device& device, flagos_address_t address, std::uint64_t size_bytes,
                         flagos_memory_access_t access) {
  const CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_HOST_NUMA, device.description().host_node},
                                access};
  device.memory().pinned_mappings.each(
      address, size_bytes, [&](flagos_address_t at, std::uint64_t size) {
        device.check(device.driver().cuMemSetAccess(at, size, &desc, 1), "cuMemSetAccess");
      });
}

}  // namespace

PhysicalMemory::PhysicalMemory(Device& device, const flagos_physical_memory_desc_t& desc)
    : device_(device),
      size_bytes_(desc.size_bytes),
      is_pinned_(desc.kind == FLAGOS_MEMORY_KIND_PINNED) {
  const CUmemAllocationProp properties = properties_of(device, desc);
  const CUresult code = device.driver().cuMemCreate(&handle_, size_bytes_, &properties, 0);
  if (is_sticky(code)) device.fail(code, "cuMemCreate");
  if (code == CUDA_ERROR_OUT_OF_MEMORY && is_pinned_)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "cuMemCreate: {}: {} bytes of pinned memory",
                device.driver().code_text(code), size_bytes_);
  device.driver().check(code, "cuMemCreate", "{} bytes on '{}'", size_bytes_,
                        device.description().info.name);
}

PhysicalMemory::PhysicalMemory(Device& device, const flagos_plugin_external_t& external)
    : device_(device), size_bytes_(external.size_bytes), is_pinned_(external.data[0] != 0) {
  if (!device.description().has_exports)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device '{}' takes no memory of other processes",
                device.description().info.name);
  if (external.type != external_type)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                "the descriptor is of kind {}, physical memory of this plugin of kind {}",
                external.type, external_type);
  void* const descriptor = reinterpret_cast<void*>(static_cast<std::intptr_t>(external.fd));
  const CUresult code = device.driver().cuMemImportFromShareableHandle(
      &handle_, descriptor, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  if (is_sticky(code)) device.fail(code, "cuMemImportFromShareableHandle");
  if (code != CUDA_SUCCESS)
    throw_error(status_of(code) == FLAGOS_STATUS_INVALID_ARGUMENT ? FLAGOS_STATUS_INVALID_HANDLE
                                                                  : status_of(code),
                "descriptor {} is no memory of this driver's: cuMemImportFromShareableHandle: {}",
                external.fd, device.driver().code_text(code));
}

PhysicalMemory::~PhysicalMemory() { device_.driver().cuMemRelease(handle_); }

void PhysicalMemory::export_to(flagos_plugin_external_t& out_external) const {
  int fd = -1;
  device_.check(device_.driver().cuMemExportToShareableHandle(
                    &fd, handle_, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                "cuMemExportToShareableHandle");
  out_external.fd = fd;
  out_external.type = external_type;
  out_external.size_bytes = size_bytes_;
  out_external.data[0] = is_pinned_ ? 1 : 0;
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t virtual_memory_get_granularity(flagos_plugin_device_t* device,
                                               const flagos_physical_memory_desc_t* desc,
                                               std::uint64_t* out_minimum_bytes,
                                               std::uint64_t* out_recommended_bytes) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    const CUmemAllocationProp properties = properties_of(self, *desc);
    const auto ask = [&](int which) {
      std::size_t bytes = 0;
      self.check(self.driver().cuMemGetAllocationGranularity(&bytes, &properties, which),
                 "cuMemGetAllocationGranularity");
      return bytes;
    };
    *out_minimum_bytes = ask(CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    *out_recommended_bytes = ask(CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
  });
}

flagos_status_t virtual_memory_reserve(flagos_plugin_device_t* device, std::uint64_t size_bytes,
                                       std::uint64_t alignment_bytes, flagos_address_t wanted,
                                       flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return device_entry(
      self, [&] { *out_address = self.memory().reserve(size_bytes, alignment_bytes, wanted); });
}

void virtual_memory_release(flagos_plugin_device_t* device, flagos_address_t address,
                            std::uint64_t) noexcept {
  memory_free(device, address);
}

flagos_status_t physical_memory_create(flagos_plugin_device_t* device,
                                       const flagos_physical_memory_desc_t* desc,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept {
  Device& self = from_c(device);
  return device_entry(
      self, [&] { *out_memory = to_c(std::make_unique<PhysicalMemory>(self, *desc).release()); });
}

void physical_memory_destroy(flagos_plugin_physical_memory_t* memory) noexcept {
  Device& device = from_c(memory).device();
  device_entry(device, [&] { delete &from_c(memory); });
}

// The driver maps from the start of the memory only.
flagos_status_t virtual_memory_map(flagos_plugin_device_t* device, flagos_address_t address,
                                   std::uint64_t size_bytes,
                                   flagos_plugin_physical_memory_t* memory,
                                   std::uint64_t offset_bytes) noexcept {
  Device& self = from_c(device);
  const PhysicalMemory& physical = from_c(memory);
  return device_entry(self, [&] {
    if (offset_bytes != 0 || size_bytes != physical.size_bytes())
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "{} bytes at {} of {} bytes of memory: the driver maps all of it only; create "
                  "several smaller ones",
                  size_bytes, offset_bytes, physical.size_bytes());
    const CUresult code = self.driver().cuMemMap(address, size_bytes, 0, physical.handle(), 0);
    if (code == CUDA_ERROR_OUT_OF_MEMORY)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "cuMemMap: {}: {} bytes at {:#x}",
                  self.driver().code_text(code), size_bytes, address);
    self.check(code, "cuMemMap");
    if (physical.is_pinned()) self.memory().pinned_mappings.add(address, size_bytes);
  });
}

void virtual_memory_unmap(flagos_plugin_device_t* device, flagos_address_t address,
                          std::uint64_t size_bytes) noexcept {
  Device& self = from_c(device);
  device_entry(self, [&] {
    self.memory().pinned_mappings.remove(address);
    self.driver().cuMemUnmap(address, size_bytes);
  });
}

flagos_status_t virtual_memory_set_access(flagos_plugin_device_t* device, flagos_address_t address,
                                          std::uint64_t size_bytes,
                                          flagos_plugin_device_t* accessor,
                                          flagos_memory_access_t access) noexcept {
  constexpr auto is_same = [](int ours, int theirs) { return ours == theirs; };
  static_assert(is_same(FLAGOS_MEMORY_ACCESS_READ, CU_MEM_ACCESS_FLAGS_PROT_READ) &&
                is_same(FLAGOS_MEMORY_ACCESS_READ_WRITE, CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
  Device& self = from_c(device);
  return device_entry(self, [&] {
    const Device& other = from_c(accessor);
    std::uint64_t pinned_bytes = 0;
    self.memory().pinned_mappings.each(
        address, size_bytes, [&](flagos_address_t, std::uint64_t size) { pinned_bytes += size; });
    // All devices reach the host's memory.
    if (pinned_bytes != size_bytes) check_reaches(other, self);
    const CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_DEVICE, other.id()}, access};
    const CUresult code = self.driver().cuMemSetAccess(address, size_bytes, &desc, 1);
    // Drivers differ in what they say of a reader only, which not all of them have.
    if (access == FLAGOS_MEMORY_ACCESS_READ &&
        (code == CUDA_ERROR_INVALID_VALUE || code == CUDA_ERROR_NOT_SUPPORTED))
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "cuMemSetAccess: {}: the driver has no access of device memory for reading only",
                  self.driver().code_text(code));
    self.check(code, "cuMemSetAccess");
    // The host may do what the device may that the addresses are of.
    if (other.id() == self.id()) give_access_to_host(self, address, size_bytes, access);
  });
}

flagos_status_t physical_memory_export(flagos_plugin_physical_memory_t* memory,
                                       flagos_plugin_external_t* out_external) noexcept {
  const PhysicalMemory& self = from_c(memory);
  return device_entry(self.device(), [&] { self.export_to(*out_external); });
}

flagos_status_t physical_memory_import(flagos_plugin_device_t* device,
                                       const flagos_plugin_external_t* external,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    *out_memory = to_c(std::make_unique<PhysicalMemory>(self, *external).release());
  });
}

}  // namespace flagos::nvidia
