// Scans against plain loops in long double: dimensions, layouts, lines of one tile and of many, ties, special numbers.
#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/lines.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using I = std::int64_t;
using Values = std::vector<Number>;
const Number inf = std::numeric_limits<Number>::infinity(),
             quiet_nan = std::numeric_limits<Number>::quiet_NaN();

struct Expected {
  Values values, places, scale;
};

// One line, element by element.
Expected scanned(const std::string& op, const Values& x) {
  Expected out;
  Number running = op == "cumprod" ? 1 : op == "logcumsumexp" ? -inf : 0, size = 0;
  I place = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (op == "cumsum") {
      running += x[i];
      size += std::fabs(x[i]);
    } else if (op == "cumprod") {
      running *= x[i];
      size = std::fabs(running) * static_cast<Number>(i + 1);
    } else if (op == "logcumsumexp") {
      const Number most = std::max(running, x[i]), least = std::min(running, x[i]);
      running = std::isnan(x[i]) || std::isnan(running) ? quiet_nan
                : std::isinf(most)                      ? most
                                                        : most + std::log1p(std::exp(least - most));
      size = 8 + std::fabs(running);
    } else {
      const bool beyond = op == "cummax" ? x[i] >= running : x[i] <= running;
      if (i == 0 || std::isnan(x[i]) || (!std::isnan(running) && beyond)) {
        running = x[i];
        place = static_cast<I>(i);
      }
    }
    out.values.push_back(running);
    out.places.push_back(static_cast<Number>(place));
    out.scale.push_back(size);
  }
  return out;
}

void check_one(const std::string& op, HostTensor& x, I dim, HostTensor& out) {
  const bool places = op == "cummax" || op == "cummin";
  HostTensor indices(DType::i64, x.shape());
  const std::vector<unsigned char> before = out.bytes();
  const Values given = x.values();
  if (places) {
    must_call(op, {&x, dim, &out, &indices});
  } else {
    must_call(op, {&x, dim, &out});
  }
  const auto axis = static_cast<std::uint32_t>(dim < 0 ? dim + std::max<int>(x.rank(), 1) : dim);
  Values values(given.size()), where_from(given.size()), scale(given.size());
  I terms = 1;
  for (const auto& line : lines_of(x.shape(), x.shape().empty() ? 0 : 1U << axis)) {
    Values in;
    for (const I i : line) in.push_back(given[static_cast<std::size_t>(i)]);
    const Expected expected = scanned(op, in);
    terms = static_cast<I>(line.size());
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto at = static_cast<std::size_t>(line[i]);
      values[at] = expected.values[i];
      where_from[at] = expected.places[i];
      scale[at] = expected.scale[i];
    }
  }
  for (Number& value : values) value = rounded(out.dtype(), value);
  CHECK(compare(out, values, Table::get().find(op)->bound(), scale, terms) == "");
  if (&x != &out) CHECK(out.strayed(before) == 0);
  if (places) CHECK(compare(indices, where_from, exact) == "");
}

const char* const operators[] = {"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"};

// Numbers of which every running sum and product is exact.
Number small(const std::string& op, DType dtype, I i) {
  if (op != "cumprod") return dtype == DType::u8 || dtype == DType::boolean ? i % 5 % 2 : i % 7 - 3;
  return dtype == DType::boolean || dtype == DType::u8 ? i % 11 != 9
         : i % 13 == 5                                 ? 2
         : i % 13 == 7                                 ? 0.5L
         : i % 3 == 0                                  ? -1
                                                       : 1;
}

}  // namespace

TEST_CASE("scan: exact numbers in every type, every dimension and layout") {
  for (const std::string op : operators)
    for (const DType dtype : types_of(op == "logcumsumexp" ? floats : everything))
      for (const Placement placement : placements())
        for (const I dim : {0, 1, -1}) {
          const bool main_type = dtype == DType::f32 || dtype == DType::i64;
          if (placement != Placement::dense && (!main_type || dim == 1)) continue;
          const std::string which =
              fmt::format("{} {} {} dim {}", op, dtype_name(dtype), placement_name(placement), dim);
          INFO(which);
          const bool sums = op == "cumsum" || op == "cumprod";
          const DType type = sums && !is_floating(dtype) ? DType::i64 : dtype;
          HostTensor x(dtype, {3, 19, 40}, placement),
              out(type, {3, 19, 40}, for_output(placement));
          x.fill([&](I i) { return small(op, dtype, i); });
          check_one(op, x, dim, out);
        }
}

