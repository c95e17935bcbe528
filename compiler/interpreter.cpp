#include "compiler/interpreter.hpp"

#include <fmt/format.h>

#include "compiler/diagnostic.hpp"
#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

// Of all values of a kernel together: 1 GiB as words.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 27;
constexpr std::size_t kPrintedElements = 32;

void check_memory(const Kernel& kernel) {
  std::int64_t elements = 0;
  for (const Type& type : kernel.values) elements += type.elements();
  if (elements > kMaxElements)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "kernel '{}' has values of {} elements; the interpreter takes {}",
                kernel.name, elements, kMaxElements);
}

}  // namespace

void interpret(const Module& module, const Kernel& kernel, const Launch& launch) {
  if (launch.arguments.size() != kernel.arguments.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "kernel '{}' takes {} arguments, not {}", kernel.name,
                kernel.arguments.size(), launch.arguments.size());
  check_memory(kernel);
  Interpreter interpreter(module, kernel, launch);
  for (std::uint32_t z = 0; z < launch.grid[2]; ++z)
    for (std::uint32_t y = 0; y < launch.grid[1]; ++y)
      for (std::uint32_t x = 0; x < launch.grid[0]; ++x) interpreter.run_program({x, y, z});
}

Interpreter::Interpreter(const Module& module, const Kernel& kernel, const Launch& launch)
    : module_(module), kernel_(kernel), launch_(launch), values_(kernel.values.size()) {
  for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
    const Type& type = kernel.values[i];
    const ArgumentValue& value = launch.arguments[i];
    values_[i] = type.kind == Type::Kind::pointer
                     ? Words{value.bits, value.size_bytes}
                     : Words{value.bits << (64 - info(type.dtype).bits) >> (64 - info(type.dtype).bits)};
  }
}

void Interpreter::run_program(std::array<std::uint32_t, 3> program) {
  program_ = program;
  run_block(kernel_.body);
}

Words& Interpreter::result(const Op& op, std::size_t i) {
  Words& words = values_[op.results[i]];
  words.resize(static_cast<std::size_t>(result_type(op, i).elements()));
  return words;
}

void Interpreter::fail(const Op& op, const std::string& reason) const {
  Diagnostic where{op.line, op.column, "", 0, ""};
  if (op.file >= 0) {
    where.file = module_.files[static_cast<std::size_t>(op.file)];
    where.file_line = op.file_line;
  }
  where.reason = fmt::format("{}: {}; kernel '{}', program ({}, {}, {})", info(op.code).name, reason, kernel_.name,
                             program_[0], program_[1], program_[2]);
  throw Error(FLAGOS_STATUS_EXECUTION_FAILED, compiler::print(where));
}

void Interpreter::run_block(const Block& block) {
  for (const Op& op : block.ops) {
    if (launch_.step_limit != 0 && ++steps_ > launch_.step_limit)
      fail(op, fmt::format("more than {} operations were run", launch_.step_limit));
    run_op(op);
    if (launch_.adjust) launch_.adjust(*this, op);
  }
}

void Interpreter::run_op(const Op& op) {
  const OpInfo& rules = info(op.code);
  if (rules.is_elementwise()) {
    std::array<const std::uint64_t*, 3> operands{};
    for (std::size_t i = 0; i < op.operands.size(); ++i) operands[i] = operand(op, i).data();
    const std::string_view word = rules.find("mode") ? op.word("mode") : op.word("nan");
    Words& out = result(op);
    return run_elementwise(op.code, operand_type(op, 0).dtype, word, out.size(), {operands.data(), op.operands.size()},
                           out.data());
  }
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  switch (op.code) {
    case OpCode::program_id:
      result(op)[0] = program_[axis];
      return;
    case OpCode::num_programs:
      result(op)[0] = launch_.grid[axis];
      return;
    case OpCode::for_:
      return run_for(op);
    case OpCode::if_:
      return run_if(op);
    case OpCode::while_:
      return run_while(op);
    case OpCode::extern_:
      return run_extern(op);
    case OpCode::assert_:
    case OpCode::print:
      return run_report(op);
    case OpCode::yield:
      yielded_.resize(op.operands.size());
      for (std::size_t i = 0; i < op.operands.size(); ++i) yielded_[i] = operand(op, i);
      return;
    default:
      break;
  }
  if (!run_value_op(*this, op) && !run_memory_op(*this, op) && !run_collective_op(*this, op))
    throw_error(FLAGOS_STATUS_INTERNAL, "the interpreter does not know {}", rules.name);
}

