// Layers of experts: tokens in the order of experts, the products of each, and their weighted sum.
#include "ops/engine/composite.hpp"
#include "ops/engine/product.hpp"
#include "ops/engine/walk.hpp"
#include "ops/language/grouped.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// ---- tokens in the order of experts ----------------------------------------------------------------------------------

// Pairs of token and choice in the order of their experts, those of one expert in their own order; the pairs of each
// expert begin at a multiple of `block`.
struct Order {
  Tensor ids;  // dense: the expert of each pair
  std::int64_t experts = 0, block = 1;
  Tensor sorted;  // a row: numbers of pairs. Where none comes, nothing is written
  // With blocks: a row with the expert of each block, and how many places are used.
  const Tensor *block_experts = nullptr, *used = nullptr;
  // Without: behind the pairs of each expert, and where each pair came. Dense, int64.
  const Tensor *ends = nullptr, *places = nullptr;
};

class OrderKernels {
 public:
  OrderKernels(const Call& of_call, const Order& of_order)
      : call(of_call),
        order(of_order),
        blocks(of_order.block_experts != nullptr),
        width(of_call.device().is_serial() ? 2048 : 1024) {}

  // A program counts the pairs of an expert, in all of them: experts are few, and nothing depends on how programs are
  // scheduled.
  std::string count_text() const {
    return text([&](Kernel& k) {
      const auto ids = k.pointer("ids", stored_as(order.ids.dtype), "readonly, noalias");
      const auto counts = k.pointer("counts", i64, "noalias");
      const Tile pairs = k.scalar("pairs", i64), experts = k.scalar("experts", i64);
      const std::string message =
          call.op().name() + ": an expert of topk_ids is none of those there are";
      for_each_block(k, experts, [&](const Tile& expert) {
        const Tile count = k.loop(k.constant(i64, 0), pairs, k.constant(i64, width),
                                  k.constant(i64, 0), [&](const Tile& at, const Tile& before) {
                                    const Tile inside = cast(k.range(width), i64) + at < pairs;
                                    const Tile id = load(k, ids, pairs, at);
                                    k.require(((id >= 0) & (id < experts)) | !inside, message);
                                    return before + sum(cast((id == expert) & inside, i64), 0);
                                  });
        k.store(k.view(counts, {experts}, {1}), {expert}, count);
      });
    });
  }

  std::string place_text() const {
    return text([&](Kernel& k) {
      const auto ids = k.pointer("ids", stored_as(order.ids.dtype), "readonly, noalias");
      const auto counts = k.pointer("counts", i64, "readonly, noalias");
      const auto sorted = k.pointer("sorted", stored_as(order.sorted.dtype), "noalias");
      const auto first = k.pointer(blocks ? "block_experts" : "ends",
                                   blocks ? stored_as(order.block_experts->dtype) : i64, "noalias");
      const auto second = k.pointer(blocks ? "used" : "places",
                                    blocks ? stored_as(order.used->dtype) : i64, "noalias");
      const auto size = [&](const char* name) { return k.scalar(name, i64); };
      const Tile pairs = size("pairs"), experts = size("experts"), block = size("block");
      const Tile sorted_step = size("sorted_step"), first_step = size("first_step");
      const Tile zero = k.constant(i64, 0), step = k.constant(i64, width);
      const tile::View count_of = k.view(counts, {experts}, {1});
      const auto padded = [&](const Tile& count) { return (count + (block - 1)) / block * block; };
      for_each_block(k, experts, [&](const Tile& expert) {
        constexpr int few = 64;
        const Tile start =
            k.loop(zero, expert, k.constant(i64, few), zero, [&](const Tile& at, const Tile& sum_) {
              const Tile some = k.load(k.view(counts, {expert}, {1}), {at}, {few});
              return sum_ + sum(padded(some), 0);
            });
        const Tile end = start + padded(k.load(count_of, {expert}));
        k.loop(zero, pairs, step, start, [&](const Tile& at, const Tile& next) {
          const Tile number = cast(k.range(width), i64) + at;
          const Tile mine = (load(k, ids, pairs, at) == expert) & (number < pairs);
          const Tile ones = cast(mine, i64), place = cumsum(ones, 0) - ones + next;
          k.scatter(k.view(sorted, {end}, {sorted_step}), {place},
                    cast(number, stored_as(order.sorted.dtype)), mine);
          if (!blocks) k.scatter(k.view(second, {pairs}, {1}), {number}, place, mine);
          return next + sum(ones, 0);
        });
        if (!blocks) {
          k.store(k.view(first, {experts}, {1}), {expert}, end);
          return;
        }
        const DType number_type = order.block_experts->dtype;
        k.loop(start / block, end / block, step, [&](const Tile& at) {
          k.store(k.view(first, {end / block}, {first_step}), {at},
                  k.full(stored_as(number_type), {width}, cast(expert, stored_as(number_type))));
        });
        k.branch(expert == experts - 1, [&] {
          k.store(k.view(second, {1}, {1}), {0}, cast(end, stored_as(order.used->dtype)));
        });
      });
    });
  }

