// What the SIMT lowering refuses, and what its text says. That the text computes the right thing is tests/lowering.
#include <doctest/doctest.h>

#include "compiler/lower.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

Lowered lowered(const std::string& body, const std::string& target = "opencl-c", const std::string& arguments = "") {
  return lower(load(fmt::format("flagos.tile 1.0\nkernel @k({}) {{\n{}}}\n", arguments, body)), parse_target(target));
}

std::string refused(const std::string& body, const std::string& target = "opencl-c",
                    const std::string& arguments = "") {
  try {
    lowered(body, target, arguments);
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_UNSUPPORTED);
    return error.what();
  }
  return "";
}

const std::string kMatrix =
    "%v = view %x {shape=[64, 64], strides=[64, 1]} : view<f32, 2>\n%z = const {value=0} : i32\n%a = load %v, %z, %z : "
    "tile<64x64xf32>\n%t = trans %a {perm=[1, 0]} : tile<64x64xf32>\nstore %v, %z, %z, %t\n";

}  // namespace

TEST_CASE("simt: what a target lacks is said with its place") {
  CHECK(refused(kMatrix, "opencl-c;local=8192", "%x: ptr<f32>") ==
        "line 6, column 1: trans: it needs 16384 bytes of local memory, and the target has 8192; smaller tiles need "
        "less");
  CHECK(refused(kMatrix, "opencl-c;local=16384", "%x: ptr<f32>") == "");
  const std::string wide = "%a = cast %n : f64\n%b = mul %a, %a : f64\n%c = cast %b : f32\nprint %c {message=\"c\"}\n";
  CHECK(refused(wide, "opencl-c;no=f64", "%n: i32") == "line 3, column 1: cast: the target has no f64");
  CHECK(refused(wide, "opencl-c;no=print", "%n: i32") == "line 6, column 1: print: the target has no way to print");
  CHECK(refused(wide, "glsl", "%n: i32") ==
        "line 6, column 1: print: shaders print through validation layers only; print on a device of cpu, opencl or "
        "cuda-c instead");
  const std::string atomic =
      "%v = view %x {shape=[4], strides=[1]} : view<i64, 1>\n%z = const {value=0} : i32\n%o = const {value=1} : "
      "i64\n%a = "
      "atomic_rmw %v, %z, %o {op=add} : i64\n";
  CHECK(refused(atomic, "opencl-c;no=atomic64", "%x: ptr<i64>") ==
        "line 6, column 1: atomic_rmw: the target has no atomics of 64 bits");
}

TEST_CASE("simt: values are printed as their types are, by one thread or by those that have them") {
  const std::string body =
      "%r = range : tile<64xi32>\n%h = cast %r : tile<64xf16>\n%w = cast %n : u64\n"
      "print %h, %w {message=\"100% \\\"of\\\" it\"}\nprint {message=\"here\"}\n";
  const std::string program = ", (int)group_id(0), (int)group_id(1), (int)group_id(2)";
  const std::string cuda = lowered(body, "cuda-c", "%n: i32").source;
  const std::string opencl = lowered(body, "opencl-c", "%n: i32").source;
  CHECK(cuda.find("if (e < 32u) printf(\"program (%d, %d, %d): 100%% \\\"of\\\" it [%d] = %.9g") != std::string::npos);
  CHECK(cuda.find(" it %llu") != std::string::npos);
  CHECK(cuda.find(program + ", (unsigned long long)(") != std::string::npos);
  CHECK(opencl.find(" it %lu") != std::string::npos);
  CHECK(opencl.find(program + ", (unsigned long)(") != std::string::npos);
  CHECK(opencl.find("if (t == 0u) printf(\"program (%d, %d, %d): here") != std::string::npos);
}

