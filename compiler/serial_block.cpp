// Control flow, and the order of what stands between: a segment is cut into levels, and what has one level and one space
// becomes one loop.
#include <algorithm>

#include "base/error.hpp"
#include "compiler/assertion.hpp"
#include "compiler/diagnostic.hpp"
#include "compiler/printf.hpp"
#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {
namespace {

const Type& iteration_type(const Kernel& kernel, const Op& op) {
  if (op.code == OpCode::store || op.code == OpCode::scatter)
    return kernel.values[op.operands[op.code == OpCode::store ? op.operands.size() - 1 : 1]];
  if (op.code == OpCode::reduce) return kernel.values[op.operands[0]];
  if (op.code == OpCode::atomic_rmw || op.code == OpCode::atomic_cas) return kernel.values[op.operands[1]];
  return kernel.values[op.results[0]];
}

bool touches_memory(const Op& op) {
  const Effect effect = info(op.code).effect;
  return effect == Effect::read || effect == Effect::write || effect == Effect::update;
}

// Both go over the same part of the same view, so an element that one writes is the element that the other reads.
bool same_elements(const Op& a, const Op& b, const Kernel& kernel) {
  if (a.code != OpCode::load || b.code != OpCode::store) return false;
  if (kernel.values[a.results[0]] != kernel.values[b.operands.back()]) return false;
  return std::equal(a.operands.begin(), a.operands.end(), b.operands.begin());
}

}  // namespace

void Writer::at(const Module& module, const Op& op) {
  if (op.file < 0 || (op.file == file_ && op.file_line == file_line_)) return;
  file_ = op.file;
  file_line_ = op.file_line;
  text_ += fmt::format("#line {} {}\n", file_line_, quote(module.files[static_cast<std::size_t>(file_)]));
}

std::size_t Arena::take(std::size_t bytes) {
  const std::size_t at = top_;
  top_ += (bytes + slack + 63) / 64 * 64;
  peak_ = std::max(peak_, top_);
  return at;
}

Emitter::Emitter(const Module& module, const Kernel& kernel, const Target& target, const SerialDialect& dialect)
    : module_(module),
      kernel_(kernel),
      target_(target),
      dialect_(dialect),
      plan_(kernel),
      names_(kernel.values.size()),
      buffers_(kernel.values.size()) {
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) names_[i] = dialect.argument(i);
}

std::string Emitter::emit() {
  out_.set_depth(1);
  emit_block(kernel_.body);
  return out_.take();
}

void Emitter::refuse(const Op& op, const std::string& reason) const {
  Diagnostic where{op.line, op.column, "", 0, ""};
  if (op.file >= 0) {
    where.file = module_.files[static_cast<std::size_t>(op.file)];
    where.file_line = op.file_line;
  }
  where.reason = fmt::format("{}: {}; kernel '{}'", info(op.code).name, reason, kernel_.name);
  throw Error(FLAGOS_STATUS_UNSUPPORTED, compiler::print(where));
}

const std::string& Emitter::declare_buffer(ValueId value) {
  if (buffers_[value].empty()) {
    buffers_[value] = fmt::format("b{}", value);
    declare(buffers_[value], memory_type(type(value).dtype), type(value).elements(),
            static_cast<std::size_t>(info(type(value).dtype).bytes));
  }
  return buffers_[value];
}

void Emitter::declare(const std::string& name, const std::string& type, std::int64_t elements, std::size_t item_bytes,
                      bool constant) {
  const std::size_t at = arena_.take(static_cast<std::size_t>(elements) * item_bytes);
  out_.line("{0}*{1} {2} = ({0}*)(scratch + {3});", type, constant ? " const" : "", name, at);
}

// ---- segments ---------------------------------------------------------------------------------

void Emitter::emit_block(const Block& block) {
  std::vector<const Op*> segment;
  for (const Op& op : block.ops) {
    if (op.code == OpCode::yield) break;
    if (plan_.work(op) == Work::control) {
      emit_segment(segment);
      segment.clear();
      out_.at(module_, op);
      emit_control(op);
    } else if (plan_.work(op) != Work::none) {
      segment.push_back(&op);
    }
  }
  emit_segment(segment);
}

