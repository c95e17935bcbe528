// Products against sums in long double: all types, placements, sizes around those of blocks, and what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"
#include "ops/testing/examples.hpp"
#include "ops/testing/results.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

Fixture& fixture() { return Fixture::get(); }

// The cpu plugin's products are OpenBLAS's where it is there; that may be older than the machine, and is told what to take
// it for. Before anything else runs.
[[maybe_unused]] const bool told = [] {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
  return true;
}();
constexpr DType types[] = {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i8};
bool takes(DType dtype) {
  // int8 runs where int32 is asked for.
  return (wants(dtype) || (dtype == DType::i8 && wants(DType::i32))) &&
         fixture().computes_in(dtype);
}
DType result_of(DType dtype) { return product_of(dtype); }
Bound bound_of(const std::string& op) { return Table::get().find(op)->bound(); }

using Expected = ExpectedProduct;

// Calls, and compares: bit for bit where all numbers are whole.
void check(const std::string& op, const Arguments& arguments, HostTensor& out,
           const Expected& expected, std::int64_t terms, bool whole) {
  const std::vector<unsigned char> before = out.bytes();
  const flagos_status_t status = fixture().call(op, arguments);
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  CHECK(compare(out, expected.values, whole ? exact : bound_of(op), expected.scale, terms) == "");
  CHECK(out.strayed(before) == 0);
}

Shape swapped(Shape shape) {
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

void check_mm(std::mt19937_64& random, DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
              bool whole, Placement pa = Placement::dense, Placement pb = Placement::dense,
              Placement po = Placement::dense) {
  Example example = mm_example(dtype, m, n, k, whole, {pa, pb, po}, random);
  REQUIRE(run_noted(example) == "");
}

}  // namespace

TEST_CASE("mm: sizes around those of blocks, exact and within the bound") {
  std::mt19937_64 random(seed());
  const std::int64_t sizes[][3] = {{1, 1, 1},      {1, 70, 33},    {70, 1, 33},  {5, 7, 3},
                                   {12, 300, 5},   {13, 33, 17},   {65, 63, 67}, {130, 31, 129},
                                   {130, 129, 97}, {255, 513, 193}};
  for (const auto& [m, n, k] : sizes) {
    check_mm(random, DType::f32, m, n, k, true);
    check_mm(random, DType::f32, m, n, k, false);
  }
  check_mm(random, DType::f32, 3, 5, 5001, false);
  check_mm(random, DType::f32, 1, 1, 20001, false);
}

TEST_CASE("mm: all types") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    for (const bool whole : {true, false}) {
      check_mm(random, dtype, 9, 35, 70, whole);
      check_mm(random, dtype, 50, 66, 70, whole);
      check_mm(random, dtype, 1, 66, 70, whole);
      check_mm(random, dtype, 66, 1, 70, whole);
    }
  }
}

TEST_CASE("mm: every pair of placements") {
  std::mt19937_64 random(seed());
  constexpr Placement inputs[] = {Placement::dense, Placement::transposed, Placement::sliced,
                                  Placement::broadcast};
  constexpr Placement outputs[] = {Placement::dense, Placement::transposed, Placement::sliced};
  for (const Placement a : inputs)
    for (const Placement b : inputs)
      for (const Placement out : outputs) {
        // Where a kernel takes long to make, each placement once.
        if (!fixture().is_thorough() && (a != b || (out != a && a != Placement::broadcast)))
          continue;
        for (const auto& [m, n] : {std::pair<int, int>{14, 37}, {40, 66}, {1, 40}, {40, 1}})
          check_mm(random, DType::f32, m, n, 19, true, a, b, out);
      }
}

