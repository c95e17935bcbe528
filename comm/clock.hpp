// The clock of waits, and whether plans are to be printed.
#pragma once

#include <chrono>
#include <cstdint>

namespace flagos::comm {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

// Whether FLAGOS_COMM_DEBUG asks for plans.
bool wants_plans();

}  // namespace flagos::comm
