// Every pointwise operator against its reference: all types it computes in, all placements of tensors.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "ops/engine/pointwise.hpp"
#include "ops/table.hpp"
#include "ops/testing/fixture.hpp"
#include "ops/testing/pointwise_reference.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

const Operator& operator_of(const PointwiseReference& row) {
  const Operator* const op = Table::get().find(row.op);
  REQUIRE_MESSAGE(op != nullptr, row.op);
  return *op;
}

// A call of the operator on random inputs, and what its output should be.
struct Case {
  std::vector<HostTensor> inputs;
  HostTensor out;
  Arguments arguments;
  std::vector<Number> expected;
  std::vector<Number> scale;  // what is added, without signs

  Case(const PointwiseReference& row, DType dtype, const Shape& shape, Placement placement,
       bool whole, std::mt19937_64& random) {
    const Operator& op = operator_of(row);
    std::size_t numbers_used = 0, words_used = 0;
    std::vector<Number> numbers_given;
    inputs.reserve(4);
    for (const Parameter& parameter : op.schema().parameters) {
      using Kind = Parameter::Kind;
      if (parameter.kind == Kind::tensor && !parameter.output) {
        const auto [low, high] = row.ranges.at(inputs.size());
        const bool mask = parameter.elements == Parameter::Elements::boolean;
        const bool is_unsigned = dtype == DType::u8 || dtype == DType::boolean;
        HostTensor& input = inputs.emplace_back(mask ? DType::boolean : dtype, shape, placement);
        input.fill_random(random, is_unsigned && !mask ? std::max(low, 0.0) : low, high, whole);
        arguments.emplace_back(&input);
      } else if (parameter.kind == Kind::tensor) {
        out = HostTensor(
            dynamic_cast<const PointwiseOperator&>(op).gives_bool() ? DType::boolean : dtype, shape,
            placement == Placement::broadcast ? Placement::dense : placement);
        arguments.emplace_back(&out);
      } else if (parameter.kind == Kind::word) {
        arguments.emplace_back(std::string(row.words.at(words_used++)));
      } else if (parameter.kind == Kind::boolean) {
        arguments.emplace_back(std::string(row.words.at(words_used++)) == "1");
      } else {
        const double number = row.numbers.at(numbers_used++);
        numbers_given.push_back(number);
        if (parameter.kind == Kind::scalar && number == std::trunc(number)) {
          arguments.emplace_back(static_cast<std::int64_t>(number));
        } else {
          arguments.emplace_back(number);
        }
      }
    }
    for (std::int64_t i = 0; i < out.elements(); ++i) {
      std::vector<Number> x;
      for (const HostTensor& input : inputs) x.push_back(input.get(i));
      expected.push_back(row.value(x.data(), numbers_given.data()));
      Number largest = 1, terms = 0;
      for (const Number number : numbers_given) largest = std::max(largest, std::fabs(number));
      for (const Number value : x) terms += std::fabs(value);
      scale.push_back(terms * largest);
    }
  }
};

bool takes(const PointwiseReference& row, DType dtype) {
  const Operator& op = operator_of(row);
  if (!op.dtypes().has(dtype) || !wants(dtype) || !Fixture::get().computes_in(dtype)) return false;
  // A fraction makes integers float, and a negative number wraps: other cases.
  if (!is_floating(dtype))
    for (const double number : row.numbers)
      if (number != std::trunc(number) || (dtype == DType::u8 && number < 0)) return false;
  if (dtype == DType::boolean && op.name() == "bitwise_not")
    return false;  // not of a truth value; see engine_test
  return dtype != DType::boolean || row.numbers.empty();
}

void run(const PointwiseReference& row, DType dtype, const Shape& shape, Placement placement,
         bool whole, std::mt19937_64& random) {
  Case made(row, dtype, shape, placement, whole, random);
  const std::string which = fmt::format("{} {} {}{}", row.op, dtype_name(dtype),
                                        placement_name(placement), whole ? " whole" : "");
  INFO(which);
  const std::vector<unsigned char> before = made.out.bytes();
  const flagos_status_t status = Fixture::get().call(row.op, made.arguments);
  CHECK_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  if (status != FLAGOS_STATUS_OK) return;
  const Bound bound = whole && !is_floating(dtype) ? exact : operator_of(row).bound();
  CHECK(compare(made.out, made.expected, bound, made.scale) == "");
  CHECK(made.out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("pointwise: every operator has a reference") {
  std::set<std::string> known = {"nextafter"};
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
      if (!takes(row, dtype)) continue;
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
    if (!takes(row, dtype) || !Fixture::get().is_thorough()) continue;
    run(row, dtype, {5, 3, 11}, Placement::sliced, true, random);
  }
}
