#include "plugins/nvidia/memory.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>

#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {
namespace {

constexpr std::uint64_t driver_alignment = 256;
// The kind of descriptor in flagos_plugin_external_t: one of cuMemExportToShareableHandle.
constexpr std::uint32_t external_type = 1;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

CUmemAllocationProp mapped_properties(CUdevice device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  return properties;
}

}  // namespace

// Memory of a pool is freed without waiting for the whole device, as cuMemFree does.
Memory::Memory(Device& device) : device_(device), driver_(device.driver()) {
  if (driver_.cuMemPoolCreate == nullptr ||
      driver_.attribute(device.id(), CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) == 0)
    return;
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.id()};
  driver_.check(driver_.cuMemPoolCreate(&pool_, &properties), "cuMemPoolCreate", "device '{}'",
                device.description().info.name);
  // Other devices reach it as they reach memory of cuMemAlloc once they were told of each other.
  for (const DeviceDescription& other : device.instance().devices()) {
    int can = 0;
    if (other.id == device.id() ||
        driver_.cuDeviceCanAccessPeer(&can, other.id, device.id()) != CUDA_SUCCESS || can == 0)
      continue;
    const CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, other.id},
                                    CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    driver_.cuMemPoolSetAccess(pool_, &access, 1);
  }
}

Memory::~Memory() {
  for (const auto& [address, allocation] : allocations_) give_back(allocation);
  if (pool_ != nullptr) {
    driver_.cuStreamSynchronize(device_.service_stream());  // frees may be on their way
    driver_.cuMemPoolDestroy(pool_);
  }
}

flagos_address_t Memory::alloc(const flagos_memory_desc_t& desc) {
  const bool is_exportable = (desc.flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) != 0;
  if (is_exportable &&
      (desc.kind != FLAGOS_MEMORY_KIND_DEVICE || !device_.description().has_exports))
    throw_error(
        FLAGOS_STATUS_UNSUPPORTED, "device '{}' exports {}", device_.description().info.name,
        device_.description().has_exports ? "device memory only"
                                          : "no memory: its driver gives out no descriptors");
  const std::uint64_t spare = desc.alignment_bytes > driver_alignment ? desc.alignment_bytes : 0;
  Allocation allocation;
  allocation.size_bytes = desc.size_bytes + spare;
  if (is_exportable) {
    allocation = make_mapped(allocation.size_bytes);
  } else {
    take(allocation, desc, allocation.size_bytes);
  }
  const flagos_address_t address =
      spare != 0 ? round_up(allocation.base, desc.alignment_bytes) : allocation.base;
  try {
    if ((desc.flags & FLAGOS_MEMORY_FLAG_ZERO) != 0) zero(allocation, address, desc.size_bytes);
    add(address, allocation);
  } catch (...) {
    give_back(allocation);
    throw;
  }
  return address;
}

void Memory::take(Allocation& allocation, const flagos_memory_desc_t& desc, std::uint64_t bytes) {
  const auto check = [&](CUresult code, const char* call) {
    if (code == CUDA_SUCCESS) return;
    if (is_sticky(code)) device_.fail(code, call);
    if (code == CUDA_ERROR_OUT_OF_MEMORY && desc.kind == FLAGOS_MEMORY_KIND_PINNED)
      throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{}: {}: {} bytes of pinned memory", call,
                  driver_.code_text(code), bytes);
    driver_.fail(code, call,
                 fmt::format("{} bytes on '{}'", bytes, device_.description().info.name));
  };
  CUdeviceptr pointer = 0;
  switch (desc.kind) {
    case FLAGOS_MEMORY_KIND_DEVICE:
      if (pool_ != nullptr) {
        allocation.owner = Allocation::Owner::pool;
        check(driver_.cuMemAllocFromPoolAsync(&pointer, bytes, pool_, device_.service_stream()),
              "cuMemAllocFromPoolAsync");
        // Other streams may use it from now on.
        const CUresult code = driver_.cuStreamSynchronize(device_.service_stream());
        if (code != CUDA_SUCCESS) driver_.cuMemFreeAsync(pointer, device_.service_stream());
        check(code, "cuStreamSynchronize");
      } else {
        allocation.owner = Allocation::Owner::driver;
        check(driver_.cuMemAlloc_v2(&pointer, bytes), "cuMemAlloc");
      }
      break;
    case FLAGOS_MEMORY_KIND_MANAGED:
      if (!device_.description().has_managed)
        throw_error(FLAGOS_STATUS_UNSUPPORTED, "device '{}' has no managed memory",
                    device_.description().info.name);
      allocation.owner = Allocation::Owner::driver;
      allocation.place = Place::managed;
      check(driver_.cuMemAllocManaged(&pointer, bytes, CU_MEM_ATTACH_GLOBAL), "cuMemAllocManaged");
      break;
    case FLAGOS_MEMORY_KIND_PINNED: {
      void* host = nullptr;
      allocation.owner = Allocation::Owner::host;
      allocation.place = Place::host;
      check(driver_.cuMemHostAlloc(&host, bytes,
                                   CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
            "cuMemHostAlloc");
      pointer = reinterpret_cast<CUdeviceptr>(host);
      break;
    }
    default:
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "memory of kind {} is not there on '{}'", desc.kind,
                  device_.description().info.name);
  }
  allocation.base = pointer;
}

