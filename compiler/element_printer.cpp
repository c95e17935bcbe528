// What is done with one element, as an expression. Small integers are held in 32 bits, extended by their sign; f16, bf16
// and f8 as their bits.
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "compiler/diagnostic.hpp"
#include "compiler/element_printer.hpp"
#include "compiler/simt_helpers.hpp"

namespace flagos::compiler {
namespace {

std::string wrapping(DType dtype, const std::string& bits) {  // `bits` is u32 or u64
  const int unused = 32 - info(dtype).bits;
  if (dtype == DType::i64) return fmt::format("to_i64({})", bits);
  if (dtype == DType::i32) return fmt::format("to_i32({})", bits);
  if (is_signed(dtype)) return fmt::format("(to_i32(({}) << {}) >> {})", bits, unused, unused);
  if (unused > 0) return fmt::format("(({}) & {}u)", bits, (1U << info(dtype).bits) - 1);
  return fmt::format("({})", bits);
}

std::string as_unsigned(DType dtype, const std::string& x) {
  return is_signed(dtype) ? fmt::format("to_{}({})", is_wide(dtype) ? "u64" : "u32", x) : x;
}

std::string u64_text(std::uint64_t value) {
  return fmt::format("U64({:#x}u, {:#x}u)", value >> 32, value & 0xffffffff);
}

struct Format {
  int exponent, mantissa;
  bool infinity;
};
Format format_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return {5, 10, true};
    case DType::bf16:
      return {8, 7, true};
    case DType::f8e4m3:
      return {4, 3, false};
    case DType::f8e5m2:
      return {5, 2, true};
    default:
      return {8, 23, true};
  }
}

std::string infix(const std::string& a, OpCode code, const std::string& b) {
  return fmt::format("({} {} {})", a, sign_of(code), b);
}

}  // namespace

std::string_view sign_of(OpCode code) {
  switch (code) {
    case OpCode::add:
      return "+";
    case OpCode::sub:
      return "-";
    case OpCode::mul:
      return "*";
    case OpCode::div:
      return "/";
    case OpCode::and_:
      return "&";
    case OpCode::or_:
      return "|";
    case OpCode::xor_:
      return "^";
    case OpCode::eq:
      return "==";
    case OpCode::ne:
      return "!=";
    case OpCode::lt:
      return "<";
    case OpCode::le:
      return "<=";
    case OpCode::gt:
      return ">";
    case OpCode::ge:
      return ">=";
    default:
      return "";
  }
}

std::string register_type(DType dtype) {
  if (dtype == DType::i1) return "bool";
  if (is_narrow(dtype)) return "u32";
  if (is_float(dtype)) return dtype == DType::f64 ? "f64" : "f32";
  return std::string(is_signed(dtype) ? "i" : "u") + (is_wide(dtype) ? "64" : "32");
}

void ElementPrinter::fail(const Op& op, const std::string& reason) const {
  Diagnostic where{op.line, op.column, "", 0, fmt::format("{}: {}", info(op.code).name, reason)};
  if (op.file >= 0) {
    where.file = module_.files[static_cast<std::size_t>(op.file)];
    where.file_line = op.file_line;
  }
  throw Error(FLAGOS_STATUS_UNSUPPORTED, print(where));
}

std::string ElementPrinter::call(const std::string& name) {
  helpers_.insert(name);
  return name;
}

std::string ElementPrinter::helper(const std::string& name, DType dtype) {
  return call(fmt::format("fl_{}_{}", name, is_narrow(dtype) ? "f32" : register_type(dtype)));
}

std::string ElementPrinter::widen(DType dtype, const std::string& x) {
  return fmt::format("{}({})", call(fmt::format("fl_load_{}", info(dtype).name)), x);
}

std::string ElementPrinter::round_to(DType dtype, const std::string& x) {
  return fmt::format("{}({})", call(fmt::format("fl_store_{}", info(dtype).name)), x);
}

