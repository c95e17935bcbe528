// Sorting, ranks, searches, unique elements and histograms against the standard library: types, layouts, ties, NaN, lines
// of every engine's way, errors of host and device.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "ops/testing/lines.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

using I = std::int64_t;
using Values = std::vector<Number>;
const Number inf = std::numeric_limits<Number>::infinity(),
             quiet_nan = std::numeric_limits<Number>::quiet_NaN();

// NaN is above all, and as much as another.
bool less(Number a, Number b) { return !std::isnan(a) && (std::isnan(b) || a < b); }

std::vector<I> order_of(const Values& x, bool descending) {
  std::vector<I> order(x.size());
  std::iota(order.begin(), order.end(), I{0});
  std::stable_sort(order.begin(), order.end(), [&](I a, I b) {
    const Number p = x[static_cast<std::size_t>(a)], q = x[static_cast<std::size_t>(b)];
    return descending ? less(q, p) : less(p, q);
  });
  return order;
}

std::uint32_t axis_bit(const HostTensor& x, I dim) {
  return x.rank() == 0 ? 0 : 1U << (dim < 0 ? dim + x.rank() : dim);
}

// Many ties, and for floats all kinds of special numbers.
void fill_mixed(HostTensor& x, std::mt19937_64& random) {
  const bool real = is_floating(x.dtype());
  x.fill([&](I) -> Number {
    const auto r = random();
    if (!real)
      return x.dtype() == DType::boolean
                 ? static_cast<Number>(r % 2)
                 : rounded(x.dtype(), static_cast<Number>(static_cast<I>(r)));
    switch (r % 32) {
      case 0:
        return quiet_nan;
      case 1:
        return inf;
      case 2:
        return -inf;
      case 3:
        return -0.0L;
      case 4:
        return 0;
      default:
        return rounded(x.dtype(), (static_cast<Number>((r >> 8) % 20001) - 10000) /
                                      ((r >> 32) % 2 == 0 ? 3 : 3000));
    }
  });
}

void check_sort(const HostTensor& given, I dim, bool descending, Placement placement) {
  HostTensor x = given, values(x.dtype(), x.shape(), placement),
             indices(DType::i64, x.shape(), placement);
  const std::vector<unsigned char> before = values.bytes(), before_indices = indices.bytes();
  must_call("sort", {&x, dim, descending, &values, &indices});
  for (const auto& line : lines_of(x.shape(), axis_bit(x, dim))) {
    Values in;
    for (const I i : line) in.push_back(x.get(i));
    const std::vector<I> order = order_of(in, descending);
    for (std::size_t i = 0; i < line.size(); ++i) {
      REQUIRE(indices.get(line[i]) == order[i]);
      const Number found = values.get(line[i]), wanted = in[static_cast<std::size_t>(order[i])];
      REQUIRE((found == wanted || (std::isnan(found) && std::isnan(wanted))));
      REQUIRE(std::signbit(found) == std::signbit(wanted));
    }
  }
  CHECK(values.strayed(before) == 0);
  CHECK(indices.strayed(before_indices) == 0);
}

}  // namespace

TEST_CASE("sort: every type, by tiles and by long lines") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(everything))
    for (const I length : {I{60}, I{1500}})
      for (const bool descending : {false, true}) {
        HostTensor x(dtype, {3, length});
        fill_mixed(x, random);
        const std::string which = fmt::format("{} {} {}", dtype_name(dtype), length, descending);
        INFO(which);
        check_sort(x, -1, descending, Placement::dense);
      }
}

TEST_CASE("sort: every placement and dimension") {
  std::mt19937_64 random(seed() + 1);
  for (const Placement placement : placements())
    for (const auto& [shape, dim] : std::vector<std::pair<Shape, I>>{
             {{5, 7, 9}, 0}, {{5, 7, 9}, 1}, {{5, 7, 9}, -1}, {{2, 400, 3}, 1}, {{300, 4}, 0}}) {
      HostTensor x(DType::f32, shape, placement);
      fill_mixed(x, random);
      const std::string which =
          fmt::format("{} {} dim {}", placement_name(placement), shape_text(shape), dim);
      INFO(which);
      check_sort(x, dim, false, for_output(placement));
    }
}

