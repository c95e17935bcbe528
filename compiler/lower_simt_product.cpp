// Products. Both factors go to local memory; then every thread sums up the elements that it owns: a block of them where
// the tile is laid out so (simt_tiling.hpp), by the tensor cores where the target has them.
#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {

// sum + a * b, as the product is summed.
std::string SimtEmitter::add_product(const Op& op, const std::string& sum, const std::string& a, const std::string& b) {
  const DType dtype = result_type(op).dtype;
  if (dtype == DType::i32) return fmt::format("to_i32(to_u32({}) + to_u32({}) * to_u32({}))", sum, a, b);
  if (!op.has("strict") || !is_float(dtype)) return fmt::format("{} + {} * {}", sum, a, b);
  needs_.strict = true;
  const std::string kind = register_type(dtype);
  return fmt::format("strict_add_{0}({1}, strict_mul_{0}({2}, {3}))", kind, sum, a, b);
}

// a and b in local memory, as the type that products are summed in.
void SimtEmitter::emit_dot(const Op& op) {
  const Tiling* const tiling = tiling_of(op);
  if (tiling != nullptr && tiling->tensor) return emit_tensor_dot(op, *tiling);
  const bool scaled = op.code == OpCode::dot_scaled;
  const std::size_t third = scaled ? 4 : 2;
  const Type& left = operand_type(op, 0);
  const Type& to = result_type(op);
  const std::int64_t columns = to.dims[to.rank - 1U], rows = to.dims[to.rank - 2U], depth = left.dims[left.rank - 1U];
  const bool strict = op.has("strict") && is_float(to.dtype);
  LocalRange a{}, b{};
  if (scaled) {
    const std::int64_t block = op.integer("block");
    const LocalRange left_scale = put(op, op.operands[1]), right_scale = put(op, op.operands[3]);
    barrier();
    const auto put_scaled = [&](std::size_t operand, const LocalRange& scales, const std::string& index) {
      const DType dtype = operand_type(op, operand).dtype;
      const LocalRange range = allocate(op, static_cast<std::uint64_t>(operand_type(op, operand).elements()));
      open_for(op.operands[operand]);
      settle(range);
      const bool one = is_uniform(op.operands[operand]);
      const std::string scale = read_local(DType::u8, scales, one ? "0u" : index);
      line(write_local(
          DType::f32, range, one ? "0u" : "e",
          fmt::format("({} * {}({}))", cast(dtype, DType::f32, own(op, operand), Rounding::nearest_even, false),
                      call("fl_scale_f32"), scale)));
      touch(range);
      touch(scales);
      used(op.operands[operand]);
      return range;
    };
    a = put_scaled(0, left_scale, fmt::format("e / {}u", block));
    b = put_scaled(2, right_scale, fmt::format("e / {0}u * {1}u + e % {1}u", block * columns, columns));
    release(left_scale);
    release(right_scale);
  } else {
    a = take_range(op, 0);
    b = take_range(op, 1);
  }
  barrier();
  if (threads_ == 1 && !is_uniform(op.results[0]) && to.rank == 2 && is_float(to.dtype) && !strict) {
    emit_product_rows(op, a, b, op.operands[third]);
    release(a);
    release(b);
    return;
  }
  if (tiling != nullptr) {
    emit_tiled_dot(op, *tiling, a, b, op.operands[third]);
    give_back_range(op, 0, a);
    give_back_range(op, 1, b);
    return;
  }
  open_for(op.results[0]);
  const bool one = is_uniform(op.results[0]);
  const std::string e = one ? "0u" : "e", kind = register_type(to.dtype), sum = fmt::format("v{}", root(op.results[0]));
  line("{} {} = {};", kind, sum, own(op, third));
  const std::string row = index_name(fmt::format("({} / {}u * {}u)", e, columns, depth));
  const std::string column =
      index_name(fmt::format("({0} / {1}u * {2}u + {0} % {3}u)", e, rows * columns, depth * columns, columns));
  line("for (u32 k = 0u; k < {}u; ++k) {{", depth);
  line("{} = {};\n}}", sum,
       add_product(op, sum, read_local(to.dtype, a, fmt::format("{} + k", row)),
                   read_local(to.dtype, b, fmt::format("{} + k * {}u", column, columns))));
  used(op.operands[third]);
  name(op.results[0], sum);
  touch(a);
  touch(b);
  release(a);
  release(b);
}