  void run() const {
    const std::int64_t pairs = order.ids.elements();
    const Scratch counts(call, DType::i64, std::array{order.experts});
    Key key = call.key();
    const auto ids_type = static_cast<std::uint64_t>(order.ids.dtype);
    Key counting = call.key();
    counting.add(6, 4).add(ids_type, 4);
    Launch(call, call.device().kernel(counting, [&] { return count_text(); }))
        .pointer(order.ids.address)
        .pointer(counts.tensor().address)
        .integer(pairs)
        .integer(order.experts)
        .run(order.experts);
    key.add(7, 4)
        .add(ids_type, 4)
        .add(blocks, 1)
        .add(static_cast<std::uint64_t>(order.sorted.dtype), 4);
    if (blocks)
      key.add(static_cast<std::uint64_t>(order.block_experts->dtype), 4)
          .add(static_cast<std::uint64_t>(order.used->dtype), 4);
    Launch(call, call.device().kernel(key, [&] { return place_text(); }))
        .pointer(order.ids.address)
        .pointer(counts.tensor().address)
        .pointer(order.sorted.address)
        .pointer(blocks ? order.block_experts->address : order.ends->address)
        .pointer(blocks ? order.used->address : order.places->address)
        .integer(pairs)
        .integer(order.experts)
        .integer(order.block)
        .integer(order.sorted.strides[0])
        .integer(blocks ? order.block_experts->strides[0] : 1)
        .run(order.experts);
  }

 private:
  template <typename F>
  std::string text(F build) const {
    tile::Module module;
    module.kernel("ops_order", {{"WIDTH", width}}, build);
    return module.text(false);
  }
  Tile load(Kernel& k, const tile::Pointer& ids, const Tile& pairs, const Tile& at) const {
    return cast(k.load(k.view(ids, {pairs}, {1}), {at}, {width}), i64);
  }

  const Call& call;
  const Order& order;
  bool blocks;
  int width;
};

void run_align(Call& call) {
  constexpr std::size_t sorted = 3, block_experts = 4, used = 5;
  const std::int64_t experts = call.integer(1), block = call.integer(2);
  if (experts < 1) call.refuse(1, "is {}; 1 is the least", experts);
  if (block < 1) call.refuse(2, "is {}; 1 is the least", block);
  for (const std::size_t i : {sorted, block_experts, used}) {
    call.expect_rank(i, 1, 1);
    call.expect_dtype(i, indices);
    call.expect_no_overlap(i, false);
  }
  const std::int64_t pairs = call.tensor(0).elements();
  // Experts without pairs take no place; every other one may waste block - 1 places.
  const std::int64_t most = pairs + std::min(experts, pairs) * (block - 1);
  const std::int64_t needed = std::max<std::int64_t>(most / block * block, 0);
  if (call.tensor(sorted).shape[0] < needed)
    call.refuse(sorted, "has {} elements; {} may be needed", call.tensor(sorted).shape[0], needed);
  if (call.tensor(block_experts).shape[0] < needed / block)
    call.refuse(block_experts, "has {} elements; {} may be needed",
                call.tensor(block_experts).shape[0], needed / block);
  call.expect_shape(used, std::array<std::int64_t, 1>{1});
  fill(call, call.tensor(sorted), {DType::i64, pairs, 0});
  fill(call, call.tensor(block_experts), {DType::i64, -1, 0});
  const Dense ids(call, call.tensor(0));
  Order order;
  order.ids = ids.tensor();
  order.experts = experts;
  order.block = block;
  order.sorted = call.tensor(sorted);
  order.block_experts = &call.tensor(block_experts);
  order.used = &call.tensor(used);
  OrderKernels(call, order).run();
}

