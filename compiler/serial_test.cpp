// What random modules do not have: each operation on memory and across a tile, regions, control flow and failures,
// lowered to C++, compiled and compared with the interpreter bit for bit.
#include <doctest/doctest.h>
#include <flagos_cpu_kernel.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "compiler/child_compiler.hpp"
#include "compiler/print_gnu_cxx.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

struct Buffer {
  DType dtype;
  std::vector<double> numbers;
};

// One kernel on its own copies of the buffers, by both; every byte is compared.
struct Example {
  std::string name;
  std::string arguments;
  std::string body;
  std::vector<Buffer> buffers;
  std::vector<std::uint64_t> scalars;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
};

std::vector<double> count_up(std::size_t count, double start = 0, double step = 1) {
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = start + step * static_cast<double>(i);
  return numbers;
}

std::vector<double> zeros(std::size_t count) { return std::vector<double>(count, 0.0); }

struct Made {
  std::vector<std::vector<std::byte>> memory;
  std::vector<ArgumentValue> arguments;
};

Made make(const Example& example) {
  Made made;
  for (const Buffer& buffer : example.buffers)
    made.memory.push_back(pack({fmt::format("tile<{}x{}>", buffer.numbers.size(), info(buffer.dtype).name),
                                bits_of(buffer.dtype, buffer.numbers)}));
  for (std::vector<std::byte>& bytes : made.memory)
    made.arguments.push_back({reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size()});
  for (const std::uint64_t scalar : example.scalars) made.arguments.push_back({scalar, 0});
  return made;
}

void check_all(const std::vector<Example>& examples, const std::string& target, const std::string& optimize = "-O1") {
  CAPTURE(target);
  std::string text = "flagos.tile 1.0\n";
  for (const Example& example : examples)
    text += fmt::format("kernel @{}({}) {{\n{}\n}}\n", example.name, example.arguments, example.body);
  const Module module = load(text);
  const Lowered lowered = lower(module, parse_target(target));
  REQUIRE(lowered.kernels.size() == examples.size());
  const ChildLibrary library(lowered, {optimize});
  for (std::size_t i = 0; i < examples.size(); ++i) {
    CAPTURE(examples[i].name);
    Made wanted = make(examples[i]), got = make(examples[i]);
    Launch launch;
    launch.grid = examples[i].grid;
    launch.arguments = wanted.arguments;
    interpret(module, module.kernels[i], launch);
    CHECK(lowered.kernels[i].kernel == examples[i].name);
    CHECK(library.run(examples[i].name, examples[i].grid, module, got.arguments) == "");
    for (std::size_t b = 0; b < wanted.memory.size(); ++b) {
      CAPTURE(b);
      const Words w = unpack(wanted.memory[b], examples[i].buffers[b].dtype),
                  g = unpack(got.memory[b], examples[i].buffers[b].dtype);
      CHECK(g == w);
    }
  }
}

const Buffer kFloats{DType::f32, {3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, -8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4}};

