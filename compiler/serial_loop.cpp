// One loop nest over a tile: everything elementwise that has this space and level, in vectors along the last axis. The
// inside of each row has no checks; what is left, or lies at an edge of a view, follows lane by lane.
#include <algorithm>
#include <functional>
#include <set>

#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {
namespace {

std::string key_of(ValueId value, const IndexMap& map) {
  std::string key = fmt::format("{}", value);
  for (const Index& index : map) key += fmt::format(",{}:{}:{}", index.variable, index.coefficient, index.offset);
  return key;
}

class Loop {
 public:
  Loop(Emitter& emitter, const Space& space, std::vector<const Op*> ops)
      : emitter_(emitter), space_(space), ops_(std::move(ops)) {
    lanes_ = emitter.lanes_of(ops_, space);
  }
  void emit();
  void emit_copy(ValueId value, const std::string& target);

 private:
  // A block of a view in the loop: where lane 0 of row 0 is, and which lanes are inside.
  struct Access {
    std::string pointer, range, step;  // step: "" where lanes are neighbours
    bool stored = false;
  };

  int last() const { return static_cast<int>(space_.size()) - 1; }
  std::int64_t extent() const { return space_.back(); }
  // Whether lanes differ. A tile of one element is one lane.
  bool varies(const IndexMap& map) const {
    return extent() == 1 || std::any_of(map.begin(), map.end(), [&](const Index& i) { return i.variable == last(); });
  }
  std::string variable(int i) const {
    return i == last() && copy_ != 0 ? fmt::format("(at{} + {})", i, copy_ * lanes_) : fmt::format("at{}", i);
  }
  std::string fresh(std::string_view prefix) { return emitter_.fresh(prefix); }
  Plan& plan() { return emitter_.plan(); }
  const Type& type(ValueId value) const { return emitter_.type(value); }
  const SerialDialect& dialect() const { return emitter_.dialect(); }
  // A vector function of the dialect, for elements of `dtype`.
  std::string vectors(std::string_view name, Area area, DType dtype) const {
    return dialect().function(name, area, dtype, lanes_);
  }
  std::string whole_range(std::string_view name) const { return dialect().function(name, DType::i64); }

  int copies_of() const;
  bool only_stores();
  void run(const std::function<void()>& body);
  std::string evaluate(ValueId value, const IndexMap& map);      // as a vector
  std::string evaluate_one(ValueId value, const IndexMap& map);  // as a scalar: it is one for the whole row
  std::string compute(ValueId value, const IndexMap& map, bool one);
  std::string compute_load(const Op& op, const IndexMap& map, bool one);
  std::string compute_range(const Op& op, const IndexMap& map, bool one);
  std::string read_buffer(ValueId value, const IndexMap& map, const Type& shape, bool one);
  std::string remember(std::string key, bool one, DType dtype, const std::string& expression);
  std::string offset_in_rows(const IndexMap& map, const Type& shape, std::int64_t& step);
  const Access& access(const Op& op, const IndexMap& map, bool one);
  std::string spread(DType dtype, const std::string& one);

  void emit_op(const Op& op);
  void emit_store(const Op& op);
  void emit_reduce(const Op& op);
  void emit_indexed(const Op& op);
  void emit_philox(const Op& op);
  std::string in_memory(DType dtype, const std::string& lanes);
  void keep(ValueId value, const std::string& lanes);
  void put_to_buffer(const std::string& buffer, const Type& shape, const std::string& lanes);
  std::string high() const { return edge_ ? "k" : fmt::format("{}", lanes_); }

