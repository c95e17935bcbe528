// Copies between views: every operator on all placements, types by size, and what is refused.
#include <cmath>
#include <cstring>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;
using Ints = std::vector<std::int64_t>;

TEST_CASE("shape: copy between all placements, large enough for every kind of tile") {
  constexpr Placement all[] = {Placement::dense, Placement::transposed, Placement::sliced,
                               Placement::broadcast};
  for (const Shape& shape :
       {Shape{7, 5}, Shape{130, 70}, Shape{3, 40, 65}, Shape{5000}, Shape{}, Shape{0, 4}})
    for (const Placement from : all)
      for (const Placement to : all) {
        const bool half_dense = from == Placement::dense || to == Placement::dense;
        if (!Fixture::get().is_thorough() && (shape != Shape{130, 70} || !half_dense)) continue;
        HostTensor x = counted(DType::f32, shape, from), out(DType::f32, shape, written(to));
        must_give("copy", {&x, &out}, out, [&](const Shape& i) { return at(x, i); });
      }
  HostTensor row = counted(DType::i32, {6}), out(DType::i32, {3, 5, 6}, Placement::sliced);
  must_give("copy", {&row, &out}, out, [&](const Shape& i) { return row.get(i[2]); });
  // Nine axes that cannot be joined.
  const Shape deep{2, 3, 2, 2, 3, 2, 2, 3, 2};
  HostTensor x = counted(DType::i32, deep, Placement::sliced),
             y(DType::i32, deep, Placement::sliced);
  must_give("copy", {&x, &y}, y, [&](const Shape& i) { return at(x, i); });
}

TEST_CASE("shape: copy casts every type to every other") {
  for (const DType from : types_of(everything))
    for (const DType to : types_of(everything)) {
      HostTensor x(from, {3, 7});
      x.fill([&](I i) { return from == DType::boolean ? static_cast<Number>(i % 2) : i; });
      HostTensor out(to, {3, 7}, Placement::transposed);
      must_give("copy", {&x, &out}, out, [&](const Shape& i) { return at(x, i); });
    }
  // Toward zero, held within the type; NaN is 0 and true.
  HostTensor x = HostTensor::of(DType::f32, {5}, {1.75L, -1.75L, 1e30L, -1e30L, std::nan("")});
  HostTensor whole(DType::i32, {5}), truth(DType::boolean, {5});
  must_call("copy", {&x, &whole});
  CHECK(whole.values() == std::vector<Number>{1, -1, 2147483647, -2147483648.0L, 0});
  must_call("copy", {&x, &truth});
  CHECK(truth.values() == std::vector<Number>{1, 1, 1, 1, 1});
  HostTensor wide = HostTensor::of(DType::i32, {3}, {257, -1, 128}), narrow(DType::u8, {3});
  must_call("copy", {&wide, &narrow});  // wraps
  CHECK(narrow.values() == std::vector<Number>{1, 255, 128});
}

TEST_CASE("shape: complex numbers are copied whole") {
  HostTensor x(DType::c64, {3}), out(DType::c64, {3}), real(DType::f32, {3}),
      truth(DType::boolean, {3});
  const float parts[] = {1, 2, 0, 4, 0, 0};
  std::memcpy(x.bytes().data() + x.offset_bytes(), parts, sizeof(parts));
  must_call("flip", {&x, Ints{0}, &out});
  float found[6];
  std::memcpy(found, out.bytes().data() + out.offset_bytes(), sizeof(found));
  CHECK(std::vector<float>(found, found + 6) == std::vector<float>{0, 0, 0, 4, 1, 2});
  must_call("copy", {&x, &real});
  CHECK(real.values() == std::vector<Number>{1, 0, 0});
  must_call("copy", {&x, &truth});
  CHECK(truth.values() == std::vector<Number>{1, 1, 0});
  must_call("copy", {&real, &out});
  std::memcpy(found, out.bytes().data() + out.offset_bytes(), sizeof(found));
  CHECK(std::vector<float>(found, found + 6) == std::vector<float>{1, 0, 0, 0, 0, 0});
}