std::vector<Example> memory_examples() {
  std::vector<Example> all;
  all.push_back({"edges",
                 "%x: ptr<f32> {readonly}, %y: ptr<f32>",
                 R"(%v = view %x {shape=[4, 5], strides=[6, 1]} : view<f32, 2>
%w = view %y {shape=[6, 9], strides=[1, 6]} : view<f32, 2>
%a = const {value=-1} : i32
%b = const {value=-2} : i64
%t = load %v, %a, %b {pad=7.5} : tile<6x9xf32>
%z = const {value=0} : i32
store %w, %z, %z, %t)",
                 {kFloats, {DType::f32, zeros(54)}},
                 {}});
  all.push_back({"dynamic",
                 "%x: ptr<f16> {readonly}, %y: ptr<f16>, %n: i32, %s: i64",
                 R"(%v = view %x, %n, %s {shape=[?], strides=[?]} : view<f16, 1>
%w = view %y, %n {shape=[?], strides=[1]} : view<f16, 1>
%p = program_id {axis=0} : i32
%e = const {value=8} : i32
%o = mul %p, %e : i32
%t = load %v, %o {pad=1.5} : tile<8xf16>
%u = add %t, %t : tile<8xf16>
store %w, %o, %u)",
                 {{DType::f16, count_up(64, -9, 0.25)}, {DType::f16, zeros(32)}},
                 {21, 3},
                 {4, 1, 1}});
  // Rows and columns are counted in names that no type has.
  all.push_back({"truth_in_rows",
                 "%x: ptr<f32> {readonly}, %y: ptr<u8>, %s: i64",
                 R"(%v = view %x {shape=[4, 6], strides=[6, 1]} : view<f32, 2>
%w = view %y, %s {shape=[4, 6], strides=[12, ?]} : view<u8, 2>
%z = const {value=0} : i32
%t = load %v, %z, %z : tile<4x6xf32>
%u = isnan %t : tile<4x6xi1>
%n = not %u : tile<4x6xi1>
%c = cast %n : tile<4x6xu8>
store %w, %z, %z, %c)",
                 {kFloats, {DType::u8, zeros(48)}},
                 {2}});
  all.push_back({"far_away",
                 "%x: ptr<i32> {readonly}, %y: ptr<i32>",
                 R"(%v = view %x {shape=[8], strides=[1]} : view<i32, 1>
%w = view %y {shape=[16], strides=[1]} : view<i32, 1>
%a = const {value=9223372036854775807} : i64
%b = const {value=-9223372036854775807} : i64
%z = const {value=0} : i32
%e = const {value=8} : i32
%t = load %v, %a {pad=-1} : tile<8xi32>
%u = load %v, %b {pad=-2} : tile<8xi32>
store %w, %z, %t
store %w, %e, %u
store %w, %a, %u
store %w, %b, %u)",
                 {{DType::i32, count_up(8)}, {DType::i32, zeros(16)}},
                 {}});
  all.push_back({"gather_scatter",
                 "%x: ptr<f32> {readonly}, %i: ptr<i32> {readonly}, %y: ptr<f32>",
                 R"(%v = view %x {shape=[4, 6], strides=[6, 1]} : view<f32, 2>
%vi = view %i {shape=[20], strides=[1]} : view<i32, 1>
%w = view %y {shape=[24], strides=[1]} : view<f32, 1>
%z = const {value=0} : i32
%t = load %vi, %z : tile<20xi32>
%six = const {value=6} : tile<20xi32>
%r = div %t, %six {mode=floor} : tile<20xi32>
%c = rem %t, %six {mode=floor} : tile<20xi32>
%three = const {value=3} : tile<20xi32>
%m = ne %c, %three : tile<20xi1>
%g = gather %v, %r, %c, %m {pad=-0.5} : tile<20xf32>
%two = const {value=2.0} : tile<20xf32>
%d = mul %g, %two : tile<20xf32>
scatter %w, %t, %d, %m
%one = const {value=1} : i32
%true = const {value=true} : i1
%e = gather %v, %one, %one, %true : f32
scatter %w, %z, %e)",
                 {kFloats,
                  {DType::i32, {0, 5, -1, 23, 24, 7, 7, 8, 9, 10, 3, 2, 1, 100, -100, 20, 19, 7, 4, 6}},
                  {DType::f32, zeros(24)}},
                 {}});
  for (const char* dtype : {"i32", "u64", "f32", "f16", "bf16", "f64"}) {
    std::string body = fmt::format(R"(%v = view %x {{shape=[6], strides=[1]}} : view<{0}, 1>
%vi = view %i {{shape=[10], strides=[1]}} : view<i32, 1>
%w = view %y {{shape=[16], strides=[1]}} : view<{0}, 1>
%z = const {{value=0}} : i32
%t = load %vi, %z : tile<10xi32>
%a = cast %t : tile<10x{0}>
)",
                                   dtype);
    int next = 0;
    for (const char* op : {"add", "max", "min"}) {
      body += fmt::format("%r{1} = atomic_rmw %v, %t, %a {{op={0}}} : tile<10x{2}>\nstore %w, %z, %r{1}\n", op, next,
                          dtype);
      ++next;
    }
    body += fmt::format("%one = const {{value=1}} : i32\n%s = const {{value=3}} : i32\n%sc = cast %s : {0}\n", dtype);
    body += fmt::format("%q = atomic_rmw %v, %one, %sc {{op=add, order=acq_rel}} : {0}\nstore %w, %s, %q\n", dtype);
    const DType of = *find_dtype(dtype);
    all.push_back({fmt::format("atomics_{}", dtype),
                   fmt::format("%x: ptr<{0}>, %i: ptr<i32> {{readonly}}, %y: ptr<{0}>", dtype),
                   body,
                   {{of, count_up(6, 1)}, {DType::i32, {0, 1, 1, 5, 6, 2, 2, 2, 3, 0}}, {of, zeros(16)}},
                   {}});
  }
  all.push_back({"exchange",
                 "%x: ptr<i64>, %y: ptr<i64>",
                 R"(%v = view %x {shape=[6], strides=[1]} : view<i64, 1>
%w = view %y {shape=[32], strides=[1]} : view<i64, 1>
%z = const {value=0} : i32
%i = range : tile<8xi32>
%n = const {value=77} : tile<8xi64>
%e = const {value=3} : tile<8xi64>
%m = const {value=true} : tile<8xi1>
%old = atomic_cas %v, %i, %e, %n, %m : tile<8xi64>
store %w, %z, %old
%eight = const {value=8} : i32
%more = atomic_rmw %v, %i, %e {op=exchange} : tile<8xi64>
store %w, %eight, %more
%k = atomic_rmw %v, %i, %n {op=xor} : tile<8xi64>
%at = const {value=16} : i32
store %w, %at, %k)",
                 {{DType::i64, count_up(6, 1)}, {DType::i64, zeros(32)}},
                 {}});
  all.push_back({"in_order",
                 "%x: ptr<f32>, %y: ptr<f32>",
                 R"(%v = view %x {shape=[24], strides=[1]} : view<f32, 1>
%w = view %y {shape=[24], strides=[1]} : view<f32, 1>
%z = const {value=0} : i32
%one = const {value=1} : i32
%a = load %v, %z : tile<20xf32>
%b = load %v, %one : tile<20xf32>
%s = add %a, %b : tile<20xf32>
store %v, %one, %s
%c = load %v, %z : tile<20xf32>
store %w, %z, %c
store %v, %z, %a
%last = load %v, %one : f32
store %w, %z, %last)",
                 {kFloats, {DType::f32, zeros(24)}},
                 {}});
  return all;
}

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

