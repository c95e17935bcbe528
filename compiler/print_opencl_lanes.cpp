// The serial schedule in OpenCL C 1.2, for devices that are processors: a work item is a program, its vectors are those of
// the language, and its places in memory are private. opencl_lanes.inc has the functions. Nothing is contracted, and
// functions such as exp are the device's own.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "compiler/opencl_lanes.hpp"
#include "compiler/print_gnu_cxx.hpp"
#include "compiler/printf.hpp"
#include "compiler/serial_emit.hpp"
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler::serial {
namespace {

using opencl_lanes::type_of;

// Places in scratch are used again for other types, which clang has to be told.
constexpr std::string_view kPrelude = R"(#pragma OPENCL FP_CONTRACT OFF
#ifdef __clang__
#define LANE(name, type) typedef type name __attribute__((may_alias))
#define APART __attribute__((noinline))
#else
#define LANE(name, type) typedef type name
#define APART
#endif
LANE(i1, uchar);
LANE(i8, char);
LANE(i16, short);
LANE(i32, int);
LANE(i64, long);
LANE(u8, uchar);
LANE(u16, ushort);
LANE(u32, uint);
LANE(u64, ulong);
LANE(f16, ushort);
LANE(bf16, ushort);
LANE(f8e4m3, uchar);
LANE(f8e5m2, uchar);
LANE(f32, float);
typedef struct { i64 low, high; } Range;
)";

std::string call(std::string_view name, DType dtype, int lanes, const std::vector<std::string>& operands) {
  return fmt::format("fl_{}_{}_{}({})", name, info(dtype).name, lanes, fmt::join(operands, ", "));
}

// A lane of another type, of the same number.
std::string convert(DType to, int lanes, const std::string& x) {
  if (lanes == 1) return fmt::format("({})({})", type_of(to, 1), x);
  return fmt::format("convert_{}({})", type_of(to, lanes), x);
}

std::string mask(DType dtype, int lanes, const std::string& comparison) {
  if (lanes == 1 || lane_dtype(dtype) == DType::f32 || info(dtype).bytes == 4) return fmt::format("({})", comparison);
  return convert(DType::i1, lanes, comparison);
}

std::string rounded(DType to, int lanes, const std::string& x, bool chop, bool saturate) {
  return call("round", to, lanes, {x, chop ? "1" : "0", saturate ? "1" : "0"});
}

std::string cast(DType from, DType to, int lanes, const std::string& x, bool chop, bool saturate) {
  if (from == to && (!saturate || to == DType::f64)) return x;
  const DType lane = lane_dtype(to);
  if (from == DType::i1) {
    if (to == DType::i1) return x;
    return convert(lane, lanes, lanes == 1 ? fmt::format("({}) ? 1 : 0", x) : fmt::format("({}) & 1", x));
  }
  if (to == DType::i1) return mask(from, lanes, fmt::format("{} != ({})0", x, type_of(lane_dtype(from), lanes)));
  if (is_float(from)) {
    if (is_narrow(to))
      return rounded(to, lanes, from == DType::f64 ? call("narrow_odd", from, lanes, {x}) : x, chop, saturate);
    if (to == DType::f64) return convert(to, lanes, x);
    if (to != DType::f32)
      return fmt::format("fl_to_int_{}_{}_{}({})", info(lane_dtype(from)).name, info(to).name, lanes, x);
    const std::string made = from != DType::f64 ? x
                             : chop             ? call("narrow_zero", from, lanes, {x})
                                                : convert(to, lanes, x);
    return saturate ? call("saturated", to, lanes, {made}) : made;
  }
  if (!is_float(to) || (!chop && !is_narrow(to))) return convert(to, lanes, x);
  const bool wide = info(from).bytes == 8;
  const std::string number =
      wide ? call("widen", from, lanes, {x, !chop && is_narrow(to) ? "1" : "0"}) : convert(DType::f64, lanes, x);
  if (to == DType::f64) return number;
  const std::string narrow = call(chop ? "narrow_zero" : "narrow_odd", DType::f64, lanes, {number});
  return to == DType::f32 ? narrow : rounded(to, lanes, narrow, chop, saturate);
}

// The bits of an element as another of its size.
std::string reread(DType from, DType to, int lanes, const std::string& x) {
  if (from == to) return x;
  const DType code = info(from).bytes == 1   ? DType::u8
                     : info(from).bytes == 2 ? DType::u16
                     : info(from).bytes == 4 ? DType::u32
                                             : DType::u64;
  std::string bits = fmt::format("as_{}({})", type_of(code, lanes), x);
  if (is_narrow(from)) bits = convert(code, lanes, call("encode", from, lanes, {x, "0", "0"}));
  if (is_narrow(to)) return call("decode", to, lanes, {convert(DType::u32, lanes, bits)});
  return fmt::format("as_{}({})", type_of(to, lanes), bits);
}

std::string integers(const Op& op, DType dtype, int lanes, const std::vector<std::string>& in) {
  const std::string type = type_of(dtype, lanes);
  const bool floors = op.code == OpCode::div || op.code == OpCode::rem ? op.word("mode") == "floor" : false;
  switch (op.code) {
    case OpCode::and_:
      return fmt::format("({} & {})", in[0], in[1]);
    case OpCode::or_:
      return fmt::format("({} | {})", in[0], in[1]);
    case OpCode::xor_:
      return fmt::format("({} ^ {})", in[0], in[1]);
    case OpCode::not_:
      return lanes == 1 ? fmt::format("({})(~{})", type, in[0]) : fmt::format("(~{})", in[0]);
    case OpCode::abs:
      if (!is_signed(dtype)) return in[0];
      return lanes == 1 ? fmt::format("({})abs({})", type, in[0]) : fmt::format("as_{}(abs({}))", type, in[0]);
    case OpCode::fma:
      return call("add", dtype, lanes, {call("mul", dtype, lanes, {in[0], in[1]}), in[2]});
    case OpCode::min:
    case OpCode::max:
      return fmt::format("{}({}, {})", info(op.code).name, in[0], in[1]);
    case OpCode::clamp:
      return fmt::format("min(max({}, {}), {})", in[0], in[1], in[2]);
    case OpCode::mulhi:
      return fmt::format("mul_hi({}, {})", in[0], in[1]);
    default:
      return call((floors && is_signed(dtype) ? "floor_" : "") + std::string(info(op.code).name), dtype, lanes, in);
  }
}

std::string masks(const Op& op, int lanes, const std::vector<std::string>& in) {
  switch (op.code) {
    case OpCode::not_:
      return fmt::format("({}{})", lanes == 1 ? "!" : "~", in[0]);
    case OpCode::eq:
      return lanes == 1 ? fmt::format("({} == {})", in[0], in[1]) : fmt::format("(~({} ^ {}))", in[0], in[1]);
    case OpCode::ne:
    case OpCode::xor_:
      return fmt::format("({} ^ {})", in[0], in[1]);
    default:
      return fmt::format("({} {} {})", in[0], op.code == OpCode::and_ ? "&" : "|", in[1]);
  }
}

// A function of the device's. PoCL (seen in 3.1) takes one way through some of them for all lanes, by what some lanes hold:
// the others get wrong numbers, or the call does not end (plugins/opencl/driver_bugs). Those go lane by lane.
std::string device_function(std::string_view name, DType dtype, int lanes, const std::vector<std::string>& in) {
  const bool wrong = dtype == DType::f32 ? name == "sin" || name == "cos" || name == "tan"
                                         : lanes == 8 && (name == "pow" || name == "fmod");
  if (lanes == 1 || !wrong) return fmt::format("{}({})", name, fmt::join(in, ", "));
  return call(fmt::format("{}_{}", in.size() == 1 ? "each" : "pairs", name), dtype, lanes, in);
}

// f32 and f64.
std::string floats(const Op& op, DType dtype, int lanes, const std::vector<std::string>& in) {
  const std::string one = fmt::format("({})1", type_of(dtype, lanes));
  const auto pick = [&](std::string_view name, const std::string& a, const std::string& b) {
    return call(std::string(name) + (op.word("nan") == "ignore" ? "_ignore" : ""), dtype, lanes, {a, b});
  };
  switch (op.code) {
    case OpCode::add:
      return fmt::format("({} + {})", in[0], in[1]);
    case OpCode::sub:
      return fmt::format("({} - {})", in[0], in[1]);
    case OpCode::mul:
      return fmt::format("({} * {})", in[0], in[1]);
    case OpCode::div:
      return fmt::format("({} / {})", in[0], in[1]);
    case OpCode::neg:
      return fmt::format("(-{})", in[0]);
    case OpCode::abs:
      return fmt::format("fabs({})", in[0]);
    case OpCode::min:
    case OpCode::max:
      return pick(info(op.code).name, in[0], in[1]);
    case OpCode::clamp:
      return pick("min", pick("max", in[0], in[1]), in[2]);
    case OpCode::rcp:
      return fmt::format("({} / {})", one, in[0]);
    case OpCode::rsqrt:
      return fmt::format("({} / sqrt({}))", one, in[0]);
    case OpCode::rem: {
      const std::string rest = device_function("fmod", dtype, lanes, in);
      return op.word("mode") == "floor" ? call("floored", dtype, lanes, {rest, in[1]}) : rest;
    }
    case OpCode::isnan:
      return mask(dtype, lanes, fmt::format("{0} != {0}", in[0]));
    case OpCode::isinf:
      return mask(dtype, lanes, fmt::format("fabs({}) == ({})INFINITY", in[0], type_of(dtype, lanes)));
    default:
      return device_function(info(op.code).name, dtype, lanes, in);
  }
}

class OpenclLanes final : public SerialDialect {
 public:
  explicit OpenclLanes(const Target& target) : target_(target) {
    if (target.vector_bits < 128 || target.vector_bits > 512)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': vectors of OpenCL C have 128 to 512 bits here, not {}",
                  print_target(target), target.vector_bits);
  }

  std::string vector_type(DType lane, int lanes) const override { return type_of(lane, lanes); }
  std::string pointer_type(Area area, DType dtype) const override {
    return fmt::format("{}{}*", area == Area::memory ? "__global " : "", memory_type(dtype));
  }
  std::string literal(DType dtype, std::uint64_t bits) const override;
  std::string memory_literal(DType dtype, std::uint64_t bits) const override {
    if (dtype == DType::i1 || is_narrow(dtype)) return fmt::format("({}){:#x}", memory_type(dtype), bits);
    return literal(dtype, bits);
  }

  std::string function(std::string_view name, Area area, DType dtype, int lanes) const override {
    const bool points =
        name.starts_with("load") || name.starts_with("store") || name == "get" || name == "put" || name == "fill";
    return fmt::format("fl_{}_{}{}_{}", name == "to_u64" ? "word" : name,
                       !points                ? ""
                       : area == Area::memory ? "g_"
                                              : "p_",
                       info(dtype).name, lanes);
  }
  std::string elementwise(const Op& op, DType from, DType to, int lanes,
                          const std::vector<std::string>& operands) const override;
  // As integers in the order of floats.
  std::string begin_extreme(const Extreme& of, const std::string& name) const override {
    return fmt::format("{} {} = {}({});", vector_type(ranks_of(of), of.lanes), name,
                       function("all", Area::scratch, ranks_of(of), of.lanes), identity(name_of(of), "", ranks_of(of)));
  }
  std::string take_extreme(const Extreme& of, const std::string& name, const std::string& x) const override {
    const std::string rank = call(of.least != of.ignores_nan ? "rank_low" : "rank_high", of.dtype, of.lanes, {x});
    return fmt::format("{} = {};", name, combine(name_of(of), "", ranks_of(of), of.lanes, name, rank));
  }
  std::string join_extreme(const Extreme& of, const std::string& name, const std::string& other) const override {
    return fmt::format("{} = {};", name, combine(name_of(of), "", ranks_of(of), of.lanes, name, other));
  }
  std::string end_extreme(Writer& out, const Extreme& of, const std::string& name) const override {
    return call("unrank", of.dtype, 1, {fold(out, name_of(of), "", ranks_of(of), of.lanes, name)});
  }
  std::string fold(Writer& out, std::string_view how, std::string_view nan, DType dtype, int lanes,
                   const std::string& x) const override;
  std::string reference(const std::string& name) const override { return "&" + name; }

  std::string argument(std::size_t index) const override { return fmt::format("v{}", index); }
  std::string program(bool count, std::int64_t axis) const override {
    return fmt::format("(i32){}({})", count ? "get_num_groups" : "get_group_id", axis);
  }
  std::string fail(const std::string&, std::uint32_t word, const std::string&) const override {
    return fmt::format("{{ *flagos_failure = {:#x}; return; }}", word);
  }
  bool print(Writer& out, const std::string& text, const std::vector<Type>& types,
             const std::vector<std::string>& values) const override;
  std::string atomic(const Op& op, DType dtype, const std::string& pointer,
                     const std::vector<std::string>& values) const override;
  void product(Writer& out, const Product& product) const override;
  int rows_at_once() const override { return gnu_cxx::rows_at_once(target_.vector_bits); }

  std::string text(const Module& module, const std::vector<SerialKernel>& kernels,
                   const SerialNeeds& needs) const override;
  std::string symbol(const Kernel& kernel) const override { return entry_of(kernel); }
  std::uint64_t launch_scratch(std::size_t bytes) const override { return bytes; }
  std::vector<std::string> options(const SerialNeeds&) const override { return {}; }

 private:
  static DType ranks_of(const Extreme& of) { return of.dtype == DType::f64 ? DType::i64 : DType::i32; }
  static std::string_view name_of(const Extreme& of) { return of.least ? "min" : "max"; }
  std::string print_kernel(const SerialKernel& made) const;
  void check(const std::vector<SerialKernel>& kernels, std::string_view feature, bool used) const;

  const Target& target_;
};

