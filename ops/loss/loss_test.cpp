// Losses against plain sums in long double.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "ops/table.hpp"
#include "ops/testing/lines.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using Values = std::vector<Number>;
constexpr Bound judged = summed(4, 8);

struct Row {
  const char* op;
  std::vector<Argument> after;  // the reduction
  std::function<Number(Number x, Number y)> term;
  bool probability = false;  // of the target
};

const std::vector<Row>& rows() {
  static const std::vector<Row> out{
      {"mse_loss", {}, [](Number x, Number y) { return (x - y) * (x - y); }},
      {"l1_loss", {}, [](Number x, Number y) { return std::fabs(x - y); }},
      {"smooth_l1_loss",
       {0.5},
       [](Number x, Number y) {
         const Number d = std::fabs(x - y);
         return d < 0.5L ? d * d : d - 0.25L;
       }},
      {"smooth_l1_loss", {0.0}, [](Number x, Number y) { return std::fabs(x - y); }},
      {"huber_loss",
       {2.0},
       [](Number x, Number y) {
         const Number d = std::fabs(x - y);
         return d < 2 ? d * d / 2 : 2 * (d - 1);
       }},
      {"kl_div",
       {false},
       [](Number x, Number y) { return y == 0 ? Number{0} : y * (std::log(y) - x); },
       true},
      {"kl_div", {true}, [](Number x, Number y) { return std::exp(y) * (y - x); }, true}};
  return out;
}

Number reduced(const std::string& word, const Values& terms, Number weight) {
  Number total = 0;
  for (const Number term : terms) total += term;
  return word == "mean" ? total / weight : total;
}
Number size_of(const std::string& word, const Values& terms, Number weight) {
  Number total = 0;
  for (const Number term : terms) total += std::fabs(term) + 1;
  return word == "mean" ? total / weight : total;
}

void judge(const HostTensor& out, const std::string& word, const Values& terms, Number weight) {
  Values scale;
  if (word == "none") {
    for (const Number term : terms) scale.push_back(std::fabs(term) + 4);
    CHECK(compare(out, terms, judged, scale, 64) == "");
  } else {
    CHECK(compare(out, {reduced(word, terms, weight)}, judged, {size_of(word, terms, weight)},
                  static_cast<std::int64_t>(terms.size())) == "");
  }
}

}  // namespace