TEST_CASE("shape: a NaN keeps its bits") {
  HostTensor x(DType::f32, {2}), out(DType::f32, {2});
  const std::uint32_t bits[] = {0x7fc01234, 0xff800001};
  std::memcpy(x.bytes().data() + x.offset_bytes(), bits, sizeof(bits));
  must_call("contiguous", {&x, &out});
  CHECK(std::memcmp(out.bytes().data() + out.offset_bytes(), bits, sizeof(bits)) == 0);
}

TEST_CASE("shape: operators of every type") {
  for (const DType dtype : types_of(everything)) {
    HostTensor x = counted(dtype, {4, 6}), y = counted(dtype, {4, 3});
    HostTensor joined(dtype, {4, 9}), turned(dtype, {4, 6}), full(dtype, {3, 5}),
        many(dtype, {8, 18});
    must_give("cat", {std::vector<HostTensor*>{&x, &y}, I{-1}, &joined}, joined,
              [&](const Shape& i) {
                return i[1] < 6 ? at(x, i) : at(y, {i[0], i[1] - 6});
              });
    must_give("flip", {&x, Ints{0, 1}, &turned}, turned, [&](const Shape& i) {
      return at(x, {3 - i[0], 5 - i[1]});
    });
    must_give("full", {Ints{3, 5}, I{1}, &full}, full, [](const Shape&) { return 1; });
    must_give("repeat", {&x, Ints{2, 3}, &many}, many, [&](const Shape& i) {
      return at(x, {i[0] % 4, i[1] % 6});
    });
    HostTensor padded(dtype, {5, 9});
    must_give("pad", {&x, Ints{1, 2, 0, 1}, std::string("constant"), I{1}, &padded}, padded,
              [&](const Shape& i) {
                return i[0] < 4 && i[1] >= 1 && i[1] < 7 ? at(x, {i[0], i[1] - 1}) : 1;
              });
    HostTensor one(dtype, {4, 7});
    must_give("eye", {I{4}, I{7}, &one}, one, [](const Shape& i) { return i[0] == i[1]; });
  }
}

TEST_CASE("shape: operators on all placements") {
  for (const Placement p : placements()) {
    const Shape shape{3, 5, 8};
    HostTensor x = counted(DType::i32, shape, p), same(DType::i32, shape, written(p));
    must_give("flip", {&x, Ints{-1, 0}, &same}, same, [&](const Shape& i) {
      return at(x, {2 - i[0], i[1], 7 - i[2]});
    });
    must_give("roll", {&x, Ints{2, -3}, Ints{1, 2}, &same}, same, [&](const Shape& i) {
      return at(x, {i[0], (i[1] + 3) % 5, (i[2] + 3) % 8});
    });
    must_give("roll", {&x, Ints{7}, Ints{}, &same}, same,
              [&](const Shape& i) { return x.get((number_of(shape, i) + 120 - 7) % 120); });
    HostTensor many(DType::i32, {2, 6, 5, 24}, written(p));
    must_give("repeat", {&x, Ints{2, 2, 1, 3}, &many}, many, [&](const Shape& i) {
      return at(x, {i[1] % 3, i[2], i[3] % 8});
    });
    HostTensor each(DType::i32, {3, 15, 8}, written(p)), flat(DType::i32, {240});
    must_give("repeat_interleave", {&x, I{3}, I{1}, &each}, each, [&](const Shape& i) {
      return at(x, {i[0], i[1] / 3, i[2]});
    });
    must_give("repeat_interleave", {&x, I{2}, std::monostate(), &flat}, flat,
              [&](const Shape& i) { return x.get(i[0] / 2); });
    HostTensor stacked(DType::i32, {3, 2, 5, 8}, written(p));
    HostTensor y = counted(DType::i32, shape);
    must_give("stack", {std::vector<HostTensor*>{&x, &y}, I{1}, &stacked}, stacked,
              [&](const Shape& i) {
                return at(i[1] == 0 ? x : y, {i[0], i[2], i[3]});
              });
    HostTensor padded(DType::i32, {3, 9, 13}, written(p));
    const auto reflected = [](I i, I before, I n) {
      i -= before;
      return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
    };
    must_give("pad", {&x, Ints{2, 3, 4, 0}, std::string("reflect"), I{0}, &padded}, padded,
              [&](const Shape& i) {
                return at(x, {i[0], reflected(i[1], 4, 5), reflected(i[2], 2, 8)});
              });
    const auto clamped = [](I i, I before, I n) {
      return std::min(std::max(i - before, I{0}), n - 1);
    };
    must_give("pad", {&x, Ints{2, 3, 4, 0}, std::string("replicate"), I{0}, &padded}, padded,
              [&](const Shape& i) {
                return at(x, {i[0], clamped(i[1], 4, 5), clamped(i[2], 2, 8)});
              });
    HostTensor cut(DType::i32, {3, 5, 6}, written(p));
    must_give("pad", {&x, Ints{-3, 1}, std::string("constant"), I{9}, &cut}, cut,
              [&](const Shape& i) {
                return i[2] + 3 < 8 ? at(x, {i[0], i[1], i[2] + 3}) : 9;
              });
    must_give("fill", {I{-7}, &same}, same, [](const Shape&) { return -7; });
  }
}