std::string OpenclLanes::literal(DType dtype, std::uint64_t bits) const {
  if (dtype == DType::i1) return bits != 0 ? "true" : "false";
  if (!is_float(dtype)) {
    if (is_signed(dtype)) return fmt::format("({}){}", memory_type(dtype), integer(decode_int(dtype, bits)));
    return fmt::format("({}){}u{}", memory_type(dtype), bits, dtype == DType::u64 ? "l" : "");
  }
  const double value = decode_float(dtype, bits);
  if (is_narrow(dtype) && std::isnan(value)) return call("decode", dtype, 1, {fmt::format("{:#x}u", bits)});
  if (dtype == DType::f64)
    return std::isfinite(value) ? print_literal(dtype, bits) : fmt::format("as_double({:#x}ul)", bits);
  const std::uint64_t narrow = is_narrow(dtype) ? encode_float(DType::f32, value) : bits;
  return std::isfinite(value) ? print_literal(DType::f32, narrow) + "f" : fmt::format("as_float({:#x}u)", narrow);
}

std::string OpenclLanes::elementwise(const Op& op, DType from, DType to, int lanes,
                                     const std::vector<std::string>& in) const {
  switch (op.code) {
    case OpCode::cast:
      return cast(from, to, lanes, in[0], op.word("rounding") == "toward_zero", op.has("saturate"));
    case OpCode::bitcast:
      return reread(from, to, lanes, in[0]);
    case OpCode::select:
      return call(to == DType::i1 ? "choose" : "select", lane_dtype(to), lanes, in);
    default:
      break;
  }
  if (from == DType::i1) return masks(op, lanes, in);
  if (info(op.code).result == Result::truth && in.size() == 2)
    return mask(from, lanes, fmt::format("{} {} {}", in[0], sign_of(op.code), in[1]));
  if (!is_float(from)) return integers(op, from, lanes, in);
  const std::string text = floats(op, lane_dtype(from), lanes, in);
  const bool exact = op.code == OpCode::neg || op.code == OpCode::abs || op.code == OpCode::min ||
                     op.code == OpCode::max || op.code == OpCode::clamp;
  return is_narrow(from) && to == from && !exact ? rounded(to, lanes, text, false, false) : text;
}

