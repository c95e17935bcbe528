// What moves elements, in every type: whole, by their bytes, complex numbers among them.
#include <cstring>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;
using Ints = std::vector<std::int64_t>;
using List = std::vector<HostTensor*>;

namespace {

constexpr DTypes all_types = with_complex(everything);

// As counted(); both parts of complex numbers, of which some are 0.
HostTensor numbered(DType dtype, const Shape& shape, Placement placement = Placement::dense) {
  HostTensor out = counted(dtype, shape, placement);
  if (dtype != DType::c64) return out;
  for (I i = 0; i < out.elements(); ++i) {
    const float parts[] = {static_cast<float>(i % 3), static_cast<float>(i % 4 - i % 2)};
    std::memcpy(out.element(i), parts, sizeof(parts));
  }
  return out;
}
HostTensor number(DType dtype, Number value) {
  HostTensor out(dtype, {});
  std::memset(out.element(0), 0, size_of(dtype));
  out.set(0, value);
  return out;
}

bool same(const HostTensor& a, I i, const HostTensor& b, I j) {
  return std::memcmp(a.element(i), b.element(j), size_of(a.dtype())) == 0;
}
bool is_zero(const HostTensor& x, I i) { return same(x, i, number(x.dtype(), 0), 0); }

// Where an element of the output comes from.
struct From {
  const HostTensor& tensor;
  I index = 0;
  From(const HostTensor& one) : tensor(one) {}
  From(const HostTensor& given, const Shape& at)
      : tensor(given), index(number_of(given.shape(), at)) {}
};

void must_move(const std::string& op, const Arguments& arguments, const HostTensor& out,
               const std::function<From(const Shape&)>& from) {
  const std::vector<unsigned char> before = out.bytes();
  const std::string which = op + " " + dtype_name(out.dtype());
  INFO(which);
  must_call(op, arguments);
  for (I i = 0; i < out.elements(); ++i) {
    const From source = from(coordinates(out.shape(), i));
    CHECK(same(out, i, source.tensor, source.index));
  }
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("movement: elements that are chosen by index") {
  for (const DType dtype : types_of(all_types)) {
    HostTensor x = numbered(dtype, {5, 8}), rows = HostTensor::of(DType::i64, {4}, {3, 0, 3, 4}),
               columns = HostTensor::of(DType::i64, {4}, {7, 1, 0, 2}), four(dtype, {4}),
               chosen(dtype, {4, 8}), index(DType::i64, {3, 8}), part(dtype, {3, 8});
    must_move("index_select", {&x, I{0}, &rows, &chosen}, chosen, [&](const Shape& i) {
      return From(x, {static_cast<I>(rows.get(i[0])), i[1]});
    });
    must_move("embedding", {&x, &rows, I{-1}, &chosen}, chosen, [&](const Shape& i) {
      return From(x, {static_cast<I>(rows.get(i[0])), i[1]});
    });
    must_move("take", {&x, &columns, &four}, four, [&](const Shape& i) {
      return From(x, {0, static_cast<I>(columns.get(i[0]))});
    });
    must_move("index.Tensor", {&x, List{&rows, &columns}, &four}, four, [&](const Shape& i) {
      return From(x, {static_cast<I>(rows.get(i[0])), static_cast<I>(columns.get(i[0]))});
    });
    index.fill([](I i) { return (i / 8 * 2 + i) % 5; });
    must_move("gather", {&x, I{0}, &index, &part}, part, [&](const Shape& i) {
      return From(x, {static_cast<I>(at(index, i)), i[1]});
    });
  }
}

TEST_CASE("movement: elements that are put somewhere") {
  for (const DType dtype : types_of(all_types)) {
    HostTensor x = numbered(dtype, {5, 8}), row = numbered(dtype, {8}),
               part = numbered(dtype, {5, 3}), two = numbered(dtype, {2}), out(dtype, {5, 8}),
               rows = HostTensor::of(DType::i64, {2}, {-1, 2}),
               columns = HostTensor::of(DType::i64, {2}, {7, 0}),
               index = HostTensor::of(DType::i64, {1, 2}, {3, 1});
    HostTensor pair(dtype, {1, 2});
    std::memcpy(pair.element(0), two.element(0), 2 * std::size_t{size_of(dtype)});
    must_move("scatter", {&x, I{0}, &index, &pair, &out}, out, [&](const Shape& i) {
      return i == Shape{3, 0} ? From(two, {0}) : i == Shape{1, 1} ? From(two, {1}) : From(x, i);
    });
    must_move(
        "index_put", {&x, List{&rows, &columns}, &two, false, &out}, out, [&](const Shape& i) {
          return i == Shape{4, 7} ? From(two, {0}) : i == Shape{2, 0} ? From(two, {1}) : From(x, i);
        });
    must_move("select_scatter", {&x, &row, I{0}, I{-2}, &out}, out,
              [&](const Shape& i) { return i[0] == 3 ? From(row, {i[1]}) : From(x, i); });
    must_move("slice_scatter", {&x, &part, I{1}, I{1}, I{-1}, I{2}, &out}, out,
              [&](const Shape& i) {
                return i[1] < 7 && i[1] % 2 == 1 ? From(part, {i[0], i[1] / 2}) : From(x, i);
              });
  }
}

TEST_CASE("movement: elements that a mask or their place chooses") {
  for (const DType dtype : types_of(all_types)) {
    HostTensor x = numbered(dtype, {5, 8}), source = numbered(dtype, {7, 6}), out(dtype, {5, 8}),
               mask(DType::boolean, {5, 8}), packed(dtype, {40}), count(DType::i64, {});
    const HostTensor one = number(dtype, 1), zero = number(dtype, 0);
    mask.fill([](I i) { return i % 7 < 3; });
    must_move("masked_fill", {&x, &mask, I{1}, &out}, out,
              [&](const Shape& i) { return at(mask, i) != 0 ? From(one) : From(x, i); });
    must_move("tril", {&x, I{1}, &out}, out,
              [&](const Shape& i) { return i[1] - i[0] <= 1 ? From(x, i) : From(zero); });
    must_move("triu", {&x, I{-1}, &out}, out,
              [&](const Shape& i) { return i[1] - i[0] >= -1 ? From(x, i) : From(zero); });
    std::vector<I> chosen;
    for (I i = 0; i < 40; ++i)
      if (mask.get(i) != 0) chosen.push_back(i);
    must_move("masked_scatter", {&x, &mask, &source, &out}, out, [&](const Shape& i) {
      const auto place = std::find(chosen.begin(), chosen.end(), number_of({5, 8}, i));
      const I nth = place - chosen.begin();
      return place == chosen.end() ? From(x, i) : From(source, {nth / 6, nth % 6});
    });
    must_call("masked_select", {&x, &mask, &packed, &count});
    REQUIRE(count.get(0) == static_cast<Number>(chosen.size()));
    for (std::size_t i = 0; i < chosen.size(); ++i)
      CHECK(same(packed, static_cast<I>(i), x, chosen[i]));
    chosen.clear();
    for (I i = 0; i < 40; ++i)
      if (!is_zero(x, i)) chosen.push_back(i);
    HostTensor places(DType::i64, {40, 2}), a(DType::i64, {40}), b(DType::i64, {40});
    must_call("nonzero", {&x, &places, &count});
    REQUIRE(count.get(0) == static_cast<Number>(chosen.size()));
    must_call("where.condition", {&x, List{&a, &b}, &count});
    REQUIRE(count.get(0) == static_cast<Number>(chosen.size()));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const auto nth = static_cast<I>(i);
      CHECK(at(places, {nth, 0}) * 8 + at(places, {nth, 1}) == chosen[i]);
      CHECK(a.get(nth) * 8 + b.get(nth) == chosen[i]);
    }
  }
}

TEST_CASE("movement: elements that are repeated, joined and turned") {
  for (const DType dtype : types_of(all_types)) {
    HostTensor x = numbered(dtype, {4, 6}), y = numbered(dtype, {4, 3}),
               gaps = numbered(dtype, {4, 6}, Placement::sliced), joined(dtype, {4, 9}),
               many(dtype, {8, 18}), each(dtype, {4, 12}), stacked(dtype, {4, 2, 6}),
               same_size(dtype, {4, 6}), padded(dtype, {5, 9}), full(dtype, {3, 5});
    const HostTensor one = number(dtype, 1), zero = number(dtype, 0);
    must_move("contiguous", {&gaps, &same_size}, same_size,
              [&](const Shape& i) { return From(gaps, i); });
    must_move("roll", {&x, Ints{1}, Ints{1}, &same_size}, same_size, [&](const Shape& i) {
      return From(x, {i[0], (i[1] + 5) % 6});
    });
    must_move("cat", {List{&x, &y}, I{1}, &joined}, joined, [&](const Shape& i) {
      return i[1] < 6 ? From(x, i) : From(y, {i[0], i[1] - 6});
    });
    must_move("stack", {List{&x, &gaps}, I{1}, &stacked}, stacked, [&](const Shape& i) {
      return From(i[1] == 0 ? x : gaps, {i[0], i[2]});
    });
    must_move("repeat", {&x, Ints{2, 3}, &many}, many, [&](const Shape& i) {
      return From(x, {i[0] % 4, i[1] % 6});
    });
    must_move("repeat_interleave", {&x, I{2}, I{1}, &each}, each, [&](const Shape& i) {
      return From(x, {i[0], i[1] / 2});
    });
    must_move("pad", {&x, Ints{1, 2, 0, 1}, std::string("constant"), I{1}, &padded}, padded,
              [&](const Shape& i) {
                return i[0] < 4 && i[1] >= 1 && i[1] < 7 ? From(x, {i[0], i[1] - 1}) : From(one);
              });
    must_move("fill", {I{1}, &full}, full, [&](const Shape&) { return From(one); });
    must_move("full", {Ints{3, 5}, I{1}, &full}, full, [&](const Shape&) { return From(one); });
    must_move("eye", {I{3}, I{5}, &full}, full,
              [&](const Shape& i) { return From(i[0] == i[1] ? one : zero); });
  }
}