const std::vector<Words>& Interpreter::run_region(const Block& block, std::span<const Words> arguments) {
  for (std::size_t i = 0; i < block.arguments.size(); ++i) values_[block.arguments[i]] = arguments[i];
  run_block(block);
  return yielded_;
}

void Interpreter::set_results(const Op& op, const std::vector<Words>& from) {
  for (std::size_t i = 0; i < op.results.size(); ++i) values_[op.results[i]] = from[i];
}

void Interpreter::run_for(const Op& op) {
  const DType dtype = operand_type(op, 0).dtype;
  const auto bound = [&](std::size_t i) { return decode_int(dtype, operand(op, i)[0]); };
  const std::int64_t end = bound(1), step = bound(2);
  std::vector<Words> arguments(1);
  for (std::size_t i = 3; i < op.operands.size(); ++i) arguments.push_back(operand(op, i));
  std::int64_t index = bound(0);
  while (step > 0 && index < end) {
    arguments[0] = {encode_int(dtype, static_cast<std::uint64_t>(index))};
    const std::vector<Words>& yields = run_region(op.regions[0], arguments);
    std::copy(yields.begin(), yields.end(), arguments.begin() + 1);
    if (__builtin_add_overflow(index, step, &index)) break;
  }
  arguments.erase(arguments.begin());
  set_results(op, arguments);
}

void Interpreter::run_if(const Op& op) {
  const std::size_t region = operand(op, 0)[0] != 0 ? 0 : 1;
  if (region < op.regions.size()) set_results(op, run_region(op.regions[region], {}));
}

void Interpreter::run_while(const Op& op) {
  std::vector<Words> carried;
  for (std::size_t i = 0; i < op.operands.size(); ++i) carried.push_back(operand(op, i));
  while (run_region(op.regions[0], carried)[0][0] != 0) carried = run_region(op.regions[1], carried);
  set_results(op, carried);
}

// The generic body is what the name means; a target that knows the name may do it better.
void Interpreter::run_extern(const Op& op) {
  std::vector<Words> arguments;
  for (std::size_t i = 0; i < op.operands.size(); ++i) arguments.push_back(operand(op, i));
  set_results(op, run_region(op.regions[0], arguments));
}

void Interpreter::run_report(const Op& op) {
  const std::string& message = op.find("message")->text;
  if (op.code == OpCode::assert_) {
    const Words& holds = operand(op, 0);
    const auto bad = std::find(holds.begin(), holds.end(), 0);
    if (bad == holds.end()) return;
    if (launch_.report) launch_.report({true, message, program_, &op});
    fail(op, fmt::format("element {} does not hold: {}", bad - holds.begin(), message));
  }
  std::string text = message;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    const Words& words = operand(op, i);
    const bool scalar = operand_type(op, i).is_scalar();
    text += scalar ? " " : " [";
    for (std::size_t k = 0; k < std::min(words.size(), kPrintedElements); ++k)
      text += (k == 0 ? "" : ", ") + print_literal(operand_type(op, i).dtype, words[k]);
    if (words.size() > kPrintedElements) text += ", ...";
    if (!scalar) text += "]";
  }
  if (launch_.report) launch_.report({false, text, program_, &op});
}

}  // namespace flagos::compiler
