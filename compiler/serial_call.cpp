// Operations that are a loop nest of their own: a function of the prelude, or a fold with the author's region.
#include <algorithm>

#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {
namespace {

struct Axis {
  std::int64_t outer = 1, extent = 1, inner = 1;
  Axis(const Type& type, std::size_t axis) {
    for (std::size_t i = 0; i < type.rank; ++i) (i < axis ? outer : i == axis ? extent : inner) *= type.dims[i];
  }
  std::string text() const { return fmt::format("{}, {}, {}", outer, extent, inner); }
};

}  // namespace

void Emitter::emit_call(const Op& op) {
  const auto axis = static_cast<std::size_t>(op.integer("axis"));
  const Type& first = type(op.operands[0]);
  if (!op.regions.empty()) return emit_fold_with_region(op);
  const bool product = op.code == OpCode::dot || op.code == OpCode::dot_scaled;
  std::vector<std::string> results;
  for (const ValueId result : op.results) {
    if (product) break;
    if (type(result).is_tile()) {
      results.push_back(declare_buffer(result));
    } else {  // a place of one element, and then the value
      results.push_back(fresh("v"));
      out_.line("{} {}[1];", memory_type(type(result).dtype), results.back());
    }
  }
  const std::string in = buffer(op.operands[0]);
  switch (op.code) {
    case OpCode::join:
      out_.line("{}({}, {}, {}, {});", dialect_.function("join", first.dtype), in, buffer(op.operands[1]), results[0],
                first.elements());
      break;
    case OpCode::histogram:
      out_.line("{}({}, {}, {}, {}, {});", dialect_.function("histogram", first.dtype), in,
                op.operands.size() > 1 ? buffer(op.operands[1]) : "(const i1*)0", first.elements(), results[0],
                type(op.results[0]).elements());
      break;
    case OpCode::argreduce:
      out_.line("{}({}, {}, {}, {});",
                dialect_.function(op.word("op") == "min" ? "argreduce_min" : "argreduce_max", first.dtype), in,
                results[0], results[1], Axis(first, axis).text());
      break;
    case OpCode::scan:
      emit_scan(op, results[0]);
      break;
    case OpCode::sort: {
      const Axis along(first, axis);
      const std::string key = info(first.dtype).bits == 64 ? "u64" : "u32";
      const std::string keys = fresh("k"), order = fresh("o"), spare = fresh("o");
      const std::size_t mark = arena_.mark();
      out_.open("{");
      declare(keys, key, along.extent, key == "u64" ? 8 : 4);
      declare(order, "u32", along.extent, 4);
      declare(spare, "u32", along.extent, 4);
      out_.open(fmt::format("for (i64 o = 0; o < {}; ++o) for (i64 n = 0; n < {}; ++n) {{", along.outer, along.inner));
      out_.line("const i64 at = o * {} + n;", along.extent * along.inner);
      out_.line("const u32* const order = {}({} + at, {}, {}, {}, {}, {});",
                dialect_.function(op.has("desc") ? "sort_down" : "sort_up", first.dtype), in, along.extent, along.inner,
                keys, order, spare);
      for (std::size_t i = 0; i < results.size(); ++i)
        out_.line("for (i64 k = 0; k < {0}; ++k) {1}[at + k * {2}] = {3}[at + order[k] * (i64){2}];", along.extent,
                  results[i], along.inner, buffer(op.operands[i]));
      out_.close();
      out_.close();
      arena_.release(mark);
      break;
    }
    case OpCode::dot:
    case OpCode::dot_scaled:
      return emit_product(op);
    default:
      refuse(op, "the serial schedule does not know it");
  }
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    if (type(op.results[i]).is_tile()) continue;
    names_[op.results[i]] = fmt::format("s{}", op.results[i]);
    const DType dtype = type(op.results[i]).dtype;
    out_.line("const {} s{} = {};", lane_type(dtype), op.results[i], get(Area::scratch, dtype, results[i]));
  }
}

