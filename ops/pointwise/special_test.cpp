// Functions of probability and of the gamma family where they are hard: tails, poles, zeros.
#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

constexpr Number inf = std::numeric_limits<Number>::infinity(),
                 not_a_number = std::numeric_limits<Number>::quiet_NaN();

void check_values(const std::string& op, DType dtype, const std::vector<Number>& given,
                  const std::vector<Number>& expected) {
  INFO(op << " " << dtype_name(dtype));
  HostTensor x = HostTensor::of(dtype, {static_cast<I>(given.size())}, given), out = x;
  must_call(op, {&x, &out});
  std::vector<Number> scale;
  for (const Number value : given) scale.push_back(std::isfinite(value) ? std::fabs(value) : 0);
  CHECK(compare(out, expected, Table::get().find(op)->bound(), scale) == "");
}

std::vector<DType> exact_types() { return types_of(DTypes(DType::f32) | DType::f64); }

}  // namespace

TEST_CASE("pointwise: erfc keeps its digits in the tail") {
  for (const DType dtype : exact_types()) {
    std::vector<Number> x, y;
    const Number most = dtype == DType::f32 ? 9 : 26;
    for (int i = 0; i < 400; ++i) {
      x.push_back(rounded(dtype, most * i / 400));
      y.push_back(std::erfc(x.back()));
    }
    check_values("erfc", dtype, x, y);
    check_values("erfc", dtype, {inf, -inf, not_a_number, 0, -30, 40},
                 {0, 2, not_a_number, 1, 2, 0});
  }
}

TEST_CASE("pointwise: erfinv up to the last numbers below 1") {
  for (const DType dtype : exact_types()) {
    std::vector<Number> x, y;
    for (int bits = 1; bits <= (dtype == DType::f32 ? 24 : 53); ++bits) {
      x.push_back(1 - std::ldexp(Number{1}, -bits));
      // What it is the inverse of: found between two numbers.
      Number low = 0, high = 12;
      for (int i = 0; i < 80; ++i) {
        const Number middle = (low + high) / 2;
        (std::erfc(middle) > 1 - x.back() ? low : high) = middle;
      }
      y.push_back(low);
    }
    check_values("erfinv", dtype, x, y);
    check_values("erfinv", dtype, {1, -1, 1.5, -2, not_a_number, 0},
                 {inf, -inf, not_a_number, not_a_number, not_a_number, 0});
  }
}

TEST_CASE("pointwise: lgamma and digamma at zeros, poles and far away") {
  for (const DType dtype : exact_types()) {
    std::vector<Number> x, y;
    for (int i = -40; i <= 40; ++i)
      for (const Number around : {Number{1}, Number{2}, Number{100}, Number{1e-3L}}) {
        x.push_back(rounded(dtype, around * (1 + i / Number{200})));
        y.push_back(std::lgamma(x.back()));
      }
    for (const Number far : {1e4L, 1e10L, 1e30L, -100.5L, -20.25L, -0.001L}) {
      x.push_back(rounded(dtype, far));
      y.push_back(std::lgamma(x.back()));
    }
    check_values("lgamma", dtype, x, y);
    check_values("lgamma", dtype, {0, -1, -7, inf, -inf, not_a_number, 1, 2},
                 {inf, inf, inf, inf, inf, not_a_number, 0, 0});
    check_values("digamma", dtype, {0, -1, -7, inf, -inf, not_a_number},
                 {-inf, not_a_number, not_a_number, inf, not_a_number, not_a_number});
    // Of halves and wholes, from Euler's constant.
    const Number gamma = 0.5772156649015328606065120900824024L, two = std::log(Number{2});
    check_values("digamma", dtype, {1, 2, 0.5, 1.5, -0.5, 10},
                 {-gamma, 1 - gamma, -gamma - 2 * two, 2 - gamma - 2 * two, 2 - gamma - 2 * two,
                  7129 / Number{2520} - gamma});
  }
}
