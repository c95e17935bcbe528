// Indexing: every operator against plain loops, on all placements, types by size, errors of host and device.
#include <cmath>
#include <limits>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;
using Ints = std::vector<std::int64_t>;
using List = std::vector<HostTensor*>;

namespace {

HostTensor indices_of(Shape shape, I below, DType dtype = DType::i64,
                      Placement p = Placement::dense) {
  HostTensor out(dtype, std::move(shape), p);
  out.fill([&](I i) { return (i * 5 + i / 3) % below; });
  return out;
}
// Out of place: the output holds what it should, with nothing read back from it.
std::vector<Number> all_of(const HostTensor& t) { return t.values(); }
Shape with(Shape at, std::size_t axis, I value) {
  at[axis] = value;
  return at;
}
void check_values(const std::string& op, const Arguments& arguments, HostTensor& out,
                  const std::vector<Number>& expected, Bound bound = exact) {
  const std::vector<unsigned char> before = out.bytes();
  const std::string which = op + " " + dtype_name(out.dtype());
  INFO(which);
  must_call(op, arguments);
  std::vector<Number> scale;
  for (const Number value : expected) scale.push_back(std::fabs(value) + 64);
  CHECK(compare(out, expected, bound, scale, 16) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("indexing: gather, index_select, take, index on all placements") {
  for (const Placement p : placements()) {
    HostTensor x = counted(DType::i32, {4, 6, 9}, p),
               index = indices_of({3, 6, 5}, 9, DType::i64, p);
    HostTensor out(DType::i32, {3, 6, 5}, written(p));
    must_give("gather", {&x, I{2}, &index, &out}, out,
              [&](const Shape& i) { return at(x, with(i, 2, static_cast<I>(at(index, i)))); });
    HostTensor middle = indices_of({2, 11, 9}, 6, DType::i32, p),
               deep(DType::i32, {2, 11, 9}, written(p));
    must_give("gather", {&x, I{-2}, &middle, &deep}, deep,
              [&](const Shape& i) { return at(x, with(i, 1, static_cast<I>(at(middle, i)))); });
    HostTensor rows = indices_of({13}, 6), chosen(DType::i32, {4, 13, 9}, written(p));
    must_give("index_select", {&x, I{1}, &rows, &chosen}, chosen,
              [&](const Shape& i) { return at(x, with(i, 1, static_cast<I>(rows.get(i[1])))); });
    HostTensor places(DType::i64, {5, 7}, p), taken(DType::i32, {5, 7}, written(p));
    places.fill([](I i) { return i % 2 == 0 ? i * 3 : -1 - i; });
    must_give("take", {&x, &places, &taken}, taken, [&](const Shape& i) {
      const I k = static_cast<I>(at(places, i));
      return x.get(k < 0 ? k + 216 : k);
    });
    HostTensor a = indices_of({5, 1}, 4), b = indices_of({3}, 6, DType::i32),
               found(DType::i32, {5, 3, 9}, written(p));
    must_give("index.Tensor", {&x, List{&a, &b}, &found}, found, [&](const Shape& i) {
      return at(x, {static_cast<I>(a.get(i[0])), static_cast<I>(b.get(i[1])), i[2]});
    });
  }
}

TEST_CASE("indexing: everything that moves, in every type") {
  for (const DType dtype : types_of(everything)) {
    HostTensor x = counted(dtype, {5, 8}), src = counted(dtype, {3, 8}), index(DType::i64, {3, 8}),
               out(dtype, {5, 8});
    index.fill([](I i) { return (i / 8 * 2 + i) % 5; });  // no place twice
    const auto hit = [&](const Shape& i) {
      for (I j = 0; j < 3; ++j)
        if (at(index, {j, i[1]}) == i[0]) return j;
      return I{-1};
    };
    must_give("gather", {&x, I{0}, &index, &src}, src, [&](const Shape& i) {
      return at(x, {static_cast<I>(at(index, i)), i[1]});
    });
    index.fill([](I i) { return (i / 8 + i) % 5; });
    must_give("scatter", {&x, I{0}, &index, &src, &out}, out, [&](const Shape& i) {
      return hit(i) >= 0 ? at(src, {hit(i), i[1]}) : at(x, i);
    });
    must_give("scatter.value", {&x, I{0}, &index, I{1}, &out}, out,
              [&](const Shape& i) { return hit(i) >= 0 ? 1 : at(x, i); });
    HostTensor mask(DType::boolean, {8});
    mask.fill([](I i) { return i % 3 == 0; });
    must_give("masked_fill", {&x, &mask, I{1}, &out}, out,
              [&](const Shape& i) { return i[1] % 3 == 0 ? 1 : at(x, i); });
    must_give("tril", {&x, I{1}, &out}, out,
              [&](const Shape& i) { return i[1] - i[0] <= 1 ? at(x, i) : 0; });
    must_give("triu", {&x, I{-1}, &out}, out,
              [&](const Shape& i) { return i[1] - i[0] >= -1 ? at(x, i) : 0; });
    HostTensor row = counted(dtype, {8});
    must_give("select_scatter", {&x, &row, I{0}, I{-2}, &out}, out,
              [&](const Shape& i) { return i[0] == 3 ? row.get(i[1]) : at(x, i); });
    HostTensor part = counted(dtype, {5, 3});
    must_give(
        "slice_scatter", {&x, &part, I{1}, I{1}, I{-1}, I{2}, &out}, out, [&](const Shape& i) {
          return i[1] >= 1 && i[1] < 7 && i[1] % 2 == 1 ? at(part, {i[0], i[1] / 2}) : at(x, i);
        });
    HostTensor rows = HostTensor::of(DType::i32, {2}, {3, 0});
    must_give("index_fill", {&x, I{0}, &rows, I{1}, &out}, out,
              [&](const Shape& i) { return i[0] == 3 || i[0] == 0 ? 1 : at(x, i); });
    HostTensor a = HostTensor::of(DType::i64, {2}, {-1, 2}),
               b = HostTensor::of(DType::i64, {2}, {7, 0}),
               values = HostTensor::of(dtype, {2}, {1, 0});
    must_give("index_put", {&x, List{&a, &b}, &values, false, &out}, out,
              [&](const Shape& i) -> Number {
                return i == Shape{4, 7} ? 1 : i == Shape{2, 0} ? 0 : at(x, i);
              });
    // Masks: the elements that are taken come in row-major order.
    HostTensor wanted(DType::boolean, {5, 8}), count(DType::i64, {}), packed(dtype, {40}),
        merged(dtype, {5, 8});
    wanted.fill([](I i) { return i % 7 < 3; });
    std::vector<Number> chosen;
    for (I i = 0; i < 40; ++i)
      if (i % 7 < 3) chosen.push_back(x.get(i));
    must_call("masked_select", {&x, &wanted, &packed, &count});
    REQUIRE(count.get(0) == static_cast<Number>(chosen.size()));
    for (std::size_t i = 0; i < chosen.size(); ++i)
      CHECK(packed.get(static_cast<I>(i)) == chosen[i]);
    HostTensor source = counted(dtype, {4, 6});
    must_give("masked_scatter", {&x, &wanted, &source, &merged}, merged, [&](const Shape& i) {
      const I n = number_of({5, 8}, i);
      I before = 0;
      for (I k = 0; k < n; ++k) before += static_cast<I>(k % 7 < 3);
      return n % 7 < 3 ? source.get(before) : x.get(n);
    });
  }
}

TEST_CASE("indexing: what is added is added in the order of the index, in every type") {
  for (const DType dtype : types_of(numbers)) {
    HostTensor x(dtype, {5, 6}), src(dtype, {9, 6}), out(dtype, {5, 6});
    x.fill([](I i) { return i % 4 + 1; });
    src.fill([](I i) { return i % 3 + 1; });
    HostTensor index = indices_of({9, 6}, 5);
    const auto reduced = [&](const std::string& how, bool with_self) {
      std::vector<Number> total = all_of(x);
      std::vector<I> hits(total.size(), with_self ? 1 : 0);
      for (I i = 0; i < 54; ++i) {
        const auto to =
            static_cast<std::size_t>(index.get(i)) * 6 + static_cast<std::size_t>(i % 6);
        const Number value = src.get(i), old = total[to];
        const bool first = hits[to]++ == 0;
        total[to] = first           ? value
                    : how == "prod" ? old * value
                    : how == "amax" ? std::max(old, value)
                    : how == "amin" ? std::min(old, value)
                                    : old + value;
      }
      if (how == "mean")
        for (std::size_t i = 0; i < total.size(); ++i) {
          if (hits[i] != 0) total[i] /= static_cast<Number>(hits[i]);
          if (!is_floating(dtype)) total[i] = std::floor(total[i]);
        }
      for (Number& value : total) value = rounded(dtype, value);
      return total;
    };
    check_values("scatter_add", {&x, I{0}, &index, &src, &out}, out, reduced("sum", true));
    for (const char* how : {"sum", "prod", "amax", "amin", "mean"}) {
      const Bound bound = std::string(how) == "mean" ? ulp(1) : exact;
      check_values("scatter_reduce", {&x, I{0}, &index, &src, std::string(how), true, &out}, out,
                   reduced(how, true), bound);
      check_values("scatter_reduce", {&x, I{0}, &index, &src, std::string(how), false, &out}, out,
                   reduced(how, false), bound);
    }
    HostTensor rows = indices_of({9}, 5, DType::i32);
    std::vector<Number> sums = all_of(x);
    for (I i = 0; i < 54; ++i)
      sums[static_cast<std::size_t>(rows.get(i / 6)) * 6 + static_cast<std::size_t>(i % 6)] +=
          2 * src.get(i);
    check_values("index_add", {&x, I{0}, &rows, &src, I{2}, &out}, out, sums);
    HostTensor a = indices_of({9}, 5), b = indices_of({9}, 6), values(dtype, {9});
    values.fill([](I i) { return i % 3 + 1; });
    std::vector<Number> put = all_of(x);
    for (I i = 0; i < 9; ++i)
      put[static_cast<std::size_t>(a.get(i) * 6 + b.get(i))] += values.get(i);
    check_values("index_put", {&x, List{&a, &b}, &values, true, &out}, out, put);
    check_values("scatter_add", {&x, I{0}, &index, &src, &x}, x, reduced("sum", true));  // in place
  }
}

TEST_CASE("indexing: sums of fractions, on all placements") {
  std::mt19937_64 random(seed());
  for (const Placement p : own_placements()) {
    HostTensor x(DType::f32, {4, 7, 5}, p), src(DType::f32, {4, 30, 5}, p),
        out(DType::f32, {4, 7, 5}, p);
    x.fill_random(random, -2, 2, false);
    src.fill_random(random, -2, 2, false);
    HostTensor index = indices_of({4, 30, 5}, 7, DType::i64, p), rows = indices_of({30}, 7);
    std::vector<Number> sums = all_of(x), lines = all_of(x);
    for (I i = 0; i < src.elements(); ++i) {
      const Shape at = coordinates(src.shape(), i);
      sums[static_cast<std::size_t>((at[0] * 7 + static_cast<I>(index.get(i))) * 5 + at[2])] +=
          src.get(i);
      lines[static_cast<std::size_t>((at[0] * 7 + static_cast<I>(rows.get(at[1]))) * 5 + at[2])] +=
          src.get(i) * 0.5L;
    }
    check_values("scatter_add", {&x, I{1}, &index, &src, &out}, out, sums, summed(4));
    check_values("index_add", {&x, I{1}, &rows, &src, 0.5, &out}, out, lines, summed(4));
    HostTensor some = indices_of({6, 5}, 7), values(DType::f32, {6, 5, 5}, p);
    HostTensor first = indices_of({5}, 4);
    values.fill_random(random, -2, 2, false);
    std::vector<Number> put = all_of(x);
    for (I i = 0; i < values.elements(); ++i) {
      const Shape at = coordinates(values.shape(), i);
      put[static_cast<std::size_t>(
          (static_cast<I>(first.get(at[1])) * 7 + static_cast<I>(some.get(at[0] * 5 + at[1]))) * 5 +
          at[2])] += values.get(i);
    }
    check_values("index_put", {&x, List{&first, &some}, &values, true, &out}, out, put, summed(4));
  }
}

TEST_CASE("indexing: embedding_backward") {
  for (const DType dtype : types_of(floats)) {
    HostTensor grad(dtype, {3, 4, 10}), index = indices_of({3, 4}, 7), out(dtype, {7, 10});
    grad.fill([](I i) { return i % 5 - 2; });
    std::vector<Number> sums(70);
    for (I i = 0; i < 120; ++i)
      if (index.get(i / 10) != 2)
        sums[static_cast<std::size_t>(index.get(i / 10) * 10 + i % 10)] += grad.get(i);
    check_values("embedding_backward", {&grad, &index, I{7}, I{2}, &out}, out, sums);
  }
}

TEST_CASE("indexing: nonzero and its kin, over several chunks") {
  HostTensor x(DType::f32, {3, 50, 70}, Placement::transposed), count(DType::i64, {1}),
      out(DType::i64, {10500, 3}, Placement::transposed);
  x.fill([](I i) { return i * 7919 % 3 == 0 ? -0.5L : i % 7 == 0 ? std::nan("") : 0.0L; });
  std::vector<I> wanted;
  for (I i = 0; i < x.elements(); ++i)
    if (x.get(i) != 0) wanted.push_back(i);
  must_call("nonzero", {&x, &out, &count});
  REQUIRE(count.get(0) == static_cast<Number>(wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Shape place = coordinates(x.shape(), wanted[i]);
    for (I axis = 0; axis < 3; ++axis)
      REQUIRE(at(out, {static_cast<I>(i), axis}) == place[static_cast<std::size_t>(axis)]);
  }
  HostTensor a(DType::i64, {10500}), b(DType::i64, {10500}), c(DType::i64, {10500});
  must_call("where.condition", {&x, List{&a, &b, &c}, &count});
  for (std::size_t i = 0; i < wanted.size(); ++i)
    REQUIRE((a.get(static_cast<I>(i)) * 50 + b.get(static_cast<I>(i))) * 70 +
                c.get(static_cast<I>(i)) ==
            wanted[i]);
  HostTensor none(DType::f32, {0, 4}), nothing(DType::i64, {0, 2}),
      one = HostTensor::of(DType::i32, {}, {5}), dimensionless(DType::i64, {1, 0});
  must_call("nonzero", {&none, &nothing, &count});
  CHECK(count.get(0) == 0);
  must_call("nonzero", {&one, &dimensionless, &count});
  CHECK(count.get(0) == 1);
}

TEST_CASE("indexing: nothing and scalars") {
  HostTensor zero = HostTensor::of(DType::f32, {}, {4}),
             index = HostTensor::of(DType::i64, {}, {0}), out(DType::f32, {});
  must_give("gather", {&zero, I{0}, &index, &out}, out, [](const Shape&) { return 4; });
  must_give("scatter_add", {&zero, I{0}, &index, &zero, &out}, out, [](const Shape&) { return 8; });
  HostTensor none(DType::f32, {3, 0}), empty(DType::i64, {0}), chosen(DType::f32, {0, 0}),
      x = counted(DType::f32, {3, 4}), same(DType::f32, {3, 4}), nothing(DType::f32, {0, 4});
  must_call("index_select", {&none, I{0}, &empty, &chosen});
  must_give("index_add", {&x, I{0}, &empty, &nothing, I{1}, &same}, same,
            [&](const Shape& i) { return at(x, i); });
}

TEST_CASE("indexing: bad input") {
  HostTensor x = counted(DType::f32, {3, 4}), out(DType::f32, {3, 4}),
             index = indices_of({3, 4}, 3), large = indices_of({3, 5}, 3), row = indices_of({4}, 3),
             whole = counted(DType::i32, {3, 4}), mask(DType::boolean, {3, 4}),
             count(DType::i64, {}), wide(DType::f32, {3, 5});
  mask.fill([](I) { return 1; });
  must_refuse("gather", {&x, I{2}, &index, &out}, "gather: dim is 2");
  must_refuse("gather", {&x, I{0}, &row, &out}, "gather: index is of rank 1, and input of rank 2");
  must_refuse("gather", {&x, I{0}, &large, &wide},
              "gather: index of shape [3, 5] is larger than input");
  must_refuse("gather", {&x, I{0}, &x, &out}, "gather: index is of float32");
  must_refuse("gather", {&x, I{0}, &index, &whole},
              "gather: out is of int32, and input is of float32");
  must_refuse("gather", {&x, I{0}, &index, &x}, "gather: input lies over a part of out");
  must_refuse("index_select", {&x, I{0}, &index, &out}, "index_select: index is of rank 2");
  must_refuse("index_select", {&x, I{0}, &row, &out},
              "index_select: out is of shape [3, 4], and [4, 4] is needed");
  must_refuse("index.Tensor", {&x, List{&row, &row, &row}, &out},
              "index.Tensor: indices has 3 tensors");
  must_refuse("index.Tensor", {&x, List{}, &out}, "index.Tensor: indices is empty");
  must_refuse("index_put", {&x, List{&row, &row}, &x, false, &out},
              "index_put: values does not fit");
  must_refuse("scatter", {&x, I{0}, &index, &whole, &out},
              "scatter: src is of int32, and input is of float32");
  must_refuse("scatter", {&x, I{0}, &index, &out, &out}, "scatter: src lies over a part of out");
  must_refuse("scatter_reduce", {&x, I{0}, &index, &x, std::string("max"), true, &out},
              "scatter_reduce: reduce is 'max'; known are sum");
  must_refuse("index_add", {&x, I{0}, &row, &x, I{1}, &out},
              "index_add: source is of shape [3, 4], and [4, 4] is needed");
  must_refuse("embedding_backward", {&x, &index, I{3}, I{-1}, &out},
              "embedding_backward: grad_output is of rank 2; 3 is needed");
  must_refuse("masked_select", {&x, &mask, &out, &count},
              "masked_select: out is of rank 2; 1 is needed");
  must_refuse("masked_scatter", {&x, &mask, &whole, &out}, "masked_scatter: source is of int32");
  must_refuse("nonzero", {&x, &index, &count},
              "nonzero: out is of shape [3, 4]; its second dimension must be 2");
  must_refuse("where.condition", {&x, List{&row}, &count}, "where.condition: out has 1 tensors");
  must_refuse("select_scatter", {&x, &x, I{0}, I{3}, &out},
              "select_scatter: index is 3; dimension 0 has 3");
  must_refuse("slice_scatter", {&x, &x, I{0}, I{0}, I{3}, I{0}, &out}, "slice_scatter: step is 0");
  must_refuse("tril", {&row, I{0}, &row}, "tril: input is of rank 1");
}

TEST_CASE(
    "indexing: the device finds an index that leads outside, and says which operator it was") {
  HostTensor x = counted(DType::f32, {3, 4}), out(DType::f32, {3, 4}), bad(DType::i64, {3, 4}),
             row(DType::i64, {3});
  HostTensor mask(DType::boolean, {3, 4}), count(DType::i64, {}), few(DType::f32, {5});
  bad.fill([](I i) { return i == 7 ? 3 : 0; });
  row.fill([](I i) { return i == 1 ? -1 : 0; });
  mask.fill([](I) { return 1; });
  must_fail_on_device("gather", {&x, I{0}, &bad, &out});
  must_fail_on_device("scatter", {&x, I{0}, &bad, &x, &out});
  must_fail_on_device("scatter_add", {&x, I{0}, &bad, &x, &out});
  must_fail_on_device("index_select", {&x, I{0}, &row, &out});
  must_fail_on_device("masked_select", {&x, &mask, &few, &count});
  must_fail_on_device("masked_scatter", {&x, &mask, &few, &out});
  must_call("gather", {&x, I{1}, &bad, &out});  // and works again
}
