// Kernels that print through their language's printf, which writes to the standard output of the process.
#pragma once

#include <string>
#include <string_view>

#include "compiler/module.hpp"

namespace flagos::compiler {

struct Printf {
  static constexpr std::int64_t kMostElements = 32;  // of a tile

  std::string_view length;    // before the letter of a conversion of 64 bits
  std::string_view group_id;  // a function of the axis
  std::string text;           // of the author

  // "program (1, 0, 0): text [3] = 0.5": a value as it is held in registers, floats at least as f32; `index` is
  // an expression of 32 bits, "" for a scalar.
  std::string statement(DType dtype, std::string_view value, std::string_view index) const;
  std::string statement() const { return call("", ""); }

 private:
  std::string call(std::string_view format, std::string_view values) const;
};

// The author's message of an assert or print, behind file and line where they are known.
std::string message_of(const Module& module, const Op& op, std::string_view kind = "");

}  // namespace flagos::compiler
