// Copies and fills.
#include <cstring>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

// What the driver takes from ordinary host memory before the call returns; more makes the call wait.
constexpr std::size_t staged_bytes = 64 << 10;

struct Range {
  Block block;
  bool is_known = false;
};
bool look(CUdeviceptr address, std::uint64_t size, Range* out_range) {
  return find(address, size, &out_range->block, &out_range->is_known);
}

CUresult check_stream(CUcontext context, CUstream stream) {
  check_live(stream, "a copy or fill");
  return stream == nullptr || stream->context != context ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

CUresult copy(CUdeviceptr target, CUdeviceptr source, std::size_t size, CUstream stream) {
  Range to, from;
  if (!look(target, size, &to) || !look(source, size, &from)) return CUDA_ERROR_INVALID_VALUE;
  if (target != source && target < source + size && source < target + size)
    return CUDA_ERROR_INVALID_VALUE;
  auto* const out = reinterpret_cast<char*>(target);
  const auto* const in = reinterpret_cast<const char*>(source);
  if (!from.is_known && to.is_known && size <= staged_bytes) {
    enqueue(stream, {[out, bytes = std::vector<char>(in, in + size)] {
              std::memcpy(out, bytes.data(), bytes.size());
              return CUDA_SUCCESS;
            }});
    return CUDA_SUCCESS;
  }
  enqueue(stream, {[=] {
            if (out != in) std::memcpy(out, in, size);
            return CUDA_SUCCESS;
          }});
  if (to.is_known && from.is_known) return CUDA_SUCCESS;
  drain(stream);
  return stream->context->error;
}

template <typename Value>
CUresult set(CUdeviceptr target, std::size_t pitch, Value value, std::size_t width,
             std::size_t height, CUstream stream) {
  Range to;
  const std::size_t span = height == 0 ? 0 : (height - 1) * pitch + width * sizeof(Value);
  if (target % sizeof(Value) != 0 || pitch % sizeof(Value) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (!look(target, span, &to) || !to.is_known) return CUDA_ERROR_INVALID_VALUE;
  enqueue(stream, {[=] {
            for (std::size_t row = 0; row < height; ++row) {
              auto* const out = reinterpret_cast<Value*>(target + row * pitch);
              for (std::size_t i = 0; i < width; ++i) out[i] = value;
            }
            return CUDA_SUCCESS;
          }});
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;

FAKE_EXPORT CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, std::size_t size,
                                   CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemcpyAsync);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::copy(target, source, size, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr target, CUcontext, CUdeviceptr source, CUcontext,
                                       std::size_t size, CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemcpyPeerAsync);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::copy(target, source, size, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* desc, CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemcpy2DAsync_v2);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  const CUDA_MEMCPY2D made = *desc;
  if (made.srcMemoryType != CU_MEMORYTYPE_UNIFIED || made.dstMemoryType != CU_MEMORYTYPE_UNIFIED)
    return CUDA_ERROR_NOT_SUPPORTED;
  if (made.srcPitch < made.WidthInBytes || made.dstPitch < made.WidthInBytes || made.Height == 0)
    return CUDA_ERROR_INVALID_VALUE;
  fake::Range to, from;
  if (!fake::look(made.dstDevice, (made.Height - 1) * made.dstPitch + made.WidthInBytes, &to) ||
      !fake::look(made.srcDevice, (made.Height - 1) * made.srcPitch + made.WidthInBytes, &from))
    return CUDA_ERROR_INVALID_VALUE;
  fake::enqueue(stream, {[made] {
                  for (std::size_t row = 0; row < made.Height; ++row)
                    std::memmove(
                        reinterpret_cast<void*>(made.dstDevice + row * made.dstPitch),
                        reinterpret_cast<const void*>(made.srcDevice + row * made.srcPitch),
                        made.WidthInBytes);
                  return CUDA_SUCCESS;
                }});
  if (to.is_known && from.is_known) return CUDA_SUCCESS;
  fake::drain(stream);
  return stream->context->error;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, std::size_t count,
                                     CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemsetD8Async);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::set(target, count, value, count, 1, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemsetD16Async(CUdeviceptr target, unsigned short value, std::size_t count,
                                      CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemsetD16Async);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::set(target, count * 2, value, count, 1, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, std::size_t count,
                                      CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemsetD32Async);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::set(target, count * 4, value, count, 1, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemsetD2D32Async(CUdeviceptr target, std::size_t pitch, unsigned value,
                                        std::size_t width, std::size_t height,
                                        CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemsetD2D32Async);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  return fake::set(target, pitch, value, width, height, stream);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr address, std::size_t size, CUdevice,
                                        CUstream stream) try {
  FAKE_CONTEXT_CALL(cuMemPrefetchAsync);
  if (const CUresult wrong = fake::check_stream(context, stream); wrong != CUDA_SUCCESS)
    return wrong;
  fake::Range range;
  if (!fake::look(address, size, &range) || !range.is_known ||
      range.block.kind != fake::Kind::managed)
    return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}
FAKE_CATCH
