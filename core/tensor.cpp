#include "core/tensor.hpp"

#include <algorithm>

#include "core/entry.hpp"

namespace flagos::core {

namespace {

[[noreturn]] void throw_too_large() {
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the tensor's size does not fit 64 bits");
}

}  // namespace

void check_shape(const std::int64_t* shape, std::uint32_t rank) {
  if (rank > largest_rank)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a tensor of rank {}, at most {} is possible", rank, largest_rank);
  if (rank != 0) require(shape, "the shape");
  for (std::uint32_t i = 0; i < rank; ++i) {
    if (shape[i] < 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "shape[{}] is {}", i, shape[i]);
  }
}

std::int64_t element_bits(flagos_dtype_t dtype) {
  const std::int64_t bits = std::int64_t{FLAGOS_DTYPE_BITS(dtype)} * FLAGOS_DTYPE_LANES(dtype);
  if (bits == 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "dtype {:#x} has elements of 0 bits", dtype);
  return bits;
}

// Elements of fewer than 8 bits are packed, as DLPack has them.
Extent extent_of(const std::int64_t* shape, const std::int64_t* strides, std::uint32_t rank, std::int64_t bits) {
  Extent extent;
  if (std::find(shape, shape + rank, 0) != shape + rank) return extent;
  std::int64_t dense = 1;
  for (std::uint32_t i = rank; i-- > 0;) {
    const std::int64_t stride = strides != nullptr ? strides[i] : dense;
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(shape[i] - 1, stride, &reach) ||
        __builtin_add_overflow(reach < 0 ? extent.first : extent.end, reach, reach < 0 ? &extent.first : &extent.end) ||
        __builtin_mul_overflow(dense, shape[i], &dense))
      throw_too_large();
  }
  if (__builtin_add_overflow(extent.end, 1, &extent.end) || __builtin_mul_overflow(extent.end, bits, &extent.end) ||
      __builtin_mul_overflow(extent.first, bits, &extent.first))
    throw_too_large();
  return {extent.first / 8 - (extent.first % 8 != 0 ? 1 : 0), extent.end / 8 + (extent.end % 8 != 0 ? 1 : 0)};
}

flagos_address_t check_memory(Device& device, flagos_address_t address, const Extent& extent, const char* what) {
  if (extent.empty()) return 0;
  const std::uint64_t below = 0 - static_cast<std::uint64_t>(extent.first);
  if (below > address)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a tensor at {:#x} that begins {} bytes before it", address, below);
  const flagos_address_t start = address - below;
  device.check_range(start, static_cast<std::uint64_t>(extent.end - extent.first), what);
  if (below != 0 && device.addresses().find(start) != device.addresses().find(address))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the tensor at {:#x} begins {} bytes before its allocation", address,
                below);
  return start;
}

}  // namespace flagos::core
