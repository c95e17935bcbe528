// Gates in halves of a dimension, and complex numbers of length and angle.
#include <cmath>
#include <cstring>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

Number sigmoid(Number x) { return 1 / (1 + std::exp(-x)); }

void check_gate(const std::string& op, DType dtype, const Shape& half, std::size_t dim, Placement p,
                std::mt19937_64& random) {
  Shape shape = half;
  shape[dim] *= 2;
  HostTensor x(dtype, shape, p), out(dtype, half, written(p));
  x.fill_random(random, -4, 4, false);
  must_give(
      op, {&x, static_cast<I>(dim), &out}, out,
      [&](const Shape& i) {
        Shape second = i;
        second[dim] += half[dim];
        const Number a = at(x, i), b = at(x, second);
        return op == "glu" ? a * sigmoid(b) : a * sigmoid(a) * b;
      },
      Table::get().find(op)->bound());
}

}  // namespace

TEST_CASE("pointwise: glu and swiglu") {
  std::mt19937_64 random(seed());
  for (const std::string op : {"glu", "swiglu"}) {
    for (const DType dtype : types_of(floats))
      check_gate(op, dtype, {3, 5, 33}, 2, Placement::dense, random);
    for (const Placement p : placements())
      for (std::size_t dim = 0; dim < 3; ++dim)
        if (p != Placement::broadcast || dim != 0)
          check_gate(op, DType::f32, {4, 6, 8}, dim, p, random);
    HostTensor odd(DType::f32, {4, 3}), out(DType::f32, {4, 1}), even(DType::f32, {4, 4});
    must_refuse(op, {&odd, I{-1}, &out}, op + ": input has 3 elements along dimension 1");
    must_refuse(op, {&even, I{-1}, &out}, op + ": out is of shape [4, 1], and [4, 2] is needed");
    HostTensor none(DType::f32, {0, 6}), empty(DType::f32, {0, 3});
    must_call(op, {&none, I{1}, &empty});
  }
}

TEST_CASE("pointwise: polar") {
  for (const Placement p : own_placements()) {
    HostTensor length(DType::f32, {5, 7}, p), angle(DType::f32, {7}), out(DType::c64, {5, 7}, p),
        re(DType::f32, {5, 7}), im(DType::f32, {5, 7});
    length.fill([](I i) { return i % 6; });
    angle.fill([](I i) { return static_cast<Number>(i - 3) * 0.7L; });
    must_call("polar", {&length, &angle, &out});
    std::vector<Number> real, imaginary;
    for (I i = 0; i < 35; ++i) {
      const Number a = angle.get(i % 7);
      real.push_back(length.get(i) * std::cos(a));
      imaginary.push_back(length.get(i) * std::sin(a));
    }
    // A copy to float32 takes the real part.
    must_call("copy", {&out, &re});
    const Bound bound = Table::get().find("polar")->bound();
    CHECK(compare(re, real, bound) == "");
    for (I i = 0; i < 35; ++i) {
      float parts[2];
      const I place = (i / 7) * out.strides()[0] + (i % 7) * out.strides()[1];
      std::memcpy(parts, out.bytes().data() + out.offset_bytes() + place * 8, sizeof(parts));
      im.set(i, static_cast<Number>(parts[1]));
    }
    CHECK(compare(im, imaginary, bound) == "");
  }
  HostTensor x(DType::f32, {3}), wide(DType::f64, {3}), out(DType::c64, {3}), real(DType::f32, {3});
  must_refuse("polar", {&x, &wide, &out}, "polar: angle is of float64");
  must_refuse("polar", {&x, &x, &real}, "polar: out is of float32");
}
