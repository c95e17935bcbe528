// Every pointwise operator against its reference: all types it computes in, all placements of tensors.
#include <doctest/doctest.h>

#include <set>

#include "ops/engine/pointwise.hpp"
#include "ops/table.hpp"
#include "ops/testing/examples.hpp"
#include "ops/testing/fixture.hpp"
#include "ops/testing/results.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

const Operator& operator_of(const PointwiseReference& row) {
  const Operator* const op = Table::get().find(row.op);
  REQUIRE_MESSAGE(op != nullptr, row.op);
  return *op;
}

bool is_tried(const PointwiseReference& row, DType dtype) {
  return takes(row, dtype) && wants(dtype) && Fixture::get().computes_in(dtype);
}

void run(const PointwiseReference& row, DType dtype, const Shape& shape, Placement placement,
         bool whole, std::mt19937_64& random) {
  Example example = pointwise_example(row, dtype, shape, placement, whole, random);
  CHECK(run_noted(example) == "");
}

}  // namespace

TEST_CASE("pointwise: every operator has a reference") {
  std::set<std::string> known = {"nextafter", "imag"};  // of types of their own
  for (const PointwiseReference& row : pointwise_references()) known.insert(row.op);
  for (const auto& op : Table::get().operators())
    if (dynamic_cast<const PointwiseOperator*>(op.get()) != nullptr)
      CHECK_MESSAGE(known.count(op->name()) == 1, op->name());
}

TEST_CASE("pointwise: all types, whole numbers and fractions") {
  std::mt19937_64 random(seed());
  for (const PointwiseReference& row : pointwise_references()) {
    for (int i = 0; i < dtype_count; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (!is_tried(row, dtype)) continue;
      run(row, dtype, {4099}, Placement::dense, true, random);
      if (is_floating(dtype)) run(row, dtype, {4099}, Placement::dense, false, random);
      // The same kernel: nothing, and one element without axes.
      run(row, dtype, {0}, Placement::dense, true, random);
      run(row, dtype, {3, 0, 2}, Placement::dense, true, random);
      run(row, dtype, {}, Placement::dense, true, random);
      run(row, dtype, {7, 5}, Placement::transposed, true, random);
    }
  }
}

TEST_CASE("pointwise: every operator on tensors with gaps") {
  std::mt19937_64 random(seed());
  for (const PointwiseReference& row : pointwise_references()) {
    const DType dtype = operator_of(row).dtypes().has(DType::f32) ? DType::f32 : DType::i32;
    if (!is_tried(row, dtype) || !Fixture::get().is_thorough()) continue;
    run(row, dtype, {5, 3, 11}, Placement::sliced, true, random);
  }
}