TEST_CASE("simt: GLSL takes our functions of f64, and CUDA C++ does not contract what is strict") {
  const std::string body =
      "%v = view %x {shape=[8], strides=[1]} : view<f64, 1>\n%z = const {value=0} : i32\n%a = load %v, %z : "
      "tile<8xf64>\n%e = "
      "exp %a : tile<8xf64>\n%m = mul %e, %a {strict} : tile<8xf64>\nstore %v, %z, %m\n";
  CHECK(lowered(body, "glsl", "%x: ptr<f64>").source.find("FN f64 fl_exp_f64(f64 x) {") != std::string::npos);
  CHECK(lowered(body, "opencl-c", "%x: ptr<f64>").source.find("fl_exp_f64") == std::string::npos);
  CHECK(lowered(body, "cuda-c", "%x: ptr<f64>").source.find("= strict_mul_f64(") != std::string::npos);
}

TEST_CASE("simt: the launch record") {
  const auto text = [](const std::string& hints) {
    return fmt::format(
        "flagos.tile 1.0\nkernel @one(%n: i32) {}{{\n%c = gt %n, %n : i1\nassert %c {{message=\"n\"}}\n}}\n"
        "kernel @two() {{\n}}\n",
        hints);
  };
  const Lowered plain = lower(load(text("")), parse_target("opencl-c;threads=64"));
  REQUIRE(plain.kernels.size() == 2);
  CHECK(plain.kernels[0].kernel == "tile_one");  // no word and no function of OpenCL C
  CHECK(plain.source.find(" void tile_one(") != std::string::npos);
  CHECK(plain.kernels[0].threads == 64);
  CHECK(plain.kernels[0].fails);
  CHECK(plain.kernels[0].shared_bytes == 0);
  CHECK_FALSE(plain.kernels[1].fails);
  CHECK(plain.source.find("__global int* flagos_failure") != std::string::npos);
  // A hint asks for fewer threads than there may be, never for more.
  CHECK(lower(load(text("hints(hint.simt.threads=32) ")), parse_target("opencl-c;threads=64")).kernels[0].threads ==
        32);
  CHECK(lower(load(text("hints(hint.simt.threads=256) ")), parse_target("opencl-c;threads=64")).kernels[0].threads ==
        64);
}

TEST_CASE("simt: the text names the author's lines, and loads no memory for constants") {
  const std::string module =
      "flagos.tile 1.0\nkernel @k(%x: ptr<f32>) {\n%v = view %x {shape=[300], strides=[1]} : view<f32, 1>\n%z = const "
      "{value=0} : i32\n%c = const {value=1.5} : tile<300xf32>\nstore %v, %z, %c\n}\nlocations\nfile \"fill.cpp\"\nat "
      "@k "
      "0:11 0:12 0:13 0:14\n";
  const std::string source = lower(load(module), parse_target("opencl-c")).source;
  CHECK(source.find("#line 14 \"fill.cpp\"") != std::string::npos);
  CHECK(source.find("__local u32 L[") == std::string::npos);
  CHECK(source.find("barrier(") < source.find("__kernel"));
  CHECK(source.find("LOCAL_BARRIER", source.find("__kernel")) == std::string::npos);
}

TEST_CASE("simt: a group of one has no barriers") {
  const Lowered serial = lowered(kMatrix, "opencl-c;threads=1", "%x: ptr<f32>");
  CHECK(serial.kernels[0].threads == 1);
  CHECK(serial.source.find("reqd_work_group_size(1, 1, 1)") != std::string::npos);
  CHECK(serial.source.find("LOCAL_BARRIER;", serial.source.find("__kernel")) == std::string::npos);
}

TEST_CASE("simt: the same module gives the same text") {
  CHECK(lowered(kMatrix, "opencl-c", "%x: ptr<f32>").source == lowered(kMatrix, "opencl-c", "%x: ptr<f32>").source);
}

