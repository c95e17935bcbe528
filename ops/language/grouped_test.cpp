// Products of groups against one product for each group, written plainly.
#include <cmath>

#include "ops/engine/product.hpp"
#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

enum class Along { rows, columns, depth };

DType result_of(DType dtype) { return dtype == DType::i8 ? DType::i32 : dtype; }

// The group of each row, column or term; -1 behind the last.
I group_of(const std::vector<Number>& ends, I i) {
  for (std::size_t g = 0; g < ends.size(); ++g)
    if (i < static_cast<I>(ends[g])) return static_cast<I>(g);
  return -1;
}

void check_groups(Along along, DType dtype, I m, I k, I n, const std::vector<Number>& ends,
                  Placement p, bool whole, std::mt19937_64& random) {
  const I groups = static_cast<I>(ends.size());
  const std::string which = fmt::format("{} {}x{}x{} along {} groups {} {}", dtype_name(dtype), m,
                                        k, n, static_cast<int>(along), groups, placement_name(p));
  INFO(which);
  using Along::columns, Along::depth, Along::rows;
  HostTensor a(dtype, along == columns ? Shape{groups, m, k} : Shape{m, k}, p),
      b(dtype, along == rows ? Shape{groups, k, n} : Shape{k, n}, p),
      out(result_of(dtype), along == depth ? Shape{groups, m, n} : Shape{m, n}, written(p)),
      offs = HostTensor::of(DType::i32, {groups}, ends);
  const double most = whole ? 3 : 1;
  a.fill_random(random, -most, most, whole);
  b.fill_random(random, -most, most, whole);
  out.fill([](I) { return 77; });
  const std::vector<unsigned char> before = out.bytes();
  must_call("grouped_mm", {&a, &b, &offs, &out});
  std::vector<Number> expected, scale;
  for (I i = 0; i < out.elements(); ++i) {
    const Shape place = coordinates(out.shape(), i);
    const std::size_t last = place.size() - 1;
    const I row = place[last - 1], column = place[last];
    const I group = along == depth ? place[0] : group_of(ends, along == rows ? row : column);
    Number sum = group < 0 ? 77 : 0, size = 0;
    for (I j = 0; group >= 0 && j < k; ++j) {
      if (along == depth && group_of(ends, j) != group) continue;
      const Number term = at(a, along == columns ? Shape{group, row, j} : Shape{row, j}) *
                          at(b, along == rows ? Shape{group, j, column} : Shape{j, column});
      sum += term;
      size += std::fabs(term);
    }
    expected.push_back(sum);
    scale.push_back(size);
  }
  const Bound bound = whole ? exact : Table::get().find("grouped_mm")->bound();
  if (whole && size_of(out.dtype()) == 2)
    for (Number& value : expected) value = rounded(out.dtype(), value);
  CHECK(compare(out, expected, bound, scale, k) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("language: grouped_mm along rows, columns and depth, in every type") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(product_dtypes)) {
    for (const Along along : {Along::rows, Along::columns, Along::depth})
      check_groups(along, dtype, 40, 40, 40, {7, 7, 30, 40}, Placement::dense, true, random);
    if (dtype != DType::i8)
      check_groups(Along::rows, dtype, 33, 70, 20, {1, 20, 33}, Placement::dense, false, random);
  }
}

TEST_CASE("language: grouped_mm of all placements and sizes") {
  std::mt19937_64 random(seed());
  for (const Placement p : {Placement::transposed, Placement::sliced})
    for (const Along along : {Along::rows, Along::columns, Along::depth})
      check_groups(along, DType::f32, 21, 30, 19, {0, 11, 15}, p, true, random);
  std::vector<Number> many;
  for (int i = 0; i < 50; ++i) many.push_back(i * i / 20);
  check_groups(Along::rows, DType::f32, 130, 100, 100, many, Placement::dense, true, random);
  check_groups(Along::rows, DType::f32, 300, 130, 120, {100, 290}, Placement::dense, false, random);
  check_groups(Along::rows, DType::f32, 5, 8, 8, {0, 0, 0}, Placement::dense, true, random);
  check_groups(Along::depth, DType::f32, 5, 8, 8, {0, 0, 8}, Placement::dense, true, random);
  HostTensor a = counted(DType::f32, {2, 3, 4}), b = counted(DType::f32, {2, 4, 5}),
             out(DType::f32, {2, 3, 5});
  must_give("grouped_mm", {&a, &b, {}, &out}, out, [&](const Shape& i) {
    Number sum = 0;
    for (I j = 0; j < 4; ++j) sum += at(a, {i[0], i[1], j}) * at(b, {i[0], j, i[2]});
    return sum;
  });
  HostTensor none(DType::f32, {0, 4}), empty(DType::f32, {0, 5}), ends(DType::i32, {2});
  must_call("grouped_mm", {&none, &b, &ends, &empty});
}

TEST_CASE("language: what grouped_mm refuses") {
  HostTensor a(DType::f32, {6, 4}), b(DType::f32, {2, 4, 5}), offs(DType::i32, {2}),
      out(DType::f32, {6, 5}), three(DType::i32, {3}), deep(DType::f32, {2, 3, 5}),
      all(DType::f32, {2, 6, 4}), all_out(DType::f32, {2, 6, 5}), half(DType::f16, {2, 4, 5});
  must_refuse("grouped_mm", {&a, &b, {}, &out}, "grouped_mm: offs is NULL");
  must_refuse("grouped_mm", {&all, &b, &offs, &all_out}, "grouped_mm: offs is given");
  must_refuse("grouped_mm", {&a, &b, &three, &out},
              "grouped_mm: offs has 3 elements, and there are 2 groups");
  must_refuse("grouped_mm", {&a, &deep, &offs, &out}, "4 and 3 elements are multiplied");
  must_refuse("grouped_mm", {&a, &half, &offs, &out}, "grouped_mm: mat2 is of float16");
  must_refuse("grouped_mm", {&a, &b, &offs, &all_out}, "grouped_mm: out is of shape");
  offs = HostTensor::of(DType::i32, {2}, {3, 7});
  must_fail_on_device("grouped_mm", {&a, &b, &offs, &out});
  offs = HostTensor::of(DType::i32, {2}, {3, 2});
  must_fail_on_device("grouped_mm", {&a, &b, &offs, &out});
}
