// Addresses that are reserved, and memory that is made, mapped there and given away by descriptor.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr std::size_t granularity = std::size_t{2} << 20;

// Memory lives until its handle is released and the last mapping is gone. Its handle is the descriptor of a file in memory,
// plus one.
struct Made {
  int device = -1;  // on whose account it is; imported and the host's: nobody's
  std::uint64_t size = 0;
  bool is_host = false;
  int references = 1;
};
struct Mapping {
  CUmemGenericAllocationHandle handle = 0;
  std::uint64_t size = 0;
  int access[most_devices] = {};  // of each device
  bool is_host = false;           // memory of the host, which has an access of its own
  int host_access = 0;
};
struct Book {
  std::mutex mutex;
  std::map<CUdeviceptr, std::uint64_t> reserved;  // sizes
  std::map<CUmemGenericAllocationHandle, Made> made;
  std::map<CUdeviceptr, Mapping> mapped;
};
Book& book() {
  static auto* const all = new Book;
  return *all;
}

void* pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }
int fd_of(CUmemGenericAllocationHandle handle) { return static_cast<int>(handle) - 1; }
bool is_multiple(std::uint64_t value) { return value % granularity == 0; }

void* map_nothing(void* at, std::size_t size, int flags) {
  return mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

// With the book's lock held. False: there is no such handle.
bool let_go(CUmemGenericAllocationHandle handle) {
  const auto found = book().made.find(handle);
  if (found == book().made.end()) return false;
  if (--found->second.references > 0) return true;
  if (found->second.device >= 0) give_back_bytes(found->second.device, found->second.size);
  close(fd_of(handle));
  book().made.erase(found);
  return true;
}

bool is_reserved(CUdeviceptr address, std::uint64_t size) {
  auto after = book().reserved.upper_bound(address);
  if (after == book().reserved.begin()) return false;
  --after;
  return address + size <= after->first + after->second;
}

bool is_free(CUdeviceptr address, std::uint64_t size) {
  const auto after = book().mapped.lower_bound(address + size);
  if (after == book().mapped.begin()) return true;
  const auto& [base, before] = *std::prev(after);
  return base + before.size <= address;
}

// What any device may do there: all see it by the same pages. The host's memory is reached by nobody as long as the host does
// not reach it, so that a test sees it where the host was left out.
int protection_of(const Mapping& mapping) {
  int protection = PROT_NONE;
  for (const int access : mapping.access)
    if (access != 0)
      protection |= PROT_READ | (access == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? PROT_WRITE : 0);
  return mapping.is_host && mapping.host_access == 0 ? PROT_NONE : protection;
}

// Imported memory says in its name where it lies.
constexpr const char* host_name = "fake-cuda-host-memory";
bool is_host_file(int fd) {
  char target[64] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) return false;
  return std::strstr(target, host_name) != nullptr;
}

}  // namespace
}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;
using fake::book;
using fake::is_multiple;
using fake::Kind;
using fake::pointer;

