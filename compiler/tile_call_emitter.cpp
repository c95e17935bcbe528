#include "compiler/tile_call_emitter.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace flagos::compiler {
namespace {

constexpr std::uint64_t kAlignment = 64;

bool is_alias(const Op& op) { return op.code == OpCode::expand || op.code == OpCode::reshape; }

}  // namespace

TileCallEmitter::TileCallEmitter(const Module& module, const Kernel& kernel, const Target& target,
                                 const SimtDialect& dialect, std::set<std::string>& helpers, SimtNeeds& needs)
    : ElementPrinter(module, kernel, target, dialect, helpers, needs),
      alias_(kernel.values.size()),
      values_(kernel.values.size()) {
  for (ValueId i = 0; i < alias_.size(); ++i) alias_[i] = i;
}

std::string TileCallEmitter::run() {
  prepare(kernel_.body);
  for (ValueId i = 0; i < kernel_.arguments.size(); ++i) values_[i].name = fmt::format("p{}", i);
  emit_block(kernel_.body);
  return std::move(text_);
}

void TileCallEmitter::prepare(const Block& block) {
  for (const Op& op : block.ops) {
    if (is_alias(op)) {
      alias_[op.results[0]] = op.operands[0];
    } else {
      for (const ValueId operand : op.operands) ++values_[root(operand)].uses;
    }
    for (const Block& region : op.regions) prepare(region);
  }
}

ValueId TileCallEmitter::root(ValueId value) const {
  while (alias_[value] != value) value = alias_[value];
  return value;
}

std::uint64_t TileCallEmitter::place(const Op& op, std::uint64_t bytes) {
  std::uint64_t begin = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& [low, high] : live_) {
      if (begin >= high || low >= begin + bytes) continue;
      begin = (high + kAlignment - 1) / kAlignment * kAlignment;
      moved = true;
    }
  }
  if (begin + bytes > target_.local_bytes)
    fail(op, fmt::format("its buffers need {} bytes on the chip, and the target has {}; smaller tiles need less",
                         begin + bytes, target_.local_bytes));
  live_.emplace_back(begin, begin + bytes);
  bytes_ = std::max(bytes_, begin + bytes);
  return begin;
}

// A buffer, or a variable that is written more than once.
void TileCallEmitter::declare(const Op& op, ValueId value, const std::string& variable) {
  Value& made = values_[value];
  const Type& of = type(value);
  made.name = variable;
  made.level = level_;
  if (of.is_scalar()) return line("{} {};", register_type(of.dtype), variable);
  const auto bytes = static_cast<std::uint64_t>(of.elements() * info(of.dtype).bytes);
  made.begin = place(op, bytes);
  made.end = made.begin + bytes;
  made.owns = true;
  line("TK_TILE({}, {}, {}, {});", info(of.dtype).name, variable, made.begin, of.elements());
}

std::string TileCallEmitter::result(const Op& op, std::size_t i) {
  const std::string variable = fmt::format("b{}", op.results[i]);
  declare(op, op.results[i], variable);
  return variable;
}

void TileCallEmitter::scalar(ValueId value, const std::string& text) {
  values_[value].name = fmt::format("v{}", value);
  line("const {} {} = {};", register_type(type(value).dtype), values_[value].name, text);
}

void TileCallEmitter::drop(Value& value) {
  const auto found = std::find(live_.begin(), live_.end(), std::pair(value.begin, value.end));
  if (found != live_.end()) live_.erase(found);
  value.owns = false;
}

// What was made outside of the region is needed again when the region runs again.
void TileCallEmitter::used(ValueId value) {
  Value& known = values_[root(value)];
  if (--known.uses > 0 || !known.owns) return;
  if (known.level == level_) return drop(known);
  waiting_[known.level].push_back(root(value));
}

void TileCallEmitter::used(const Op& op) {
  for (const ValueId operand : op.operands) used(operand);
  for (const ValueId result : op.results)
    if (values_[result].owns && values_[result].uses <= 0) drop(values_[result]);
}

void TileCallEmitter::leave() {
  --level_;
  for (const ValueId value : waiting_[level_])
    if (values_[value].owns) drop(values_[value]);
  waiting_[level_].clear();
}

void TileCallEmitter::bind(ValueId value, ValueId to) {
  values_[value].name = values_[to].name;
  values_[value].level = values_[to].level;
}

// Gives declared values what the sources hold, all at once.
void TileCallEmitter::assign(const Op& op, const std::vector<ValueId>& targets, const std::vector<ValueId>& sources) {
  std::vector<std::string> from;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> copies;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Type& of = type(targets[i]);
    from.push_back(name(sources[i]));
    if (from[i] == name(targets[i])) continue;
    const bool other = std::any_of(targets.begin(), targets.end(), [&](ValueId t) { return name(t) == from[i]; });
    if (of.is_scalar()) {
      const std::string copy = fresh();
      line("const {} {} = {};", register_type(of.dtype), copy, from[i]);
      from[i] = copy;
    } else if (other) {
      const auto bytes = static_cast<std::uint64_t>(of.elements() * info(of.dtype).bytes);
      const std::uint64_t begin = place(op, bytes);
      copies.emplace_back(begin, begin + bytes);
      const std::string copy = fresh();
      line("TK_TILE({}, {}, {}, {});", info(of.dtype).name, copy, begin, of.elements());
      line("tk_copy({}, {}, {});", copy, from[i], of.elements());
      from[i] = copy;
    }
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Type& of = type(targets[i]);
    if (from[i] == name(targets[i])) continue;
    if (of.is_scalar()) {
      line("{} = {};", name(targets[i]), from[i]);
    } else {
      line("tk_copy({}, {}, {});", name(targets[i]), from[i], of.elements());
    }
  }
  for (const auto& copy : copies) live_.erase(std::find(live_.begin(), live_.end(), copy));
  for (const ValueId source : sources) used(source);
}