TEST_CASE("loss: a term for each element") {
  std::mt19937_64 random(seed() + 7);
  for (const DType dtype : wanted_dtypes({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const Row& row : rows())
      for (const std::string word : {"mean", "sum", "none"})
        for (const Placement placement : {Placement::dense, Placement::sliced}) {
          if (!in_full(dtype) && placement == Placement::sliced) continue;
          const Shape shape{6, 50};
          HostTensor x(dtype, shape, placement), y(dtype, shape, placement);
          HostTensor out(dtype, word == "none" ? shape : Shape{});
          x.fill_random(random, -3, 3, false);
          y.fill_random(random, row.probability ? 0 : -3, row.probability ? 1 : 3, false);
          if (row.probability) y.set(7, 0);
          Arguments arguments{&x, &y, word};
          arguments.insert(arguments.end(), row.after.begin(), row.after.end());
          arguments.emplace_back(&out);
          INFO(row.op << " " << dtype_name(dtype) << " " << word << " "
                      << placement_name(placement));
          must_call(row.op, arguments);
          Values terms;
          for (std::int64_t i = 0; i < x.elements(); ++i)
            terms.push_back(row.term(x.get(i), y.get(i)));
          judge(out, word, terms, static_cast<Number>(x.elements()));
        }
  // Whole numbers, to the last bit; one target for all.
  HostTensor x = HostTensor::of(DType::f32, {2, 2}, {1, 2, 3, 4}),
             y = HostTensor::of(DType::f32, {}, {2}), out(DType::f32, {});
  must_call("mse_loss", {&x, &y, std::string("sum"), &out});
  CHECK(out.get(0) == 6);
  HostTensor none(DType::f32, {0, 2});
  must_call("mse_loss", {&none, &none, std::string("mean"), &out});
  CHECK(std::isnan(out.get(0)));
}

namespace {

void check_cross_entropy(DType dtype, std::mt19937_64& random) {
  const std::string which = dtype_name(dtype);
  INFO(which);
  HostTensor x(dtype, {5, 30}), y(dtype, {5, 30}), w(dtype, {30}), p(dtype, {30});
  x.fill_random(random, -30, 30, false);
  y.fill_random(random, 0, 1, false);
  w.fill_random(random, 0.5, 2, false);
  p.fill_random(random, 0.5, 2, false);
  for (const int given : {0, 1, 2, 3})
    for (const std::string word : {"mean", "none"}) {
      if (!in_full(dtype) && given != 3) continue;
      HostTensor out(dtype, word == "none" ? Shape{5, 30} : Shape{});
      must_call("binary_cross_entropy_with_logits", {&x, &y, (given & 1) != 0 ? &w : nullptr,
                                                     (given & 2) != 0 ? &p : nullptr, word, &out});
      Values terms;
      for (std::int64_t i = 0; i < 150; ++i) {
        const Number v = x.get(i), t = y.get(i),
                     rest = std::log1p(std::exp(-std::fabs(v))) + std::max<Number>(-v, 0);
        const Number pw = given & 2 ? p.get(i % 30) : 1, lw = given & 1 ? w.get(i % 30) : 1;
        terms.push_back(lw * ((1 - t) * v + (1 + (pw - 1) * t) * rest));
      }
      judge(out, word, terms, 150);
    }
}

}  // namespace

TEST_CASE("loss: binary cross entropy with weights") {
  std::mt19937_64 random(seed() + 8);
  for (const DType dtype : types_of(floats)) check_cross_entropy(dtype, random);
}

TEST_CASE("loss: classes, weights, ignored targets, smoothing") {
  std::mt19937_64 random(seed() + 9);
  for (const DType dtype : wanted_dtypes({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const Shape& shape : {Shape{7, 50}, Shape{3, 20, 4}, Shape{20}, Shape{2, 9000}})
      for (const bool weighted : {false, true})
        for (const double smoothing : {0.0, 0.125})
          for (const std::string word : {"mean", "sum", "none"}) {
            if (!in_full(dtype) && (shape.size() != 2 || shape[0] != 7 || word == "sum")) continue;
            if (shape.back() == 9000 && word != "none") continue;
            const std::size_t dim = shape.size() == 1 ? 0 : 1;
            Shape target_shape = shape;
            target_shape.erase(target_shape.begin() + static_cast<long>(dim));
            const std::int64_t classes = shape[dim];
            HostTensor x(dtype, shape), w(dtype, {classes}), target(DType::i64, target_shape);
            HostTensor out(dtype, word == "none" ? target_shape : Shape{});
            x.fill_random(random, -3, 3, false);
            w.fill_random(random, 0.5, 2, false);
            target.fill([&](std::int64_t i) { return i % 5 == 1 ? -7 : (i * 37 + 11) % classes; });
            HostTensor* const weight = weighted ? &w : nullptr;
            INFO(dtype_name(dtype)
                 << " " << shape_text(shape) << " " << word << " " << weighted << smoothing);
            for (const bool logits : {true, false}) {
              if (!logits && smoothing != 0) continue;
              if (logits) {
                must_call("cross_entropy",
                          {&x, &target, weight, word, std::int64_t{-7}, smoothing, &out});
              } else {
                must_call("nll_loss", {&x, &target, weight, word, std::int64_t{-7}, &out});
              }
              Values terms;
              Number weights = 0;
              const auto lines = lines_of(shape, 1U << dim);
              for (std::size_t n = 0; n < lines.size(); ++n) {
                const Number t = target.get(static_cast<std::int64_t>(n));
                if (t == -7) {
                  terms.push_back(0);
                  continue;
                }
                Number total = 0, every = 0;
                for (const std::int64_t i : lines[n]) total += std::exp(x.get(i));
                const Number shift = logits ? std::log(total) : 0;
                const auto weight_of = [&](std::int64_t c) {
                  return weighted ? w.get(c) : Number{1};
                };
                for (std::int64_t c = 0; c < classes; ++c)
                  every += weight_of(c) * (shift - x.get(lines[n][static_cast<std::size_t>(c)]));
                const auto mine = static_cast<std::int64_t>(t);
                weights += weight_of(mine);
                terms.push_back((1 - static_cast<Number>(smoothing)) * weight_of(mine) *
                                    (shift - x.get(lines[n][static_cast<std::size_t>(mine)])) +
                                static_cast<Number>(smoothing) / static_cast<Number>(classes) *
                                    every);
              }
              judge(out, word, terms, weights);
            }
          }
}

TEST_CASE("loss: what is refused") {
  HostTensor x(DType::f32, {2, 3}), out(DType::f32, {}), target(DType::i64, {3}),
      narrow(DType::i32, {2});
  must_refuse("mse_loss", {&x, &target, std::string("sum"), &out}, "mse_loss: target is of int64");
  must_refuse("mse_loss", {&x, &x, std::string("none"), &out}, "mse_loss: out is of shape []");
  must_refuse("cross_entropy",
              {&x, &target, Argument(), std::string("mean"), std::int64_t{-100}, 0.0, &out},
              "cross_entropy: target is of shape [3], and [2] is needed");
  must_refuse("nll_loss", {&x, &narrow, Argument(), std::string("mean"), std::int64_t{-100}, &out},
              "nll_loss: target is of int32");
  must_refuse("huber_loss", {&x, &x, std::string("sum"), 0.0, &out},
              "huber_loss: delta is 0; it must be positive");
  HostTensor outside = HostTensor::of(DType::i64, {2}, {1, 3});
  x.fill([](std::int64_t i) { return static_cast<Number>(i); });
  must_fail_on_device("nll_loss",
                      {&x, &outside, Argument(), std::string("sum"), std::int64_t{-100}, &out});
}
