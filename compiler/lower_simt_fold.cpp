// Reductions, argument reductions and scans. Lanes take stretches of an axis in local memory, one after the other; then
// what they found is combined, neighbours with neighbours, so that the order of the elements is kept.
#include <algorithm>
#include <bit>

#include "compiler/interpret_op.hpp"
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {

struct SimtEmitter::Fold {
  std::vector<DType> held;         // in local memory: sums of narrow floats are held in f32
  std::vector<LocalRange> ranges;  // the elements, in their order
  LocalRange indices;              // of argreduce: one for each lane
  std::size_t outer, extent, inner;
  std::size_t outputs, lanes, stretch;  // lanes of an output, elements of a lane
  bool reverse, arg;
};

namespace {

DType held_in(const Op& op, DType dtype) {
  return is_narrow(dtype) && op.regions.empty() && op.code != OpCode::argreduce ? DType::f32 : dtype;
}

}  // namespace

std::vector<std::string> SimtEmitter::fold_load(const Fold& fold, const std::string& at, const std::string& slot) {
  std::vector<std::string> values;
  for (std::size_t i = 0; i < fold.ranges.size(); ++i) {
    values.push_back(fresh());
    line("const {} {} = {};", register_type(fold.held[i]), values.back(), read_local(fold.held[i], fold.ranges[i], at));
  }
  if (fold.arg) {
    values.push_back(fresh());
    line("const u32 {} = {};", values.back(), slot.empty() ? "k" : read_local(DType::u32, fold.indices, slot));
  }
  return values;
}

void SimtEmitter::fold_store(const Fold& fold, const std::string& at, const std::string& slot,
                             const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < fold.ranges.size(); ++i) line(write_local(fold.held[i], fold.ranges[i], at, values[i]));
  if (fold.arg) line(write_local(DType::u32, fold.indices, slot, values.back()));
}

// a comes before b. Names or expressions of the combined values.
std::vector<std::string> SimtEmitter::fold_combine(const Op& op, const Fold& fold, const std::vector<std::string>& a,
                                                   const std::vector<std::string>& b) {
  if (fold.arg) {
    const DType dtype = fold.held[0];
    const auto wide = [&](const std::string& x) { return is_narrow(dtype) ? widen(dtype, x) : x; };
    std::string better = fmt::format("{} {} {}", wide(b[0]), op.word("op") == "min" ? "<" : ">", wide(a[0]));
    if (is_float(dtype)) {
      const std::string nan = helper("isnan", dtype);
      better = fmt::format("!{0}({1}) && ({0}({2}) || {3})", nan, wide(a[0]), wide(b[0]), better);
    }
    const std::string take = fresh();
    line("const bool {} = {};", take, better);
    return {fmt::format("({} ? {} : {})", take, b[0], a[0]), fmt::format("({} ? {} : {})", take, b[1], a[1])};
  }
  if (op.regions.empty()) return {combine(op.word("op"), fold.held[0], op.word("nan"), a[0], b[0])};
  std::vector<std::string> arguments = a;
  arguments.insert(arguments.end(), b.begin(), b.end());
  return emit_region(op, op.regions[0], arguments);
}

// Every lane goes through its stretch; then trees (reduce), or running values (scan), join the lanes.
void SimtEmitter::fold_lanes(const Op& op, Fold& fold, bool scan) {
  const std::size_t m = fold.outputs, workers = m * fold.lanes;
  const std::string begin = fmt::format(
      "const u32 m = w % {}u, p = w / {}u, base = m / {}u * {}u + m % {}u, first = p * {}u, last = first + {}u < {}u ? "
      "first + {}u : {}u;",
      m, m, fold.inner, fold.extent * fold.inner, fold.inner, fold.stretch, fold.stretch, fold.extent, fold.stretch,
      fold.extent);
  const auto place = [&](const std::string& k) {
    return fold.reverse ? fmt::format("base + ({}u - ({})) * {}u", fold.extent - 1, k, fold.inner)
                        : fmt::format("base + ({}) * {}u", k, fold.inner);
  };
  const auto slot = [&](const std::string& lane) { return fmt::format("({}) * {}u + m", lane, m); };
  const auto each_worker = [&](std::size_t count) {
    line("for (u32 w = t; w < {}u; w = w + {}u) {{\n{}", count, threads_, begin);
  };
  const auto variables = [&](const std::vector<std::string>& from) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < from.size(); ++i) {
      names.push_back(fresh());
      line("{} {} = {};", i < fold.held.size() ? register_type(fold.held[i]) : "u32", names.back(), from[i]);
    }
    return names;
  };
  const auto replace = [&](const std::vector<std::string>& targets, const std::vector<std::string>& from) {
    const std::vector<std::string> names = variables(from);
    for (std::size_t i = 0; i < targets.size(); ++i) line("{} = {};", targets[i], names[i]);
  };

  each_worker(workers);
  line("u32 k = first;");
  const std::vector<std::string> running = variables(fold_load(fold, place("first"), ""));
  line("for (k = first + 1u; k < last; ++k) {");
  replace(running, fold_combine(op, fold, running, fold_load(fold, place("k"), "")));
  if (scan) fold_store(fold, place("k"), "", running);
  line("}");
  if (!scan) fold_store(fold, place("first"), slot("p"), running);
  line("}");
  if (fold.lanes == 1) return;
  line("LOCAL_BARRIER;");
  if (!scan) {
    line("for (u32 gap = 1u; gap < {}u; gap = gap * 2u) {{", fold.lanes);
    each_worker(workers);
    line("if (p % (gap * 2u) == 0u && p + gap < {}u) {{", fold.lanes);
    const auto a = fold_load(fold, place("first"), slot("p"));
    const auto b = fold_load(fold, place(fmt::format("first + gap * {}u", fold.stretch)), slot("p + gap"));
    fold_store(fold, place("first"), slot("p"), variables(fold_combine(op, fold, a, b)));
    line("}\n}\nLOCAL_BARRIER;\n}");
    return;
  }
  const auto tail = [&](const std::string& lane) {
    const std::string end = fmt::format("({}) * {}u", lane, fold.stretch);
    return place(fmt::format("({0} < {1}u ? {0} : {1}u) - 1u", end, fold.extent));
  };
  each_worker(m);
  const std::vector<std::string> sum = variables(fold_load(fold, tail("1u"), ""));
  line("for (u32 lane = 1u; lane < {}u; ++lane) {{", fold.lanes);
  replace(sum, fold_combine(op, fold, sum, fold_load(fold, tail("lane + 1u"), "")));
  fold_store(fold, tail("lane + 1u"), "", sum);
  line("}\n}\nLOCAL_BARRIER;");
  each_worker(workers);
  line("if (p > 0u) {");
  const auto prefix = fold_load(fold, tail("p"), "");
  line("for (u32 k = first; k + 1u < last; ++k) {");
  fold_store(fold, place("k"), "", variables(fold_combine(op, fold, prefix, fold_load(fold, place("k"), ""))));
  line("}\n}\n}");
}

