// Reductions against plain loops in long double: types, layouts, lists of dimensions, lines that are split over programs.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/examples.hpp"
#include "ops/testing/lines.hpp"
#include "ops/testing/results.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

const Number inf = std::numeric_limits<Number>::infinity(),
             no_number = std::numeric_limits<Number>::quiet_NaN();

using Row = ReductionReference;
const std::vector<Row>& rows() { return reduction_references(); }

void check_row(const Row& row, DType dtype, const Shape& shape,
               const std::vector<std::int64_t>& dims, bool keepdim, Placement placement, bool whole,
               std::mt19937_64& random) {
  Example example = reduction_example(row, dtype, shape, dims, keepdim, placement, whole, random);
  CHECK(run_noted(example) == "");
}

}  // namespace

TEST_CASE("reduction: every operator over types, layouts and dimensions") {
  std::mt19937_64 random(seed() + 4);
  const std::vector<std::vector<std::int64_t>> dims{{-1}, {0}, {1}, {0, 2}, {}};
  for (const Row& row : rows())
    for (const DType dtype : wanted_dtypes(row.types))
      for (const Placement placement : placements())
        for (const auto& list : dims) {
          // Kernels take their time: all types on rows, all placements on rows and columns in float32.
          const bool is_row = list == std::vector<std::int64_t>{-1};
          const bool is_column = list == std::vector<std::int64_t>{0};
          if (!in_full(dtype) && (placement != Placement::dense || !is_row)) continue;
          if (placement != Placement::dense && !is_row && !is_column) continue;
          INFO(row.op << " " << dtype_name(dtype) << " " << placement_name(placement) << " dims "
                      << shape_text(list));
          check_row(row, dtype, {4, 5, 37}, list, list.size() == 1, placement, !is_floating(dtype),
                    random);
        }
}

TEST_CASE("reduction: small whole numbers to the last bit; long, split and strange lines") {
  std::mt19937_64 random(seed() + 5);
  const std::pair<Shape, std::vector<std::int64_t>> cases[] = {
      {{300001}, {}},
      {{3, 100000}, {1}},
      {{70000, 3}, {0}},
      {{40000, 2, 1}, {0}},
      {{}, {}},
      {{1}, {0}},
      {{2, 3, 2, 3, 2, 3, 2}, {1, 3, 6}},
      {{600, 5}, {1}},
      // in rounds: shared by programs, and not
      {{300, 3, 400}, {0, 2}},
      {{7, 40, 30}, {0, 2}},
      {{40, 3, 300, 5}, {0, 2}},
      {{0, 3, 5}, {0, 2}},
      {{300, 300}, {0, 1}}};
  for (const Row& row : rows()) {
    const bool sums = std::string(row.op) == "sum" || row.result == Row::index ||
                      row.result == Row::truth || std::string(row.op) == "amax" ||
                      std::string(row.op) == "var" || std::string(row.op) == "logsumexp";
    if (!sums || (!Fixture::get().is_thorough() && std::string(row.op) != "sum")) continue;
    for (const DType dtype : wanted_dtypes({DType::f32, DType::i32}))
      for (const auto& [shape, dims] : cases)
        for (const Placement placement : {Placement::dense, Placement::sliced}) {
          // The layout is the engine's: one operator shows it.
          if (placement == Placement::sliced && std::string(row.op) != "sum") continue;
          if (std::find(row.types.begin(), row.types.end(), dtype) == row.types.end()) continue;
          if (!shape.empty() && shape[0] == 0 && std::string(row.op) != "sum") continue;
          if (row.middle.size() == 1 && (shape.empty() || shape == Shape{1}))
            continue;  // the variance of one number
          INFO(row.op << " " << dtype_name(dtype) << " " << placement_name(placement) << " "
                      << shape_text(shape));
          check_row(row, dtype, shape, dims, false, placement, true, random);
        }
  }
}

