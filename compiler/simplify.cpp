#include "compiler/simplify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

using Names = std::unordered_map<ValueId, ValueId>;

void rename(std::vector<ValueId>& values, const Names& names) {
  for (ValueId& value : values)
    for (auto found = names.find(value); found != names.end(); found = names.find(value)) value = found->second;
}

// `extern` as its generic body, in place.
void inline_externs(Block& block, Names& names) {
  std::vector<Op> ops;
  for (Op& op : block.ops) {
    rename(op.operands, names);
    if (op.code != OpCode::extern_) {
      for (Block& region : op.regions) inline_externs(region, names);
      ops.push_back(std::move(op));
      continue;
    }
    Block body = std::move(op.regions[0]);
    for (std::size_t i = 0; i < body.arguments.size(); ++i) names[body.arguments[i]] = op.operands[i];
    inline_externs(body, names);
    for (std::size_t i = 0; i < op.results.size(); ++i) names[op.results[i]] = body.ops.back().operands[i];
    body.ops.pop_back();
    for (Op& inner : body.ops) ops.push_back(std::move(inner));
  }
  block.ops = std::move(ops);
}

// It gives the same whenever it is done, and nothing else happens.
bool is_pure(const Op& op) { return info(op.code).effect == Effect::none && op.regions.empty(); }

class Simplifier {
 public:
  explicit Simplifier(Kernel& kernel) : kernel_(kernel) {}
  void run() {
    inline_externs(kernel_.body, names_);
    walk(kernel_.body);
    std::unordered_set<ValueId> outside;
    for (std::size_t i = 0; i < kernel_.arguments.size(); ++i) outside.insert(static_cast<ValueId>(i));
    hoist(kernel_.body, outside);
    find_used(kernel_.body);
    drop_unused(kernel_.body);
  }

 private:
  const Type& type(ValueId value) const { return kernel_.values[value]; }
  void walk(Block& block);
  void hoist(Block& block, std::unordered_set<ValueId>& outside);
  void find_used(const Block& block);
  void drop_unused(Block& block) const;
  bool fold(Op& op);
  std::optional<std::uint64_t> folded(const Op& op) const;
  std::string key_of(const Op& op) const;

  Kernel& kernel_;
  Names names_;
  std::unordered_map<ValueId, std::uint64_t> constants_;  // values, the same in every element
  std::unordered_map<std::string, std::vector<ValueId>> done_;
  std::unordered_set<ValueId> used_;
};

// Constants are folded, and what was done before, here or around, is not done again.
void Simplifier::walk(Block& block) {
  std::vector<std::string> mine;
  std::vector<Op> ops;
  for (Op& op : block.ops) {
    rename(op.operands, names_);
    if (is_pure(op)) fold(op);
    for (Block& region : op.regions) {
      // Regions of folds see their own values only.
      if (!info(op.code).isolated) {
        walk(region);
        continue;
      }
      auto around = std::exchange(done_, {});
      walk(region);
      done_ = std::move(around);
    }
    // A constant tile costs nothing where it is, and a place where it is kept.
    const bool keeps = op.code != OpCode::const_ || type(op.results[0]).is_scalar();
    if (is_pure(op) && keeps) {
      const std::string key = key_of(op);
      const auto [found, is_new] = done_.try_emplace(key, op.results);
      if (!is_new) {
        for (std::size_t i = 0; i < op.results.size(); ++i) names_[op.results[i]] = found->second[i];
        continue;
      }
      mine.push_back(key);
    }
    ops.push_back(std::move(op));
  }
  block.ops = std::move(ops);
  for (const std::string& key : mine) done_.erase(key);
}

std::string Simplifier::key_of(const Op& op) const {
  std::string key = fmt::format("{}", static_cast<int>(op.code));
  for (const ValueId operand : op.operands) key += fmt::format(" {}", operand);
  for (const Attribute& attribute : op.attributes) {
    key += fmt::format("|{}={}:{}", attribute.name, attribute.text, attribute.integer);
    for (const std::int64_t value : attribute.list) key += fmt::format(",{}", value);
  }
  for (const ValueId result : op.results) key += "|" + print_type(type(result));
  return key;
}

