// Penalties, the most probable classes and the choice, against a sort and sums of whole numbers.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;
__extension__ using Whole = unsigned __int128;

namespace {

constexpr Number inf = std::numeric_limits<Number>::infinity();
constexpr I seed_of = 0x123456789abcdef, offset_of = 1000;

std::uint64_t philox_word(std::uint64_t seed_given, std::uint64_t counter) {
  std::uint32_t x[4] = {static_cast<std::uint32_t>(counter),
                        static_cast<std::uint32_t>(counter >> 32), 0, 0},
                key[2] = {static_cast<std::uint32_t>(seed_given),
                          static_cast<std::uint32_t>(seed_given >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t even = std::uint64_t{0xD2511F53} * x[0],
                        odd = std::uint64_t{0xCD9E8D57} * x[2];
    const std::uint32_t next[4] = {
        static_cast<std::uint32_t>(odd >> 32) ^ x[1] ^ key[0], static_cast<std::uint32_t>(odd),
        static_cast<std::uint32_t>(even >> 32) ^ x[3] ^ key[1], static_cast<std::uint32_t>(even)};
    std::copy(next, next + 4, x);
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return std::uint64_t{x[0]} << 32 | x[1];
}

// Which classes are left of a row, by sorting it: the k highest and those as high as the last of them; of these, as few of
// the highest as have the part p of their sum, and those as high as the last.
std::vector<bool> kept_of(const std::vector<Number>& order, const std::vector<Whole>& weights, I k,
                          Number p) {
  const std::size_t n = order.size();
  std::vector<std::size_t> sorted(n);
  for (std::size_t i = 0; i < n; ++i) sorted[i] = i;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::size_t a, std::size_t b) { return order[a] > order[b]; });
  const std::size_t most = k <= 0 || k > static_cast<I>(n) ? n : static_cast<std::size_t>(k);
  Number lowest = order[sorted[most - 1]];
  if (p < 1) {
    Whole all = 0, sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (order[i] >= lowest) all += weights[i];
    const Whole digits = static_cast<Whole>(p * 0x1p24L);
    Whole wanted = (all * digits + ((1U << 24) - 1)) >> 24;
    if (wanted == 0) wanted = 1;
    for (const std::size_t i : sorted) {
      sum += weights[i];
      lowest = std::max(lowest, order[i]);
      if (sum >= wanted) {
        lowest = order[i];
        break;
      }
    }
  }
  std::vector<bool> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = order[i] >= lowest;
  return out;
}

I choice_of(const std::vector<Whole>& weights, const std::vector<bool>& kept, I row) {
  Whole all = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (kept[i]) all += weights[i];
  const Whole drawn = philox_word(seed_of, static_cast<std::uint64_t>(offset_of + row)) %
                      static_cast<std::uint64_t>(all);
  Whole running = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (kept[i]) running += weights[i];
    if (running > drawn) return static_cast<I>(i);
  }
  return -1;
}

// Rows of probabilities, of which many are equal.
HostTensor probabilities(std::mt19937_64& random, DType dtype, I rows, I classes, Placement p) {
  HostTensor out(dtype, {rows, classes}, p);
  for (I row = 0; row < rows; ++row) {
    std::vector<Number> draw;
    Number total = 0;
    for (I i = 0; i < classes; ++i) {
      draw.push_back(std::exp(static_cast<Number>(random() % 24) / 3));
      total += draw.back();
    }
    for (I i = 0; i < classes; ++i)
      out.set(row * classes + i, draw[static_cast<std::size_t>(i)] / total);
  }
  return out;
}

struct Limits {
  HostTensor k, p;
  explicit Limits(I rows) : k(DType::i32, {rows}), p(DType::f32, {rows}) {
    const Number ks[] = {1, 0, 7, 1000000, 3, -1}, ps[] = {0.5, 0.9, 1, 0, 0.25, 0.999};
    k.fill([&](I i) { return ks[i % 6]; });
    p.fill([&](I i) { return ps[i / 2 % 6]; });
  }
};