TEST_CASE("reduction: extremes with their places, means with their spread, equality") {
  std::mt19937_64 random(seed() + 6);
  for (const DType dtype : types_of(everything))
    for (const Placement placement : placements()) {
      if (!in_full(dtype) && dtype != DType::i32 && placement != Placement::dense) continue;
      HostTensor x(dtype, {3, 50, 7}, placement), values(dtype, {3, 7}),
          indices(DType::i64, {3, 7});
      x.fill_random(random, dtype == DType::u8 ? 0 : -20, 20, true);  // with many equal ones
      for (const bool largest : {true, false}) {
        must_call(largest ? "max.dim" : "min.dim", {&x, std::int64_t{1}, false, &values, &indices});
        Values places, best;
        for (const auto& line : lines_of({3, 50, 7}, 2)) {
          Values in;
          for (const std::int64_t i : line) in.push_back(x.get(i));
          places.push_back(static_cast<Number>(place_of(in, largest)));
          best.push_back(in[place_of(in, largest)]);
        }
        CHECK(indices.values() == places);
        CHECK(values.values() == best);
      }
      HostTensor y(dtype, {3, 50, 7}), same(DType::boolean, {});
      y.fill([&](std::int64_t i) { return x.get(i); });
      must_call("equal", {&x, &y, &same});
      CHECK(same.get(0) == 1);
      y.set(1049, dtype == DType::boolean ? 1 - y.get(1049) : y.get(1049) + 1);
      must_call("equal", {&x, &y, &same});
      CHECK(same.get(0) == 0);
      HostTensor other(dtype, {3, 7, 50});  // of another shape
      same.set(0, 1);
      must_call("equal", {&x, &other, &same});
      CHECK(same.get(0) == 0);
    }
  if (!wants(DType::f32)) return;
  HostTensor x =
      HostTensor::of(DType::f32, {2, 4}, {1, 2, 3, 6, 1e8L + 8, 1e8L, 1e8L + 16, 1e8L + 8});
  HostTensor var(DType::f32, {2}), mean(DType::f32, {2});
  must_call("var_mean", {&x, std::vector<std::int64_t>{1}, 0.0, false, &var, &mean});
  CHECK(var.values() == Values{3.5L, 32});
  CHECK(mean.values() == Values{3, 1e8L + 8});
  must_call("std_mean", {&x, std::vector<std::int64_t>{1}, 2.0, false, &var, &mean});
  CHECK(var.get(1) == 8);
}

TEST_CASE("reduction: means and spreads in every type") {
  for (const DType dtype : types_of(everything)) {
    HostTensor x(dtype, {3, 8}), mean(DType::f32, {3});
    x.fill([](std::int64_t i) { return i % 8 % (i / 8 + 2); });
    must_give("mean", {&x, std::vector<std::int64_t>{1}, false, &mean}, mean,
              [&](const Shape& line) {
                Number sum = 0;
                for (std::int64_t i = 0; i < 8; ++i) sum += at(x, {line[0], i});
                return sum / 8;
              });
  }
  for (const DType dtype : types_of(floats)) {
    const std::vector<std::int64_t> rows{1};
    HostTensor x = HostTensor::of(dtype, {2, 4}, {1, 2, 3, 6, 2, 2, 6, 6}), spread(dtype, {2}),
               mean(dtype, {2});
    must_call("var_mean", {&x, rows, 0.0, false, &spread, &mean});
    CHECK(spread.values() == Values{3.5L, 4});
    CHECK(mean.values() == Values{3, 4});
    must_call("std_mean", {&x, rows, 0.0, false, &spread, &mean});
    CHECK(spread.get(1) == 2);
    CHECK(mean.values() == Values{3, 4});
  }
}

