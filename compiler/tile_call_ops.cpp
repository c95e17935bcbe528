// The calls, by operation.
#include <algorithm>

#include "compiler/interpret_op.hpp"
#include "compiler/tile_call_emitter.hpp"

namespace flagos::compiler {
namespace {

std::string list(const std::vector<std::int64_t>& numbers) { return fmt::format("{{{}}}", fmt::join(numbers, ", ")); }

std::string dims(const Type& type) { return list({type.dims.begin(), type.dims.begin() + type.rank}); }

std::vector<std::int64_t> strides_of(const Type& type) {
  std::vector<std::int64_t> strides(type.rank, 1);
  for (std::size_t i = type.rank; i-- > 1;) strides[i - 1] = strides[i] * type.dims[i];
  return strides;
}

}  // namespace

bool TileCallEmitter::emit_value_op(const Op& op) {
  switch (op.code) {
    case OpCode::expand:
    case OpCode::reshape:
      return true;  // the same buffer
    case OpCode::const_:
    case OpCode::full: {
      const std::string value = op.code == OpCode::full
                                    ? name(op, 0)
                                    : literal(result_type(op).dtype, static_cast<std::uint64_t>(op.integer("value")));
      if (result_type(op).is_scalar()) {
        values_[op.results[0]].name = value;
      } else {
        line("tk_full({}, {}, {});", result(op), value, result_type(op).elements());
      }
      used(op);
      return true;
    }
    case OpCode::range:
      line("tk_range({}, {}, {});", result(op), literal(DType::u64, static_cast<std::uint64_t>(op.integer("start"))),
           result_type(op).elements());
      used(op);
      return true;
    case OpCode::broadcast:
    case OpCode::trans:
    case OpCode::slice:
    case OpCode::flip:
    case OpCode::join:
    case OpCode::split:
      emit_shape(op);
      return true;
    default:
      if (!info(op.code).is_elementwise() && op.code != OpCode::select && op.code != OpCode::cast &&
          op.code != OpCode::bitcast)
        return false;
      emit_elementwise(op);
      return true;
  }
}

void TileCallEmitter::emit_elementwise(const Op& op) {
  std::string operands;
  std::vector<std::string> in;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    in.push_back(name(op, i));
    operands += ", " + in.back();
  }
  if (result_type(op).is_scalar()) {
    scalar(op.results[0], expression(op, in));
    return used(op);
  }
  std::string call(info(op.code).name);
  if (op.code == OpCode::cast) {
    call += op.word("rounding") == "toward_zero" ? "_toward_zero" : "";
    call += op.has("saturate") ? "_saturate" : "";
  }
  if (info(op.code).find("nan") && op.word("nan") == "ignore") call += "_ignore";
  if (info(op.code).find("mode") && op.word("mode") == "floor") call = "floor_" + call;
  line("tk_{}({}{}, {});", call, result(op), operands, result_type(op).elements());
  used(op);
}

// The shapes that only move elements are one strided copy.
void TileCallEmitter::emit_shape(const Op& op) {
  const Type& from = operand_type(op, 0);
  if (op.code == OpCode::join) {
    const std::string out = result(op);
    for (std::size_t i = 0; i < 2; ++i) line("tk_place({}, {}, 2, {}, {});", out, name(op, i), i, from.elements());
    return used(op);
  }
  const std::vector<std::int64_t> strides = strides_of(from);
  for (std::size_t k = 0; k < op.results.size(); ++k) {
    const Type& to = result_type(op, k);
    std::vector<std::int64_t> steps(to.rank);
    std::int64_t start = op.code == OpCode::split ? static_cast<std::int64_t>(k) : 0;
    for (std::size_t axis = 0; axis < to.rank; ++axis) {
      steps[axis] = strides[axis];
      if (op.code == OpCode::broadcast && from.dims[axis] == 1) steps[axis] = 0;
      if (op.code == OpCode::trans) steps[axis] = strides[static_cast<std::size_t>(op.find("perm")->list[axis])];
      if (op.code == OpCode::slice) start += op.find("start")->list[axis] * strides[axis];
      if (op.code == OpCode::flip && static_cast<std::int64_t>(axis) == op.integer("axis")) {
        start += (from.dims[axis] - 1) * strides[axis];
        steps[axis] = -strides[axis];
      }
    }
    line("tk_strided({}, {}, {}, {}, {});", result(op, k), name(op, 0), dims(to), list(steps), start);
  }
  used(op);
}

