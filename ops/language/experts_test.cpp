// Tokens in the order of experts, and the layer of experts against one product after the other in long double.
#include <cmath>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

void check_align(const HostTensor& given, I experts, I block, DType dtype, Placement p) {
  const std::string which = fmt::format("{} pairs, {} experts, blocks of {} {}", given.elements(),
                                        experts, block, placement_name(p));
  INFO(which);
  HostTensor ids = given;
  const I pairs = ids.elements(), room = (pairs + experts * (block - 1)) / block * block + 3;
  HostTensor sorted(dtype, {room}, p), of_block(dtype, {room / block + 2}, p), used(dtype, {1});
  const std::vector<unsigned char> before = sorted.bytes();
  must_call("moe_align_block_size", {&ids, experts, block, &sorted, &of_block, &used});
  std::vector<Number> expected, expected_blocks;
  for (I e = 0; e < experts; ++e) {
    const std::size_t start = expected.size();
    for (I i = 0; i < pairs; ++i)
      if (ids.get(i) == e) expected.push_back(i);
    while ((expected.size() - start) % static_cast<std::size_t>(block) != 0)
      expected.push_back(pairs);
    while (expected_blocks.size() * static_cast<std::size_t>(block) < expected.size())
      expected_blocks.push_back(e);
  }
  CHECK(used.get(0) == static_cast<Number>(expected.size()));
  expected.resize(static_cast<std::size_t>(room), pairs);
  expected_blocks.resize(static_cast<std::size_t>(of_block.elements()), -1);
  CHECK(sorted.values() == expected);
  CHECK(of_block.values() == expected_blocks);
  CHECK(sorted.strayed(before) == 0);
}

HostTensor random_ids(std::mt19937_64& random, Shape shape, I experts, DType dtype = DType::i32,
                      Placement p = Placement::dense) {
  HostTensor out(dtype, std::move(shape), p);
  out.fill_random(random, 0, static_cast<double>(experts - 1), true);
  return out;
}

}  // namespace

TEST_CASE("language: moe_align_block_size") {
  std::mt19937_64 random(seed());
  for (const I block : {I{1}, I{4}, I{16}, I{64}})
    check_align(random_ids(random, {33, 2}, 8), 8, block, DType::i32, Placement::dense);
  check_align(random_ids(random, {1500, 4}, 70), 70, 16, DType::i64, Placement::dense);
  check_align(random_ids(random, {5, 1}, 3, DType::i64, Placement::sliced), 200, 8, DType::i32,
              Placement::sliced);
  check_align(random_ids(random, {9, 2}, 1), 4, 8, DType::i32, Placement::dense);  // all to one
  check_align(HostTensor(DType::i32, {0, 2}), 4, 8, DType::i32, Placement::dense);
}

TEST_CASE("language: moe_sum") {
  for (const DType dtype : types_of(floats))
    for (const Placement p : placements()) {
      HostTensor x(dtype, {3, 4, 70}, p), out(dtype, {3, 70}, written(p));
      x.fill([](I i) { return i % 13 - 6; });
      must_give("moe_sum", {&x, &out}, out, [&](const Shape& i) {
        Number sum = 0;
        for (I j = 0; j < 4; ++j) sum += at(x, {i[0], j, i[1]});
        return sum;
      });
    }
  HostTensor none(DType::f32, {3, 0, 5}), out(DType::f32, {3, 5});
  must_give("moe_sum", {&none, &out}, out, [](const Shape&) { return 0; });
}

namespace {

struct Layer {
  I tokens = 7, hidden = 20, inner = 12, experts = 4, choices = 2;
  DType dtype = DType::f32;
  bool gelu = false, whole = false;
};

Number active(Number x, bool gelu) {
  return gelu ? x / 2 * (1 + std::erf(x / std::sqrt(Number{2}))) : x / (1 + std::exp(-x));
}

void check_layer(const Layer& c, std::mt19937_64& random) {
  const std::string which = fmt::format("{} {} tokens {}x{} {} of {} gelu {}", dtype_name(c.dtype),
                                        c.tokens, c.hidden, c.inner, c.choices, c.experts, c.gelu);
  INFO(which);
  HostTensor x(c.dtype, {c.tokens, c.hidden}), w1(c.dtype, {c.experts, 2 * c.inner, c.hidden}),
      w2(c.dtype, {c.experts, c.hidden, c.inner}), weights(DType::f32, {c.tokens, c.choices}),
      out(c.dtype, {c.tokens, c.hidden});
  HostTensor ids = random_ids(random, {c.tokens, c.choices}, c.experts);
  x.fill_random(random, -1, 1, false);
  w1.fill_random(random, -1, 1, false);
  w2.fill_random(random, -1, 1, false);
  weights.fill_random(random, 0, 1, false);
  must_call("fused_moe",
            {&x, &w1, &w2, &weights, &ids, std::string(c.gelu ? "gelu" : "silu"), &out});
  std::vector<Number> expected, scale;
  // float16 and bfloat16: what is between the products has errors of its type, not of float32.
  const Number unit = ulp_at(DType::f32, 1);
  const Number coarse =
      is_floating(c.dtype) && size_of(c.dtype) == 2 ? ulp_at(c.dtype, 1) / unit : 1;
  for (I t = 0; t < c.tokens; ++t)
    for (I h = 0; h < c.hidden; ++h) {
      Number total = 0, size = 0;
      for (I j = 0; j < c.choices; ++j) {
        const I e = static_cast<I>(at(ids, {t, j}));
        for (I i = 0; i < c.inner; ++i) {
          Number gate = 0, up = 0, gate_size = 0, up_size = 0;
          for (I d = 0; d < c.hidden; ++d) {
            const Number a = at(x, {t, d}) * at(w1, {e, i, d}),
                         b = at(x, {t, d}) * at(w1, {e, c.inner + i, d});
            gate += a;
            up += b;
            gate_size += std::fabs(a);
            up_size += std::fabs(b);
          }
          const Number w = at(weights, {t, j}) * at(w2, {e, h, i});
          total += w * active(gate, c.gelu) * up;
          // An error of the gate comes through at most 1.2 times.
          size += std::fabs(w) *
                  (coarse * std::fabs(active(gate, c.gelu) * up) +
                   1.2L * gate_size * std::fabs(up) + std::fabs(active(gate, c.gelu)) * up_size);
        }
      }
      expected.push_back(total);
      scale.push_back(size);
    }
  CHECK(compare(out, expected, Table::get().find("fused_moe")->bound(), scale,
                c.hidden + c.inner + c.choices) == "");
}

}  // namespace

