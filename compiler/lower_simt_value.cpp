// Constants, shapes, and elementwise operations. What an index and a few numbers give is a formula: it is computed where
// it is read, for whatever element, and so costs no registers, no local memory and no barrier.
#include <algorithm>

#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {
namespace {

constexpr int kFormulaCost = 12;

// Cheap enough to be computed again.
bool is_cheap(const Op& op, DType dtype) {
  if (is_narrow(dtype) || dtype == DType::f64) return false;
  switch (op.code) {
    case OpCode::add:
    case OpCode::sub:
    case OpCode::mul:
    case OpCode::min:
    case OpCode::max:
    case OpCode::neg:
    case OpCode::and_:
    case OpCode::or_:
    case OpCode::xor_:
    case OpCode::not_:
    case OpCode::shl:
    case OpCode::shr:
    case OpCode::eq:
    case OpCode::ne:
    case OpCode::lt:
    case OpCode::le:
    case OpCode::gt:
    case OpCode::ge:
    case OpCode::select:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool SimtEmitter::emit_value_op(const Op& op) {
  const bool elementwise = info(op.code).is_elementwise() || op.code == OpCode::select || op.code == OpCode::cast ||
                           op.code == OpCode::bitcast;
  switch (op.code) {
    case OpCode::expand:
    case OpCode::reshape:
      return true;  // the same elements in the same order: an alias
    case OpCode::const_:
    case OpCode::full:
    case OpCode::range:
    case OpCode::broadcast:
    case OpCode::trans:
    case OpCode::slice:
    case OpCode::flip:
    case OpCode::join:
    case OpCode::split:
      break;
    default:
      if (!elementwise) return false;
  }
  if (root(op.results[0]) != op.results[0]) return true;
  if (becomes_formula(op)) return true;
  if (op.code == OpCode::const_ || op.code == OpCode::full || op.code == OpCode::range) {
    values_[op.results[0]].kind = Value::Kind::uniform;
    values_[op.results[0]].name = formula(op, "0u");
  } else if (elementwise) {
    emit_elementwise(op);
  } else {
    emit_shape(op);
  }
  return true;
}

bool SimtEmitter::becomes_formula(const Op& op) {
  const ValueId result = op.results[0];
  if (is_uniform(result) || op.code == OpCode::split) return false;
  int cost = 1;
  for (const ValueId operand : op.operands) {
    const Value& known = values_[root(operand)];
    if (known.kind == Value::Kind::uniform) continue;
    if (known.kind != Value::Kind::formula) return false;
    cost += known.cost;
  }
  const bool elementwise = info(op.code).is_elementwise() || op.code == OpCode::cast || op.code == OpCode::bitcast;
  if (elementwise || op.code == OpCode::select) {
    const std::size_t of = op.code == OpCode::select ? 1 : 0;
    if (!is_cheap(op, operand_type(op, of).dtype)) return false;
  }
  if (cost > kFormulaCost) return false;
  Value& value = values_[result];
  value.kind = Value::Kind::formula;
  value.op = &op;
  value.cost = cost;
  return true;
}

AxisText SimtEmitter::source_index(const Op& op, const AxisText& index) const {
  const Type& from = operand_type(op, 0);
  AxisText source = index;
  for (std::size_t axis = 0; axis < index.size(); ++axis) {
    switch (op.code) {
      case OpCode::broadcast:
        if (from.dims[axis] == 1) source[axis] = "0u";
        break;
      case OpCode::trans:
        source[static_cast<std::size_t>(op.find("perm")->list[axis])] = index[axis];
        break;
      case OpCode::slice:
        if (op.find("start")->list[axis] != 0)
          source[axis] = fmt::format("({} + {}u)", index[axis], op.find("start")->list[axis]);
        break;
      default:  // flip
        if (axis == static_cast<std::size_t>(op.integer("axis")))
          source[axis] = fmt::format("({}u - {})", from.dims[axis] - 1, index[axis]);
    }
  }
  return source;
}

// The element `index` of the operation's result.
std::string SimtEmitter::formula(const Op& op, const std::string& index) {
  const Type& to = result_type(op);
  switch (op.code) {
    case OpCode::const_:
      return literal(to.dtype, static_cast<std::uint64_t>(op.integer("value")));
    case OpCode::full:
      return own(op, 0);
    case OpCode::range: {
      const std::uint64_t start = encode_int(DType::u64, static_cast<std::uint64_t>(op.integer("start")));
      if (is_wide(to.dtype))
        return fmt::format("to_{}(to_u64({}) + {})", register_type(to.dtype), index, literal(DType::u64, start));
      return cast(DType::u32, to.dtype, fmt::format("({} + {}u)", index, start & 0xffffffff), Rounding::nearest_even,
                  false);
    }
    case OpCode::join: {
      const std::string half = index_name(fmt::format("({} / 2u)", index));
      const std::string a = at(op.operands[0], half), b = at(op.operands[1], half);
      return fmt::format("(({} & 1u) == 0u ? {} : {})", index, a, b);
    }
    case OpCode::broadcast:
    case OpCode::trans:
    case OpCode::slice:
    case OpCode::flip: {
      const std::string from = join_index(operand_type(op, 0), source_index(op, split_index(to, index)));
      return at(op.operands[0], index_name(from));
    }
    default: {
      std::vector<std::string> in;
      for (const ValueId operand : op.operands) in.push_back(at(operand, index));
      return expression(op, in);
    }
  }
}

void SimtEmitter::emit_elementwise(const Op& op) {
  const bool uniform = is_uniform(op.results[0]);
  if (!uniform) open_for(op.results[0]);
  const Outside outside(*this, uniform);
  std::vector<std::string> in;
  for (std::size_t i = 0; i < op.operands.size(); ++i) in.push_back(own(op, i));
  used(op);
  define(op.results[0], expression(op, in));
}

void SimtEmitter::emit_shape(const Op& op) {
  std::vector<LocalRange> from;
  for (const ValueId operand : op.operands) from.push_back(put(op, operand));
  barrier();
  const DType dtype = operand_type(op, 0).dtype;
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    const Type& to = result_type(op, i);
    open_for(op.results[i]);
    const std::string e = is_uniform(op.results[i]) ? "0u" : "e";
    if (op.code == OpCode::split) {
      define(op.results[i], read_local(dtype, from[0], fmt::format("{} * 2u + {}u", e, i)));
    } else if (op.code == OpCode::join) {
      const std::string half = index_name(fmt::format("({} / 2u)", e));
      define(op.results[i], fmt::format("(({} & 1u) == 0u ? {} : {})", e, read_local(dtype, from[0], half),
                                        read_local(dtype, from[1], half)));
    } else {
      const AxisText index = source_index(op, split_index(to, e));
      define(op.results[i], read_local(dtype, from[0], join_index(operand_type(op, 0), index)));
    }
    for (const LocalRange& range : from) touch(range);
  }
  for (const LocalRange& range : from) release(range);
}

}  // namespace flagos::compiler
