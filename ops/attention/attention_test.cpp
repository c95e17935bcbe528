// Attention in all its forms against softmax in long double, and the cache of keys and values.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

Fixture& fixture() { return Fixture::get(); }
constexpr DType types[] = {DType::f32, DType::f16, DType::bf16, DType::f64};
bool takes(DType dtype) { return wants(dtype) && fixture().computes_in(dtype); }
Bound bound_of(const std::string& op) { return Table::get().find(op)->bound(); }

HostTensor random_tensor(std::mt19937_64& random, DType dtype, const Shape& shape,
                         Placement placement = Placement::dense) {
  HostTensor out(dtype, shape, placement);
  out.fill_random(random, -1, 1, false);
  return out;
}

// One row of the result: `keys` many, of which `score` says how much each counts; nothing where it is -inf.
struct Row {
  std::vector<Number> values, scale;
  Row(std::int64_t keys, std::int64_t depth, const std::function<Number(std::int64_t)>& score,
      const std::function<Number(std::int64_t)>& error,
      const std::function<Number(std::int64_t, std::int64_t)>& value)
      : values(static_cast<std::size_t>(depth)), scale(static_cast<std::size_t>(depth)) {
    Number most = -std::numeric_limits<Number>::infinity(), total = 0;
    for (std::int64_t i = 0; i < keys; ++i) most = std::max(most, score(i));
    if (std::isinf(most)) return;
    for (std::int64_t i = 0; i < keys; ++i) total += std::exp(score(i) - most);
    for (std::int64_t i = 0; i < keys; ++i) {
      const Number p = std::exp(score(i) - most) / total;
      for (std::int64_t d = 0; d < depth; ++d) {
        values[d] += p * value(i, d);
        scale[d] += p * std::fabs(value(i, d)) * (1 + error(i));
      }
    }
  }
};

struct Case {
  DType dtype = DType::f32;
  std::int64_t batch = 2, heads = 2, group = 1, rows = 5, keys = 7, depth = 16, out_depth = 16;
  bool causal = false;
  int mask = 0;  // 1 bool, 2 numbers
  Placement placement = Placement::dense;
};

void check_sdpa(std::mt19937_64& random, const Case& c) {
  const std::int64_t kv = c.heads / c.group;
  HostTensor q = random_tensor(random, c.dtype, {c.batch, c.heads, c.rows, c.depth}, c.placement),
             k = random_tensor(random, c.dtype, {c.batch, kv, c.keys, c.depth}, c.placement),
             v = random_tensor(random, c.dtype, {c.batch, kv, c.keys, c.out_depth}, c.placement),
             out(c.dtype, {c.batch, c.heads, c.rows, c.out_depth}, c.placement);
  HostTensor mask(c.mask == 1 ? DType::boolean : c.dtype, {c.heads, c.rows, c.keys});
  mask.fill([&](std::int64_t i) {
    if (c.mask != 1) return static_cast<Number>(i % 5) / 4;
    return static_cast<Number>(i / c.keys % 3 != 2 && i % 3 != 0);  // of every third row, nothing
  });
  const std::string which = fmt::format(
      "{} heads {}/{} {}x{}x{}/{} causal {} mask {} {}", dtype_name(c.dtype), c.heads, c.group,
      c.rows, c.keys, c.depth, c.out_depth, c.causal, c.mask, placement_name(c.placement));
  INFO(which);
  const std::vector<unsigned char> before = out.bytes();
  HostTensor* const given = c.mask != 0 ? &mask : nullptr;
  const flagos_status_t status = fixture().call(
      "scaled_dot_product_attention", {&q, &k, &v, given, 0.0, c.causal, {}, c.group != 1, &out});
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  std::vector<Number> expected, scale;
  const Number factor = 1 / std::sqrt(static_cast<Number>(c.depth));
  for (std::int64_t b = 0; b < c.batch; ++b)
    for (std::int64_t h = 0; h < c.heads; ++h)
      for (std::int64_t r = 0; r < c.rows; ++r) {
        const std::int64_t head = b * kv + h / c.group;
        const auto score = [&](std::int64_t i, bool size) {
          Number sum = 0;
          for (std::int64_t d = 0; d < c.depth; ++d) {
            const Number product = q.get(((b * c.heads + h) * c.rows + r) * c.depth + d) *
                                   k.get((head * c.keys + i) * c.depth + d);
            sum += size ? std::fabs(product) : product;
          }
          sum *= factor;
          const Number more = c.mask != 0 ? mask.get((h * c.rows + r) * c.keys + i) : 0;
          if (c.mask == 2) sum += more;
          if (!size && ((c.causal && i > r) || (c.mask == 1 && more == 0)))
            return -std::numeric_limits<Number>::infinity();
          return sum;
        };
        const Row row(
            c.keys, c.out_depth, [&](std::int64_t i) { return score(i, false); },
            [&](std::int64_t i) { return score(i, true); },
            [&](std::int64_t i, std::int64_t d) {
              return v.get((head * c.keys + i) * c.out_depth + d);
            });
        expected.insert(expected.end(), row.values.begin(), row.values.end());
        scale.insert(scale.end(), row.scale.begin(), row.scale.end());
      }
  CHECK(compare(out, expected, bound_of("scaled_dot_product_attention"), scale, c.keys) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("attention: types, masks, causal, groups, sizes") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    for (const bool causal : {false, true}) {
      Case c{dtype};
      c.rows = 19;
      c.keys = 21;
      c.causal = causal;
      check_sdpa(random, c);
    }
    Case decode{dtype};
    decode.rows = 1;
    decode.heads = 6;
    decode.group = 3;
    decode.keys = 150;
    check_sdpa(random, decode);
  }
  Case c;
  for (int mask = 0; mask < 3; ++mask)
    for (const Placement placement : own_placements()) {
      c.mask = mask;
      c.placement = placement;
      c.causal = mask == 1;
      check_sdpa(random, c);
    }
  if (!fixture().is_thorough()) return;
  c = Case();
  c.batch = 1;
  c.rows = 100;
  c.keys = 300;
  c.depth = 72;
  c.out_depth = 20;
  check_sdpa(random, c);
  c.causal = true;
  c.rows = 300;
  c.keys = 100;
  check_sdpa(random, c);
  c.mask = 2;
  c.heads = 4;
  c.group = 2;
  c.rows = 1;
  c.causal = false;
  check_sdpa(random, c);
}