// The first level at which all that `op` reads is there, when it runs over `space`.
std::size_t Emitter::need(const Op& op, const Space& space) const {
  std::size_t level = 0;
  const bool fused = plan_.work(op) == Work::fused;
  plan_.visit_leaves(op, [&](ValueId value, const IndexMap& map, bool linear) {
    const auto found = ready_.find(value);
    if (found == ready_.end()) return;
    const bool here = fused && !linear && found->second.fused != nullptr && space_of(type(value)) == space &&
                      map == identity_map(type(value));
    level = std::max(level, here ? found->second.level - 1 : found->second.level);
  });
  return level;
}

void Emitter::emit_segment(const std::vector<const Op*>& ops) {
  ready_.clear();
  std::vector<std::size_t> levels;
  std::size_t last = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = *ops[i];
    const Work work = plan_.work(op);
    const Space space = work == Work::fused ? space_of(iteration_type(kernel_, op)) : Space();
    std::size_t level = need(op, space);
    if (touches_memory(op)) {
      for (std::size_t k = 0; k < i; ++k) {
        const Op& before = *ops[k];
        if (!touches_memory(before)) continue;
        if (info(op.code).effect == Effect::read && info(before.code).effect == Effect::read) continue;
        if (!plan_.may_alias(plan_.root(op.operands[0]), plan_.root(before.operands[0]))) continue;
        level = std::max(level, levels[k] + (same_elements(before, op, kernel_) ? 0 : 1));
      }
    }
    levels.push_back(level);
    last = std::max(last, level);
    const bool elementwise = work == Work::fused && op.code != OpCode::reduce;
    for (const ValueId result : op.results)
      ready_[result] = {work == Work::scalar ? level : level + 1, elementwise ? &op : nullptr};
  }
  // What is read in another loop than the one that makes it has a place.
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (plan_.work(*ops[i]) != Work::fused) continue;
    const Space space = space_of(iteration_type(kernel_, *ops[i]));
    plan_.visit_leaves(*ops[i], [&](ValueId value, const IndexMap& map, bool linear) {
      const auto found = ready_.find(value);
      if (found == ready_.end() || !type(value).is_tile()) return;
      const bool here = !linear && found->second.fused != nullptr && found->second.level - 1 == levels[i] &&
                        space_of(type(value)) == space && map == identity_map(type(value));
      if (!here) plan_.demand_buffer(value);
    });
  }
  for (std::size_t level = 0; level <= last; ++level) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (levels[i] != level || plan_.work(*ops[i]) != Work::scalar) continue;
      out_.at(module_, *ops[i]);
      emit_scalar(*ops[i]);
    }
    std::vector<bool> done(ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const Work work = plan_.work(*ops[i]);
      if (levels[i] != level || work == Work::scalar || done[i]) continue;
      if (work == Work::call) {
        out_.at(module_, *ops[i]);
        emit_call(*ops[i]);
        continue;
      }
      const Space space = space_of(iteration_type(kernel_, *ops[i]));
      std::vector<const Op*> together;
      for (std::size_t k = i; k < ops.size(); ++k) {
        if (levels[k] != level || plan_.work(*ops[k]) != Work::fused) continue;
        if (space_of(iteration_type(kernel_, *ops[k])) != space) continue;
        together.push_back(ops[k]);
        done[k] = true;
      }
      emit_loop(space, together);
    }
  }
  ready_.clear();
}

// ---- control ----------------------------------------------------------------------------------

// A value that goes around a loop, or comes out of a branch. Tiles change places with the next ones.
struct Emitter::Carried {
  ValueId value = 0;      // argument of the body, or the result
  std::string now, next;  // names; of a tile, of pointers
  bool in_place = false;  // what is yielded was made where the old value was
};

void Emitter::emit_control(const Op& op) {
  switch (op.code) {
    case OpCode::for_:
      return emit_for(op);
    case OpCode::if_:
      return emit_if(op);
    case OpCode::while_:
      return emit_while(op);
    case OpCode::assert_:
      return emit_assert(op);
    case OpCode::print:
      return emit_print(op);
    default:
      refuse(op, "the serial schedule does not know it");
  }
}

