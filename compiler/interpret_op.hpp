// What the parts of the interpreter share: values as bits, and one function per group of operations.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "compiler/interpreter.hpp"

namespace flagos::compiler {

// The elements of a value in row-major order, each as the bits of its type in a word of its own. A pointer is
// {address, size}; a view is {address, size, extents..., strides...}.
using Words = std::vector<std::uint64_t>;

class Interpreter {
 public:
  Interpreter(const Module& module, const Kernel& kernel, const Launch& launch);
  void run_program(std::array<std::uint32_t, 3> program);

  const Type& type(ValueId value) const { return kernel_.values[value]; }
  Words& words(ValueId value) { return values_[value]; }
  const Words& operand(const Op& op, std::size_t i) const { return values_[op.operands[i]]; }
  const Type& operand_type(const Op& op, std::size_t i) const { return type(op.operands[i]); }
  // The words of a result, resized to its type.
  Words& result(const Op& op, std::size_t i = 0);
  const Type& result_type(const Op& op, std::size_t i = 0) const { return type(op.results[i]); }
  // Runs a region on arguments; what it yields.
  const std::vector<Words>& run_region(const Block& block, std::span<const Words> arguments);
  // The text of an error: where, and in which program.
  [[noreturn]] void fail(const Op& op, const std::string& reason) const;

 private:
  void run_block(const Block& block);
  void run_op(const Op& op);
  void run_for(const Op& op);
  void run_if(const Op& op);
  void run_while(const Op& op);
  void run_extern(const Op& op);
  void run_report(const Op& op);
  void set_results(const Op& op, const std::vector<Words>& from);

  const Module& module_;
  const Kernel& kernel_;
  const Launch& launch_;
  std::array<std::uint32_t, 3> program_{};
  std::vector<Words> values_;
  std::vector<Words> yielded_;
  std::uint64_t steps_ = 0;
};

// Elementwise operations on `count` elements. `word` is the attribute that chooses (mode or nan), "" otherwise.
void run_elementwise(OpCode code, DType dtype, std::string_view word, std::size_t count,
                     std::span<const std::uint64_t* const> operands, std::uint64_t* out);
std::uint64_t run_scalar(OpCode code, DType dtype, std::string_view word, std::uint64_t a, std::uint64_t b);
// The elementwise operation of the same name: "add" of a reduction, "min" of an atomic.
OpCode combiner(std::string_view name);

std::uint64_t cast_bits(DType from, DType to, std::uint64_t bits, Rounding rounding, bool saturate);

// Each runs one operation of its group; false where `op` is of another.
bool run_value_op(Interpreter& interpreter, const Op& op);
bool run_memory_op(Interpreter& interpreter, const Op& op);
bool run_collective_op(Interpreter& interpreter, const Op& op);

// Philox 4x32 with ten rounds.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

// The tile as [outer, axis, inner].
struct Axis {
  std::size_t outer = 1, extent = 1, inner = 1;
  Axis(const Type& type, std::size_t axis) {
    for (std::size_t i = 0; i < type.rank; ++i)
      (i < axis ? outer : i == axis ? extent : inner) *= static_cast<std::size_t>(type.dims[i]);
  }
  std::size_t at(std::size_t o, std::size_t k, std::size_t i) const { return (o * extent + k) * inner + i; }
};

}  // namespace flagos::compiler