TEST_CASE("shape: cat takes other types and tensors of nothing") {
  HostTensor x = counted(DType::i32, {2, 3}), y = counted(DType::f32, {1, 3}),
             none(DType::f32, {0}), out(DType::f32, {3, 3});
  must_give("cat", {std::vector<HostTensor*>{&x, &none, &y}, I{0}, &out}, out, [&](const Shape& i) {
    return i[0] < 2 ? at(x, i) : at(y, {0, i[1]});
  });
}

TEST_CASE("shape: progressions") {
  HostTensor whole(DType::i64, {5}), down(DType::i32, {4}), real(DType::f32, {100});
  must_give("arange", {I{3}, I{13}, I{2}, &whole}, whole,
            [](const Shape& i) { return 3 + 2 * i[0]; });
  must_give("arange", {I{1}, I{-3}, I{-1}, &down}, down, [](const Shape& i) { return 1 - i[0]; });
  for (const DType dtype : types_of(numbers)) {
    HostTensor line(dtype, {7});
    must_give("arange", {I{5}, I{18}, I{2}, &line}, line,
              [](const Shape& i) { return 5 + 2 * i[0]; });
  }
  // To two units of the larger end: what is near 0 is the difference of two numbers.
  const auto is_close = [](const HostTensor& line, Number from, Number step, Number largest) {
    for (I i = 0; i < line.elements(); ++i)
      REQUIRE(std::fabs(line.get(i) - (from + step * i)) <= 2 * ulp_at(line.dtype(), largest));
  };
  must_call("arange", {-5.0, 5.0, 0.1, &real});
  is_close(real, -5, 0.1, 5);
  for (const DType dtype : types_of(floats))
    for (const I steps : {I{1}, I{2}, I{7}, I{3000}, I{0}}) {
      HostTensor line(dtype, {steps}, Placement::sliced);
      must_call("linspace", {-1.0, 1.0, steps, &line});
      is_close(line, -1, steps > 1 ? 2.0L / (steps - 1) : 0, 1);
      if (steps > 1) CHECK(line.get(steps - 1) == 1);
    }
}