void SimtEmitter::emit_reduce(const Op& op) {
  const Type& from = operand_type(op, 0);
  const Axis axis(from, static_cast<std::size_t>(op.integer("axis")));
  Fold fold{};
  fold.outer = axis.outer;
  fold.extent = axis.extent;
  fold.inner = axis.inner;
  fold.outputs = axis.outer * axis.inner;
  const bool scan = op.code == OpCode::scan;
  fold.reverse = scan && op.has("reverse");
  fold.arg = op.code == OpCode::argreduce;
  std::size_t lanes = std::bit_floor(std::max<std::size_t>(1, threads_ / fold.outputs));
  // A scan goes through its lanes one after the other once more.
  while (scan && lanes * lanes > fold.extent) lanes /= 2;
  fold.stretch = (fold.extent + std::min(lanes, fold.extent) - 1) / std::min(lanes, fold.extent);
  fold.lanes = (fold.extent + fold.stretch - 1) / fold.stretch;

  for (const ValueId operand : op.operands) {
    fold.held.push_back(held_in(op, type(operand).dtype));
    fold.ranges.push_back(put_as(op, operand, fold.held.back()));
  }
  if (fold.arg) {
    fold.indices = allocate(op, fold.outputs * fold.lanes);
    settle(fold.indices);
    touch(fold.indices);
  }
  barrier();
  fold_lanes(op, fold, scan);
  for (const LocalRange& range : fold.ranges) touch(range);
  if (fold.arg) touch(fold.indices);
  barrier();
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    open_for(op.results[i]);
    const std::string e = is_uniform(op.results[i]) ? "0u" : "e";
    if (fold.arg && i == 1) {
      define(op.results[i], fmt::format("to_i32({})", read_local(DType::u32, fold.indices, e)));
      touch(fold.indices);
      continue;
    }
    const std::string place =
        scan || fold.extent == 1 ? e
        : fold.inner == 1        ? fmt::format("{} * {}u", e, fold.extent)
                          : fmt::format("{0} / {1}u * {2}u + {0} % {1}u", e, fold.inner, fold.extent * fold.inner);
    define(op.results[i], cast(fold.held[i], type(op.results[i]).dtype, read_local(fold.held[i], fold.ranges[i], place),
                               Rounding::nearest_even, false));
    touch(fold.ranges[i]);
  }
  for (const LocalRange& range : fold.ranges) release(range);
  if (fold.arg) release(fold.indices);
}

// All of a tile to one number, where the order is open: each thread folds what it has.
void SimtEmitter::emit_total(const Op& op) {
  const Type& from = operand_type(op, 0);
  const DType held = held_in(op, from.dtype);
  const auto lanes = static_cast<std::uint64_t>(std::min<std::int64_t>(from.elements(), threads_));
  const LocalRange range = allocate(op, lanes * (is_wide(held) ? 2 : 1));
  const auto join = [&](const std::string& a, const std::string& b) {
    return combine(op.word("op"), held, op.word("nan"), a, b);
  };
  open_for(op.operands[0]);
  const std::string sum = fresh(), next = fresh();
  text_ += fmt::format("{} {} = {};\n", register_type(held), sum, literal(held, 0));
  line("const {} {} = {};", register_type(held), next,
       cast(from.dtype, held, own(op, 0), Rounding::nearest_even, false));
  line("if (j == 0u) {} = {}; else {} = {};", sum, next, sum, join(sum, next));
  used(op);
  close();
  settle(range);
  line("if (t < {}u) {{ {} }}\nLOCAL_BARRIER;", lanes, write_local(held, range, "t", sum));
  line("for (u32 gap = 1u; gap < {0}u; gap = gap * 2u) {{\nif (t % (gap * 2u) == 0u && t + gap < {0}u) {{", lanes);
  const std::string text = join(read_local(held, range, "t"), read_local(held, range, "(t + gap)"));
  line("const {} x = {};\n{}\n}}\nLOCAL_BARRIER;\n}}", register_type(held), text, write_local(held, range, "t", "x"));
  touched_.clear();
  define(op.results[0], cast(held, from.dtype, read_local(held, range, "0u"), Rounding::nearest_even, false));
  touch(range);
  release(range);
}

}  // namespace flagos::compiler
