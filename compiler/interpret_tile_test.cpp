// Shapes, memory, control flow and what works across a tile, against plain C++.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Words iota(std::size_t count, std::uint64_t first = 0) {
  Words words(count);
  std::iota(words.begin(), words.end(), first);
  return words;
}

Data f32(const std::string& shape, const std::vector<double>& values) {
  return {fmt::format("tile<{}xf32>", shape), bits_of(DType::f32, values)};
}
std::vector<double> f32(const Words& words) { return numbers_of(DType::f32, words); }

// A kernel on memory of its own.
struct Run {
  explicit Run(const std::string& text) : module(load("flagos.tile 1.0\n" + text)) {}
  template <typename T>
  Run& on(std::vector<T>& memory) {
    arguments.push_back({reinterpret_cast<std::uintptr_t>(memory.data()), memory.size() * sizeof(T)});
    return *this;
  }
  Run& on(std::uint64_t value) {
    arguments.push_back({value, 0});
    return *this;
  }
  void operator()(std::array<std::uint32_t, 3> grid = {1, 1, 1}) {
    Launch launch;
    launch.grid = grid;
    launch.arguments = arguments;
    launch.step_limit = step_limit;
    launch.report = [this](const Report& report) { reports.push_back(report.text); };
    interpret(module, module.kernels[0], launch);
  }
  std::string failure() {
    try {
      (*this)();
    } catch (const Error& error) {
      CHECK(error.status() == FLAGOS_STATUS_EXECUTION_FAILED);
      return error.what();
    }
    return "";
  }
  Module module;
  std::vector<ArgumentValue> arguments;
  std::vector<std::string> reports;
  std::uint64_t step_limit = 0;
};

}  // namespace

TEST_CASE("shapes") {
  const Data x{"tile<2x3xi32>", iota(6)};
  CHECK(evaluate("trans", {x}, {"tile<3x2xi32>"}, "perm=[1, 0]")[0] == Words{0, 3, 1, 4, 2, 5});
  const Data y{"tile<2x3x4xi32>", iota(24)};
  const Words moved = evaluate("trans", {y}, {"tile<4x2x3xi32>"}, "perm=[2, 0, 1]")[0];
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t c = 0; c < 3; ++c) CHECK(moved[(a * 2 + b) * 3 + c] == (b * 3 + c) * 4 + a);
  CHECK(evaluate("flip", {x}, {"tile<2x3xi32>"}, "axis=1")[0] == Words{2, 1, 0, 5, 4, 3});
  CHECK(evaluate("flip", {x}, {"tile<2x3xi32>"}, "axis=0")[0] == Words{3, 4, 5, 0, 1, 2});
  CHECK(evaluate("slice", {x}, {"tile<1x2xi32>"}, "start=[1, 1]")[0] == Words{4, 5});
  CHECK(evaluate("expand", {x}, {"tile<2x1x3xi32>"}, "axis=1")[0] == iota(6));
  CHECK(evaluate("broadcast", {{"tile<2x1xi32>", {7, 8}}}, {"tile<2x3xi32>"})[0] == Words{7, 7, 7, 8, 8, 8});
  CHECK(evaluate("join", {{"tile<2xi8>", {1, 2}}, {"tile<2xi8>", {3, 4}}}, {"tile<2x2xi8>"})[0] == Words{1, 3, 2, 4});
  const auto halves = evaluate("split", {{"tile<2x2xi8>", {1, 3, 2, 4}}}, {"tile<2xi8>", "tile<2xi8>"});
  CHECK(halves[0] == Words{1, 2});
  CHECK(halves[1] == Words{3, 4});
  CHECK(evaluate("full", {{"u16", {9}}}, {"tile<3xu16>"})[0] == Words{9, 9, 9});
  CHECK(evaluate("range", {}, {"tile<4xi8>"}, "start=126")[0] == Words{126, 127, 128, 129});  // wraps to -128, -127
  CHECK(evaluate("const", {}, {"tile<2xf16>"}, "value=1.5")[0] == Words{0x3e00, 0x3e00});
}

