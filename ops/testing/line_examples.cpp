// Calls along lines, of attention, and of what moves elements.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/table.hpp"
#include "ops/testing/examples.hpp"

namespace flagos::ops::testing {
namespace {

Bound bound_of(const std::string& op) { return Table::get().find(op)->bound(); }

Example start(const std::string& op, DType dtype, const Shape& shape, Bound bound) {
  Example example;
  example.op = op;
  example.which = fmt::format("{} {} of {}", op, dtype_name(dtype), shape_text(shape));
  example.bound = bound;
  return example;
}
HostTensor& random_input(Example& example, Random& random, DType dtype, const Shape& shape,
                         double low, double high, bool whole = false) {
  HostTensor& tensor = example.add(HostTensor(dtype, shape));
  tensor.fill_random(random, low, high, whole);
  return tensor;
}
void finish(Example& example, HostTensor out) {
  example.out = &example.add(std::move(out));
  example.arguments.emplace_back(example.out);
}
// Indices below `limit`.
HostTensor& random_index(Example& example, Random& random, const Shape& shape, std::int64_t limit) {
  HostTensor& index = example.add(HostTensor(DType::i64, shape));
  index.fill([&](std::int64_t) {
    return static_cast<Number>(random() % static_cast<std::uint64_t>(limit));
  });
  return index;
}

}  // namespace

Example softmax_example(DType dtype, const Shape& shape, bool log, Random& random) {
  const std::string op = log ? "log_softmax" : "softmax";
  Example example = start(op, dtype, shape, bound_of(op));
  const HostTensor& x = random_input(example, random, dtype, shape, -4, 4);
  example.arguments = {&example.tensors.back(), std::int64_t{-1}};
  for (const auto& line : lines_of(shape, 1U << (shape.size() - 1))) {
    Number largest = -HUGE_VALL, sum = 0;
    for (const std::int64_t i : line) largest = std::max(largest, x.get(i));
    for (const std::int64_t i : line) sum += std::exp(x.get(i) - largest);
    for (const std::int64_t i : line) {
      const Number from_largest = x.get(i) - largest;
      example.expected.push_back(log ? from_largest - std::log(sum) : std::exp(from_largest) / sum);
      example.scale.push_back((log ? 8 : 0) + std::fabs(example.expected.back()));
    }
    example.terms = static_cast<std::int64_t>(line.size());
  }
  finish(example, HostTensor(dtype, shape));
  return example;
}

Example cumsum_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random) {
  Example example = start("cumsum", dtype, {rows, columns}, exact);
  const HostTensor& x = random_input(example, random, dtype, {rows, columns}, 0, 3, true);
  example.arguments = {&example.tensors.back(), std::int64_t{1}};
  for (std::int64_t i = 0; i < rows; ++i) {
    Number sum = 0;
    for (std::int64_t j = 0; j < columns; ++j)
      example.expected.push_back(sum += x.get(i * columns + j));
  }
  finish(example, HostTensor(is_floating(dtype) ? dtype : DType::i64, {rows, columns}));
  return example;
}

Example rms_norm_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random) {
  Example example = start("rms_norm", dtype, {rows, columns}, bound_of("rms_norm"));
  HostTensor& x = random_input(example, random, dtype, {rows, columns}, -2, 2);
  HostTensor& weight = random_input(example, random, dtype, {columns}, 0.5, 2);
  constexpr double epsilon = 1e-5;
  example.arguments = {&x, std::vector<std::int64_t>{columns}, &weight, epsilon};
  for (std::int64_t i = 0; i < rows; ++i) {
    Number squares = 0;
    for (std::int64_t j = 0; j < columns; ++j)
      squares += x.get(i * columns + j) * x.get(i * columns + j);
    const Number root = std::sqrt(squares / static_cast<Number>(columns) + epsilon);
    for (std::int64_t j = 0; j < columns; ++j) {
      example.expected.push_back(x.get(i * columns + j) / root * weight.get(j));
      example.scale.push_back(std::fabs(example.expected.back()));
    }
  }
  example.terms = columns;
  finish(example, HostTensor(dtype, {rows, columns}));
  return example;
}