void check_sample(DType dtype, I rows, I classes, bool has_k, bool has_p, Placement placement,
                  std::mt19937_64& random) {
  const std::string which = fmt::format("{} {}x{} k {} p {} {}", dtype_name(dtype), rows, classes,
                                        has_k, has_p, placement_name(placement));
  INFO(which);
  HostTensor probs = probabilities(random, dtype, rows, classes, placement),
             out(DType::i32, {rows});
  Limits limits(rows);
  must_call(
      "top_k_top_p_sampling_from_probs",
      {&probs, has_k ? &limits.k : nullptr, has_p ? &limits.p : nullptr, seed_of, offset_of, &out});
  for (I row = 0; row < rows; ++row) {
    std::vector<Number> order;
    std::vector<Whole> weights;
    for (I i = 0; i < classes; ++i) {
      order.push_back(rounded(DType::f32, at(probs, {row, i})));
      weights.push_back(static_cast<Whole>(order.back() * 0x1p40L));
    }
    const std::vector<bool> kept =
        kept_of(order, weights, has_k ? static_cast<I>(limits.k.get(row)) : 0,
                has_p ? limits.p.get(row) : 1);
    CHECK(out.get(row) == choice_of(weights, kept, row));
  }
}

}  // namespace

TEST_CASE("language: apply_repetition_penalties") {
  for (const DType dtype : types_of(floats))
    for (const Placement p : own_placements()) {
      HostTensor x(dtype, {3, 70}, p), prompt(DType::boolean, {3, 70}),
          output(DType::boolean, {3, 70}), penalty(DType::f32, {3});
      x.fill([](I i) { return (i % 9 - 4) * 3; });
      prompt.fill([](I i) { return i % 3 == 0; });
      output.fill([](I i) { return i % 5 == 0; });
      penalty.fill([](I i) { return i == 0 ? 1 : i == 1 ? 2 : 1.5L; });
      const HostTensor before = x;
      must_give("apply_repetition_penalties", {&x, &prompt, &output, &penalty}, x,
                [&](const Shape& i) {
                  const Number value = at(before, i), by = penalty.get(i[0]);
                  if (at(prompt, i) == 0 && at(output, i) == 0) return value;
                  return value > 0 ? value / by : value * by;
                });
    }
}

TEST_CASE("language: samples are what the sums of whole numbers say, in every type") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats))
    check_sample(dtype, 24, 50, true, true, Placement::dense, random);
  for (const Placement p : {Placement::transposed, Placement::sliced})
    check_sample(DType::f32, 9, 33, true, true, p, random);
}

TEST_CASE("language: samples with one limit, without, of few and of many classes") {
  std::mt19937_64 random(seed());
  for (const bool k : {false, true})
    for (const bool p : {false, true})
      check_sample(DType::f32, 12, 40, k, p, Placement::dense, random);
  check_sample(DType::f32, 12, 1, true, true, Placement::dense, random);
  check_sample(DType::f32, 6, 9001, true, true, Placement::dense, random);
}

TEST_CASE("language: samples are distributed as the probabilities") {
  constexpr I rows = 20000;
  HostTensor probs(DType::f32, {rows, 4}), out(DType::i64, {rows});
  const Number each[] = {0.125, 0, 0.375, 0.5};
  probs.fill([&](I i) { return each[i % 4]; });
  must_call("top_k_top_p_sampling_from_probs", {&probs, {}, {}, I{7}, I{0}, &out});
  I counts[4] = {};
  for (const Number value : out.values()) ++counts[static_cast<std::size_t>(value)];
  CHECK(counts[1] == 0);
  CHECK(std::abs(counts[0] - 2500) < 250);
  CHECK(std::abs(counts[2] - 7500) < 350);
  // The same seed, and the offset of a row: the same choice.
  HostTensor again(DType::i64, {rows}), later(DType::i64, {rows});
  must_call("top_k_top_p_sampling_from_probs", {&probs, {}, {}, I{7}, I{0}, &again});
  CHECK(again.values() == out.values());
  must_call("top_k_top_p_sampling_from_probs", {&probs, {}, {}, I{7}, I{100}, &later});
  for (I i = 0; i + 100 < rows; ++i) REQUIRE(later.get(i) == out.get(i + 100));
}

