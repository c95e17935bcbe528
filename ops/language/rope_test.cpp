// Rotary position embedding against a rotation of each pair, written plainly.
#include <cmath>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

Bound bound() { return Table::get().find("rope")->bound(); }

// Where the two elements of pair j of a head are.
std::array<I, 2> pair_of(I j, I pairs, bool neox) {
  if (neox) return {j, j + pairs};
  return {2 * j, 2 * j + 1};
}

// What a head [depth] becomes at `position`; and how large what was added is.
struct Head {
  std::vector<Number> values, scale;
  Head(const std::function<Number(I)>& x, I depth, I pairs, bool neox,
       const std::function<Number(I)>& cosine, const std::function<Number(I)>& sine) {
    for (I i = 0; i < depth; ++i) {
      values.push_back(x(i));
      scale.push_back(0);
    }
    for (I j = 0; j < pairs; ++j) {
      const auto [a, b] = pair_of(j, pairs, neox);
      values[a] = x(a) * cosine(j) - x(b) * sine(j);
      values[b] = x(b) * cosine(j) + x(a) * sine(j);
      scale[a] = std::fabs(x(a) * cosine(j)) + std::fabs(x(b) * sine(j));
      scale[b] = std::fabs(x(b) * cosine(j)) + std::fabs(x(a) * sine(j));
    }
  }
};

HostTensor cache_of(DType dtype, I rows, I pairs, Placement p = Placement::dense) {
  HostTensor out(dtype, {rows, 2 * pairs}, p);
  out.fill([&](I i) {
    const I row = i / (2 * pairs), j = i % (2 * pairs);
    const Number angle =
        row * std::pow(Number{10000}, -static_cast<Number>(j % pairs) / static_cast<Number>(pairs));
    return j < pairs ? std::cos(angle) : std::sin(angle);
  });
  return out;
}

struct Case {
  DType dtype = DType::f32;
  I heads = 5, key_heads = 3, depth = 32, pairs = 16;
  bool neox = true;
  Placement placement = Placement::dense;
  bool joined_heads = false;  // [tokens, heads * depth]
  Shape tokens = {7};
  DType cache = DType::f32;
};

void check_rope(const Case& c, std::mt19937_64& random) {
  const std::string which =
      fmt::format("{} heads {}/{} depth {} pairs {} neox {} {} joined {} tokens {}",
                  dtype_name(c.dtype), c.heads, c.key_heads, c.depth, c.pairs, c.neox,
                  placement_name(c.placement), c.joined_heads, c.tokens.size());
  INFO(which);
  constexpr I rows = 23;
  HostTensor cache = cache_of(c.cache, rows, c.pairs), positions(DType::i64, c.tokens);
  positions.fill([](I i) { return (i * 7 + 3) % rows; });
  std::vector<HostTensor> x;
  for (const I heads : {c.heads, c.key_heads}) {
    Shape shape = c.tokens;
    if (c.joined_heads) {
      shape.push_back(heads * c.depth);
    } else {
      shape.push_back(heads);
      shape.push_back(c.depth);
    }
    x.emplace_back(c.dtype, shape, c.placement).fill_random(random, -2, 2, false);
  }
  const std::vector<HostTensor> before = x;
  must_call("rope", {&positions, &x[0], &x[1], c.depth, &cache, c.neox});
  for (std::size_t which_one : {0, 1}) {
    std::vector<Number> expected, scale;
    const I heads = which_one == 0 ? c.heads : c.key_heads;
    for (I token = 0; token < positions.elements(); ++token)
      for (I h = 0; h < heads; ++h) {
        const I row = static_cast<I>(positions.get(token));
        const Head head(
            [&](I i) { return before[which_one].get((token * heads + h) * c.depth + i); }, c.depth,
            c.pairs, c.neox,
            [&](I j) {
              return at(cache, {row, j});
            },
            [&](I j) {
              return at(cache, {row, c.pairs + j});
            });
        expected.insert(expected.end(), head.values.begin(), head.values.end());
        scale.insert(scale.end(), head.scale.begin(), head.scale.end());
      }
    CHECK(compare(x[which_one], expected, bound(), scale, 2) == "");
    CHECK(x[which_one].strayed(before[which_one].bytes()) == 0);
  }
}

}  // namespace

TEST_CASE("language: rope turns every head of query and key, in both layouts, in every type") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats))
    for (const bool neox : {true, false}) {
      Case c{dtype};
      c.neox = neox;
      check_rope(c, random);
      c.cache = dtype;
      c.heads = 1;
      check_rope(c, random);
    }
}

