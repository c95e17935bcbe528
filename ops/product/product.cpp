// Operators of the family "product": products of matrices and vectors, on the engine of ops/engine/product.hpp.
#include "ops/engine/product.hpp"

#include "ops/engine/composite.hpp"
#include "ops/engine/layout.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {
namespace {

// The factors at `a` and `b` and the output are of types that go together.
void check_types(const Call& call, std::size_t a, std::size_t b, std::size_t out) {
  call.expect_dtype(a, product_dtypes);
  call.expect_same_dtype(b, a);
  call.expect_dtype(out, call.tensor(a).dtype == DType::i8 ? DTypes(DType::i32) : floats);
  expect_apart(call, a, out);
  expect_apart(call, b, out);
}

void check_inner(const Call& call, std::size_t a, std::int64_t left, std::size_t b,
                 std::int64_t right) {
  if (left != right)
    call.refuse(b, "is of shape {}, and {} of shape {}: {} and {} elements are multiplied",
                call.tensor(b).shape_text(), call.op().schema().parameters[a].name,
                call.tensor(a).shape_text(), left, right);
}

// What is added to a product; spread to the output.
Tensor addend(const Call& call, std::size_t i, std::size_t a, const Tensor& out) {
  const DType wanted = product_result(call.tensor(a).dtype);
  if (call.tensor(i).dtype != wanted)
    call.refuse(i, "is of {}, and the product of {}", dtype_name(call.tensor(i).dtype),
                dtype_name(wanted));
  try {
    return call.tensor(i).expanded_to(out.dims());
  } catch (const Error& error) {
    call.refuse(i, "does not fit: {}", error.what());
  }
}

// The operator is this product and nothing else: the device's own version goes first.
void run(const Call& call, const Product& product) {
  if (product.out.elements() != 0 && run_native(call)) return;
  run_product(call, product);
}

// All but the last `without`.
Layout::Axes some_of(std::span<const std::int64_t> shape, std::size_t without) {
  Layout::Axes out;
  for (const std::int64_t extent : shape.first(shape.size() - without)) out.push_back(extent);
  return out;
}
Tensor as_row(const Tensor& vector) { return vector.with_axis(0, 1, 0); }
Tensor as_column(const Tensor& vector) { return vector.with_axis(vector.rank, 1, 0); }

// ---- of fixed ranks ----------------------------------------------------------------------------------------------

void mm(Call& call) {
  check_types(call, 0, 1, 2);
  call.expect_rank(0, 2, 2);
  call.expect_rank(1, 2, 2);
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  check_inner(call, 0, a.shape[1], 1, b.shape[0]);
  call.expect_shape(2, std::array{a.shape[0], b.shape[1]});
  run(call, {a, b, call.tensor(2), {}});
}

void bmm(Call& call) {
  check_types(call, 0, 1, 2);
  call.expect_rank(0, 3, 3);
  call.expect_rank(1, 3, 3);
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  check_inner(call, 0, a.shape[2], 1, b.shape[1]);
  if (a.shape[0] != b.shape[0])
    call.refuse(1, "has {} matrices, and input has {}", b.shape[0], a.shape[0]);
  call.expect_shape(2, std::array{a.shape[0], a.shape[1], b.shape[2]});
  run(call, {a, b, call.tensor(2), {}});
}

// beta input + alpha a b: addmm, baddbmm, addmv with `rank` axes of the first factor.
void add_product(Call& call, int rank, bool vector) {
  check_types(call, 1, 2, 5);
  call.expect_rank(1, rank, rank);
  call.expect_rank(2, vector ? 1 : rank, vector ? 1 : rank);
  const Tensor& a = call.tensor(1);
  const Tensor b = vector ? as_column(call.tensor(2)) : call.tensor(2);
  check_inner(call, 1, a.shape[rank - 1], 2, b.shape[rank - 2]);
  if (rank == 3 && a.shape[0] != b.shape[0])
    call.refuse(2, "has {} matrices, and {} has {}", b.shape[0],
                call.op().schema().parameters[1].name, a.shape[0]);
  Layout::Axes shape = some_of(a.dims(), 1);
  if (!vector) shape.push_back(b.shape[rank - 1]);
  call.expect_shape(5, shape);
  const Tensor added = addend(call, 0, 1, call.tensor(5));
  call.expect_no_overlap(5);
  const auto seen = [&](const Tensor& tensor) { return vector ? as_column(tensor) : tensor; };
  run(call, {a, b, seen(call.tensor(5)), seen(added), call.scalar(4), call.scalar(3)});
}
void addmm(Call& call) { add_product(call, 2, false); }
void baddbmm(Call& call) { add_product(call, 3, false); }
void addmv(Call& call) { add_product(call, 2, true); }

void addbmm(Call& call) {
  check_types(call, 1, 2, 5);
  call.expect_rank(1, 3, 3);
  call.expect_rank(2, 3, 3);
  const Tensor &a = call.tensor(1), &b = call.tensor(2);
  check_inner(call, 1, a.shape[2], 2, b.shape[1]);
  if (a.shape[0] != b.shape[0])
    call.refuse(2, "has {} matrices, and batch1 has {}", b.shape[0], a.shape[0]);
  call.expect_shape(5, std::array{a.shape[1], b.shape[2]});
  const Tensor added = addend(call, 0, 1, call.tensor(5));
  call.expect_no_overlap(5);
  run(call, {a.without_axis(0), b.without_axis(0), call.tensor(5), added, call.scalar(4),
             call.scalar(3), a.shape[0], a.strides[0], b.strides[0]});
}

void mv(Call& call) {
  check_types(call, 0, 1, 2);
  call.expect_rank(0, 2, 2);
  call.expect_rank(1, 1, 1);
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  check_inner(call, 0, a.shape[1], 1, b.shape[0]);
  call.expect_shape(2, std::array{a.shape[0]});
  run(call, {a, as_column(b), as_column(call.tensor(2)), {}});
}

// Two vectors: long ones are split over programs, as sums are.
void run_dot(Call& call) {
  if (run_native(call)) return;
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  const tile::DType dtype = a.dtype == DType::i8 ? tile::DType::i32 : computed_as(a.dtype);
  const DType kept = a.dtype == DType::i8    ? DType::i32
                     : a.dtype == DType::f64 ? DType::f64
                                             : DType::f32;
  using State = std::array<tile::Tile, 1>;
  const Reduction<1> products{
      dtype,
      {kept},
      1,
      [=](LineKernel& l, const tile::Tile& at) {
        return tile::carry(l.sum(l.load(1, at, 0, dtype) * l.load(2, at, 0, dtype)));
      },
      [](const State& x, const State& y) { return tile::carry(x[0] + y[0]); },
      [](LineKernel& l, const State& state) { l.store_line(0, state[0]); }};
  Lines lines(call, a.dims(), 1,
              {{call.tensor(2).expanded_to(a.dims()), Part::line, true}, {a}, {b}});
  reduce(call, lines, call.key(), products);
}

void dot(Call& call) {
  check_types(call, 0, 1, 2);
  call.expect_rank(0, 1, 1);
  call.expect_rank(1, 1, 1);
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  check_inner(call, 0, a.shape[0], 1, b.shape[0]);
  call.expect_shape(2, std::span<const std::int64_t>());
  run_dot(call);
}

void outer(Call& call) {
  call.expect_rank(0, 1, 1);
  call.expect_rank(1, 1, 1);
  call.expect_shape(2, std::array{call.tensor(0).shape[0], call.tensor(1).shape[0]});
  expect_apart(call, 0, 2);
  expect_apart(call, 1, 2);
  call_operator(call.stream(), "mul",
                {as_column(call.tensor(0)), as_row(call.tensor(1)), call.tensor(2)});
}

// ---- of any rank -------------------------------------------------------------------------------------------------

void matmul(Call& call) {
  check_types(call, 0, 1, 2);
  call.expect_rank(0, 1, max_rank);
  call.expect_rank(1, 1, max_rank);
  const bool row = call.tensor(0).rank == 1, column = call.tensor(1).rank == 1;
  const Tensor a = row ? as_row(call.tensor(0)) : call.tensor(0);
  const Tensor b = column ? as_column(call.tensor(1)) : call.tensor(1);
  check_inner(call, 0, a.shape[a.rank - 1], 1, b.shape[b.rank - 2]);
  Tensor left = a, right = b;
  left.rank -= 2;
  right.rank -= 2;
  Layout::Axes shape;
  try {
    shape = some_of(broadcast_shape(left, right).dims(), 0);
  } catch (const Error& error) {
    call.refuse(1, "does not fit: {}", error.what());
  }
  if (!row) shape.push_back(a.shape[a.rank - 2]);
  if (!column) shape.push_back(b.shape[b.rank - 1]);
  call.expect_shape(2, shape);
  if (row && column) return run_dot(call);
  Tensor out = call.tensor(2);
  if (column) out = as_column(out);
  if (row) out = out.with_axis(out.rank - 1, 1, 0);
  run(call, {a, b, out, {}});
}

void linear(Call& call) {
  check_types(call, 0, 1, 3);
  call.expect_rank(0, 1, max_rank);
  call.expect_rank(1, 1, 2);
  const bool column = call.tensor(1).rank == 1;
  const Tensor& a = call.tensor(0);
  const Tensor weight = column ? as_row(call.tensor(1)) : call.tensor(1);
  check_inner(call, 0, a.shape[a.rank - 1], 1, weight.shape[1]);
  Layout::Axes shape = some_of(a.dims(), 1);
  if (!column) shape.push_back(weight.shape[0]);
  call.expect_shape(3, shape);
  const auto two = [](const Tensor& tensor) { return tensor.rank < 2 ? as_row(tensor) : tensor; };
  Tensor out = column ? as_column(call.tensor(3)) : call.tensor(3);
  Product product{two(a), weight.transposed(0, 1), two(out), {}};
  if (call.has(2)) {
    expect_apart(call, 2, 3);
    if (call.tensor(2).rank > 1 || (call.tensor(2).elements() != weight.shape[0]))
      call.refuse(2, "is of shape {}, and [{}] is needed", call.tensor(2).shape_text(),
                  weight.shape[0]);
    const Tensor bias = call.tensor(2);
    addend(call, 2, 0, out);
    product.c = bias;
  }
  run(call, product);
}

}  // namespace

