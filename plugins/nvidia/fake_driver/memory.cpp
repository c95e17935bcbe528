// Memory: device, pinned, managed, registered; and that which is made, mapped and given away by descriptor.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr std::size_t alignment = 512;
constexpr std::size_t granularity = std::size_t{2} << 20;

struct Registry {
  std::mutex mutex;
  std::map<std::uint64_t, Block> blocks;
  std::uint64_t used[most_devices] = {};
  struct Made {
    int device;
    std::uint64_t size;
  };
  std::map<CUmemGenericAllocationHandle, Made> made;  // by cuMemCreate; released handles are gone
};
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

// Of each device.
std::uint64_t total_bytes() { return setting("FLAGOS_FAKE_CUDA_MEMORY_MIB", 3072) << 20; }

bool is_counted(Kind kind) { return kind == Kind::device || kind == Kind::managed; }

bool reserve(CUcontext context, std::uint64_t size) {
  const std::lock_guard lock(registry().mutex);
  std::uint64_t& used = registry().used[context->device];
  if (size > total_bytes() - used) return false;
  used += size;
  return true;
}

void give_back(int device, std::uint64_t size) {
  const std::lock_guard lock(registry().mutex);
  registry().used[device] -= size;
}

void add(const Block& block) {
  const std::lock_guard lock(registry().mutex);
  registry().blocks[block.base] = block;
}

// Takes the block that begins there and is of one of the kinds.
bool take(std::uint64_t base, std::initializer_list<Kind> kinds, Block* out_block) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().blocks.find(base);
  if (found == registry().blocks.end()) return false;
  for (const Kind kind : kinds) {
    if (found->second.kind != kind) continue;
    *out_block = found->second;
    if (is_counted(kind)) registry().used[out_block->device] -= out_block->size;
    registry().blocks.erase(found);
    return true;
  }
  return false;
}

CUresult allocate(CUcontext context, std::size_t size, Kind kind, std::uint64_t* out_address,
                  CUmemoryPool pool = nullptr) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (is_counted(kind) && !reserve(context, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) {
    if (is_counted(kind)) give_back(context->device, size);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out_address = reinterpret_cast<std::uint64_t>(memory);
  add({*out_address, size, kind, context->device, context, pool});
  count_object(1);
  return CUDA_SUCCESS;
}

// All work of the context is over first, as with the driver.
void synchronize(CUcontext context) {
  std::vector<CUstream> streams;
  {
    const std::lock_guard lock(context->mutex);
    streams = context->streams;
  }
  for (CUstream stream : streams) drain(stream);
}

// A handle of cuMemCreate is the descriptor of a file in memory, plus one.
int fd_of(CUmemGenericAllocationHandle handle) { return static_cast<int>(handle) - 1; }

}  // namespace

bool find(CUdeviceptr address, std::uint64_t size, Block* out_block, bool* out_known) {
  const std::lock_guard lock(registry().mutex);
  const auto& blocks = registry().blocks;
  auto after = blocks.upper_bound(address);
  *out_known = false;
  if (after != blocks.end() && after->first < address + size) return false;
  if (after == blocks.begin()) return true;
  const Block& block = std::prev(after)->second;
  if (address >= block.base + block.size) return true;
  *out_known = true;
  *out_block = block;
  return address + size <= block.base + block.size;
}

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;
using fake::Kind;