// Small whole numbers, so that every order of adding gives the same.
std::vector<Example> product_examples() {
  std::vector<Example> all;
  std::vector<double> numbers;
  for (int i = 0; i < 64 * 64; ++i) numbers.push_back((i * 7 + i / 64 * 5) % 9 - 4);
  for (const char* dtype : {"bf16", "f32", "f16", "f64", "i8"}) {
    const std::string to = std::string(dtype) == "f64" ? "f64" : dtype[0] == 'i' ? "i32" : "f32";
    for (const auto& [m, n, k] :
         {std::array{40, 50, 33}, std::array{64, 64, 64}, std::array{17, 33, 20}, std::array{1, 35, 47}}) {
      if (m != 40 && std::string(dtype) != "bf16") continue;
      for (const bool transposed : {false, true}) {
        // The blocks reach over the edges of their views.
        all.push_back({fmt::format("product_{}_{}_{}_{}{}", dtype, m, n, k, transposed ? "_t" : ""),
                       fmt::format("%x: ptr<{0}> {{readonly}}, %y: ptr<{1}>", dtype, to),
                       fmt::format(R"(%va = view %x {{shape=[37, 60], strides=[62, 1]}} : view<{0}, 2>
%vb = view %x {{shape=[61, 48], strides=[{4}]}} : view<{0}, 2>
%w = view %y {{shape=[{1}, {2}], strides=[{2}, 1]}} : view<{5}, 2>
%z = const {{value=0}} : i32
%a = load %va, %z, %z : tile<{1}x{3}x{0}>
{6}
%c0 = range : tile<{7}xi32>
%c1 = reshape %c0 : tile<{1}x{2}xi32>
%c2 = cast %c1 : tile<{1}x{2}x{5}>
%d = dot %a, %b, %c2 : tile<{1}x{2}x{5}>
%e = dot %a, %b, %d : tile<{1}x{2}x{5}>
store %w, %z, %z, %e)",
                                   dtype, m, n, k, transposed ? "1, 62" : "62, 1", to,
                                   transposed ? fmt::format("%bt = load %vt, %z, %z : tile<{0}x{1}x{2}>\n%b = trans "
                                                            "%bt {{perm=[1, 0]}} : tile<{1}x{0}x{2}>",
                                                            n, k, dtype)
                                              : fmt::format("%b = load %vb, %z, %z : tile<{}x{}x{}>", k, n, dtype),
                                   m * n),
                       {{*find_dtype(dtype), numbers}, {*find_dtype(to), zeros(static_cast<std::size_t>(m * n))}},
                       {}});
        if (transposed) {
          std::string& body = all.back().body;
          const std::string from = "%vb = view %x {shape=[61, 48], strides=[1, 62]}";
          body.replace(body.find(from), from.size(), "%vt = view %x {shape=[48, 61], strides=[62, 1]}");
        }
      }
    }
  }
  return all;
}

