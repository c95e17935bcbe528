// The router of a mixture of experts: the most probable experts of each token, and how much each counts.
#include <limits>

#include "ops/engine/launch.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i32 = tile::DType::i32;
constexpr auto i64 = tile::DType::i64;
constexpr double infinity = std::numeric_limits<double>::infinity();

int power_from(std::int64_t count, int low) {
  int power = low;
  while (power < count) power *= 2;
  return power;
}

constexpr std::int64_t most_experts = 8192;

struct Router {
  DType in, weights, indices, pairs;
  bool has_pairs = false, renormalize = false;
  int height = 1, width = 8, chosen = 4;  // of tiles: tokens, experts, experts of a token
};

std::string router_text(const Router& v) {
  const tile::DType computed = computed_as(v.in);
  tile::Module module;
  module.kernel(
      "ops_topk_softmax", {{"HEIGHT", v.height}, {"WIDTH", v.width}, {"CHOSEN", v.chosen}},
      [&](Kernel& k) {
        const auto from = k.pointer("x", stored_as(v.in), "readonly, noalias");
        const auto weights = k.pointer("weights", stored_as(v.weights), "noalias");
        const auto indices = k.pointer("indices", stored_as(v.indices), "noalias");
        const auto pairs =
            v.has_pairs ? k.pointer("pairs", stored_as(v.pairs), "noalias") : indices;
        const auto size = [&](const std::string& n) { return k.scalar(n, i64); };
        const Tile tokens = size("tokens"), experts = size("experts"), top = size("k");
        std::vector<tile::Extent> strides;
        for (int i = 0; i < (v.has_pairs ? 8 : 6); ++i)
          strides.emplace_back(size(fmt::format("s{}", i)));
        for_each_block(k, (tokens + (v.height - 1)) / v.height, [&](const Tile& block) {
          const Tile token = block * v.height;
          const Tile x = cast(k.load(k.view(from, {tokens, experts}, {strides[0], strides[1]}),
                                     {token, 0}, {v.height, v.width}, -infinity),
                              computed);
          const Tile inside = expand(cast(k.range(v.width), i64) < experts, 0);
          const Tile e = exp(x - expand(reduce_max(x, 1), 1));
          const Tile share = e * (1.0 / expand(sum(where(inside, e, 0.0), 1), 1));
          const Tile column = expand(k.range(v.width), 0), place = expand(k.range(v.chosen), 0);
          const std::vector<int> shape{v.height, v.chosen};
          // Those that are taken, and those that are none, are below every share.
          const auto found = k.loop(
              k.constant(i64, 0), top, k.constant(i64, 1),
              carry(where(inside, share, -1.0), k.full(computed, shape, 0), k.full(i32, shape, 0)),
              [&](const Tile& j, const Tile& left, const Tile& values, const Tile& numbers) {
                const auto best = argmax(left, 1);
                const Tile value = expand(best[0], 1), number = expand(best[1], 1);
                const Tile here = place == cast(j, i32);
                return carry(where(column == number, -1.0, left), where(here, value, values),
                             where(here, number, numbers));
              });
          Tile values = found[1];
          if (v.renormalize) values = values / expand(sum(values, 1), 1);
          k.store(k.view(weights, {tokens, top}, {strides[2], strides[3]}), {token, 0},
                  cast(values, stored_as(v.weights)));
          k.store(k.view(indices, {tokens, top}, {strides[4], strides[5]}), {token, 0},
                  cast(found[2], stored_as(v.indices)));
          if (!v.has_pairs) return;
          // The number of a pair of token and choice, as in a matrix [k, tokens].
          const Tile number = expand(cast(k.range(v.chosen), i64), 0) * tokens +
                              expand(cast(k.range(v.height), i64) + token, 1);
          k.store(k.view(pairs, {tokens, top}, {strides[6], strides[7]}), {token, 0},
                  cast(number, stored_as(v.pairs)));
        });
      });
  return module.text(false);
}

void run_topk_softmax(Call& call) {
  constexpr std::size_t weights = 2, numbers = 3, pairs = 4;
  const Tensor &x = call.tensor(0), &out = call.tensor(weights);
  call.expect_rank(0, 2, 2);
  call.expect_dtype(0, floats);
  call.expect_rank(weights, 2, 2);
  call.expect_dtype(weights, floats);
  call.expect_dtype(numbers, indices);
  const std::int64_t tokens = x.shape[0], experts = x.shape[1], top = out.shape[1];
  if (out.shape[0] != tokens || top > experts || (top < 1 && tokens > 0))
    call.refuse(weights, "is of shape {}, and [{}, 1 to {}] is needed", out.shape_text(), tokens,
                experts);
  if (experts > most_experts)
    call.refuse(0, "has {} experts; {} are the most", experts, most_experts);
  const bool has_pairs = call.has(pairs);
  call.expect_shape(numbers, out);
  if (has_pairs) {
    call.expect_shape(pairs, out);
    call.expect_dtype(pairs, indices);
    call.expect_no_overlap(pairs, false);
  }
  call.expect_no_overlap(weights, false);
  call.expect_no_overlap(numbers, false);
  if (tokens == 0) return;
  Router v{x.dtype, out.dtype, call.tensor(numbers).dtype,
           has_pairs ? call.tensor(pairs).dtype : DType::i32};
  v.has_pairs = has_pairs;
  v.renormalize = call.flag(1);
  v.width = power_from(experts, 8);
  v.chosen = power_from(top, 4);
  v.height = std::max(1, (call.device().is_serial() ? 2048 : 512) / v.width);
  Key key = call.key();
  for (const DType dtype : {v.in, v.weights, v.indices, v.pairs})
    key.add(static_cast<std::uint64_t>(dtype), 4);
  key.add(has_pairs, 1).add(v.renormalize, 1).add(static_cast<std::uint64_t>(v.width), 14);
  key.add(static_cast<std::uint64_t>(v.chosen), 14).add(static_cast<std::uint64_t>(v.height), 9);
  Launch launch(call, call.device().kernel(key, [&] { return router_text(v); }));
  launch.pointer(x.address);
  for (const std::size_t i : {weights, numbers, pairs})
    if (call.has(i)) launch.pointer(call.tensor(i).address);
  launch.integer(tokens).integer(experts).integer(top);
  for (const std::size_t i : {std::size_t{0}, weights, numbers, pairs})
    if (call.has(i)) launch.integer(call.tensor(i).strides[0]).integer(call.tensor(i).strides[1]);
  launch.run((tokens + v.height - 1) / v.height);
}

}  // namespace

void add_router(Table& table) {
  table.add(
      "topk_softmax(Tensor gating_output, bool renormalize=0, Tensor! topk_weights, Tensor! "
      "topk_indices, Tensor!? token_expert_indices)",
      floats, summed(4, 8), run_topk_softmax);
}

}  // namespace flagos::ops
