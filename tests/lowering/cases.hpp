// Kernels that say what random modules do not: every cast, the operations across a tile and on memory.
#pragma once

#include <vector>

#include "tests/lowering/oracle.hpp"

namespace flagos::compiler::test {

std::vector<Case> directed_cases(std::uint64_t seed);
// Products with loops around them; directed_cases has them too.
std::vector<Case> product_cases(std::uint64_t seed);
// The ten kernels of samples/kernels, at small sizes.
std::vector<Case> sample_cases(std::uint64_t seed);

}  // namespace flagos::compiler::test