std::vector<Example> control_examples() {
  std::vector<Example> all;
  const std::string head = R"(%v = view %x {shape=[24], strides=[1]} : view<f32, 1>
%w = view %y {shape=[24], strides=[1]} : view<f32, 1>
%z = const {value=0} : i32
%t = load %v, %z : tile<20xf32>
)";
  const std::string arguments = "%x: ptr<f32> {readonly}, %y: ptr<f32>, %n: i32";
  const std::vector<Buffer> buffers = {kFloats, {DType::f32, zeros(24)}};
  for (const std::uint64_t n : {0U, 1U, 5U, 0x80000000U}) {
    all.push_back({fmt::format("swap_{}", n),
                   arguments,
                   head + R"(%u = const {value=1.0} : tile<20xf32>
%s0 = const {value=0.5} : f32
%one = const {value=1} : i32
%a, %b, %c = for %z, %n, %one, %t, %u, %s0 : tile<20xf32>, tile<20xf32>, f32 do (%i: i32, %p: tile<20xf32>, %q: tile<20xf32>, %s: f32) {
%r = reduce %p {axis=0, op=max} : f32
%s1 = add %s, %r : f32
%e = full %s1 : tile<20xf32>
%g = add %q, %e : tile<20xf32>
yield %g, %p, %s1
}
%d = sub %a, %b : tile<20xf32>
store %w, %z, %d
store %w, %z, %c)",
                   buffers,
                   {n}});
    all.push_back({fmt::format("while_{}", n),
                   arguments,
                   head + R"(%one = const {value=1} : i32
%k, %a = while %n, %t : i32, tile<20xf32> test (%i: i32, %p: tile<20xf32>) {
%c = gt %i, %z : i1
yield %c
} do (%i2: i32, %p2: tile<20xf32>) {
%j = sub %i2, %one : i32
%odd = and %j, %one : i32
%is = eq %odd, %z : i1
%f = flip %p2 {axis=0} : tile<20xf32>
%m = if %is : tile<20xf32> then {
%h = add %f, %p2 : tile<20xf32>
yield %h
} else {
yield %f
}
yield %j, %m
}
store %w, %z, %a)",
                   buffers,
                   {n}});
    all.push_back({fmt::format("same_twice_{}", n),
                   arguments,
                   head + R"(%one = const {value=1} : i32
%a, %b = for %z, %n, %one, %t, %t : tile<20xf32>, tile<20xf32> do (%i: i32, %p: tile<20xf32>, %q: tile<20xf32>) {
%g = add %p, %q : tile<20xf32>
yield %g, %g
}
%d = mul %a, %b : tile<20xf32>
store %w, %z, %d)",
                   buffers,
                   {n}});
    all.push_back({fmt::format("sum_{}", n),
                   arguments,
                   head + R"(%one = const {value=1} : i32
%t16 = slice %t {start=[2]} : tile<16xf32>
%m = reshape %t16 : tile<4x4xf32>
%init = const {value=0.0} : tile<4x4xf32>
%a, %b = for %z, %n, %one, %init, %m : tile<4x4xf32>, tile<4x4xf32> do (%i: i32, %p: tile<4x4xf32>, %q: tile<4x4xf32>) {
%g = dot %m, %m, %p : tile<4x4xf32>
%half = const {value=0.5} : tile<4x4xf32>
%h = mul %q, %half : tile<4x4xf32>
%k = dot %m, %m, %h : tile<4x4xf32>
yield %g, %k
}
%d = sub %a, %b : tile<4x4xf32>
%e = reshape %d : tile<16xf32>
store %w, %z, %e)",
                   buffers,
                   {n}});
  }
  return all;
}

}  // namespace

