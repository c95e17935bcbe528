// Small random modules that the verifier accepts: what lowerings and the interpreter are compared on. For tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler::test {

struct RandomModule {
  std::string text;            // canonical; one kernel, to be run as a grid of two programs
  std::vector<DType> buffers;  // its arguments: first inputs, then outputs, each with `elements` elements
  std::size_t inputs = 0;
  static constexpr std::size_t elements = 64;
};

// The same seed gives the same module.
RandomModule make_random_module(std::uint64_t seed);

}  // namespace flagos::compiler::test
