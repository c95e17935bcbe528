// Norms and their gradients against sums in long double.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/lines.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using Values = std::vector<Number>;
const std::vector<DType> types{DType::f32, DType::f16, DType::bf16, DType::f64};
constexpr double eps = 1e-3;

Bound bound_of(const char* op) { return Table::get().find(op)->bound(); }
DType statistics_of(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

HostTensor random_tensor(std::mt19937_64& random, DType dtype, const Shape& shape,
                         Placement placement) {
  HostTensor out(dtype, shape, placement);
  out.fill_random(random, -2, 2, false);
  return out;
}

struct Stats {
  Number mean = 0, variance = 0, square = 0;
};
Stats stats_of(const HostTensor& x, const std::vector<std::int64_t>& line) {
  Stats out;
  const auto count = static_cast<Number>(line.size());
  for (const std::int64_t i : line) out.mean += x.get(i) / count;
  for (const std::int64_t i : line) {
    out.variance += (x.get(i) - out.mean) * (x.get(i) - out.mean) / count;
    out.square += x.get(i) * x.get(i) / count;
  }
  return out;
}

// What a result is made of: nothing of it is larger, so errors are judged by it.
Values scale_of(const Values& expected, Number least) {
  Values out;
  for (const Number value : expected) out.push_back(std::fabs(value) + least);
  return out;
}

struct Geometry {
  Shape shape, normalized;
};
std::uint32_t axes_of(const Geometry& g) {
  const auto count = g.normalized.size();
  return static_cast<std::uint32_t>(((1U << count) - 1) << (g.shape.size() - count));
}
Shape kept_of(const Geometry& g) {
  Shape kept = g.shape;
  for (std::size_t i = 0; i < g.normalized.size(); ++i) kept[kept.size() - 1 - i] = 1;
  return kept;
}

void check_norms(DType dtype, const Geometry& g, Placement placement, bool affine,
                 std::mt19937_64& random) {
  const Shape& shape = g.shape;
  HostTensor x = random_tensor(random, dtype, shape, placement);
  HostTensor residual = random_tensor(random, dtype, shape, placement);
  HostTensor grad = random_tensor(random, dtype, shape, placement);
  HostTensor w = random_tensor(random, dtype, g.normalized, for_output(placement));
  HostTensor b = random_tensor(random, dtype, g.normalized, for_output(placement));
  HostTensor out(dtype, shape, for_output(placement)), added(dtype, shape, for_output(placement));
  const std::vector<unsigned char> before = out.bytes();
  const DType st = statistics_of(dtype);
  HostTensor mean(st, kept_of(g)), rstd(st, kept_of(g));
  HostTensor *const weight = affine ? &w : nullptr, *const bias = affine ? &b : nullptr;
  const auto lines = lines_of(shape, axes_of(g));
  const auto count = static_cast<std::size_t>(x.elements());
  const auto terms = static_cast<std::int64_t>(lines[0].size());
  const auto at_weight = [&](std::size_t i) {
    return affine ? w.get(static_cast<std::int64_t>(i)) : Number{1};
  };

  // layer_norm, with and without statistics.
  Values expected(count), means, rstds;
  for (const auto& line : lines) {
    const Stats s = stats_of(x, line);
    means.push_back(s.mean);
    rstds.push_back(1 / std::sqrt(s.variance + eps));
    for (std::size_t i = 0; i < line.size(); ++i)
      expected[line[i]] = (x.get(line[i]) - s.mean) * rstds.back() * at_weight(i) +
                          (affine ? b.get(static_cast<std::int64_t>(i)) : 0);
  }
  must_call("layer_norm", {&x, g.normalized, weight, bias, eps, &out});
  CHECK(compare(out, expected, bound_of("layer_norm"), scale_of(expected, 8), terms) == "");
  CHECK(out.strayed(before) == 0);
  must_call("native_layer_norm", {&x, g.normalized, weight, bias, eps, &out, &mean, &rstd});
  CHECK(compare(out, expected, bound_of("layer_norm"), scale_of(expected, 8), terms) == "");
  CHECK(compare(mean, means, bound_of("layer_norm"), scale_of(means, 2), terms) == "");
  CHECK(compare(rstd, rstds, bound_of("layer_norm"), scale_of(rstds, 0), terms) == "");

  // Its gradients, from the statistics that came out.
  Values grads(count), weight_grads(static_cast<std::size_t>(terms)),
      bias_grads = weight_grads, scales(static_cast<std::size_t>(terms));
  for (std::size_t n = 0; n < lines.size(); ++n) {
    Number a = 0, c = 0;
    const Number m = mean.get(static_cast<std::int64_t>(n)),
                 r = rstd.get(static_cast<std::int64_t>(n));
    for (std::size_t i = 0; i < lines[n].size(); ++i) {
      const Number gw = grad.get(lines[n][i]) * at_weight(i), xhat = (x.get(lines[n][i]) - m) * r;
      a += gw / static_cast<Number>(terms);
      c += gw * xhat / static_cast<Number>(terms);
      weight_grads[i] += grad.get(lines[n][i]) * xhat;
      bias_grads[i] += grad.get(lines[n][i]);
      scales[i] += 8;
    }
    for (std::size_t i = 0; i < lines[n].size(); ++i) {
      const Number xhat = (x.get(lines[n][i]) - m) * r;
      grads[lines[n][i]] = (grad.get(lines[n][i]) * at_weight(i) - a - xhat * c) * r;
    }
  }
  const auto batch = static_cast<std::int64_t>(lines.size());
  must_call("layer_norm_backward", {&grad, &x, g.normalized, &mean, &rstd, weight, &out});
  CHECK(compare(out, grads, bound_of("layer_norm_backward"), scale_of(grads, 16), terms) == "");
  HostTensor dw(dtype, g.normalized), db(dtype, g.normalized);
  must_call("layer_norm_backward_weight", {&grad, &x, g.normalized, &mean, &rstd, &dw, &db});
  CHECK(compare(dw, weight_grads, bound_of("layer_norm_backward_weight"), scales, batch) == "");
  CHECK(compare(db, bias_grads, bound_of("layer_norm_backward_weight"), scales, batch) == "");

  // rms_norm, after an addition too.
  HostTensor sum(dtype, shape);
  for (std::int64_t i = 0; i < sum.elements(); ++i)
    sum.set(i, rounded(st, x.get(i) + residual.get(i)));
  const auto rms = [&](const HostTensor& in) {
    Values result(count);
    for (const auto& line : lines) {
      const Number r = 1 / std::sqrt(stats_of(in, line).square + eps);
      for (std::size_t i = 0; i < line.size(); ++i)
        result[line[i]] = in.get(line[i]) * r * at_weight(i);
    }
    return result;
  };
  expected = rms(x);
  must_call("rms_norm", {&x, g.normalized, weight, eps, &out});
  CHECK(compare(out, expected, bound_of("rms_norm"), scale_of(expected, 0), terms) == "");
  expected = rms(sum);
  must_call("add_rms_norm", {&x, &residual, g.normalized, weight, eps, &out, &added});
  CHECK(compare(out, expected, bound_of("add_rms_norm"), scale_of(expected, 0), terms) == "");
  CHECK(compare(added, sum.values(), exact) == "");

  std::fill(weight_grads.begin(), weight_grads.end(), 0);
  for (const auto& line : lines) {
    const Number r = 1 / std::sqrt(stats_of(x, line).square + eps);
    Number c = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      c += grad.get(line[i]) * at_weight(i) * x.get(line[i]) / static_cast<Number>(terms);
      weight_grads[i] += grad.get(line[i]) * x.get(line[i]) * r;
    }
    for (std::size_t i = 0; i < line.size(); ++i)
      grads[line[i]] = (grad.get(line[i]) * at_weight(i) - x.get(line[i]) * c * r * r) * r;
  }
  must_call("rms_norm_backward", {&grad, &x, g.normalized, weight, eps, &out});
  CHECK(compare(out, grads, bound_of("rms_norm_backward"), scale_of(grads, 16), terms) == "");
  must_call("rms_norm_backward_weight", {&grad, &x, g.normalized, eps, &dw});
  CHECK(compare(dw, weight_grads, bound_of("rms_norm_backward_weight"), scales, batch) == "");
}

}  // namespace