  Emitter& emitter_;
  const Space& space_;
  std::vector<const Op*> ops_;
  int lanes_ = 0;
  bool edge_ = false;
  int copy_ = 0;  // of the body, in a loop that takes several vectors at once
  int copies_ = 1;
  bool has_edge_ = false;  // a view is touched: where its rows end is known only then
  Writer before_, before_rows_, body_, joined_, after_, after_rows_;
  std::map<std::string, std::string> row_names_;   // of what is one for a row
  std::map<std::string, std::string> lane_names_;  // of vectors
  std::map<std::string, Access> accesses_;
  std::set<const Op*> begun_;
};

// The nest: rows, the inside of a row, its rest.
void Loop::run(const std::function<void()>& body) {
  Writer& out = emitter_.out();
  std::string several;
  for (copy_ = copies_ - 1; copy_ > 0; --copy_) {
    body();
    several = body_.take() + several;
    lane_names_.clear();
  }
  body();
  const std::string inside = body_.take();
  lane_names_.clear();
  edge_ = true;
  body();
  const std::string rest = body_.take();
  const std::int64_t whole = extent() / lanes_ * lanes_;
  out.append(before_rows_.text());
  out.open("{");
  for (int i = 0; i < last(); ++i)
    out.open(fmt::format("for (i64 {0} = 0; {0} < {1}; ++{0}) {{", variable(i), space_[i]));
  out.line("i64 limit = {};", whole);
  out.append(before_.text());
  for (const auto& [key, found] : accesses_)
    if (!found.range.empty()) out.line("limit = {}(limit, {}, {});", whole_range("inside"), found.range, lanes_);
  std::string end = fmt::format("{}", extent());
  if (only_stores()) {
    end = "end";
    out.line("i64 end = 0;");
    for (const auto& [key, found] : accesses_)
      if (found.stored) out.line("end = end < {0}.high ? {0}.high : end;", found.range);
  }
  const std::string i = variable(last());
  out.line("i64 {} = 0;", i);
  if (!several.empty()) {
    out.open(fmt::format("for (; {0} + {1} <= limit; {0} += {1}) {{", i, copies_ * lanes_));
    out.append(inside + several);
    out.close();
    out.append(joined_.text());
  }
  if (whole != 0) {
    out.open(fmt::format("for (; {0} < limit; {0} += {1}) {{", i, lanes_));
    out.append(inside);
    out.close();
  }
  if (has_edge_ || whole != extent()) {
    out.open(fmt::format("for (; {0} < {1}; {0} += {2}) {{", i, end, lanes_));
    out.line("const i64 k = {0} - {1} < {2} ? {0} - {1} : {2};", end, i, lanes_);
    out.append(rest);
    out.close();
  }
  out.append(after_.text());
  for (int n = 0; n < last(); ++n) out.close();
  out.append(after_rows_.text());
  out.close();
}

void Loop::emit() {
  for (Writer* writer : {&before_, &before_rows_, &body_, &joined_, &after_, &after_rows_})
    writer->set_depth(emitter_.out().depth() + 2);
  before_rows_.set_depth(emitter_.out().depth());
  for (const Op* op : ops_)
    for (const ValueId result : op->results)
      if (type(result).is_tile() && plan().needs_buffer(result)) emitter_.declare_buffer(result);
  copies_ = copies_of();
  run([&] {
    for (const Op* op : ops_) emit_op(*op);
  });
}

// A row that is folded waits for one sum after the other: several sums go side by side, where the rest is short.
int Loop::copies_of() const {
  constexpr std::int64_t few = 6;
  const auto folds = [&](const Op* op) {
    return op->code == OpCode::reduce &&
           identity_map(type(op->operands[0]))[static_cast<std::size_t>(op->integer("axis"))].variable == last();
  };
  const auto is_long = [](const Op* op) {
    return (op->code >= OpCode::exp && op->code <= OpCode::pow && op->code != OpCode::sqrt) ||
           op->code == OpCode::gather || op->code == OpCode::scatter || op->code == OpCode::atomic_rmw ||
           op->code == OpCode::atomic_cas || op->code == OpCode::philox;
  };
  if (static_cast<std::int64_t>(ops_.size()) > few || extent() < 8 * lanes_) return 1;
  if (std::none_of(ops_.begin(), ops_.end(), folds) || std::any_of(ops_.begin(), ops_.end(), is_long)) return 1;
  return 4;
}

// Whether nothing is left of the loop but what it stores: then nothing is done behind the last lane that any store takes.
bool Loop::only_stores() {
  bool stores = false;
  for (const Op* op : ops_) {
    stores = stores || op->code == OpCode::store;
    if (op->code == OpCode::store) continue;
    if (op->code == OpCode::reduce || op->code == OpCode::philox || op->code == OpCode::gather ||
        op->code == OpCode::scatter || op->code == OpCode::atomic_rmw || op->code == OpCode::atomic_cas)
      return false;
    for (const ValueId result : op->results)
      if (plan().needs_buffer(result)) return false;
  }
  return stores;
}

void Loop::emit_copy(ValueId value, const std::string& target) {
  for (Writer* writer : {&before_, &body_}) writer->set_depth(emitter_.out().depth() + 2);
  run([&] { put_to_buffer(target, type(value), evaluate(value, identity_map(type(value)))); });
}

// ---- values -----------------------------------------------------------------------------------

std::string Loop::remember(std::string key, bool one, DType dtype, const std::string& expression) {
  const std::string name = fresh("x");
  (one ? before_ : body_)
      .line("const {} {} = {};", one ? lane_type(dtype) : dialect().vector_type(lane_dtype(dtype), lanes_), name,
            expression);
  (one ? row_names_ : lane_names_)[std::move(key)] = name;
  return name;
}

std::string Loop::spread(DType dtype, const std::string& one) {
  const std::string key = "all " + one;
  if (const auto found = row_names_.find(key); found != row_names_.end()) return found->second;
  const std::string name = fresh("x");
  before_.line("const {} {} = {}(({}){});", dialect().vector_type(lane_dtype(dtype), lanes_), name,
               vectors("all", Area::scratch, lane_dtype(dtype)), lane_type(dtype), one);
  return row_names_[key] = name;
}

std::string Loop::evaluate(ValueId value, const IndexMap& map) {
  if (!type(value).is_tile()) return spread(type(value).dtype, emitter_.name(value));
  if (!varies(map)) return spread(type(value).dtype, evaluate_one(value, map));
  const std::string key = key_of(value, map);
  if (const auto found = lane_names_.find(key); found != lane_names_.end()) return found->second;
  if (!plan().is_virtual(value))
    return remember(key, false, type(value).dtype, read_buffer(value, map, type(value), false));
  return remember(key, false, type(value).dtype, compute(value, map, false));
}

std::string Loop::evaluate_one(ValueId value, const IndexMap& map) {
  if (!type(value).is_tile()) return emitter_.name(value);
  const std::string key = key_of(value, map);
  if (const auto found = row_names_.find(key); found != row_names_.end()) return found->second;
  if (!plan().is_virtual(value))
    return remember(key, true, type(value).dtype, read_buffer(value, map, type(value), true));
  return remember(key, true, type(value).dtype, compute(value, map, true));
}

// An expression for a value that has no place, or is about to get one.
std::string Loop::compute(ValueId value, const IndexMap& map, bool one) {
  const Op& op = *plan().definition(value);
  const auto operand = [&](std::size_t k) {
    IndexMap mapped = plan().map_operand(op, k, map);
    if (op.code == OpCode::split) mapped.push_back({-1, 0, op.results[0] == value ? 0 : 1});
    return one ? evaluate_one(op.operands[k], mapped) : evaluate(op.operands[k], mapped);
  };
  switch (op.code) {
    case OpCode::const_: {
      const std::string text = dialect().literal(type(value).dtype, static_cast<std::uint64_t>(op.integer("value")));
      return one ? text : spread(type(value).dtype, text);
    }
    case OpCode::range:
      return compute_range(op, map, one);
    case OpCode::load:
      return compute_load(op, map, one);
    case OpCode::reshape:
      if (!keeps_space(type(op.operands[0]), type(value))) return read_buffer(op.operands[0], map, type(value), one);
      return operand(0);
    case OpCode::full:
    case OpCode::expand:
    case OpCode::broadcast:
    case OpCode::trans:
    case OpCode::split:
    case OpCode::slice:
    case OpCode::flip:
    case OpCode::reduce:
      return operand(0);
    default:
      break;
  }
  std::vector<std::string> operands;
  for (std::size_t k = 0; k < op.operands.size(); ++k) operands.push_back(operand(k));
  return dialect().elementwise(op, type(op.operands[0]).dtype, type(value).dtype, one ? 1 : lanes_, operands);
}

std::string Loop::compute_range(const Op& op, const IndexMap& map, bool one) {
  const DType dtype = type(op.results[0]).dtype;
  const std::string item = memory_type(dtype);
  const Index& index = map[0];
  std::string first = integer(op.integer("start") + index.offset);
  if (index.variable >= 0) first += fmt::format(" + {} * {}", index.coefficient, variable(index.variable));
  if (one) return fmt::format("({})({})", item, first);
  const std::string key = fmt::format("iota {} {}", item, index.coefficient);
  auto found = row_names_.find(key);
  std::string steps;
  if (found != row_names_.end()) {
    steps = found->second;
  } else {
    steps = fresh("x");
    before_.line(
        "const {} {} = {};", dialect().vector_type(dtype, lanes_), steps,
        dialect().combine("mul", "", dtype, lanes_, vectors("iota", Area::scratch, dtype) + "()",
                          fmt::format("{}(({}){})", vectors("all", Area::scratch, dtype), item, index.coefficient)));
    row_names_[key] = steps;
  }
  return dialect().combine("add", "", dtype, lanes_,
                           fmt::format("{}(({})({}))", vectors("all", Area::scratch, dtype), item, first), steps);
}

// Where a place is read, but for the lanes: constant, and one term for each loop around; `step` is from lane to lane.
std::string Loop::offset_in_rows(const IndexMap& map, const Type& shape, std::int64_t& step) {
  std::int64_t stride = 1, constant = 0;
  std::map<int, std::int64_t> terms;
  for (std::size_t axis = shape.rank; axis-- > 0;) {
    constant += map[axis].offset * stride;
    if (map[axis].variable >= 0) terms[map[axis].variable] += map[axis].coefficient * stride;
    stride *= shape.dims[axis];
  }
  step = terms.count(last()) != 0 ? terms[last()] : 0;
  std::string text = fmt::format("{}", constant);
  for (const auto& [which, factor] : terms)
    if (which != last()) text += fmt::format(" + {} * {}", factor, variable(which));
  return text;
}

std::string Loop::read_buffer(ValueId value, const IndexMap& map, const Type& shape, bool one) {
  std::int64_t step = 0;
  const std::string at = fmt::format("{} + {}", emitter_.buffer(value), offset_in_rows(map, shape, step));
  const DType dtype = type(value).dtype;
  if (one) return emitter_.get(Area::scratch, dtype, at);
  const std::string i = variable(last());
  if (step == 1) return fmt::format("{}({} + {})", vectors("load", Area::scratch, dtype), at, i);
  if (!edge_)
    return fmt::format("{}({} + {} * {}, {})", vectors("load_steps", Area::scratch, dtype), at, step, i, step);
  return fmt::format("{}({} + {} * {}, {}, 0, k, {})", vectors("load_steps_part", Area::scratch, dtype), at, step, i,
                     step, dialect().memory_literal(dtype, 0));
}

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
  const Type& from = type(op.operands[0]);
  const ValueId result = op.results[0];
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  const std::string_view how = op.word("op");
  const std::string_view nan = op.word("nan");
  const DType dtype = from.dtype;
  // Sums and products of small floats are held in f32, and rounded once.
  const DType held = lane_dtype(dtype);
  const std::string item = lane_type(held), neutral = dialect().identity(how, nan, held);
  const bool rounds = held != dtype;
  const auto rounded = [&](const std::string& x) {
    Op cast;
    cast.code = OpCode::cast;
    return rounds ? dialect().elementwise(cast, DType::f32, dtype, 1, {x}) : x;
  };
  IndexMap map = identity_map(from);
  std::string lanes = evaluate(op.operands[0], map);
  const int variable_of_axis = map[axis].variable;
  map.erase(map.begin() + static_cast<long>(axis));
  const bool scalar = !type(result).is_tile();
  const std::string sum = fmt::format("sum{}", result);
  if (variable_of_axis == last() || (variable_of_axis < 0 && scalar)) {
    // The least and the greatest are folded as integers, which have no NaN and no two zeros.
    const bool ranks = is_float(held) && (how == "min" || how == "max");
    const DType folded = !ranks ? held : held == DType::f64 ? DType::i64 : DType::i32;
    const std::string first = ranks ? dialect().identity(how, nan, folded) : neutral;
    if (ranks) {
      const std::string kept = fresh("x");
      body_.line("const {} {} = {};", dialect().vector_type(folded, lanes_), kept,
                 dialect().rank(how, nan, held, lanes_, lanes));
      lanes = kept;
    }
    if (edge_) {
      const std::string kept = fresh("x");
      body_.line("const {} {} = {}({}(k), {}, {}({}));", dialect().vector_type(folded, lanes_), kept,
                 vectors(held == DType::i1 ? "choose" : "select", Area::scratch, folded),
                 vectors("first", Area::scratch, DType::i32), lanes, vectors("all", Area::scratch, folded), first);
      lanes = kept;
    }
    const std::string mine = copy_ == 0 ? sum : fmt::format("{}_{}", sum, copy_);
    body_.line("{} = {};", mine, dialect().combine(how, nan, folded, lanes_, mine, lanes));
    if (!begun_.insert(&op).second) return;
    for (int copy = 1; copy < copies_; ++copy) {
      before_.line("{} {}_{} = {}({});", dialect().vector_type(folded, lanes_), sum, copy,
                   vectors("all", Area::scratch, folded), first);
      joined_.line("{} = {};", sum, dialect().combine(how, nan, folded, lanes_, sum, fmt::format("{}_{}", sum, copy)));
    }
    before_.line("{} {} = {}({});", dialect().vector_type(folded, lanes_), sum, vectors("all", Area::scratch, folded),
                 first);
    std::string whole = dialect().fold(after_, how, nan, folded, lanes_, sum);
    if (held == DType::i1) whole += " != 0";
    if (ranks) whole = dialect().unrank(held, whole);
    whole = rounded(whole);
    if (scalar) {
      emitter_.set_name(result, fmt::format("s{}", result));
      before_rows_.line("{} s{};", lane_type(dtype), result);
      after_.line("s{} = {};", result, whole);
    } else {
      std::int64_t step = 0;
      const std::string& place = emitter_.declare_buffer(result);
      const std::string at = fmt::format("{} + {}", place, offset_in_rows(map, type(result), step));
      after_.line("{};", emitter_.put(Area::scratch, dtype, at, whole));
    }
    return;
  }
  // Along a loop around: the sums of a row lie side by side, in a place of their own.
  std::int64_t step = 0;
  const std::string at = fmt::format("{} + {} + {}", sum, offset_in_rows(map, type(result), step), variable(last()));
  const std::string next =
      dialect().combine(how, nan, held, lanes_, fmt::format("{}({})", vectors("load", Area::scratch, held), at), lanes);
  body_.line("{}({}, {}{});", vectors(edge_ ? "store_part" : "store", Area::scratch, held), at, next,
             edge_ ? ", 0, k" : "");
  if (!begun_.insert(&op).second) return;
  const std::string place_type = held == DType::i1 ? "i1" : item;
  const std::string& target = emitter_.declare_buffer(result);
  const std::int64_t count = type(result).elements();
  if (rounds) {
    emitter_.declare(sum, place_type, count, 4);
  } else {
    emitter_.out().line("{}* const {} = {};", place_type, sum, target);
  }
  before_rows_.line("{}({}, {}, {});", dialect().function("fill", held), sum, count, neutral);
  if (rounds)
    after_rows_.line("for (i64 j = 0; j < {}; ++j) {};", count,
                     emitter_.put(Area::scratch, dtype, target + " + j", sum + "[j]"));
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

}  // namespace

int Emitter::lanes_of(const std::vector<const Op*>& ops, const Space& space) const {
  int bytes = 4;
  const auto look = [&](ValueId value) {
    if (type(value).is_tile() && info(type(value).dtype).bytes == 8) bytes = 8;
  };
  for (const Op* op : ops) {
    for (const ValueId value : op->operands) look(value);
    for (const ValueId value : op->results) look(value);
  }
  int lanes = static_cast<int>(std::min(target_.vector_bits, 1024U)) / 8 / bytes;
  while (lanes > 2 && lanes / 2 >= space.back()) lanes /= 2;
  return std::max(lanes, 2);
}

void Emitter::emit_loop(const Space& space, const std::vector<const Op*>& ops) { Loop(*this, space, ops).emit(); }

void Emitter::emit_copy(ValueId value, const std::string& target) {
  const Space space = space_of(type(value));
  Op copy;
  copy.operands = {value};
  Loop(*this, space, {&copy}).emit_copy(value, target);
}

}  // namespace flagos::compiler::serial
