// Views and what goes through them, as C++.
#include <doctest/doctest.h>

#include "compiler/serial_examples.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

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

}  // namespace

TEST_CASE("each operation on memory does in C++ what the interpreter does") { check_examples(memory_examples()); }
