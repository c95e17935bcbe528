#include "ops/testing/examples.hpp"

#include <cmath>
#include <limits>

#include "ops/engine/pointwise.hpp"
#include "ops/table.hpp"

namespace flagos::ops::testing {
namespace {

const Operator& operator_of(const std::string& op) {
  const Operator* const found = Table::get().find(op);
  if (found == nullptr) throw_error(FLAGOS_STATUS_NOT_FOUND, "there is no operator {}", op);
  return *found;
}

// Gives the parameter its argument: the next number or word of the row.
Argument argument_of(const Parameter& parameter, const PointwiseReference& row, std::size_t& words,
                     std::vector<Number>& numbers) {
  using Kind = Parameter::Kind;
  if (parameter.kind == Kind::word) return std::string(row.words.at(words++));
  if (parameter.kind == Kind::boolean) return std::string(row.words.at(words++)) == "1";
  const double number = row.numbers.at(numbers.size());
  numbers.push_back(number);
  if (parameter.kind == Kind::scalar && number == std::trunc(number))
    return static_cast<std::int64_t>(number);
  return number;
}

}  // namespace

std::string Example::judge(flagos_status_t status, const std::vector<unsigned char>& before) const {
  if (status != FLAGOS_STATUS_OK) return which + ": " + flagos_last_error();
  if (const std::string wrong = compare(*out, expected, bound, scale, terms); !wrong.empty())
    return which + ": " + wrong;
  const std::int64_t strayed = out->strayed(before);
  return strayed == 0 ? "" : fmt::format("{}: {} bytes beside the output changed", which, strayed);
}

std::string Example::run(const Caller& caller) {
  const std::vector<unsigned char> before = out->bytes();
  return judge(caller.call(op, arguments), before);
}

std::optional<std::string> Example::run_native(const Caller& caller, std::uint32_t index) {
  const std::vector<unsigned char> before = out->bytes();
  const std::optional<flagos_status_t> status = caller.call_native(index, arguments);
  return status ? std::optional(judge(*status, before)) : std::nullopt;
}

HostTensor random_tensor(Random& random, DType dtype, const Shape& shape, bool whole,
                         Placement placement) {
  HostTensor out(dtype, shape, placement);
  out.fill_random(random, whole ? -3 : -1, whole ? 3 : 1, whole || dtype == DType::i8);
  return out;
}

// ---- pointwise -------------------------------------------------------------------------------------------------------

bool takes(const PointwiseReference& row, DType dtype) {
  const Operator& op = operator_of(row.op);
  if (!op.dtypes().has(dtype)) return false;
  // A fraction makes integers float, and a negative number wraps: other cases.
  if (!is_floating(dtype))
    for (const double number : row.numbers)
      if (number != std::trunc(number) || (dtype == DType::u8 && number < 0)) return false;
  if (dtype == DType::boolean && op.name() == "bitwise_not")
    return false;  // not of a truth value; see engine_test
  return dtype != DType::boolean || row.numbers.empty();
}

Example pointwise_example(const PointwiseReference& row, DType dtype, const Shape& shape,
                          Placement placement, bool whole, Random& random) {
  const Operator& op = operator_of(row.op);
  Example example;
  example.op = row.op;
  example.which = fmt::format("{} {} {}{}", row.op, dtype_name(dtype), placement_name(placement),
                              whole ? " whole" : "");
  std::size_t words = 0;
  std::vector<Number> numbers;
  std::vector<const HostTensor*> inputs;
  for (const Parameter& parameter : op.schema().parameters) {
    if (parameter.kind != Parameter::Kind::tensor) {
      example.arguments.push_back(argument_of(parameter, row, words, numbers));
    } else if (parameter.output) {
      const bool truth = dynamic_cast<const PointwiseOperator&>(op).gives_bool();
      example.out = &example.add(
          HostTensor(truth ? DType::boolean : dtype, shape,
                     placement == Placement::broadcast ? Placement::dense : placement));
      example.arguments.emplace_back(example.out);
    } else {
      const auto [low, high] = row.ranges.at(inputs.size());
      const bool mask = parameter.elements == Parameter::Elements::boolean;
      const bool is_unsigned = dtype == DType::u8 || dtype == DType::boolean;
      HostTensor& input = example.add(HostTensor(mask ? DType::boolean : dtype, shape, placement));
      input.fill_random(random, is_unsigned && !mask ? std::max(low, 0.0) : low, high, whole);
      inputs.push_back(&input);
      example.arguments.emplace_back(&input);
    }
  }
  Number largest = 1;
  for (const Number number : numbers) largest = std::max(largest, std::fabs(number));
  for (std::int64_t i = 0; i < example.out->elements(); ++i) {
    std::vector<Number> x;
    Number terms = 0;
    for (const HostTensor* const input : inputs) {
      x.push_back(input->get(i));
      terms += std::fabs(x.back());
    }
    example.expected.push_back(row.value(x.data(), numbers.data()));
    example.scale.push_back(terms * largest);
  }
  example.bound = whole && !is_floating(dtype) ? exact : op.bound();
  return example;
}

// ---- products --------------------------------------------------------------------------------------------------------

ExpectedProduct::ExpectedProduct(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                                 const At& a, const At& b, Number alpha, Number beta, const At& c) {
  for (std::int64_t l = 0; l < batch; ++l)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        Number sum = 0, size = 0;
        for (std::int64_t x = 0; x < k; ++x) {
          sum += a(l, i, x) * b(l, x, j);
          size += std::fabs(a(l, i, x) * b(l, x, j));
        }
        const Number more = beta == 0 || !c ? 0 : beta * c(l, i, j);
        values.push_back(alpha * sum + more);
        scale.push_back(std::fabs(alpha) * size + std::fabs(more));
      }
}

