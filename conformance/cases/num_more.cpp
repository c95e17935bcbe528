// Operators on special values, on every float16, in windows, with random numbers, and the reference itself.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "conformance/cases/num_support.hpp"

namespace flagos::conformance {
namespace {

using I = std::int64_t;
using Ints = std::vector<I>;
using op::HostTensor;
using op::Number;

constexpr CaseOptions options(const char* clause, Oracle oracle = Oracle::exact) {
  return {.clause = clause,
          .level = Level::optional,
          .oracle = oracle,
          .isolation = Isolation::own,
          .seconds = 300};
}

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// One call whose result is known element by element; NaN is any NaN, and zeros have their sign.
void must_give(Context& t, Operators& operators, const std::string& name,
               const op::Arguments& arguments, const HostTensor& out,
               const std::vector<Number>& wanted) {
  t.subcase(name);
  t.ok(operators.caller().call(name, arguments), name);
  t.equal(static_cast<std::uint64_t>(out.elements()), wanted.size(), "elements");
  for (I i = 0; i < out.elements(); ++i) {
    const Number found = out.get(i), expected = wanted[static_cast<std::size_t>(i)];
    t.check((std::isnan(found) && std::isnan(expected)) ||
                (found == expected && std::signbit(found) == std::signbit(expected)),
            "element " + std::to_string(i) + " is " +
                std::to_string(static_cast<double>(expected)) + ", found " +
                std::to_string(static_cast<double>(found)));
  }
  t.digest(out.bytes());
}

// All pairs of special values.
struct Pairs {
  Pairs() {
    const std::array<double, 8> special = {nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 1e30};
    for (const double a : special)
      for (const double b : special) {
        left.push_back(static_cast<float>(a));
        right.push_back(static_cast<float>(b));
      }
  }
  std::vector<Number> each(Number (*value)(float, float)) const {
    std::vector<Number> out;
    for (std::size_t i = 0; i < left.size(); ++i) out.push_back(value(left[i], right[i]));
    return out;
  }
  HostTensor tensor(const std::vector<float>& values) const {
    return HostTensor::of(DType::f32, {static_cast<I>(values.size())},
                          {values.begin(), values.end()});
  }
  std::vector<float> left, right;
};

std::vector<Number> doubles(const HostTensor& tensor) { return tensor.values(); }

// The distance between the samples' distribution and the wanted one, by Kolmogorov and Smirnov; above the limit, samples that
// have that distribution come once in a million times.
void check_distribution(Context& t, std::vector<Number> samples, Number (*below)(Number),
                        const std::string& what) {
  std::sort(samples.begin(), samples.end());
  const auto count = static_cast<Number>(samples.size());
  Number distance = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Number at = below(samples[i]);
    distance = std::max({distance, std::fabs(at - static_cast<Number>(i) / count),
                         std::fabs(static_cast<Number>(i + 1) / count - at)});
  }
  const Number limit = std::sqrt(-std::log(0.5e-6L) / (2 * count));
  t.check(distance < limit, what + ": " + std::to_string(static_cast<double>(distance)) +
                                " from its distribution, at most " +
                                std::to_string(static_cast<double>(limit)));
}

}  // namespace

FLAGOS_CASE("num.special_values_prop", (options("flagos_ops.h: NaN, infinities and -0"))) {
  Operators operators(t);
  const Pairs pairs;
  HostTensor a = pairs.tensor(pairs.left), b = pairs.tensor(pairs.right);
  HostTensor out(DType::f32, {a.elements()});
  must_give(t, operators, "add", {&a, &b, I{1}, &out}, out,
            pairs.each([](float x, float y) { return static_cast<Number>(x + y); }));
  must_give(t, operators, "mul", {&a, &b, &out}, out,
            pairs.each([](float x, float y) { return static_cast<Number>(x * y); }));
  must_give(t, operators, "neg", {&a, &out}, out,
            pairs.each([](float x, float) { return static_cast<Number>(-x); }));
  must_give(t, operators, "abs", {&a, &out}, out,
            pairs.each([](float x, float) { return static_cast<Number>(std::fabs(x)); }));
}

