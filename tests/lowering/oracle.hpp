// What a lowering may give for a kernel: the interpreter's result, and how far other right ways of rounding, summing and
// computing functions may be from it. For tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/interpreter.hpp"
#include "compiler/random_module.hpp"

namespace flagos::compiler::test {

// A kernel to be run: the first of a module, its arguments in order.
struct Case {
  struct Argument {
    DType dtype;
    std::vector<std::byte> memory;  // behind a pointer, or the scalar
    bool pointer = true;
  };
  std::string name, text;
  std::vector<Argument> arguments;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  bool exact = false;  // nothing but the interpreter's bits
};

// Numbers of every size among them; `count` elements.
std::vector<std::byte> random_memory(DType dtype, std::size_t count, std::uint64_t seed);
Case make_case(const RandomModule& module, std::uint64_t seed);

struct Tolerance {
  double ulps = 16;      // of functions
  bool flushes = false;  // numbers below the normal ones may be 0
};

// Runs the case in the interpreter, several times with every inexact result moved a little, and compares what a target
// made of the same memory. "" when it is among what is right, else the first element that is not. `counted` gets how
// many elements were compared to the bit, and how many were not.
struct Counted {
  std::size_t exact = 0, close = 0, open = 0;
};
std::string compare(const Case& made, const std::vector<std::vector<std::byte>>& results,
                    const Tolerance& tolerance, Counted& counted);
// Runs it in the interpreter alone.
std::vector<std::vector<std::byte>> interpret_case(const Case& made);

}  // namespace flagos::compiler::test
