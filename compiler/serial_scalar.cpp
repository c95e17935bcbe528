// Operations on single values: statements.
#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {

namespace {

View make_view(Emitter& emitter, const Op& op) {
  View view;
  const ValueId result = op.results[0];
  view.pointer = fmt::format("p{}", result);
  const std::string item = emitter.dialect().pointer_type(Area::memory, emitter.type(result).dtype);
  emitter.out().line("{0} const {1} = ({0}){2};", item, view.pointer, emitter.name(op.operands[0]));
  std::size_t next = 1;
  for (const std::string_view name : {"shape", "strides"}) {
    for (const std::int64_t value : op.find(name)->list) {
      std::string text = integer(value);
      if (value == kDynamic) {
        text = fmt::format("{}_{}", view.pointer, next);
        emitter.out().line("const i64 {} = {};", text, emitter.name(op.operands[next++]));
      } else if (value < 0) {
        text = "(" + text + ")";
      }
      (name == "shape" ? view.extents : view.strides).push_back(text);
    }
  }
  view.unit = op.find("strides")->list.back() == 1;
  return view;
}

struct Place {
  std::string inside = "true", pointer;
};

// The one element that the operands from 1 on name.
Place place_of(const Emitter& emitter, const Op& op) {
  const View& view = emitter.view(op.operands[0]);
  Place place;
  place.pointer = view.pointer;
  for (std::size_t axis = 0; axis < view.extents.size(); ++axis) {
    const std::string at = fmt::format("(i64){}", emitter.name(op.operands[1 + axis]));
    place.inside +=
        fmt::format(" && {}({}, {})", emitter.dialect().function("is_inside", DType::i64), at, view.extents[axis]);
    place.pointer += fmt::format(" + {} * {}", at, view.strides[axis]);
  }
  return place;
}

}  // namespace

void Emitter::emit_scalar(const Op& op) {
  const auto value = [&](std::size_t i) { return names_[op.operands[i]]; };
  const std::string name = op.results.empty() ? "" : fmt::format("s{}", op.results[0]);
  const Type* to = op.results.empty() ? nullptr : &type(op.results[0]);
  const auto give = [&](const std::string& expression) {
    out_.line("const {} {} = {};", lane_type(to->dtype), name, expression);
    names_[op.results[0]] = name;
  };
  const DType memory = op.operands.empty() ? DType::i32 : type(op.operands[0]).dtype;
  const auto pad = [&] { return static_cast<std::uint64_t>(op.integer("pad")); };
  switch (op.code) {
    case OpCode::view:
      views_[op.results[0]] = make_view(*this, op);
      return;
    case OpCode::const_:
      names_[op.results[0]] = dialect_.literal(to->dtype, static_cast<std::uint64_t>(op.integer("value")));
      return;
    case OpCode::program_id:
      return give(dialect_.program(false, op.integer("axis")));
    case OpCode::num_programs:
      return give(dialect_.program(true, op.integer("axis")));
    case OpCode::load:
    case OpCode::gather: {
      Place from = place_of(*this, op);
      if (op.code == OpCode::gather && op.operands.size() > 1U + type(op.operands[0]).rank)
        from.inside += " && " + names_[op.operands.back()];
      return give(fmt::format("{} ? {} : {}", from.inside, get(Area::memory, memory, from.pointer),
                              dialect_.literal(memory, pad())));
    }
    case OpCode::store:
    case OpCode::scatter: {
      Place target = place_of(*this, op);
      const std::size_t at = 1U + type(op.operands[0]).rank;
      if (op.operands.size() > at + 1) target.inside += " && " + names_[op.operands.back()];
      out_.line("if ({}) {};", target.inside, put(Area::memory, memory, target.pointer, value(at)));
      return;
    }
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas: {
      Place target = place_of(*this, op);
      const std::size_t first = 1U + type(op.operands[0]).rank;
      const std::size_t count = op.code == OpCode::atomic_cas ? 2 : 1;
      if (op.operands.size() > first + count) target.inside += " && " + names_[op.operands.back()];
      std::vector<std::string> values;
      for (std::size_t i = 0; i < count; ++i) {
        values.push_back(fresh("v"));
        out_.line("{} {};", memory_type(memory), values.back());
        out_.line("{};", put(Area::scratch, memory, "&" + values.back(), value(first + i)));
      }
      const std::string old = fresh("v");
      out_.line("{} {} = {};", memory_type(memory), old, dialect_.memory_literal(memory, 0));
      out_.line("if ({}) {} = {};", target.inside, old, dialect_.atomic(op, memory, target.pointer, values));
      return give(get(Area::scratch, memory, "&" + old));
    }
    case OpCode::philox: {
      std::vector<std::string> parts;
      for (const ValueId result : op.results) {
        names_[result] = fmt::format("s{}", result);
        out_.line("u32 {};", names_[result]);
        parts.push_back(dialect_.reference(names_[result]));
      }
      out_.line("{}((u64){}, (u64){}, (u64){}, {});", dialect_.function("philox", DType::u32), value(0), value(1),
                op.operands.size() > 2 ? value(2) : "0", fmt::join(parts, ", "));
      return;
    }
    default:
      break;
  }
  std::vector<std::string> operands;
  // A number alone has no type that the other operands agree with.
  for (std::size_t i = 0; i < op.operands.size(); ++i)
    operands.push_back(fmt::format("({}){}", lane_type(type(op.operands[i]).dtype), value(i)));
  give(dialect_.elementwise(op, type(op.operands[0]).dtype, to->dtype, 1, operands));
}

}  // namespace flagos::compiler::serial
