// Products with weights of 8 bits and scales: one for each row of the weight, or one for each group along it.
#include "ops/engine/launch.hpp"
#include "ops/engine/product.hpp"
#include "ops/language/blocks.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

struct Variant {
  DType in, scale, out;
  Blocks blocks;
  bool one_row;  // of the input
  Key key(const Call& call) const {
    Key key = call.key();
    for (const DType dtype : {in, scale, out}) key.add(static_cast<std::uint64_t>(dtype), 4);
    return blocks.add_to(key.add(one_row, 1));
  }
};

struct Sizes {
  Tile m, n, groups,
      group;  // of the input, of the weight; groups of each of its rows, and how long they are
  std::array<Tile, 2> input, weight, scale, out;  // strides
  Tile depth() const { return groups * group; }
};

// A block of the output: the products of each group, times its scales.
void multiply_blocks(Kernel& k, const Variant& v, const Sizes& s, const tile::Pointer& input,
                     const tile::Pointer& weight, const tile::Pointer& scales,
                     const tile::Pointer& to) {
  const int bm = v.blocks.rows, bn = v.blocks.columns, bk = v.blocks.depth;
  const tile::DType in = stored_as(v.in), sum_type = computed_as(v.in);
  const Tile zero = k.constant(i64, 0), one = k.constant(i64, 1);
  const Tile down = (s.m + (bm - 1)) / bm, across = (s.n + (bn - 1)) / bn;
  for_each_block(k, down * across, [&](const Tile& block) {
    const Tile row = block / across * bm, column = block % across * bn;
    const tile::View out = k.view(to, {s.m, s.n}, {s.out[0], s.out[1]});
    const Tile total =
        k.loop(zero, s.groups, one, k.full(sum_type, {bm, bn}, 0.0),
               [&](const Tile& group, const Tile& so_far) {
                 const Tile low = group * s.group, high = low + s.group;
                 const tile::View a = k.view(input, {s.m, high}, {s.input[0], s.input[1]});
                 const tile::View b = k.view(weight, {high, s.n}, {s.weight[1], s.weight[0]});
                 const Tile part = k.loop(low, high, bk, k.full(sum_type, {bm, bn}, 0.0),
                                          [&](const Tile& at, const Tile& sum) {
                                            const Tile left = k.load(a, {row, at}, {bm, bk});
                                            const Tile right = k.load(b, {at, column}, {bk, bn});
                                            return dot(left, cast(right, in), sum);
                                          });
                 const tile::View scale = k.view(scales, {s.groups, s.n}, {s.scale[1], s.scale[0]});
                 return so_far + part * cast(k.load(scale, {group, column}, {1, bn}), sum_type);
               });
    k.store(out, {row, column}, cast(total, stored_as(v.out)));
  });
}

// One row: what counts is to read the weight once, along its memory.
void multiply_row(Kernel& k, const Variant& v, const Sizes& s, const tile::Pointer& input,
                  const tile::Pointer& weight, const tile::Pointer& scales,
                  const tile::Pointer& to) {
  const int rows = v.blocks.rows, bk = v.blocks.depth;
  const tile::DType sum_type = computed_as(v.in);
  const Tile zero = k.constant(i64, 0), one = k.constant(i64, 1);
  for_each_block(k, (s.n + (rows - 1)) / rows, [&](const Tile& block) {
    const Tile row = block * rows;
    const Tile total = k.loop(
        zero, s.groups, one, k.full(sum_type, {rows}, 0.0),
        [&](const Tile& group, const Tile& so_far) {
          const Tile low = group * s.group, high = low + s.group;
          const tile::View x = k.view(input, {high}, {s.input[1]});
          const tile::View w = k.view(weight, {s.n, high}, {s.weight[0], s.weight[1]});
          const Tile part = k.loop(
              low, high, bk, k.full(sum_type, {rows}, 0.0), [&](const Tile& at, const Tile& sum) {
                const Tile left = cast(k.load(w, {row, at}, {rows, bk}), sum_type);
                const Tile right = expand(cast(k.load(x, {at}, {bk}), sum_type), 0);
                return sum + tile::sum(left * right, 1);
              });
          const Tile scale =
              reshape(k.load(k.view(scales, {s.n, s.groups}, {s.scale[0], s.scale[1]}),
                             {row, group}, {rows, 1}),
                      {rows});
          return so_far + part * cast(scale, sum_type);
        });
    k.store(k.view(to, {s.n}, {s.out[1]}), {row}, cast(total, stored_as(v.out)));
  });
}