std::string ElementPrinter::literal(DType dtype, std::uint64_t bits) const {
  if (dtype == DType::i1) return bits != 0 ? "true" : "false";
  if (is_narrow(dtype)) return fmt::format("{:#x}u", bits);
  if (dtype == DType::f64) return fmt::format("f64_bits({})", u64_text(bits));
  if (dtype == DType::f32) {
    const double value = decode_float(dtype, bits);
    const bool plain = std::isnormal(static_cast<float>(value)) || bits == 0;
    return !plain      ? fmt::format("f32_bits({:#x}u)", bits)
           : value < 0 ? fmt::format("({}f)", print_literal(dtype, bits))
                       : print_literal(dtype, bits) + "f";
  }
  const std::int64_t value = decode_int(dtype, bits);
  if (!is_signed(dtype)) return is_wide(dtype) ? u64_text(bits) : fmt::format("{}u", bits);
  const bool fits = value > INT32_MIN && value <= INT32_MAX;
  const std::string text = fits             ? fmt::format("({})", value)
                           : is_wide(dtype) ? u64_text(static_cast<std::uint64_t>(value))
                                            : "0x80000000u";
  if (is_wide(dtype)) return fmt::format("to_i64({})", text);
  return fits ? value < 0 ? text : std::to_string(value) : fmt::format("to_i32({})", text);
}

std::string ElementPrinter::expression(const Op& op, const std::vector<std::string>& in) {
  const DType dtype = operand_type(op, 0).dtype;
  const DType to = result_type(op).dtype;
  if (op.code == OpCode::select) return fmt::format("({} ? {} : {})", in[0], in[1], in[2]);
  if (op.code == OpCode::bitcast) return bitcast(dtype, to, in[0]);
  if (op.code == OpCode::cast)
    return cast(dtype, to, in[0], op.word("rounding") == "toward_zero" ? Rounding::toward_zero : Rounding::nearest_even,
                op.has("saturate"));
  strict_ = op.has("strict");
  const std::string text =
      arithmetic(op.code, dtype, info(op.code).find("mode") ? op.word("mode") : op.word("nan"), in);
  strict_ = false;
  return text;
}

std::string ElementPrinter::arithmetic(OpCode code, DType dtype, std::string_view word,
                                       const std::vector<std::string>& in) {
  switch (code) {
    case OpCode::eq:
    case OpCode::ne:
    case OpCode::lt:
    case OpCode::le:
    case OpCode::gt:
    case OpCode::ge:
      return compare(code, dtype, in);
    default:
      break;
  }
  if (is_float(dtype)) return floating(code, dtype, word, in);
  if (dtype != DType::i1) {
    if (code == OpCode::min || code == OpCode::max)
      return fmt::format("({0} {2} {1} ? {0} : {1})", in[0], in[1], code == OpCode::min ? "<" : ">");
    if (code == OpCode::clamp)
      return arithmetic(OpCode::min, dtype, word, {arithmetic(OpCode::max, dtype, word, {in[0], in[1]}), in[2]});
    return integer(code, dtype, in, word == "floor");
  }
  if (code == OpCode::not_) return fmt::format("(!{})", in[0]);
  if (code == OpCode::xor_) return fmt::format("({} != {})", in[0], in[1]);
  return fmt::format("({} {} {})", in[0], code == OpCode::and_ ? "&&" : "||", in[1]);
}

std::string ElementPrinter::compare(OpCode code, DType dtype, const std::vector<std::string>& in) {
  if (is_narrow(dtype)) return infix(widen(dtype, in[0]), code, widen(dtype, in[1]));
  return infix(in[0], code, in[1]);
}

std::string ElementPrinter::integer(OpCode code, DType dtype, const std::vector<std::string>& in, bool floored) {
  const auto u = [&](std::size_t i) { return as_unsigned(dtype, in[i]); };
  const std::string zero = fmt::format("to_{}(0)", register_type(dtype));
  const int bits = info(dtype).bits;
  switch (code) {
    case OpCode::add:
    case OpCode::sub:
    case OpCode::mul:
    case OpCode::and_:
    case OpCode::or_:
    case OpCode::xor_:
      return wrapping(dtype, infix(u(0), code, u(1)));
    case OpCode::not_:
      return wrapping(dtype, "~" + u(0));
    case OpCode::neg:
      return wrapping(dtype, fmt::format("{} - {}", as_unsigned(dtype, zero), u(0)));
    case OpCode::abs:
      if (!is_signed(dtype)) return in[0];
      return fmt::format("({} < {} ? {} : {})", in[0], zero, integer(OpCode::neg, dtype, in, false), in[0]);
    case OpCode::fma:
      return wrapping(dtype, fmt::format("{} * {} + {}", u(0), u(1), u(2)));
    case OpCode::div:
    case OpCode::rem: {
      const std::string name = fmt::format("{}{}", floored && is_signed(dtype) ? "floor_" : "", info(code).name);
      const std::string text = fmt::format("{}({}, {})", helper(name, dtype), in[0], in[1]);
      return bits < 32 ? wrapping(dtype, as_unsigned(dtype, text)) : text;
    }
    case OpCode::mulhi:
      if (bits < 32) return wrapping(dtype, as_unsigned(dtype, fmt::format("(({} * {}) >> {})", in[0], in[1], bits)));
      return fmt::format("{}({}, {})", helper("mulhi", dtype), in[0], in[1]);
    case OpCode::shl:
    case OpCode::shr: {
      const std::string count = fmt::format("to_u32({})", in[1]);
      const std::string inside = fmt::format("{} < to_{}({})", u(1), is_wide(dtype) ? "u64" : "u32", bits);
      if (code == OpCode::shl)
        return wrapping(dtype, fmt::format("({} ? ({} << {}) : {})", inside, u(0), count, as_unsigned(dtype, zero)));
      if (!is_signed(dtype)) return fmt::format("({} ? ({} >> {}) : {})", inside, in[0], count, zero);
      return fmt::format("({} >> ({} ? {} : {}u))", in[0], inside, count, bits - 1);
    }
    default:
      throw_error(FLAGOS_STATUS_INTERNAL, "simt: there is no {} of {}", info(code).name, info(dtype).name);
  }
}

