#include "compiler/serial_plan.hpp"

#include <algorithm>

namespace flagos::compiler::serial {
namespace {

bool is_control(const Op& op) {
  switch (op.code) {
    case OpCode::for_:
    case OpCode::if_:
    case OpCode::while_:
    case OpCode::assert_:
    case OpCode::print:
    case OpCode::yield:
      return true;
    default:
      return false;
  }
}

bool writes(const Op& op) {
  const Effect effect = info(op.code).effect;
  return effect == Effect::write || effect == Effect::update;
}

}  // namespace

Space space_of(const Type& type) {
  Space space;
  for (std::size_t axis = 0; axis < type.rank; ++axis)
    if (type.dims[axis] != 1) space.push_back(type.dims[axis]);
  if (space.empty()) space.push_back(1);
  return space;
}

IndexMap identity_map(const Type& type) {
  IndexMap map(type.rank);
  int variable = 0;
  for (std::size_t axis = 0; axis < type.rank; ++axis)
    if (type.dims[axis] != 1) map[axis] = {variable++, 1, 0};
  return map;
}

bool keeps_space(const Type& from, const Type& to) { return space_of(from) == space_of(to); }

bool has_fact(const Kernel& kernel, ValueId argument, std::string_view fact) {
  const auto& facts = kernel.arguments[argument].facts;
  return std::any_of(facts.begin(), facts.end(), [&](const Attribute& a) { return a.name == fact; });
}

Plan::Plan(const Kernel& kernel)
    : kernel_(kernel),
      definitions_(kernel.values.size()),
      blocks_(kernel.values.size()),
      uses_(kernel.values.size()),
      needs_buffer_(kernel.values.size()),
      has_load_(kernel.values.size()) {
  const std::function<void(const Block&)> find_writes = [&](const Block& block) {
    for (const Op& op : block.ops) {
      for (std::size_t i = 0; i < op.results.size(); ++i) {
        definitions_[op.results[i]] = &op;
        blocks_[op.results[i]] = &block;
      }
      if (writes(op)) written_.push_back(root(op.operands[0]));
      for (const Block& region : op.regions) {
        for (const ValueId argument : region.arguments) blocks_[argument] = &region;
        find_writes(region);
      }
    }
  };
  find_writes(kernel.body);
  enter(kernel.body);
  demand(kernel.body);
  demand_across_segments(kernel.body);
}

Work Plan::work(const Op& op) const { return work_.at(&op); }

void Plan::enter(const Block& block) {
  ++segment_;
  for (const Op& op : block.ops) {
    for (const ValueId operand : op.operands) ++uses_[operand];
    if (is_control(op)) ++segment_;
    segments_[&op] = segment_;
    classify(op);
    for (const Block& region : op.regions) enter(region);
    if (is_control(op) || !op.regions.empty()) ++segment_;
  }
}

ValueId Plan::root(ValueId view) const { return definitions_[view]->operands[0]; }

bool Plan::may_alias(ValueId a, ValueId b) const {
  if (a == b) return true;
  for (const std::string_view fact : {"readonly", "noalias"})
    if (has_fact(kernel_, a, fact) || has_fact(kernel_, b, fact)) return false;
  return true;
}

bool Plan::is_never_written(ValueId root) const {
  return std::none_of(written_.begin(), written_.end(), [&](ValueId written) { return may_alias(root, written); });
}

// Not worth a place in memory: computed again wherever it is used.
bool Plan::is_cheap(const Op& op) const {
  if (op.code == OpCode::cast) {
    const DType from = type(op.operands[0]).dtype, to = type(op.results[0]).dtype;
    return is_virtual(op.operands[0]) && (from != DType::f64 || to == DType::f32) && info(to).bits >= 16;
  }
  if (!info(op.code).is_elementwise() && op.code != OpCode::select) return false;
  for (const ValueId operand : op.operands) {
    if (type(operand).is_tile() && (!is_virtual(operand) || has_load_[operand])) return false;
    if (is_float(type(operand).dtype) && op.code != OpCode::select) return false;
  }
  return op.code != OpCode::div && op.code != OpCode::rem && op.code != OpCode::mulhi;
}

void Plan::classify(const Op& op) {
  Work& work = work_[&op];
  const bool tile = std::any_of(op.results.begin(), op.results.end(), [&](ValueId v) { return type(v).is_tile(); });
  const auto inherit = [&] {
    work = Work::none;
    for (const ValueId operand : op.operands)
      for (const ValueId result : op.results)
        if (has_load_[operand]) has_load_[result] = true;
  };
  switch (op.code) {
    case OpCode::const_:
      work = tile ? Work::none : Work::scalar;
      return;
    case OpCode::full:
    case OpCode::range:
    case OpCode::expand:
    case OpCode::broadcast:
    case OpCode::reshape:
    case OpCode::trans:
    case OpCode::split:
    case OpCode::slice:
    case OpCode::flip:
      return inherit();
    case OpCode::load:
      work = !tile ? Work::scalar : is_never_written(root(op.operands[0])) ? Work::none : Work::fused;
      if (work == Work::none) has_load_[op.results[0]] = true;
      return;
    case OpCode::store:
      work = type(op.operands.back()).is_tile() ? Work::fused : Work::scalar;
      return;
    case OpCode::gather:
    case OpCode::philox:
      work = tile ? Work::fused : Work::scalar;
      return;
    case OpCode::scatter:
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas:
      work = type(op.operands[1]).is_tile() ? Work::fused : Work::scalar;
      return;
    case OpCode::reduce: {
      const Type& from = type(op.operands[0]);
      const bool unit = from.dims[static_cast<std::size_t>(op.integer("axis"))] == 1;
      work = !op.regions.empty() ? Work::call : Work::fused;
      if (unit && tile && op.regions.empty()) inherit();
      return;
    }
    case OpCode::argreduce:
    case OpCode::scan:
    case OpCode::sort:
    case OpCode::histogram:
    case OpCode::dot:
    case OpCode::dot_scaled:
    case OpCode::join:
      work = Work::call;
      return;
    default:
      break;
  }
  if (is_control(op) || !op.regions.empty()) {
    work = Work::control;
  } else if (!tile) {
    work = Work::scalar;
  } else if (is_cheap(op)) {
    inherit();
  } else {
    work = Work::fused;
  }
}

void Plan::materialise(ValueId value) {
  needs_buffer_[value] = true;
  const Op* op = definitions_[value];
  if (op != nullptr && work(*op) == Work::none) work_[op] = Work::fused;
}

// What a call reads has a place; so has what is reshaped.
void Plan::demand(const Block& block) {
  for (const Op& op : block.ops) {
    const bool reshapes = op.code == OpCode::reshape && !keeps_space(type(op.operands[0]), type(op.results[0]));
    if (reshapes || work(op) == Work::call || op.code == OpCode::assert_ || op.code == OpCode::print) {
      for (std::size_t i = 0; i < op.operands.size(); ++i) {
        if (!type(op.operands[i]).is_tile()) continue;
        const auto source = op.code == OpCode::dot && i < 2 ? source_of(op.operands[i]) : std::nullopt;
        if (!source) {
          materialise(op.operands[i]);
        } else if (source->load == nullptr) {
          needs_buffer_[source->value] = true;
        }
      }
    }
    if (work(op) == Work::call)
      for (const ValueId result : op.results)
        if (type(result).is_tile()) needs_buffer_[result] = true;
    for (const Block& region : op.regions) demand(region);
  }
}

void Plan::demand_across_segments(const Block& block) {
  for (const Op& op : block.ops) {
    for (const Block& region : op.regions) demand_across_segments(region);
    if (work(op) == Work::none) continue;
    visit_leaves(op, [&](ValueId leaf, const IndexMap&, bool) {
      if (!type(leaf).is_tile()) return;
      const Op* from = definitions_[leaf];
      if (from == nullptr || segments_.at(from) != segments_.at(&op)) needs_buffer_[leaf] = true;
    });
  }
}

IndexMap Plan::map_operand(const Op& op, std::size_t k, const IndexMap& map) const {
  const Type& from = type(op.operands[k]);
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  IndexMap out = map;
  switch (op.code) {
    case OpCode::expand:
      out.erase(out.begin() + static_cast<long>(axis));
      break;
    case OpCode::reduce:  // of an axis of extent 1
      out.insert(out.begin() + static_cast<long>(axis), Index{});
      break;
    case OpCode::broadcast:
      for (std::size_t i = 0; i < from.rank; ++i)
        if (from.dims[i] == 1) out[i] = {};
      break;
    case OpCode::reshape: {
      const Type& to = type(op.results[0]);
      if (!keeps_space(from, to)) break;
      IndexMap kept;
      for (std::size_t i = 0; i < to.rank; ++i)
        if (to.dims[i] != 1) kept.push_back(map[i]);
      out.assign(from.rank, {});
      for (std::size_t i = 0, next = 0; i < from.rank; ++i)
        if (from.dims[i] != 1) out[i] = kept[next++];
      break;
    }
    case OpCode::trans: {
      const auto& perm = op.find("perm")->list;
      for (std::size_t i = 0; i < perm.size(); ++i) out[static_cast<std::size_t>(perm[i])] = map[i];
      break;
    }
    case OpCode::slice: {
      const auto& start = op.find("start")->list;
      for (std::size_t i = 0; i < start.size(); ++i) out[i].offset += start[i];
      break;
    }
    case OpCode::flip:
      out[axis] = {map[axis].variable, -map[axis].coefficient, from.dims[axis] - 1 - map[axis].offset};
      break;
    default:
      break;
  }
  return out;
}

void Plan::visit(ValueId value, const IndexMap& map, const Leaf& leaf) const {
  if (!is_virtual(value)) return leaf(value, map, false);
  visit_operands(*definitions_[value], value, map, leaf);
}

void Plan::visit_operands(const Op& op, ValueId result, const IndexMap& map, const Leaf& leaf) const {
  if (op.code == OpCode::reshape && !keeps_space(type(op.operands[0]), type(result)))
    return leaf(op.operands[0], map, true);
  for (std::size_t k = 0; k < op.operands.size(); ++k) {
    const Type& from = type(op.operands[k]);
    if (from.is_tile()) {
      IndexMap mapped = map_operand(op, k, map);
      if (op.code == OpCode::split) mapped.push_back({-1, 0, op.results[0] == result ? 0 : 1});
      visit(op.operands[k], mapped, leaf);
    } else if (from.is_scalar()) {
      leaf(op.operands[k], {}, false);
    }
  }
}

void Plan::visit_leaves(const Op& op, const Leaf& leaf) const {
  switch (op.code) {
    case OpCode::expand:
    case OpCode::broadcast:
    case OpCode::reshape:
    case OpCode::trans:
    case OpCode::split:
    case OpCode::slice:
    case OpCode::flip:
      for (const ValueId result : op.results) visit_operands(op, result, identity_map(type(result)), leaf);
      return;
    default:
      break;
  }
  for (const ValueId operand : op.operands) {
    if (type(operand).is_tile()) {
      visit(operand, identity_map(type(operand)), leaf);
    } else {
      leaf(operand, {}, false);
    }
  }
}

}  // namespace flagos::compiler::serial