FLAGOS_CASE("num.ew.compare_nan", (options("flagos_ops_eq and the like: NaN, -0, infinities"))) {
  Operators operators(t);
  const Pairs pairs;
  HostTensor a = pairs.tensor(pairs.left), b = pairs.tensor(pairs.right);
  HostTensor out(DType::boolean, {a.elements()});
  struct Row {
    const char* name;
    Number (*value)(float, float);
  };
  for (const Row& row : {Row{"eq", [](float x, float y) { return static_cast<Number>(x == y); }},
                         Row{"ne", [](float x, float y) { return static_cast<Number>(x != y); }},
                         Row{"lt", [](float x, float y) { return static_cast<Number>(x < y); }},
                         Row{"le", [](float x, float y) { return static_cast<Number>(x <= y); }},
                         Row{"gt", [](float x, float y) { return static_cast<Number>(x > y); }},
                         Row{"ge", [](float x, float y) { return static_cast<Number>(x >= y); }}})
    must_give(t, operators, row.name, {&a, &b, &out}, out, pairs.each(row.value));
}

FLAGOS_CASE("num.ew.unary_exhaustive16", (options("flagos_ops.h: every float16", Oracle::bound))) {
  Operators operators(t);
  for (const char* const name : {"neg", "abs", "sqrt", "exp", "tanh"}) {
    if (operators.quick() && std::strcmp(name, "abs") != 0 && std::strcmp(name, "exp") != 0)
      continue;
    for (const op::PointwiseReference& row : op::pointwise_references()) {
      if (std::strcmp(row.op, name) != 0) continue;
      op::Example example = op::pointwise_example(row, DType::f16, {65536}, Placement::dense, false,
                                                  operators.random());
      HostTensor& x = example.tensors.front();
      for (I i = 0; i < 65536; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        std::memcpy(x.bytes().data() + x.offset_bytes() + 2 * static_cast<std::size_t>(i), &bits,
                    2);
        // Beyond the range in which the operator is defined: 1, as one number more.
        Number value = x.get(i);
        const auto& [low, high] = row.ranges.front();
        if (!(value >= low && value <= high)) x.set(i, value = 1);
        example.expected[static_cast<std::size_t>(i)] = row.value(&value, nullptr);
      }
      operators.run(std::move(example));
    }
  }
}

FLAGOS_CASE("num.conv.exact_int", (options("flagos_ops_conv2d: no term is lost"))) {
  Operators operators(t);
  struct Row {
    I stride, padding, dilation, groups;
  };
  for (const Row& row : {Row{1, 0, 1, 1}, Row{2, 1, 1, 1}, Row{1, 2, 2, 1}, Row{1, 1, 1, 2}}) {
    constexpr I channels = 4, height = 9, width = 11, kernel = 3, outputs = 6;
    const auto extent = [&](I size) {
      return (size + 2 * row.padding - row.dilation * (kernel - 1) - 1) / row.stride + 1;
    };
    const I rows = extent(height), columns = extent(width), per_group = channels / row.groups;
    HostTensor x =
        op::random_tensor(operators.random(), DType::f32, {2, channels, height, width}, true);
    HostTensor w = op::random_tensor(operators.random(), DType::f32,
                                     {outputs, per_group, kernel, kernel}, true);
    HostTensor bias = op::random_tensor(operators.random(), DType::f32, {outputs}, true);
    HostTensor out(DType::f32, {2, outputs, rows, columns});
    std::vector<Number> wanted;
    for (I n = 0; n < 2; ++n)
      for (I o = 0; o < outputs; ++o)
        for (I i = 0; i < rows; ++i)
          for (I j = 0; j < columns; ++j) {
            Number sum = bias.get(o);
            for (I c = 0; c < per_group; ++c)
              for (I u = 0; u < kernel; ++u)
                for (I v = 0; v < kernel; ++v) {
                  const I y = i * row.stride - row.padding + u * row.dilation;
                  const I z = j * row.stride - row.padding + v * row.dilation;
                  if (y < 0 || y >= height || z < 0 || z >= width) continue;
                  const I channel = o / (outputs / row.groups) * per_group + c;
                  sum += x.get(((n * channels + channel) * height + y) * width + z) *
                         w.get(((o * per_group + c) * kernel + u) * kernel + v);
                }
            wanted.push_back(sum + 0.0L);
          }
    const op::Arguments arguments = {&x,
                                     &w,
                                     &bias,
                                     Ints{row.stride, row.stride},
                                     Ints{row.padding, row.padding},
                                     Ints{row.dilation, row.dilation},
                                     row.groups,
                                     &out};
    t.subcase("stride " + std::to_string(row.stride) + ", padding " + std::to_string(row.padding) +
              ", dilation " + std::to_string(row.dilation) + ", groups " +
              std::to_string(row.groups));
    t.ok(operators.caller().call("conv2d", arguments), "conv2d");
    const std::string wrong = op::compare(out, wanted, flagos::ops::exact);
    t.check(wrong.empty(), wrong.empty() ? "every sum is exact" : wrong);
    t.digest(out.bytes());
  }
}

