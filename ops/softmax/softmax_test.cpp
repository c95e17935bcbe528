// Softmax and its gradients, against sums in long double: dimensions, layouts, lengths of one tile and of many.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/lines.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using Values = std::vector<Number>;
const std::vector<DType> types{DType::f32, DType::f16, DType::bf16, DType::f64};

Values softmax_of(const Values& x, bool logarithm) {
  Number largest = -std::numeric_limits<Number>::infinity(), sum = 0;
  for (const Number value : x) largest = std::max(largest, value);
  for (const Number value : x) sum += std::exp(value - largest);
  Values out;
  for (const Number value : x)
    out.push_back(logarithm ? value - largest - std::log(sum) : std::exp(value - largest) / sum);
  return out;
}

// One operator of the four on random numbers.
void check_one(const std::string& op, DType dtype, const Shape& shape, std::int64_t dim,
               Placement placement, std::mt19937_64& random) {
  const bool backward = op.find("backward") != std::string::npos;
  const bool logarithm = op.find("log") != std::string::npos;
  HostTensor x(dtype, shape, placement), y(dtype, shape, placement);
  HostTensor out(dtype, shape, for_output(placement));
  x.fill_random(random, -4, 4, false);
  y.fill_random(random, logarithm ? -4 : 0, logarithm ? 0 : 1, false);
  const std::vector<unsigned char> before = out.bytes();
  Arguments arguments{&x};
  if (backward) arguments.emplace_back(&y);
  arguments.emplace_back(dim);
  arguments.emplace_back(&out);
  must_call(op, arguments);
  const auto axis = static_cast<std::uint32_t>(dim < 0 ? dim + std::max<int>(x.rank(), 1) : dim);
  Values expected(static_cast<std::size_t>(x.elements())), scale = expected;
  std::int64_t terms = 1;
  for (const auto& line : lines_of(shape, shape.empty() ? 0 : 1U << axis)) {
    Values in, second;
    for (const std::int64_t i : line) in.push_back(x.get(i)), second.push_back(y.get(i));
    Values result;
    Number size = 0, total = 0;
    if (backward) {
      for (std::size_t i = 0; i < in.size(); ++i) {
        const Number term = logarithm ? in[i] : in[i] * second[i];
        total += term;
        size += std::fabs(term);
      }
      for (std::size_t i = 0; i < in.size(); ++i)
        result.push_back(logarithm ? in[i] - std::exp(second[i]) * total
                                   : second[i] * (in[i] - total));
    } else {
      result = softmax_of(in, logarithm);
    }
    terms = static_cast<std::int64_t>(line.size());
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto at = static_cast<std::size_t>(line[i]);
      expected[at] = result[i];
      // What is subtracted is as exact as what it is made of.
      scale[at] = backward ? std::fabs(in[i]) + size * (logarithm ? std::exp(second[i]) : second[i])
                  : logarithm ? 8 + std::fabs(result[i])
                              : std::fabs(result[i]);
    }
  }
  CHECK(compare(out, expected, Table::get().find(op)->bound(), scale, terms) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("softmax: every operator over types, layouts and dimensions") {
  std::mt19937_64 random(seed());
  for (const std::string op :
       {"softmax", "log_softmax", "softmax_backward", "log_softmax_backward"})
    for (const DType dtype : wanted_dtypes(types))
      for (const Placement placement : placements())
        for (const std::int64_t dim : {0, 1, -1}) {
          if (!in_full(dtype) && (placement != Placement::dense || dim == 1)) continue;
          const std::string which =
              fmt::format("{} {} {} dim {}", op, dtype_name(dtype), placement_name(placement), dim);
          INFO(which);
          check_one(op, dtype, {5, 37, 70}, dim, placement, random);
        }
}

TEST_CASE("softmax: short lines, long lines, no axes, many axes") {
  std::mt19937_64 random(seed() + 1);
  if (wanted_dtypes({DType::f32}).empty()) return;
  const std::pair<Shape, std::int64_t> cases[] = {
      {{1000, 3}, -1}, {{3, 1}, -1}, {{4, 4097}, -1},   {{20000}, 0},
      {{3000, 5}, 0},  {{}, 0},      {{2, 9000, 3}, 1}, {{2, 3, 2, 3, 2, 3, 2}, 3}};
  for (const std::string op : {"softmax", "log_softmax", "softmax_backward"})
    for (const auto& [shape, dim] : cases)
      for (const Placement placement : {Placement::dense, Placement::sliced}) {
        if (!in_full(DType::f32) && (op != "softmax" || placement != Placement::dense)) continue;
        INFO(op << " rank " << shape.size() << " dim " << dim << " " << placement_name(placement));
        check_one(op, DType::f32, shape, dim, placement, random);
      }
}

TEST_CASE("softmax: exact where every step is") {
  // Equal numbers: one over a power of two.
  HostTensor x(DType::f32, {3, 64}), out(DType::f32, {3, 64});
  x.fill([](std::int64_t i) { return static_cast<Number>(i / 64); });
  must_call("softmax", {&x, std::int64_t{1}, &out});
  for (const Number value : out.values()) CHECK(value == 0x1p-6L);
  must_call("softmax", {&x, std::int64_t{1}, &x});  // in place
  for (const Number value : x.values()) CHECK(value == 0x1p-6L);
}

TEST_CASE("softmax: special numbers") {
  const Number inf = std::numeric_limits<Number>::infinity(),
               nan = std::numeric_limits<Number>::quiet_NaN();
  for (const std::int64_t length : {std::int64_t{3}, std::int64_t{9000}}) {
    HostTensor x(DType::f32, {4, length}), out(DType::f32, {4, length});
    x.fill([&](std::int64_t i) {
      const std::int64_t row = i / length, at = i % length;
      if (row == 0) return at == 1 ? nan : Number{0};
      if (row == 1) return at == 1 ? inf : Number{0};
      if (row == 2) return -inf;
      return at == length - 1 ? Number{0} : -inf;  // all but the last
    });
    must_call("softmax", {&x, std::int64_t{-1}, &out});
    for (std::int64_t i = 0; i < 3 * length; ++i)
      if (i / length != 1 || i % length == 1) REQUIRE(std::isnan(out.get(i)));
    for (std::int64_t i = 0; i < length; ++i)
      REQUIRE(out.get(3 * length + i) == (i == length - 1 ? 1 : 0));
  }
  HostTensor none(DType::f32, {3, 0}), empty(DType::f32, {3, 0});
  must_call("softmax", {&none, std::int64_t{1}, &empty});
}

TEST_CASE("softmax: what is refused") {
  HostTensor x(DType::f32, {2, 3}), out(DType::f32, {2, 3}), other(DType::f32, {3, 2}),
      whole(DType::i32, {2, 3}), half(DType::f16, {2, 3});
  must_refuse("softmax", {&x, std::int64_t{2}, &out},
              "softmax: dim is 2; a tensor of rank 2 has -2 to 1");
  must_refuse("softmax", {&x, std::int64_t{0}, &other}, "softmax: out is of shape [3, 2]");
  must_refuse("softmax", {&whole, std::int64_t{0}, &whole}, "softmax: input is of int32");
  must_refuse("softmax", {&x, std::int64_t{0}, &half}, "softmax: out is of float16");
  must_refuse("softmax_backward", {&x, &other, std::int64_t{0}, &out}, "output is of shape");
}