TEST_CASE("reductions: neighbours first, order kept") {
  const Data x = f32("2x4", {1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(f32(evaluate("reduce", {x}, {"tile<2xf32>"}, "axis=1, op=add")[0]) == std::vector<double>{10, 26});
  CHECK(f32(evaluate("reduce", {x}, {"tile<4xf32>"}, "axis=0, op=mul")[0]) == std::vector<double>{5, 12, 21, 32});
  CHECK(f32(evaluate("reduce", {x}, {"tile<4xf32>"}, "axis=0, op=max")[0]) == std::vector<double>{5, 6, 7, 8});
  const Data nan = f32("4", {1, kNan, -3, 2});
  CHECK(std::isnan(f32(evaluate("reduce", {nan}, {"f32"}, "axis=0, op=min")[0])[0]));
  CHECK(f32(evaluate("reduce", {nan}, {"f32"}, "axis=0, op=min, nan=ignore")[0])[0] == -3);
  CHECK(evaluate("reduce", {{"tile<3xi1>", {1, 0, 1}}}, {"i1"}, "axis=0, op=and")[0][0] == 0);
  CHECK(evaluate("reduce", {{"tile<3xi1>", {1, 0, 1}}}, {"i1"}, "axis=0, op=or")[0][0] == 1);
  CHECK(evaluate("reduce", {{"tile<3xu8>", {200, 100, 3}}}, {"u8"}, "axis=0, op=add")[0][0] ==
        ((200 + 100 + 3) & 0xff));
  CHECK(evaluate("reduce", {{"tile<3xu8>", {200, 100, 3}}}, {"u8"}, "axis=0, op=xor")[0][0] == (200 ^ 100 ^ 3));
  // f16 sums are held in f32: 2048 + 1 + 1 is not 2048.
  CHECK(evaluate("reduce", {{"tile<3xf16>", bits_of(DType::f16, {2048, 1, 1})}}, {"f16"}, "axis=0, op=add")[0] ==
        bits_of(DType::f16, {2050}));
  // ((a b) (c d)) e
  std::vector<double> v = {1, 0x1p24, 1, 1, -0x1p24};
  const float wanted = ((1.0F + 0x1p24F) + (1.0F + 1.0F)) + -0x1p24F;
  CHECK(f32(evaluate("reduce", {f32("5", v)}, {"f32"}, "axis=0, op=add")[0])[0] == wanted);
}

TEST_CASE("reductions and scans with a region, of one and of several tiles") {
  const std::string subtract = "with (%a: i32, %b: i32) {\n%c = sub %a, %b : i32\nyield %c\n}";
  CHECK(decode_int(DType::i32, evaluate("reduce", {{"tile<4xi32>", {1, 2, 3, 4}}}, {"i32"}, "axis=0",
                                        subtract)[0][0]) == (1 - 2) - (3 - 4));
  const Words running = evaluate("scan", {{"tile<4xi32>", {1, 2, 3, 4}}}, {"tile<4xi32>"}, "axis=0", subtract)[0];
  CHECK(numbers_of(DType::i32, running) == std::vector<double>{1, -1, -4, -8});
  const Words back = evaluate("scan", {{"tile<4xi32>", {1, 2, 3, 4}}}, {"tile<4xi32>"}, "axis=0, reverse", subtract)[0];
  CHECK(numbers_of(DType::i32, back) == std::vector<double>{4 - 3 - 2 - 1, 4 - 3 - 2, 1, 4});
  // Recurrence: the pair (a, b) stands for x -> a x + b.
  const std::string compose =
      "with (%a: f32, %b: f32, %c: f32, %d: f32) {\n%e = mul %a, %c : f32\n%f = mul %b, %c : "
      "f32\n%g = add %f, %d : f32\nyield %e, %g\n}";
  const auto pair =
      evaluate("scan", {f32("3", {2, 3, 4}), f32("3", {1, 1, 1})}, {"tile<3xf32>", "tile<3xf32>"}, "axis=0", compose);
  CHECK(f32(pair[0]) == std::vector<double>{2, 6, 24});
  CHECK(f32(pair[1]) == std::vector<double>{1, 4, 17});
  const std::string branch =
      "with (%a: i32, %b: i32) {\n%c = lt %a, %b : i1\n%d = if %c : i32 then {\nyield %b\n} else "
      "{\nyield %a\n}\nyield %d\n}";
  CHECK(evaluate("reduce", {{"tile<2x2xi32>", {4, 9, 7, 1}}}, {"tile<2xi32>"}, "axis=1", branch)[0] == Words{9, 7});
}

TEST_CASE("scans") {
  const Data x = f32("2x3", {1, 2, 3, 4, 5, 6});
  CHECK(f32(evaluate("scan", {x}, {"tile<2x3xf32>"}, "axis=1, op=add")[0]) == std::vector<double>{1, 3, 6, 4, 9, 15});
  CHECK(f32(evaluate("scan", {x}, {"tile<2x3xf32>"}, "axis=0, op=mul")[0]) == std::vector<double>{1, 2, 3, 4, 10, 18});
  CHECK(f32(evaluate("scan", {x}, {"tile<2x3xf32>"}, "axis=1, op=add, reverse")[0]) ==
        std::vector<double>{6, 5, 3, 15, 11, 6});
  CHECK(f32(evaluate("scan", {f32("4", {1, 3, 2, 5})}, {"tile<4xf32>"}, "axis=0, op=max")[0]) ==
        std::vector<double>{1, 3, 3, 5});
}

TEST_CASE("argreduce: the first of equal ones, and NaN") {
  const auto run = [](const std::vector<double>& v, const std::string& op) {
    const auto out = evaluate("argreduce", {f32(std::to_string(v.size()), v)}, {"f32", "i32"}, "axis=0, op=" + op);
    return std::pair(f32(out[0])[0], out[1][0]);
  };
  CHECK(run({3, 1, 4, 1, 4}, "min") == std::pair(1.0, std::uint64_t{1}));
  CHECK(run({3, 1, 4, 1, 4}, "max") == std::pair(4.0, std::uint64_t{2}));
  CHECK(run({0.0, -0.0}, "min").second == 0);
  CHECK(run({3, kNan, kNan, 9}, "max").second == 1);
  CHECK(run({3, kNan, kNan, 9}, "min").second == 1);
  CHECK(evaluate("argreduce", {{"tile<2x2xi8>", {1, 0xff, 3, 4}}}, {"tile<2xi8>", "tile<2xi32>"},
                 "axis=0, op=min")[1] == Words{0, 0});
}

TEST_CASE("sort is stable and carries payloads") {
  const auto out = evaluate("sort", {{"tile<5xi32>", {3, 1, 3, 0xffffffff, 1}}, {"tile<5xi8>", iota(5)}},
                            {"tile<5xi32>", "tile<5xi8>"}, "axis=0");
  CHECK(out[0] == Words{0xffffffff, 1, 1, 3, 3});
  CHECK(out[1] == Words{3, 1, 4, 0, 2});
  const auto down = evaluate("sort", {{"tile<5xi32>", {3, 1, 3, 0xffffffff, 1}}, {"tile<5xi8>", iota(5)}},
                             {"tile<5xi32>", "tile<5xi8>"}, "axis=0, desc");
  CHECK(down[1] == Words{0, 2, 1, 4, 3});
  const auto odd = evaluate("sort", {f32("4", {kNan, 1, 0.0, -0.0}), {"tile<4xi8>", iota(4)}},
                            {"tile<4xf32>", "tile<4xi8>"}, "axis=0");
  CHECK(odd[1] == Words{2, 3, 1, 0});
  const auto columns = evaluate("sort", {{"tile<2x2xi32>", {4, 1, 2, 3}}}, {"tile<2x2xi32>"}, "axis=0");
  CHECK(columns[0] == Words{2, 1, 4, 3});
}

TEST_CASE("histogram") {
  const Data x{"tile<6xi32>", {0, 2, 2, 5, 0xffffffff, 1}};
  CHECK(evaluate("histogram", {x}, {"tile<4xi32>"})[0] == Words{1, 1, 2, 0});
  CHECK(evaluate("histogram", {x, {"tile<6xi1>", {1, 0, 1, 1, 1, 1}}}, {"tile<4xi32>"})[0] == Words{1, 1, 1, 0});
}

TEST_CASE("dot") {
  const std::uint64_t seed = std::random_device()();
  MESSAGE("seed ", seed);
  std::mt19937_64 random(seed);
  const auto integers = [&](std::size_t count) {
    std::vector<double> v(count);
    for (double& x : v) x = static_cast<double>(random() % 15) - 7;
    return v;
  };
  for (const auto& [in, acc] :
       {std::pair(DType::f32, DType::f32), std::pair(DType::f16, DType::f32), std::pair(DType::bf16, DType::f32),
        std::pair(DType::f8e4m3, DType::f32), std::pair(DType::f64, DType::f64), std::pair(DType::i8, DType::i32)}) {
    const auto a = integers(2 * 3 * 5), b = integers(2 * 5 * 4), c = integers(2 * 3 * 4);
    const auto data = [](const std::string& shape, DType dtype, const std::vector<double>& v) {
      return Data{fmt::format("tile<{}x{}>", shape, info(dtype).name), bits_of(dtype, v)};
    };
    const Words out = evaluate("dot", {data("2x3x5", in, a), data("2x5x4", in, b), data("2x3x4", acc, c)},
                               {fmt::format("tile<2x3x4x{}>", info(acc).name)})[0];
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t j = 0; j < 4; ++j) {
          double wanted = c[(n * 3 + i) * 4 + j];
          for (std::size_t k = 0; k < 5; ++k) wanted += a[(n * 3 + i) * 5 + k] * b[(n * 5 + k) * 4 + j];
          CHECK(numbers_of(acc, out)[(n * 3 + i) * 4 + j] == wanted);
        }
  }
  // Each product and each sum is rounded: with one rounding for both, this would be 2^-24.
  const double x = 1 + 0x1p-12;
  CHECK(f32(evaluate("dot", {f32("1x1", {x}), f32("1x1", {x}), f32("1x1", {-1 - 0x1p-11})}, {"tile<1x1xf32>"})[0])[0] ==
        0);
  const Data a{"tile<1x4xf8e4m3>", bits_of(DType::f8e4m3, {1, 2, 3, 4})};
  const Data b{"tile<4x1xbf16>", bits_of(DType::bf16, {1, 1, 1, 1})};
  const Words scaled =
      evaluate("dot_scaled", {a, {"tile<1x2xu8>", {128, 126}}, b, {"tile<2x1xu8>", {127, 129}}, f32("1x1", {0.5})},
               {"tile<1x1xf32>"}, "block=2")[0];
  CHECK(f32(scaled)[0] == 0.5 + (1 + 2) * 2 + (3 + 4) * 0.5 * 4);
  CHECK(std::isnan(
      f32(evaluate("dot_scaled", {a, {"tile<1x2xu8>", {255, 126}}, b, {"tile<2x1xu8>", {127, 129}}, f32("1x1", {0.5})},
                   {"tile<1x1xf32>"}, "block=2")[0])[0]));
}

TEST_CASE("philox gives the numbers of its authors' known answers") {
  using Four = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) == Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  const auto out =
      evaluate("philox", {{"u64", {0x299f31d0a4093822}}, {"u64", {0x85a308d3243f6a88}}, {"u64", {0x0370734413198a2e}}},
               {"u32", "u32", "u32", "u32"});
  CHECK(Four{static_cast<std::uint32_t>(out[0][0]), static_cast<std::uint32_t>(out[1][0]),
             static_cast<std::uint32_t>(out[2][0]),
             static_cast<std::uint32_t>(out[3][0])} == Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  const auto two = evaluate("philox", {{"i32", {0}}, {"tile<2xi32>", {0, 1}}},
                            {"tile<2xu32>", "tile<2xu32>", "tile<2xu32>", "tile<2xu32>"});
  CHECK(two[0][0] == 0x6627e8d5);
  CHECK(two[0][1] == philox({1, 0, 0, 0}, {0, 0})[0]);
}

TEST_CASE("loads give the pad outside of the view, stores drop what is outside") {
  std::vector<std::int32_t> x(12), y(12, -1);
  std::iota(x.begin(), x.end(), 0);
  const std::string text = R"(kernel @t(%x: ptr<i32>, %y: ptr<i32>, %r: i32, %c: i64) {
  %v = view %x {shape=[3, 4], strides=[4, 1]} : view<i32, 2>
  %w = view %y {shape=[3, 4], strides=[1, 3]} : view<i32, 2>
  %t = load %v, %r, %c {pad=77} : tile<2x3xi32>
  store %w, %r, %c, %t
  %u = view %y {shape=[12], strides=[1]} : view<i32, 1>
}
)";
  for (int r = -2; r <= 3; ++r) {
    for (int c = -3; c <= 4; ++c) {
      std::fill(y.begin(), y.end(), -1);
      Run(text).on(x).on(y).on(static_cast<std::uint32_t>(r)).on(static_cast<std::uint64_t>(c))();
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 4; ++j) {
          const bool inside = i >= r && i < r + 2 && j >= c && j < c + 3;
          CHECK(y[static_cast<std::size_t>(i + j * 3)] == (inside ? i * 4 + j : -1));
        }
    }
  }
  std::vector<std::int32_t> out(8, 0);
  Run(R"(kernel @t(%x: ptr<i32>, %y: ptr<i32>, %n: i32) {
  %v = view %x, %n {shape=[?], strides=[-1]} : view<i32, 1>
  %w = view %y {shape=[8], strides=[1]} : view<i32, 1>
  %o = const {value=-2} : i32
  %z = const {value=0} : i32
  %t = load %v, %o {pad=7} : tile<8xi32>
  store %w, %z, %t
}
)")
      .on(x)
      .on(out)
      .on(static_cast<std::uint32_t>(-5))();
  CHECK(out == std::vector<std::int32_t>(8, 7));  // a negative extent is an empty view
}