// The one value of the result's elements, where that is known.
std::optional<std::uint64_t> Simplifier::folded(const Op& op) const {
  if (op.operands.empty() || op.results.size() != 1 || !type(op.results[0]).is_data()) return std::nullopt;
  std::vector<std::uint64_t> values;
  for (const ValueId operand : op.operands) {
    const auto found = constants_.find(operand);
    if (found == constants_.end()) return std::nullopt;
    values.push_back(found->second);
  }
  const DType from = type(op.operands[0]).dtype, to = type(op.results[0]).dtype;
  switch (op.code) {
    case OpCode::full:
    case OpCode::expand:
    case OpCode::broadcast:
    case OpCode::reshape:
    case OpCode::trans:
    case OpCode::slice:
    case OpCode::flip:
    case OpCode::bitcast:
      return values[0];
    case OpCode::select:
      return values[values[0] != 0 ? 1 : 2];
    case OpCode::cast:
      return cast_bits(from, to, values[0],
                       op.word("rounding") == "toward_zero" ? Rounding::toward_zero : Rounding::nearest_even,
                       op.has("saturate"));
    default:
      break;
  }
  const OpInfo& rules = info(op.code);
  if (!rules.is_elementwise()) return std::nullopt;
  std::vector<const std::uint64_t*> operands;
  for (const std::uint64_t& value : values) operands.push_back(&value);
  std::uint64_t out = 0;
  run_elementwise(op.code, from, rules.find("mode") ? op.word("mode") : op.word("nan"), 1, operands, &out);
  return out;
}

bool Simplifier::fold(Op& op) {
  if (op.code == OpCode::const_) {
    constants_[op.results[0]] = static_cast<std::uint64_t>(op.integer("value"));
    return true;
  }
  const auto value = folded(op);
  if (!value) return false;
  Attribute constant;
  constant.name = "value";
  constant.form = Attribute::Form::number;
  constant.integer = static_cast<std::int64_t>(*value);
  op.code = OpCode::const_;
  op.operands.clear();
  op.attributes = {constant};
  constants_[op.results[0]] = *value;
  return true;
}

// What a loop does not change is done in front of it.
void Simplifier::hoist(Block& block, std::unordered_set<ValueId>& outside) {
  std::vector<Op> ops;
  std::vector<ValueId> mine = block.arguments;
  for (Op& op : block.ops) {
    for (const ValueId value : mine) outside.insert(value);
    mine.clear();
    if (op.code == OpCode::for_ || op.code == OpCode::while_) {
      for (Block& region : op.regions) {
        hoist(region, outside);
        std::vector<Op> kept;
        for (Op& inner : region.ops) {
          const bool constant_tile = inner.code == OpCode::const_ && type(inner.results[0]).is_tile();
          const bool moves = is_pure(inner) && inner.code != OpCode::yield && !constant_tile &&
                             std::all_of(inner.operands.begin(), inner.operands.end(),
                                         [&](ValueId operand) { return outside.count(operand) != 0; });
          if (moves) outside.insert(inner.results.begin(), inner.results.end());
          (moves ? ops : kept).push_back(std::move(inner));
        }
        region.ops = std::move(kept);
      }
    } else if (!info(op.code).isolated) {
      for (Block& region : op.regions) hoist(region, outside);
    }
    mine.assign(op.results.begin(), op.results.end());
    ops.push_back(std::move(op));
  }
  // What a block defines is not there behind it.
  for (const Op& op : ops)
    for (const ValueId result : op.results) outside.erase(result);
  for (const ValueId argument : block.arguments) outside.erase(argument);
  block.ops = std::move(ops);
}

void Simplifier::find_used(const Block& block) {
  for (auto op = block.ops.rbegin(); op != block.ops.rend(); ++op) {
    const Effect effect = info(op->code).effect;
    const bool acts = effect != Effect::none && effect != Effect::read;
    const bool wanted =
        std::any_of(op->results.begin(), op->results.end(), [&](ValueId v) { return used_.count(v) != 0; });
    if (!acts && !wanted) continue;
    used_.insert(op->operands.begin(), op->operands.end());
    for (auto region = op->regions.rbegin(); region != op->regions.rend(); ++region) find_used(*region);
  }
}

void Simplifier::drop_unused(Block& block) const {
  std::erase_if(block.ops, [&](const Op& op) {
    const Effect effect = info(op.code).effect;
    return (effect == Effect::none || effect == Effect::read) &&
           std::none_of(op.results.begin(), op.results.end(), [&](ValueId v) { return used_.count(v) != 0; });
  });
  for (Op& op : block.ops)
    for (Block& region : op.regions) drop_unused(region);
}

}  // namespace

Module simplify(const Module& module) {
  Module out = module;
  for (Kernel& kernel : out.kernels) Simplifier(kernel).run();
  return out;
}

}  // namespace flagos::compiler