TEST_CASE("bmm, matmul: batches, broadcast and every rank") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    for (const bool whole : {true, false}) {
      HostTensor a = random_tensor(random, dtype, {3, 17, 20}, whole, Placement::transposed),
                 b = random_tensor(random, dtype, {3, 20, 9}, whole, Placement::sliced),
                 out(result_of(dtype), {3, 17, 9});
      check("bmm", {&a, &b, &out}, out, Expected(3, 17, 9, 20, matrix(a), matrix(b)), 20, whole);
    }
  }
  struct Case {
    Shape a, b, out;
  };
  const Case cases[] = {{{7}, {7}, {}},
                        {{3, 7}, {7}, {3}},
                        {{7}, {7, 4}, {4}},
                        {{2, 3, 7}, {7}, {2, 3}},
                        {{7}, {5, 7, 4}, {5, 4}},
                        {{2, 3, 7}, {7, 4}, {2, 3, 4}},
                        {{3, 7}, {5, 7, 4}, {5, 3, 4}},
                        {{2, 1, 3, 7}, {5, 7, 4}, {2, 5, 3, 4}},
                        {{2, 1, 2, 1, 3, 7}, {1, 2, 1, 2, 7, 4}, {2, 2, 2, 2, 3, 4}},
                        {{3, 0}, {0, 4}, {3, 4}},
                        {{0, 3}, {3, 4}, {0, 4}},
                        {{2, 0, 3}, {3, 4}, {2, 0, 4}}};
  for (const Placement placement : own_placements())
    for (const Case& made : cases) {
      HostTensor a = random_tensor(random, DType::f32, made.a, true, placement),
                 b = random_tensor(random, DType::f32, made.b, true, placement),
                 out(DType::f32, made.out, placement);
      // The batch axes of the result, from the last one on, and where they are in a factor.
      Shape batch = made.out;
      if (made.a.size() > 1) batch.pop_back();
      if (made.b.size() > 1) batch.pop_back();
      std::int64_t count = 1;
      for (const std::int64_t extent : batch) count *= extent;
      const auto at = [&](const HostTensor& tensor, bool left) {
        Shape shape = tensor.shape();
        if (shape.size() == 1) shape.insert(left ? shape.begin() : shape.end(), 1);
        return [&tensor, shape, &batch](std::int64_t l, std::int64_t i, std::int64_t j) {
          std::int64_t place = 0, step = 1, rest = l;
          for (std::size_t axis = batch.size(), own = shape.size() - 2; axis-- > 0;) {
            const std::int64_t index = rest % batch[axis];
            rest /= batch[axis];
            if (own == 0) continue;
            --own;
            place += shape[own] == 1 ? 0 : index * step;
            step *= shape[own];
          }
          const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
          return tensor.get((place * rows + i) * columns + j);
        };
      };
      const std::int64_t m = made.a.size() > 1 ? made.a[made.a.size() - 2] : 1;
      const std::int64_t n = made.b.size() > 1 ? made.b.back() : 1, k = made.a.back();
      const std::string which = fmt::format("[{}] [{}] {}", fmt::join(made.a, ","),
                                            fmt::join(made.b, ","), placement_name(placement));
      INFO(which);
      check("matmul", {&a, &b, &out}, out, Expected(count, m, n, k, at(a, true), at(b, false)), k,
            true);
    }
}

