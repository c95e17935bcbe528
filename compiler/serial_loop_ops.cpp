// What a loop over a tile reads of views, and each operation in it.
#include "compiler/serial_loop.hpp"

namespace flagos::compiler::serial {

// ---- views ------------------------------------------------------------------------------------

const Loop::Access& Loop::access(const Op& op, const IndexMap& map, bool one) {
  std::string key = fmt::format("{} {}", one ? "one" : "row", op.operands[0]);
  for (std::size_t axis = 0; axis < map.size(); ++axis)
    key +=
        fmt::format(" {},{}:{}:{}", op.operands[1 + axis], map[axis].variable, map[axis].coefficient, map[axis].offset);
  if (!one) key += fmt::format(" {}", static_cast<int>(op.code) == static_cast<int>(OpCode::store));
  if (const auto found = accesses_.find(key); found != accesses_.end()) return found->second;
  const View& view = emitter_.view(op.operands[0]);
  const std::string pointer = fresh("p"), range = fresh("r");
  std::string inside = "true", offset, start = "0", step, count;
  std::int64_t direction = 1;
  for (std::size_t axis = 0; axis < map.size(); ++axis) {
    const Index& index = map[axis];
    std::string at = fmt::format("(i64){}", emitter_.name(op.operands[1 + axis]));
    if (index.offset != 0) at += fmt::format(" + {}", index.offset);
    if (index.variable == last()) {
      direction = index.coefficient;
      start = at;
      count = view.extents[axis];
      const bool unit = view.unit && axis + 1 == map.size() && direction == 1;
      step = unit ? "" : fmt::format("{} * {}", direction, view.strides[axis]);
    } else {
      if (index.variable >= 0) at += fmt::format(" + {} * {}", index.coefficient, variable(index.variable));
      inside += fmt::format(" && {}({}, {})", whole_range("is_inside"), at, view.extents[axis]);
    }
    offset += fmt::format(" + ({}) * {}", at, view.strides[axis]);
  }
  Access made{pointer, "", step};
  before_.line("{} const {} = {}{};", dialect().pointer_type(Area::memory, type(op.operands[0]).dtype), pointer,
               view.pointer, offset);
  if (one) {
    before_.line("const bool {} = {};", range, inside);
    made.step = range;  // whether the one element is there
  } else {
    std::string lanes;
    if (count.empty()) {  // a tile of one element
      lanes = "(Range){0, 1}";
    } else if (direction == 1) {
      lanes = fmt::format("{}({}, {}, {})", whole_range("range_of"), start, count, extent());
    } else {
      lanes = fmt::format("{}({}({} - {}, {}, {}), {})", whole_range("reverse"), whole_range("range_of"), start,
                          extent() - 1, count, extent(), extent());
    }
    before_.line("Range {} = {{0, 0}};", range);
    before_.line("if ({}) {} = {};", inside, range, lanes);
    made.range = range;
    made.stored = op.code == OpCode::store;
    has_edge_ = true;
  }
  return accesses_[key] = made;
}

std::string Loop::compute_load(const Op& op, const IndexMap& map, bool one) {
  const DType dtype = type(op.results[0]).dtype;
  const std::string pad = dialect().memory_literal(dtype, static_cast<std::uint64_t>(op.integer("pad")));
  const Access& from = access(op, map, one);
  if (one)
    return fmt::format("{} ? {} : {}", from.step, emitter_.get(Area::memory, dtype, from.pointer),
                       dialect().literal(dtype, static_cast<std::uint64_t>(op.integer("pad"))));
  const std::string i = variable(last());
  if (from.step.empty()) {
    if (!edge_) return fmt::format("{}({} + {})", vectors("load", Area::memory, dtype), from.pointer, i);
    return fmt::format("{0}({1} + {2}, {3}.low - {2}, {3}.high - {2}, {4})", vectors("load_part", Area::memory, dtype),
                       from.pointer, i, from.range, pad);
  }
  if (!edge_)
    return fmt::format("{0}({1} + {2} * {3}, {2})", vectors("load_steps", Area::memory, dtype), from.pointer, from.step,
                       i);
  return fmt::format("{0}({1} + {2} * {3}, {2}, {4}.low - {3}, {4}.high - {3}, {5})",
                     vectors("load_steps_part", Area::memory, dtype), from.pointer, from.step, i, from.range, pad);
}

void Loop::emit_store(const Op& op) {
  const ValueId value = op.operands.back();
  const std::string lanes = evaluate(value, identity_map(type(value)));
  const Access& to = access(op, identity_map(type(value)), false);
  const std::string i = variable(last());
  const auto function = [&](std::string_view name) { return vectors(name, Area::memory, type(value).dtype); };
  if (!to.step.empty()) {
    body_.line("{5}({0} + {1} * {2}, {1}, {3}, {4}.low - {2}, {4}.high - {2});", to.pointer, to.step, i, lanes,
               to.range, function("store_steps_part"));
  } else if (edge_) {
    body_.line("{4}({0} + {1}, {2}, {3}.low - {1}, {3}.high - {1});", to.pointer, i, lanes, to.range,
               function("store_part"));
  } else {
    body_.line("{}({} + {}, {});", function("store"), to.pointer, i, lanes);
  }
}

// ---- operations -------------------------------------------------------------------------------

void Loop::put_to_buffer(const std::string& buffer, const Type& shape, const std::string& lanes) {
  std::int64_t step = 0;
  const std::string at =
      fmt::format("{} + {} + {}", buffer, offset_in_rows(identity_map(shape), shape, step), variable(last()));
  // Behind a place with one row there is room for the lanes that are too many.
  if (edge_ && space_.size() > 1) {
    body_.line("{}({}, {}, 0, k);", vectors("store_part", Area::scratch, shape.dtype), at, lanes);
  } else {
    body_.line("{}({}, {});", vectors("store", Area::scratch, shape.dtype), at, lanes);
  }
}

// The result's lanes, for the rest of the loop, and for what comes later.
void Loop::keep(ValueId value, const std::string& lanes) {
  lane_names_[key_of(value, identity_map(type(value)))] = lanes;
  if (!emitter_.buffer(value).empty()) put_to_buffer(emitter_.buffer(value), type(value), lanes);
}

void Loop::emit_op(const Op& op) {
  body_.at(emitter_.module(), op);
  switch (op.code) {
    case OpCode::store:
      return emit_store(op);
    case OpCode::reduce:
      return emit_reduce(op);
    case OpCode::gather:
    case OpCode::scatter:
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas:
      return emit_indexed(op);
    case OpCode::philox:
      return emit_philox(op);
    default:
      break;
  }
  for (const ValueId result : op.results) {
    const std::string lanes = fresh("x");
    const IndexMap map = identity_map(type(result));
    std::string text = compute(result, map, false);
    body_.line("const {} {} = {};", dialect().vector_type(lane_dtype(type(result).dtype), lanes_), lanes, text);
    keep(result, lanes);
  }
}

void Loop::emit_reduce(const Op& op) {
  Fold fold;
  fold.how = op.word("op");
  fold.nan = op.word("nan");
  fold.dtype = type(op.operands[0]).dtype;
  fold.held = lane_dtype(fold.dtype);
  fold.map = identity_map(type(op.operands[0]));
  const std::string lanes = evaluate(op.operands[0], fold.map);
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  const int variable_of_axis = fold.map[axis].variable;
  fold.map.erase(fold.map.begin() + static_cast<long>(axis));
  const bool scalar = !type(op.results[0]).is_tile();
  if (variable_of_axis == last() || (variable_of_axis < 0 && scalar)) {
    fold_row(op, fold, lanes);
  } else {
    fold_rows(op, fold, lanes);
  }
}

// What is held in f32 as the type of the result.
std::string Loop::rounded(const Fold& fold, const std::string& x) const {
  Op cast;
  cast.code = OpCode::cast;
  return fold.rounds() ? dialect().elementwise(cast, DType::f32, fold.dtype, 1, {x}) : x;
}

// Along the row: one value, or one for each row.
void Loop::fold_row(const Op& op, const Fold& fold, std::string lanes) {
  const bool extreme = is_float(fold.held) && (fold.how == "min" || fold.how == "max");
  const Extreme of{fold.how == "min", fold.nan == "ignore", fold.held, lanes_};
  const ValueId result = op.results[0];
  const std::string sum = fmt::format("sum{}", result);
  const std::string neutral = fmt::format("{}({})", vectors("all", Area::scratch, fold.held),
                                          dialect().identity(fold.how, fold.nan, fold.held));
  const auto combined = [&](const std::string& a, const std::string& b) {
    return fmt::format("{} = {};", a, dialect().combine(fold.how, fold.nan, fold.held, lanes_, a, b));
  };
  if (edge_) {
    const std::string kept = fresh("x");
    body_.line("const {} {} = {}({}(k), {}, {});", dialect().vector_type(fold.held, lanes_), kept,
               vectors(fold.held == DType::i1 ? "choose" : "select", Area::scratch, fold.held),
               vectors("first", Area::scratch, DType::i32), lanes, neutral);
    lanes = kept;
  }
  const std::string mine = copy_ == 0 ? sum : fmt::format("{}_{}", sum, copy_);
  body_.put(extreme ? dialect().take_extreme(of, mine, lanes) : combined(mine, lanes));
  if (!begun_.insert(&op).second) return;
  const auto begin = [&](const std::string& name) {
    before_.put(extreme ? dialect().begin_extreme(of, name)
                        : fmt::format("{} {} = {};", dialect().vector_type(fold.held, lanes_), name, neutral));
  };
  for (int copy = 1; copy < copies_; ++copy) {
    const std::string other = fmt::format("{}_{}", sum, copy);
    begin(other);
    joined_.put(extreme ? dialect().join_extreme(of, sum, other) : combined(sum, other));
  }
  begin(sum);
  std::string whole = extreme ? dialect().end_extreme(after_, of, sum)
                              : dialect().fold(after_, fold.how, fold.nan, fold.held, lanes_, sum);
  if (fold.held == DType::i1) whole += " != 0";
  whole = rounded(fold, whole);
  if (!type(result).is_tile()) {
    emitter_.set_name(result, fmt::format("s{}", result));
    before_rows_.line("{} s{};", lane_type(fold.dtype), result);
    after_.line("s{} = {};", result, whole);
  } else {
    std::int64_t step = 0;
    const std::string& place = emitter_.declare_buffer(result);
    const std::string at = fmt::format("{} + {}", place, offset_in_rows(fold.map, type(result), step));
    after_.line("{};", emitter_.put(Area::scratch, fold.dtype, at, whole));
  }
}

// Along a loop around: the sums of a row lie side by side, in a place of their own.
void Loop::fold_rows(const Op& op, const Fold& fold, const std::string& lanes) {
  const ValueId result = op.results[0];
  const std::string sum = fmt::format("sum{}", result);
  std::int64_t step = 0;
  const std::string at =
      fmt::format("{} + {} + {}", sum, offset_in_rows(fold.map, type(result), step), variable(last()));
  const std::string next =
      dialect().combine(fold.how, fold.nan, fold.held, lanes_,
                        fmt::format("{}({})", vectors("load", Area::scratch, fold.held), at), lanes);
  body_.line("{}({}, {}{});", vectors(edge_ ? "store_part" : "store", Area::scratch, fold.held), at, next,
             edge_ ? ", 0, k" : "");
  if (!begun_.insert(&op).second) return;
  const std::string place_type = fold.held == DType::i1 ? "i1" : lane_type(fold.held);
  const std::string& target = emitter_.declare_buffer(result);
  const std::int64_t count = type(result).elements();
  if (fold.rounds()) {
    emitter_.declare(sum, place_type, count, 4);
  } else {
    emitter_.out().line("{}* const {} = {};", place_type, sum, target);
  }
  before_rows_.line("{}({}, {}, {});", dialect().function("fill", fold.held), sum, count,
                    dialect().identity(fold.how, fold.nan, fold.held));
  if (fold.rounds())
    after_rows_.line("for (i64 j = 0; j < {}; ++j) {};", count,
                     emitter_.put(Area::scratch, fold.dtype, target + " + j", sum + "[j]"));
}

// Element after element: what each lane's indices say.
void Loop::emit_indexed(const Op& op) {
  const View& view = emitter_.view(op.operands[0]);
  const std::size_t rank = view.extents.size();
  const DType dtype = type(op.operands[0]).dtype;
  const std::string item = memory_type(dtype);
  const std::size_t values = op.code == OpCode::gather ? 0 : op.code == OpCode::atomic_cas ? 2 : 1;
  // Lanes go one by one, through memory.
  std::vector<std::string> lanes;
  for (std::size_t k = 1; k < op.operands.size(); ++k)
    lanes.push_back(
        in_memory(type(op.operands[k]).dtype, evaluate(op.operands[k], identity_map(type(op.operands[k])))));
  std::string inside = "true", offset = view.pointer;
  if (lanes.size() > rank + values) inside = emitter_.get(Area::scratch, DType::i1, lanes.back() + " + j");
  for (std::size_t axis = 0; axis < rank; ++axis) {
    inside += fmt::format(" && {}({}[j], {})", whole_range("is_inside"), lanes[axis], view.extents[axis]);
    offset += fmt::format(" + (i64){}[j] * {}", lanes[axis], view.strides[axis]);
  }
  std::vector<std::string> parts;
  for (std::size_t v = 0; v < values; ++v) parts.push_back(lanes[rank + v] + "[j]");
  const std::string result = fresh("v");
  const bool gives = !op.results.empty();
  const std::string pad =
      dialect().memory_literal(dtype, op.code == OpCode::gather ? static_cast<std::uint64_t>(op.integer("pad")) : 0);
  if (gives) body_.line("{} {}[{}];", item, result, lanes_);
  body_.open(fmt::format("for (i64 j = 0; j < {}; ++j) {{", high()));
  if (gives) body_.line("{}[j] = {};", result, pad);
  body_.line("if (!({})) continue;", inside);
  body_.line("{} const p = {};", dialect().pointer_type(Area::memory, dtype), offset);
  if (op.code == OpCode::gather) {
    body_.line("{}[j] = *p;", result);
  } else if (op.code == OpCode::scatter) {
    body_.line("*p = {};", parts[0]);
  } else {
    body_.line("{}[j] = {};", result, dialect().atomic(op, dtype, "p", parts));
  }
  body_.close();
  if (!gives) return;
  const std::string out = fresh("x");
  body_.line("const {} {} = {}({});", dialect().vector_type(lane_dtype(dtype), lanes_), out,
             vectors("load", Area::scratch, dtype), result);
  keep(op.results[0], out);
}

std::string Loop::in_memory(DType dtype, const std::string& lanes) {
  const std::string name = fresh("v");
  body_.line("{} {}[{}];", memory_type(dtype), name, lanes_);
  body_.line("{}({}, {});", vectors("store", Area::scratch, dtype), name, lanes);
  return name;
}

void Loop::emit_philox(const Op& op) {
  std::vector<std::string> operands;
  for (const ValueId operand : op.operands)
    operands.push_back(fmt::format("{}({})", vectors("to_u64", Area::scratch, type(operand).dtype),
                                   evaluate(operand, identity_map(type(operand)))));
  if (operands.size() < 3) operands.push_back(vectors("all", Area::scratch, DType::u64) + "((u64)0)");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 4; ++i) {
    names.push_back(fresh("x"));
    body_.line("{} {} = {}((u32)0);", dialect().vector_type(DType::u32, lanes_), names[i],
               vectors("all", Area::scratch, DType::u32));
    operands.push_back(dialect().reference(names[i]));
  }
  body_.line("{}({});", vectors("philox", Area::scratch, DType::u32), fmt::join(operands, ", "));
  for (std::size_t i = 0; i < 4; ++i) keep(op.results[i], names[i]);
}

}  // namespace flagos::compiler::serial