// One after the other; small floats are held in f32 on the way.
void Emitter::emit_scan(const Op& op, const std::string& out) {
  const DType dtype = type(op.operands[0]).dtype, held = lane_dtype(dtype);
  const Axis along(type(op.operands[0]), static_cast<std::size_t>(op.integer("axis")));
  const std::string running = fresh("f"), step = op.has("reverse") ? fmt::format("({} - k)", along.extent - 1) : "k";
  out_.open(fmt::format("for (i64 o = 0; o < {}; ++o) for (i64 n = 0; n < {}; ++n) {{", along.outer, along.inner));
  out_.line("{} {};", lane_type(dtype), running);
  out_.open(fmt::format("for (i64 k = 0; k < {}; ++k) {{", along.extent));
  out_.line("const i64 at = (o * {} + {}) * {} + n;", along.extent, step, along.inner);
  out_.line("const {} x = {};", lane_type(dtype), get(Area::scratch, dtype, buffer(op.operands[0]) + " + at"));
  out_.line("{} = k == 0 ? x : ({}){};", running, lane_type(dtype),
            dialect_.combine(op.word("op"), op.word("nan"), held, 1, running, "x"));
  out_.line("{};", put(Area::scratch, dtype, out + " + at", running));
  out_.close();
  out_.close();
}

// Reduce and scan of tuples: one after the other, the region written out in the loop.
void Emitter::emit_fold_with_region(const Op& op) {
  const Axis along(type(op.operands[0]), static_cast<std::size_t>(op.integer("axis")));
  const Block& body = op.regions[0];
  const std::size_t count = op.operands.size();
  const bool reduces = op.code == OpCode::reduce;
  std::vector<std::string> results;
  for (const ValueId result : op.results) {
    if (type(result).is_tile()) {
      results.push_back(declare_buffer(result));
    } else {
      names_[result] = fmt::format("s{}", result);
      out_.line("{} s{};", lane_type(type(result).dtype), result);
      results.push_back("");
    }
  }
  const bool reverse = op.has("reverse");
  out_.open(fmt::format("for (i64 o = 0; o < {}; ++o) for (i64 n = 0; n < {}; ++n) {{", along.outer, along.inner));
  const std::string at = fmt::format("(o * {} + {}) * {} + n", along.extent,
                                     reverse ? fmt::format("({} - k)", along.extent - 1) : "k", along.inner);
  std::vector<std::string> running;
  for (std::size_t i = 0; i < count; ++i) {
    running.push_back(fresh("f"));
    names_[body.arguments[i]] = running[i];
    names_[body.arguments[count + i]] = fresh("f");
    out_.line("{} {};", lane_type(type(op.operands[i]).dtype), running[i]);
  }
  out_.open(fmt::format("for (i64 k = 0; k < {}; ++k) {{", along.extent));
  out_.line("const i64 at = {};", at);
  for (std::size_t i = 0; i < count; ++i)
    out_.line("const {} {} = {};", lane_type(type(op.operands[i]).dtype), names_[body.arguments[count + i]],
              get(Area::scratch, type(op.operands[i]).dtype, buffer(op.operands[i]) + " + at"));
  out_.open("if (k == 0) {");
  for (std::size_t i = 0; i < count; ++i) out_.line("{} = {};", running[i], names_[body.arguments[count + i]]);
  out_.close("} else {");
  out_.set_depth(out_.depth() + 1);
  const std::size_t mark = arena_.mark();
  const auto outer_ready = std::move(ready_);
  emit_block(body);
  ready_ = outer_ready;
  arena_.release(mark);
  std::vector<std::string> next;
  for (std::size_t i = 0; i < count; ++i) {
    next.push_back(fresh("t"));
    out_.line("const {} {} = {};", lane_type(type(op.operands[i]).dtype), next[i], names_[body.ops.back().operands[i]]);
  }
  for (std::size_t i = 0; i < count; ++i) out_.line("{} = {};", running[i], next[i]);
  out_.close();
  if (!reduces)
    for (std::size_t i = 0; i < count; ++i)
      out_.line("{};", put(Area::scratch, type(op.operands[i]).dtype, results[i] + " + at", running[i]));
  out_.close();
  for (std::size_t i = 0; reduces && i < count; ++i) {
    if (results[i].empty()) {
      out_.line("s{} = {};", op.results[i], running[i]);
    } else {
      out_.line("{};", put(Area::scratch, type(op.operands[i]).dtype,
                           fmt::format("{} + o * {} + n", results[i], along.inner), running[i]));
    }
  }
  out_.close();
}

}  // namespace flagos::compiler::serial
