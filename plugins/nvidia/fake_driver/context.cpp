// Devices and contexts.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

thread_local CUcontext current_context = nullptr;

struct Primary {
  std::mutex mutex;
  CUcontext context = nullptr;
};
// Never destroyed: streams may run until the process is gone.
Primary& primary(int device) {
  static auto* const all = new Primary[most_devices];
  return all[device];
}

int device_count() {
  return static_cast<int>(
      std::min<std::uint64_t>(setting("FLAGOS_FAKE_CUDA_DEVICES", 1), most_devices));
}
bool is_device(CUdevice device) { return device >= 0 && device < device_count(); }

// Waits for all work, and ends its threads.
void destroy(CUcontext context) {
  context->is_ending = true;
  std::vector<std::shared_ptr<CUstream_st>> streams;
  {
    const std::lock_guard lock(context->mutex);
    streams = std::move(context->streams);
  }
  for (const auto& stream : streams) {
    {
      const std::lock_guard lock(stream->mutex);
      if (!stream->is_ending) leave(stream.get(), "the end of the context");
    }
    {
      const std::lock_guard lock(stream->mutex);
      stream->is_ending = true;
    }
    stream->changed.notify_all();
    if (stream->thread.joinable()) stream->thread.join();
  }
  if (current_context == context) current_context = nullptr;
  delete context;
}

}  // namespace

CUcontext current() { return current_context; }

int capability() { return static_cast<int>(setting("FLAGOS_FAKE_CUDA_CAPABILITY", 80)); }

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;

FAKE_EXPORT CUresult cuInit(unsigned flags) try {
  FAKE_CALL(cuInit);
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return fake::device_count() == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDriverGetVersion(int* version) try {
  *version = static_cast<int>(fake::setting("FLAGOS_FAKE_CUDA_VERSION", 12080));
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGetErrorName(CUresult error, const char** name) try {
  struct Named {
    CUresult code;
    const char* name;
  };
#define FAKE_NAMED(code) \
  { code, #code }
  static constexpr Named all[] = {FAKE_NAMED(CUDA_SUCCESS),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_VALUE),
                                  FAKE_NAMED(CUDA_ERROR_OUT_OF_MEMORY),
                                  FAKE_NAMED(CUDA_ERROR_NOT_INITIALIZED),
                                  FAKE_NAMED(CUDA_ERROR_DEINITIALIZED),
                                  FAKE_NAMED(CUDA_ERROR_STUB_LIBRARY),
                                  FAKE_NAMED(CUDA_ERROR_DEVICE_UNAVAILABLE),
                                  FAKE_NAMED(CUDA_ERROR_NO_DEVICE),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_DEVICE),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_IMAGE),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_CONTEXT),
                                  FAKE_NAMED(CUDA_ERROR_NO_BINARY_FOR_GPU),
                                  FAKE_NAMED(CUDA_ERROR_ECC_UNCORRECTABLE),
                                  FAKE_NAMED(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_PTX),
                                  FAKE_NAMED(CUDA_ERROR_NVLINK_UNCORRECTABLE),
                                  FAKE_NAMED(CUDA_ERROR_JIT_COMPILER_NOT_FOUND),
                                  FAKE_NAMED(CUDA_ERROR_UNSUPPORTED_PTX_VERSION),
                                  FAKE_NAMED(CUDA_ERROR_JIT_COMPILATION_DISABLED),
                                  FAKE_NAMED(CUDA_ERROR_CONTAINED),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_SOURCE),
                                  FAKE_NAMED(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND),
                                  FAKE_NAMED(CUDA_ERROR_OPERATING_SYSTEM),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_HANDLE),
                                  FAKE_NAMED(CUDA_ERROR_NOT_FOUND),
                                  FAKE_NAMED(CUDA_ERROR_NOT_READY),
                                  FAKE_NAMED(CUDA_ERROR_ILLEGAL_ADDRESS),
                                  FAKE_NAMED(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES),
                                  FAKE_NAMED(CUDA_ERROR_LAUNCH_TIMEOUT),
                                  FAKE_NAMED(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED),
                                  FAKE_NAMED(CUDA_ERROR_CONTEXT_IS_DESTROYED),
                                  FAKE_NAMED(CUDA_ERROR_ASSERT),
                                  FAKE_NAMED(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED),
                                  FAKE_NAMED(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED),
                                  FAKE_NAMED(CUDA_ERROR_HARDWARE_STACK_ERROR),
                                  FAKE_NAMED(CUDA_ERROR_ILLEGAL_INSTRUCTION),
                                  FAKE_NAMED(CUDA_ERROR_MISALIGNED_ADDRESS),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_ADDRESS_SPACE),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_PC),
                                  FAKE_NAMED(CUDA_ERROR_LAUNCH_FAILED),
                                  FAKE_NAMED(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE),
                                  FAKE_NAMED(CUDA_ERROR_TENSOR_MEMORY_LEAK),
                                  FAKE_NAMED(CUDA_ERROR_NOT_PERMITTED),
                                  FAKE_NAMED(CUDA_ERROR_NOT_SUPPORTED),
                                  FAKE_NAMED(CUDA_ERROR_SYSTEM_NOT_READY),
                                  FAKE_NAMED(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH),
                                  FAKE_NAMED(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE),
                                  FAKE_NAMED(CUDA_ERROR_MPS_CLIENT_TERMINATED),
                                  FAKE_NAMED(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE),
                                  FAKE_NAMED(CUDA_ERROR_EXTERNAL_DEVICE),
                                  FAKE_NAMED(CUDA_ERROR_INVALID_CLUSTER_SIZE),
                                  FAKE_NAMED(CUDA_ERROR_UNKNOWN)};
