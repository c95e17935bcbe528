// Operations within a tile and across it, and casts, as C++.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <utility>

#include "compiler/serial_examples.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

std::vector<Example> tile_examples() {
  std::vector<Example> all;
  const std::string head = R"(%v = view %x {shape=[4, 6], strides=[6, 1]} : view<f32, 2>
%z = const {value=0} : i32
%t = load %v, %z, %z : tile<4x6xf32>
)";
  const std::string arguments = "%x: ptr<f32> {readonly}, %y: ptr<f32>, %k: ptr<i32>";
  const std::string views = R"(%wy = view %y {shape=[4, 6], strides=[6, 1]} : view<f32, 2>
%wk = view %k {shape=[4, 6], strides=[6, 1]} : view<i32, 2>
)";
  const std::vector<Buffer> buffers = {kFloats, {DType::f32, zeros(24)}, {DType::i32, zeros(24)}};
  for (int axis = 0; axis < 2; ++axis) {
    for (const char* way : {"", ", desc"}) {
      all.push_back({fmt::format("sort_{}_{}", axis, std::strlen(way)),
                     arguments,
                     head + views +
                         fmt::format(R"(%r = range : tile<24xi32>
%q = reshape %r : tile<4x6xi32>
%s, %o = sort %t, %q {{axis={}{}}} : tile<4x6xf32>, tile<4x6xi32>
store %wy, %z, %z, %s
store %wk, %z, %z, %o)",
                                     axis, way),
                     buffers,
                     {}});
    }
    for (const char* op : {"min", "max"}) {
      const int left = axis == 0 ? 6 : 4;
      all.push_back({fmt::format("argreduce_{}_{}", axis, op),
                     arguments,
                     head + views +
                         fmt::format(R"(%s, %o = argreduce %t {{axis={0}, op={1}}} : tile<{2}xf32>, tile<{2}xi32>
%s2 = expand %s {{axis={0}}} : {3}f32>
%o2 = expand %o {{axis={0}}} : {3}i32>
store %wy, %z, %z, %s2
store %wk, %z, %z, %o2)",
                                     axis, op, left, axis == 0 ? "tile<1x6x" : "tile<4x1x"),
                     buffers,
                     {}});
    }
    for (const char* way : {"", ", reverse"}) {
      all.push_back({fmt::format("scan_region_{}_{}", axis, std::strlen(way)),
                     arguments,
                     head + views +
                         fmt::format(R"(%r = range : tile<24xi32>
%q = reshape %r : tile<4x6xi32>
%s, %o = scan %t, %q {{axis={}{}}} : tile<4x6xf32>, tile<4x6xi32> with (%a: f32, %b: i32, %c: f32, %d: i32) {{
%g = ge %a, %c : i1
%e = select %g, %a, %c : f32
%f = select %g, %b, %d : i32
yield %e, %f
}}
store %wy, %z, %z, %s
store %wk, %z, %z, %o)",
                                     axis, way),
                     buffers,
                     {}});
    }
  }
  all.push_back({"reduce_region",
                 arguments,
                 head + views + R"(%r = range : tile<24xi32>
%q = reshape %r : tile<4x6xi32>
%s, %o = reduce %t, %q {axis=1} : tile<4xf32>, tile<4xi32> with (%a: f32, %b: i32, %c: f32, %d: i32) {
%g = ge %a, %c : i1
%e, %f = if %g : f32, i32 then {
yield %a, %b
} else {
yield %c, %d
}
yield %e, %f
}
%s2 = expand %s {axis=1} : tile<4x1xf32>
%o2 = expand %o {axis=1} : tile<4x1xi32>
store %wy, %z, %z, %s2
store %wk, %z, %z, %o2
%f0 = reshape %t : tile<24xf32>
%f1 = reduce %f0 {axis=0} : f32 with (%a1: f32, %c1: f32) {
%n1 = max %a1, %c1 : f32
yield %n1
}
%one = const {value=1} : i32
store %wy, %one, %one, %f1)",
                 buffers,
                 {}});
  all.push_back({"shapes",
                 arguments,
                 head + views + R"(%a = trans %t {perm=[1, 0]} : tile<6x4xf32>
%b = reshape %a : tile<4x6xf32>
%j = join %t, %b : tile<4x6x2xf32>
%l, %h = split %j : tile<4x6xf32>, tile<4x6xf32>
%n = neg %h : tile<4x6xf32>
%j2 = join %l, %n : tile<4x6x2xf32>
%q = reshape %j2 : tile<8x6xf32>
%m = slice %q {start=[3, 1]} : tile<4x5xf32>
%g = flip %m {axis=1} : tile<4x5xf32>
store %wy, %z, %z, %g
%d, %e = split %j2 : tile<4x6xf32>, tile<4x6xf32>
%dd = trans %d {perm=[1, 0]} : tile<6x4xf32>
%ee = reshape %dd : tile<4x6xf32>
%s = add %e, %ee : tile<4x6xf32>
%c = cast %s : tile<4x6xi32>
store %wk, %z, %z, %c)",
                 buffers,
                 {}});
  all.push_back({"histogram",
                 "%x: ptr<i32> {readonly}, %y: ptr<i32>",
                 R"(%v = view %x {shape=[30], strides=[1]} : view<i32, 1>
%w = view %y {shape=[16], strides=[1]} : view<i32, 1>
%z = const {value=0} : i32
%e = const {value=8} : i32
%t = load %v, %z : tile<30xi32>
%five = const {value=5} : tile<30xi32>
%m = ne %t, %five : tile<30xi1>
%h = histogram %t, %m : tile<8xi32>
%g = histogram %t : tile<7xi32>
store %w, %z, %h
store %w, %e, %g)",
                 {{DType::i32, count_up(30, -4, 0.5)}, {DType::i32, zeros(16)}},
                 {}});
  all.push_back({"philox",
                 "%y: ptr<u32>, %seed: i64",
                 R"(%w = view %y {shape=[4, 20], strides=[20, 1]} : view<u32, 2>
%z = const {value=0} : i32
%one = const {value=1} : i32
%two = const {value=2} : i32
%i = range {start=-3} : tile<20xi32>
%stream = const {value=9} : u32
%a, %b, %c, %d = philox %seed, %i, %stream : tile<20xu32>, tile<20xu32>, tile<20xu32>, tile<20xu32>
%a2 = expand %a {axis=0} : tile<1x20xu32>
%d2 = expand %d {axis=0} : tile<1x20xu32>
store %w, %z, %z, %a2
store %w, %one, %z, %d2
%e, %f, %g, %h = philox %seed, %two : u32, u32, u32, u32
store %w, %two, %z, %e
store %w, %two, %two, %h)",
                 {{DType::u32, zeros(80)}},
                 {0xFEDCBA9876543210}});
  all.push_back({"extern_body",
                 arguments,
                 head + views + R"(%s = extern %t {name="twice"} : tile<4x6xf32> with (%a: tile<4x6xf32>) {
%b = add %a, %a : tile<4x6xf32>
yield %b
}
store %wy, %z, %z, %s)",
                 buffers,
                 {}});
  for (const char* dtype : {"f8e4m3", "f8e5m2", "bf16", "f16", "i8", "u8"}) {
    const bool integer = dtype[0] == 'i' || dtype[0] == 'u';
    const char* to = integer ? "i32" : "f32";
    all.push_back({fmt::format("dot_{}", dtype),
                   fmt::format("%x: ptr<f32> {{readonly}}, %y: ptr<{}>", to),
                   fmt::format(R"(%v = view %x {{shape=[24], strides=[1]}} : view<f32, 1>
%w = view %y {{shape=[2, 5, 3], strides=[15, 3, 1]}} : view<{1}, 3>
%z = const {{value=0}} : i32
%t = load %v, %z : tile<20xf32>
%a0 = cast %t {{saturate}} : tile<20x{0}>
%a = reshape %a0 : tile<2x5x2x{0}>
%four = const {{value=4}} : i32
%u = load %v, %four : tile<12xf32>
%b0 = cast %u : tile<12x{0}>
%b = reshape %b0 : tile<2x2x3x{0}>
%c = const {{value=1{2}}} : tile<2x5x3x{1}>
%d = dot %a, %b, %c : tile<2x5x3x{1}>
store %w, %z, %z, %z, %d)",
                               dtype, to, integer ? "" : ".0"),
                   {kFloats, {integer ? DType::i32 : DType::f32, zeros(30)}},
                   {}});
  }
  all.push_back({"dot_scaled",
                 "%x: ptr<f32> {readonly}, %y: ptr<f32>",
                 R"(%v = view %x {shape=[24], strides=[1]} : view<f32, 1>
%w = view %y {shape=[3, 5], strides=[5, 1]} : view<f32, 2>
%z = const {value=0} : i32
%t = load %v, %z : tile<12xf32>
%a0 = cast %t : tile<12xf8e4m3>
%a = reshape %a0 : tile<3x4xf8e4m3>
%u = load %v, %z : tile<20xf32>
%b0 = cast %u : tile<20xf8e5m2>
%b = reshape %b0 : tile<4x5xf8e5m2>
%r = range {start=124} : tile<6xu8>
%as = reshape %r : tile<3x2xu8>
%q = range {start=120} : tile<10xu8>
%bs = reshape %q : tile<2x5xu8>
%c = const {value=1.0} : tile<3x5xf32>
%d = dot_scaled %a, %as, %b, %bs, %c {block=2} : tile<3x5xf32>
store %w, %z, %z, %d)",
                 {kFloats, {DType::f32, zeros(15)}},
                 {}});
  return all;
}