void Memory::zero(const Allocation& allocation, flagos_address_t address, std::uint64_t bytes) {
  if (allocation.place == Place::host) {
    std::memset(reinterpret_cast<void*>(address), 0, bytes);
    return;
  }
  device_.check(driver_.cuMemsetD8Async(address, 0, bytes, device_.service_stream()),
                "cuMemsetD8Async");
  device_.check(driver_.cuStreamSynchronize(device_.service_stream()), "cuStreamSynchronize");
}

void Memory::add(flagos_address_t address, const Allocation& allocation) {
  const std::unique_lock lock(mutex_);
  allocations_[address] = allocation;
}

void Memory::free(flagos_address_t address) noexcept {
  Allocation allocation;
  {
    const std::unique_lock lock(mutex_);
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    allocation = found->second;
    allocations_.erase(found);
  }
  give_back(allocation);
}

void Memory::give_back(const Allocation& allocation) noexcept {
  switch (allocation.owner) {
    case Allocation::Owner::nobody:
      break;
    case Allocation::Owner::pool:
      driver_.cuMemFreeAsync(allocation.base, device_.service_stream());
      break;
    case Allocation::Owner::driver:
      driver_.cuMemFree_v2(allocation.base);
      break;
    case Allocation::Owner::host:
      driver_.cuMemFreeHost(reinterpret_cast<void*>(allocation.base));
      break;
    case Allocation::Owner::registered:
      driver_.cuMemHostUnregister(reinterpret_cast<void*>(allocation.base));
      break;
    case Allocation::Owner::mapped:
      if (allocation.owner_word != 0)
        guard([&] { write_owner(allocation, 0); }, [](flagos_status_t, const char*) {});
      driver_.cuMemUnmap(allocation.base, allocation.size_bytes);
      driver_.cuMemAddressFree(allocation.base, allocation.size_bytes);
      driver_.cuMemRelease(allocation.handle);
      break;
    case Allocation::Owner::reserved:
      driver_.cuMemAddressFree(allocation.base, allocation.size_bytes);
      break;
  }
}

flagos_address_t Memory::register_host(void* pointer, std::uint64_t size_bytes) {
  device_.check(
      driver_.cuMemHostRegister_v2(pointer, size_bytes,
                                   CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP),
      "cuMemHostRegister");
  Allocation allocation;
  allocation.owner = Allocation::Owner::registered;
  allocation.place = Place::host;
  allocation.base = reinterpret_cast<flagos_address_t>(pointer);
  allocation.size_bytes = size_bytes;
  try {
    CUdeviceptr address = 0;
    device_.check(driver_.cuMemHostGetDevicePointer_v2(&address, pointer, 0),
                  "cuMemHostGetDevicePointer");
    if (address != allocation.base)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "device '{}' does not use host memory by the host's own addresses",
                  device_.description().info.name);
    add(address, allocation);
    return address;
  } catch (...) {
    give_back(allocation);
    throw;
  }
}

void Memory::unregister_host(void* pointer) {
  const auto address = reinterpret_cast<flagos_address_t>(pointer);
  {
    const std::unique_lock lock(mutex_);
    allocations_.erase(address);
  }
  device_.check(driver_.cuMemHostUnregister(pointer), "cuMemHostUnregister");
}

flagos_address_t Memory::reserve(std::uint64_t size_bytes, std::uint64_t alignment_bytes,
                                 flagos_address_t wanted) {
  Allocation allocation;
  allocation.owner = Allocation::Owner::reserved;
  allocation.size_bytes = size_bytes;
  CUdeviceptr address = 0;
  const CUresult code =
      driver_.cuMemAddressReserve(&address, size_bytes, alignment_bytes, wanted, 0);
  if (code == CUDA_ERROR_OUT_OF_MEMORY)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                "cuMemAddressReserve: {}: {} bytes of addresses, aligned to {}",
                driver_.code_text(code), size_bytes, alignment_bytes);
  device_.check(code, "cuMemAddressReserve");
  allocation.base = address;
  try {
    add(address, allocation);
  } catch (...) {
    give_back(allocation);
    throw;
  }
  return address;
}