FLAGOS_CASE("num.pool", (options("flagos_ops_max_pool2d, flagos_ops_avg_pool2d"))) {
  Operators operators(t);
  constexpr I height = 8, width = 12;
  HostTensor x = op::random_tensor(operators.random(), DType::f32, {1, 2, height, width}, true);
  HostTensor most(DType::f32, {1, 2, height / 2, width / 2}),
      mean(DType::f32, {1, 2, height / 2, width / 2});
  std::vector<Number> largest, average;
  for (I c = 0; c < 2; ++c)
    for (I i = 0; i < height; i += 2)
      for (I j = 0; j < width; j += 2) {
        std::vector<Number> seen;
        for (I u = 0; u < 2; ++u)
          for (I v = 0; v < 2; ++v) seen.push_back(x.get((c * height + i + u) * width + j + v));
        largest.push_back(*std::max_element(seen.begin(), seen.end()));
        average.push_back((seen[0] + seen[1] + seen[2] + seen[3]) / 4);
      }
  const auto judge = [&](const char* name, const op::Arguments& arguments, const HostTensor& out,
                         const std::vector<Number>& wanted) {
    t.subcase(name);
    t.ok(operators.caller().call(name, arguments), name);
    const std::string wrong = op::compare(out, wanted, flagos::ops::exact);
    t.check(wrong.empty(), wrong.empty() ? "every window" : wrong);
    t.digest(out.bytes());
  };
  const Ints two{2, 2}, zero{0, 0}, one{1, 1};
  judge("max_pool2d", {&x, two, two, zero, one, false, &most}, most, largest);
  judge("avg_pool2d", {&x, two, two, zero, false, true, std::monostate{}, &mean}, mean, average);
}

FLAGOS_CASE("num.index.masked_where", (options("flagos_ops_where, flagos_ops_masked_fill"))) {
  Operators operators(t);
  constexpr I count = 1031;
  HostTensor a = op::random_tensor(operators.random(), DType::f32, {count}, true);
  HostTensor b = op::random_tensor(operators.random(), DType::f32, {count}, true);
  HostTensor mask(DType::boolean, {count}), out(DType::f32, {count});
  for (const int kind : {0, 1, 2}) {
    t.subcase(kind == 0 ? "nothing is chosen" : kind == 1 ? "everything is" : "some is");
    mask.fill([&](I i) { return static_cast<Number>(kind == 2 ? i * 7 % 3 == 0 : kind); });
    std::vector<Number> chosen, filled;
    for (I i = 0; i < count; ++i) {
      chosen.push_back(mask.get(i) != 0 ? a.get(i) : b.get(i));
      filled.push_back(mask.get(i) != 0 ? 7 : a.get(i));
    }
    t.ok(operators.caller().call("where", {&mask, &a, &b, &out}), "where");
    std::string wrong = op::compare(out, chosen, flagos::ops::exact);
    t.check(wrong.empty(), wrong.empty() ? "where" : wrong);
    t.ok(operators.caller().call("masked_fill", {&a, &mask, I{7}, &out}), "masked_fill");
    wrong = op::compare(out, filled, flagos::ops::exact);
    t.check(wrong.empty(), wrong.empty() ? "masked_fill" : wrong);
    t.digest(out.bytes());
  }
}