TEST_CASE("shape: nothing and scalars") {
  HostTensor none(DType::f32, {0, 3}), out(DType::f32, {0, 3}),
      zero = counted(DType::f32, {}), one(DType::f32, {}), row(DType::f32, {4});
  must_call("flip", {&none, Ints{0}, &out});
  must_call("roll", {&none, Ints{1}, Ints{1}, &out});
  must_call("repeat", {&none, Ints{1, 1}, &out});
  must_give("copy", {&zero, &one}, one, [&](const Shape&) { return zero.get(0); });
  must_give("flip", {&zero, Ints{}, &one}, one, [&](const Shape&) { return zero.get(0); });
  must_give("repeat", {&zero, Ints{4}, &row}, row, [&](const Shape&) { return zero.get(0); });
  HostTensor some(DType::f32, {2, 3});
  must_give("pad", {&none, Ints{0, 0, 2, 0}, std::string("constant"), 1.5, &some}, some,
            [](const Shape&) { return 1.5; });
}

TEST_CASE("shape: bad input") {
  HostTensor x = counted(DType::f32, {3, 4}), out(DType::f32, {3, 4}),
             y = counted(DType::f32, {2, 5}), whole(DType::i32, {3, 4}), zero(DType::f32, {}),
             gaps(DType::f32, {3, 4}, Placement::sliced);
  const auto list = [](std::vector<HostTensor*> tensors) { return tensors; };
  must_refuse("copy", {&y, &out}, "copy: input does not fit");
  must_refuse("contiguous", {&x, &gaps}, "contiguous: out is not dense");
  must_refuse("cat", {list({&x, &y}), I{0}, &out}, "cat: tensors holds shapes [3, 4] and [2, 5]");
  must_refuse("cat", {list({&zero}), I{0}, &zero},
              "cat: tensors holds a tensor without dimensions");
  must_refuse("cat", {list({&x}), I{0}, &whole},
              "cat: out is of int32, which cannot take elements of float32");
  must_refuse("cat", {list({}), I{0}, &out}, "cat: tensors is empty");
  must_refuse("stack", {list({&x, &y}), I{0}, &out}, "stack: tensors holds shapes");
  must_refuse("stack", {list({&x}), I{3}, &out}, "stack: dim is 3");
  must_refuse("flip", {&x, Ints{0, -2}, &out}, "flip: dims names dimension -2 twice");
  must_refuse("flip", {&x, Ints{0}, &x}, "lies over a part of out");
  must_refuse("roll", {&x, Ints{1, 2}, Ints{0}, &out},
              "roll: shifts has 2 numbers, and dims has 1");
  must_refuse("roll", {&x, Ints{1, 2}, Ints{}, &out},
              "roll: shifts has 2 numbers; without dims there is one");
  must_refuse("repeat", {&x, Ints{2}, &out}, "repeat: repeats has 1 numbers, and input has 2");
  must_refuse("repeat", {&x, Ints{2, -1}, &out}, "repeat: repeats repeats dimension 1 -1 times");
  must_refuse("repeat_interleave", {&x, I{-2}, I{0}, &out}, "repeat_interleave: repeats is -2");
  must_refuse("pad", {&x, Ints{1}, std::string("constant"), I{0}, &out}, "pad: pad has 1 numbers");
  must_refuse("pad", {&x, Ints{4, 0}, std::string("reflect"), I{0}, &out},
              "mode reflect takes less than its 4");
  must_refuse("pad", {&x, Ints{-1, 0}, std::string("replicate"), I{0}, &out}, "pad is negative");
  must_refuse("pad", {&x, Ints{-3, -3}, std::string("constant"), I{0}, &out},
              "which has 4 elements");
  must_refuse("full", {Ints{3, 5}, I{0}, &out},
              "full: out is of shape [3, 4], and [3, 5] is needed");
  must_refuse("eye", {I{-1}, std::monostate(), &out}, "eye: n is -1");
  must_refuse("arange", {I{0}, I{5}, I{0}, &out}, "arange: step is 0");
  must_refuse("arange", {I{0}, I{5}, I{-1}, &out}, "arange: end is 5, which is not reached");
  must_refuse("linspace", {I{0}, I{5}, I{-1}, &out}, "linspace: steps is -1");
  must_refuse("linspace", {I{0}, I{5}, I{3}, &whole}, "linspace: out is of int32");
}
