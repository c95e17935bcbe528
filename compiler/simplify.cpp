#include "compiler/simplify.hpp"

#include <unordered_map>

namespace flagos::compiler {
namespace {

using Names = std::unordered_map<ValueId, ValueId>;

void rename(std::vector<ValueId>& values, const Names& names) {
  for (ValueId& value : values)
    if (const auto found = names.find(value); found != names.end()) value = found->second;
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

}  // namespace

Module simplify(const Module& module) {
  Module out = module;
  for (Kernel& kernel : out.kernels) {
    Names names;
    inline_externs(kernel.body, names);
  }
  return out;
}

}  // namespace flagos::compiler