// ---- what comes out of them ------------------------------------------------------------------------------------------

// out[token] = sum over j of weights[token, j] * rows[places[token, j]], or of rows[token, j] itself.
void sum_choices(Call& call, const Tensor& rows, const Tensor* weights, const Tensor* places,
                 std::int64_t choices, const Tensor& out) {
  const std::int64_t columns = out.shape[1];
  if (out.elements() == 0) return;
  const DType weight_type = weights != nullptr ? weights->dtype : DType::boolean;
  int width = 64;
  while (width < columns && width < 1024) width *= 2;
  const tile::DType computed = computed_as(rows.dtype);
  Key key = call.key();
  key.add(8, 4).add(static_cast<std::uint64_t>(rows.dtype), 4);
  key.add(static_cast<std::uint64_t>(weight_type), 4).add(static_cast<std::uint64_t>(out.dtype), 4);
  key.add(static_cast<std::uint64_t>(width), 11);
  Launch launch(call, call.device().kernel(key, [&] {
    tile::Module module;
    module.kernel("ops_sum_choices", {{"WIDTH", width}}, [&](Kernel& k) {
      const auto from = k.pointer("rows", stored_as(rows.dtype), "readonly, noalias");
      const auto by =
          weights ? k.pointer("weights", stored_as(weight_type), "readonly, noalias") : from;
      const auto at = weights ? k.pointer("places", i64, "readonly, noalias") : from;
      const auto to = k.pointer("out", stored_as(out.dtype), "noalias");
      const auto size = [&](const char* name) { return k.scalar(name, i64); };
      const Tile tokens = size("tokens"), count = size("choices"), wide = size("columns");
      const Tile row_step = size("row_step"), choice_step = size("choice_step");
      const Tile unit = size("unit");
      const Tile weight_row = size("weight_row"), weight_unit = size("weight_unit");
      const Tile out_row = size("out_row"), out_unit = size("out_unit");
      const Tile across = (wide + (width - 1)) / width;
      for_each_block(k, tokens * across, [&](const Tile& block) {
        const Tile token = block / across, column = block % across * width;
        const Tile total =
            k.loop(k.constant(i64, 0), count, k.constant(i64, 1), k.full(computed, {width}, 0.0),
                   [&](const Tile& j, const Tile& so_far) {
                     if (!weights) {
                       const tile::View all =
                           k.view(from, {tokens, count, wide}, {row_step, choice_step, unit});
                       const Tile row = k.load(all, {token, j, column}, {1, 1, width});
                       return so_far + cast(reshape(row, {width}), computed);
                     }
                     const Tile place = k.load(k.view(at, {tokens, count}, {count, 1}), {token, j});
                     const Tile weight = cast(
                         k.load(k.view(by, {tokens, count}, {weight_row, weight_unit}), {token, j}),
                         computed);
                     const Tile row = k.load(k.view(from, {tokens * count, wide}, {row_step, unit}),
                                             {place, column}, {1, width});
                     return so_far + cast(reshape(row, {width}), computed) * weight;
                   });
        k.store(k.view(to, {tokens, wide}, {out_row, out_unit}), {token, column},
                reshape(cast(total, stored_as(out.dtype)), {1, width}));
      });
    });
    return module.text(false);
  }));
  launch.pointer(rows.address);
  if (weights != nullptr) launch.pointer(weights->address).pointer(places->address);
  launch.pointer(out.address).integer(out.shape[0]).integer(choices).integer(columns);
  launch.integer(rows.strides[0]).integer(rows.rank == 3 ? rows.strides[1] : 0);
  launch.integer(rows.strides[rows.rank - 1]);
  launch.integer(weights ? weights->strides[0] : 0).integer(weights ? weights->strides[1] : 0);
  launch.integer(out.strides[0]).integer(out.strides[1]);
  launch.run(out.shape[0] * ((columns + width - 1) / width));
}

void run_moe_sum(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(1);
  call.expect_rank(0, 3, 3);
  call.expect_dtype(0, floats);
  call.expect_shape(1, std::array{in.shape[0], in.shape[2]});
  call.expect_same_dtype(1, 0);
  expect_apart(call, 0, 1);
  sum_choices(call, in, nullptr, nullptr, in.shape[1], out);
}