TEST_CASE("gather, scatter, masks") {
  std::vector<float> x = {10, 11, 12, 13}, y(4, 0);
  std::vector<std::int32_t> index = {3, 0, -1, 4, 2, 2};
  Run(R"(kernel @t(%x: ptr<f32>, %i: ptr<i32>, %y: ptr<f32>) {
  %v = view %x {shape=[4], strides=[1]} : view<f32, 1>
  %vi = view %i {shape=[6], strides=[1]} : view<i32, 1>
  %vy = view %y {shape=[4], strides=[1]} : view<f32, 1>
  %z = const {value=0} : i32
  %index = load %vi, %z : tile<6xi32>
  %t = gather %v, %index {pad=-1.0} : tile<6xf32>
  %one = const {value=1.0} : tile<6xf32>
  %sum = add %t, %one : tile<6xf32>
  %two = const {value=0} : tile<6xi32>
  %mask = gt %index, %two : tile<6xi1>
  scatter %vy, %index, %sum, %mask
  print %t {message="t"}
}
)")
      .on(x)
      .on(index)
      .on(y)();
  CHECK(y == std::vector<float>{0, 0, 13, 14});
}

TEST_CASE("atomics, in order, with what was there before") {
  std::vector<std::int32_t> x = {5, 0, -3};
  std::vector<std::int32_t> old(4, 0);
  const auto run = [&](const std::string& op, const std::string& values) {
    Run(fmt::format(R"(kernel @t(%x: ptr<i32>, %o: ptr<i32>) {{
  %v = view %x {{shape=[3], strides=[1]}} : view<i32, 1>
  %w = view %o {{shape=[4], strides=[1]}} : view<i32, 1>
  %z = const {{value=0}} : i32
  %r = range : tile<4xi32>
  %one = const {{value=1}} : tile<4xi32>
  %i = shr %r, %one : tile<4xi32>
  %a = const {{value={}}} : tile<4xi32>
  %b = const {{value=42}} : tile<4xi32>
  %old = {} : tile<4xi32>
  store %w, %z, %old
}}
)",
                    values, op))
        .on(x)
        .on(old)();
  };
  run("atomic_rmw %v, %i, %a {op=add}", "2");
  CHECK(x == std::vector<std::int32_t>{9, 4, -3});
  CHECK(old == std::vector<std::int32_t>{5, 7, 0, 2});
  run("atomic_rmw %v, %i, %a {op=max}", "6");
  CHECK(x == std::vector<std::int32_t>{9, 6, -3});
  run("atomic_rmw %v, %i, %a {op=min}", "-8");
  CHECK(x == std::vector<std::int32_t>{-8, -8, -3});
  run("atomic_rmw %v, %i, %a {op=and}", "12");
  CHECK(x == std::vector<std::int32_t>{8, 8, -3});
  run("atomic_rmw %v, %i, %a {op=or}", "3");
  run("atomic_rmw %v, %i, %a {op=xor}", "1");
  CHECK(x == std::vector<std::int32_t>{11, 11, -3});
  run("atomic_rmw %v, %i, %a {op=exchange}", "8");
  CHECK(x == std::vector<std::int32_t>{8, 8, -3});
  CHECK(old == std::vector<std::int32_t>{11, 8, 11, 8});
  run("atomic_cas %v, %i, %a, %b", "8");
  CHECK(x == std::vector<std::int32_t>{42, 42, -3});
  CHECK(old == std::vector<std::int32_t>{8, 42, 8, 42});
  std::vector<float> f = {0.5F};
  Run(R"(kernel @t(%x: ptr<f32>) {
  %v = view %x {shape=[1], strides=[1]} : view<f32, 1>
  %i = const {value=0} : i32
  %far = const {value=1} : i32
  %a = const {value=0.25} : f32
  %old = atomic_rmw %v, %i, %a {op=add} : f32
  %none = atomic_rmw %v, %far, %a {op=add} : f32
  print %old, %none {message="old"}
}
)")
      .on(f)();
  CHECK(f[0] == 0.75F);
}