std::string OpenclLanes::fold(Writer& out, std::string_view how, std::string_view nan, DType dtype, int lanes,
                              const std::string& x) const {
  std::string now = x;
  for (int left = lanes / 2; left >= 1; left /= 2) {
    const std::string next = fmt::format("{}_of_{}", x, left);
    const std::string low = now + ".lo", high = now + ".hi";
    // Of masks, in which one lane is still a number.
    const std::string text =
        dtype == DType::i1 ? combine(how, nan, dtype, 2, low, high) : combine(how, nan, dtype, left, low, high);
    out.line("const {} {} = {};", dtype == DType::i1 ? type_of(DType::i32, left) : type_of(dtype, left), next, text);
    now = next;
  }
  return now;
}

std::string OpenclLanes::atomic(const Op& op, DType dtype, const std::string& pointer,
                                const std::vector<std::string>& values) const {
  if (op.code == OpCode::atomic_cas) return call("cas", dtype, 1, {pointer, values[0], values[1]});
  const std::string_view how = op.word("op");
  return call(how == "exchange" ? "exchange" : fmt::format("update_{}", how), dtype, 1, {pointer, values[0]});
}

bool OpenclLanes::print(Writer& out, const std::string& text, const std::vector<Type>& types,
                        const std::vector<std::string>& values) const {
  if (target_.lacks("print")) return false;
  const Printf print{"l", "get_group_id", text};
  if (types.empty()) out.line("{}", print.statement());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const DType dtype = types[i].dtype;
    if (!types[i].is_tile()) {
      out.line("{}", print.statement(lane_dtype(dtype), values[i], ""));
      continue;
    }
    const std::string element = call("get_p", dtype, 1, {values[i] + " + j"});
    out.line("for (int j = 0; j < {}; ++j) {}", std::min(types[i].elements(), Printf::kMostElements),
             print.statement(lane_dtype(dtype), element, "j"));
  }
  return true;
}

