#include "ops/engine/layout.hpp"

#include <doctest/doctest.h>

using namespace flagos::ops;

namespace {

Tensor tensor(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides) {
  Tensor out;
  out.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), out.shape.begin());
  std::copy(strides.begin(), strides.end(), out.strides.begin());
  return out;
}
using Numbers = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("layout: what is dense in all operands is one axis") {
  const Tensor a = tensor({2, 3, 4}, {12, 4, 1});
  const Layout layout = simplify(a.dims(), std::vector{a, a});
  CHECK(layout.shape == Numbers{24});
  CHECK(layout.strides[1] == Numbers{1});
}

TEST_CASE("layout: tensors transposed alike are one axis; unlike ones are not") {
  const Tensor rows = tensor({3, 4}, {4, 1}), columns = tensor({3, 4}, {1, 3});
  CHECK(simplify(rows.dims(), std::vector{columns, columns}).shape == Numbers{12});
  const Layout mixed = simplify(rows.dims(), std::vector{columns, rows});
  CHECK(mixed.shape == Numbers{4, 3});
  CHECK(mixed.strides[0] == Numbers{3, 1});
  CHECK(mixed.strides[1] == Numbers{1, 4});
  CHECK(simplify_in_order(rows.dims(), std::vector{columns, rows}).shape == Numbers{3, 4});
}

TEST_CASE("layout: axes of one element go, what is broadcast has stride 0") {
  const Tensor out = tensor({5, 1, 4}, {4, 4, 1}), row = tensor({4}, {1}), one = tensor({}, {});
  const Layout layout = simplify(out.dims(), std::vector{out, row, one});
  CHECK(layout.shape == Numbers{5, 4});
  CHECK(layout.strides[1] == Numbers{0, 1});
  CHECK(layout.strides[2] == Numbers{0, 0});
  CHECK(simplify(one.dims(), std::vector{one}).shape == Numbers{1});
}

TEST_CASE("tensor: density, range, views") {
  const Tensor a = tensor({2, 3}, {3, 1});
  CHECK(a.is_dense());
  CHECK(tensor({2, 1, 3}, {3, 99, 1}).is_dense());
  CHECK(!tensor({2, 3}, {4, 1}).is_dense());
  CHECK(tensor({0, 3}, {7, 7}).is_dense());
  Tensor back = tensor({4}, {-2});
  back.address = 1000;
  CHECK(back.range().low == 1000 - 6 * 4);
  CHECK(back.range().high == 1004);

  const Numbers six{6}, three_two{3, 2};
  CHECK(a.viewed_as(six).strides[0] == 1);
  const Tensor gaps = tensor({4, 3}, {10, 1});
  const Numbers split{2, 2, 3};
  const Tensor seen = gaps.viewed_as(split);
  CHECK(seen.strides[0] == 20);
  CHECK(seen.strides[1] == 10);
  CHECK(seen.strides[2] == 1);
  CHECK_THROWS(gaps.viewed_as(Numbers{12}));
  CHECK_THROWS(tensor({3, 2}, {1, 3}).viewed_as(six));
}