TEST_CASE("scan: fractions, on lines of one tile, of many, split over programs, and none") {
  std::mt19937_64 random(seed());
  const std::pair<Shape, I> cases[] = {
      {{1000, 3}, -1}, {{70, 1}, -1}, {{4, 4099}, 1},    {{200001}, 0}, {{30000, 5}, 0},
      {{3, 700}, 0},   {{}, 0},       {{2, 9000, 3}, 1}, {{4, 0}, 1},   {{2, 3, 2, 3, 2, 3, 2}, 3}};
  for (const std::string op : operators)
    for (const auto& [shape, dim] : cases)
      for (const Placement placement : {Placement::dense, Placement::sliced}) {
        if (placement == Placement::sliced && (shape.size() < 2 || !Fixture::get().is_thorough()))
          continue;
        const std::string which = fmt::format("{} of {} dim {}", op, shape_text(shape), dim);
        INFO(which);
        HostTensor x(DType::f32, shape, placement), out(DType::f32, shape, placement);
        x.fill_random(random, op == "cumprod" ? 0.9 : -4, op == "cumprod" ? 1.1 : 4, false);
        check_one(op, x, dim, out);
      }
}

TEST_CASE("scan: in place, and into other types") {
  for (const std::string op : operators) {
    HostTensor x(DType::f32, {3, 5000});
    x.fill([](I i) { return i % 9 == 0 ? 1 : i % 2 == 0 ? -1 : 0.5L; });
    INFO(op);
    check_one(op, x, 1, x);
  }
  HostTensor whole(DType::i32, {2, 300}), narrow(DType::i8, {2, 300}), real(DType::f64, {2, 300}),
      half(DType::f16, {2, 300}), single(DType::f32, {2, 300});
  whole.fill([](I i) { return i * 10000019; });
  check_one("cumsum", whole, 1, whole);  // wraps
  narrow.fill([](I i) { return i % 100; });
  check_one("cumsum", narrow, 1, narrow);
  if (!Fixture::get().computes_in(DType::f64)) return;
  check_one("cumsum", narrow, 1, real);
  half.fill([](I i) { return i % 8 - 2; });
  check_one("cumsum", half, 0, single);
}

TEST_CASE("scan: special numbers, ties") {
  for (const I length : {I{6}, I{5000}, I{200000}})
    for (const std::string op : operators) {
      HostTensor x(DType::f32, {length}), out(DType::f32, {length});
      const std::string which = fmt::format("{} of {}", op, length);
      INFO(which);
      for (int kind = 0; kind < 4; ++kind) {
        x.fill([&](I i) -> Number {
          if (kind == 0) return i == length / 2 ? quiet_nan : 1;
          if (kind == 1) return op == "cumprod" ? 1 : i == length / 2 ? inf : -1;
          if (kind == 2) return op == "cumprod" ? -0.0L : i == length - 1 ? 2 : -inf;
          return op == "cummin" ? inf : op == "cummax" ? -inf : 0;
        });
        check_one(op, x, 0, out);
      }
    }
  // A NaN stays, and so does the place of the last one.
  HostTensor x = HostTensor::of(DType::f32, {6}, {1, quiet_nan, 5, quiet_nan, 9, 2}),
             out(DType::f32, {6});
  check_one("cummax", x, 0, out);
  check_one("cummin", x, 0, out);
  // From far below: what was small before is not lost.
  HostTensor far = HostTensor::of(DType::f32, {4}, {-1000, -1000, 0, 1000});
  HostTensor sums(DType::f32, {4});
  check_one("logcumsumexp", far, 0, sums);
}

TEST_CASE("scan: bad input") {
  HostTensor x(DType::f32, {2, 3}), out(DType::f32, {2, 3}), other(DType::f32, {3, 2}),
      whole(DType::i32, {2, 3}), wide(DType::i64, {2, 3}), truth(DType::boolean, {2, 3});
  must_refuse("cumsum", {&x, I{2}, &out}, "cumsum: dim is 2; a tensor of rank 2 has -2 to 1");
  must_refuse("cumsum", {&x, I{0}, &other}, "cumsum: out is of shape [3, 2], and [2, 3] is needed");
  must_refuse("cumsum", {&x, I{0}, &wide},
              "cumsum: out is of int64; of float32 it is of a floating");
  must_refuse("cumprod", {&wide, I{0}, &whole}, "cumprod: out is of int32; of int64 it is int64");
  must_refuse("cumprod", {&truth, I{0}, &truth}, "cumprod: out is of bool; of bool it is int64");
  must_refuse("cummax", {&x, I{0}, &whole, &wide},
              "cummax: values is of int32, and input is of float32");
  must_refuse("cummin", {&x, I{0}, &out, &whole}, "cummin: indices is of int32; allowed are int64");
  must_refuse("logcumsumexp", {&whole, I{0}, &whole}, "logcumsumexp: input is of int32");
  must_refuse("logcumsumexp", {&x, I{-3}, &out}, "logcumsumexp: dim is -3");
}