void OpenclLanes::product(Writer& out, const Product& product) const {
  const int lanes = static_cast<int>(target_.vector_bits) / 8 / info(product.dtype).bytes;
  const auto declare = [&](std::string_view name, const Factor& factor) {
    out.line("const bool {}_inside = {};", name, factor.inside);
    out.line("const Range {0}_rows = {0}_inside ? {1} : (Range){{0, 0}};", name, factor.rows);
    out.line("const Range {0}_columns = {0}_inside ? {1} : (Range){{0, 0}};", name, factor.columns);
  };
  const auto pack = [&](std::string_view name, std::string_view how, const Factor& factor) {
    return fmt::format("fl_{}_{}_{}_{}_{}({}, {}, {}, {}_rows, {}_columns, ", how,
                       factor.area == Area::memory ? "g" : "p", info(factor.dtype).name, info(product.dtype).name,
                       lanes, factor.data, factor.row, factor.column, name, name);
  };
  const std::int64_t rows = rows_at_once(), step = (product.k + 15) / 16 * 16 + 16;
  declare("a", product.a);
  declare("b", product.b);
  out.line("{}* const panel = space + {};", memory_type(product.dtype), (product.m + rows - 1) / rows * rows * step);
  out.line("const bool a_finite = {}space, {}, {}, {});", pack("a", "pack_rows", product.a), product.m, product.k,
           step);
  // What lies outside adds nothing, unless it meets something infinite.
  out.line("const i64 inner = a_columns.high < b_rows.high ? a_columns.high : b_rows.high;");
  out.open(fmt::format("for (i64 j = 0; j < (a_finite ? b_columns.high : {}); j += {}) {{", product.n, 2 * lanes));
  out.line("const bool finite = {}panel, {}, j) && a_finite;", pack("b", "pack_panel", product.b), product.k);
  out.line("const i64 depth = finite ? inner : {};", product.k);
  out.line("if (depth > 0) fl_multiply_{}_{}(space, {}, panel, depth, {}, {}, {}, finite ? a_rows.high : {}, j);",
           info(product.dtype).name, lanes, step, product.c, product.m, product.n, product.m);
  out.close();
}

