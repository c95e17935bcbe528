// Views of global memory, loads, stores and atomics.
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {

bool SimtEmitter::emit_memory_op(const Op& op) {
  switch (op.code) {
    case OpCode::view:
      emit_view(op);
      return true;
    case OpCode::load:
      emit_load(op, false);
      return true;
    case OpCode::gather:
      emit_load(op, true);
      return true;
    case OpCode::store:
      emit_store(op);
      return true;
    case OpCode::scatter:
      emit_scatter(op);
      return true;
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas:
      emit_atomic(op);
      return true;
    default:
      return false;
  }
}

void SimtEmitter::emit_view(const Op& op) {
  const Outside outside(*this);
  View view;
  view.pointer = fmt::format("p{}", op.operands[0]);
  view.readonly = is_readonly(kernel_, op.operands[0]);
  std::size_t next = 1;
  const auto numbers = [&](std::string_view name, AxisText& out) {
    for (const std::int64_t value : op.find(name)->list) {
      if (value != kDynamic) {
        out.push_back(literal(DType::u64, static_cast<std::uint64_t>(value)));
        continue;
      }
      const std::string number = fmt::format("to_i64({})", own(op, next++)), variable = fresh();
      if (name == "shape") {
        line("const u64 {1} = {0} > to_i64(0) ? to_u64({0}) : to_u64(0);", number, variable);
      } else {
        line("const u64 {} = to_u64({});", variable, number);
      }
      out.push_back(variable);
    }
  };
  numbers("shape", view.extents);
  numbers("strides", view.strides);
  views_[op.results[0]] = std::move(view);
}

void SimtEmitter::before_read(const View& view) {
  if (view.readonly) return;
  if (global_written_) {
    needs_.shared_memory = true;
    close();
    line("GLOBAL_BARRIER;");
    touched_.clear();
    global_read_ = global_written_ = false;
  }
  global_read_ = true;
}

void SimtEmitter::before_write() {
  if (global_read_ || global_written_) {
    close();
    line("GLOBAL_BARRIER;");
    touched_.clear();
    global_read_ = global_written_ = false;
  }
  global_written_ = true;
}

// Where element e of a block lies.
SimtEmitter::Place SimtEmitter::block_place(const Op& op, const View& view, const Type& block) {
  Place place;
  const AxisText local = block.elements() == 1 ? AxisText(view.extents.size(), "0u") : split_index(block, "e");
  std::string offset;
  for (std::size_t axis = 0; axis < view.extents.size(); ++axis) {
    const std::string index = fresh(), corner = fmt::format("to_u64(to_i64({}))", own(op, 1 + axis));
    line("const u64 {} = {}{};", index, corner, local[axis] == "0u" ? "" : fmt::format(" + to_u64({})", local[axis]));
    place.inside += fmt::format("{}{} < {}", axis == 0 ? "" : " && ", index, view.extents[axis]);
    offset += fmt::format("{}{} * {}", axis == 0 ? "" : " + ", index, view.strides[axis]);
  }
  place.offset = fresh();
  line("const u64 {} = {};", place.offset, offset);
  return place;
}

// Where the element lies that index tiles name; `others` operands come before the mask.
SimtEmitter::Place SimtEmitter::indexed_place(const Op& op, const View& view, std::size_t others) {
  Place place;
  std::string offset;
  if (op.operands.size() > others) place.inside = own(op, others) + " && ";
  for (std::size_t axis = 0; axis < view.extents.size(); ++axis) {
    const std::string index = fresh();
    line("const u64 {} = to_u64(to_i64({}));", index, own(op, 1 + axis));
    place.inside += fmt::format("{}{} < {}", axis == 0 ? "" : " && ", index, view.extents[axis]);
    offset += fmt::format("{}{} * {}", axis == 0 ? "" : " + ", index, view.strides[axis]);
  }
  place.offset = fresh();
  line("const u64 {} = {};", place.offset, offset);
  return place;
}

void SimtEmitter::emit_load(const Op& op, bool indexed) {
  const View& view = views_.at(op.operands[0]);
  const ValueId result = op.results[0];
  const Type& to = type(result);
  before_read(view);
  const bool uniform = is_uniform(result);
  if (!uniform) open_for(result);
  const Outside outside(*this, uniform);
  const Place place = indexed ? indexed_place(op, view, 1 + view.extents.size()) : block_place(op, view, to);
  const std::string variable = fmt::format("v{}", root(result));
  line("{} {} = {};", register_type(to.dtype), variable,
       literal(to.dtype, static_cast<std::uint64_t>(op.integer("pad"))));
  line("if ({}) {} = load_{}({}, {});", place.inside, variable, info(to.dtype).name, view.pointer, place.offset);
  used(op);
  name(result, variable);
}

void SimtEmitter::emit_store(const Op& op) {
  const View& view = views_.at(op.operands[0]);
  const ValueId value = op.operands.back();
  before_write();
  open_for(value);
  const Place place = block_place(op, view, type(value));
  const bool uniform = is_uniform(value);
  const std::string text = own(value);
  line("if ({}{}) store_{}({}, {}, {});", uniform ? "t == 0u && " : "", place.inside, info(type(value).dtype).name,
       view.pointer, place.offset, text);
  used(op);
}

// Of several elements to one place the last stays. Threads of one round look whether a later one has the same place;
// rounds follow each other.
void SimtEmitter::emit_scatter(const Op& op) {
  const View& view = views_.at(op.operands[0]);
  const std::size_t first = 1 + view.extents.size();
  const ValueId value = op.operands[first];
  const Type& of = type(value);
  before_write();
  close();
  if (is_uniform(value)) {
    const Place place = indexed_place(op, view, first + 1);
    line("if (t == 0u && {}) store_{}({}, {}, {});", place.inside, info(of.dtype).name, view.pointer, place.offset,
         own(value));
    return used(op);
  }
  const LocalRange places = allocate(op, std::uint64_t{threads_} * 2);
  settle(places);
  const std::int64_t rounds = (of.elements() + threads_ - 1) / threads_;
  line("for (u32 j = 0u; j < {}u; ++j) {{\nconst u32 e = t + j * {}u;\nu64 place = U64(0xffffffffu, 0xffffffffu);",
       rounds, threads_);
  line("if (e < {}u) {{", of.elements());
  const Place place = indexed_place(op, view, first + 1);
  line("if ({}) place = {};\n}}", place.inside, place.offset);
  line(write_local(DType::u64, places, "t", "place"));
  line("LOCAL_BARRIER;\nbool last = place != U64(0xffffffffu, 0xffffffffu);");
  line("for (u32 k = t + 1u; k < {}u; ++k) {{ if ({} == place) last = false; }}", threads_,
       read_local(DType::u64, places, "k"));
  const std::string text = own(value);
  line("if (last) store_{}({}, place, {});", info(of.dtype).name, view.pointer, text);
  line("GLOBAL_BARRIER;\n}");
  used(op);
  release(places);
  touched_.clear();
  global_read_ = global_written_ = false;
}

void SimtEmitter::emit_atomic(const Op& op) {
  const View& view = views_.at(op.operands[0]);
  const std::size_t first = 1 + view.extents.size();
  const ValueId result = op.results[0];
  const DType dtype = type(result).dtype;
  const bool wanted = values_[root(result)].uses > 0;
  needs_.atomic = true;
  if (is_wide(dtype)) {
    needs_.atomic64 = true;
    check_types(op);
  }
  before_write();
  open_for(result);
  const bool uniform = is_uniform(result);
  const bool cas = op.code == OpCode::atomic_cas;
  const Place place = indexed_place(op, view, first + (cas ? 2 : 1));
  const std::string old = fmt::format("v{}", root(result)), zero = literal(dtype, 0);
  const std::string value = own(op, first), other = cas ? own(op, first + 1) : "";
  line("{} {} = {};", register_type(dtype), old, zero);
  line("if ({}{}) {{", uniform ? "t == 0u && " : "", place.inside);
  const bool ordered = op.word("order") != "relaxed";
  if (ordered) line("FENCE;");
  line("{} = {};", old, atomic(op, view, place.offset));
  if (ordered) line("FENCE;");
  line("}");
  used(op);
  if (!uniform) return name(result, old);
  if (!wanted) return;
  const LocalRange range = allocate(op, is_wide(dtype) ? 2 : 1);
  settle(range);
  line("if (t == 0u) {{ {} }}", write_local(dtype, range, "0u", old));
  barrier();
  line("{} = {};", old, read_local(dtype, range, "0u"));
  name(result, old);
  touch(range);
  release(range);
}

// What was there before, as an expression; the loops of what no language has are written out first.
std::string SimtEmitter::atomic(const Op& op, const View& view, const std::string& offset) {
  const DType dtype = result_type(op).dtype;
  const std::string value = own(op, 1 + view.extents.size()), address = fresh();
  line("const u64 {} = ADDRESS({}, {}, {});", address, view.pointer, offset, info(dtype).bytes);
  const std::string word = is_wide(dtype) ? "u64" : "u32", kind = register_type(dtype);
  const auto back = [&](const std::string& bits) {
    return bitcast(is_wide(dtype) ? DType::u64 : DType::u32, dtype, bits);
  };
  const auto bits = [&](const std::string& x) { return bitcast(dtype, is_wide(dtype) ? DType::u64 : DType::u32, x); };
  if (op.code == OpCode::atomic_cas)
    return back(
        fmt::format("atomic_cas_{}({}, {}, {})", word, address, bits(value), bits(own(op, 2 + view.extents.size()))));
  const std::string_view name = op.word("op");
  if (name == "exchange") return back(fmt::format("atomic_exchange_{}({}, {})", word, address, bits(value)));
  if (!is_float(dtype)) return fmt::format("atomic_{}_{}({}, {})", name, kind, address, value);
  return atomic_loop(op, address, value);
}

std::string SimtEmitter::atomic_loop(const Op& op, const std::string& address, const std::string& value) {
  const DType dtype = result_type(op).dtype;
  const std::string_view name = op.word("op");
  const DType word = is_wide(dtype) ? DType::u64 : DType::u32;
  const std::string text = register_type(word), seen = fresh(), found = fresh();
  const bool half = is_narrow(dtype);
  std::string place = address, shift;
  if (half) {  // a half of an aligned word
    place = fresh();
    shift = fresh();
    line("const u64 {} = {} & ~to_u64(3);", place, address);
    line("const u32 {} = to_u32({} & to_u64(2)) * 8u;", shift, address);
  }
  const auto value_of = [&](const std::string& bits) {
    return half ? fmt::format("(({} >> {}) & 0xffffu)", bits, shift) : bitcast(word, dtype, bits);
  };
  line("{0} {1} = atomic_load_{0}({2}), {3} = {1};", text, found, place, seen);
  line("do {{\n{} = {};", seen, found);
  std::string next = combine(name, dtype, "propagate", value_of(seen), value);
  next = half ? fmt::format("({0} & ~(0xffffu << {1})) | ({2} << {1})", seen, shift, next) : bitcast(dtype, word, next);
  line("{} = atomic_cas_{}({}, {}, {});", found, text, place, seen, next);
  line("}} while ({} != {});", found, seen);
  return value_of(found);
}

}  // namespace flagos::compiler