// ---- the layer -------------------------------------------------------------------------------------------------------

void run_fused_moe(Call& call) {
  constexpr std::size_t w1 = 1, w2 = 2, weights = 3, ids = 4, activation = 5, out = 6;
  const Tensor &x = call.tensor(0), &first = call.tensor(w1), &second = call.tensor(w2);
  call.expect_rank(0, 2, 2);
  call.expect_dtype(0, floats);
  for (const std::size_t i : {w1, w2}) {
    call.expect_rank(i, 3, 3);
    call.expect_same_dtype(i, 0);
  }
  const std::int64_t tokens = x.shape[0], hidden = x.shape[1], experts = first.shape[0],
                     inner = first.shape[1] / 2;
  if (first.shape[2] != hidden || first.shape[1] % 2 != 0)
    call.refuse(w1, "is of shape {}, and [experts, 2 * inner, {}] is needed", first.shape_text(),
                hidden);
  call.expect_shape(w2, std::array{experts, hidden, inner});
  call.expect_rank(weights, 2, 2);
  call.expect_dtype(weights, floats);
  const std::int64_t choices = call.tensor(weights).shape[1], pairs = tokens * choices;
  call.expect_shape(weights, std::array{tokens, choices});
  call.expect_shape(ids, call.tensor(weights));
  call.expect_shape(out, x);
  call.expect_same_dtype(out, 0);
  // The input is read before anything is written, so the output may be it.
  const bool in_place =
      x.address == call.tensor(out).address && x.strides == call.tensor(out).strides;
  for (const std::size_t i : {std::size_t{0}, w1, w2, weights, ids})
    if (i != 0 || !in_place) expect_apart(call, i, out);
  if (x.elements() == 0) return;
  if (pairs == 0 || inner == 0) return fill(call, call.tensor(out), {});
  if (experts == 0)
    call.refuse(w1, "has no experts, and {} pairs of token and expert are asked for", pairs);

  const DType summed = computed_as(x.dtype) == tile::DType::f64 ? DType::f64 : DType::f32;
  const Dense chosen(call, call.tensor(ids));
  const Scratch sorted(call, DType::i64, {&pairs, 1}), places(call, DType::i64, {&pairs, 1}),
      ends(call, DType::i64, {&experts, 1});
  Order order;
  order.ids = chosen.tensor();
  order.experts = experts;
  order.sorted = sorted.tensor();
  order.ends = &ends.tensor();
  order.places = &places.tensor();
  OrderKernels(call, order).run();

  const Scratch rows(call, x.dtype, std::array{pairs, hidden});
  take_rows(call, x, sorted.tensor(), choices, rows.tensor());
  const Scratch both(call, summed, std::array{pairs, 2 * inner});
  run_grouped(call, {rows.tensor(), first.transposed(1, 2), both.tensor(), ends.tensor()});
  const Scratch between(call, x.dtype, std::array{pairs, inner});
  call_operator(call.stream(), call.word(activation) == 0 ? "silu_and_mul" : "gelu_and_mul",
                {both.tensor().narrowed(1, 0, inner), both.tensor().narrowed(1, inner, inner),
                 between.tensor()});
  const Scratch results(call, summed, std::array{pairs, hidden});
  run_grouped(call, {between.tensor(), second.transposed(1, 2), results.tensor(), ends.tensor()});
  sum_choices(call, results.tensor(), &call.tensor(weights), &places.tensor(), choices,
              call.tensor(out));
}

}  // namespace

void add_experts(Table& table) {
  table.add(
      "moe_align_block_size(Tensor:int topk_ids, int num_experts, int block_size, Tensor! "
      "sorted_token_ids, Tensor! expert_ids, Tensor! num_tokens_post_pad)",
      indices, exact, run_align);
  table.add("moe_sum(Tensor input, Tensor! output)", floats, summed(2, 1), run_moe_sum);
  // Of float16 and bfloat16, what is between the products is rounded to the type, which counts in them as an error of the
  // inputs does.
  table.add(
      "fused_moe(Tensor hidden_states, Tensor w1, Tensor w2, Tensor topk_weights, Tensor:int "
      "topk_ids, str activation=silu|gelu, Tensor! out)",
      floats, summed(16, 4), run_fused_moe);
}

}  // namespace flagos::ops
