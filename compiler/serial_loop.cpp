// The nest and the values in it: serial_loop_ops.cpp has views and operations.
#include "compiler/serial_loop.hpp"

namespace flagos::compiler::serial {

std::string key_of(ValueId value, const IndexMap& map) {
  std::string key = fmt::format("{}", value);
  for (const Index& index : map) key += fmt::format(",{}:{}:{}", index.variable, index.coefficient, index.offset);
  return key;
}

// The nest: rows, the inside of a row, its rest.
void Loop::run(const std::function<void()>& body) {
  Writer& out = emitter_.out();
  const std::int64_t whole = extent() / lanes_ * lanes_;
  const auto make = [&] {
    body();
    lane_names_.clear();
    return body_.take();
  };
  std::string several;
  sure_ = whole != 0;
  for (copy_ = copies_ - 1; copy_ > 0; --copy_) several = make() + several;
  const std::string first = make();
  sure_ = false;
  const std::string inside = bounds_.empty() ? first : make();
  edge_ = true;
  const std::string rest = make();
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
  if (!bounds_.empty()) out.line("i64 sure = limit;");
  for (const std::string& bound : bounds_) out.put(bound);
  const std::string i = variable(last());
  out.line("i64 {} = 0;", i);
  const auto loop = [&](std::string_view until, const std::string& text, int copies) {
    out.open(copies == 1 ? fmt::format("for (; {0} < {2}; {0} += {1}) {{", i, lanes_, until)
                         : fmt::format("for (; {0} + {1} <= {2}; {0} += {1}) {{", i, copies * lanes_, until));
    out.append(text);
    out.close();
  };
  if (copies_ > 1 || !bounds_.empty()) loop(bounds_.empty() ? "limit" : "sure", first + several, copies_);
  out.append(joined_.text());
  if (whole != 0) loop("limit", inside, 1);
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
  if (is_single()) return emit_single();
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

// A tile of one element, and nothing but numbers made of numbers.
bool Loop::is_single() const {
  return space_.size() == 1 && extent() == 1 && std::all_of(ops_.begin(), ops_.end(), [](const Op* op) {
           return info(op->code).is_elementwise() || op->code == OpCode::select || op->code == OpCode::cast ||
                  op->code == OpCode::bitcast || op->code == OpCode::store;
         });
}

void Loop::emit_single() {
  before_.set_depth(emitter_.out().depth());
  for (const Op* op : ops_) {
    before_.at(emitter_.module(), *op);
    if (op->code == OpCode::store) {
      const ValueId value = op->operands.back();
      const std::string x = evaluate_one(value, identity_map(type(value)));
      const Access& to = access(*op, identity_map(type(value)), true);
      before_.line("if ({}) {};", to.step, emitter_.put(Area::memory, type(value).dtype, to.pointer, x));
      continue;
    }
    const ValueId result = op->results[0];
    const IndexMap map = identity_map(type(result));
    const std::string x = remember(key_of(result, map), true, type(result).dtype, compute(result, map, true));
    if (plan().needs_buffer(result))
      before_.line("{};", emitter_.put(Area::scratch, type(result).dtype, emitter_.declare_buffer(result), x));
  }
  emitter_.out().append(before_.text());
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
  if (is_sure(value, map)) return spread(DType::i1, "true");
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
    case OpCode::select:
      if (!one && is_sure(op.operands[0], plan().map_operand(op, 0, map))) return operand(1);
      break;
    default:
      break;
  }
  std::vector<std::string> operands;
  for (std::size_t k = 0; k < op.operands.size(); ++k) operands.push_back(operand(k));
  return dialect().elementwise(op, type(op.operands[0]).dtype, type(value).dtype, one ? 1 : lanes_, operands);
}

// Whether a mask holds for all lanes below a bound that can be told before the row.
bool Loop::is_sure(ValueId value, const IndexMap& map) {
  if (!sure_ || !type(value).is_tile() || type(value).dtype != DType::i1 || !plan().is_virtual(value)) return false;
  const Op& op = *plan().definition(value);
  const auto mapped = [&](std::size_t k) { return plan().map_operand(op, k, map); };
  const bool below = op.code == OpCode::lt || op.code == OpCode::le;
  switch (op.code) {
    case OpCode::expand:
    case OpCode::broadcast:
      return is_sure(op.operands[0], mapped(0));
    case OpCode::lt:
    case OpCode::le:
    case OpCode::gt:
    case OpCode::ge:
      break;
    default:
      return false;
  }
  const std::size_t index = below ? 0 : 1, other = 1 - index;
  const std::string first = first_of(op.operands[index], mapped(index));
  const std::string bound = first.empty() ? "" : same_of(op.operands[other], mapped(other));
  if (bound.empty()) return false;
  const std::string high =
      fmt::format("(i64){}{}", bound, op.code == OpCode::le || op.code == OpCode::ge ? " + 1" : "");
  // The index must not wrap; its type is i32.
  bounds_.insert(
      fmt::format("{{ const i64 low = {}, n = {} - low; if (n < sure) sure = n < 0 || low < {} ? 0 : n / {} * {}; }}",
                  first, high, INT32_MIN, lanes_, lanes_));
  return true;
}

// What an index of type i32 is at lane 0 of the row, where it grows by 1 from lane to lane; "" where it does not.
std::string Loop::first_of(ValueId value, const IndexMap& map) {
  if (!type(value).is_tile() || type(value).dtype != DType::i32 || !plan().is_virtual(value)) return "";
  const Op& op = *plan().definition(value);
  const auto mapped = [&](std::size_t k) { return plan().map_operand(op, k, map); };
  switch (op.code) {
    case OpCode::range:
      if (map[0].variable != last() || map[0].coefficient != 1) return "";
      return fmt::format("(i64)({})", integer(op.integer("start") + map[0].offset));
    case OpCode::expand:
    case OpCode::broadcast:
      return first_of(op.operands[0], mapped(0));
    case OpCode::add:
      for (const std::size_t k : {0, 1}) {
        const std::string first = first_of(op.operands[k], mapped(k));
        const std::string more = first.empty() ? "" : same_of(op.operands[1 - k], mapped(1 - k));
        if (!more.empty()) return fmt::format("{} + {}", first, more);
      }
      return "";
    default:
      return "";
  }
}

// What is the same in all lanes of a row, as a number; "" where it may not be.
std::string Loop::same_of(ValueId value, const IndexMap& map) {
  if (!type(value).is_tile() || !varies(map)) return evaluate_one(value, map);
  if (!plan().is_virtual(value)) return "";
  const Op& op = *plan().definition(value);
  switch (op.code) {
    case OpCode::const_:
      return compute(value, map, true);
    case OpCode::full:
    case OpCode::expand:
    case OpCode::broadcast:
      return same_of(op.operands[0], plan().map_operand(op, 0, map));
    default:
      return "";
  }
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