// Neighbours in a column of a lie in different banks.
std::int64_t SimtEmitter::padding_of(const Op& op, std::size_t side) const {
  return plan_.roomy && side == 0 && tiling_of(op) != nullptr && operand_type(op, 0).dims[1] % 2 == 0 ? 1 : 0;
}

LocalRange SimtEmitter::take_range(const Op& op, std::size_t side) {
  if (const auto kept = kept_.find({&op, side}); kept != kept_.end()) return *kept->second.own;
  return put_as(op, op.operands[side], result_type(op).dtype, padding_of(op, side));
}

void SimtEmitter::give_back_range(const Op& op, std::size_t side, const LocalRange& range) {
  if (kept_.count({&op, side}) == 0) release(range);
}

// One thread has all elements: row by row, so that its compiler makes vectors of the columns.
void SimtEmitter::emit_product_rows(const Op& op, const LocalRange& a, const LocalRange& b, ValueId start) {
  const Type& to = result_type(op);
  const std::int64_t depth = operand_type(op, 0).dims[1], rows = to.dims[0], columns = to.dims[1];
  const std::string sum = start_sums(op, start);
  line("for (u32 i = 0u; i < {}u; ++i) for (u32 k = 0u; k < {}u; ++k) {{", rows, depth);
  line("const {} x = {};", register_type(to.dtype), read_local(to.dtype, a, fmt::format("i * {}u + k", depth)));
  line("for (u32 n = 0u; n < {0}u; ++n) {1}[i * {0}u + n] = {1}[i * {0}u + n] + x * {2};\n}}", columns, sum,
       read_local(to.dtype, b, fmt::format("k * {}u + n", columns)));
  touch(a);
  touch(b);
}

// A copy of what the product is added to, which the sums grow in.
std::string SimtEmitter::start_sums(const Op& op, ValueId start) {
  const std::string sums = fmt::format("r{}", op.results[0]);
  declare(op.results[0], sums);
  open_for(op.results[0]);
  line("{}[j] = {};", sums, own(start));
  used(start);
  close();
  return sums;
}

// Of a column of a and a row of b every number is read once for a whole block of sums.
void SimtEmitter::emit_tiled_dot(const Op& op, const Tiling& tiling, const LocalRange& a, const LocalRange& b,
                                 ValueId start) {
  const DType dtype = result_type(op).dtype;
  const std::string kind = register_type(dtype), sums = start_sums(op, start);
  const std::int64_t depth = operand_type(op, 0).dims[1];
  const auto each = [&](const char* i, std::int64_t count) {
    const bool few = count <= static_cast<std::int64_t>(target_.unroll);
    return fmt::format("{0}for (u32 {1} = 0u; {1} < {2}u; ++{1}) ", few ? fmt::format("UNROLL({}) ", count) : "", i,
                       count);
  };
  line("for (u32 k = 0u; k < {}u; ++k) {{\n{} x[{}], y[{}];", depth, kind, tiling.own_rows, tiling.own_columns);
  const std::string row =
      fmt::format("(t / {}u + i * {}u) * {}u + k", tiling.grid_columns, tiling.grid_rows, depth + padding_of(op, 0));
  line("{}x[i] = {};", each("i", tiling.own_rows), read_local(dtype, a, row));
  const std::string column = fmt::format("k * {1}u + t % {0}u + n * {0}u", tiling.grid_columns, tiling.columns);
  line("{}y[n] = {};", each("n", tiling.own_columns), read_local(dtype, b, column));
  const std::string sum = fmt::format("{}[i * {}u + n]", sums, tiling.own_columns);
  line("{}{}{} = {};\n}}", each("i", tiling.own_rows), each("n", tiling.own_columns), sum,
       add_product(op, sum, "x[i]", "y[n]"));
  touch(a);
  touch(b);
}

}  // namespace flagos::compiler
