// Copies of what is too large to stay in a cache.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flagos {

// From here on the target of a copy would not stay in a cache.
inline constexpr std::uint64_t streaming_bytes = 16 * 1024 * 1024;

// Writes past the caches, which saves reading the target first. The C library does so too, but
// judges by the size of the piece and by what a virtual machine tells of its caches.
inline void copy_streaming(std::byte* target, const std::byte* source, std::uint64_t size_bytes) noexcept {
#if defined(__SSE2__)
  const std::uint64_t head = std::min(size_bytes, (16 - reinterpret_cast<std::uint64_t>(target) % 16) % 16);
  std::memcpy(target, source, head);
  std::uint64_t at = head;
  for (; at + 64 <= size_bytes; at += 64) {
    const auto* from = reinterpret_cast<const __m128i*>(source + at);
    auto* to = reinterpret_cast<__m128i*>(target + at);
    const __m128i line[4] = {_mm_loadu_si128(from), _mm_loadu_si128(from + 1), _mm_loadu_si128(from + 2),
                             _mm_loadu_si128(from + 3)};
    for (int i = 0; i < 4; ++i) _mm_stream_si128(to + i, line[i]);
  }
  _mm_sfence();
  std::memcpy(target + at, source + at, size_bytes - at);
#else
  std::memcpy(target, source, size_bytes);
#endif
}

}  // namespace flagos
