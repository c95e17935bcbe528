// A thread of a block: a stack of its own on the thread of the system that runs the block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flagos::nvidia::fake {

constexpr std::size_t stack_bytes = 256 << 10;

// Makes what switch_to goes to first: `entry` on the stack that ends at `top`. It must not return.
void* make_fiber(std::byte* top, void (*entry)());
// Leaves the caller's place in `*out_here`, and goes on at `there`.
void switch_to(void** out_here, void* there);

}  // namespace flagos::nvidia::fake