TEST_CASE("sort: lengths around every boundary, split lines, nothing, scalars") {
  std::mt19937_64 random(seed() + 2);
  for (const Shape& shape : std::vector<Shape>{{},
                                               {0},
                                               {3, 0},
                                               {0, 3},
                                               {1},
                                               {5, 1},
                                               {2},
                                               {255},
                                               {256},
                                               {257},
                                               {511},
                                               {513},
                                               {1025},
                                               {40000},
                                               {2, 20001},
                                               {100, 300}}) {
    HostTensor x(DType::f32, shape);
    fill_mixed(x, random);
    const std::string which = shape_text(shape);
    INFO(which);
    check_sort(x, -1, true, Placement::dense);
  }
}

namespace {

void check_argsort(DType dtype, std::mt19937_64& random) {
  HostTensor x(dtype, {4, 300}), out(DType::i64, {4, 300}), values(dtype, {4, 300});
  x.fill([&](I) { return random() % 9; });
  for (const bool descending : {false, true}) {
    std::vector<std::vector<I>> orders;
    for (I row = 0; row < 4; ++row) {
      Values in;
      for (I i = 0; i < 300; ++i) in.push_back(at(x, {row, i}));
      orders.push_back(order_of(in, descending));
    }
    const auto place = [&](const Shape& i) {
      return orders[static_cast<std::size_t>(i[0])][static_cast<std::size_t>(i[1])];
    };
    const auto expected = [&](const Shape& i) { return static_cast<Number>(place(i)); };
    must_give("argsort", {&x, I{1}, descending, &out}, out, expected);
    must_give("argsort.stable", {&x, true, I{1}, descending, &out}, out, expected);
    must_give("sort.stable", {&x, true, I{1}, descending, &values, &out}, values,
              [&](const Shape& i) {
                return at(x, {i[0], place(i)});
              });
    for (I i = 0; i < 1200; ++i) REQUIRE(out.get(i) == expected(coordinates(out.shape(), i)));
  }
}

}  // namespace

TEST_CASE("sort: argsort and the stable ones") {
  std::mt19937_64 random(seed() + 3);
  for (const DType dtype : types_of(everything)) check_argsort(dtype, random);
}