std::string OpenclLanes::print_kernel(const SerialKernel& made) const {
  const Kernel& kernel = *made.kernel;
  std::string arguments;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const Type& type = kernel.values[i];
    const bool pointer = type.kind == Type::Kind::pointer;
    const bool constant = pointer && is_readonly(kernel, static_cast<ValueId>(i));
    arguments += fmt::format("{}{}{}{}{} v{}", i == 0 ? "" : ", ", pointer ? "__global " : "", constant ? "const " : "",
                             opencl_type(type.dtype), pointer ? "*" : "", i);
  }
  if (made.fails) arguments += std::string(arguments.empty() ? "" : ", ") + "__global int* flagos_failure";
  std::string text = fmt::format("\n__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void {}({}) {{\n",
                                 symbol(kernel), arguments);
  text += fmt::format("  char scratch[{}] __attribute__((aligned(64)));\n", made.scratch_bytes);
  text += made.body + "}\n";
  if (made.has_location) text += fmt::format("#line 1 \"kernel {}\"\n", kernel.name);
  return text;
}

void OpenclLanes::check(const std::vector<SerialKernel>& kernels, std::string_view feature, bool used) const {
  if (!used || !target_.lacks(feature)) return;
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "module of kernel '{}': it needs {}, which target '{}' lacks",
              kernels.front().kernel->name, feature, print_target(target_));
}

std::string OpenclLanes::text(const Module&, const std::vector<SerialKernel>& kernels, const SerialNeeds&) const {
  std::string bodies, called;
  for (const SerialKernel& made : kernels) {
    bodies += print_kernel(made);
    called += made.body;
  }
  const std::string functions = opencl_lanes::functions_of(called, rows_at_once());
  const bool has_f64 =
      functions.find("double") != std::string::npos ||
      std::any_of(kernels.begin(), kernels.end(), [](const SerialKernel& made) {
        const auto& values = made.kernel->values;
        return std::any_of(values.begin(), values.end(), [](const Type& type) { return type.dtype == DType::f64; });
      });
  const bool has_atomic64 = functions.find("atom_") != std::string::npos;
  check(kernels, "f64", has_f64);
  check(kernels, "atomic64", has_atomic64);
  std::string text;
  if (has_atomic64)
    text +=
        "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n"
        "#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable\n";
  if (has_f64) text += "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n";
  text += kPrelude;
  if (has_f64) text += "LANE(f64, double);\n";
  return text + functions + bodies;
}

}  // namespace

std::unique_ptr<SerialDialect> make_opencl_lanes(const Target& target) { return std::make_unique<OpenclLanes>(target); }

}  // namespace flagos::compiler::serial
