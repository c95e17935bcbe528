#include "plugins/cpu/virtual_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t huge_page_bytes = 2 * 1024 * 1024;
constexpr std::uint32_t external_type = 1;  // a sealed file in memory
// Nobody can make the other side's mapping fault.
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::uint64_t page_bytes() {
  static const auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void* pointer(flagos_address_t address) { return reinterpret_cast<void*>(address); }
std::uint64_t address_of(const void* place) { return reinterpret_cast<std::uint64_t>(place); }

// Pages that nothing else gets, and that fault when they are touched.
void* map_nothing(void* place, std::uint64_t size_bytes, int flags) {
  return mmap(place, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1,
              0);
}

[[noreturn]] void no_addresses(std::uint64_t size_bytes) {
  throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "{} bytes of addresses cannot be reserved: {}",
              size_bytes, std::strerror(errno));
}

// More is reserved, and what lies before and behind the aligned part goes back.
std::uint64_t reserve_aligned(std::uint64_t size_bytes, std::uint64_t alignment_bytes) {
  std::uint64_t padded = 0;
  if (__builtin_add_overflow(size_bytes, alignment_bytes, &padded)) {
    errno = ENOMEM;
    no_addresses(size_bytes);
  }
  void* const mapped = map_nothing(nullptr, padded, 0);
  if (mapped == MAP_FAILED) no_addresses(size_bytes);
  const std::uint64_t start = address_of(mapped);
  const std::uint64_t first = (start + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  if (first > start) munmap(mapped, first - start);
  if (first - start < alignment_bytes)
    munmap(pointer(first + size_bytes), alignment_bytes - (first - start));
  return first;
}

std::uint64_t reserve(std::uint64_t size_bytes, std::uint64_t alignment_bytes,
                      flagos_address_t wanted) {
  void* const mapped = map_nothing(pointer(wanted), size_bytes, 0);
  if (mapped == MAP_FAILED) no_addresses(size_bytes);
  if (address_of(mapped) % alignment_bytes == 0) return address_of(mapped);
  munmap(mapped, size_bytes);
  return reserve_aligned(size_bytes, alignment_bytes);
}

int protection_of(flagos_memory_access_t access) {
  if (access == FLAGOS_MEMORY_ACCESS_NONE) return PROT_NONE;
  return access == FLAGOS_MEMORY_ACCESS_READ ? PROT_READ : PROT_READ | PROT_WRITE;
}

[[noreturn]] void refuse_import(const char* why) {
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the physical memory cannot be imported: {}", why);
}

}  // namespace