TEST_CASE("norm: layer_norm, rms_norm and their gradients over types, layouts and shapes") {
  std::mt19937_64 random(seed() + 2);
  const Geometry shapes[] = {
      {{7, 33}, {33}}, {{3, 4, 5, 6}, {5, 6}}, {{2, 5000}, {5000}}, {{70, 3}, {3}}};
  for (const DType dtype : wanted_dtypes(types))
    for (const Geometry& g : shapes)
      for (const Placement placement : placements()) {
        if (!in_full(dtype) &&
            (placement != Placement::dense || g.shape[0] == 2 || g.shape[0] == 70))
          continue;
        INFO(dtype_name(dtype) << " " << placement_name(placement) << " first " << g.shape[0]);
        check_norms(dtype, g, placement, placement != Placement::sliced, random);
      }
}

TEST_CASE("norm: groups, instances and batches") {
  std::mt19937_64 random(seed() + 3);
  for (const DType dtype : wanted_dtypes(types))
    for (const Shape& shape : {Shape{3, 6, 5, 7}, Shape{4, 6}, Shape{2, 6, 100}})
      for (const Placement placement : placements())
        for (const bool affine : {true, false}) {
          if (!in_full(dtype) && (!affine || placement != Placement::dense || shape.size() != 4))
            continue;
          INFO(dtype_name(dtype) << " " << placement_name(placement) << " rank " << shape.size());
          HostTensor x = random_tensor(random, dtype, shape, placement);
          HostTensor w = random_tensor(random, dtype, {6}, for_output(placement));
          HostTensor b = random_tensor(random, dtype, {6}, for_output(placement));
          HostTensor out(dtype, shape, for_output(placement));
          HostTensor *const weight = affine ? &w : nullptr, *const bias = affine ? &b : nullptr;
          std::int64_t places = 1;
          for (std::size_t i = 2; i < shape.size(); ++i) places *= shape[i];
          const auto channel = [&](std::int64_t i) { return i / places % 6; };
          const auto expected_with = [&](const std::function<std::int64_t(std::int64_t)>& group) {
            std::vector<std::vector<std::int64_t>> members(32);
            for (std::int64_t i = 0; i < x.elements(); ++i) members[group(i)].push_back(i);
            Values expected(static_cast<std::size_t>(x.elements()));
            for (const auto& line : members) {
              const Stats s = stats_of(x, line);
              for (const std::int64_t i : line)
                expected[i] = (x.get(i) - s.mean) / std::sqrt(s.variance + eps) *
                                  (affine ? w.get(channel(i)) : 1) +
                              (affine ? b.get(channel(i)) : 0);
            }
            return expected;
          };
          const auto judge = [&](const char* op, const Values& expected) {
            // A line of two numbers close to each other: as far from 0 as they are.
            CHECK(compare(out, expected, bound_of(op), scale_of(expected, 160), 128) == "");
          };
          must_call("group_norm", {&x, std::int64_t{3}, weight, bias, eps, &out});
          judge("group_norm",
                expected_with([&](std::int64_t i) { return i / places / 6 * 3 + channel(i) / 2; }));
          must_call("instance_norm", {&x, weight, bias, eps, &out});
          judge("instance_norm", expected_with([&](std::int64_t i) { return i / places; }));

          const DType st = statistics_of(dtype);
          HostTensor mean(st, {6}), variance(st, {6});
          mean.fill([](std::int64_t i) { return static_cast<Number>(i) - 2; });
          variance.fill([](std::int64_t i) { return static_cast<Number>(i + 1); });
          const Values old_mean = mean.values(), old_variance = variance.values();
          Values expected(static_cast<std::size_t>(x.elements()));
          for (std::int64_t i = 0; i < x.elements(); ++i) {
            const auto c = static_cast<std::size_t>(channel(i));
            expected[i] = (x.get(i) - old_mean[c]) / std::sqrt(old_variance[c] + eps) *
                              (affine ? w.get(channel(i)) : 1) +
                          (affine ? b.get(channel(i)) : 0);
          }
          must_call("batch_norm", {&x, weight, bias, &mean, &variance, false, 0.1, eps, &out});
          judge("batch_norm", expected);
          CHECK(mean.values() == old_mean);
          must_call("batch_norm", {&x, weight, bias, &mean, &variance, true, 0.25, eps, &out});
          judge("batch_norm", expected_with(channel));
          for (std::int64_t c = 0; c < 6; ++c) {
            std::vector<std::int64_t> line;
            for (std::int64_t i = 0; i < x.elements(); ++i)
              if (channel(i) == c) line.push_back(i);
            const Stats s = stats_of(x, line);
            const auto n = static_cast<Number>(line.size());
            CHECK(std::fabs(mean.get(c) - (old_mean[c] * 0.75L + s.mean * 0.25L)) < 1e-5L);
            CHECK(std::fabs(variance.get(c) -
                            (old_variance[c] * 0.75L + s.variance * n / (n - 1) * 0.25L)) < 1e-5L);
          }
          must_call("batch_norm", {&x, weight, bias, Argument(), Argument(), true, 0.1, eps, &out});
          judge("batch_norm", expected_with(channel));
        }
}