bool TileCallEmitter::emit_memory_op(const Op& op) {
  const auto one = [&](const Type& type) { return type.is_scalar(); };
  switch (op.code) {
    case OpCode::view:
      emit_view(op);
      return true;
    case OpCode::load: {
      const Type& to = result_type(op);
      const std::string pad = literal(to.dtype, static_cast<std::uint64_t>(op.integer("pad")));
      const std::string from = fmt::format("{}, {}, {}", pointers_.at(op.operands[0]), name(op, 0), indices(op));
      if (one(to)) {
        scalar(op.results[0], fmt::format("tk_load_one({}, {}, true)", from, pad));
      } else {
        line("tk_load({}, {}, {}, {});", result(op), from, dims(to), pad);
      }
      used(op);
      return true;
    }
    case OpCode::store: {
      const Type& of = type(op.operands.back());
      const std::string to = fmt::format("{}, {}, {}", pointers_.at(op.operands[0]), name(op, 0), indices(op));
      if (one(of)) {
        line("tk_store_one({}, {}, true);", to, name(op.operands.back()));
      } else {
        line("tk_store({}, {}, {});", to, name(op.operands.back()), dims(of));
      }
      used(op);
      return true;
    }
    case OpCode::gather:
    case OpCode::scatter:
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas:
      emit_indexed(op);
      return true;
    default:
      return false;
  }
}

void TileCallEmitter::emit_view(const Op& op) {
  const std::string view = fmt::format("w{}", op.results[0]);
  std::size_t next = 1;
  const auto numbers = [&](std::string_view attribute) {
    std::string text;
    for (const std::int64_t value : op.find(attribute)->list)
      text += (text.empty() ? "" : ", ") + (value == kDynamic ? fmt::format("to_i64({})", name(op, next++))
                                                              : literal(DType::i64, static_cast<std::uint64_t>(value)));
    return text;
  };
  const std::string shape = numbers("shape");
  line("const tk_view {} = {{{}, {{{}}}, {{{}}}}};", view, static_cast<int>(result_type(op).rank), shape,
       numbers("strides"));
  values_[op.results[0]].name = view;
  pointers_[op.results[0]] = name(op, 0);
  used(op);
}

// The indices of an access, one for each axis of its view.
std::string TileCallEmitter::indices(const Op& op) const {
  const bool scalars = operand_type(op, 1).is_scalar();
  std::string text;
  for (std::size_t i = 0; i < operand_type(op, 0).rank; ++i)
    text += (i == 0 ? "" : ", ") + (scalars ? fmt::format("to_i64({})", name(op, 1 + i)) : name(op, 1 + i));
  return scalars ? "{" + text + "}" : fmt::format("tk_indices({})", text);
}

// gather, scatter and atomics: for each element of index tiles, or once.
void TileCallEmitter::emit_indexed(const Op& op) {
  const std::size_t first = 1U + operand_type(op, 0).rank;
  const bool cas = op.code == OpCode::atomic_cas, gather = op.code == OpCode::gather;
  const std::size_t others = first + (gather ? 0 : cas ? 2 : 1);
  const bool one = operand_type(op, 1).is_scalar();
  std::string call = gather ? "load" : op.code == OpCode::scatter ? "store" : cas ? "cas" : "atomic";
  if (!one && gather) call = "gather";
  if (!one && op.code == OpCode::scatter) call = "scatter";
  const bool masked = op.operands.size() > others;
  const std::string mask = masked ? name(op, others) : one ? "true" : "nullptr";
  std::string rest;
  for (std::size_t i = first; i < others; ++i) rest += ", " + name(op, i);
  if (gather) rest += ", " + literal(result_type(op).dtype, static_cast<std::uint64_t>(op.integer("pad")));
  if (op.code == OpCode::atomic_rmw) call += fmt::format("_{}", op.word("op"));
  const std::string where = fmt::format("{}, {}, {}", pointers_.at(op.operands[0]), name(op, 0), indices(op));
  if (one) {
    const std::string text = fmt::format("tk_{}_one({}{}, {})", call, where, rest, mask);
    if (op.results.empty()) {
      line("{};", text);
    } else {
      scalar(op.results[0], text);
    }
  } else {
    const std::string out = op.results.empty() ? "" : result(op) + ", ";
    line("tk_{}({}{}{}, {}, {});", call, out, where, rest, mask, operand_type(op, 1).elements());
  }
  used(op);
}

bool TileCallEmitter::emit_collective_op(const Op& op) {
  switch (op.code) {
    case OpCode::reduce:
    case OpCode::scan:
    case OpCode::argreduce:
      if (op.regions.empty()) {
        emit_fold(op);
      } else {
        emit_region_fold(op);
      }
      return true;
    case OpCode::sort: {
      const Axis axis(operand_type(op, 0), static_cast<std::size_t>(op.integer("axis")));
      std::string pairs;
      for (std::size_t i = 0; i < op.results.size(); ++i) pairs += fmt::format(", {}, {}", result(op, i), name(op, i));
      line("tk_sort({}, {}, {}, {}{});", axis.outer, axis.extent, axis.inner, op.has("desc"), pairs);
      used(op);
      return true;
    }
    case OpCode::histogram:
      line("tk_histogram({}, {}, {}, {}, {});", result(op), result_type(op).elements(), name(op, 0),
           op.operands.size() > 1 ? name(op, 1) : "nullptr", operand_type(op, 0).elements());
      used(op);
      return true;
    case OpCode::dot: {
      const Type& a = operand_type(op, 0);
      const Type& to = result_type(op);
      line("tk_dot({}, {}, {}, {}, {}, {}, {}, {});", result(op), name(op, 0), name(op, 1), name(op, 2),
           a.rank == 3 ? a.dims[0] : 1, a.dims[a.rank - 2U], a.dims[a.rank - 1U], to.dims[to.rank - 1U]);
      used(op);
      return true;
    }
    case OpCode::dot_scaled: {
      const Type& a = operand_type(op, 0);
      line("tk_dot_scaled({}, {}, {}, {}, {}, {}, {}, {}, {}, {});", result(op), name(op, 0), name(op, 1), name(op, 2),
           name(op, 3), name(op, 4), a.dims[0], a.dims[1], result_type(op).dims[1], op.integer("block"));
      used(op);
      return true;
    }
    case OpCode::philox: {
      const bool one = result_type(op).is_scalar();
      std::string out;
      for (std::size_t i = 0; i < 4; ++i) {
        if (one) {
          declare(op, op.results[i], fmt::format("v{}", op.results[i]));
          out += ", &" + name(op.results[i]);
        } else {
          out += ", " + result(op, i);
        }
      }
      const std::string stream = op.operands.size() > 2 ? name(op, 2) : "0";
      line("tk_philox({}, {}, {}, {}{});", result_type(op).elements(), name(op, 0), name(op, 1), stream, out);
      used(op);
      return true;
    }
    default:
      return false;
  }
}