TEST_CASE("each operation in C++ does what the interpreter does") {
  if (!has_child_compiler()) {
    MESSAGE("no C++ compiler is found: nothing is compared");
    return;
  }
  const std::string host = host_target();
  check_all(memory_examples(), host);
  check_all(tile_examples(), host);
  check_all(control_examples(), host);
  check_all(product_examples(), host, "-O2");
  check_all(cast_examples(), host);
  if (host != "gnu-c++") check_all(tile_examples(), "gnu-c++");
  if (host.find("v4") != std::string::npos) check_all(tile_examples(), "gnu-c++;isa=x86-64-v3");
}

TEST_CASE("a kernel in C++ prints what the interpreter prints") {
  if (!has_child_compiler()) return;
  const Module module = load(R"(flagos.tile 1.0
kernel @talks(%n: i32, %f: f32) {
%p = program_id {axis=0} : i32
%r = range {start=-2} : tile<40xi8>
%h = const {value=1.5} : tile<2x2xbf16>
%m = const {value=true} : i1
%d = cast %f : f64
print {message="begins"}
print %p, %n, %f, %d, %m {message="numbers:"}
print %r, %h {message="tiles"}
%u = cast %r : tile<40xu64>
print %u {message="wide"}
}
)");
  std::string wanted, printed;
  const std::vector<ArgumentValue> arguments = {{7, 0}, {0x3dcccccd, 0}};
  Launch launch;
  launch.grid = {2, 1, 1};
  launch.arguments = arguments;
  launch.report = [&](const Report& report) { wanted += report.text + "\n"; };
  interpret(module, module.kernels[0], launch);
  const ChildLibrary library(lower(module, parse_target("gnu-c++")));
  CHECK(library.run("talks", {2, 1, 1}, module, arguments, &printed) == "");
  CHECK(printed == wanted);
  CHECK(wanted.find("numbers: 1 7 0.1 ") != std::string::npos);
}