PhysicalMemory::PhysicalMemory(MemoryAccount& account, const Host& host,
                               const flagos_physical_memory_desc_t& desc)
    : host_(host), size_bytes_(desc.size_bytes) {
  const bool pinned = desc.kind == FLAGOS_MEMORY_KIND_PINNED;
  const auto fail = [&](const char* why) {
    if (fd_ >= 0) close(fd_);
    throw_error(pinned ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
                "no physical memory of {} bytes: {}; {} of {} are in use", size_bytes_, why,
                account.used_bytes.load(), account.total_bytes);
  };
  if (size_bytes_ > account.total_bytes) fail("the device has less");
  fd_ = memfd_create("flagos_cpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) fail(std::strerror(errno));
  if (!account.take(size_bytes_)) fail("the device has less left");
  account_ = &account;
  // Taken now: a page that is missing later would be a SIGBUS.
  const int error = posix_fallocate(fd_, 0, static_cast<off_t>(size_bytes_));
  if (error == 0 && fcntl(fd_, F_ADD_SEALS, seals) == 0) return;
  account.give_back(size_bytes_);
  fail(std::strerror(error != 0 ? error : errno));
}

PhysicalMemory::PhysicalMemory(const Host& host, const flagos_plugin_external_t& external)
    : host_(host), size_bytes_(external.size_bytes) {
  if (external.type != external_type)
    refuse_import("it is of a kind that this plugin does not know");
  const int found = fcntl(external.fd, F_GET_SEALS);
  struct stat status {};
  if (found < 0 || (found & seals) != seals) refuse_import("it is no sealed file in memory");
  if (fstat(external.fd, &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != external.size_bytes)
    refuse_import("its descriptor is of another size");
  fd_ = fcntl(external.fd, F_DUPFD_CLOEXEC, 0);
  if (fd_ < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no descriptor is free: {}", std::strerror(errno));
}

PhysicalMemory::~PhysicalMemory() {
  close(fd_);
  if (account_ != nullptr) account_->give_back(size_bytes_);
}

flagos_status_t virtual_memory_get_granularity(flagos_plugin_device_t*,
                                               const flagos_physical_memory_desc_t*,
                                               std::uint64_t* out_minimum_bytes,
                                               std::uint64_t* out_recommended_bytes) noexcept {
  *out_minimum_bytes = page_bytes();
  *out_recommended_bytes = std::max(page_bytes(), huge_page_bytes);
  return FLAGOS_STATUS_OK;
}

flagos_status_t virtual_memory_reserve(flagos_plugin_device_t* device, std::uint64_t size_bytes,
                                       std::uint64_t alignment_bytes, flagos_address_t wanted,
                                       flagos_address_t* out_address) noexcept {
  return entry(from_c(device).host(),
               [&] { *out_address = reserve(size_bytes, alignment_bytes, wanted); });
}

void virtual_memory_release(flagos_plugin_device_t*, flagos_address_t address,
                            std::uint64_t size_bytes) noexcept {
  munmap(pointer(address), size_bytes);
}

flagos_status_t physical_memory_create(flagos_plugin_device_t* device,
                                       const flagos_physical_memory_desc_t* desc,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_memory =
        to_c(std::make_unique<PhysicalMemory>(self.heap().account(), self.host(), *desc).release());
  });
}

void physical_memory_destroy(flagos_plugin_physical_memory_t* memory) noexcept {
  delete &from_c(memory);
}

flagos_status_t virtual_memory_map(flagos_plugin_device_t* device, flagos_address_t address,
                                   std::uint64_t size_bytes,
                                   flagos_plugin_physical_memory_t* memory,
                                   std::uint64_t offset_bytes) noexcept {
  return entry(from_c(device).host(), [&] {
    void* const mapped = mmap(pointer(address), size_bytes, PROT_NONE, MAP_SHARED | MAP_FIXED,
                              from_c(memory).fd(), static_cast<off_t>(offset_bytes));
    if (mapped == MAP_FAILED)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "{} bytes cannot be mapped at {:#x}: {}",
                  size_bytes, address, std::strerror(errno));
    madvise(mapped, size_bytes, MADV_HUGEPAGE);
  });
}

// Where the kernel has no room for one more mapping, pages that fault do as well: what lay there
// then stays until the reservation goes.
void virtual_memory_unmap(flagos_plugin_device_t*, flagos_address_t address,
                          std::uint64_t size_bytes) noexcept {
  if (map_nothing(pointer(address), size_bytes, MAP_FIXED) == MAP_FAILED)
    mprotect(pointer(address), size_bytes, PROT_NONE);
}

flagos_status_t virtual_memory_set_access(flagos_plugin_device_t* device, flagos_address_t address,
                                          std::uint64_t size_bytes,
                                          flagos_plugin_device_t* accessor,
                                          flagos_memory_access_t access) noexcept {
  return entry(from_c(device).host(), [&] {
    if (accessor != device)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "all devices of the processor share one address space: what device may do there, "
                  "all may; set the access of the device that reserved it");
    if (mprotect(pointer(address), size_bytes, protection_of(access)) != 0)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                  "the access to {} bytes at {:#x} cannot be set: {}", size_bytes, address,
                  std::strerror(errno));
  });
}

flagos_status_t physical_memory_export(flagos_plugin_physical_memory_t* memory,
                                       flagos_plugin_external_t* out_external) noexcept {
  const PhysicalMemory& self = from_c(memory);
  return entry(self.host(), [&] {
    out_external->fd = fcntl(self.fd(), F_DUPFD_CLOEXEC, 0);
    if (out_external->fd < 0)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no descriptor is free: {}",
                  std::strerror(errno));
    out_external->type = external_type;
    out_external->size_bytes = self.size_bytes();
  });
}

flagos_status_t physical_memory_import(flagos_plugin_device_t* device,
                                       const flagos_plugin_external_t* external,
                                       flagos_plugin_physical_memory_t** out_memory) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_memory = to_c(std::make_unique<PhysicalMemory>(self.host(), *external).release());
  });
}

}  // namespace flagos::cpu