namespace {

// One round of a loop is a product of two tiles that are loaded for it.
std::string product(const std::string& target, const std::string& dtype = "bf16", const std::string& attributes = "") {
  const std::string sum = dtype == "i8" || dtype == "u8" ? "i32" : "f32";
  const std::string view = "{shape=[?, ?], strides=[?, 1]} : view<" + dtype + ", 2>\n";
  const std::string body = "%v = view %a, %n, %n, %n " + view + "%w = view %b, %n, %n, %n " + view +
                           "%u = view %c, %n, %n, %n " + "{shape=[?, ?], strides=[?, 1]} : view<" + sum +
                           ", 2>\n%z = const {value=0} : i32\n%k = const {value=32} : i32\n%o = "
                           "const {value=0} : tile<64x64x" +
                           sum + ">\n%r = for %z, %n, %k, %o : tile<64x64x" + sum +
                           "> do (%i: i32, %s: "
                           "tile<64x64x" +
                           sum + ">) {\n%x = load %v, %z, %i : tile<64x32x" + dtype +
                           ">\n%y = load %w, %i, %z : tile<32x64x" + dtype + ">\n%d = dot %x, %y, %s " + attributes +
                           ": tile<64x64x" + sum + ">\nyield %d\n}\nstore %u, %z, %z, %r\n";
  return lowered(body, target,
                 "%a: ptr<" + dtype + "> {readonly}, %b: ptr<" + dtype + "> {readonly}, %c: ptr<" + sum + ">, %n: i32")
      .source;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("simt: tensor cores multiply where the target has them and the product allows it") {
  const std::string text = product("cuda-c;isa=sm_80;local=49152");
  CHECK(text.find("m16n8k16.row.col.f32.bf16.bf16.f32") != std::string::npos);
  // Two pieces of each pair, in one loop over pairs.
  CHECK(count_of(text, "tc_mma_bf16(r") == 2);
  CHECK(text.find("tc_load4(x[i]") != std::string::npos);
  CHECK(text.find("tc_load4_trans(y") != std::string::npos);
  CHECK(product("cuda-c;isa=sm_90a", "f16").find("tc_mma_f16(r") != std::string::npos);
  for (const char* target : {"cuda-c", "cuda-c;isa=sm_75", "cuda-c;isa=sm_80;threads=16", "opencl-c", "glsl"})
    CHECK(product(target).find("tc_") == std::string::npos);
  CHECK(product("cuda-c;isa=sm_80", "f32").find("tc_") == std::string::npos);
  CHECK(product("cuda-c;isa=sm_80", "bf16", "{strict} ").find("tc_") == std::string::npos);
}

TEST_CASE("simt: tensor cores take f32 where fewer digits will do, bytes as they are, and f8 by what the target has") {
  const auto takes = [](const char* target, const char* dtype, const char* attributes, const char* piece) {
    CAPTURE(target);
    CAPTURE(dtype);
    CHECK(count_of(product(target, dtype, attributes), std::string("tc_mma_") + piece + "(r") == 2);
  };
  const char* const reduced = "{precision=reduced} ";
  takes("cuda-c;isa=sm_80", "f32", reduced, "tf32");
  CHECK(product("cuda-c;isa=sm_80", "f32", reduced).find("y[j] = tc_tf32(y[j]);") != std::string::npos);
  takes("cuda-c;isa=sm_80", "i8", "", "s8");
  takes("cuda-c;isa=sm_80", "u8", "", "u8");
  // Sums of their own keep fewer digits than f32 has; as halves they are exact.
  takes("cuda-c;isa=sm_90", "f8e4m3", "", "f16");
  takes("cuda-c;isa=sm_80", "f8e4m3", reduced, "f16");
  takes("cuda-c;isa=sm_90;no=mma_f8", "f8e5m2", reduced, "f16");
  takes("cuda-c;isa=sm_89", "f8e4m3", reduced, "e4m3");
  takes("cuda-c;isa=sm_90", "f8e5m2", reduced, "e5m2");
  // An old compiler does not get to see what it does not know.
  CHECK(product("cuda-c;isa=sm_80", "f8e4m3", reduced).find("e4m3.e4m3") == std::string::npos);
}

TEST_CASE("simt: a factor that a loop does not change is stored once, before it") {
  const auto text = [](const char* target) {
    return lower(
               parse("flagos.tile 1.0\nkernel @k(%a: ptr<bf16> {readonly}, %b: ptr<bf16> {readonly}, %c: ptr<f32>) {\n"
                     "%z = const {value=0} : i32\n%n = const {value=8} : i32\n%s = const {value=1} : i32\n"
                     "%va = view %a {shape=[64, 32], strides=[32, 1]} : view<bf16, 2>\n"
                     "%vb = view %b {shape=[32, 64], strides=[64, 1]} : view<bf16, 2>\n"
                     "%vc = view %c {shape=[64, 64], strides=[64, 1]} : view<f32, 2>\n"
                     "%q = load %va, %z, %z : tile<64x32xbf16>\n%start = const {value=0} : tile<64x64xf32>\n"
                     "%sum = for %z, %n, %s, %start : tile<64x64xf32> do (%i: i32, %acc: tile<64x64xf32>) {\n"
                     "%t = load %vb, %i, %z : tile<32x64xbf16>\n%d = dot %q, %t, %acc : tile<64x64xf32>\nyield %d\n}\n"
                     "store %vc, %z, %z, %sum\n}\n"),
               parse_target(target))
        .source;
  };
  // Of the loop around the rounds.
  const auto place = [](const std::string& source, const char* what) { return source.find(what); };
  const std::string roomy = text("cuda-c;isa=sm_80;local=49152");
  CHECK(place(roomy, "e % 32u] = (unsigned short)") < place(roomy, "tc_copy16(to, p"));
  // The store, what its barrier waits for, the copies ahead of the loop.
  CHECK(count_of(roomy, "e % 32u] = (unsigned short)") == 1);
}

TEST_CASE("simt: the factors of the next round are copied while this one is multiplied, if there is room for both") {
  // 2 stages of 64 rows of 40 halves, and of 32 rows of 72: two copies before the loop, two in it.
  const std::string ahead = product("cuda-c;isa=sm_80;local=19456");
  CHECK(ahead.find("u32 L[4864];") != std::string::npos);
  CHECK(count_of(ahead, ") tc_copy16(to, p") == 4);
  CHECK(count_of(ahead, "tc_wait_but<0>();\nLOCAL_BARRIER;\n") == 1);
  // With half as much again those of the next two rounds.
  const std::string further = product("cuda-c;isa=sm_80;local=29184");
  CHECK(further.find("u32 L[7296];") != std::string::npos);
  CHECK(count_of(further, ") tc_copy16(to, p") == 6);
  CHECK(count_of(further, "tc_wait_but<1>();\nLOCAL_BARRIER;\n") == 1);
  const std::string behind = product("cuda-c;isa=sm_80;local=19455");
  CHECK(behind.find("u32 L[2432];") != std::string::npos);
  CHECK(count_of(behind, ") tc_copy16(to, p") == 2);
  // Without room for one stage the scalar product, which needs more, is what says so.
  CHECK_THROWS_WITH(product("cuda-c;isa=sm_80;local=9727"), doctest::Contains("bytes of local memory"));
}

TEST_CASE("simt: a thread sums a block of a product, and reads each number once for it") {
  // 64 x 64 by 64 threads: 8 x 8 each.
  const std::string text = product("opencl-c;threads=64", "f32");
  CHECK(text.find("f32 x[8], y[8];") != std::string::npos);
  CHECK(text.find("[i * 8u + n] + x[i] * y[n];") != std::string::npos);
  CHECK(product("opencl-c;threads=64", "f32", "{strict} ").find("strict_mul_f32(x[i], y[n])") != std::string::npos);
  // Nothing to share: 4096 elements are no multiple of the threads.
  CHECK(product("opencl-c;threads=60", "f32").find("f32 x[") == std::string::npos);
}
