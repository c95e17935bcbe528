// dot and dot_scaled. Factors are packed from where they are: a tile, or straight from memory through a view.
#include <algorithm>
#include <optional>

#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {

namespace {

// Instructions for bf16 take small numbers as 0, and are worth their packing where a product is deep enough.
Bf16 bf16_of(const Target& target, const Op& op, DType dtype, std::int64_t depth) {
  if (target.dialect != Dialect::gnu_cxx || target.vector_bits != 512) return Bf16::plain;
  if (op.code != OpCode::dot || dtype != DType::bf16 || op.has("strict") || depth < 16) return Bf16::plain;
  if (target.isa.ends_with("+amx")) return Bf16::tiles;
  return target.isa.ends_with("+bf16") ? Bf16::pairs : Bf16::plain;
}

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
        if (!is_narrow(type(op.operands[0]).dtype) || type(value).dtype != DType::f32) return std::nullopt;
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

// `batch` is "" or what is added to a tile's place.
Factor Emitter::factor(ValueId value, const std::string& batch) {
  const Type& shape = type(value);
  const std::int64_t m = shape.dims[shape.rank - 2U], n = shape.dims[shape.rank - 1U];
  const auto source = plan_.source_of(value);
  Factor factor;
  factor.rows = fmt::format("(Range){{0, {}}}", m);
  factor.columns = fmt::format("(Range){{0, {}}}", n);
  if (!source || shape.rank != 2) {
    factor.dtype = shape.dtype;
    factor.data = buffer(value) + batch;
    factor.row = fmt::format("{}", n);
    factor.column = "1";
    return factor;
  }
  const Type& from = type(source->value);
  factor.dtype = from.dtype;
  if (source->load == nullptr) {
    std::int64_t stride = 1, constant = 0, steps[2] = {0, 0};
    for (std::size_t axis = from.rank; axis-- > 0;) {
      const Index& index = source->map[axis];
      constant += index.offset * stride;
      if (index.variable >= 0) steps[index.variable] += index.coefficient * stride;
      stride *= from.dims[axis];
    }
    factor.data = fmt::format("{} + {}", buffer(source->value), constant);
    factor.row = fmt::format("{}", steps[0]);
    factor.column = fmt::format("{}", steps[1]);
    return factor;
  }
  const Op& load = *source->load;
  const View& memory = view(load.operands[0]);
  factor.area = Area::memory;
  factor.data = memory.pointer;
  factor.row = factor.column = "0";
  factor.rows = factor.columns = "(Range){0, 1}";
  for (std::size_t axis = 0; axis < source->map.size(); ++axis) {
    const Index& index = source->map[axis];
    const std::string at = fmt::format("(i64){} + {}", name(load.operands[1 + axis]), index.offset);
    factor.data += fmt::format(" + ({}) * {}", at, memory.strides[axis]);
    if (index.variable < 0) {
      factor.inside +=
          fmt::format(" && {}({}, {})", dialect_.function("is_inside", DType::i64), at, memory.extents[axis]);
      continue;
    }
    (index.variable == 0 ? factor.row : factor.column) = memory.strides[axis];
    (index.variable == 0 ? factor.rows : factor.columns) =
        fmt::format("{}({}, {}, {})", dialect_.function("range_of", DType::i64), at, memory.extents[axis],
                    index.variable == 0 ? m : n);
  }
  return factor;
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
  // As the prelude lays them out: whole rows of a, then one panel of b, of numbers or of pairs.
  const auto up_to = [](std::int64_t count, std::int64_t step) { return (count + step - 1) / step * step; };
  const std::int64_t rows = dialect_.rows_at_once();
  const std::int64_t lanes = target_.vector_bits / 8 / static_cast<std::uint32_t>(bytes) * 2;
  const Bf16 bf16 = bf16_of(target_, op, a.dtype, k);
  bf16_ = std::max(bf16_, bf16);
  const std::int64_t items = bf16 == Bf16::plain ? k : up_to(k, 32) / 2;
  const std::int64_t high = bf16 == Bf16::tiles ? std::max(up_to(m, 32), up_to(m, rows)) : up_to(m, rows);
  const std::int64_t space = high * (up_to(items, 16) + 16) + lanes * items;
  const std::size_t mark = arena_.mark();
  out_.open("{");
  declare("space", item, space, bytes);
  Product product;
  if (op.code == OpCode::dot_scaled) {
    declare("left", "f32", m * k, 4);
    declare("right", "f32", k * n, 4);
    out_.line("{}({}, {}, left, {}, {}, {});", dialect_.function("scale_rows", a.dtype), buffer(op.operands[0]),
              buffer(op.operands[1]), m, k, op.integer("block"));
    out_.line("{}({}, {}, right, {}, {}, {});", dialect_.function("scale_columns", type(op.operands[2]).dtype),
              buffer(op.operands[2]), buffer(op.operands[3]), k, n, op.integer("block"));
    const auto made = [](const std::string& data, std::int64_t height, std::int64_t width) {
      return Factor{Area::scratch,
                    DType::f32,
                    data,
                    fmt::format("{}", width),
                    "1",
                    fmt::format("(Range){{0, {}}}", height),
                    fmt::format("(Range){{0, {}}}", width)};
    };
    product.a = made("left", m, k);
    product.b = made("right", k, n);
  } else {
    product.a = factor(op.operands[0], batch == 1 ? "" : fmt::format(" + l * {}", m * k));
    product.b = factor(op.operands[1], batch == 1 ? "" : fmt::format(" + l * {}", k * n));
  }
  product.dtype = to.dtype;
  product.c = c + (batch == 1 ? "" : fmt::format(" + l * {}", m * n));
  product.m = m;
  product.n = n;
  product.k = k;
  product.bf16 = bf16;
  if (batch != 1) out_.open(fmt::format("for (i64 l = 0; l < {}; ++l) {{", batch));
  dialect_.product(out_, product);
  if (batch != 1) out_.close();
  out_.close();
  arena_.release(mark);
}

}  // namespace flagos::compiler::serial
