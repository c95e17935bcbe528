// Sorting, counting and random numbers; which file does the others.
#include "compiler/interpret_op.hpp"
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {

bool SimtEmitter::emit_collective_op(const Op& op) {
  switch (op.code) {
    case OpCode::reduce:
    case OpCode::scan:
    case OpCode::argreduce: {
      const Type& from = operand_type(op, 0);
      const bool total = op.code == OpCode::reduce && op.regions.empty() && is_uniform(op.results[0]);
      if (total && from.elements() > 1) {
        emit_total(op);
      } else {
        emit_reduce(op);
      }
      return true;
    }
    case OpCode::sort:
      emit_sort(op);
      return true;
    case OpCode::histogram:
      emit_histogram(op);
      return true;
    case OpCode::dot:
    case OpCode::dot_scaled:
      emit_dot(op);
      return true;
    case OpCode::philox:
      emit_philox(op);
      return true;
    default:
      return false;
  }
}

// An element's place is how many come before it: those that are less, and equal ones that stand before it.
void SimtEmitter::emit_sort(const Op& op) {
  const Type& from = operand_type(op, 0);
  const Axis axis(from, static_cast<std::size_t>(op.integer("axis")));
  if (from.elements() == 1) {
    for (std::size_t i = 0; i < op.results.size(); ++i) define(op.results[i], own(op, i));
    return used(op);
  }
  const DType dtype = from.dtype;
  ++values_[root(op.operands[0])].uses;  // it is read once more behind put()
  const LocalRange keys = put(op, op.operands[0]);
  barrier();
  const std::string places = fresh();
  line("u32 {}[{}];", places, (from.elements() + threads_ - 1) / threads_);
  open_for(op.operands[0]);
  const auto wide = [&](const std::string& x) { return is_narrow(dtype) ? widen(dtype, x) : x; };
  const auto less = [&](const std::string& a, const std::string& b) {
    return is_float(dtype) ? fmt::format("{}({}, {})", helper("less", dtype), a, b) : fmt::format("{} < {}", a, b);
  };
  const std::string kind = is_narrow(dtype) ? "f32" : register_type(dtype);
  const std::string base = fresh(), mine = fresh(), rank = fresh(), other = fresh(), k = fresh();
  line("const u32 {0} = e / {1}u * {1}u + e % {2}u, {3} = e / {2}u % {4}u;", base, axis.inner * axis.extent, axis.inner,
       k, axis.extent);
  line("const {} {} = {};\nu32 {} = 0u;", kind, mine, wide(own(op, 0)), rank);
  line("for (u32 i = 0u; i < {}u; ++i) {{", axis.extent);
  line("const {} {} = {};", kind, other, wide(read_local(dtype, keys, fmt::format("{} + i * {}u", base, axis.inner))));
  const bool desc = op.has("desc");
  const std::string before = desc ? less(mine, other) : less(other, mine);
  const std::string after = desc ? less(other, mine) : less(mine, other);
  line("if (({}) || (i < {} && !({}))) {} = {} + 1u;\n}}", before, k, after, rank, rank);
  line("{}[j] = {} + {} * {}u;", places, base, rank, axis.inner);
  touch(keys);
  release(keys);
  used(op.operands[0]);
  ++values_[root(op.operands[0])].uses;
  close();
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    const DType of = operand_type(op, i).dtype;
    const LocalRange range = allocate(op, static_cast<std::uint64_t>(from.elements()) * (is_wide(of) ? 2 : 1));
    open_for(op.operands[i]);
    settle(range);
    line(write_local(of, range, places + "[j]", own(op, i)));
    touch(range);
    used(op.operands[i]);
    barrier();
    open_for(op.results[i]);
    define(op.results[i], read_local(of, range, "e"));
    touch(range);
    release(range);
  }
}

void SimtEmitter::emit_histogram(const Op& op) {
  const Type& from = operand_type(op, 0);
  const std::int64_t bins = result_type(op).elements();
  const LocalRange range = allocate(op, static_cast<std::uint64_t>(bins));
  close();
  settle(range);
  line("for (u32 i = t; i < {}u; i = i + {}u) L[{}u + i] = 0u;\nLOCAL_BARRIER;", bins, threads_, range.begin);
  touched_.clear();
  open_for(op.operands[0]);
  const std::string x = own(op, 0);
  std::string inside =
      is_wide(from.dtype) ? fmt::format("to_u64({}) < to_u64({})", x, bins) : fmt::format("to_u32({}) < {}u", x, bins);
  if (op.operands.size() > 1) inside = own(op, 1) + " && " + inside;
  if (is_uniform(op.operands[0])) inside = "t == 0u && " + inside;
  line("if ({}) LOCAL_ADD({}u + to_u32({}), 1u);", inside, range.begin, x);
  used(op);
  barrier();
  open_for(op.results[0]);
  define(op.results[0], read_local(DType::i32, range, is_uniform(op.results[0]) ? "0u" : "e"));
  touch(range);
  release(range);
}

void SimtEmitter::emit_philox(const Op& op) {
  const bool uniform = is_uniform(op.results[0]);
  if (!uniform) open_for(op.results[0]);
  const Outside outside(*this, uniform);
  const auto number = [&](std::size_t i) {
    const DType dtype = operand_type(op, i).dtype;
    const std::string variable = fresh();
    line("const u64 {} = {};", variable, cast(dtype, DType::u64, own(op, i), Rounding::nearest_even, false));
    return variable;
  };
  const std::string seed = number(0), offset = number(1), stream = op.operands.size() > 2 ? number(2) : "to_u64(0)";
  std::vector<std::string> c;
  for (std::size_t i = 0; i < 4; ++i) {
    c.push_back(fmt::format("v{}", root(op.results[i])));
    line("u32 {} = to_u32({}{});", c[i], i < 2 ? offset : stream, i % 2 == 0 ? "" : " >> 32");
  }
  const std::string k0 = fresh(), k1 = fresh();
  line("u32 {} = to_u32({}), {} = to_u32({} >> 32);", k0, seed, k1, seed);
  line("for (u32 i = 0u; i < 10u; ++i) {");
  line("const u64 even = to_u64(0xD2511F53u) * to_u64({}), odd = to_u64(0xCD9E8D57u) * to_u64({});", c[0], c[2]);
  line("{} = to_u32(odd >> 32) ^ {} ^ {};\n{} = to_u32(even >> 32) ^ {} ^ {};", c[0], c[1], k0, c[2], c[3], k1);
  line("{} = to_u32(odd);\n{} = to_u32(even);", c[1], c[3]);
  line("{0} = {0} + 0x9E3779B9u;\n{1} = {1} + 0xBB67AE85u;\n}}", k0, k1);
  used(op);
  for (std::size_t i = 0; i < 4; ++i) name(op.results[i], c[i]);
}

}  // namespace flagos::compiler