TEST_CASE("programs, loops, branches, while") {
  std::vector<std::int32_t> out(6, 0);
  Run(R"(kernel @t(%y: ptr<i32>) {
  %v = view %y {shape=[3, 2], strides=[2, 1]} : view<i32, 2>
  %a = program_id {axis=0} : i32
  %b = program_id {axis=1} : i32
  %n = num_programs {axis=0} : i32
  %zero = const {value=0} : i32
  %one = const {value=1} : i32
  %two = const {value=2} : i32
  %ten = const {value=10} : i32
  %sum, %count = for %zero, %ten, %two, %n, %zero : i32, i32 do (%k: i32, %s: i32, %c: i32) {
    %s2 = add %s, %k : i32
    %even = eq %a, %zero : i1
    %c2 = if %even : i32 then {
      %c3 = add %c, %one : i32
      yield %c3
    } else {
      yield %c
    }
    yield %s2, %c2
  }
  %w = while %sum : i32 test (%x: i32) {
    %more = gt %x, %ten : i1
    yield %more
  } do (%x2: i32) {
    %half = div %x2, %two : i32
    yield %half
  }
  for %ten, %zero, %one do (%never: i32) {
    store %v, %zero, %zero, %never
    yield
  }
  for %zero, %ten, %zero do (%stuck: i32) {
    store %v, %zero, %zero, %stuck
    yield
  }
  %big = mul %w, %ten : i32
  %all = add %big, %count : i32
  store %v, %a, %b, %all
}
)")
      .on(out)({3, 2, 1});
  // 3 + 0+2+4+6+8 = 23, halved to 5; the count is 5 for program 0 on axis 0.
  CHECK(out == std::vector<std::int32_t>{55, 55, 50, 50, 50, 50});
}