// Floats around the ends of the integers.
std::vector<Example> cast_examples() {
  std::vector<Example> all;
  std::vector<double> numbers = {0.5,      -0.5,      1e19,         -1e19, 1.8e19, 1e30,  -1e30,
                                 HUGE_VAL, -HUGE_VAL, std::nan(""), 194,   243,    200.75};
  for (const int bits : {7, 8, 15, 16, 31, 32, 63, 64})
    for (const double factor : {1.0, 0.99, 1.01, -1.0, -0.99, -1.01}) numbers.push_back(std::ldexp(factor, bits));
  while (numbers.size() % 16 != 0) numbers.push_back(3);
  for (const char* from : {"f32", "f64", "bf16", "f16"})
    for (const char* to : {"i1", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"}) {
      const std::size_t n = numbers.size();
      all.push_back({fmt::format("cast_{}_{}", from, to),
                     fmt::format("%x: ptr<{}> {{readonly}}, %y: ptr<{}>", from, to),
                     fmt::format(R"(%v = view %x {{shape=[{0}], strides=[1]}} : view<{1}, 1>
%w = view %y {{shape=[{0}], strides=[1]}} : view<{2}, 1>
%z = const {{value=0}} : i32
%t = load %v, %z : tile<{0}x{1}>
%c = cast %t : tile<{0}x{2}>
store %w, %z, %c
%one = const {{value=1}} : i32
%s = load %v, %one : {1}
%d = cast %s : {2}
store %w, %one, %d)",
                                 n, from, to),
                     {{*find_dtype(from), numbers}, {*find_dtype(to), zeros(n)}},
                     {}});
    }
  return all;
}