// A product whose sum is used by nothing else: it is added up where it is.
bool Emitter::is_free_product(ValueId value, const Block& body) const {
  const Op* op = plan_.definition(value);
  if (op == nullptr || (op->code != OpCode::dot && op->code != OpCode::dot_scaled)) return false;
  return plan_.block_of(value) == &body && plan_.uses(op->operands.back()) == 1;
}

std::vector<Emitter::Carried> Emitter::begin_carried(const Op& op, std::size_t first, const Block& body,
                                                     std::size_t skipped) {
  std::vector<Carried> all;
  for (std::size_t i = first; i < op.operands.size(); ++i) {
    Carried carried;
    carried.value = body.arguments[i - first + skipped];
    const Type& carried_type = type(carried.value);
    carried.now = fresh("c");
    if (carried_type.is_tile()) {
      const std::string item = memory_type(carried_type.dtype);
      const auto bytes = static_cast<std::size_t>(info(carried_type.dtype).bytes);
      carried.next = fresh("n");
      declare(carried.now, item, carried_type.elements(), bytes, false);
      emit_copy(op.operands[i], carried.now);
      const ValueId yielded = body.ops.back().operands[i - first];
      carried.in_place = is_free_product(yielded, body) && plan_.definition(yielded)->operands.back() == carried.value;
      if (!carried.in_place) declare(carried.next, item, carried_type.elements(), bytes, false);
    } else {
      out_.line("{} {} = {};", lane_type(carried_type.dtype), carried.now, name(op.operands[i]));
    }
    all.push_back(carried);
  }
  for (const Carried& carried : all) (type(carried.value).is_tile() ? buffers_ : names_)[carried.value] = carried.now;
  // What is yielded is made in its next place where it can be.
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ValueId yielded = body.ops.back().operands[i];
    if (!type(yielded).is_tile() || plan_.block_of(yielded) != &body || plan_.definition(yielded) == nullptr ||
        plan_.is_virtual(yielded) || !buffers_[yielded].empty() ||
        plan_.work(*plan_.definition(yielded)) == Work::control)
      continue;
    plan_.demand_buffer(yielded);
    buffers_[yielded] = all[i].in_place ? all[i].now : all[i].next;
    if (all[i].in_place || !is_free_product(yielded, body)) continue;
    const ValueId sum = plan_.definition(yielded)->operands.back();
    if (plan_.block_of(sum) == &body && plan_.definition(sum) != nullptr && buffers_[sum].empty() &&
        plan_.work(*plan_.definition(sum)) != Work::control)
      buffers_[sum] = all[i].next;
  }
  return all;
}

void Emitter::end_carried(std::vector<Carried>& carried, const Op& yield) {
  std::vector<std::string> moves;
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const ValueId yielded = yield.operands[i];
    if (!type(yielded).is_tile()) {
      const std::string next = fresh("t");
      out_.line("const {} {} = {};", lane_type(type(yielded).dtype), next, name(yielded));
      moves.push_back(fmt::format("{} = {};", carried[i].now, next));
      continue;
    }
    if (carried[i].in_place) continue;
    if (buffers_[yielded] != carried[i].next) emit_copy(yielded, carried[i].next);
    moves.push_back(fmt::format("{{ {0}* const t = {1}; {1} = {2}; {2} = t; }}", memory_type(type(yielded).dtype),
                                carried[i].now, carried[i].next));
  }
  for (const std::string& move : moves) out_.put(move);
}

void Emitter::finish_carried(const Op& op, const std::vector<Carried>& carried) {
  for (std::size_t i = 0; i < op.results.size(); ++i)
    (type(op.results[i]).is_tile() ? buffers_ : names_)[op.results[i]] = carried[i].now;
}

