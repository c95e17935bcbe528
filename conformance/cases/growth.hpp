// Looks for growth: what a process and a device hold before and after many cycles that should leave
// nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "conformance/case.hpp"

namespace flagos::conformance {

// What is held at one moment. Heap bytes are exact, and 0 where the allocator cannot tell (under
// sanitizers).
struct Held {
  Resources process;
  std::uint64_t heap_bytes;
  std::uint64_t device_bytes;
};

// Runs `cycle` n/2 times (fewer on a quick run) as a warm-up, then n/2 times more, which must leave no
// file, thread or mapping, and less heap than n/2 leaked objects of 32 bytes. What grew is given two
// more spans to stop: a leak does not.
struct GrowthOptions {
  std::uint64_t cycles;
  std::uint64_t quick_cycles;
  bool device_memory = true;  // also watches what the device has free
};
void expect_no_growth(Context& t, const GrowthOptions& options,
                      const std::function<void(std::uint64_t)>& cycle);

Held held_now(Context& t);

}  // namespace flagos::conformance