TEST_CASE("addmm, baddbmm, addbmm, addmv: alpha and beta, what is added spread, in place") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    const DType to = result_of(dtype);
    for (const bool whole : {true, false}) {
      HostTensor a = random_tensor(random, dtype, {20, 33}, whole),
                 b = random_tensor(random, dtype, swapped({33, 41}), whole), out(to, {20, 41});
      HostTensor bt = random_tensor(random, dtype, {33, 41}, whole, Placement::transposed);
      for (const Shape& shape : {Shape{20, 41}, Shape{41}, Shape{20, 1}, Shape{}}) {
        HostTensor c = random_tensor(random, to, shape, true);
        const auto spread = [&](std::int64_t, std::int64_t i, std::int64_t j) {
          return c.get(shape.empty() ? 0 : shape.size() == 1 ? j : shape[1] == 1 ? i : i * 41 + j);
        };
        check("addmm", {&c, &a, &bt, std::int64_t{2}, std::int64_t{3}, &out}, out,
              Expected(1, 20, 41, 33, matrix(a), matrix(bt), 3, 2, spread), 33, whole);
      }
      HostTensor vector = random_tensor(random, dtype, {33}, whole),
                 more = random_tensor(random, to, {20}, true), rows(to, {20});
      check("addmv", {&more, &a, &vector, std::int64_t{-1}, std::int64_t{2}, &rows}, rows,
            Expected(
                1, 20, 1, 33, matrix(a),
                [&](std::int64_t, std::int64_t i, std::int64_t) { return vector.get(i); }, 2, -1,
                [&](std::int64_t, std::int64_t i, std::int64_t) { return more.get(i); }),
            33, whole);
      HostTensor a3 = random_tensor(random, dtype, {4, 15, 21}, whole),
                 b3 = random_tensor(random, dtype, {4, 21, 18}, whole, Placement::transposed);
      HostTensor c3 = random_tensor(random, to, {4, 15, 18}, true), out3(to, {4, 15, 18});
      check("baddbmm", {&c3, &a3, &b3, std::int64_t{2}, std::int64_t{1}, &out3}, out3,
            Expected(4, 15, 18, 21, matrix(a3), matrix(b3), 1, 2, matrix(c3)), 21, whole);
      HostTensor c2 = random_tensor(random, to, {15, 18}, true), out2(to, {15, 18});
      check("addbmm", {&c2, &a3, &b3, std::int64_t{1}, std::int64_t{2}, &out2}, out2,
            Expected(
                1, 15, 18, 4 * 21,
                [&](std::int64_t, std::int64_t i, std::int64_t x) {
                  return a3.get((x / 21 * 15 + i) * 21 + x % 21);
                },
                [&](std::int64_t, std::int64_t x, std::int64_t j) { return b3.get(x * 18 + j); }, 2,
                1, matrix(c2)),
            84, whole);
    }
  }
  HostTensor a = random_tensor(random, DType::f32, {6, 8}, true),
             b = random_tensor(random, DType::f32, {8, 10}, true),
             c = random_tensor(random, DType::f32, {6, 10}, true);
  HostTensor kept = c;
  const Expected in_place(1, 6, 10, 8, matrix(a), matrix(b), 0.5, 0.25, matrix(kept));
  check("addmm", {&c, &a, &b, 0.25, 0.5, &c}, c, in_place, 8, true);
  // What is multiplied by a beta of 0 is not looked at; a product of nothing is 0.
  c.fill([](std::int64_t) { return std::numeric_limits<Number>::quiet_NaN(); });
  HostTensor out(DType::f32, {6, 10});
  check("addmm", {&c, &a, &b, std::int64_t{0}, std::int64_t{2}, &out}, out,
        Expected(1, 6, 10, 8, matrix(a), matrix(b), 2), 8, true);
  HostTensor none(DType::f32, {6, 0}), nothing(DType::f32, {0, 10});
  check("addmm", {&kept, &none, &nothing, std::int64_t{2}, std::int64_t{1}, &out}, out,
        Expected(1, 6, 10, 0, matrix(none), matrix(nothing), 1, 2, matrix(kept)), 1, true);
}

TEST_CASE("linear: ranks, with and without bias") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    HostTensor weight = random_tensor(random, dtype, {37, 29}, true),
               bias = random_tensor(random, result_of(dtype), {37}, true);
    const auto at = [&](std::int64_t, std::int64_t x, std::int64_t j) {
      return weight.get(j * 29 + x);
    };
    const auto added = [&](std::int64_t, std::int64_t, std::int64_t j) { return bias.get(j); };
    for (const Shape& outer : {Shape{}, Shape{1}, Shape{19}, Shape{2, 3, 5}}) {
      Shape in = outer, to = outer;
      in.push_back(29);
      to.push_back(37);
      HostTensor input = random_tensor(random, dtype, in, true), out(result_of(dtype), to);
      const std::int64_t rows = out.elements() / 37;
      const auto row = [&](std::int64_t, std::int64_t i, std::int64_t x) {
        return input.get(i * 29 + x);
      };
      check("linear", {&input, &weight, {}, &out}, out, Expected(1, rows, 37, 29, row, at), 29,
            true);
      check("linear", {&input, &weight, &bias, &out}, out,
            Expected(1, rows, 37, 29, row, at, 1, 1, added), 29, true);
    }
  }
}

TEST_CASE("matmul and outer in every type") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(numbers)) {
    HostTensor u = counted(dtype, {5}), v = counted(dtype, {7}), table(dtype, {5, 7});
    must_give("outer", {&u, &v, &table}, table,
              [&](const Shape& i) { return rounded(dtype, u.get(i[0]) * v.get(i[1])); });
    if (std::find(std::begin(types), std::end(types), dtype) == std::end(types)) continue;
    HostTensor a = random_tensor(random, dtype, {3, 5, 7}, true),
               b = random_tensor(random, dtype, {3, 7, 4}, true), out(result_of(dtype), {3, 5, 4});
    check("matmul", {&a, &b, &out}, out, Expected(3, 5, 4, 7, matrix(a), matrix(b)), 7, true);
  }
}