FAKE_EXPORT CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) try {
  FAKE_CONTEXT_CALL(cuMemGetInfo_v2);
  *total = fake::total_bytes();
  const std::lock_guard lock(fake::registry().mutex);
  *free = *total - fake::registry().used[context->device];
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t size) try {
  FAKE_CONTEXT_CALL(cuMemAlloc_v2);
  std::uint64_t made = 0;
  const CUresult result = fake::allocate(context, size, Kind::device, &made);
  *address = made;
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) try {
  fake::Block block;
  if (!fake::take(address, {Kind::device, Kind::managed}, &block)) return CUDA_ERROR_INVALID_VALUE;
  fake::synchronize(block.context);
  fake::count_object(-1);
  std::free(reinterpret_cast<void*>(block.base));
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAllocManaged(CUdeviceptr* address, std::size_t size, unsigned) try {
  FAKE_CONTEXT_CALL(cuMemAllocManaged);
  std::uint64_t made = 0;
  const CUresult result = fake::allocate(context, size, Kind::managed, &made);
  *address = made;
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemHostAlloc(void** pointer, std::size_t size, unsigned) try {
  FAKE_CONTEXT_CALL(cuMemHostAlloc);
  if (size > std::uint64_t{1} << 40) return CUDA_ERROR_OUT_OF_MEMORY;
  std::uint64_t made = 0;
  const CUresult result = fake::allocate(context, size, Kind::host, &made);
  *pointer = reinterpret_cast<void*>(made);
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemFreeHost(void* pointer) try {
  fake::Block block;
  if (!fake::take(reinterpret_cast<std::uint64_t>(pointer), {Kind::host}, &block))
    return CUDA_ERROR_INVALID_VALUE;
  fake::count_object(-1);
  std::free(pointer);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemHostRegister_v2(void* pointer, std::size_t size, unsigned) try {
  FAKE_CONTEXT_CALL(cuMemHostRegister_v2);
  const auto base = reinterpret_cast<std::uint64_t>(pointer);
  fake::Block block;
  bool known = false;
  if (!fake::find(base, size, &block, &known) || known)
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  fake::add({base, size, Kind::registered, context->device, context});
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemHostUnregister(void* pointer) try {
  fake::Block block;
  if (!fake::take(reinterpret_cast<std::uint64_t>(pointer), {Kind::registered}, &block))
    return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  fake::count_object(-1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* pointer,
                                                  unsigned) try {
  FAKE_CONTEXT_CALL(cuMemHostGetDevicePointer_v2);
  *address = reinterpret_cast<CUdeviceptr>(pointer);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute,
                                           CUdeviceptr address) try {
  FAKE_CALL(cuPointerGetAttribute);
  fake::Block block;
  bool known = false;
  if (!fake::find(address, 1, &block, &known) || !known) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      *static_cast<CUcontext*>(data) = block.context;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(data) = block.kind == Kind::host || block.kind == Kind::registered
                                          ? CU_MEMORYTYPE_HOST
                                          : CU_MEMORYTYPE_DEVICE;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(data) = block.device;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      *static_cast<CUdeviceptr*>(data) = block.base;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      *static_cast<std::size_t*>(data) = block.size;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}
FAKE_CATCH

// ---- pools ----------------------------------------------------------------------------------

namespace flagos::nvidia {
struct CUmemPoolHandle_st {
  CUdevice device;
  std::atomic<std::uint64_t> used{0};
};
}  // namespace flagos::nvidia

FAKE_EXPORT CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* properties) try {
  FAKE_CALL(cuMemPoolCreate);
  if (properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_INVALID_VALUE;
  *pool = new CUmemPoolHandle_st{properties->location.id};
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool) try {
  fake::count_object(-1);
  delete pool;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                           void* value) try {
  FAKE_CALL(cuMemPoolGetAttribute);
  if (attribute != CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT &&
      attribute != CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
    return CUDA_ERROR_INVALID_VALUE;
  *static_cast<std::uint64_t*>(value) = pool->used;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool, const CUmemAccessDesc*, std::size_t) try {
  FAKE_CALL(cuMemPoolSetAccess);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, std::size_t size,
                                             CUmemoryPool pool, CUstream) try {
  FAKE_CONTEXT_CALL(cuMemAllocFromPoolAsync);
  std::uint64_t made = 0;
  const CUresult result = fake::allocate(context, size, Kind::device, &made, pool);
  if (result == CUDA_SUCCESS) pool->used += size;
  *address = made;
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) try {
  fake::Block block;
  if (!fake::take(address, {Kind::device}, &block)) return CUDA_ERROR_INVALID_VALUE;
  fake::count_object(-1);
  if (block.pool != nullptr) block.pool->used -= block.size;
  fake::enqueue(stream, {[base = block.base] {
                           std::free(reinterpret_cast<void*>(base));
                           return CUDA_SUCCESS;
                         },
                         true});
  return CUDA_SUCCESS;
}
FAKE_CATCH

// ---- memory that is made and mapped -----------------------------------------------------------

FAKE_EXPORT CUresult cuMemGetAllocationGranularity(std::size_t* size, const CUmemAllocationProp*,
                                                   int) try {
  FAKE_CALL(cuMemGetAllocationGranularity);
  *size = fake::granularity;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t size, std::size_t,
                                         CUdeviceptr, unsigned long long) try {
  FAKE_CALL(cuMemAddressReserve);
  if (size == 0 || size % fake::granularity != 0) return CUDA_ERROR_INVALID_VALUE;
  void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  fake::count_object(1);
  *address = reinterpret_cast<CUdeviceptr>(range);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAddressFree(CUdeviceptr address, std::size_t size) try {
  fake::count_object(-1);
  return munmap(reinterpret_cast<void*>(address), size) == 0 ? CUDA_SUCCESS
                                                             : CUDA_ERROR_INVALID_VALUE;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t size,
                                 const CUmemAllocationProp* prop, unsigned long long) try {
  FAKE_CONTEXT_CALL(cuMemCreate);
  if (size == 0 || size % fake::granularity != 0 || prop->location.id != context->device)
    return CUDA_ERROR_INVALID_VALUE;
  if (!fake::reserve(context, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  const int fd = memfd_create("fake-cuda-memory", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) {
    if (fd >= 0) close(fd);
    fake::give_back(context->device, size);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  fake::count_object(1);
  *handle = static_cast<CUmemGenericAllocationHandle>(fd) + 1;
  const std::lock_guard lock(fake::registry().mutex);
  fake::registry().made[*handle] = {context->device, size};
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle) try {
  {
    const std::lock_guard lock(fake::registry().mutex);
    const auto found = fake::registry().made.find(handle);
    if (found != fake::registry().made.end()) {
      fake::registry().used[found->second.device] -= found->second.size;
      fake::registry().made.erase(found);
    }
  }
  fake::count_object(-1);
  return close(fake::fd_of(handle)) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                              CUmemGenericAllocationHandle handle, unsigned long long) try {
  FAKE_CONTEXT_CALL(cuMemMap);
  void* const at = reinterpret_cast<void*>(address);
  if (mmap(at, size, PROT_NONE, MAP_SHARED | MAP_FIXED, fake::fd_of(handle),
           static_cast<off_t>(offset)) == MAP_FAILED)
    return CUDA_ERROR_INVALID_VALUE;
  fake::add({address, size, Kind::mapped, context->device, context});
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemUnmap(CUdeviceptr address, std::size_t size) try {
  fake::Block block;
  if (!fake::take(address, {Kind::mapped}, &block)) return CUDA_ERROR_INVALID_VALUE;
  fake::count_object(-1);
  mmap(reinterpret_cast<void*>(address), size, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemSetAccess(CUdeviceptr address, std::size_t size,
                                    const CUmemAccessDesc* desc, std::size_t count) try {
  FAKE_CALL(cuMemSetAccess);
  int protection = PROT_NONE;
  for (std::size_t i = 0; i < count; ++i)
    if (desc[i].flags != 0)
      protection =
          PROT_READ | (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? PROT_WRITE : 0);
  return mprotect(reinterpret_cast<void*>(address), size, protection) == 0
             ? CUDA_SUCCESS
             : CUDA_ERROR_INVALID_VALUE;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                                  int type, unsigned long long) try {
  FAKE_CALL(cuMemExportToShareableHandle);
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_INVALID_VALUE;
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
  if (fstat(given, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size % static_cast<off_t>(fake::granularity) != 0)
    return CUDA_ERROR_INVALID_VALUE;
  const int fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  fake::count_object(1);
  *handle = static_cast<CUmemGenericAllocationHandle>(fd) + 1;
  return CUDA_SUCCESS;
}
FAKE_CATCH