ExpectedProduct::At matrix(const HostTensor& tensor) {
  const std::int64_t rows = tensor.shape()[tensor.shape().size() - 2],
                     columns = tensor.shape().back();
  return [&tensor, rows, columns](std::int64_t l, std::int64_t i, std::int64_t j) {
    return tensor.get((l * rows + i) * columns + j);
  };
}

DType product_of(DType dtype) { return dtype == DType::i8 ? DType::i32 : dtype; }

namespace {

Example product_example(const char* op, DType dtype, const std::string& size, std::int64_t k,
                        bool whole) {
  Example example;
  example.op = op;
  example.which = fmt::format("{} {} {}{}", op, dtype_name(dtype), size, whole ? " whole" : "");
  example.terms = k;
  example.bound = whole ? exact : operator_of(op).bound();
  return example;
}
void expect_product(Example& example, ExpectedProduct expected) {
  example.expected = std::move(expected.values);
  example.scale = std::move(expected.scale);
  example.arguments.emplace_back(example.out);
}

}  // namespace

Example mm_example(DType dtype, std::int64_t m, std::int64_t n, std::int64_t k, bool whole,
                   MatrixPlacements placements, Random& random) {
  Example example =
      product_example("mm", dtype,
                      fmt::format("{}x{}x{} {} {} {}", m, n, k, placement_name(placements.a),
                                  placement_name(placements.b), placement_name(placements.out)),
                      k, whole);
  HostTensor& a = example.add(random_tensor(random, dtype, {m, k}, whole, placements.a));
  HostTensor& b = example.add(random_tensor(random, dtype, {k, n}, whole, placements.b));
  example.out = &example.add(HostTensor(product_of(dtype), {m, n}, placements.out));
  example.arguments = {&a, &b};
  expect_product(example, ExpectedProduct(1, m, n, k, matrix(a), matrix(b)));
  return example;
}

Example bmm_example(DType dtype, std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                    Random& random) {
  Example example =
      product_example("bmm", dtype, fmt::format("{} of {}x{}x{}", batch, m, n, k), k, true);
  HostTensor& a = example.add(random_tensor(random, dtype, {batch, m, k}, true));
  HostTensor& b =
      example.add(random_tensor(random, dtype, {batch, k, n}, true, Placement::transposed));
  example.out = &example.add(HostTensor(product_of(dtype), {batch, m, n}));
  example.arguments = {&a, &b};
  expect_product(example, ExpectedProduct(batch, m, n, k, matrix(a), matrix(b)));
  return example;
}

Example addmm_example(DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                      std::int64_t beta, std::int64_t alpha, Random& random) {
  Example example = product_example(
      "addmm", dtype, fmt::format("{}x{}x{} beta {} alpha {}", m, n, k, beta, alpha), k, true);
  HostTensor& c = example.add(random_tensor(random, product_of(dtype), {n}, true));
  HostTensor& a = example.add(random_tensor(random, dtype, {m, k}, true));
  HostTensor& b = example.add(random_tensor(random, dtype, {k, n}, true));
  example.out = &example.add(HostTensor(product_of(dtype), {m, n}));
  example.arguments = {&c, &a, &b, beta, alpha};
  // With a beta of 0 it is not read.
  if (beta == 0 && is_floating(dtype))
    c.fill([](std::int64_t) { return std::numeric_limits<Number>::quiet_NaN(); });
  expect_product(example, ExpectedProduct(1, m, n, k, matrix(a), matrix(b),
                                          static_cast<Number>(alpha), static_cast<Number>(beta),
                                          [&](std::int64_t, std::int64_t, std::int64_t j) {
                                            return c.get(j);
                                          }));
  return example;
}

}  // namespace flagos::ops::testing