std::string ElementPrinter::floating(OpCode code, DType dtype, std::string_view word,
                                     const std::vector<std::string>& in) {
  if (is_narrow(dtype)) {
    const std::uint32_t sign = 1U << (info(dtype).bits - 1);
    if (code == OpCode::neg) return fmt::format("({} ^ {:#x}u)", in[0], sign);
    if (code == OpCode::abs) return fmt::format("({} & {:#x}u)", in[0], sign - 1);
    std::vector<std::string> wide;
    for (const std::string& x : in) wide.push_back(widen(dtype, x));
    const std::string text = floating(code, DType::f32, word, wide);
    return info(code).result == Result::truth ? text : round_to(dtype, text);
  }
  const std::string ignore = word == "ignore" ? "_ignore" : "";
  switch (code) {
    case OpCode::add:
    case OpCode::sub:
    case OpCode::mul:
      if (!strict_) return infix(in[0], code, in[1]);
      needs_.strict = true;
      return fmt::format("strict_{}_{}({}, {})", info(code).name, info(dtype).name, in[0], in[1]);
    case OpCode::div:
      return infix(in[0], code, in[1]);
    case OpCode::neg:
    case OpCode::abs:
    case OpCode::isnan:
    case OpCode::isinf:
      return fmt::format("{}({})", helper(std::string(info(code).name), dtype), in[0]);
    case OpCode::min:
    case OpCode::max:
      return fmt::format("{}({}, {})", helper(std::string(info(code).name) + ignore, dtype), in[0], in[1]);
    case OpCode::clamp:
      return floating(OpCode::min, dtype, word, {floating(OpCode::max, dtype, word, {in[0], in[1]}), in[2]});
    case OpCode::rem: {
      const std::string rest = function(code, dtype, in);
      return word == "floor" ? fmt::format("{}({}, {})", helper("floored", dtype), rest, in[1]) : rest;
    }
    case OpCode::rcp:
      return fmt::format("({} / {})", literal(dtype, encode_float(dtype, 1)), in[0]);
    default:
      return function(code, dtype, in);
  }
}

std::string ElementPrinter::function(OpCode code, DType dtype, const std::vector<std::string>& in) {
  std::string name = dialect_.function(code, dtype);
  if (name.empty()) {
    name = fmt::format("fl_{}_{}", info(code).name, info(dtype).name);
    if (!has_simt_helper(name))
      fail(*current_, fmt::format("the dialect has no {} of {}", info(code).name, info(dtype).name));
    call(name);
  }
  std::string text = name + "(";
  for (std::size_t i = 0; i < in.size(); ++i) text += (i == 0 ? "" : ", ") + in[i];
  return text + ")";
}

std::string ElementPrinter::combine(std::string_view op, DType dtype, std::string_view nan, const std::string& a,
                                    const std::string& b) {
  return arithmetic(*find_op(op), dtype, nan, {a, b});
}

std::string ElementPrinter::bitcast(DType from, DType to, const std::string& x) {
  if (from == to || from == DType::i1) return x;
  std::string bits = as_unsigned(from, x);
  if (from == DType::f32) bits = fmt::format("bits_f32({})", x);
  if (from == DType::f64) bits = fmt::format("bits_f64({})", x);
  if (to == DType::f32) return fmt::format("f32_bits({})", bits);
  if (to == DType::f64) return fmt::format("f64_bits({})", bits);
  if (!is_narrow(to)) return wrapping(to, bits);
  return fmt::format("({} & {:#x}u)", bits, (1ULL << info(to).bits) - 1);
}