Example attention_example(DType dtype, std::int64_t heads, std::int64_t queries, std::int64_t keys,
                          std::int64_t depth, bool causal, Random& random) {
  const char* const op = "scaled_dot_product_attention";
  Example example = start(op, dtype, {1, heads, queries, keys, depth}, bound_of(op));
  HostTensor& q = random_input(example, random, dtype, {1, heads, queries, depth}, -1, 1);
  HostTensor& k = random_input(example, random, dtype, {1, heads, keys, depth}, -1, 1);
  HostTensor& v = random_input(example, random, dtype, {1, heads, keys, depth}, -1, 1);
  example.arguments = {&q, &k, &v, {}, 0.0, causal, {}, false};
  const Number factor = 1 / std::sqrt(static_cast<Number>(depth));
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t i = 0; i < queries; ++i) {
      std::vector<Number> weights;
      for (std::int64_t j = 0; j < keys && (!causal || j <= i); ++j) {
        Number dot = 0;
        for (std::int64_t d = 0; d < depth; ++d)
          dot += q.get((h * queries + i) * depth + d) * k.get((h * keys + j) * depth + d);
        weights.push_back(std::exp(dot * factor));
      }
      const Number total = std::accumulate(weights.begin(), weights.end(), Number{0});
      for (std::int64_t d = 0; d < depth; ++d) {
        Number sum = 0, size = 0;
        for (std::size_t j = 0; j < weights.size(); ++j) {
          const Number term =
              weights[j] / total * v.get((h * keys + static_cast<std::int64_t>(j)) * depth + d);
          sum += term;
          size += std::fabs(term);
        }
        example.expected.push_back(sum);
        example.scale.push_back(2 * size);  // the weights are rounded too
      }
    }
  example.terms = keys;
  finish(example, HostTensor(dtype, {1, heads, queries, depth}));
  return example;
}

Example gather_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random) {
  Example example = start("gather", dtype, {rows, columns}, exact);
  HostTensor& x = random_input(example, random, dtype, {rows, columns}, 0, 9, true);
  HostTensor& index = random_index(example, random, {rows, columns}, rows);
  example.arguments = {&x, std::int64_t{0}, &index};
  for (std::int64_t i = 0; i < rows * columns; ++i)
    example.expected.push_back(
        x.get(static_cast<std::int64_t>(index.get(i)) * columns + i % columns));
  finish(example, HostTensor(dtype, {rows, columns}));
  return example;
}

Example scatter_add_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random) {
  Example example = start("scatter_add", dtype, {rows, columns}, exact);
  HostTensor& x = random_input(example, random, dtype, {rows, columns}, 0, 5, true);
  HostTensor& index = random_index(example, random, {rows, columns}, rows);
  HostTensor& source = random_input(example, random, dtype, {rows, columns}, 0, 5, true);
  example.arguments = {&x, std::int64_t{0}, &index, &source};
  example.expected = x.values();
  for (std::int64_t i = 0; i < rows * columns; ++i)
    example.expected[static_cast<std::size_t>(static_cast<std::int64_t>(index.get(i)) * columns +
                                              i % columns)] += source.get(i);
  finish(example, HostTensor(dtype, {rows, columns}));
  return example;
}

Example embedding_example(DType dtype, std::int64_t rows, std::int64_t columns,
                          std::int64_t indices, Random& random) {
  Example example = start("embedding", dtype, {rows, columns}, exact);
  HostTensor& weight = random_input(example, random, dtype, {rows, columns}, -9, 9);
  HostTensor& index = random_index(example, random, {indices}, rows);
  example.arguments = {&weight, &index, std::int64_t{-1}};
  for (std::int64_t i = 0; i < indices * columns; ++i)
    example.expected.push_back(
        weight.get(static_cast<std::int64_t>(index.get(i / columns)) * columns + i % columns));
  finish(example, HostTensor(dtype, {indices, columns}));
  return example;
}

// The indices are judged: which of equal elements comes first is told.
Example sort_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random) {
  Example example = start("sort", dtype, {rows, columns}, exact);
  HostTensor& x = random_input(example, random, dtype, {rows, columns}, 0, 20, true);
  HostTensor& values = example.add(HostTensor(dtype, {rows, columns}));
  example.arguments = {&x, std::int64_t{-1}, false, &values};
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(columns));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return x.get(i * columns + a) < x.get(i * columns + b);
    });
    example.expected.insert(example.expected.end(), order.begin(), order.end());
  }
  finish(example, HostTensor(DType::i64, {rows, columns}));
  return example;
}

Example cast_example(DType from, DType to, std::int64_t elements, Random& random) {
  Example example = start("copy", from, {elements}, exact);
  example.which += fmt::format(" to {}", dtype_name(to));
  HostTensor& x = random_input(example, random, from, {elements}, 0, 100);
  example.arguments = {&x};
  for (const Number value : x.values())
    example.expected.push_back(is_floating(to) || to == DType::boolean ? value : std::trunc(value));
  finish(example, HostTensor(to, {elements}));
  return example;
}

Example cat_example(DType dtype, Random& random) {
  Example example = start("cat", dtype, {5, 7}, exact);
  HostTensor& a = random_input(example, random, dtype, {2, 7}, 0, 9, true);
  HostTensor& b = random_input(example, random, dtype, {3, 7}, 0, 9, true);
  example.arguments = {std::vector<HostTensor*>{&a, &b}, std::int64_t{0}};
  example.expected = a.values();
  const std::vector<Number> rest = b.values();
  example.expected.insert(example.expected.end(), rest.begin(), rest.end());
  finish(example, HostTensor(dtype, {5, 7}));
  return example;
}

}  // namespace flagos::ops::testing
