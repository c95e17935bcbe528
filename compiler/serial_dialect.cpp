#include "compiler/serial_dialect.hpp"

#include <fmt/format.h>

#include <cmath>

namespace flagos::compiler::serial {
namespace {

std::string hex_escape(unsigned char c) { return fmt::format("\\{:03o}", c); }

}  // namespace

std::string memory_type(DType dtype) { return std::string(info(dtype).name); }

DType lane_dtype(DType dtype) { return is_narrow(dtype) ? DType::f32 : dtype; }

std::string lane_type(DType dtype) { return dtype == DType::i1 ? "bool" : memory_type(lane_dtype(dtype)); }

std::string integer(std::int64_t value) {
  return value == INT64_MIN ? "(-9223372036854775807L - 1)" : fmt::format("{}", value);
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '?') {
      out += hex_escape(byte);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

std::string SerialDialect::combine(std::string_view name, std::string_view nan, DType dtype, int lanes,
                                   std::string_view a, std::string_view b) const {
  Op op;
  op.code = *find_op(name);
  if ((name == "min" || name == "max") && nan == "ignore") {
    Attribute attribute;
    attribute.name = "nan";
    attribute.form = Attribute::Form::word;
    attribute.text = nan;
    op.attributes.push_back(attribute);
  }
  return elementwise(op, dtype, dtype, lanes, {std::string(a), std::string(b)});
}

std::string SerialDialect::identity(std::string_view name, std::string_view nan, DType dtype) const {
  const auto number = [&](double value) {
    return literal(dtype,
                   is_float(dtype) ? encode_float(dtype, value) : encode_int(dtype, static_cast<std::uint64_t>(value)));
  };
  const std::uint64_t ones = ~std::uint64_t{0} >> (64 - info(dtype).bits);
  if (name == "add") return number(is_float(dtype) ? -0.0 : 0.0);
  if (name == "mul") return number(1);
  if (name == "and") return literal(dtype, ones);
  if (name == "or" || name == "xor") return literal(dtype, 0);
  const bool least = name == "min";
  if (is_float(dtype)) return number(nan == "ignore" ? std::nan("") : least ? HUGE_VAL : -HUGE_VAL);
  if (!is_signed(dtype)) return literal(dtype, least ? ones : 0);
  return literal(dtype, least ? ones >> 1 : (ones >> 1) + 1);
}

}  // namespace flagos::compiler::serial
