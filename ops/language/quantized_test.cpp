// Weights of 8 bits: against the product of what they stand for.
#include <cmath>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

// groups 0: one scale for each row, as a tensor of rank 1.
void check_int8(DType dtype, Shape rows, I n, I k, I groups, Placement p, bool whole,
                std::mt19937_64& random) {
  const std::string which = fmt::format("{} {} rows {}x{} groups {} {} whole {}", dtype_name(dtype),
                                        rows.size(), k, n, groups, placement_name(p), whole);
  INFO(which);
  Shape in_shape = rows, out_shape = rows;
  in_shape.push_back(k);
  out_shape.push_back(n);
  const I each = groups == 0 ? k : k / groups;
  HostTensor x(dtype, in_shape, p), w(DType::i8, {n, k}, p),
      scales(whole ? dtype : DType::f32, groups == 0 ? Shape{n} : Shape{n, groups}),
      out(dtype, out_shape, written(p));
  x.fill_random(random, -2, 2, whole);
  if (whole) {
    w.fill_random(random, -3, 3, true);
    scales.fill([](I i) { return i % 2 + 1; });
  } else {
    w.fill_random(random, -128, 127, true);
    scales.fill_random(random, 0.001, 0.02, false);
  }
  const std::vector<unsigned char> before = out.bytes();
  must_call("weight_int8pack_mm", {&x, &w, &scales, &out});
  std::vector<Number> expected, scale;
  for (I i = 0; i < out.elements(); ++i) {
    const I row = i / n, column = i % n;
    Number sum = 0, size = 0;
    for (I j = 0; j < k; ++j) {
      const Number term = x.get(row * k + j) * at(w, {column, j}) *
                          scales.get(groups == 0 ? column : column * groups + j / each);
      sum += term;
      size += std::fabs(term);
    }
    expected.push_back(whole ? rounded(dtype, sum) : sum);
    scale.push_back(size);
  }
  const Bound bound = whole ? exact : Table::get().find("weight_int8pack_mm")->bound();
  CHECK(compare(out, expected, bound, scale, k) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("language: weight_int8pack_mm in every type, with scales of rows and of groups") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats))
    for (const I groups : {I{0}, I{2}})
      for (const I rows : {I{1}, I{20}}) {
        check_int8(dtype, {rows}, 33, 48, groups, Placement::dense, true, random);
        check_int8(dtype, {rows}, 33, 48, groups, Placement::dense, false, random);
      }
}

TEST_CASE("language: weight_int8pack_mm of all placements, ranks and sizes") {
  std::mt19937_64 random(seed());
  for (const Placement p : {Placement::transposed, Placement::sliced})
    check_int8(DType::f32, {9}, 20, 30, 3, p, true, random);
  check_int8(DType::f32, {}, 17, 40, 5, Placement::dense, true, random);
  check_int8(DType::f32, {2, 3}, 17, 40, 0, Placement::dense, true, random);
  check_int8(DType::f32, {2, 3, 2}, 17, 40, 1, Placement::sliced, true, random);
  check_int8(DType::f32, {1}, 70, 700, 7, Placement::dense, false, random);
  check_int8(DType::f32, {130}, 140, 256, 2, Placement::dense, false, random);
  check_int8(DType::f32, {0}, 4, 8, 2, Placement::dense, true, random);
}

TEST_CASE("language: what weight_int8pack_mm refuses") {
  HostTensor x(DType::f32, {3, 8}), w(DType::i8, {4, 8}), s(DType::f32, {4}),
      out(DType::f32, {3, 4}), three(DType::f32, {4, 3}), bytes(DType::u8, {4, 8}),
      wide(DType::i8, {4, 9}), few(DType::f32, {3});
  must_refuse("weight_int8pack_mm", {&x, &bytes, &s, &out}, "weight_int8pack_mm: mat2 is of uint8");
  must_refuse("weight_int8pack_mm", {&x, &wide, &s, &out}, "8 and 9 elements are multiplied");
  must_refuse("weight_int8pack_mm", {&x, &w, &three, &out},
              "weight_int8pack_mm: scales is of shape [4, 3]; [4], or [4, groups] where groups "
              "divides 8, is needed");
  must_refuse("weight_int8pack_mm", {&x, &w, &few, &out},
              "weight_int8pack_mm: scales is of shape [3]");
  must_refuse("weight_int8pack_mm", {&x, &w, &s, &x}, "weight_int8pack_mm: input lies over");
}