TEST_CASE("language: fused_moe") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats)) {
    Layer c;
    c.dtype = dtype;
    check_layer(c, random);
  }
  Layer c;
  c.gelu = true;
  check_layer(c, random);
  check_layer({1, 33, 65, 8, 3}, random);
  check_layer({90, 64, 32, 3, 1}, random);
}

TEST_CASE("language: fused_moe goes to the experts that are named") {
  // Expert e gives (e + 1) times its input: the gate is so large that silu is the identity.
  HostTensor x(DType::f32, {5, 4}), w1(DType::f32, {3, 8, 4}), w2(DType::f32, {3, 4, 4}),
      weights(DType::f32, {5, 2}), ids(DType::i32, {5, 2}), out(DType::f32, {5, 4});
  x.fill([](I i) { return i % 4 == 0 ? 64 : i % 3 + 1; });
  w1.fill([](I i) {
    const I row = i / 4 % 8, column = i % 4;
    return row < 4 ? (column == 0 ? 1 : 0) : (column == row - 4 ? 1 : 0);
  });
  w2.fill([](I i) { return i / 4 % 4 == i % 4 ? i / 16 + 1 : 0; });
  weights.fill([](I i) { return i % 2 + 1; });
  ids.fill([](I i) { return (i * 2 + i / 4) % 3; });
  must_give("fused_moe", {&x, &w1, &w2, &weights, &ids, std::string("silu"), &out}, out,
            [&](const Shape& i) {
              Number sum = 0;
              for (I j = 0; j < 2; ++j)
                sum += at(weights, {i[0], j}) * (at(ids, {i[0], j}) + 1) * 64 * at(x, i);
              return sum;
            });
}

TEST_CASE("language: what operators of experts refuse") {
  HostTensor ids(DType::i32, {3, 2}), sorted(DType::i32, {40}), blocks(DType::i32, {10}),
      used(DType::i32, {1}), few(DType::i32, {23}), x(DType::f32, {3, 4}),
      w1(DType::f32, {2, 6, 4}), w2(DType::f32, {2, 4, 3}), weights(DType::f32, {3, 2}),
      out(DType::f32, {3, 4}), odd(DType::f32, {2, 5, 4}), other(DType::f32, {2, 3, 4}),
      half(DType::f16, {2, 6, 4});
  must_refuse("moe_align_block_size", {&ids, I{0}, I{4}, &sorted, &blocks, &used},
              "moe_align_block_size: num_experts is 0");
  must_refuse("moe_align_block_size", {&ids, I{4}, I{0}, &sorted, &blocks, &used},
              "moe_align_block_size: block_size is 0");
  must_refuse("moe_align_block_size", {&ids, I{8}, I{4}, &few, &blocks, &used},
              "moe_align_block_size: sorted_token_ids has 23 elements; 24 may be needed");
  must_refuse("moe_align_block_size", {&ids, I{8}, I{4}, &sorted, &used, &blocks},
              "moe_align_block_size: expert_ids has 1 elements; 6 may be needed");
  const std::string silu = "silu";
  must_refuse("fused_moe", {&x, &odd, &w2, &weights, &ids, silu, &out},
              "fused_moe: w1 is of shape");
  must_refuse("fused_moe", {&x, &w1, &other, &weights, &ids, silu, &out},
              "fused_moe: w2 is of shape");
  must_refuse("fused_moe", {&x, &half, &w2, &weights, &ids, silu, &out},
              "fused_moe: w1 is of float16");
  must_refuse("fused_moe", {&x, &w1, &w2, &weights, &ids, std::string("relu"), &out},
              "fused_moe: activation is 'relu'; known are silu, gelu");
  ids.set(3, 4);
  must_fail_on_device("moe_align_block_size", {&ids, I{4}, I{4}, &sorted, &blocks, &used});
  must_fail_on_device("fused_moe", {&x, &w1, &w2, &weights, &ids, silu, &out});
  ids.set(3, -1);
  must_fail_on_device("moe_align_block_size", {&ids, I{4}, I{4}, &sorted, &blocks, &used});
}