// Lanes below a bound: all of them, some, none, and indices that wrap.
std::vector<Example> chosen_examples() {
  std::vector<Example> all;
  const char* const forms[] = {"%m = lt %i, %n : tile<3x100xi1>", "%m = le %i, %n : tile<3x100xi1>",
                               "%m = gt %n, %i : tile<3x100xi1>", "%m = ge %n, %i : tile<3x100xi1>",
                               "%m = lt %n, %i : tile<3x100xi1>"};
  int form = 0;
  for (const char* const compare : forms) {
    for (const auto& [first, bound] : {std::pair{0, 100},
                                       {0, 200},
                                       {0, 99},
                                       {0, 50},
                                       {0, 0},
                                       {0, -7},
                                       {60, 100},
                                       {-40, 3},
                                       {INT32_MAX - 50, INT32_MAX},
                                       {INT32_MIN, INT32_MIN + 70},
                                       {INT32_MIN + 5, INT32_MAX}}) {
      all.push_back({fmt::format("below_{}_{}", form, all.size()),
                     "%x: ptr<f32> {readonly}, %y: ptr<f32>, %z: ptr<f32>, %first: i32, %bound: i32",
                     fmt::format(R"(%v = view %x {{shape=[3, 100], strides=[100, 1]}} : view<f32, 2>
%w = view %y {{shape=[3, 100], strides=[100, 1]}} : view<f32, 2>
%u = view %z {{shape=[3], strides=[1]}} : view<f32, 1>
%o = const {{value=0}} : i32
%t = load %v, %o, %o : tile<3x100xf32>
%r = range {{start=3}} : tile<100xi32>
%three = const {{value=-3}} : tile<100xi32>
%r0 = add %r, %three : tile<100xi32>
%f = full %first : tile<100xi32>
%i1 = add %f, %r0 : tile<100xi32>
%i2 = expand %i1 {{axis=0}} : tile<1x100xi32>
%i = broadcast %i2 : tile<3x100xi32>
%rows = range : tile<3xi32>
%b = full %bound : tile<3xi32>
%n1 = sub %b, %rows : tile<3xi32>
%n2 = expand %n1 {{axis=1}} : tile<3x1xi32>
%n = broadcast %n2 : tile<3x100xi32>
{}
%none = const {{value=0.5}} : tile<3x100xf32>
%c = select %m, %t, %none : tile<3x100xf32>
%s = reduce %c {{axis=1, op=max}} : tile<3xf32>
store %w, %o, %o, %c
store %u, %o, %s)",
                                 compare),
                     {{DType::f32, count_up(300, -20)}, {DType::f32, zeros(300)}, {DType::f32, zeros(3)}},
                     {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(bound)}});
    }
    ++form;
  }
  return all;
}