// The printed text repeats these structs itself.
TEST_CASE("the kernel's structs are those of flagos_cpu_kernel.h") {
  if (!has_child_compiler()) return;
  Lowered text;
  text.options = {"-std=gnu++17", "-fPIC", "-shared", "-nostdlib"};
  text.source = std::string(gnu_cxx::declarations());
  const auto same = [&](std::string_view type, std::string_view member, std::size_t offset, std::size_t size) {
    text.source += fmt::format("static_assert(__builtin_offsetof({0}, {1}) == {2} && sizeof((({0}*)0)->{1}) == {3});\n",
                               type, member, offset, size);
  };
  const auto whole = [&](std::string_view type, std::size_t size) {
    text.source += fmt::format("static_assert(sizeof({}) == {});\n", type, size);
  };
#define SAME(type, member) same(#type, #member, offsetof(type, member), sizeof(std::declval<type&>().member))
  SAME(flagos_parameter_t, dtype);
  SAME(flagos_parameter_t, size_bytes);
  SAME(flagos_parameter_t, alignment_bytes);
  SAME(flagos_parameter_t, offset_bytes);
  whole("flagos_parameter_t", sizeof(flagos_parameter_t));
  SAME(flagos_cpu_value_t, dtype);
  SAME(flagos_cpu_value_t, shown);
  SAME(flagos_cpu_value_t, count);
  SAME(flagos_cpu_value_t, data);
  whole("flagos_cpu_value_t", sizeof(flagos_cpu_value_t));
  SAME(flagos_cpu_block_t, struct_size);
  SAME(flagos_cpu_block_t, grid);
  SAME(flagos_cpu_block_t, block);
  SAME(flagos_cpu_block_t, block_index);
  SAME(flagos_cpu_block_t, shared_bytes);
  SAME(flagos_cpu_block_t, shared);
  SAME(flagos_cpu_block_t, fail);
  SAME(flagos_cpu_block_t, context);
  SAME(flagos_cpu_block_t, report);
  whole("flagos_cpu_block_t", sizeof(flagos_cpu_block_t));
  SAME(flagos_cpu_kernel_t, struct_size);
  SAME(flagos_cpu_kernel_t, abi_version);
  SAME(flagos_cpu_kernel_t, function);
  SAME(flagos_cpu_kernel_t, parameters);
  SAME(flagos_cpu_kernel_t, parameter_count);
  SAME(flagos_cpu_kernel_t, argument_bytes);
  SAME(flagos_cpu_kernel_t, static_shared_bytes);
  SAME(flagos_cpu_kernel_t, max_block_threads);
  whole("flagos_cpu_kernel_t", sizeof(flagos_cpu_kernel_t));
#undef SAME
  CHECK_NOTHROW(ChildLibrary{text});
}

TEST_CASE("an assert ends a kernel in C++ with the author's place") {
  if (!has_child_compiler()) return;
  const Module module = load(R"(flagos.tile 1.0
kernel @checked(%y: ptr<i32>, %n: i32) {
%w = view %y {shape=[4], strides=[1]} : view<i32, 1>
%p = program_id {axis=0} : i32
%c = lt %p, %n : i1
assert %c {message="too many?"}
%r = range : tile<8xi32>
%f = full %n : tile<8xi32>
%l = le %r, %f : tile<8xi1>
assert %l {message="element"}
store %w, %p, %p
}

locations
file "author.cpp"
at @checked
0:3 0:4 0:5 0:6 0:7 0:8 0:9 0:10 0:11
)");
  const Lowered lowered = lower(module, parse_target("gnu-c++"));
  CHECK(lowered.kernels[0].fails);
  CHECK(lowered.source.find("#line 11 \"author.cpp\"") != std::string::npos);
  const ChildLibrary library(lowered);
  std::vector<std::int32_t> y(4, -1);
  const auto run = [&](std::uint64_t n) {
    return library.run("checked", {4, 1, 1}, module, {{reinterpret_cast<std::uintptr_t>(y.data()), 16}, {n, 0}});
  };
  CHECK(run(7) == "");
  CHECK(y == std::vector<std::int32_t>{0, 1, 2, 3});
  CHECK(run(2) == "author.cpp:10: assert: element; element 3, program (0, 0, 0)");
  CHECK(run(0) == "author.cpp:6: assert: too many?; element 0, program (0, 0, 0)");
}