void TileCallEmitter::emit_block(const Block& block) {
  for (const Op& op : block.ops) {
    if (op.file >= 0) line(dialect_.location(op.file_line, module_.files[static_cast<std::size_t>(op.file)]));
    emit_op(op);
  }
}

void TileCallEmitter::emit_op(const Op& op) {
  current_ = &op;
  if (!emit_control_op(op) && !emit_value_op(op) && !emit_memory_op(op) && !emit_collective_op(op))
    throw_error(FLAGOS_STATUS_INTERNAL, "tile calls do not know {}", info(op.code).name);
}

bool TileCallEmitter::emit_control_op(const Op& op) {
  switch (op.code) {
    case OpCode::program_id:
    case OpCode::num_programs:
      scalar(op.results[0], fmt::format("to_i32(tk_{}({}))", op.code == OpCode::program_id ? "program" : "programs",
                                        op.integer("axis")));
      return true;
    case OpCode::for_:
      emit_for(op);
      return true;
    case OpCode::if_:
      emit_if(op);
      return true;
    case OpCode::while_:
      emit_while(op);
      return true;
    case OpCode::assert_:
      fails_ = true;
      if (operand_type(op, 0).is_scalar()) {
        line("if (!({})) TK_FAIL;", name(op, 0));
      } else {
        line("if (!tk_all({}, {})) TK_FAIL;", name(op, 0), operand_type(op, 0).elements());
      }
      used(op);
      return true;
    case OpCode::print:
      fail(op, "a kernel of this dialect has no way to print");
    case OpCode::yield:
      return true;  // what it yields is taken by the operation around it
    default:
      return false;
  }
}

void TileCallEmitter::emit_for(const Op& op) {
  const Block& block = op.regions[0];
  for (const ValueId value : op.results) declare(op, value, fmt::format("c{}", value));
  const std::string low = name(op, 0), high = name(op, 1), step = name(op, 2);
  assign(op, op.results, {op.operands.begin() + 3, op.operands.end()});
  const DType dtype = operand_type(op, 0).dtype;
  const std::string wide = is_wide(dtype) ? "u64" : "u32", index = fmt::format("v{}", block.arguments[0]);
  const std::string rounds = fresh(), round = fresh();
  line("const {0} {1} = {2} > 0 && {3} < {4} ? (to_{0}({4}) - to_{0}({3}) - 1) / to_{0}({2}) + 1 : 0;", wide, rounds,
       step, low, high);
  line("for ({0} {1} = 0; {1} < {2}; ++{1}) {{", wide, round, rounds);
  line("const {0} {1} = to_{0}(to_{2}({3}) + {4} * to_{2}({5}));", register_type(dtype), index, wide, low, round, step);
  values_[block.arguments[0]].name = index;
  for (std::size_t i = 0; i < op.results.size(); ++i) bind(block.arguments[i + 1], op.results[i]);
  enter();
  emit_block(block);
  assign(op, op.results, block.ops.back().operands);
  leave();
  line("}");
  for (const ValueId value : op.results)
    if (values_[value].owns && values_[value].uses <= 0) drop(values_[value]);
}

void TileCallEmitter::emit_if(const Op& op) {
  for (const ValueId value : op.results) declare(op, value, fmt::format("c{}", value));
  for (std::size_t i = 0; i < op.regions.size(); ++i) {
    line(i == 0 ? fmt::format("if ({}) {{", name(op, 0)) : "} else {");
    enter();
    emit_block(op.regions[i]);
    assign(op, op.results, op.regions[i].ops.back().operands);
    leave();
  }
  line("}");
  used(op);
}

void TileCallEmitter::emit_while(const Op& op) {
  for (const ValueId value : op.results) declare(op, value, fmt::format("c{}", value));
  assign(op, op.results, op.operands);
  for (const Block& block : op.regions)
    for (std::size_t i = 0; i < op.results.size(); ++i) bind(block.arguments[i], op.results[i]);
  line("for (;;) {");
  enter();
  emit_block(op.regions[0]);
  line("if (!({})) break;", name(op.regions[0].ops.back(), 0));
  emit_block(op.regions[1]);
  assign(op, op.results, op.regions[1].ops.back().operands);
  leave();
  line("}");
  for (const ValueId value : op.results)
    if (values_[value].owns && values_[value].uses <= 0) drop(values_[value]);
}

std::vector<std::string> TileCallEmitter::emit_region(const Block& block, const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) values_[block.arguments[i]].name = arguments[i];
  emit_block(block);
  std::vector<std::string> yields;
  for (const ValueId value : block.ops.back().operands) yields.push_back(name(value));
  return yields;
}

}  // namespace flagos::compiler
