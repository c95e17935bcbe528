// Runs a kernel of a verified module on host memory, one program after the other: the oracle of every lowering.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "compiler/module.hpp"

namespace flagos::compiler {

struct ArgumentValue {
  std::uint64_t bits = 0;        // of a scalar, or an address
  std::uint64_t size_bytes = 0;  // behind an address; 0: not known, nothing is checked
};

struct Report {
  bool failed_assert;  // else a print
  std::string text;
  std::array<std::uint32_t, 3> program;
  const Op* op;
};

class Interpreter;

struct Launch {
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::span<const ArgumentValue> arguments;
  std::uint64_t step_limit = 0;  // operations of all programs together; 0: none
  std::function<void(const Report&)> report;
  // Called behind each operation; may change its results. For tests of what small errors do.
  std::function<void(Interpreter&, const Op&)> adjust;
};

// Throws Error: EXECUTION_FAILED where an assertion fails, memory ends or the steps run out.
void interpret(const Module& module, const Kernel& kernel, const Launch& launch);

}  // namespace flagos::compiler