// A number in a format of at most 32 bits, by integers alone.
std::string ElementPrinter::narrow(DType from, DType to, const std::string& x, Rounding rounding, bool saturate) {
  const Format format = format_of(to);
  std::string source = x, name = "fl_narrow_f32";
  if (is_float(from)) {
    if (from == DType::f64) name = "fl_narrow_f64";
    if (is_narrow(from)) source = widen(from, x);
  } else {
    name = "fl_narrow_u64";
    source = !is_signed(from) ? fmt::format("false, to_u64({})", x)
                              : fmt::format(
                                    "{0} < to_{1}(0), {0} < to_{1}(0) ? to_u64(0) - to_u64(to_i64({0})) : "
                                    "to_u64(to_i64({0}))",
                                    x, register_type(from));
  }
  const std::string text = fmt::format("{}({}, {}, {}, {}, {}, {})", call(name), source, format.exponent,
                                       format.mantissa, format.infinity, rounding == Rounding::toward_zero, saturate);
  return to == DType::f32 ? fmt::format("f32_bits({})", text) : text;
}

std::string ElementPrinter::cast(DType from, DType to, const std::string& x, Rounding rounding, bool saturate) {
  if (from == to && !saturate) return x;
  const std::string target = register_type(to);
  if (from == DType::i1) {
    const auto one = is_float(to) ? encode_float(to, 1) : 1;
    return fmt::format("({} ? {} : {})", x, literal(to, one), literal(to, 0));
  }
  if (!is_float(from)) {
    if (to == DType::i1) return fmt::format("({} != to_{}(0))", x, register_type(from));
    if (is_float(to)) {
      const bool exact = info(from).bits < 32;
      const bool plain = rounding == Rounding::nearest_even && !saturate;
      if (to == DType::f64) {
        if (rounding == Rounding::nearest_even || !is_wide(from)) return fmt::format("to_f64({})", x);
        const std::string chop = call("fl_chop_u64");
        if (from == DType::u64) return fmt::format("to_f64({}({}))", chop, x);
        return fmt::format("({0} < to_i64(0) ? -to_f64({1}(to_u64(0) - to_u64({0}))) : to_f64({1}(to_u64({0}))))", x,
                           chop);
      }
      if (to == DType::f32)
        return plain || exact ? fmt::format("to_f32({})", x) : narrow(from, to, x, rounding, saturate);
      // What f32 does not hold is too large for f16 and f8 anyhow.
      if (plain && (exact || to != DType::bf16)) return round_to(to, fmt::format("to_f32({})", x));
      return narrow(from, to, x, rounding, saturate);
    }
    if (is_wide(to)) {
      const std::string wide = is_signed(from) ? fmt::format("to_i64({})", x) : x;
      return fmt::format("to_{}({})", target, wide);
    }
    return wrapping(to, is_wide(from) ? fmt::format("to_u32(to_u64({}))", x) : as_unsigned(from, x));
  }
  if (!is_float(to)) {
    if (is_narrow(from)) {
      if (to == DType::i1) return fmt::format("(({} & {:#x}u) != 0u)", x, (1U << (info(from).bits - 1)) - 1);
      return cast(DType::f32, to, widen(from, x), rounding, saturate);
    }
    if (to == DType::i1) return fmt::format("({} != to_{}(0))", x, register_type(from));
    const int bits = info(to).bits - (is_signed(to) ? 1 : 0);
    const std::uint64_t highest = ~std::uint64_t{0} >> (64 - bits);
    const std::string name = call(fmt::format("fl_to_{}_{}", target, register_type(from)));
    const std::string limit = literal(from, encode_float(from, std::ldexp(1.0, bits)));
    const std::string low = is_signed(to) ? literal(to, encode_int(to, highest + 1)) + ", " : "";
    return fmt::format("{}({}, {}, {}{})", name, x, limit, low, literal(to, highest));
  }
  if (to == DType::f64) return fmt::format("to_f64({})", is_narrow(from) ? widen(from, x) : x);
  if (rounding == Rounding::nearest_even && !saturate) {
    if (to == DType::f32) return is_narrow(from) ? widen(from, x) : fmt::format("to_f32({})", x);
    if (from != DType::f64) return round_to(to, is_narrow(from) ? widen(from, x) : x);
  }
  if (to == DType::f32 && is_narrow(from) && !saturate) return widen(from, x);
  return narrow(from, to, x, rounding, saturate);
}

}  // namespace flagos::compiler