TEST_CASE("language: rope of many heads, parts of heads, odd sizes, all placements") {
  std::mt19937_64 random(seed());
  for (const bool neox : {true, false}) {
    for (const Placement p : own_placements()) {
      Case c;
      c.neox = neox;
      c.placement = p;
      c.heads = 70;
      c.key_heads = 9;
      check_rope(c, random);
      c.joined_heads = p != Placement::transposed;
      c.pairs = 5;  // of 16
      check_rope(c, random);
      c.joined_heads = false;
      c.tokens = {3, 4};
      check_rope(c, random);
    }
    Case c;
    c.neox = neox;
    c.depth = 300;  // more pairs than a tile has
    c.pairs = 150;
    check_rope(c, random);
    c.depth = 7;
    c.pairs = 3;
    check_rope(c, random);
  }
}

TEST_CASE("language: rope is exact where angles are quarters") {
  // A quarter of a turn: (x, y) becomes (-y, x).
  HostTensor both(DType::f32, {2, 4, 8}), position = HostTensor::of(DType::i32, {2}, {0, 1}),
                                          cache(DType::f32, {2, 8});
  cache.fill([](I i) { return i / 8 == 0 ? (i % 8 < 4 ? 1 : 0) : (i % 8 < 4 ? 0 : 1); });
  both.fill([](I i) { return i + 1; });
  const HostTensor before = both;
  must_call("rope", {&position, &both, {}, I{8}, &cache, true});
  for (I h = 0; h < 4; ++h)
    for (I i = 0; i < 8; ++i) {
      CHECK(at(both, {0, h, i}) == at(before, {0, h, i}));
      CHECK(at(both, {1, h, i}) ==
            (i < 4 ? -at(before, {1, h, i + 4}) : at(before, {1, h, i - 4})));
    }
}

namespace {

void check_rotary(DType dtype, std::mt19937_64& random) {
  const std::string which = dtype_name(dtype);
  INFO(which);
  constexpr I rows = 12, pairs = 8;
  const HostTensor cache = cache_of(dtype, rows, pairs);
  HostTensor cosine(dtype, {rows, pairs}), sine(dtype, {rows, pairs});
  cosine.fill([&](I i) { return at(cache, {i / pairs, i % pairs}); });
  sine.fill([&](I i) { return at(cache, {i / pairs, pairs + i % pairs}); });
  for (const bool interleaved : {false, true})
    for (const bool given : {true, false})
      for (const I depth : {I{16}, I{20}}) {
        if (!in_full(dtype) && (interleaved || !given)) continue;
        HostTensor q(dtype, {2, 5, 6, depth}), k(dtype, {2, 5, 3, depth}),
            q_out(dtype, {2, 5, 6, depth}), k_out(dtype, {2, 5, 3, depth}),
            positions(DType::i64, {2, 5});
        q.fill_random(random, -1, 1, false);
        k.fill_random(random, -1, 1, false);
        positions.fill([](I i) { return (i * 5) % rows; });
        must_call("apply_rotary_pos_emb", {&q, &k, &cosine, &sine, given ? &positions : nullptr,
                                           interleaved, &q_out, &k_out});
        for (HostTensor* const tensor : {&q, &k}) {
          const HostTensor& out = tensor == &q ? q_out : k_out;
          const I heads = tensor->shape()[2];
          std::vector<Number> expected, scale;
          for (I token = 0; token < 10; ++token)
            for (I h = 0; h < heads; ++h) {
              const I row = given ? token * 5 % rows : token % 5;
              const Head head([&](I i) { return tensor->get((token * heads + h) * depth + i); },
                              depth, pairs, !interleaved,
                              [&](I j) {
                                return at(cosine, {row, j});
                              },
                              [&](I j) {
                                return at(sine, {row, j});
                              });
              expected.insert(expected.end(), head.values.begin(), head.values.end());
              scale.insert(scale.end(), head.scale.begin(), head.scale.end());
            }
          CHECK(compare(out, expected, bound(), scale, 2) == "");
        }
        // In place gives the same.
        must_call("apply_rotary_pos_emb",
                  {&q, &k, &cosine, &sine, given ? &positions : nullptr, interleaved, &q, &k});
        CHECK(q.values() == q_out.values());
        CHECK(k.values() == k_out.values());
      }
}

}  // namespace

TEST_CASE("language: apply_rotary_pos_emb, in every type") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats)) check_rotary(dtype, random);
}

