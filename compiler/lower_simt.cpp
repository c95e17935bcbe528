#include "compiler/lower_schedule.hpp"

#include <algorithm>
#include <cstdlib>

#include "compiler/diagnostic.hpp"
#include "compiler/simplify.hpp"
#include "compiler/simt_emitter.hpp"
#include "compiler/simt_helpers.hpp"

namespace flagos::compiler {
namespace {

std::uint32_t threads_of(const Kernel& kernel, const Target& target) {
  for (const Attribute& hint : kernel.hints) {
    if (hint.name != "hint.simt.threads") continue;
    const auto wanted = static_cast<std::uint32_t>(std::strtoul(hint.text.c_str(), nullptr, 10));
    if (wanted >= 1 && wanted <= target.threads) return wanted;
  }
  return target.threads;
}

template <typename F>
void for_each_op(const Block& block, F f) {
  for (const Op& op : block.ops) {
    f(op);
    for (const Block& region : op.regions) for_each_op(region, f);
  }
}

// The elements keep their order, so result and operand are the same registers.
bool keeps_order(const Kernel& kernel, const Op& op) {
  const Type& from = kernel.values[op.operands[0]];
  const Type& to = kernel.values[op.results[0]];
  switch (op.code) {
    case OpCode::expand:
    case OpCode::reshape:
      return true;
    case OpCode::broadcast:
    case OpCode::slice:
      return from == to;
    case OpCode::flip:
      return from.dims[static_cast<std::size_t>(op.integer("axis"))] == 1;
    case OpCode::trans: {
      std::int64_t last = -1;
      for (const std::int64_t axis : op.find("perm")->list) {
        if (from.dims[static_cast<std::size_t>(axis)] == 1) continue;
        if (axis < last) return false;
        last = axis;
      }
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

bool is_readonly(const Kernel& kernel, ValueId argument) {
  const auto& facts = kernel.arguments[argument].facts;
  return std::any_of(facts.begin(), facts.end(), [](const Attribute& fact) { return fact.name == "readonly"; });
}

SimtEmitter::SimtEmitter(const Module& module, const Kernel& kernel, const Target& target, const SimtDialect& dialect,
                         std::set<std::string>& helpers, SimtNeeds& needs, SimtPlan plan)
    : ElementPrinter(module, kernel, target, dialect, helpers, needs),
      threads_(threads_of(kernel, target)),
      plan_(plan),
      tilings_(choose_tilings(kernel, threads_, plan.cores)),
      alias_(kernel.values.size()),
      values_(kernel.values.size()) {
  for (ValueId i = 0; i < alias_.size(); ++i) alias_[i] = i;
}

void SimtEmitter::find_aliases(const Block& block) {
  for (const Op& op : block.ops) {
    if (op.operands.size() == 1 && op.results.size() == 1 && keeps_order(kernel_, op))
      alias_[op.results[0]] = op.operands[0];
    if (op.code == OpCode::extern_)
      for (std::size_t i = 0; i < op.operands.size(); ++i) alias_[op.regions[0].arguments[i]] = op.operands[i];
    for (const Block& region : op.regions) find_aliases(region);
    if (op.code == OpCode::extern_)
      for (std::size_t i = 0; i < op.results.size(); ++i) alias_[op.results[i]] = op.regions[0].ops.back().operands[i];
  }
}

void SimtEmitter::count_uses(const Block& block) {
  for (const Op& op : block.ops) {
    const bool alias = !op.results.empty() && alias_[op.results[0]] != op.results[0];
    if (!alias)
      for (const ValueId operand : op.operands) ++values_[root(operand)].uses;
    for (const Block& region : op.regions) count_uses(region);
  }
}

SimtKernel SimtEmitter::run() {
  find_aliases(kernel_.body);
  count_uses(kernel_.body);
  std::set<ValueId> others;  // views of what may be written
  for_each_op(kernel_.body, [&](const Op& op) {
    const Effect effect = info(op.code).effect;
    kernel_writes_ |= effect == Effect::write || effect == Effect::update;
    if (op.code == OpCode::view)
      (is_readonly(kernel_, op.operands[0]) ? readonly_views_ : others).insert(op.results[0]);
    kernel_reads_ |= effect == Effect::read && others.count(op.operands[0]) != 0;
  });
  if (plan_.cores.any) find_feeds(kernel_.body);
  for (ValueId i = 0; i < kernel_.arguments.size(); ++i) {
    if (type(i).dtype == DType::f64) needs_.f64 = true;
    if (type(i).kind == Type::Kind::pointer) continue;
    values_[i].kind = Value::Kind::uniform;
    values_[i].name = fmt::format("p{}", i);
  }
  emit_block(kernel_.body);
  close();
  return {&kernel_, threads_, static_cast<std::uint32_t>(local_words_), fails_, std::move(text_)};
}

void SimtEmitter::check_types(const Op& op) {
  for (const auto* values : {&op.operands, &op.results}) {
    for (const ValueId value : *values) {
      if (type(value).dtype != DType::f64) continue;
      needs_.f64 = true;
      if (target_.lacks("f64")) fail(op, "the target has no f64");
    }
  }
  const bool atomic = op.code == OpCode::atomic_rmw || op.code == OpCode::atomic_cas;
  if (atomic && is_wide(result_type(op).dtype) && target_.lacks("atomic64"))
    fail(op, "the target has no atomics of 64 bits");
}

void SimtEmitter::emit_block(const Block& block) {
  for (const Op& op : block.ops) {
    const bool pure = info(op.code).effect == Effect::none && op.code != OpCode::extern_ && !op.results.empty();
    if (pure &&
        std::all_of(op.results.begin(), op.results.end(),
                    [&](ValueId result) { return values_[root(result)].uses == 0; }) &&
        op.code != OpCode::view) {
      used(op);
      continue;
    }
    if (is_deferred(op)) continue;
    if (op.file >= 0 && (!located_ || located_->file != op.file || located_->file_line != op.file_line)) {
      line(dialect_.location(op.file_line, module_.files[static_cast<std::size_t>(op.file)]));
      located_ = &op;
    }
    emit_op(op);
  }
}

void SimtEmitter::emit_op(const Op& op) {
  current_ = &op;
  check_types(op);
  if (!emit_control_op(op) && !emit_value_op(op) && !emit_memory_op(op) && !emit_collective_op(op))
    throw_error(FLAGOS_STATUS_INTERNAL, "the SIMT lowering does not know {}", info(op.code).name);
}

namespace {

// With the fastest plan whose local memory the target has.
SimtKernel print_kernel(const Module& module, const Kernel& kernel, const Target& target, const SimtDialect& dialect,
                        std::set<std::string>& helpers, SimtNeeds& needs) {
  const TensorCores cores = dialect.tensor_cores(target);
  if (cores.any) {
    const SimtPlan plans[] = {{cores, 3, true}, {cores, 2, true}, {cores, 2, false}, {cores, 1, true}, {cores}};
    for (const SimtPlan& plan : plans) {
      std::set<std::string> own_helpers = helpers;
      SimtNeeds own_needs = needs;
      try {
        SimtKernel made = SimtEmitter(module, kernel, target, dialect, own_helpers, own_needs, plan).run();
        helpers = std::move(own_helpers);
        needs = own_needs;
        return made;
      } catch (const Error& error) {
        if (error.status() != FLAGOS_STATUS_UNSUPPORTED) throw;
      }
    }
  }
  return SimtEmitter(module, kernel, target, dialect, helpers, needs, {}).run();
}

}  // namespace

Lowered lower_simt(const Module& given, const Target& target) {
  const Module module = simplify(given);
  const std::unique_ptr<SimtDialect> dialect = [&] {
    switch (target.dialect) {
      case Dialect::glsl:
        return make_glsl();
      case Dialect::cuda_c:
        return make_cuda_c();
      case Dialect::opencl_c:
        return make_opencl_c();
      default:
        throw_error(FLAGOS_STATUS_UNSUPPORTED, "schedule simt is not printed in {}", print_target(target));
    }
  }();
  if (!dialect)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': the dialect is not there yet", print_target(target));
  Lowered lowered;
  std::set<std::string> helpers;
  SimtNeeds needs;
  std::string kernels;
  for (const Kernel& kernel : module.kernels) {
    const SimtKernel made = print_kernel(module, kernel, target, *dialect, helpers, needs);
    kernels += "\n" + dialect->kernel(made);
    LaunchRecord record;
    record.kernel = dialect->symbol(kernel);
    record.threads = made.threads;
    record.fails = made.fails;
    lowered.kernels.push_back(std::move(record));
  }
  lowered.source = dialect->prelude(module, needs) + print_simt_helpers(helpers) + kernels;
  return lowered;
}

}  // namespace flagos::compiler