TEST_CASE("norm: exact where every step is, empty, special") {
  HostTensor x = HostTensor::of(DType::f32, {2, 4}, {2, -2, 2, -2, 1, 1, -1, -1}),
             out(DType::f32, {2, 4});
  must_call("layer_norm", {&x, Shape{4}, Argument(), Argument(), 0.0, &out});
  CHECK(out.values() == Values{1, -1, 1, -1, 1, 1, -1, -1});
  must_call("rms_norm", {&x, Shape{4}, Argument(), 0.0, &x});  // in place
  CHECK(x.values() == Values{1, -1, 1, -1, 1, 1, -1, -1});
  HostTensor none(DType::f32, {0, 4}), empty(DType::f32, {0, 4});
  must_call("layer_norm", {&none, Shape{4}, Argument(), Argument(), 0.0, &empty});
  HostTensor mean(DType::f32, {0, 1}), rstd(DType::f32, {0, 1}), dw(DType::f32, {4}),
      db(DType::f32, {4});
  must_call("layer_norm_backward_weight", {&none, &none, Shape{4}, &mean, &rstd, &dw, &db});
  CHECK(dw.values() == Values{0, 0, 0, 0});
  CHECK(db.values() == Values{0, 0, 0, 0});
  x.set(1, std::numeric_limits<Number>::quiet_NaN());
  must_call("layer_norm", {&x, Shape{4}, Argument(), Argument(), 0.0, &out});
  for (int i = 0; i < 8; ++i) CHECK(std::isnan(out.get(i)) == (i < 4));
}

TEST_CASE("norm: what is refused") {
  HostTensor x(DType::f32, {2, 6}), out(DType::f32, {2, 6}), w(DType::f32, {5}),
      half(DType::f16, {6});
  must_refuse("layer_norm", {&x, Shape{5}, Argument(), Argument(), eps, &out},
              "layer_norm: normalized_shape is [5]; it must be the last dimensions of the input");
  must_refuse("rms_norm", {&x, Shape{6}, &w, eps, &out},
              "rms_norm: weight is of shape [5], and [6] is needed");
  must_refuse("rms_norm", {&x, Shape{6}, &half, eps, &out}, "rms_norm: weight is of float16");
  must_refuse("group_norm", {&x, std::int64_t{4}, Argument(), Argument(), eps, &out},
              "group_norm: num_groups is 4; it must divide the 6 channels");
  must_refuse("batch_norm",
              {&x, Argument(), Argument(), Argument(), Argument(), false, 0.1, eps, &out},
              "batch_norm: running_mean is NULL; without training it is needed");
  must_refuse("instance_norm", {&w, Argument(), Argument(), eps, &w},
              "instance_norm: input is of rank 1");
}
