// The router of a mixture of experts against softmax and a sort in long double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

void check_router(DType dtype, I tokens, I experts, I top, bool renormalize, Placement p,
                  std::mt19937_64& random) {
  const std::string which =
      fmt::format("{} {} tokens, {} of {} experts, renormalize {} {}", dtype_name(dtype), tokens,
                  top, experts, renormalize, placement_name(p));
  INFO(which);
  HostTensor x(dtype, {tokens, experts}, p),
      weights(dtype == DType::f64 ? DType::f64 : DType::f32, {tokens, top}, written(p)),
      numbers(DType::i32, {tokens, top}, written(p)), pairs(DType::i64, {tokens, top}, written(p));
  // Numbers that are well apart, so that their order is the same after any rounding.
  std::vector<I> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  for (I row = 0; row < (p == Placement::broadcast ? 1 : tokens); ++row) {
    std::shuffle(order.begin(), order.end(), random);
    for (I e = 0; e < experts; ++e)
      x.set(row * experts + e, static_cast<Number>(order[static_cast<std::size_t>(e)]) / 4 - 3);
  }
  const std::vector<unsigned char> before = weights.bytes();
  must_call("topk_softmax", {&x, renormalize, &weights, &numbers, &pairs});
  std::vector<Number> expected, scale;
  for (I row = 0; row < tokens; ++row) {
    std::vector<I> sorted(static_cast<std::size_t>(experts));
    std::iota(sorted.begin(), sorted.end(), 0);
    std::sort(sorted.begin(), sorted.end(), [&](I a, I b) {
      return at(x, {row, a}) > at(x, {row, b});
    });
    Number total = 0, chosen = 0;
    const Number most = at(x, {row, sorted[0]});
    for (I e = 0; e < experts; ++e) total += std::exp(at(x, {row, e}) - most);
    for (I j = 0; j < top; ++j)
      chosen += std::exp(at(x, {row, sorted[static_cast<std::size_t>(j)]}) - most) / total;
    for (I j = 0; j < top; ++j) {
      const I e = sorted[static_cast<std::size_t>(j)];
      CHECK(at(numbers, {row, j}) == e);
      CHECK(at(pairs, {row, j}) == j * tokens + row);
      const Number share = std::exp(at(x, {row, e}) - most) / total;
      expected.push_back(renormalize ? share / chosen : share);
      scale.push_back(expected.back());
    }
  }
  CHECK(compare(weights, expected, Table::get().find("topk_softmax")->bound(), scale, experts) ==
        "");
  CHECK(weights.strayed(before) == 0);
}

}  // namespace

TEST_CASE("language: topk_softmax in every type and on all placements") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats))
    check_router(dtype, 5, 8, 2, true, Placement::dense, random);
  for (const Placement p : placements()) check_router(DType::f32, 37, 16, 4, false, p, random);
}

TEST_CASE("language: topk_softmax of few and of many experts") {
  std::mt19937_64 random(seed());
  check_router(DType::f32, 3, 1, 1, true, Placement::dense, random);
  check_router(DType::f32, 40, 60, 6, false, Placement::dense, random);
  check_router(DType::f32, 4, 7, 7, true, Placement::dense, random);
  check_router(DType::f32, 3, 384, 8, true, Placement::dense, random);
  HostTensor none(DType::f32, {0, 8}), weights(DType::f32, {0, 2}), numbers(DType::i32, {0, 2});
  must_call("topk_softmax", {&none, false, &weights, &numbers, {}});
}

TEST_CASE("language: topk_softmax takes the first of equal experts, and each once") {
  const Number inf = std::numeric_limits<Number>::infinity(),
               nan = std::numeric_limits<Number>::quiet_NaN();
  HostTensor x = HostTensor::of(DType::f32, {3, 4},
                                {0, 0, 0, 0, -inf, 1, -inf, -inf, 0, nan, 1, 2}),
             weights(DType::f32, {3, 3}), numbers(DType::i64, {3, 3});
  must_call("topk_softmax", {&x, false, &weights, &numbers, {}});
  for (I j = 0; j < 3; ++j) {
    CHECK(at(numbers, {0, j}) == j);
    CHECK(at(weights, {0, j}) == 0.25);
    CHECK(at(weights, {1, j}) == (j == 0 ? 1 : 0));
    CHECK(std::isnan(at(weights, {2, j})));
  }
  CHECK(numbers.values() == std::vector<Number>{0, 1, 2, 1, 0, 2, 0, 1, 2});
}

TEST_CASE("language: what topk_softmax refuses") {
  HostTensor x(DType::f32, {3, 4}), weights(DType::f32, {3, 2}), numbers(DType::i32, {3, 2}),
      many(DType::f32, {3, 5}), other(DType::i32, {3, 1}), whole(DType::i32, {3, 4}),
      wide(DType::f32, {1, 8193}), one(DType::f32, {1, 1}), number(DType::i32, {1, 1});
  must_refuse("topk_softmax", {&x, false, &many, &numbers, {}},
              "topk_softmax: topk_weights is of shape [3, 5], and [3, 1 to 4] is needed");
  must_refuse("topk_softmax", {&x, false, &weights, &other, {}},
              "topk_softmax: topk_indices is of shape");
  must_refuse("topk_softmax", {&whole, false, &weights, &numbers, {}},
              "topk_softmax: gating_output is of int32");
  must_refuse("topk_softmax", {&x, false, &weights, &weights, {}},
              "topk_softmax: topk_indices is of float32");
  must_refuse("topk_softmax", {&x, false, &weights, &numbers, &numbers}, "lies over a part of");
  must_refuse("topk_softmax", {&wide, false, &one, &number, {}},
              "topk_softmax: gating_output has 8193 experts; 8192 are the most");
}