std::string text_of(const Variant& v) {
  tile::Module module;
  const tile::Constants constants{
      {"ROWS", v.blocks.rows}, {"COLUMNS", v.blocks.columns}, {"DEPTH", v.blocks.depth}};
  module.kernel("ops_weight_int8pack_mm", constants, [&](Kernel& k) {
    const auto input = k.pointer("input", stored_as(v.in), "readonly, noalias");
    const auto weight = k.pointer("weight", tile::DType::i8, "readonly, noalias");
    const auto scales = k.pointer("scales", stored_as(v.scale), "readonly, noalias");
    const auto to = k.pointer("out", stored_as(v.out), "noalias");
    const auto size = [&](const char* name) { return k.scalar(name, i64); };
    const auto two = [&](const char* down, const char* across) {
      const Tile first = size(down);
      return std::array<Tile, 2>{first, size(across)};
    };
    const Tile m = size("m"), n = size("n"), groups = size("groups"), group = size("group");
    const auto input_steps = two("input_m", "input_k"), weight_steps = two("weight_n", "weight_k");
    const auto scale_steps = two("scale_n", "scale_g"), out_steps = two("out_m", "out_n");
    const Sizes sizes{m, n, groups, group, input_steps, weight_steps, scale_steps, out_steps};
    (v.one_row ? multiply_row : multiply_blocks)(k, v, sizes, input, weight, scales, to);
  });
  return module.text(false);
}

void run_int8(Call& call) {
  constexpr std::size_t weight = 1, scales = 2, out = 3;
  const Tensor &w = call.tensor(weight), &scale = call.tensor(scales);
  call.expect_rank(0, 1, max_rank);
  call.expect_dtype(0, floats);
  call.expect_rank(weight, 2, 2);
  call.expect_dtype(weight, DType::i8);
  call.expect_rank(scales, 1, 2);
  call.expect_dtype(scales, floats);
  call.expect_dtype(out, floats);
  for (const std::size_t i : {std::size_t{0}, weight, scales}) expect_apart(call, i, out);
  const Tensor& given = call.tensor(0);
  const std::int64_t depth = given.shape[given.rank - 1], n = w.shape[0];
  if (w.shape[1] != depth)
    call.refuse(weight, "is of shape {}, and input of shape {}: {} and {} elements are multiplied",
                w.shape_text(), given.shape_text(), depth, w.shape[1]);
  const std::int64_t groups = scale.rank == 2 ? scale.shape[1] : 1;
  if (scale.shape[0] != n || groups == 0 || depth % groups != 0)
    call.refuse(scales, "is of shape {}; [{}], or [{}, groups] where groups divides {}, is needed",
                scale.shape_text(), n, n, depth);
  std::vector<std::int64_t> shape(given.dims().begin(), given.dims().end());
  shape.back() = n;
  call.expect_shape(out, shape);
  if (call.tensor(out).elements() == 0) return;
  // Rows of all axes before the last are rows of one matrix.
  const std::int64_t m = call.tensor(out).elements() / n;
  const std::array<std::int64_t, 2> in_shape{m, depth}, out_shape{m, n};
  const bool flat = given.rank <= 2;
  std::unique_ptr<Dense> dense;
  if (!flat) dense = std::make_unique<Dense>(call, given);
  const Tensor row_of = given.rank == 1 ? given.with_axis(0, 1, 0) : given;
  const Tensor input = flat ? row_of : dense->tensor().viewed_as(in_shape);
  const Tensor& to = call.tensor(out);
  std::unique_ptr<Written> written;
  if (!flat) written = std::make_unique<Written>(call, to);
  const Tensor target =
      flat ? (to.rank == 1 ? to.with_axis(0, 1, 0) : to) : written->tensor().viewed_as(out_shape);

  const bool serial = call.device().is_serial();
  Variant v{given.dtype, scale.dtype, to.dtype, Blocks::choose(call, m, n, depth / groups), m == 1};
  while (v.blocks.depth / 2 >= depth / groups && v.blocks.depth > 16) v.blocks.depth /= 2;
  if (v.one_row) v.blocks = serial ? Blocks{8, 1, 256} : Blocks{4, 1, 128};
  Launch launch(call, call.device().kernel(v.key(call), [&] { return text_of(v); }));
  launch.pointer(input.address).pointer(w.address).pointer(scale.address).pointer(target.address);
  launch.integer(m).integer(n).integer(groups).integer(depth / groups);
  for (const Tensor* tensor : {&input, &w})
    launch.integer(tensor->strides[0]).integer(tensor->strides[1]);
  launch.integer(scale.strides[0]).integer(scale.rank == 2 ? scale.strides[1] : 0);
  launch.integer(target.strides[0]).integer(target.strides[1]);
  const auto divided = [](std::int64_t count, std::int64_t by) { return (count + by - 1) / by; };
  launch.run(v.one_row ? divided(n, v.blocks.rows)
                       : divided(m, v.blocks.rows) * divided(n, v.blocks.columns));
  if (written) written->finish();
}

}  // namespace

void add_quantized(Table& table) {
  table.add("weight_int8pack_mm(Tensor input, Tensor mat2, Tensor scales, Tensor! out)", floats,
            summed(4, 1), run_int8);
}

}  // namespace flagos::ops