TEST_CASE("sort: topk") {
  std::mt19937_64 random(seed() + 4);
  for (const DType dtype : types_of(everything))
    for (const I length : {I{50}, I{3000}})
      for (const bool largest : {true, false})
        for (const I k : {I{0}, I{1}, I{7}, I{50}}) {
          HostTensor x(dtype, {3, length}), values(dtype, {3, k}), indices(DType::i64, {3, k});
          fill_mixed(x, random);
          must_call("topk", {&x, k, I{1}, largest, true, &values, &indices});
          for (I row = 0; row < 3; ++row) {
            Values in;
            for (I i = 0; i < length; ++i) in.push_back(at(x, {row, i}));
            const std::vector<I> order = order_of(in, largest);
            for (I i = 0; i < k; ++i) {
              REQUIRE(at(indices, {row, i}) == order[static_cast<std::size_t>(i)]);
              const Number found = at(values, {row, i}),
                           wanted =
                               in[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
              REQUIRE((found == wanted || (std::isnan(found) && std::isnan(wanted))));
            }
          }
        }
}

TEST_CASE("sort: medians and ranks") {
  std::mt19937_64 random(seed() + 5);
  for (const DType dtype : types_of(everything))
    for (const I length : {I{1}, I{8}, I{31}, I{700}})
      for (const bool with_nan : {false, true}) {
        if (with_nan && !is_floating(dtype)) continue;
        HostTensor x(dtype, {2, length, 3}), values(dtype, {2, 3}), indices(DType::i64, {2, 3}),
            kept(dtype, {2, 1, 3}), kept_indices(DType::i64, {2, 1, 3}), one(dtype, {});
        fill_mixed(x, random);
        for (I i = 0; i < x.elements(); ++i)
          if (std::isnan(x.get(i)) && !with_nan) x.set(i, 5);
        const std::string which = fmt::format("{} {} {}", dtype_name(dtype), length, with_nan);
        INFO(which);
        for (const std::string op : {"median.dim", "nanmedian.dim", "kthvalue"}) {
          const I k = (length + 3) / 4;
          if (op == "kthvalue") {
            must_call(op, {&x, k, I{1}, false, &values, &indices});
            must_call(op, {&x, k, I{1}, true, &kept, &kept_indices});
          } else {
            must_call(op, {&x, I{1}, false, &values, &indices});
            must_call(op, {&x, I{1}, true, &kept, &kept_indices});
          }
          for (I a = 0; a < 2; ++a)
            for (I b = 0; b < 3; ++b) {
              Values in;
              for (I i = 0; i < length; ++i) in.push_back(at(x, {a, i, b}));
              const std::vector<I> order = order_of(in, false);
              const I nans =
                  std::count_if(in.begin(), in.end(), [](Number n) { return std::isnan(n); });
              const I numbers_there = length - nans;
              I place = (length - 1) / 2;
              if (op == "kthvalue") place = k - 1;
              if (op == "median.dim" && nans > 0) place = numbers_there;
              if (op == "nanmedian.dim") place = std::max<I>(numbers_there - 1, 0) / 2;
              const I from = order[static_cast<std::size_t>(place)];
              const Number wanted = in[static_cast<std::size_t>(from)], found = at(values, {a, b});
              REQUIRE(at(indices, {a, b}) == from);
              REQUIRE(at(kept_indices, {a, 0, b}) == from);
              REQUIRE((found == wanted || (std::isnan(found) && std::isnan(wanted))));
            }
        }
        must_call("median", {&x, &one});
        Values all = x.values();
        const std::vector<I> order = order_of(all, false);
        const bool any_nan =
            std::any_of(all.begin(), all.end(), [](Number n) { return std::isnan(n); });
        const Number middle = all[static_cast<std::size_t>(order[(all.size() - 1) / 2])];
        CHECK((any_nan ? std::isnan(one.get(0)) : one.get(0) == middle));
        must_call("nanmedian", {&x, &one});
        const auto there =
            std::count_if(all.begin(), all.end(), [](Number n) { return !std::isnan(n); });
        if (there != 0)
          CHECK(one.get(0) ==
                all[static_cast<std::size_t>(order[static_cast<std::size_t>(there - 1) / 2])]);
      }
  HostTensor none(DType::f32, {0}), one(DType::f32, {});
  must_call("median", {&none, &one});
  CHECK(std::isnan(one.get(0)));
  must_call("nanmedian", {&none, &one});
  CHECK(std::isnan(one.get(0)));
}

TEST_CASE("sort: searchsorted and bucketize") {
  for (const DType dtype : types_of(numbers))
    for (const Placement placement : own_placements()) {
      if (placement != Placement::dense && dtype != DType::f32) continue;
      HostTensor sequence(dtype, {3, 20}, placement), x(dtype, {3, 11}, placement),
          out(DType::i64, {3, 11}, placement), narrow(DType::i32, {3, 11}), row(dtype, {20}),
          sorter(DType::i64, {3, 20}), shuffled(dtype, {3, 20});
      sequence.fill([](I i) { return i % 20 / 2 * 3 + i / 20; });
      x.fill([](I i) { return i * 5 % 34; });
      row.fill([](I i) { return i / 3 * 4; });
      // The same sequence backwards, and what brings it in order.
      shuffled.fill([&](I i) { return at(sequence, {i / 20, 19 - i % 20}); });
      sorter.fill([](I i) { return 19 - i % 20; });
      for (const bool right : {false, true}) {
        const auto expected = [&](const std::function<Number(I)>& element, Number value) {
          I place = 0;
          while (place < 20 && (right ? element(place) <= value : element(place) < value)) ++place;
          return static_cast<Number>(place);
        };
        const auto in_rows = [&](const Shape& i) {
          return expected([&](I k) { return at(sequence, {i[0], k}); }, at(x, i));
        };
        const auto in_row = [&](const Shape& i) {
          return expected([&](I k) { return row.get(k); }, at(x, i));
        };
        const std::string side = right ? "right" : "left";
        must_give("searchsorted",
                  {&sequence, &x, false, right, std::string("none"), std::monostate(), &out}, out,
                  in_rows);
        must_give("searchsorted", {&sequence, &x, true, false, side, std::monostate(), &narrow},
                  narrow, in_rows);
        must_give("searchsorted",
                  {&row, &x, false, right, std::string("none"), std::monostate(), &out}, out,
                  in_row);
        must_give("searchsorted", {&shuffled, &x, false, right, std::string("none"), &sorter, &out},
                  out, in_rows);
        must_give("bucketize", {&x, &row, false, right, &out}, out, in_row);
      }
    }
  HostTensor x = HostTensor::of(DType::f32, {4}, {quiet_nan, -inf, inf, 2}),
             row = HostTensor::of(DType::f32, {3}, {1, 2, inf}), out(DType::i64, {4}),
             none(DType::f32, {0}), one = HostTensor::of(DType::f32, {}, {1.5L}),
             place(DType::i64, {});
  const Number expected[] = {3, 0, 2, 1};
  must_give("bucketize", {&x, &row, false, false, &out}, out,
            [&](const Shape& i) { return expected[i[0]]; });
  must_give("bucketize", {&x, &none, false, false, &out}, out, [](const Shape&) { return 0; });
  must_give("bucketize", {&one, &row, false, false, &place}, place, [](const Shape&) { return 1; });
}

TEST_CASE("sort: unique elements, with inverse and counts") {
  std::mt19937_64 random(seed() + 6);
  for (const bool sorted : {true, false})
    for (const DType dtype : types_of(everything))
      for (const Shape& shape : std::vector<Shape>{{4, 6, 5}, {50, 60}}) {
        const Placement placement = shape.size() == 2 ? Placement::transposed : Placement::dense;
        HostTensor x(dtype, shape, placement), out(dtype, {3000}),
            inverse(DType::i64, shape, for_output(placement)), counts(DType::i64, {3000}),
            count(DType::i64, {});
        x.fill([&](I) {
          return rounded(dtype, static_cast<Number>(random() % (shape.size() == 2 ? 40 : 3)) -
                                    (dtype == DType::u8 ? 0 : 1));
        });
        if (is_floating(dtype)) x.set(7, quiet_nan), x.set(9, quiet_nan), x.set(11, -0.0L);
        const std::string which = fmt::format("{} {}", sorted, dtype_name(dtype));
        INFO(which);
        must_call(sorted ? "unique" : "unique_consecutive", {&x, &out, &inverse, &counts, &count});
        const Values all = x.values();
        std::vector<I> order(all.size());
        std::iota(order.begin(), order.end(), I{0});
        if (sorted) order = order_of(all, false);
        I runs = 0;
        std::vector<I> sizes;
        for (std::size_t i = 0; i < order.size(); ++i) {
          const Number own = all[static_cast<std::size_t>(order[i])];
          if (i == 0 || !(own == all[static_cast<std::size_t>(order[i - 1])])) {
            sizes.push_back(0);
            ++runs;
            REQUIRE(
                (out.get(runs - 1) == own || (std::isnan(own) && std::isnan(out.get(runs - 1)))));
          }
          ++sizes.back();
          REQUIRE(inverse.get(order[i]) == runs - 1);
        }
        REQUIRE(count.get(0) == runs);
        for (I i = 0; i < runs; ++i) REQUIRE(counts.get(i) == sizes[static_cast<std::size_t>(i)]);
        must_call(sorted ? "unique" : "unique_consecutive",
                  {&x, &out, std::monostate(), std::monostate(), &count});
        REQUIRE(count.get(0) == runs);
      }
  HostTensor none(DType::f32, {0, 3}), out(DType::f32, {0}), count(DType::i64, {1});
  must_call("unique", {&none, &out, std::monostate(), std::monostate(), &count});
  CHECK(count.get(0) == 0);
}

TEST_CASE("sort: bincount and histc") {
  std::mt19937_64 random(seed() + 7);
  for (const DType dtype : types_of(integers))
    for (const I n : {I{0}, I{9}, I{20000}}) {
      HostTensor x(dtype, {n}), weights(DType::f32, {n}), out(DType::i64, {60}),
          sums(DType::f32, {60}), count(DType::i64, {});
      x.fill([&](I) { return random() % 47; });
      weights.fill([&](I i) { return i % 4 + 1; });
      Values wanted(60), weighted(60);
      Number bins = 0;
      for (I i = 0; i < n; ++i) {
        wanted[static_cast<std::size_t>(x.get(i))] += 1;
        weighted[static_cast<std::size_t>(x.get(i))] += weights.get(i);
        bins = std::max(bins, x.get(i) + 1);
      }
      for (const I least : {I{0}, I{60}}) {
        must_give("bincount", {&x, std::monostate(), least, &out, &count}, out,
                  [&](const Shape& i) { return wanted[static_cast<std::size_t>(i[0])]; });
        CHECK(count.get(0) == std::max<Number>(bins, static_cast<Number>(least)));
      }
      must_give("bincount", {&x, &weights, I{0}, &sums, &count}, sums,
                [&](const Shape& i) { return weighted[static_cast<std::size_t>(i[0])]; });
    }
  for (const DType dtype : types_of(floats))
    for (const bool from_data : {false, true}) {
      HostTensor x(dtype, {30, 50}, Placement::transposed), out(dtype, {16});
      x.fill([&](I) { return rounded(dtype, static_cast<Number>(random() % 97) / 4 - 4); });
      const Number low = from_data ? -4 : 0, high = from_data ? 20 : 16;
      if (from_data) x.set(0, -4), x.set(1, 20);
      if (!from_data) x.set(5, quiet_nan), x.set(6, inf), x.set(7, -inf);
      Values wanted(16);
      for (I i = 0; i < x.elements(); ++i) {
        const Number value = x.get(i);
        if (!(value >= low && value <= high)) continue;
        wanted[std::min<std::size_t>(
            15, static_cast<std::size_t>((value - low) * 16 / (high - low)))] += 1;
      }
      must_give("histc", {&x, I{16}, from_data ? 0.0 : 0.0, from_data ? 0.0 : 16.0, &out}, out,
                [&](const Shape& i) { return wanted[static_cast<std::size_t>(i[0])]; });
    }
  HostTensor same(DType::f32, {5}), out(DType::f32, {4});
  same.fill([](I) { return 3; });  // from 2 to 4
  must_give("histc", {&same, I{4}, I{0}, I{0}, &out}, out,
            [](const Shape& i) { return i[0] == 2 ? 5 : 0; });
}

TEST_CASE("sort: bad input") {
  HostTensor x(DType::f32, {3, 4}), out(DType::f32, {3, 4}), indices(DType::i64, {3, 4}),
      whole(DType::i32, {3, 4}), two(DType::f32, {3, 2}), two_indices(DType::i64, {3, 2}),
      row(DType::f32, {3}), row_indices(DType::i64, {3}), count(DType::i64, {}),
      deep(DType::f32, {2, 4}), ints(DType::i64, {5}), few(DType::f32, {2}),
      none(DType::f32, {3, 0});
  const auto nothing = std::monostate();
  must_refuse("sort", {&x, I{2}, false, &out, &indices}, "sort: dim is 2");
  must_refuse("sort", {&x, I{0}, false, &whole, &indices},
              "sort: values is of int32, and input is of float32");
  must_refuse("sort", {&x, I{0}, false, &out, &whole}, "sort: indices is of int32");
  must_refuse("sort", {&x, I{0}, false, &x, &indices}, "sort: input lies over a part of values");
  must_refuse("sort.stable", {&x, true, I{0}, false, &two, &indices},
              "sort.stable: values is of shape [3, 2]");
  must_refuse("argsort", {&x, I{0}, false, &two_indices}, "argsort: out is of shape [3, 2]");
  must_refuse("argsort.stable", {&x, true, I{3}, false, &indices}, "argsort.stable: dim is 3");
  must_refuse("topk", {&x, I{5}, I{1}, true, true, &two, &two_indices},
              "topk: k is 5; dimension 1 of input has 4");
  must_refuse("topk", {&x, I{3}, I{1}, true, true, &two, &two_indices},
              "topk: values is of shape [3, 2], and [3, 3] is needed");
  must_refuse("kthvalue", {&x, I{0}, I{1}, false, &row, &row_indices}, "kthvalue: k is 0");
  must_refuse("kthvalue", {&x, I{1}, I{1}, true, &row, &row_indices},
              "kthvalue: values is of shape [3], and [3, 1] is needed");
  must_refuse("median.dim", {&none, I{1}, false, &row, &row_indices},
              "median.dim: input is of shape [3, 0]: dimension 1 has no elements");
  must_refuse("nanmedian.dim", {&x, I{-3}, false, &row, &row_indices}, "nanmedian.dim: dim is -3");
  must_refuse("median", {&x, &row}, "median: out is of shape [3]");
  must_refuse("nanmedian", {&x, &whole}, "nanmedian: out is of int32");
  must_refuse("searchsorted", {&deep, &x, false, false, std::string("none"), nothing, &indices},
              "searchsorted: input is of shape [3, 4], and sorted_sequence of shape [2, 4]");
  must_refuse("searchsorted", {&whole, &x, false, false, std::string("none"), nothing, &indices},
              "searchsorted: input is of float32, and sorted_sequence is of int32");
  must_refuse("searchsorted", {&x, &x, false, true, std::string("left"), nothing, &indices},
              "searchsorted: side is 'left', and right is set");
  must_refuse("searchsorted", {&x, &x, false, false, std::string("none"), &two_indices, &indices},
              "searchsorted: sorter is of shape [3, 2]");
  must_refuse("bucketize", {&x, &x, false, false, &indices}, "bucketize: boundaries is of rank 2");
  must_refuse("bucketize", {&x, &row, true, false, &indices},
              "bucketize: out is of int64; allowed are int32");
  must_refuse("unique", {&x, &row_indices, nothing, nothing, &count}, "unique: out is of int64");
  must_refuse("unique", {&x, &row, &two_indices, nothing, &count},
              "unique: inverse is of shape [3, 2]");
  must_refuse("unique_consecutive", {&x, &row, nothing, &ints, &count},
              "unique_consecutive: counts is of shape [5]");
  must_refuse("bincount", {&row, nothing, I{0}, &ints, &count}, "bincount: input is of float32");
  must_refuse("bincount", {&ints, nothing, I{9}, &row_indices, &count},
              "bincount: out is of shape [3], and minlength is 9");
  must_refuse("bincount", {&ints, &few, I{0}, &row, &count}, "bincount: weights is of shape [2]");
  must_refuse("histc", {&x, I{0}, I{0}, I{1}, &row}, "histc: bins is 0");
  must_refuse("histc", {&x, I{3}, I{2}, I{1}, &row}, "histc: max is 1, and min is 2");
  must_refuse("histc", {&x, I{4}, I{0}, I{1}, &row},
              "histc: out is of shape [3], and [4] is needed");
}

TEST_CASE("sort: what the device finds") {
  HostTensor x(DType::i64, {20}), out(DType::i64, {5}), count(DType::i64, {}),
      sequence(DType::i64, {4}), sorter(DType::i64, {4}), places(DType::i64, {20});
  x.fill([](I i) { return i % 7 - (i == 3 ? 20 : 0); });
  must_fail_on_device("unique", {&x, &out, std::monostate(), std::monostate(), &count});
  must_fail_on_device("bincount", {&x, std::monostate(), I{0}, &out, &count});
  sorter.fill([](I i) { return i == 2 ? 4 : i; });
  must_fail_on_device("searchsorted",
                      {&sequence, &x, false, false, std::string("none"), &sorter, &places});
  HostTensor wild = HostTensor::of(DType::f32, {2}, {1, inf}), bins(DType::f32, {5});
  must_fail_on_device("histc", {&wild, I{5}, I{0}, I{0}, &bins});
  HostTensor values(DType::i64, {20}), indices(DType::i64, {20});
  must_call("sort", {&x, I{0}, false, &values, &indices});  // and works again
}