TEST_CASE("extern runs its generic body") {
  CHECK(f32(evaluate("extern", {f32("2", {1, 2})}, {"tile<2xf32>"}, "name=\"twice\"",
                     "with (%a: tile<2xf32>) {\n%b = add %a, %a : tile<2xf32>\nyield %b\n}")[0]) ==
        std::vector<double>{2, 4});
}

TEST_CASE("assert and print reach the caller; memory and steps end") {
  Run print(
      "kernel @t(%n: i32, %f: f32) {\n%r = range : tile<3xi32>\nprint %n, %f, %r "
      "{message=\"n:\"}\n}\n");
  print.on(std::uint64_t{7}).on(encode_float(DType::f32, 0.1))({2, 1, 1});
  CHECK(print.reports == std::vector<std::string>{"n: 7 0.1 [0, 1, 2]", "n: 7 0.1 [0, 1, 2]"});

  Run holds("kernel @t(%n: i32) {\n%c = gt %n, %n : i1\nassert %c {message=\"n is large\"}\n}\n");
  CHECK(holds.on(std::uint64_t{1}).failure() ==
        "line 4, column 1: assert: element 0 does not hold: n is large; kernel 't', program (0, 0, "
        "0)");
  CHECK(holds.reports == std::vector<std::string>{"n is large"});

  std::vector<float> two(2);
  const std::string past =
      "kernel @t(%x: ptr<f32>) {\n%v = view %x {shape=[4], strides=[1]} : view<f32, 1>\n%o = const "
      "{value=1} : i32\n%t = load %v, %o : tile<2xf32>\n}\n";
  CHECK(Run(past).on(two).failure().find("byte 8 is outside of the argument's 8 bytes") != std::string::npos);
  CHECK(Run(past).on(std::uint64_t{0}).failure().find("the view is on address 0") != std::string::npos);

  Run forever("kernel @t() {\nwhile test {\n%c = const {value=true} : i1\nyield %c\n} do {\nyield\n}\n}\n");
  forever.step_limit = 1000;
  CHECK(forever.failure().find("more than 1000 operations were run") != std::string::npos);

  std::string huge = "kernel @t() {\n";
  for (int i = 0; i < 200; ++i) huge += fmt::format("%x{} = const {{value=0}} : tile<1048576xi8>\n", i);
  CHECK_THROWS_WITH(Run(huge + "}\n")(),
                    "kernel 't' has values of 209715200 elements; the interpreter takes 134217728");
}
