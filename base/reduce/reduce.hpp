// The arithmetic of reductions on the host: one pass over all ranks' contributions, in a fixed order.
#pragma once

#include <flagos_comm.h>

#include <cstdint>

namespace flagos {

// So many numbers are sorted at a place in the deterministic mode; a communicator has no more ranks then.
inline constexpr std::uint32_t most_sorted_sources = 256;
// For so many numbers of each at a time.
inline constexpr std::uint64_t sorted_block = 128;
inline constexpr std::uint64_t workspace_bytes = most_sorted_sources * sorted_block * 8;

// Reductions in the order of FLAGOS_COMM_REDUCTION_*, then the premultiplied sum.
inline constexpr std::uint8_t premultiplied_sum = 8;
// Behind them, of one source of a narrow dtype: to float32, and back with one rounding.
inline constexpr std::uint8_t widening = 9;
inline constexpr std::uint8_t narrowing = 10;
const char* reduction_name(std::uint8_t reduction);

struct Reduction {
  flagos_dtype_t dtype = 0;
  std::uint8_t kind = 0;
  bool deterministic = false;
};

// All of them, by numbers from 0 on.
inline constexpr std::uint32_t dtype_count = 16;
flagos_dtype_t dtype_at(std::uint32_t number);
// dtype_count when there is no such dtype.
std::uint32_t dtype_number(flagos_dtype_t dtype);
// 0 when there is no such dtype.
std::uint32_t dtype_bytes(flagos_dtype_t dtype);
const char* dtype_name(flagos_dtype_t dtype);
// Whether sums of it wrap and so do not depend on their order.
bool is_exact(flagos_dtype_t dtype);
// Whether it is computed in a wider type.
bool is_narrow(flagos_dtype_t dtype);
// Whether the dtype has the reduction.
bool is_defined(const Reduction& reduction);

// target[i] = the reduction of sources[0 .. source_count)[i]. `target` may be one of the sources. `scales` is one for each
// source, read by the premultiplied sum only. `divisor` is what an average divides by.
void reduce(const Reduction& reduction, std::uint32_t source_count, const void* const* sources, const double* scales,
            std::uint32_t divisor, void* target, std::uint64_t count);

// The loops, compiled for several instruction sets; reduce() takes the best one of this processor. All give the same bits.
// `workspace` is workspace_bytes for the deterministic mode.
using ReduceFunction = void(const Reduction&, std::uint32_t, const void* const*, const double*, std::uint32_t, void*,
                            std::uint64_t, void* workspace);
ReduceFunction reduce_baseline, reduce_v3, reduce_v4;

}  // namespace flagos
