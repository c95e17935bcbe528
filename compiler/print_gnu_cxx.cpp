#include "compiler/print_gnu_cxx.hpp"

#include <fmt/format.h>

#include <cmath>

#include "compiler/serial_dialect.hpp"

namespace flagos::compiler::gnu_cxx {

using serial::integer;
using serial::memory_type;

namespace {

// Infix where C++ and flagos.tile agree: floats, and the bits of integers.
std::string_view infix_of(OpCode code, bool floating) {
  switch (code) {
    case OpCode::add:
      return floating ? "+" : "";
    case OpCode::sub:
      return floating ? "-" : "";
    case OpCode::mul:
      return floating ? "*" : "";
    case OpCode::div:
      return floating ? "/" : "";
    case OpCode::and_:
      return "&";
    case OpCode::or_:
      return "|";
    case OpCode::xor_:
      return "^";
    default:
      return "";
  }
}

std::string cast(const Op& op, DType from, DType to, const std::string& x) {
  const bool zero = op.word("rounding") == "toward_zero";
  const bool saturate = op.has("saturate");
  if (from == to && !saturate) return x;
  if (from == DType::f64 && to == DType::f64) return x;
  return fmt::format("cast<{}, {}, {}, {}>({})", memory_type(from), memory_type(to), zero, saturate, x);
}

// A call: name, template arguments, operands.
std::string call(const Op& op, DType dtype, const std::vector<std::string>& operands) {
  std::string name(info(op.code).name);
  const bool floating = is_float(dtype);
  switch (op.code) {
    case OpCode::div:
    case OpCode::rem:
      if (floating) name = "float_rem";
      name += op.word("mode") == "floor" ? "<true>" : "<false>";
      break;
    case OpCode::min:
    case OpCode::max:
    case OpCode::clamp:
      name += op.word("nan") == "ignore" ? "<true>" : "<false>";
      break;
    case OpCode::neg:
      if (floating) return fmt::format("(-{})", operands[0]);
      break;
    case OpCode::not_:
      if (dtype == DType::i1) return fmt::format("invert({})", operands[0]);
      return fmt::format("(decltype({0}))~{0}", operands[0]);
    case OpCode::fma:
      if (!floating) return fmt::format("add(mul({}, {}), {})", operands[0], operands[1], operands[2]);
      break;
    case OpCode::eq:
    case OpCode::ne:
      if (dtype != DType::i1) break;
      if (op.code == OpCode::ne) return fmt::format("({} ^ {})", operands[0], operands[1]);
      return fmt::format("invert({} ^ {})", operands[0], operands[1]);
    default:
      break;
  }
  return fmt::format("{}({})", name, fmt::join(operands, ", "));
}

}  // namespace

std::string literal(DType dtype, std::uint64_t bits) {
  if (dtype == DType::i1) return bits != 0 ? "true" : "false";
  if (is_float(dtype)) {
    const double value = decode_float(dtype, bits);
    const bool wide = dtype == DType::f64;
    if (std::isnan(value)) {
      if (wide) return fmt::format("__builtin_bit_cast(f64, {:#x}ul)", bits);
      if (dtype == DType::f32) return fmt::format("__builtin_bit_cast(f32, {:#x}u)", bits);
      return fmt::format("decode<{}>({:#x}u)", memory_type(dtype), bits);
    }
    if (std::isinf(value)) return fmt::format("{}__builtin_inf{}()", value < 0 ? "-" : "", wide ? "" : "f");
    return print_literal(wide ? DType::f64 : DType::f32, encode_float(wide ? DType::f64 : DType::f32, value)) +
           (wide ? "" : "f");
  }
  if (is_signed(dtype)) return fmt::format("({}){}", memory_type(dtype), integer(decode_int(dtype, bits)));
  return fmt::format("({}){}u{}", memory_type(dtype), bits, dtype == DType::u64 ? "l" : "");
}

std::string memory_literal(DType dtype, std::uint64_t bits) {
  if (dtype == DType::i1 || is_narrow(dtype)) return fmt::format("{}{{{}}}", memory_type(dtype), bits);
  return literal(dtype, bits);
}

std::string elementwise(const Op& op, DType from, DType to, const std::vector<std::string>& operands) {
  switch (op.code) {
    case OpCode::cast:
      return cast(op, from, to, operands[0]);
    case OpCode::bitcast:
      if (from == to) return operands[0];
      return fmt::format("reread<{}, {}>({})", memory_type(from), memory_type(to), operands[0]);
    case OpCode::select:
      return fmt::format("{}({})", to == DType::i1 ? "choose" : "select", fmt::join(operands, ", "));
    default:
      break;
  }
  const std::string_view infix = infix_of(op.code, is_float(from));
  std::string text;
  if (!infix.empty()) {
    text = fmt::format("({} {} {})", operands[0], infix, operands[1]);
    // C++ computes in int what is smaller.
    if (is_int(from) && info(from).bits < 32) text = fmt::format("(decltype({})){}", operands[0], text);
  } else {
    text = call(op, from, operands);
  }
  if (op.has("strict")) text = fmt::format("strict({})", text);
  const bool rounds = op.code != OpCode::neg && op.code != OpCode::abs && op.code != OpCode::min &&
                      op.code != OpCode::max && op.code != OpCode::clamp;
  if (is_narrow(from) && to == from && rounds) text = fmt::format("round_to<{}>({})", memory_type(to), text);
  return text;
}

std::string_view declarations() {
  return
#include "compiler/gnu_cxx/abi.inc"
      ;
}

std::string_view products() {
  return
#include "compiler/gnu_cxx/dot.inc"
      ;
}

std::string_view products_in_pairs() {
  return
#include "compiler/gnu_cxx/bf16.inc"
      ;
}

std::string_view products_in_tiles() {
  return
#include "compiler/gnu_cxx/amx.inc"
      ;
}

std::string_view fail() {
  return
#include "compiler/gnu_cxx/fail.inc"
      ;
}

std::string_view prelude() {
  static const std::string text = std::string(
#include "compiler/gnu_cxx/core.inc"
                                      ) +
#include "compiler/gnu_cxx/float.inc"
                                  +
#include "compiler/gnu_cxx/memory.inc"
                                  +
#include "compiler/gnu_cxx/math.inc"
                                  +
#include "compiler/gnu_cxx/collective.inc"
      ;
  return text;
}

}  // namespace flagos::compiler::gnu_cxx
