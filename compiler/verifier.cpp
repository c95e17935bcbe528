#include "compiler/verifier.hpp"

#include "compiler/diagnostic.hpp"
#include "compiler/verify_op.hpp"

namespace flagos::compiler {
namespace {

constexpr std::size_t kMaxDiagnostics = 16;

class Verifier {
 public:
  Verifier(const Module& module, const Kernel& kernel, std::vector<Diagnostic>& diagnostics)
      : module_(module),
        kernel_(kernel),
        diagnostics_(diagnostics),
        depth_(kernel.values.size(), 0),
        readonly_(kernel.values.size(), -1) {}
  void run();

 private:
  void report(const Op& op, const std::string& reason);
  void check_facts(std::size_t index);
  void check_block(const Block& block, bool is_body);
  void check_op(const Op& op);
  void check_shape_of(const Op& op);
  void check_counts(const Op& op);
  void check_regions(const Op& op);
  void check_writable(const Op& op);
  void check_dominance(const Op& op);
  void make_visible(ValueId value, std::vector<ValueId>& scope);

  const Module& module_;
  const Kernel& kernel_;
  std::vector<Diagnostic>& diagnostics_;
  std::vector<int> depth_;     // of the region in which a value can be used; 0: not now
  std::vector<int> readonly_;  // of a view: the readonly argument it is made of, or -1
  int current_ = 0;            // depth of the region that is checked
  int isolated_ = 0;           // values of this depth and above cannot be used
};

void Verifier::run() {
  std::vector<ValueId> scope;
  current_ = 1;
  for (std::size_t i = 0; i < kernel_.arguments.size(); ++i) {
    check_facts(i);
    make_visible(static_cast<ValueId>(i), scope);
  }
  check_block(kernel_.body, true);
}

void Verifier::report(const Op& op, const std::string& reason) {
  if (diagnostics_.size() >= kMaxDiagnostics) return;
  Diagnostic diagnostic{op.line, op.column, "", 0, fmt::format("{}: {}", info(op.code).name, reason)};
  if (op.file >= 0) {
    diagnostic.file = module_.files[static_cast<std::size_t>(op.file)];
    diagnostic.file_line = op.file_line;
  }
  diagnostics_.push_back(std::move(diagnostic));
}

void Verifier::check_facts(std::size_t index) {
  const Argument& argument = kernel_.arguments[index];
  const Type& type = kernel_.values[index];
  const auto refuse = [&](std::string reason) {
    if (diagnostics_.size() < kMaxDiagnostics)
      diagnostics_.push_back({kernel_.line, 1, "", 0, fmt::format("argument %{}: {}", argument.name, reason)});
  };
  const bool scalar =
      type.is_scalar() && (is_index(type.dtype) || type.dtype == DType::f32 || type.dtype == DType::f64);
  if (type.kind != Type::Kind::pointer && !scalar)
    refuse(fmt::format("it is {}; an argument is a ptr, i32, i64, f32 or f64", print_type(type)));
  for (const Attribute& fact : argument.facts) {
    if (fact.name == "align" && (fact.integer < 1 || (fact.integer & (fact.integer - 1)) != 0))
      refuse(fmt::format("align is {}, which is no power of two", fact.integer));
    if (fact.name == "div" && fact.integer < 1) refuse(fmt::format("div is {}; it is at least 1", fact.integer));
    if (fact.name == "range" &&
        (fact.list.size() != 2 || fact.list[0] == kDynamic || fact.list[1] == kDynamic || fact.list[0] > fact.list[1]))
      refuse("range is not [lowest, highest]");
  }
}

void Verifier::make_visible(ValueId value, std::vector<ValueId>& scope) {
  depth_[value] = current_;
  scope.push_back(value);
}

void Verifier::check_block(const Block& block, bool is_body) {
  std::vector<ValueId> scope;
  for (const ValueId argument : block.arguments) make_visible(argument, scope);
  for (std::size_t i = 0; i < block.ops.size(); ++i) {
    const Op& op = block.ops[i];
    check_op(op);
    for (const ValueId result : op.results) make_visible(result, scope);
    if (op.code == OpCode::yield && (is_body || i + 1 != block.ops.size()))
      report(op, is_body ? "a kernel's body yields nothing" : "it is not the last operation of its region");
  }
  for (const ValueId value : scope) depth_[value] = 0;
}

void Verifier::check_op(const Op& op) {
  try {
    check_dominance(op);
    check_counts(op);
    verify_op({kernel_, op});
    check_writable(op);
  } catch (const Problem& problem) {
    return report(op, problem.reason);
  }
  check_regions(op);
}

void Verifier::check_dominance(const Op& op) {
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    const int depth = depth_[op.operands[i]];
    demand(depth != 0, "operand {} is defined in another region, or is a result of the operation around this one", i);
    demand(depth > isolated_, "operand {} is defined outside of the region, which sees its own values only", i);
  }
  demand(isolated_ == 0 || info(op.code).effect == Effect::none || info(op.code).effect == Effect::control,
         "it has an effect, and stands in a region that must have none");
}

void Verifier::check_counts(const Op& op) {
  const OpInfo& rules = info(op.code);
  const auto check = [](std::string_view what, std::size_t count, int least, int most) {
    const int number = static_cast<int>(count);
    demand(number >= least && (most < 0 || number <= most), "it has {} {}, and takes {}{}", number, what, least,
           most < 0       ? " or more"
           : most > least ? fmt::format(" to {}", most)
                          : "");
  };
  check("operands", op.operands.size(), rules.operands_min, rules.operands_max);
  check("results", op.results.size(), rules.results_min, rules.results_max);
  for (const ValueId result : op.results) {
    const Type& type = kernel_.values[result];
    demand((op.code == OpCode::view) == (type.kind == Type::Kind::view) && type.kind != Type::Kind::pointer,
           "its result cannot be {}", print_type(type));
  }
  for (const Block& region : op.regions) {
    demand(!region.ops.empty() && region.ops.back().code == OpCode::yield, "a region of it does not end with yield");
    for (const ValueId argument : region.arguments)
      demand(kernel_.values[argument].is_data(), "a region cannot have an argument of type {}",
             print_type(kernel_.values[argument]));
  }
}

// Effects on memory that the kernel promised only to read.
void Verifier::check_writable(const Op& op) {
  if (op.code == OpCode::view) {
    const ValueId pointer = op.operands[0];
    for (const Attribute& fact : kernel_.arguments[pointer].facts)
      if (fact.name == "readonly") readonly_[op.results[0]] = static_cast<int>(pointer);
  }
  const Effect effect = info(op.code).effect;
  if (effect != Effect::write && effect != Effect::update) return;
  const int argument = readonly_[op.operands[0]];
  demand(argument < 0, "it writes to argument %{}, which is readonly",
         argument < 0 ? "" : kernel_.arguments[static_cast<std::size_t>(argument)].name);
}

void Verifier::check_regions(const Op& op) {
  const int isolated = isolated_;
  if (info(op.code).isolated) isolated_ = current_;
  ++current_;
  for (const Block& region : op.regions) check_block(region, false);
  --current_;
  isolated_ = isolated;
}

}  // namespace

void verify(const Module& module) {
  std::vector<Diagnostic> diagnostics;
  for (const Kernel& kernel : module.kernels) Verifier(module, kernel, diagnostics).run();
  if (!diagnostics.empty()) throw Refused(FLAGOS_STATUS_INVALID_IMAGE, std::move(diagnostics));
}

}  // namespace flagos::compiler
