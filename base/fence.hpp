// Orders a store before a later load of other memory: who goes to sleep and who wakes it must not both miss the other.
#pragma once

#include <atomic>

namespace flagos {

inline void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
  static std::atomic<unsigned> word{0};  // the thread sanitizer knows no fences
  word.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace flagos