TEST_CASE("language: apply_top_k_top_p leaves the most probable ones") {
  for (const DType dtype : types_of(floats))
    for (const Placement placement : own_placements())
      for (const int which : {0, 1, 2, 3}) {
        constexpr I rows = 12, classes = 37;
        HostTensor x(dtype, {rows, classes}, placement), out(dtype, {rows, classes}, placement);
        // Logits of which many are equal; the sums of their probabilities stay away from every limit.
        x.fill([](I i) { return static_cast<Number>((i * 11 + i / 37) % 16) - 8; });
        Limits limits(rows);
        const bool has_k = (which & 1) != 0, has_p = (which & 2) != 0;
        must_give("apply_top_k_top_p",
                  {&x, has_k ? &limits.k : nullptr, has_p ? &limits.p : nullptr, &out}, out,
                  [&](const Shape& i) {
                    std::vector<Number> order;
                    std::vector<Whole> weights;
                    for (I c = 0; c < classes; ++c) {
                      order.push_back(at(x, {i[0], c}));
                      weights.push_back(static_cast<Whole>(std::exp(order.back() - 7) * 0x1p40L));
                    }
                    const auto kept =
                        kept_of(order, weights, has_k ? static_cast<I>(limits.k.get(i[0])) : 0,
                                has_p ? limits.p.get(i[0]) : 1);
                    return kept[static_cast<std::size_t>(i[1])] ? at(x, i) : -inf;
                  });
        HostTensor same = x;
        must_call("apply_top_k_top_p",
                  {&same, has_k ? &limits.k : nullptr, has_p ? &limits.p : nullptr, &same});
        CHECK(same.values() == out.values());
      }
}

TEST_CASE("language: what sampling refuses") {
  HostTensor x(DType::f32, {2, 4}), k(DType::i32, {3}), p(DType::f32, {2}), out(DType::i64, {2}),
      mask(DType::boolean, {2, 4}), penalty(DType::f32, {3}), real(DType::f32, {2}),
      none(DType::f32, {2, 0}), whole(DType::i32, {2, 4});
  x.fill([](I) { return 0.25L; });
  HostTensor y = x;
  const std::string op = "top_k_top_p_sampling_from_probs";
  must_refuse(op, {&x, &k, {}, I{1}, I{0}, &out},
              op + ": top_k is of shape [3], and [2] is needed");
  must_refuse(op, {&x, {}, &p, I{1}, I{0}, &real}, op + ": out is of float32");
  must_refuse(op, {&none, {}, &p, I{1}, I{0}, &out}, op + ": probs has no classes");
  must_refuse(op, {&whole, {}, &p, I{1}, I{0}, &out}, op + ": probs is of int32");
  must_refuse("apply_repetition_penalties", {&x, &mask, &mask, &penalty},
              "apply_repetition_penalties: repetition_penalties is of shape [3]");
  must_refuse("apply_top_k_top_p", {&x, {}, &k, &y}, "apply_top_k_top_p: p is of shape [3]");
  HostTensor bad = HostTensor::of(DType::f32, {1, 2}, {0.5, -1}),
             high = HostTensor::of(DType::f32, {1, 2}, {0.5, 1.5}), zero(DType::f32, {1, 2}),
             one(DType::i64, {1}), over = HostTensor::of(DType::f32, {2}, {0.5, 1.25});
  must_fail_on_device(op, {&bad, {}, {}, I{1}, I{0}, &one});
  must_fail_on_device(op, {&high, {}, {}, I{1}, I{0}, &one});
  must_fail_on_device(op, {&zero, {}, {}, I{1}, I{0}, &one});
  must_fail_on_device(op, {&x, {}, &over, I{1}, I{0}, &out});
}