TEST_CASE("language: what rope refuses") {
  HostTensor q(DType::f32, {3, 2, 8}), k(DType::f32, {3, 1, 8}), p(DType::i64, {3}),
      cache(DType::f32, {4, 8}), odd(DType::f32, {4, 7}), wide(DType::f32, {4, 10}),
      flat(DType::f32, {3, 12}), other(DType::i64, {2}), whole(DType::i32, {3, 2, 8}),
      half(DType::f32, {4, 4}), longer(DType::f32, {1, 5, 2, 8}), longer_out = longer;
  must_refuse("rope", {&p, &q, &k, I{8}, &odd, true}, "rope: cos_sin_cache has rows of 7 elements");
  must_refuse("rope", {&p, &q, &k, I{8}, &wide, true},
              "rope: cos_sin_cache has rows of 10 elements");
  must_refuse("rope", {&p, &q, &k, I{4}, &half, true},
              "rope: query has heads of 8 elements, and head_size is 4");
  must_refuse("rope", {&p, &flat, {}, I{8}, &cache, true},
              "rope: query has 12 elements for each token");
  must_refuse("rope", {&other, &q, &k, I{8}, &cache, true}, "rope: query is of shape [3, 2, 8]");
  must_refuse("rope", {&p, &q, &whole, I{8}, &cache, true}, "rope: key is of int32");
  must_refuse("rope", {&p, &q, &q, I{8}, &cache, true}, "rope: key lies over a part of query");
  must_refuse("rope", {&p, &q, &k, I{0}, &cache, true}, "rope: head_size is 0");
  must_refuse("apply_rotary_pos_emb", {&longer, &longer, &half, &half, {}, false, &longer_out, &k},
              "apply_rotary_pos_emb: k_embed is of shape");
  HostTensor second = longer, second_out = longer;
  must_refuse("apply_rotary_pos_emb",
              {&longer, &second, &half, &half, {}, false, &longer_out, &second_out},
              "apply_rotary_pos_emb: q has 5 tokens in a sequence, and cos has 4 rows");
  p.fill([](I i) { return i == 1 ? 4 : 0; });
  must_fail_on_device("rope", {&p, &q, &k, I{8}, &cache, true});
  p.fill([](I i) { return i == 1 ? -1 : 0; });
  must_fail_on_device("rope", {&p, &q, &k, I{8}, &cache, true});
}

TEST_CASE("language: rope of query and key that are parts of one tensor") {
  constexpr I tokens = 6, heads = 4, depth = 8, width = 3 * heads * depth;
  HostTensor all = counted(DType::f32, {tokens, width}), positions(DType::i64, {tokens}),
             cache = cache_of(DType::f32, 10, depth / 2);
  positions.fill([](I i) { return i + 1; });
  HostTensor q(DType::f32, {tokens, heads, depth}), k = q;
  q.fill([&](I i) { return at(all, {i / (heads * depth), i % (heads * depth)}); });
  k.fill([&](I i) { return at(all, {i / (heads * depth), heads * depth + i % (heads * depth)}); });
  must_call("rope", {&positions, &q, &k, depth, &cache, true});

  Fixture& fixture = Fixture::get();
  const flagos_address_t at_all = fixture.upload(all), at_positions = fixture.upload(positions),
                         at_cache = fixture.upload(cache);
  const I shape[] = {tokens, heads * depth}, strides[] = {width, 1};
  flagos_tensor_t query = describe(all, at_all);
  query.shape = shape;
  query.strides = strides;
  flagos_tensor_t key = query;
  key.address += heads * depth * sizeof(float);
  const flagos_tensor_t place = describe(positions, at_positions),
                        angles = describe(cache, at_cache);
  const flagos_status_t status =
      flagos_ops_rope(fixture.stream(), &place, &query, &key, depth, &angles, 1);
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  HostTensor turned = all;
  fixture.download(turned, at_all);
  REQUIRE(flagos_stream_synchronize(fixture.stream(), FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  for (I token = 0; token < tokens; ++token)
    for (I i = 0; i < width; ++i) {
      const I head = i / depth % heads, part = i / (heads * depth);
      const Number expected = part == 0   ? at(q, {token, head, i % depth})
                              : part == 1 ? at(k, {token, head, i % depth})
                                          : at(all, {token, i});
      CHECK(at(turned, {token, i}) == expected);
    }
  for (const flagos_address_t address : {at_all, at_positions, at_cache}) fixture.free(address);
}
