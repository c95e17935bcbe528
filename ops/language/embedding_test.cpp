// Rows of a table, and rows with a single 1.
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

HostTensor numbers_below(I limit, Shape shape, DType dtype = DType::i64,
                         Placement placement = Placement::dense) {
  HostTensor out(dtype, std::move(shape), placement);
  out.fill([&](I i) { return (i * 5 + i / 3) % limit; });
  return out;
}

}  // namespace

TEST_CASE("language: embedding takes rows, of every type") {
  for (const DType dtype : types_of(everything)) {
    HostTensor weight = counted(dtype, {7, 20}), index = numbers_below(7, {3, 4}),
               out(dtype, {3, 4, 20});
    must_give("embedding", {&weight, &index, I{-1}, &out}, out, [&](const Shape& i) {
      return at(weight, {static_cast<I>(at(index, {i[0], i[1]})), i[2]});
    });
  }
}

TEST_CASE("language: embedding on all placements and widths") {
  for (const Placement p : placements())
    for (const I width : {I{1}, I{65}, I{2500}}) {
      HostTensor weight = counted(DType::f32, {9, width}, p),
                 index = numbers_below(9, {2, 5}, DType::i32, p),
                 out(DType::f32, {2, 5, width}, written(p));
      must_give("embedding", {&weight, &index, I{3}, &out}, out, [&](const Shape& i) {
        return at(weight, {static_cast<I>(at(index, {i[0], i[1]})), i[2]});
      });
    }
  HostTensor weight = counted(DType::f32, {9, 6}), one = HostTensor::of(DType::i64, {}, {8}),
             row(DType::f32, {6}), none(DType::i64, {0, 3}), empty(DType::f32, {0, 3, 6});
  must_give("embedding", {&weight, &one, I{-1}, &row}, row, [&](const Shape& i) {
    return at(weight, {8, i[0]});
  });
  must_call("embedding", {&weight, &none, I{-1}, &empty});
}

TEST_CASE("language: embedding and its gradient agree on what a row is") {
  HostTensor weight = counted(DType::f32, {5, 4}),
             index = HostTensor::of(DType::i64, {3}, {4, 1, 4}), out(DType::f32, {3, 4}),
             ones(DType::f32, {3, 4}), gradient(DType::f32, {5, 4});
  ones.fill([](I) { return 1; });
  must_call("embedding", {&weight, &index, I{1}, &out});
  must_give("embedding_backward", {&ones, &index, I{5}, I{1}, &gradient}, gradient,
            [](const Shape& i) { return i[0] == 4 ? 2 : 0; });
  for (I j = 0; j < 4; ++j) CHECK(at(out, {1, j}) == at(weight, {1, j}));
}

TEST_CASE("language: one_hot") {
  for (const Placement p : placements())
    for (const DType dtype : types_of(everything)) {
      if (p != Placement::dense && dtype != DType::i64 && dtype != DType::f32) continue;
      HostTensor x = numbers_below(5, {3, 7}, DType::i64, p), out(dtype, {3, 7, 5}, written(p));
      const auto expected = [&](const Shape& i) { return at(x, {i[0], i[1]}) == i[2] ? 1 : 0; };
      must_give("one_hot", {&x, I{5}, &out}, out, expected);
      must_give("one_hot", {&x, I{-1}, &out}, out, expected);
    }
  HostTensor x = HostTensor::of(DType::i32, {}, {3}), out(DType::i64, {4});
  must_give("one_hot", {&x, I{4}, &out}, out, [](const Shape& i) { return i[0] == 3; });
}

TEST_CASE("language: what embedding and one_hot refuse") {
  HostTensor weight = counted(DType::f32, {5, 4}), index = HostTensor::of(DType::i64, {2}, {0, 4}),
             out(DType::f32, {2, 4}), wrong(DType::f32, {2, 5}), half(DType::f16, {2, 4}),
             real(DType::f32, {2}), classes(DType::i64, {2, 5}), none(DType::f32, {0, 4});
  must_refuse("embedding", {&weight, &index, I{5}, &out},
              "embedding: padding_idx is 5; weight has rows 0 to 4");
  must_refuse("embedding", {&weight, &index, I{-2}, &out}, "embedding: padding_idx is -2");
  must_refuse("embedding", {&weight, &index, I{-1}, &wrong},
              "embedding: out is of shape [2, 5], and [2, 4] is needed");
  must_refuse("embedding", {&weight, &index, I{-1}, &half}, "embedding: out is of float16");
  must_refuse("embedding", {&weight, &real, I{-1}, &out}, "embedding: indices is of float32");
  must_refuse("embedding", {&index, &index, I{-1}, &out}, "embedding: weight is of rank 1");
  must_refuse("embedding", {&none, &index, I{-1}, &out}, "embedding: indices has 2 indices");
  must_refuse("one_hot", {&index, I{4}, &classes}, "one_hot: out is of shape [2, 5]");
  must_refuse("one_hot", {&index, I{-3}, &classes}, "one_hot: num_classes is -3");
  HostTensor high = HostTensor::of(DType::i64, {2}, {0, 5}),
             low = HostTensor::of(DType::i64, {2}, {-1, 0});
  must_fail_on_device("embedding", {&weight, &high, I{-1}, &out});
  must_fail_on_device("embedding", {&weight, &low, I{-1}, &out});
  must_fail_on_device("one_hot", {&high, I{5}, &classes});
  must_fail_on_device("one_hot", {&low, I{5}, &classes});
}