// The least and the greatest of rows with NaN, infinities and both zeros, wherever they stand. Which NaN comes out is
// open, so only whether it is one.
std::vector<Example> extreme_examples() {
  std::vector<Example> all;
  constexpr int rows = 40, columns = 70;
  std::vector<double> numbers;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      double number = row % 5 == 0 ? (column % 3 == 0 ? -0.0 : 0.0) : (row * 37 + column * 11) % 23 - 30.0;
      if (row % 5 == 2) number = -number;
      if (row % 4 == 1 && column == row) number = std::nan("");
      if (row % 8 == 1 && column == 69) number = -std::nan("");
      if (row % 7 == 3 && column == row + 20) number = row % 2 == 0 ? HUGE_VAL : -HUGE_VAL;
      if (row == 38) number = std::nan("");
      if (row == 39) number = column % 2 == 0 ? -HUGE_VAL : HUGE_VAL;
      numbers.push_back(number);
    }
  for (const char* const dtype : {"f32", "f64", "bf16"})
    for (const char* const how : {"min", "max"})
      for (const char* const nan : {"propagate", "ignore"})
        for (const int axis : {0, 1}) {
          const int count = axis == 0 ? columns : rows;
          all.push_back({fmt::format("{}_{}_{}_{}", dtype, how, nan, axis),
                         fmt::format("%x: ptr<{0}> {{readonly}}, %y: ptr<{0}>, %z: ptr<u8>", dtype),
                         fmt::format(R"(%v = view %x {{shape=[{0}, {1}], strides=[{1}, 1]}} : view<{2}, 2>
%w = view %y {{shape=[{3}], strides=[1]}} : view<{2}, 1>
%u = view %z {{shape=[{3}], strides=[1]}} : view<u8, 1>
%o = const {{value=0}} : i32
%t = load %v, %o, %o : tile<{0}x{1}x{2}>
%s = reduce %t {{axis={4}, op={5}, nan={6}}} : tile<{3}x{2}>
%m = isnan %s : tile<{3}xi1>
%b = cast %m : tile<{3}xu8>
%none = const {{value=0.0}} : tile<{3}x{2}>
%c = select %m, %none, %s : tile<{3}x{2}>
store %w, %o, %c
store %u, %o, %b)",
                                     rows, columns, dtype, count, axis, how, nan),
                         {{*find_dtype(dtype), numbers},
                          {*find_dtype(dtype), zeros(static_cast<std::size_t>(count))},
                          {DType::u8, zeros(static_cast<std::size_t>(count))}},
                         {}});
        }
  return all;
}

}  // namespace

TEST_CASE("each operation on tiles does in C++ what the interpreter does") { check_on_all_targets(tile_examples()); }

TEST_CASE("casts do in C++ what the interpreter does") { check_examples(cast_examples()); }

TEST_CASE("lanes below a bound are in C++ what they are for the interpreter") {
  check_on_all_targets(chosen_examples());
}

TEST_CASE("the least and the greatest are in C++ what they are for the interpreter") {
  check_on_all_targets(extreme_examples());
}