flagos_address_t Memory::wrap(flagos_address_t address, std::uint64_t size_bytes, bool given_away) {
  CUdeviceptr base = 0;
  std::size_t whole = 0;
  CUcontext context = nullptr;
  unsigned type = 0;
  const auto ask = [&](void* value, CUpointer_attribute what) {
    const CUresult code = driver_.cuPointerGetAttribute(value, what, address);
    if (code != CUDA_SUCCESS)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "{:#x} is no memory that the driver knows: cuPointerGetAttribute: {}", address,
                  driver_.code_text(code));
  };
  ask(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE);
  ask(&context, CU_POINTER_ATTRIBUTE_CONTEXT);
  ask(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR);
  ask(&whole, CU_POINTER_ATTRIBUTE_RANGE_SIZE);
  if (type != CU_MEMORYTYPE_DEVICE || (context != nullptr && context != device_.context()))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{:#x} is {}", address,
                type != CU_MEMORYTYPE_DEVICE
                    ? "no device memory"
                    : "memory of another context than this device is open on");
  if (address + size_bytes > base + whole)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{} bytes at {:#x} end past the allocation of {} bytes at {:#x}", size_bytes,
                address, whole, base);
  if (given_away && address != base)
    throw_error(
        FLAGOS_STATUS_INVALID_ARGUMENT,
        "{:#x} lies {} bytes into its allocation: what is given away is given from its start",
        address, address - base);
  Allocation allocation;
  allocation.owner = given_away ? Allocation::Owner::driver : Allocation::Owner::nobody;
  allocation.base = address;
  allocation.size_bytes = size_bytes;
  add(address, allocation);
  return address;
}

// ---- memory that is made and mapped -----------------------------------------------------------

Allocation Memory::make_mapped(std::uint64_t bytes) {
  const CUmemAllocationProp properties = mapped_properties(device_.id());
  std::size_t unit = 0;
  device_.check(
      driver_.cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
      "cuMemGetAllocationGranularity");
  Allocation allocation;
  allocation.owner = Allocation::Owner::mapped;
  allocation.size_bytes = round_up(bytes + sizeof(allocation.owner_word), unit);
  driver_.check(driver_.cuMemCreate(&allocation.handle, allocation.size_bytes, &properties, 0),
                "cuMemCreate", "{} bytes on '{}'", allocation.size_bytes,
                device_.description().info.name);
  map(allocation);
  static std::atomic<std::uint64_t> count{0};
  allocation.owner_word = device_.host().now_ns() << 16 | (++count & 0xffff);
  try {
    write_owner(allocation, allocation.owner_word);
  } catch (...) {
    give_back(allocation);
    throw;
  }
  return allocation;
}

void Memory::write_owner(const Allocation& allocation, std::uint64_t word) {
  const CUdeviceptr at = allocation.base + allocation.size_bytes - sizeof(word);
  device_.check(driver_.cuMemcpyAsync(at, reinterpret_cast<CUdeviceptr>(&word), sizeof(word),
                                      device_.service_stream()),
                "cuMemcpyAsync");
  device_.check(driver_.cuStreamSynchronize(device_.service_stream()), "cuStreamSynchronize");
}

std::uint64_t Memory::read_owner(const Allocation& allocation) {
  std::uint64_t word = 0;
  const CUdeviceptr at = allocation.base + allocation.size_bytes - sizeof(word);
  device_.check(driver_.cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(&word), at, sizeof(word),
                                      device_.service_stream()),
                "cuMemcpyAsync");
  device_.check(driver_.cuStreamSynchronize(device_.service_stream()), "cuStreamSynchronize");
  return word;
}

// Of a handle, which is released when that fails.
void Memory::map(Allocation& allocation) {
  CUdeviceptr address = 0;
  const std::uint64_t bytes = allocation.size_bytes;
  CUresult code = driver_.cuMemAddressReserve(&address, bytes, 0, 0, 0);
  const char* call = "cuMemAddressReserve";
  if (code == CUDA_SUCCESS) {
    call = "cuMemMap";
    code = driver_.cuMemMap(address, bytes, 0, allocation.handle, 0);
    if (code == CUDA_SUCCESS) {
      const CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, device_.id()},
                                      CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
      call = "cuMemSetAccess";
      code = driver_.cuMemSetAccess(address, bytes, &access, 1);
      if (code != CUDA_SUCCESS) driver_.cuMemUnmap(address, bytes);
    }
    if (code != CUDA_SUCCESS) driver_.cuMemAddressFree(address, bytes);
  }
  if (code != CUDA_SUCCESS) {
    driver_.cuMemRelease(allocation.handle);
    device_.fail(code, call);
  }
  allocation.base = address;
}