void Emitter::emit_for(const Op& op) {
  const Block& body = op.regions[0];
  auto carried = begin_carried(op, 3, body, 1);
  const std::string i = fresh("i"), next = fresh("i");
  names_[body.arguments[0]] = i;
  const std::string index = memory_type(type(op.operands[0]).dtype);
  const std::size_t mark = arena_.mark();
  out_.open(fmt::format("for ({} {} = {}, {} = 0; {} > 0 && {} < {}; {} = {}) {{", index, i, name(op.operands[0]), next,
                        name(op.operands[2]), i, name(op.operands[1]), i, next));
  emit_block(body);
  end_carried(carried, body.ops.back());
  // Both are in range, so what is left up to the highest number is unsigned.
  const bool wide = info(type(op.operands[0]).dtype).bits == 64;
  out_.line("if ({0}{1} - ({2}){3} < ({2}){4}) break;", wide ? INT64_MAX : INT32_MAX, wide ? "ul" : "u",
            wide ? "u64" : "u32", i, name(op.operands[2]));
  out_.line("{} = {} + {};", next, i, name(op.operands[2]));
  out_.close();
  arena_.release(mark);
  finish_carried(op, carried);
}

void Emitter::emit_while(const Op& op) {
  auto carried = begin_carried(op, 0, op.regions[1], 0);
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const ValueId argument = op.regions[0].arguments[i];
    (type(argument).is_tile() ? buffers_ : names_)[argument] = carried[i].now;
  }
  const std::size_t mark = arena_.mark();
  out_.open("for (;;) {");
  emit_block(op.regions[0]);
  out_.line("if (!{}) break;", name(op.regions[0].ops.back().operands[0]));
  emit_block(op.regions[1]);
  end_carried(carried, op.regions[1].ops.back());
  out_.close();
  arena_.release(mark);
  finish_carried(op, carried);
}

void Emitter::emit_if(const Op& op) {
  std::vector<std::string> places;
  for (const ValueId result : op.results) {
    const Type& of = type(result);
    places.push_back(fresh("r"));
    if (of.is_tile()) {
      declare(places.back(), memory_type(of.dtype), of.elements(), static_cast<std::size_t>(info(of.dtype).bytes));
      buffers_[result] = places.back();
    } else {
      out_.line("{} {};", lane_type(of.dtype), places.back());
      names_[result] = places.back();
    }
  }
  out_.open(fmt::format("if ({}) {{", name(op.operands[0])));
  for (std::size_t side = 0; side < op.regions.size(); ++side) {
    const std::size_t mark = arena_.mark();
    const Block& body = op.regions[side];
    emit_block(body);
    for (std::size_t i = 0; i < op.results.size(); ++i) {
      const ValueId yielded = body.ops.back().operands[i];
      if (type(yielded).is_tile()) {
        emit_copy(yielded, places[i]);
      } else {
        out_.line("{} = {};", places[i], name(yielded));
      }
    }
    arena_.release(mark);
    if (side + 1 < op.regions.size()) {
      out_.close("} else {");
      out_.set_depth(out_.depth() + 1);
    }
  }
  out_.close();
}

void Emitter::emit_assert(const Op& op) {
  fails_ = true;
  const std::string text = message_of(module_, op, "assert: ");
  const Type& of = type(op.operands[0]);
  const std::string bad = fresh("e");
  if (of.is_tile()) {
    out_.line("i64 {} = 0;", bad);
    out_.line("while ({} < {} && {}) ++{};", bad, of.elements(),
              get(Area::scratch, DType::i1, fmt::format("{} + {}", buffer(op.operands[0]), bad)), bad);
    out_.line("if ({} != {}) {}", bad, of.elements(), dialect_.fail(text, failure_word(op), bad));
  } else {
    out_.line("if (!{}) {}", name(op.operands[0]), dialect_.fail(text, failure_word(op), "0"));
  }
}

void Emitter::emit_print(const Op& op) {
  std::vector<Type> types;
  std::vector<std::string> values;
  for (const ValueId operand : op.operands) {
    types.push_back(type(operand));
    values.push_back(type(operand).is_tile() ? buffer(operand) : name(operand));
  }
  if (!dialect_.print(out_, message_of(module_, op), types, values))
    refuse(op, "a kernel of this dialect has no way to print");
}

}  // namespace flagos::compiler::serial
