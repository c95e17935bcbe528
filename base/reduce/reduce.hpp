// The arithmetic of reductions on the host: one pass over all ranks' contributions, in a fixed order.
#pragma once

#include <flagos_comm.h>

#include <cstdint>

namespace flagos {

// So many numbers are sorted at a place in the deterministic mode; a communicator has no more ranks then.
inline constexpr std::uint32_t most_sorted_sources = 256;

// Reductions in the order of FLAGOS_COMM_REDUCTION_*, then the premultiplied sum.
inline constexpr std::uint8_t premultiplied_sum = 8;
const char* reduction_name(std::uint8_t reduction);

struct Reduction {
  flagos_dtype_t dtype = 0;
  std::uint8_t kind = 0;
  bool deterministic = false;
};

// 0 when there is no such dtype.
std::uint32_t dtype_bytes(flagos_dtype_t dtype);
const char* dtype_name(flagos_dtype_t dtype);
// Whether the dtype has the reduction.
bool is_defined(const Reduction& reduction);

// target[i] = the reduction of sources[0 .. source_count)[i]. `target` may be one of the sources. `scales` is one for each
// source, read by the premultiplied sum only. `divisor` is what an average divides by.
void reduce(const Reduction& reduction, std::uint32_t source_count, const void* const* sources, const double* scales,
            std::uint32_t divisor, void* target, std::uint64_t count);

// The loops, compiled for several instruction sets; reduce() takes the best one of this processor. All give the same bits.
using ReduceFunction = void (*)(const Reduction&, std::uint32_t, const void* const*, const double*, std::uint32_t,
                                void*, std::uint64_t);
void reduce_baseline(const Reduction&, std::uint32_t, const void* const*, const double*, std::uint32_t, void*,
                     std::uint64_t);
void reduce_v3(const Reduction&, std::uint32_t, const void* const*, const double*, std::uint32_t, void*, std::uint64_t);
void reduce_v4(const Reduction&, std::uint32_t, const void* const*, const double*, std::uint32_t, void*, std::uint64_t);

}  // namespace flagos
