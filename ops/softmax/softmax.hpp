// What softmax and cross entropy have in common.
#pragma once

#include "ops/engine/lines.hpp"

namespace flagos::ops {

// Largest value of the line of an operand and the sum of exp(x - largest), in one pass over its chunks.
std::array<tile::Tile, 2> largest_and_sum(LineKernel& l, std::size_t operand);

}  // namespace flagos::ops
