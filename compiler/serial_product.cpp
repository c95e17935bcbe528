// dot and dot_scaled. Factors are packed from where they are: a tile, or straight from memory through a view.
#include <algorithm>
#include <optional>

#include "compiler/print_gnu_cxx.hpp"
#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {

using gnu_cxx::memory_type;

namespace {

// Products of bf16 that are worth setting up the registers of AMX, on targets that have them.
bool takes_amx(const Target& target, const Op& op, DType dtype, std::int64_t depth) {
  return target.isa.ends_with("+amx") && op.code == OpCode::dot && dtype == DType::bf16 && !op.has("strict") &&
         depth >= 16 && target.vector_bits == 512;
}

bool is_small(DType dtype) { return is_float(dtype) && info(dtype).bits < 32; }

}  // namespace

// Where the elements of a factor are: through operations that only move them to a load or a tile with a place.
std::optional<Plan::Source> Plan::source_of(ValueId value) const {
  IndexMap map = {{0, 1, 0}, {1, 1, 0}};
  if (type(value).rank != 2) return std::nullopt;
  while (is_virtual(value)) {
    const Op& op = *definitions_[value];
    switch (op.code) {
      case OpCode::load:
        if (op.integer("pad") != 0) return std::nullopt;
        return Source{value, &op, map};
      case OpCode::reshape:
        if (!keeps_space(type(op.operands[0]), type(value))) return std::nullopt;
        break;
      case OpCode::cast:
        if (!is_small(type(op.operands[0]).dtype) || type(value).dtype != DType::f32) return std::nullopt;
        break;
      case OpCode::expand:
      case OpCode::trans:
      case OpCode::slice:
        break;
      default:
        return std::nullopt;
    }
    map = map_operand(op, 0, map);
    value = op.operands[0];
  }
  return Source{value, nullptr, map};
}

// The factor as a Matrix of the prelude; `batch` is "" or what is added to a tile's place.
std::string Emitter::factor(ValueId value, const std::string& batch) {
  const Type& shape = type(value);
  const std::int64_t m = shape.dims[shape.rank - 2U], n = shape.dims[shape.rank - 1U];
  const auto source = plan_.source_of(value);
  if (!source || shape.rank != 2)
    return fmt::format("Matrix<{}>{{{}{}, {}, 1, {{0, {}}}, {{0, {}}}}}", memory_type(shape.dtype), buffer(value),
                       batch, n, m, n);
  const Type& from = type(source->value);
  const std::string item = memory_type(from.dtype);
  if (source->load == nullptr) {
    std::int64_t stride = 1, constant = 0, steps[2] = {0, 0};
    for (std::size_t axis = from.rank; axis-- > 0;) {
      const Index& index = source->map[axis];
      constant += index.offset * stride;
      if (index.variable >= 0) steps[index.variable] += index.coefficient * stride;
      stride *= from.dims[axis];
    }
    return fmt::format("Matrix<{}>{{{} + {}, {}, {}, {{0, {}}}, {{0, {}}}}}", item, buffer(source->value), constant,
                       steps[0], steps[1], m, n);
  }
  const Op& load = *source->load;
  const View& memory = view(load.operands[0]);
  std::string inside = "true", offset, steps[2] = {"0", "0"}, ranges[2] = {"Range{0, 1}", "Range{0, 1}"};
  for (std::size_t axis = 0; axis < source->map.size(); ++axis) {
    const Index& index = source->map[axis];
    const std::string at = fmt::format("(i64){} + {}", name(load.operands[1 + axis]), index.offset);
    offset += fmt::format(" + ({}) * {}", at, memory.strides[axis]);
    if (index.variable < 0) {
      inside += fmt::format(" && is_inside({}, {})", at, memory.extents[axis]);
      continue;
    }
    steps[index.variable] = memory.strides[axis];
    ranges[index.variable] = fmt::format("range_of({}, {}, {})", at, memory.extents[axis], index.variable == 0 ? m : n);
  }
  return fmt::format("inside_of<{}>({}{}, {}, {}, {}, {}, {})", item, memory.pointer, offset, steps[0], steps[1],
                     ranges[0], ranges[1], inside);
}

// c += a b, where c is: in the place of the old sum if nothing else reads that, else in a place of its own.
void Emitter::emit_product(const Op& op) {
  has_dot_ = true;
  const ValueId sum = op.operands.back(), result = op.results[0];
  const bool free = plan_.uses(sum) == 1 && plan_.block_of(sum) == plan_.block_of(result);
  if (free && buffers_[result].empty()) buffers_[result] = buffer(sum);
  const std::string c = declare_buffer(result);
  if (c != buffer(sum)) emit_copy(sum, c);
  const Type& a = type(op.operands[0]);
  const Type& to = type(result);
  const std::int64_t batch = a.rank == 3 ? a.dims[0] : 1;
  const std::int64_t m = to.dims[to.rank - 2U], n = to.dims[to.rank - 1U], k = a.dims[a.rank - 1U];
  const std::string item = memory_type(to.dtype);
  const auto bytes = static_cast<std::size_t>(info(to.dtype).bytes);
  // As the prelude lays them out: rows and panels are whole.
  const std::int64_t rows = gnu_cxx::rows_at_once(target_.vector_bits);
  const std::int64_t lanes = target_.vector_bits / 8 / static_cast<std::uint32_t>(bytes) * 2;
  const std::int64_t space =
      (m + rows - 1) / rows * rows * ((k + 15) / 16 * 16 + 16) + (n + lanes - 1) / lanes * lanes * k;
  const bool amx = takes_amx(target_, op, a.dtype, k);
  has_amx_ |= amx;
  const auto up_to_32 = [](std::int64_t count) { return (count + 31) / 32 * 32; };
  const std::int64_t amx_space = (up_to_32(m) * (up_to_32(k) + 32) + up_to_32(n) * up_to_32(k)) / 2;
  const std::size_t mark = arena_.mark();
  out_.open("{");
  declare("space", item, amx ? std::max(space, amx_space) : space, bytes);
  std::string left, right;
  if (op.code == OpCode::dot_scaled) {
    declare("left", "f32", m * k, 4);
    declare("right", "f32", k * n, 4);
    out_.line("scale_rows({}, {}, left, {}, {}, {});", buffer(op.operands[0]), buffer(op.operands[1]), m, k,
              op.integer("block"));
    out_.line("scale_columns({}, {}, right, {}, {}, {});", buffer(op.operands[2]), buffer(op.operands[3]), k, n,
              op.integer("block"));
    left = fmt::format("Matrix<f32>{{left, {0}, 1, {{0, {1}}}, {{0, {0}}}}}", k, m);
    right = fmt::format("Matrix<f32>{{right, {0}, 1, {{0, {1}}}, {{0, {0}}}}}", n, k);
  } else {
    left = factor(op.operands[0], batch == 1 ? "" : fmt::format(" + l * {}", m * k));
    right = factor(op.operands[1], batch == 1 ? "" : fmt::format(" + l * {}", k * n));
  }
  if (batch != 1) out_.put(fmt::format("for (i64 l = 0; l < {}; ++l)", batch));
  out_.line("{}<{}>({}, {}, {}{}, {}, {}, space);", amx ? "dot_bf16" : "dot", k, left, right, c,
            batch == 1 ? "" : fmt::format(" + l * {}", m * n), m, n);
  out_.close();
  arena_.release(mark);
}

}  // namespace flagos::compiler::serial