FLAGOS_CASE("num.shape.tril_triu_arange",
            (options("flagos_ops_tril, flagos_ops_triu, flagos_ops_arange"))) {
  Operators operators(t);
  constexpr I rows = 5, columns = 7;
  HostTensor x = op::random_tensor(operators.random(), DType::f32, {rows, columns}, true);
  HostTensor out(DType::f32, {rows, columns});
  for (const I diagonal : {I{0}, I{1}, I{-2}, I{columns + 3}, I{-rows - 3}}) {
    for (const bool lower : {true, false}) {
      t.subcase((lower ? "tril, " : "triu, ") + std::to_string(diagonal));
      std::vector<Number> wanted;
      for (I i = 0; i < rows; ++i)
        for (I j = 0; j < columns; ++j)
          wanted.push_back((lower ? j - i <= diagonal : j - i >= diagonal) ? x.get(i * columns + j)
                                                                           : 0);
      t.ok(operators.caller().call(lower ? "tril" : "triu", {&x, diagonal, &out}), "the triangle");
      const std::string wrong = op::compare(out, wanted, flagos::ops::exact);
      t.check(wrong.empty(), wrong.empty() ? "the triangle" : wrong);
    }
  }
  t.subcase("arange");
  HostTensor range(DType::i32, {9});
  std::vector<Number> wanted;
  for (I i = 0; i < 9; ++i) wanted.push_back(static_cast<Number>(20 - 5 * i));
  t.ok(operators.caller().call("arange", {I{20}, I{-25}, I{-5}, &range}), "arange");
  const std::string wrong = op::compare(range, wanted, flagos::ops::exact);
  t.check(wrong.empty(), wrong.empty() ? "the end is left out" : wrong);
}

FLAGOS_CASE("num.loss.mse", (options("flagos_ops_mse_loss"))) {
  Operators operators(t);
  HostTensor x = op::random_tensor(operators.random(), DType::f32, {1024}, true);
  HostTensor target = op::random_tensor(operators.random(), DType::f32, {1024}, true);
  HostTensor each(DType::f32, {1024}), one(DType::f32, {});
  std::vector<Number> squares;
  Number sum = 0;
  for (I i = 0; i < 1024; ++i) {
    const Number difference = x.get(i) - target.get(i);
    squares.push_back(difference * difference);
    sum += squares.back();
  }
  const auto judge = [&](const char* reduction, HostTensor& out,
                         const std::vector<Number>& wanted) {
    t.subcase(reduction);
    t.ok(operators.caller().call("mse_loss", {&x, &target, std::string(reduction), &out}),
         "mse_loss");
    const std::string wrong = op::compare(out, wanted, flagos::ops::exact);
    t.check(wrong.empty(), wrong.empty() ? "the loss" : wrong);
  };
  judge("none", each, squares);
  judge("sum", one, {sum});
  judge("mean", one, {sum / 1024});  // a power of two: exact
}

FLAGOS_CASE("det.rng_seed", (options("flagos_ops.h: Random; a seed and an offset say all"))) {
  Operators operators(t);
  const auto draw = [&](I seed, I offset) {
    HostTensor out(DType::f32, {4096});
    t.ok(operators.caller().call("rand", {seed, offset, &out}), "rand");
    return out.bytes();
  };
  const auto first = draw(1234, 0);
  t.equal_bytes(draw(1234, 0), first, "the same seed gives the same bits");
  t.check(draw(1235, 0) != first, "another seed gives others");
  t.check(draw(1234, 4096) != first, "another offset gives others");
  t.equal_bytes(draw(1234, 4096), draw(1234, 4096), "the same offset gives the same bits");
}

