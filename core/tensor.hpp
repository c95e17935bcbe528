// What is checked of a tensor that somebody describes: its shape, and the memory that its elements lie in.
#pragma once

#include <flagos.h>

#include <cstdint>

#include "core/device.hpp"

namespace flagos::core {

constexpr std::uint32_t largest_rank = 64;

// The bytes from the first to behind the last element, relative to element 0; equal where there are no elements.
struct Extent {
  std::int64_t first = 0;
  std::int64_t end = 0;
  bool empty() const { return end == first; }
};

// Throws INVALID_ARGUMENT for a rank above 64, a NULL and a negative extent.
void check_shape(const std::int64_t* shape, std::uint32_t rank);
// Throws where elements have no bits.
std::int64_t element_bits(flagos_dtype_t dtype);
// `strides` may be nullptr: dense. Throws where something does not fit 64 bits.
Extent extent_of(const std::int64_t* shape, const std::int64_t* strides, std::uint32_t rank, std::int64_t bits);
// Throws unless all elements lie in one allocation, or in memory that is none of the device's. Gives their first byte; 0
// when there are no elements.
flagos_address_t check_memory(Device& device, flagos_address_t address, const Extent& extent, const char* what);

}  // namespace flagos::core
