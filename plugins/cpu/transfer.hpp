// Moving bytes on a worker, with the help of others where that pays.
#pragma once

#include <flagos.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace flagos::cpu {

class Worker;
struct Job;

// Who moves the bytes: a worker, and where a thread that waits for its stream may join in.
struct Mover {
  Worker& worker;
  std::atomic<Job*>& offer;
};

// As memmove.
void copy_bytes(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes,
                const Mover& mover) noexcept;
// As memmove where both pitches are equal.
void copy_rows(const flagos_copy_2d_desc_t& desc, const Mover& mover) noexcept;
// `pattern_bytes` is 1, 2, 4, 8 or 16 and divides size_bytes.
void fill_bytes(flagos_address_t target, const std::byte* pattern, std::uint32_t pattern_bytes,
                std::uint64_t size_bytes, const Mover& mover) noexcept;
// A hint; nothing changes when the system does not take it.
void prefetch_bytes(flagos_address_t address, std::uint64_t size_bytes) noexcept;

}  // namespace flagos::cpu