TEST_CASE("attention: equal keys give the mean, bit for bit; nothing to see gives 0; empty") {
  HostTensor q(DType::f32, {3, 4}), k(DType::f32, {4, 4}), v(DType::f32, {4, 2}),
      out(DType::f32, {3, 2}), mask(DType::boolean, {3, 4});
  v.fill([](std::int64_t i) { return static_cast<Number>(i); });
  mask.fill([](std::int64_t i) { return static_cast<Number>(i >= 4); });
  REQUIRE(fixture().call("scaled_dot_product_attention",
                         {&q, &k, &v, &mask, 0.0, false, 0.5, false, &out}) == FLAGOS_STATUS_OK);
  CHECK(out.values() == std::vector<Number>{0, 0, 3, 4, 3, 4});
  HostTensor none(DType::f32, {0, 4}), nothing(DType::f32, {0, 2});
  REQUIRE(fixture().call("scaled_dot_product_attention",
                         {&q, &none, &nothing, {}, 0.0, false, {}, false, &out}) ==
          FLAGOS_STATUS_OK);
  CHECK(out.values() == std::vector<Number>(6, 0));
  REQUIRE(fixture().call("scaled_dot_product_attention",
                         {&none, &k, &v, {}, 0.0, false, {}, false, &nothing}) == FLAGOS_STATUS_OK);
}

TEST_CASE("attention: sequences of different lengths") {
  std::mt19937_64 random(seed());
  const std::vector<std::int64_t> q_starts = {0, 5, 5, 8, 30}, k_starts = {0, 9, 12, 15, 37};
  for (const DType dtype : types_of(floats))
    for (const auto& [index, causal] :
         {std::pair(DType::i32, true), std::pair(DType::i32, false), std::pair(DType::i64, true)}) {
      if (!in_full(dtype) && (index != DType::i32 || !causal)) continue;
      HostTensor q = random_tensor(random, dtype, {30, 4, 16}),
                 k = random_tensor(random, dtype, {37, 2, 16}),
                 v = random_tensor(random, dtype, {37, 2, 8}), out(dtype, {30, 4, 8}),
                 qs = HostTensor::of(index, {5}, {q_starts.begin(), q_starts.end()}),
                 ks = HostTensor::of(index, {5}, {k_starts.begin(), k_starts.end()});
      const flagos_status_t status = fixture().call(
          "varlen_attention", {&q, &k, &v, &qs, &ks, std::int64_t{22}, causal, 0.25, &out});
      REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
      std::vector<Number> expected, scale;
      for (std::size_t s = 0; s < 4; ++s)
        for (std::int64_t r = q_starts[s]; r < q_starts[s + 1]; ++r)
          for (std::int64_t h = 0; h < 4; ++h) {
            const std::int64_t keys = k_starts[s + 1] - k_starts[s];
            const std::int64_t last = r - q_starts[s] + keys - (q_starts[s + 1] - q_starts[s]);
            const auto score = [&](std::int64_t i) {
              if (causal && i > last) return -std::numeric_limits<Number>::infinity();
              Number sum = 0;
              for (std::int64_t d = 0; d < 16; ++d)
                sum +=
                    q.get((r * 4 + h) * 16 + d) * k.get(((k_starts[s] + i) * 2 + h / 2) * 16 + d);
              return sum / 4;
            };
            const Row row(
                keys, 8, score, [](std::int64_t) { return Number(4); },
                [&](std::int64_t i, std::int64_t d) {
                  return v.get(((k_starts[s] + i) * 2 + h / 2) * 8 + d);
                });
            expected.insert(expected.end(), row.values.begin(), row.values.end());
            scale.insert(scale.end(), row.scale.begin(), row.scale.end());
          }
      CHECK(compare(out, expected, bound_of("varlen_attention"), scale, 22) == "");
    }
}