TEST_CASE("mv, dot, outer") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types) {
    if (!takes(dtype)) continue;
    for (const Placement placement : {Placement::dense, Placement::transposed}) {
      HostTensor a = random_tensor(random, dtype, {71, 43}, false, placement),
                 x = random_tensor(random, dtype, {43}, false, Placement::sliced),
                 out(result_of(dtype), {71}, Placement::sliced);
      const auto vector = [&](std::int64_t, std::int64_t i, std::int64_t) { return x.get(i); };
      check("mv", {&a, &x, &out}, out, Expected(1, 71, 1, 43, matrix(a), vector), 43,
            dtype == DType::i8);
    }
    HostTensor x = random_tensor(random, dtype, {6001}, false),
               y = random_tensor(random, dtype, {6001}, false, Placement::sliced),
               out(result_of(dtype), {});
    check("dot", {&x, &y, &out}, out,
          Expected(
              1, 1, 1, 6001, [&](std::int64_t, std::int64_t, std::int64_t k) { return x.get(k); },
              [&](std::int64_t, std::int64_t k, std::int64_t) { return y.get(k); }),
          6001, dtype == DType::i8);
    HostTensor u = random_tensor(random, dtype, {5}, true),
               v = random_tensor(random, dtype, {7}, true), table(dtype, {5, 7});
    check("outer", {&u, &v, &table}, table,
          Expected(
              1, 5, 7, 1, [&](std::int64_t, std::int64_t i, std::int64_t) { return u.get(i); },
              [&](std::int64_t, std::int64_t, std::int64_t j) { return v.get(j); }),
          1, true);
  }
}

TEST_CASE("products: infinities and NaN stay in their rows and columns") {
  HostTensor a(DType::f32, {3, 40}), b(DType::f32, {40, 3}), out(DType::f32, {3, 3});
  a.fill([](std::int64_t) { return 1; });
  b.fill([](std::int64_t) { return 1; });
  a.set(5, std::numeric_limits<Number>::infinity());
  b.set(3 * 7 + 2, std::numeric_limits<Number>::quiet_NaN());
  REQUIRE(fixture().call("mm", {&a, &b, &out}) == FLAGOS_STATUS_OK);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      const Number value = out.get(3 * i + j);
      if (j == 2)
        CHECK(std::isnan(value));
      else if (i == 0)
        CHECK(std::isinf(value));
      else
        CHECK(value == 40);
    }
}

TEST_CASE("products: what is refused") {
  HostTensor a(DType::f32, {3, 4}), b(DType::f32, {5, 6}), c(DType::f32, {4, 6}),
      v(DType::f32, {4}), half(DType::f16, {4, 6}), out(DType::f32, {3, 6}),
      small(DType::f32, {3, 5}), whole(DType::i32, {3, 6}), cube(DType::f32, {2, 4, 6}),
      three(DType::f32, {3, 4, 4});
  must_refuse("mm", {&a, &b, &out},
              "mm: mat2 is of shape [5, 6], and input of shape [3, 4]: 4 and 5 elements");
  must_refuse("mm", {&a, &c, &small}, "mm: out is of shape [3, 5], and [3, 6] is needed");
  must_refuse("mm", {&a, &v, &out}, "mm: mat2 is of rank 1; 2 is needed");
  must_refuse("mm", {&a, &half, &out}, "mm: mat2 is of float16, and input is of float32");
  must_refuse("mm", {&a, &c, &whole}, "mm: out is of int32");
  must_refuse("mm", {&whole, &c, &out}, "mm: input is of int32; allowed are");
  must_refuse("bmm", {&three, &cube, &out}, "bmm: mat2 has 2 matrices, and input has 3");
  must_refuse("matmul", {&three, &cube, &out}, "matmul: other does not fit");
  must_refuse("addmm", {&small, &a, &c, std::int64_t{1}, std::int64_t{1}, &out},
              "addmm: input does not fit");
  must_refuse("addmm", {&half, &a, &c, std::int64_t{1}, std::int64_t{1}, &out},
              "addmm: input is of float16, and the product of float32");
  must_refuse("linear", {&a, &c, {}, &out}, "linear: weight is of shape [4, 6]");
  HostTensor weight(DType::f32, {6, 4});
  must_refuse("linear", {&a, &weight, &v, &out}, "linear: bias is of shape [4], and [6] is needed");
  HostTensor square(DType::f32, {4, 4});
  must_refuse("mm", {&square, &square, &square}, "mm: input lies over a part of out");
  HostTensor x(DType::f32, {4}), y(DType::f32, {5});
  must_refuse("dot", {&x, &y, &x}, "dot:");
  must_refuse("outer", {&x, &y, &a}, "outer: out is of shape [3, 4], and [4, 5] is needed");
}
