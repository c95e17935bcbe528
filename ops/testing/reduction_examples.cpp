// Reductions: what each gives of a line, and calls of them.
#include <algorithm>
#include <cmath>

#include "ops/table.hpp"
#include "ops/testing/examples.hpp"

namespace flagos::ops::testing {

std::int64_t place_of(const Values& x, bool largest) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < x.size(); ++i)
    if (!std::isnan(x[best]) && (std::isnan(x[i]) || (largest ? x[i] > x[best] : x[i] < x[best])))
      best = i;
  return static_cast<std::int64_t>(best);
}

std::vector<std::vector<std::int64_t>> lines_of(const Shape& shape, std::uint32_t along) {
  std::int64_t count = 1, lines = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    count *= shape[i];
    if (((along >> i) & 1U) == 0) lines *= shape[i];
  }
  std::vector<std::vector<std::int64_t>> out(static_cast<std::size_t>(lines));
  for (std::int64_t index = 0; index < count; ++index) {
    std::int64_t rest = index, line = 0, step = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (((along >> i) & 1U) == 0) {
        line += rest % shape[i] * step;
        step *= shape[i];
      }
      rest /= shape[i];
    }
    out[static_cast<std::size_t>(line)].push_back(index);
  }
  return out;
}

namespace {

const std::vector<DType> float_types{DType::f32, DType::f16, DType::bf16, DType::f64};
const std::vector<DType> all_types{DType::f32, DType::f16, DType::bf16, DType::f64, DType::i32,
                                   DType::i64, DType::i16, DType::i8,   DType::u8,  DType::boolean};

using Row = ReductionReference;

Number sum_of(const Values& x) {
  Number out = 0;
  for (const Number value : x) out += value;
  return out;
}
Number size_of(const Values& x) {
  Number out = 0;
  for (const Number value : x) out += std::fabs(value);
  return out;
}
Number variance_of(const Values& x, Number correction) {
  const Number mean = sum_of(x) / static_cast<Number>(x.size());
  Number out = 0;
  for (const Number value : x) out += (value - mean) * (value - mean);
  return out / std::max<Number>(static_cast<Number>(x.size()) - correction, 0);
}
Number norm_of(const Values& x, Number p) {
  Number out = 0;
  for (const Number value : x) out += std::pow(std::fabs(value), p);
  return std::pow(out, 1 / p);
}

}  // namespace

const std::vector<ReductionReference>& reduction_references() {
  static const std::vector<Row> out{
      {"sum", Row::summed_type, all_types, sum_of, size_of, {}},
      {"nansum", Row::summed_type, all_types, sum_of, size_of, {}},
      {"mean",
       Row::summed_type,
       float_types,
       [](const Values& x) { return sum_of(x) / static_cast<Number>(x.size()); },
       [](const Values& x) { return size_of(x) / static_cast<Number>(x.size()); },
       {}},
      {"prod",
       Row::summed_type,
       all_types,
       [](const Values& x) {
         Number p = 1;
         for (const Number value : x) p *= value;
         return p;
       },
       [](const Values& x) {
         Number p = static_cast<Number>(x.size());
         for (const Number value : x) p *= std::fabs(value);
         return p;
       },
       {},
       0.75,
       1.3},
      {"count_nonzero",
       Row::index,
       all_types,
       [](const Values& x) {
         return static_cast<Number>(x.size() - std::count(x.begin(), x.end(), 0));
       },
       {},
       {}},
      {"amax",
       Row::same_type,
       all_types,
       [](const Values& x) { return x[place_of(x, true)]; },
       {},
       {}},
      {"amin",
       Row::same_type,
       all_types,
       [](const Values& x) { return x[place_of(x, false)]; },
       {},
       {}},
      {"argmax", Row::index, all_types, [](const Values& x) { return place_of(x, true); }, {}, {}},
      {"argmin", Row::index, all_types, [](const Values& x) { return place_of(x, false); }, {}, {}},
      {"any",
       Row::truth,
       all_types,
       [](const Values& x) { return size_of(x) != 0; },
       {},
       {},
       -0.8,
       0.8},
      {"all",
       Row::truth,
       all_types,
       [](const Values& x) { return std::count(x.begin(), x.end(), 0) == 0; },
       {},
       {}},
      {"var",
       Row::same_type,
       float_types,
       [](const Values& x) { return variance_of(x, 1); },
       [](const Values& x) { return variance_of(x, 1) + 1; },
       {1.0}},
      {"std",
       Row::same_type,
       float_types,
       [](const Values& x) { return std::sqrt(variance_of(x, 0)); },
       [](const Values& x) { return std::sqrt(variance_of(x, 0)) + 1; },
       {0.0}},
      {"norm",
       Row::same_type,
       float_types,
       [](const Values& x) { return norm_of(x, 2); },
       [](const Values& x) { return norm_of(x, 2); },
       {2.0}},
      {"norm",
       Row::same_type,
       float_types,
       [](const Values& x) { return norm_of(x, 3); },
       [](const Values& x) { return norm_of(x, 3); },
       {3.0}},
      {"norm",
       Row::same_type,
       float_types,
       [](const Values& x) { return norm_of(x, 1); },
       [](const Values& x) { return norm_of(x, 1); },
       {1.0}},
      {"norm",
       Row::same_type,
       float_types,
       [](const Values& x) {
         Number most = 0;
         for (const Number value : x) most = std::max(most, std::fabs(value));
         return most;
       },
       [](const Values&) { return Number{0}; },
       {static_cast<double>(INFINITY)}},
      {"logsumexp",
       Row::same_type,
       float_types,
       [](const Values& x) {
         Number s = 0;
         for (const Number value : x) s += std::exp(value);
         return std::log(s);
       },
       [](const Values& x) { return std::log(static_cast<Number>(x.size())) + 4; },
       {}},
  };
  return out;
}