FLAGOS_CASE("num.rand.uniform_normal",
            (options("flagos_ops_rand, flagos_ops_randn: distribution", Oracle::stat))) {
  Operators operators(t);
  const I count = operators.quick() ? 20'000 : 200'000;
  // One seed, so that a run that fails fails again.
  const auto seed = static_cast<I>(t.random_below(std::uint64_t{1} << 40));
  HostTensor out(DType::f32, {count});
  t.subcase("rand, seed " + std::to_string(seed));
  t.ok(operators.caller().call("rand", {seed, I{0}, &out}), "rand");
  for (const Number x : doubles(out)) t.check(x >= 0 && x < 1, "a number of [0, 1)");
  check_distribution(
      t, doubles(out), [](Number x) { return x; }, "rand");
  t.subcase("randn, seed " + std::to_string(seed));
  t.ok(operators.caller().call("randn", {seed, I{0}, &out}), "randn");
  for (const Number x : doubles(out)) t.check(std::isfinite(x), "a finite number");
  check_distribution(
      t, doubles(out), [](Number x) { return std::erfc(-x / std::sqrt(2.0L)) / 2; }, "randn");
}

FLAGOS_CASE("num.rand.dropout",
            (options("flagos_ops_dropout: rate, scale and mask", Oracle::stat))) {
  Operators operators(t);
  constexpr I count = 65'536;
  HostTensor x(DType::f32, {count}), out(DType::f32, {count}), mask(DType::boolean, {count});
  x.fill([](I i) { return static_cast<Number>(1 + i % 7); });
  const auto seed = static_cast<I>(t.random_below(std::uint64_t{1} << 40));
  t.subcase("p 0.75, seed " + std::to_string(seed));
  t.ok(operators.caller().call("dropout", {&x, 0.75, true, seed, I{0}, &out, &mask}), "dropout");
  I kept = 0;
  for (I i = 0; i < count; ++i) {
    const bool is_kept = mask.get(i) != 0;
    kept += is_kept;
    t.check(out.get(i) == (is_kept ? 4 * x.get(i) : 0),
            "element " + std::to_string(i) + " is scaled where the mask keeps it");
  }
  // Five standard deviations.
  t.check(std::abs(static_cast<double>(kept) - 0.25 * count) < 5 * std::sqrt(count * 0.25 * 0.75),
          "a quarter is kept, and it is " + std::to_string(kept));
}

// Of the reference: a 16-bit number goes through it as it is, and halves are rounded to even.
FLAGOS_CASE("num.oracle.selftest", {.clause = "what cases of num compare with",
                                    .level = Level::optional,
                                    .isolation = Isolation::own,
                                    .query = true}) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    t.subcase(dtype == DType::f16 ? "float16" : "bfloat16");
    HostTensor all(dtype, {65536}), again(dtype, {65536});
    for (I i = 0; i < 65536; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      std::memcpy(all.bytes().data() + all.offset_bytes() + 2 * static_cast<std::size_t>(i), &bits,
                  2);
    }
    std::uint32_t wrong = 0;
    Number last = 0;
    for (I i = 0; i < 65536; ++i) {
      const Number value = all.get(i);
      again.set(i, value);
      if (std::isnan(value)) continue;
      wrong += std::memcmp(all.bytes().data() + all.offset_bytes() + 2 * i,
                           again.bytes().data() + again.offset_bytes() + 2 * i, 2) != 0;
      // Positive ones are in order; half way to the next goes to the even one.
      if (i > 0 && i < 0x7000 && std::isfinite(value)) {
        const Number nearest = op::rounded(dtype, (last + value) / 2);
        wrong += nearest != (i % 2 == 0 ? value : last);
      }
      last = value;
    }
    t.equal(wrong, 0, "numbers that do not come through, or are rounded another way");
  }
}

}  // namespace flagos::conformance