void TileCallEmitter::emit_fold(const Op& op) {
  const Axis axis(operand_type(op, 0), static_cast<std::size_t>(op.integer("axis")));
  std::string call = fmt::format("{}_{}", info(op.code).name, op.word("op"));
  if (info(op.code).find("nan") && op.word("nan") == "ignore") call += "_ignore";
  // A number comes out of a buffer of one element.
  std::vector<std::string> out;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> buffers;
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    if (result_type(op, i).is_tile()) {
      out.push_back(result(op, i));
      continue;
    }
    const DType dtype = result_type(op, i).dtype;
    const auto bytes = static_cast<std::uint64_t>(info(dtype).bytes);
    const std::uint64_t begin = place(op, bytes);
    buffers.emplace_back(begin, begin + bytes);
    out.push_back(fresh());
    line("TK_TILE({}, {}, {}, 1);", info(dtype).name, out.back(), begin);
  }
  line("tk_{}({}, {}, {}, {}, {}{});", call, fmt::join(out, ", "), name(op, 0), axis.outer, axis.extent, axis.inner,
       op.code == OpCode::scan ? fmt::format(", {}", op.has("reverse")) : "");
  for (std::size_t i = 0; i < op.results.size(); ++i)
    if (result_type(op, i).is_scalar()) scalar(op.results[i], fmt::format("tk_get({}, 0)", out[i]));
  for (const auto& buffer : buffers) live_.erase(std::find(live_.begin(), live_.end(), buffer));
  used(op);
}

// A region is scalar code, which the chip's scalar unit runs, one element after the other.
void TileCallEmitter::emit_region_fold(const Op& op) {
  const Axis axis(operand_type(op, 0), static_cast<std::size_t>(op.integer("axis")));
  const bool scan = op.code == OpCode::scan;
  const std::size_t count = op.operands.size();
  std::vector<std::string> running;
  for (std::size_t i = 0; i < count; ++i) {
    if (result_type(op, i).is_tile()) {
      result(op, i);
    } else {
      declare(op, op.results[i], fmt::format("v{}", op.results[i]));
    }
    running.push_back(fresh());
  }
  const std::string place =
      fmt::format("(o * {} + {}) * {} + n", axis.extent,
                  scan && op.has("reverse") ? fmt::format("({} - k)", axis.extent - 1) : "k", axis.inner);
  const auto store = [&](const std::string& at) {
    for (std::size_t i = 0; i < count; ++i) {
      if (result_type(op, i).is_tile()) {
        line("tk_set({}, {}, {});", name(op.results[i]), at, running[i]);
      } else {
        line("{} = {};", name(op.results[i]), running[i]);
      }
    }
  };
  line("for (i64 o = 0; o < {}; ++o) for (i64 n = 0; n < {}; ++n) {{\ni64 k = 0;", axis.outer, axis.inner);
  for (std::size_t i = 0; i < count; ++i)
    line("{} {} = tk_get({}, {});", register_type(operand_type(op, i).dtype), running[i], name(op, i), place);
  if (scan) store(place);
  line("for (k = 1; k < {}; ++k) {{", axis.extent);
  std::vector<std::string> arguments = running;
  for (std::size_t i = 0; i < count; ++i) {
    arguments.push_back(fresh());
    line("const {} {} = tk_get({}, {});", register_type(operand_type(op, i).dtype), arguments.back(), name(op, i),
         place);
  }
  std::vector<std::string> next;
  for (const std::string& value : emit_region(op.regions[0], arguments)) {
    next.push_back(fresh());
    line("const auto {} = {};", next.back(), value);
  }
  for (std::size_t i = 0; i < count; ++i) line("{} = {};", running[i], next[i]);
  if (scan) store(place);
  line("}");
  if (!scan) store(fmt::format("o * {} + n", axis.inner));
  line("}");
  used(op);
}

}  // namespace flagos::compiler
