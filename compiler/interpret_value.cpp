// Constants, casts, selection and shapes.
#include <algorithm>

#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

using Index = std::array<std::size_t, Limits::rank>;

// Calls f(position in row-major order, index) for every element.
template <typename F>
void for_each_index(const Type& type, F f) {
  Index index{};
  const auto count = static_cast<std::size_t>(type.elements());
  for (std::size_t i = 0; i < count; ++i) {
    f(i, index);
    for (std::size_t axis = type.rank; axis-- > 0;) {
      if (++index[axis] < static_cast<std::size_t>(type.dims[axis])) break;
      index[axis] = 0;
    }
  }
}

std::size_t position(const Type& type, const Index& index) {
  std::size_t at = 0;
  for (std::size_t axis = 0; axis < type.rank; ++axis)
    at = at * static_cast<std::size_t>(type.dims[axis]) + index[axis];
  return at;
}

// Every element of the result is the element of operand 0 that `source` makes of its index.
template <typename F>
void pick(Interpreter& run, const Op& op, F source) {
  const Words& from = run.operand(op, 0);
  const Type& type = run.operand_type(op, 0);
  Words& out = run.result(op);
  for_each_index(run.result_type(op),
                 [&](std::size_t i, const Index& index) { out[i] = from[position(type, source(index))]; });
}

void run_cast(Interpreter& run, const Op& op) {
  const Rounding rounding = op.word("rounding") == "toward_zero" ? Rounding::toward_zero : Rounding::nearest_even;
  const DType from = run.operand_type(op, 0).dtype;
  const DType to = run.result_type(op).dtype;
  const bool saturate = op.has("saturate");
  const Words& in = run.operand(op, 0);
  std::transform(in.begin(), in.end(), run.result(op).begin(),
                 [&](std::uint64_t bits) { return cast_bits(from, to, bits, rounding, saturate); });
}

void run_range(Interpreter& run, const Op& op) {
  Words& out = run.result(op);
  const auto start = static_cast<std::uint64_t>(op.integer("start"));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = encode_int(run.result_type(op).dtype, start + i);
}

void run_select(Interpreter& run, const Op& op) {
  const Words& condition = run.operand(op, 0);
  Words& out = run.result(op);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool first = condition[condition.size() == 1 ? 0 : i] != 0;
    out[i] = run.operand(op, first ? 1 : 2)[i];
  }
}

void run_join(Interpreter& run, const Op& op) {
  Words& out = run.result(op);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = run.operand(op, i % 2)[i / 2];
}

void run_split(Interpreter& run, const Op& op) {
  for (std::size_t half = 0; half < 2; ++half) {
    Words& out = run.result(op, half);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = run.operand(op, 0)[i * 2 + half];
  }
}

void run_broadcast(Interpreter& run, const Op& op) {
  const Type& from = run.operand_type(op, 0);
  pick(run, op, [&](Index index) {
    for (std::size_t axis = 0; axis < from.rank; ++axis)
      if (from.dims[axis] == 1) index[axis] = 0;
    return index;
  });
}

void run_trans(Interpreter& run, const Op& op) {
  const auto& perm = op.find("perm")->list;
  pick(run, op, [&](const Index& index) {
    Index source{};
    for (std::size_t axis = 0; axis < perm.size(); ++axis) source[static_cast<std::size_t>(perm[axis])] = index[axis];
    return source;
  });
}

void run_slice(Interpreter& run, const Op& op) {
  const auto& start = op.find("start")->list;
  pick(run, op, [&](Index index) {
    for (std::size_t axis = 0; axis < start.size(); ++axis) index[axis] += static_cast<std::size_t>(start[axis]);
    return index;
  });
}

void run_flip(Interpreter& run, const Op& op) {
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  const auto extent = static_cast<std::size_t>(run.result_type(op).dims[axis]);
  pick(run, op, [&](Index index) {
    index[axis] = extent - 1 - index[axis];
    return index;
  });
}

}  // namespace

bool run_value_op(Interpreter& run, const Op& op) {
  switch (op.code) {
    case OpCode::const_: {
      Words& out = run.result(op);
      std::fill(out.begin(), out.end(), static_cast<std::uint64_t>(op.integer("value")));
      break;
    }
    case OpCode::full: {
      const std::uint64_t value = run.operand(op, 0)[0];
      Words& out = run.result(op);
      std::fill(out.begin(), out.end(), value);
      break;
    }
    case OpCode::range:
      run_range(run, op);
      break;
    case OpCode::cast:
      run_cast(run, op);
      break;
    case OpCode::bitcast:
    case OpCode::expand:
    case OpCode::reshape:
      run.result(op) = run.operand(op, 0);
      break;
    case OpCode::select:
      run_select(run, op);
      break;
    case OpCode::broadcast:
      run_broadcast(run, op);
      break;
    case OpCode::trans:
      run_trans(run, op);
      break;
    case OpCode::join:
      run_join(run, op);
      break;
    case OpCode::split:
      run_split(run, op);
      break;
    case OpCode::slice:
      run_slice(run, op);
      break;
    case OpCode::flip:
      run_flip(run, op);
      break;
    default:
      return false;
  }
  return true;
}

}  // namespace flagos::compiler