void Memory::export_to(flagos_address_t address, flagos_plugin_external_t& out_external) {
  Allocation allocation;
  std::uint64_t offset = 0;
  if (!find(address, &allocation, &offset) || allocation.owner != Allocation::Owner::mapped)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the memory at {:#x} was not allocated to be exported", address);
  int fd = -1;
  device_.check(driver_.cuMemExportToShareableHandle(&fd, allocation.handle,
                                                     CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                "cuMemExportToShareableHandle");
  out_external.fd = fd;
  out_external.type = external_type;
  out_external.size_bytes = allocation.size_bytes - sizeof(allocation.owner_word) - offset;
  // The importer maps the whole, and finds the address in it; it must be on the same card.
  std::memset(out_external.data, 0, sizeof(out_external.data));
  std::memcpy(out_external.data, device_.description().info.uuid, 16);
  std::memcpy(out_external.data + 16, &allocation.size_bytes, 8);
  std::memcpy(out_external.data + 24, &offset, 8);
  std::memcpy(out_external.data + 32, &allocation.owner_word, 8);
}

flagos_address_t Memory::import_from(const flagos_plugin_external_t& external) {
  if (external.type != external_type)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a descriptor of type {}, this plugin's is {}",
                external.type, external_type);
  if (!device_.description().has_exports)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device '{}' takes no memory by descriptor",
                device_.description().info.name);
  if (std::memcmp(external.data, device_.description().info.uuid, 16) != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the memory is another card's than '{}'",
                device_.description().info.name);
  Allocation allocation;
  std::uint64_t offset = 0;
  std::memcpy(&allocation.size_bytes, external.data + 16, 8);
  std::memcpy(&offset, external.data + 24, 8);
  if (offset >= allocation.size_bytes || external.size_bytes > allocation.size_bytes - offset)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {} of {} bytes that were exported",
                external.size_bytes, offset, allocation.size_bytes);
  allocation.owner = Allocation::Owner::mapped;
  void* const descriptor = reinterpret_cast<void*>(static_cast<std::intptr_t>(external.fd));
  const CUresult code = driver_.cuMemImportFromShareableHandle(
      &allocation.handle, descriptor, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  if (code != CUDA_SUCCESS && !is_sticky(code))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "descriptor {} is no memory of this driver's: cuMemImportFromShareableHandle: {}",
                external.fd, driver_.code_text(code));
  device_.check(code, "cuMemImportFromShareableHandle");
  map(allocation);
  try {
    std::uint64_t owner_word = 0;
    std::memcpy(&owner_word, external.data + 32, 8);
    if (read_owner(allocation) != owner_word)
      throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                  "the memory behind descriptor {} was freed by its owner", external.fd);
    add(allocation.base + offset, allocation);
  } catch (...) {
    give_back(allocation);
    throw;
  }
  return allocation.base + offset;
}

// ---- questions --------------------------------------------------------------------------------

bool Memory::find(flagos_address_t address, Allocation* out_allocation,
                  std::uint64_t* out_offset) const noexcept {
  const std::shared_lock lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return false;
  const Allocation& allocation = (--after)->second;
  if (address >= allocation.base + allocation.size_bytes) return false;
  *out_allocation = allocation;
  *out_offset = address - allocation.base;
  return true;
}

Place Memory::place_of(flagos_address_t address) const noexcept {
  Allocation allocation;
  std::uint64_t offset = 0;
  return find(address, &allocation, &offset) ? allocation.place : Place::pageable;
}

std::uint64_t Memory::free_bytes() const {
  std::size_t free = 0, total = 0;
  device_.check(driver_.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");
  if (pool_ == nullptr) return free;
  std::uint64_t reserved = 0, used = 0;
  if (driver_.cuMemPoolGetAttribute(pool_, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved) !=
          CUDA_SUCCESS ||
      driver_.cuMemPoolGetAttribute(pool_, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used) != CUDA_SUCCESS)
    return free;
  return free + (reserved > used ? reserved - used : 0);
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { *out_address = self.memory().alloc(*desc); });
}

void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept {
  Device& self = from_c(device);
  device_entry(self, [&] { self.memory().free(address); });
}

flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t,
                                     flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return device_entry(self,
                      [&] { *out_address = self.memory().register_host(pointer, size_bytes); });
}

flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { self.memory().unregister_host(pointer); });
}

flagos_status_t memory_export(flagos_plugin_device_t* device, flagos_address_t address,
                              flagos_plugin_external_t* out_external) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { self.memory().export_to(address, *out_external); });
}

flagos_status_t memory_import(flagos_plugin_device_t* device,
                              const flagos_plugin_external_t* external,
                              flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { *out_address = self.memory().import_from(*external); });
}

}  // namespace flagos::nvidia
