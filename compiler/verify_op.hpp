// The rule of each operation that is not elementwise: what its operands, attributes and results must be.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "compiler/module.hpp"

namespace flagos::compiler {

// A rule that an operation breaks; the verifier adds where.
struct Problem {
  std::string reason;
};

template <typename... Args>
void demand(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) throw Problem{fmt::format(format, std::forward<Args>(args)...)};
}

// An operation with the types of its kernel at hand.
struct OpView {
  const Kernel& kernel;
  const Op& op;

  std::size_t operands() const { return op.operands.size(); }
  const Type& operand(std::size_t i) const { return kernel.values[op.operands[i]]; }
  const Type& result(std::size_t i = 0) const { return kernel.values[op.results[i]]; }
  const Type& type(ValueId value) const { return kernel.values[value]; }
  // Throws Problem where result `i` is not `wanted`.
  void demand_result(std::size_t i, const Type& wanted) const;
  void demand_operand(std::size_t i, const Type& wanted) const;
  void demand_tile(std::size_t i) const;
  std::size_t axis(std::size_t rank) const;  // the attribute, checked
};

// Operand and result counts were checked. Throws Problem.
void verify_op(const OpView& view);
void verify_memory_op(const OpView& view);
void verify_collective_op(const OpView& view);
void verify_control_op(const OpView& view);

// The type without one axis: a scalar where it was the last.
Type without_axis(const Type& type, std::size_t axis);
bool in_domain(DType dtype, Domain domain);
std::string_view describe(Domain domain);

}  // namespace flagos::compiler