void add_products(Table& table) {
  const DTypes dtypes = product_dtypes;
  const Bound bound = summed(4, 1);
  table.add("mm(Tensor input, Tensor mat2, Tensor! out)", dtypes, bound, mm);
  table.add("bmm(Tensor input, Tensor mat2, Tensor! out)", dtypes, bound, bmm);
  table.add(
      "addmm(Tensor input, Tensor mat1, Tensor mat2, Scalar beta=1, Scalar alpha=1, Tensor! out)",
      dtypes, bound, addmm);
  table.add(
      "baddbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! "
      "out)",
      dtypes, bound, baddbmm);
  table.add(
      "addbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! "
      "out)",
      dtypes, bound, addbmm);
  table.add("matmul(Tensor input, Tensor other, Tensor! out)", dtypes, bound, matmul);
  table.add("linear(Tensor input, Tensor weight, Tensor? bias, Tensor! out)", dtypes, bound,
            linear);
  table.add("mv(Tensor input, Tensor vec, Tensor! out)", dtypes, bound, mv);
  table.add(
      "addmv(Tensor input, Tensor mat, Tensor vec, Scalar beta=1, Scalar alpha=1, Tensor! out)",
      dtypes, bound, addmv);
  table.add("dot(Tensor input, Tensor tensor, Tensor! out)", dtypes, bound, dot);
  table.add("outer(Tensor input, Tensor vec2, Tensor! out)", numbers, exact, outer);
}

}  // namespace flagos::ops