#undef FAKE_NAMED
  for (const Named& known : all) {
    if (known.code != error) continue;
    *name = known.name;
    return CUDA_SUCCESS;
  }
  *name = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetCount(int* count) try {
  FAKE_CALL(cuDeviceGetCount);
  *count = fake::device_count();
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) try {
  FAKE_CALL(cuDeviceGet);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetName(char* name, int size, CUdevice device) try {
  FAKE_CALL(cuDeviceGetName);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, static_cast<std::size_t>(size), "fake NVIDIA device on host memory");
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) try {
  FAKE_CALL(cuDeviceGetUuid_v2);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::memcpy(uuid->bytes, "flagos-fake-gpu", 15);
  uuid->bytes[15] = static_cast<char>('0' + device);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) try {
  FAKE_CALL(cuDeviceTotalMem_v2);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = fake::setting("FLAGOS_FAKE_CUDA_MEMORY_MIB", 3072) << 20;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetPCIBusId(char* text, int size, CUdevice device) try {
  FAKE_CALL(cuDeviceGetPCIBusId);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(text, static_cast<std::size_t>(size), "FAFA:%02X:00.0", device + 1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute,
                                          CUdevice device) try {
  FAKE_CALL(cuDeviceGetAttribute);
  static const std::map<int, int> values = {
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 1, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 2, 64},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 1, 65535},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 2, 65535},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, static_cast<int>(fake::multiprocessors)},
      {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
      {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
      {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
      {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
      {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 160 << 10},
      {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
      {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1},
      {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
      {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1}};
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) {
    *value = fake::capability() / 10;
    return CUDA_SUCCESS;
  }
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) {
    *value = fake::capability() % 10;
    return CUDA_SUCCESS;
  }
  if (attribute == CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH) {
    *value = fake::capability() >= 90 ? 1 : 0;
    return CUDA_SUCCESS;
  }
  const auto found = values.find(attribute);
  *value = found != values.end() ? found->second : 0;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceGetP2PAttribute(int* value, CUdevice_P2PAttribute attribute,
                                             CUdevice from, CUdevice to) try {
  FAKE_CALL(cuDeviceGetP2PAttribute);
  if (!fake::is_device(from) || !fake::is_device(to) || from == to)
    return CUDA_ERROR_INVALID_DEVICE;
  *value = attribute == CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ? 0 : 1;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) try {
  FAKE_CALL(cuDeviceCanAccessPeer);
  if (!fake::is_device(device) || !fake::is_device(peer)) return CUDA_ERROR_INVALID_DEVICE;
  *can = device != peer ? 1 : 0;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) try {
  FAKE_CALL(cuDevicePrimaryCtxRetain);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  fake::Primary& primary = fake::primary(device);
  const std::lock_guard lock(primary.mutex);
  if (primary.context == nullptr) {
    primary.context = new CUctx_st;
    primary.context->device = device;
  }
  ++primary.context->references;
  fake::count_object(1);
  *context = primary.context;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) try {
  fake::Primary& primary = fake::primary(device);
  CUcontext last = nullptr;
  {
    const std::lock_guard lock(primary.mutex);
    if (primary.context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (--primary.context->references == 0) last = std::exchange(primary.context, nullptr);
  }
  fake::count_object(-1);
  if (last != nullptr) fake::destroy(last);
  return CUDA_SUCCESS;
}
FAKE_CATCH

// A context of the program's own, for what it hands over to be wrapped.
FAKE_EXPORT CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice device) try {
  FAKE_CALL(cuCtxCreate_v2);
  if (!fake::is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *context = new CUctx_st;
  (*context)->device = device;
  (*context)->is_primary = false;
  fake::current_context = *context;
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxDestroy_v2(CUcontext context) try {
  if (context == nullptr || context->is_primary) return CUDA_ERROR_INVALID_CONTEXT;
  fake::count_object(-1);
  fake::destroy(context);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxSetCurrent(CUcontext context) try {
  fake::current_context = context;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxGetCurrent(CUcontext* context) try {
  *context = fake::current_context;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxGetDevice(CUdevice* device) try {
  if (fake::current_context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *device = fake::current_context->device;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) try {
  FAKE_CONTEXT_CALL(cuCtxGetStreamPriorityRange);
  *least = 0;
  *greatest = -5;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned) try {
  FAKE_CONTEXT_CALL(cuCtxEnablePeerAccess);
  if (peer == nullptr || peer == context) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(context->mutex);
  return context->peers.insert(peer->device).second ? CUDA_SUCCESS
                                                    : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
}
FAKE_CATCH