TEST_CASE("reduction: special numbers and nothing at all") {
  const std::vector<std::int64_t> last{-1};
  const auto reduced = [&](const char* op, const Values& values, DType type = DType::f32) {
    HostTensor x = HostTensor::of(DType::f32, {static_cast<std::int64_t>(values.size())}, values),
               out(type, {});
    const bool arg = std::string(op).starts_with("arg");
    if (arg) {
      must_call(op, {&x, std::int64_t{0}, false, &out});
    } else {
      must_call(op, {&x, last, false, &out});
    }
    return out.get(0);
  };
  CHECK(std::isnan(reduced("sum", {1, no_number, 2})));
  CHECK(std::isnan(reduced("sum", {inf, -inf})));
  CHECK(reduced("nansum", {1, no_number, 2}) == 3);
  CHECK(std::isnan(reduced("amax", {1, no_number, 2})));
  CHECK(std::isnan(reduced("amin", {no_number, 1})));
  CHECK(reduced("argmax", {1, no_number, inf, no_number}, DType::i64) == 1);
  CHECK(reduced("argmin", {1, 0, no_number, -inf}, DType::i64) == 2);
  CHECK(reduced("argmax", {-inf, -inf}, DType::i64) == 0);
  CHECK(reduced("any", {0, no_number}, DType::boolean) == 1);
  CHECK(reduced("all", {1, no_number}, DType::boolean) == 1);
  CHECK(reduced("logsumexp", {-inf, -inf}) == -inf);
  CHECK(reduced("logsumexp", {1, inf}) == inf);
  CHECK(std::isnan(reduced("logsumexp", {1, no_number})));
  CHECK(reduced("sum", {}) == 0);
  CHECK(reduced("prod", {}) == 1);
  CHECK(reduced("all", {}, DType::boolean) == 1);
  CHECK(reduced("any", {}, DType::boolean) == 0);
  CHECK(reduced("count_nonzero", {}, DType::i64) == 0);
  CHECK(reduced("logsumexp", {}) == -inf);
  CHECK(std::isnan(reduced("mean", {})));
  HostTensor none(DType::f32, {0, 3}), out(DType::f32, {3}), nothing(DType::f32, {0});
  must_call("sum", {&none, std::vector<std::int64_t>{0}, false, &out});
  CHECK(out.values() == Values{0, 0, 0});
  must_call("amax", {&none, std::vector<std::int64_t>{1}, false, &nothing});
  HostTensor one = HostTensor::of(DType::f32, {1}, {5}), spread(DType::f32, {});
  must_call("var", {&one, std::vector<std::int64_t>{}, 1.0, false, &spread});
  CHECK(std::isnan(spread.get(0)));
  HostTensor large = HostTensor::of(DType::i32, {3}, {2147483647, 2147483647, 2}),
             total(DType::i64, {});
  must_call("sum", {&large, std::vector<std::int64_t>{}, false, &total});
  CHECK(total.get(0) == 4294967296.0L);
}

TEST_CASE("reduction: what is refused") {
  HostTensor x(DType::f32, {2, 3}), out(DType::f32, {2}), whole(DType::i32, {2, 3}),
      narrow(DType::i32, {2}), places(DType::i32, {2}), none(DType::f32, {2, 0});
  const std::vector<std::int64_t> last{1};
  must_refuse("sum", {&x, std::vector<std::int64_t>{1, -1}, false, &out},
              "sum: dim names dimension -1 twice");
  must_refuse("sum", {&x, std::vector<std::int64_t>{2}, false, &out}, "sum: dim is 2");
  must_refuse("sum", {&x, last, true, &out}, "sum: out is of shape [2], and [2, 1] is needed");
  must_refuse("sum", {&whole, last, false, &narrow},
              "sum: out is of int32; sums of int32 are int64");
  must_refuse("sum", {&x, last, false, &narrow},
              "sum: out is of int32, which cannot take sums of float32");
  must_refuse("argmax", {&x, std::int64_t{1}, false, &places}, "argmax: out is of int32");
  must_refuse("amax", {&none, last, false, &out},
              "amax: input is of shape [2, 0]: what is reduced by dim has no elements");
  must_refuse("var", {&whole, last, 1.0, false, &narrow}, "var: input is of int32");
}