FAKE_EXPORT CUresult cuMemGetAllocationGranularity(std::size_t* size, const CUmemAllocationProp*,
                                                   int) try {
  FAKE_CALL(cuMemGetAllocationGranularity);
  *size = fake::granularity;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t size,
                                         std::size_t alignment, CUdeviceptr wanted,
                                         unsigned long long flags) try {
  FAKE_CALL(cuMemAddressReserve);
  if (size == 0 || !is_multiple(size) || flags != 0 || (alignment & (alignment - 1)) != 0)
    return CUDA_ERROR_INVALID_VALUE;
  alignment = alignment > fake::granularity ? alignment : fake::granularity;
  if (size + alignment < size) return CUDA_ERROR_OUT_OF_MEMORY;
  void* range = fake::map_nothing(pointer(wanted), size, 0);
  if (range == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  auto start = reinterpret_cast<CUdeviceptr>(range);
  if (start % alignment != 0) {
    // More is reserved, and what lies around the aligned part goes back.
    munmap(range, size);
    range = fake::map_nothing(nullptr, size + alignment, 0);
    if (range == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    const auto first = reinterpret_cast<CUdeviceptr>(range);
    start = (first + alignment - 1) / alignment * alignment;
    if (start > first) munmap(range, start - first);
    if (first + alignment > start) munmap(pointer(start + size), first + alignment - start);
  }
  const std::lock_guard lock(book().mutex);
  book().reserved[start] = size;
  fake::count_object(1);
  *address = start;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAddressFree(CUdeviceptr address, std::size_t size) try {
  const std::lock_guard lock(book().mutex);
  const auto found = book().reserved.find(address);
  if (found == book().reserved.end() || found->second != size || !fake::is_free(address, size))
    return CUDA_ERROR_INVALID_VALUE;
  book().reserved.erase(found);
  fake::count_object(-1);
  munmap(pointer(address), size);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t size,
                                 const CUmemAllocationProp* prop, unsigned long long) try {
  FAKE_CONTEXT_CALL(cuMemCreate);
  const CUmemLocation& place = prop->location;
  const bool is_host = place.type == CU_MEM_LOCATION_TYPE_HOST_NUMA;
  if (size == 0 || !is_multiple(size) || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
      (is_host ? fake::setting("FLAGOS_FAKE_CUDA_VERSION", 12080) < 12020 || place.id != 0
               : place.type != CU_MEM_LOCATION_TYPE_DEVICE || place.id != context->device))
    return CUDA_ERROR_INVALID_VALUE;
  if (is_host ? size > fake::setting("FLAGOS_FAKE_CUDA_MEMORY_MIB", 3072) << 20
              : !fake::reserve_bytes(context->device, size))
    return CUDA_ERROR_OUT_OF_MEMORY;
  const int fd = memfd_create(is_host ? fake::host_name : "fake-cuda-memory", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) {
    if (fd >= 0) close(fd);
    if (!is_host) fake::give_back_bytes(context->device, size);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  fake::count_object(1);
  *handle = static_cast<CUmemGenericAllocationHandle>(fd) + 1;
  const std::lock_guard lock(book().mutex);
  book().made[*handle] = {is_host ? -1 : context->device, size, is_host};
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle) try {
  const std::lock_guard lock(book().mutex);
  if (!fake::let_go(handle)) return CUDA_ERROR_INVALID_VALUE;
  fake::count_object(-1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                              CUmemGenericAllocationHandle handle, unsigned long long flags) try {
  FAKE_CONTEXT_CALL(cuMemMap);
  const std::lock_guard lock(book().mutex);
  const auto found = book().made.find(handle);
  // The driver has no other offset either.
  if (found == book().made.end() || size == 0 || size > found->second.size || offset != 0 ||
      flags != 0 || !is_multiple(address) || !is_multiple(size) ||
      !fake::is_reserved(address, size) || !fake::is_free(address, size))
    return CUDA_ERROR_INVALID_VALUE;
  if (mmap(pointer(address), size, PROT_NONE, MAP_SHARED | MAP_FIXED, fake::fd_of(handle), 0) ==
      MAP_FAILED)
    return CUDA_ERROR_OUT_OF_MEMORY;
  fake::Mapping& mapping = book().mapped[address];
  mapping.handle = handle;
  mapping.is_host = found->second.is_host;
  mapping.size = size;
  ++found->second.references;
  fake::add_block({address, size, Kind::mapped, context->device, context});
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemUnmap(CUdeviceptr address, std::size_t size) try {
  const std::lock_guard lock(book().mutex);
  const auto found = book().mapped.find(address);
  fake::Block block;
  if (found == book().mapped.end() || found->second.size != size ||
      !fake::take_block(address, {Kind::mapped}, &block))
    return CUDA_ERROR_INVALID_VALUE;
  fake::map_nothing(pointer(address), size, MAP_FIXED);
  fake::let_go(found->second.handle);
  book().mapped.erase(found);
  fake::count_object(-1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemSetAccess(CUdeviceptr address, std::size_t size,
                                    const CUmemAccessDesc* desc, std::size_t count) try {
  FAKE_CALL(cuMemSetAccess);
  const std::lock_guard lock(book().mutex);
  std::uint64_t end = address;
  const auto first = book().mapped.find(address);
  auto last = first;
  for (; last != book().mapped.end() && last->first == end && end < address + size; ++last)
    end += last->second.size;
  if (size == 0 || end != address + size) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    const CUmemAccessDesc& access = desc[i];
    const bool is_host = access.location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA;
    if (!is_host && (access.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
                     access.location.id < 0 || access.location.id >= fake::most_devices))
      return CUDA_ERROR_INVALID_VALUE;
    for (auto at = first; at != last; ++at) {
      // The host is given access to memory of its own only.
      if (is_host && !at->second.is_host) return CUDA_ERROR_INVALID_VALUE;
      (is_host ? at->second.host_access : at->second.access[access.location.id]) = access.flags;
    }
  }
  for (auto at = first; at != last; ++at)
    if (mprotect(pointer(at->first), at->second.size, fake::protection_of(at->second)) != 0)
      return CUDA_ERROR_OUT_OF_MEMORY;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                                  int type, unsigned long long) try {
  FAKE_CALL(cuMemExportToShareableHandle);
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(book().mutex);
  if (book().made.count(handle) == 0) return CUDA_ERROR_INVALID_VALUE;
  const int fd = fcntl(fake::fd_of(handle), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle,
                                                    void* os_handle, int type) try {
  FAKE_CALL(cuMemImportFromShareableHandle);
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_INVALID_VALUE;
  const int given = static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle));
  struct stat status {};
  if (fstat(given, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0 ||
      !is_multiple(static_cast<std::uint64_t>(status.st_size)))
    return CUDA_ERROR_INVALID_VALUE;
  const int fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  fake::count_object(1);
  *handle = static_cast<CUmemGenericAllocationHandle>(fd) + 1;
  const std::lock_guard lock(book().mutex);
  book().made[*handle] = {-1, static_cast<std::uint64_t>(status.st_size), fake::is_host_file(fd)};
  return CUDA_SUCCESS;
}
FAKE_CATCH
