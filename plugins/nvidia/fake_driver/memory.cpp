// Memory: device, pinned, managed, registered; and which memory there is.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr std::size_t alignment = 512;

struct Registry {
  std::mutex mutex;
  std::map<std::uint64_t, Block> blocks;
  std::uint64_t used[most_devices] = {};
};
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

// Of each device.
std::uint64_t total_bytes() { return setting("FLAGOS_FAKE_CUDA_MEMORY_MIB", 3072) << 20; }

bool is_counted(Kind kind) { return kind == Kind::device || kind == Kind::managed; }

CUresult allocate(CUcontext context, std::size_t size, Kind kind, std::uint64_t* out_address,
                  CUmemoryPool pool = nullptr) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (is_counted(kind) && !reserve_bytes(context->device, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) {
    if (is_counted(kind)) give_back_bytes(context->device, size);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out_address = reinterpret_cast<std::uint64_t>(memory);
  add_block({*out_address, size, kind, context->device, context, pool});
  count_object(1);
  return CUDA_SUCCESS;
}

// All work of the context is over first, as with the driver.
void synchronize(CUcontext context) {
  std::vector<std::shared_ptr<CUstream_st>> streams;  // another thread may destroy one meanwhile
  {
    const std::lock_guard lock(context->mutex);
    streams = context->streams;
  }
  for (const auto& stream : streams) drain(stream.get());
}

}  // namespace

bool reserve_bytes(int device, std::uint64_t size) {
  const std::lock_guard lock(registry().mutex);
  std::uint64_t& used = registry().used[device];
  if (size > total_bytes() - used) return false;
  used += size;
  return true;
}

void give_back_bytes(int device, std::uint64_t size) {
  const std::lock_guard lock(registry().mutex);
  registry().used[device] -= size;
}

void add_block(const Block& block) {
  const std::lock_guard lock(registry().mutex);
  registry().blocks[block.base] = block;
}

bool take_block(std::uint64_t base, std::initializer_list<Kind> kinds, Block* out_block) {
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

bool find(CUdeviceptr address, std::uint64_t size, Block* out_block, bool* out_known) {
  const std::lock_guard lock(registry().mutex);
  const auto& blocks = registry().blocks;
  auto after = blocks.upper_bound(address);
  *out_known = after != blocks.begin() &&
               address < std::prev(after)->second.base + std::prev(after)->second.size;
  if (!*out_known) return after == blocks.end() || after->first >= address + size;
  *out_block = std::prev(after)->second;
  // Mappings side by side are one range.
  std::uint64_t end = out_block->base + out_block->size;
  for (; out_block->kind == Kind::mapped && after != blocks.end() && after->first == end &&
         after->second.kind == Kind::mapped;
       ++after)
    end += after->second.size;
  return address + size <= end;
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
  FAKE_NEEDS_CONTEXT();
  fake::Block block;
  if (!fake::take_block(address, {Kind::device, Kind::managed}, &block))
    return CUDA_ERROR_INVALID_VALUE;
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
  FAKE_NEEDS_CONTEXT();
  fake::Block block;
  if (!fake::take_block(reinterpret_cast<std::uint64_t>(pointer), {Kind::host}, &block))
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
  fake::add_block({base, size, Kind::registered, context->device, context});
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemHostUnregister(void* pointer) try {
  FAKE_NEEDS_CONTEXT();
  fake::Block block;
  if (!fake::take_block(reinterpret_cast<std::uint64_t>(pointer), {Kind::registered}, &block))
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
  if (properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
      properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      std::any_of(std::begin(properties->reserved), std::end(properties->reserved),
                  [](unsigned char byte) { return byte != 0; }))
    return CUDA_ERROR_INVALID_VALUE;
  *pool = new CUmemPoolHandle_st{properties->location.id};
  fake::enter(*pool);
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool) try {
  fake::leave(pool, __func__);
  fake::count_object(-1);
  delete pool;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                           void* value) try {
  FAKE_LIVE(pool);
  FAKE_CALL(cuMemPoolGetAttribute);
  if (attribute != CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT &&
      attribute != CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
    return CUDA_ERROR_INVALID_VALUE;
  *static_cast<std::uint64_t*>(value) = pool->used;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc*,
                                        std::size_t) try {
  FAKE_LIVE(pool);
  FAKE_CALL(cuMemPoolSetAccess);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, std::size_t size,
                                             CUmemoryPool pool, CUstream stream) try {
  FAKE_LIVE(pool);
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuMemAllocFromPoolAsync);
  std::uint64_t made = 0;
  const CUresult result = fake::allocate(context, size, Kind::device, &made, pool);
  if (result == CUDA_SUCCESS) pool->used += size;
  *address = made;
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) try {
  FAKE_NEEDS_CONTEXT();
  FAKE_LIVE(stream);
  fake::Block block;
  if (!fake::take_block(address, {Kind::device}, &block)) return CUDA_ERROR_INVALID_VALUE;
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
