#include "plugins/cpu/transfer.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/copy.hpp"
#include "plugins/cpu/thread_pool.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t piece_bytes = 64 * 1024;
constexpr std::uint64_t most_pieces = 64;               // a thread that is held up holds up little
constexpr std::uint64_t offer_bytes = 256 * 1024;       // from here on a waiting thread may help
constexpr std::uint64_t split_bytes = 4 * 1024 * 1024;  // below it a wake costs more than it gains

std::byte* pointer(flagos_address_t address) noexcept {
  return reinterpret_cast<std::byte*>(address);
}

// Calls move(offset, size) for all pieces of `size_bytes`, on several threads when that pays.
template <typename Move>
void in_pieces(std::uint64_t size_bytes, const Mover& mover, const Move& move) noexcept {
  if (size_bytes < offer_bytes) return move(0, size_bytes);
  struct Context {
    const Move& move;
    std::uint64_t size_bytes;
  } context{move, size_bytes};
  Job job;
  job.body = [](void* data, std::uint64_t first, std::uint64_t last, Worker&) {
    const auto& self = *static_cast<Context*>(data);
    const std::uint64_t begin = first * piece_bytes;
    self.move(begin, std::min(last * piece_bytes, self.size_bytes) - begin);
  };
  job.context = &context;
  job.total = (size_bytes + piece_bytes - 1) / piece_bytes;
  job.most_at_once = most_pieces;
  job.offer = &mover.offer;
  job.wakes = size_bytes >= split_bytes;
  mover.worker.pool().share(job, mover.worker);
}

// Repeats the pattern; `target` is aligned to it.
void fill_piece(std::byte* target, const std::byte* pattern, std::uint32_t pattern_bytes,
                std::uint64_t size_bytes) {
  constexpr std::uint64_t line = 64;
  std::byte block[line];
  for (std::uint64_t at = 0; at < line; at += pattern_bytes)
    std::memcpy(block + at, pattern, pattern_bytes);
  std::uint64_t offset = 0;
  for (; offset + line <= size_bytes; offset += line) std::memcpy(target + offset, block, line);
  std::memcpy(target + offset, block, size_bytes - offset);
}

bool is_one_byte(const std::byte* pattern, std::uint32_t pattern_bytes) noexcept {
  return std::all_of(pattern, pattern + pattern_bytes,
                     [&](std::byte value) { return value == pattern[0]; });
}

}  // namespace

void copy_bytes(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes,
                const Mover& mover) noexcept {
  const std::uint64_t distance = target > source ? target - source : source - target;
  if (distance < size_bytes) {  // overlapping pieces would have to wait for each other
    std::memmove(pointer(target), pointer(source), size_bytes);
    return;
  }
  const bool streaming = size_bytes >= streaming_bytes;
  in_pieces(size_bytes, mover, [&](std::uint64_t offset, std::uint64_t size) {
    if (streaming)
      copy_streaming(pointer(target) + offset, pointer(source) + offset, size);
    else
      std::memcpy(pointer(target) + offset, pointer(source) + offset, size);
  });
}

void copy_rows(const flagos_copy_2d_desc_t& desc, const Mover& mover) noexcept {
  const std::uint64_t width = desc.width_bytes;
  if (desc.height == 1 || (desc.target_pitch_bytes == width && desc.source_pitch_bytes == width))
    return copy_bytes(desc.target, desc.source, width * desc.height, mover);
  // Backwards where a row may be overwritten before it is read.
  const bool backwards = desc.target > desc.source;
  for (std::uint64_t i = 0; i < desc.height; ++i) {
    const std::uint64_t row = backwards ? desc.height - 1 - i : i;
    std::memmove(pointer(desc.target) + row * desc.target_pitch_bytes,
                 pointer(desc.source) + row * desc.source_pitch_bytes, width);
  }
}

void fill_bytes(flagos_address_t target, const std::byte* pattern, std::uint32_t pattern_bytes,
                std::uint64_t size_bytes, const Mover& mover) noexcept {
  const bool one_byte = is_one_byte(pattern, pattern_bytes);
  in_pieces(size_bytes, mover, [&](std::uint64_t offset, std::uint64_t size) {
    if (one_byte)
      std::memset(pointer(target) + offset, static_cast<int>(pattern[0]), size);
    else
      fill_piece(pointer(target) + offset, pattern, pattern_bytes, size);
  });
}

void prefetch_bytes(flagos_address_t address, std::uint64_t size_bytes) noexcept {
  static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t first = address & ~(page - 1);
  madvise(pointer(first), address + size_bytes - first, MADV_WILLNEED);
}

}  // namespace flagos::cpu
