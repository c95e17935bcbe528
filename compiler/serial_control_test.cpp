// Products, loops and branches, as C++.
#include <doctest/doctest.h>

#include <limits>

#include "compiler/serial_examples.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

// Small whole numbers, so that every order of adding gives the same.
std::vector<Example> product_examples() {
  std::vector<Example> all;
  std::vector<double> numbers;
  for (int i = 0; i < 64 * 64; ++i) numbers.push_back((i * 7 + i / 64 * 5) % 9 - 4);
  for (const char* dtype : {"bf16", "f32", "f16", "f64", "i8"}) {
    const std::string to = std::string(dtype) == "f64" ? "f64" : dtype[0] == 'i' ? "i32" : "f32";
    for (const auto& [m, n, k] :
         {std::array{40, 50, 33}, std::array{64, 64, 64}, std::array{17, 33, 20}, std::array{1, 35, 47}}) {
      if (m != 40 && m != 64 && std::string(dtype) != "bf16") continue;
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
  // The first factor along its columns as well.
  for (std::size_t i = 0, count = all.size(); i < count; ++i) {
    all.push_back(all[i]);
    all.back().name += "_a";
    std::string& body = all.back().body;
    const auto replace = [&](const std::string& from, const std::string& to) {
      body.replace(body.find(from), from.size(), to);
    };
    replace("%va = view %x {shape=[37, 60], strides=[62, 1]}", "%va = view %x {shape=[60, 37], strides=[40, 1]}");
    const std::size_t at = body.find("%a = load"), end = body.find('\n', at);
    const std::string load = body.substr(at, end - at), type = load.substr(load.find("tile<"));
    const std::size_t cross = type.find('x'), second = type.find('x', cross + 1);
    const std::string m = type.substr(5, cross - 5), k = type.substr(cross + 1, second - cross - 1);
    replace(load, fmt::format("%at = load %va, %z, %z : tile<{}x{}{}\n%a = trans %at {{perm=[1, 0]}} : {}", k, m,
                              type.substr(second), type));
  }
  // Infinity times the 0 of what lies outside of a view is NaN: in a row and a column of the result, and in a column since
  // the last row of b has one, which a does not reach.
  for (std::size_t i = 0, count = all.size(); i < count; ++i) {
    if (!all[i].name.starts_with("product_f") && !all[i].name.starts_with("product_bf16")) continue;
    if (all[i].name.find("_64_64_64") == std::string::npos) continue;
    all.push_back(all[i]);
    all.back().name += "_infinite";
    for (const std::size_t at : {5, 60 * 62 + 3})
      all.back().buffers[0].numbers[at] = std::numeric_limits<double>::infinity();
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

TEST_CASE("products do in C++ what the interpreter does") { check_examples(product_examples(), "-O2"); }

TEST_CASE("loops and branches do in C++ what the interpreter does") { check_examples(control_examples()); }
