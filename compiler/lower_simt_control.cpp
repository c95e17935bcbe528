// Loops, branches, assertions. Conditions are scalars, so all threads of a group take the same way.
#include "compiler/assertion.hpp"
#include "compiler/printf.hpp"
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {

bool SimtEmitter::emit_control_op(const Op& op) {
  switch (op.code) {
    case OpCode::program_id:
    case OpCode::num_programs:
      define(op.results[0], fmt::format("to_i32({}({}))", op.code == OpCode::program_id ? "group_id" : "group_count",
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
    case OpCode::extern_:
      emit_block(op.regions[0]);
      return true;
    case OpCode::assert_:
      emit_assert(op);
      return true;
    case OpCode::print:
      emit_print(op);
      return true;
    case OpCode::yield:
      return true;  // what it yields is taken by the operation around it
    default:
      return false;
  }
}

// The value is held where another one is.
void SimtEmitter::bind(ValueId value, ValueId to) {
  const int uses = values_[value].uses;
  values_[value] = values_[root(to)];
  values_[value].uses = uses;
}

// The number of rounds is known before the first, so that no index can overflow.
void SimtEmitter::emit_for(const Op& op) {
  const Block& block = op.regions[0];
  close();
  for (const ValueId result : op.results) declare(result, fmt::format("c{}", result));
  const std::string low = own(op, 0), high = own(op, 1), step = own(op, 2);
  assign(op.results, {op.operands.begin() + 3, op.operands.end()});
  const DType dtype = operand_type(op, 0).dtype;
  const std::string wide = is_wide(dtype) ? "u64" : "u32", index = fmt::format("v{}", block.arguments[0]);
  const std::string rounds = fresh(), round = fresh();
  line(
      "const {0} {1} = {2} > to_{3}(0) && {4} < {5} ? {6}(to_{0}({5}) - to_{0}({4}) - to_{0}(1), to_{0}({2})) + "
      "to_{0}(1) : to_{0}(0);",
      wide, rounds, step, register_type(dtype), low, high, call("fl_div_" + wide));
  const LoopText text{round, rounds, wide, std::string(register_type(dtype)), low, step};
  const std::vector<Side> kept = keep_factors(op);
  Slice slice;
  const std::vector<Feed*> ahead = feeds_ahead(op, slice);
  if (!ahead.empty()) start_ahead(op, ahead, slice, text);
  line("for ({0} {1} = to_{0}(0); {1} < {2}; {1} = {1} + to_{0}(1)) {{", wide, round, rounds);
  line("const {0} {1} = {2};", register_type(dtype), index, text.index_at(round));
  if (!ahead.empty()) go_ahead(op, ahead, slice, text);
  values_[block.arguments[0]].kind = Value::Kind::uniform;
  values_[block.arguments[0]].name = index;
  for (std::size_t i = 0; i < op.results.size(); ++i) bind(block.arguments[i + 1], op.results[i]);
  forget();
  emit_block(block);
  assign(op.results, block.ops.back().operands);
  forget();
  line("}");
  for (Feed* const feed : ahead) release(feed->range);
  release_factors(kept);
}

void SimtEmitter::emit_if(const Op& op) {
  close();
  for (const ValueId result : op.results) declare(result, fmt::format("c{}", result));
  const std::string condition = own(op, 0);
  for (std::size_t i = 0; i < op.regions.size(); ++i) {
    forget();
    line(i == 0 ? fmt::format("if ({}) {{", condition) : "} else {");
    emit_block(op.regions[i]);
    assign(op.results, op.regions[i].ops.back().operands);
    forget();
  }
  line("}");
}

void SimtEmitter::emit_while(const Op& op) {
  close();
  for (const ValueId result : op.results) declare(result, fmt::format("c{}", result));
  assign(op.results, op.operands);
  for (const Block& block : op.regions)
    for (std::size_t i = 0; i < op.results.size(); ++i) bind(block.arguments[i], op.results[i]);
  forget();
  line("for (;;) {");
  emit_block(op.regions[0]);
  const std::string condition = own(op.regions[0].ops.back(), 0);
  forget();
  line("if (!({})) break;", condition);
  emit_block(op.regions[1]);
  assign(op.results, op.regions[1].ops.back().operands);
  forget();
  line("}");
}

// All threads leave together.
void SimtEmitter::emit_assert(const Op& op) {
  fails_ = true;
  const ValueId holds = op.operands[0];
  if (is_uniform(holds)) {
    close();
    line("if (!({})) {{ FAIL({:#x}); return; }}", own(holds), failure_word(op));
    return used(op);
  }
  const LocalRange bad = allocate(op, 1);
  settle(bad);
  close();
  line("if (t == 0u) L[{}] = 0u;", bad.begin);
  touch(bad);
  barrier();
  open_for(holds);
  line("if (!({})) L[{}] = 1u;", own(holds), bad.begin);
  used(op);
  touch(bad);
  barrier();
  line("if (L[{}] != 0u) {{ FAIL({:#x}); return; }}", bad.begin, failure_word(op));
  touch(bad);
  release(bad);
}

// A line for each element, by the thread that has it: the text of the host is one, and threads come in no order.
void SimtEmitter::emit_print(const Op& op) {
  const std::optional<std::string_view> length = dialect_.printf_length();
  if (target_.lacks("print")) fail(op, "the target has no way to print");
  if (!length)
    fail(op, "shaders print through validation layers only; print on a device of cpu, opencl or cuda-c instead");
  const Printf print{*length, "group_id", message_of(module_, op)};
  if (op.operands.empty()) {
    close();
    line("if (t == 0u) {}", print.statement());
  }
  for (const ValueId value : op.operands) {
    const DType dtype = type(value).dtype;
    const bool uniform = is_uniform(value);
    open_for(value);
    const std::string element = is_narrow(dtype) ? widen(dtype, own(value)) : own(value);
    line("if ({}) {}", uniform ? "t == 0u" : fmt::format("e < {}u", Printf::kMostElements),
         print.statement(dtype, element, type(value).is_tile() ? "e" : ""));
  }
  used(op);
}

std::vector<std::string> SimtEmitter::emit_region(const Op& op, const Block& block,
                                                  const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    values_[block.arguments[i]].kind = Value::Kind::uniform;
    values_[block.arguments[i]].name = arguments[i];
  }
  // It may be written out again, and then its values have their uses again.
  std::vector<int> uses;
  for (const Value& value : values_) uses.push_back(value.uses);
  emit_block(block);
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i].uses = uses[i];
  std::vector<std::string> yields;
  for (const ValueId value : block.ops.back().operands) {
    if (!is_uniform(value)) fail(op, "tiles in its region are not for this target");
    yields.push_back(own(value));
  }
  return yields;
}

}  // namespace flagos::compiler