Example reduction_example(const ReductionReference& row, DType dtype, const Shape& shape,
                          std::vector<std::int64_t> dims, bool keepdim, Placement placement,
                          bool whole, Random& random) {
  const std::string op = row.op;
  const bool arg = op == "argmax" || op == "argmin";
  if (arg && dims.size() > 1) dims.resize(1);
  Example example;
  example.op = op;
  example.which = fmt::format("{} {} {} of {} dims {}", op, dtype_name(dtype),
                              placement_name(placement), shape_text(shape), shape_text(dims));
  HostTensor& x = example.add(HostTensor(dtype, shape, placement));
  const bool is_unsigned = dtype == DType::u8 || dtype == DType::boolean;
  x.fill_random(random, is_unsigned ? std::max(row.low, 0.0) : row.low, row.high, whole);
  std::uint32_t along = 0;
  for (const std::int64_t dim : dims)
    if (!shape.empty()) along |= 1U << (dim < 0 ? dim + x.rank() : dim);
  if (dims.empty()) along = (1U << shape.size()) - 1;
  Shape out_shape;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (((along >> i) & 1U) == 0)
      out_shape.push_back(shape[i]);
    else if (keepdim)
      out_shape.push_back(1);
  const DType type = row.result == Row::index                                ? DType::i64
                     : row.result == Row::truth                              ? DType::boolean
                     : row.result == Row::summed_type && !is_floating(dtype) ? DType::i64
                                                                             : dtype;
  example.out = &example.add(HostTensor(
      type, out_shape, placement == Placement::broadcast ? Placement::dense : placement));
  Argument dim_list = dims;
  if (arg) {
    dim_list = std::monostate();
    if (!dims.empty()) dim_list = dims[0];
  }
  Arguments& arguments = example.arguments;
  arguments.emplace_back(&x);
  if (op == "norm") arguments.push_back(row.middle[0]);
  arguments.push_back(dim_list);
  if (op != "norm") arguments.insert(arguments.end(), row.middle.begin(), row.middle.end());
  arguments.emplace_back(keepdim);
  arguments.emplace_back(example.out);
  for (const auto& line : lines_of(shape, along)) {
    Values in;
    for (const std::int64_t i : line) in.push_back(x.get(i));
    example.expected.push_back(row.value(in));
    if (row.scale) example.scale.push_back(row.scale(in));
    example.terms = static_cast<std::int64_t>(line.size());
  }
  const bool sums = op == "sum" || op == "nansum" || op == "prod";
  example.bound = whole && sums ? exact : Table::get().find(op)->bound();
  return example;
}

}  // namespace flagos::ops::testing
