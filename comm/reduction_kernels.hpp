// Portable kernels that reduce as reduce() does, bit for bit: the text of each in flagos.tile.
#pragma once

#include <cstdint>
#include <string>

#include "base/reduce/reduce.hpp"

namespace flagos::comm {

// Each contribution is an argument of its own.
inline constexpr std::uint32_t most_kernel_sources = 8;
// How many numbers a program of a kernel reduces.
inline constexpr std::uint32_t kernel_block = 1024;

// Whether there is a kernel for it: not for 8-bit floating point, averages of 64-bit integers and products of complex
// numbers, which the host does.
bool has_kernel(const Reduction& reduction, std::uint32_t source_count);
// What the kernel calls a number: a complex one is two.
std::uint32_t numbers_in(const Reduction& reduction);
// Arguments: the target, each source, how many numbers (i32); then the scale of each source of a premultiplied sum, or the
// divisor of an average, in the type that scalar_of() says.
std::string kernel_text(const Reduction& reduction, std::uint32_t source_count);

enum class Scalar : std::uint8_t { i64, f32, f64 };
// In what scales and divisors come.
Scalar scalar_of(const Reduction& reduction);

}  // namespace flagos::comm
