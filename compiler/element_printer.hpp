// One element of a value as an expression, in the C that dialects share; see simt_dialect.hpp.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "compiler/simt_dialect.hpp"

namespace flagos::compiler {

class ElementPrinter {
 public:
  ElementPrinter(const Module& module, const Kernel& kernel, const Target& target, const SimtDialect& dialect,
                 std::set<std::string>& helpers, SimtNeeds& needs)
      : module_(module), kernel_(kernel), target_(target), dialect_(dialect), helpers_(helpers), needs_(needs) {}

 protected:
  const Type& type(ValueId value) const { return kernel_.values[value]; }
  const Type& operand_type(const Op& op, std::size_t i) const { return type(op.operands[i]); }
  const Type& result_type(const Op& op, std::size_t i = 0) const { return type(op.results[i]); }
  bool is_uniform(ValueId value) const { return type(value).elements() == 1; }
  [[noreturn]] void fail(const Op& op, const std::string& reason) const;
  std::string call(const std::string& helper);  // a function that all dialects share
  std::string helper(const std::string& name, DType dtype);

  std::string expression(const Op& op, const std::vector<std::string>& in);
  std::string arithmetic(OpCode code, DType dtype, std::string_view word, const std::vector<std::string>& in);
  std::string integer(OpCode code, DType dtype, const std::vector<std::string>& in, bool floored);
  std::string floating(OpCode code, DType dtype, std::string_view word, const std::vector<std::string>& in);
  std::string function(OpCode code, DType dtype, const std::vector<std::string>& in);
  std::string compare(OpCode code, DType dtype, const std::vector<std::string>& in);
  std::string combine(std::string_view op, DType dtype, std::string_view nan, const std::string& a,
                      const std::string& b);
  std::string cast(DType from, DType to, const std::string& x, Rounding rounding, bool saturate);
  std::string narrow(DType from, DType to, const std::string& x, Rounding rounding, bool saturate);
  std::string bitcast(DType from, DType to, const std::string& x);
  std::string literal(DType dtype, std::uint64_t bits) const;
  std::string widen(DType dtype, const std::string& x);     // a narrow float as f32
  std::string round_to(DType dtype, const std::string& x);  // f32 as a narrow float

  const Module& module_;
  const Kernel& kernel_;
  const Target& target_;
  const SimtDialect& dialect_;
  std::set<std::string>& helpers_;
  SimtNeeds& needs_;
  const Op* current_ = nullptr;
  bool strict_ = false;  // of the operation whose expression is written: no contraction
};

// The operator between the operands in C, "" where the operation is written otherwise.
std::string_view sign_of(OpCode code);

// The register that holds an element: "f32", "u32" for a narrow float, "i32" for a small integer.
std::string register_type(DType dtype);
inline bool is_wide(DType dtype) { return info(dtype).bits == 64; }

}  // namespace flagos::compiler