namespace {

void check_pages(DType dtype, std::mt19937_64& random) {
  const std::string which = dtype_name(dtype);
  INFO(which);
  const std::vector<std::int64_t> lengths = {1, 13, 0, 24};
  constexpr std::int64_t page = 8, pages = 9, heads = 2, depth = 16;
  const std::vector<Number> tables = {3, 0, 0, 7, 1, 0, 0, 0, 0, 8, 2, 5};
  HostTensor key = random_tensor(random, dtype, {38, heads, depth}),
             value = random_tensor(random, dtype, {38, heads, depth}),
             k(dtype, {pages, page, heads, depth}), v(dtype, {pages, page, heads, depth});
  std::vector<Number> slots;
  for (std::size_t s = 0; s < 4; ++s)
    for (std::int64_t i = 0; i < lengths[s]; ++i)
      slots.push_back(tables[3 * s + i / page] * page + i % page);
  HostTensor slot = HostTensor::of(DType::i64, {38}, slots);
  REQUIRE(fixture().call("reshape_and_cache", {&key, &value, &slot, &k, &v}) == FLAGOS_STATUS_OK);
  HostTensor skipped = slot, kept = k;
  skipped.fill([](std::int64_t) { return -1; });
  REQUIRE(fixture().call("reshape_and_cache", {&value, &value, &skipped, &kept, &v}) ==
          FLAGOS_STATUS_OK);
  CHECK(kept.values() == k.values());
  HostTensor q = random_tensor(random, dtype, {4, 6, depth}), out(dtype, {4, 6, depth}),
             table = HostTensor::of(DType::i32, {4, 3}, tables),
             length = HostTensor::of(DType::i32, {4}, {lengths.begin(), lengths.end()});
  const flagos_status_t status =
      fixture().call("paged_attention", {&q, &k, &v, &table, &length, {}, &out});
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  std::vector<Number> expected, scale;
  std::int64_t first = 0;
  for (std::int64_t s = 0; s < 4; first += lengths[s], ++s)
    for (std::int64_t h = 0; h < 6; ++h) {
      const auto score = [&](std::int64_t i) {
        Number sum = 0;
        for (std::int64_t d = 0; d < depth; ++d)
          sum +=
              q.get((s * 6 + h) * depth + d) * key.get(((first + i) * heads + h / 3) * depth + d);
        return sum / 4;
      };
      const Row row(
          lengths[s], depth, score, [](std::int64_t) { return Number(4); },
          [&](std::int64_t i, std::int64_t d) {
            return value.get(((first + i) * heads + h / 3) * depth + d);
          });
      expected.insert(expected.end(), row.values.begin(), row.values.end());
      scale.insert(scale.end(), row.scale.begin(), row.scale.end());
    }
  CHECK(compare(out, expected, bound_of("paged_attention"), scale, 24) == "");
  table.set(0, 9);
  CHECK(fixture().call("paged_attention", {&q, &k, &v, &table, &length, {}, &out}) !=
        FLAGOS_STATUS_OK);
}

}  // namespace

TEST_CASE("attention: a cache in pages, written and read") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats)) check_pages(dtype, random);
}

TEST_CASE("attention: what is refused") {
  const std::string op = "scaled_dot_product_attention";
  HostTensor q(DType::f32, {1, 4, 5, 8}), k(DType::f32, {1, 2, 6, 8}), v(DType::f32, {1, 2, 6, 8}),
      half(DType::f16, {1, 2, 6, 8}), out(DType::f32, {1, 4, 5, 8}),
      other(DType::f32, {1, 2, 6, 9}), three(DType::f32, {1, 3, 6, 8}), mask(DType::f32, {4, 5}),
      wide(DType::f32, {1, 4, 5, 600});
  must_refuse(op, {&q, &k, &v, {}, 0.0, false, {}, false, &out}, "enable_gqa is false");
  must_refuse(op, {&q, &three, &three, {}, 0.0, false, {}, true, &out}, "no multiple of them");
  must_refuse(op, {&q, &k, &half, {}, 0.0, false, {}, true, &out}, "value is of float16");
  must_refuse(op, {&q, &other, &v, {}, 0.0, false, {}, true, &out}, "heads of 9 elements");
  must_refuse(op, {&wide, &wide, &wide, {}, 0.0, false, {}, true, &wide}, "lies over");
  must_refuse(op, {&q, &k, &v, &mask, 0.0, false, {}, true, &out}, "attn_mask does not fit");
  must_refuse(op, {&q, &k, &v, {}, 0.5, false, {}, true, &out}, "dropout_p is 0.5");
  must_refuse(op, {&q, &k, &v, {}, 0.0, false, {}, true, &k}, "key lies over");
}
