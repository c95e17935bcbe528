// What the serial schedule says in OpenCL C, and what it refuses. That the text computes the right thing is tests/lowering.
#include "compiler/opencl_lanes.hpp"

#include <doctest/doctest.h>

#include <set>

#include "compiler/lower.hpp"
#include "compiler/random_module.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

const std::string kTarget = "opencl-c;schedule=serial";

Lowered lowered(const std::string& body, const std::string& target, const std::string& arguments) {
  return lower(load(fmt::format("flagos.tile 1.0\nkernel @k({}) {{\n{}}}\n", arguments, body)), parse_target(target));
}

std::string refused(const std::string& body, const std::string& target, const std::string& arguments) {
  try {
    lowered(body, target, arguments);
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_UNSUPPORTED);
    return error.what();
  }
  return "";
}

// Words of the text that begin with fl_: those that stand behind a type or end a typedef are made, the rest are used.
struct Names {
  std::set<std::string> made, used;
};
Names names_of(const std::string& source) {
  Names words;
  for (std::size_t at = 0; (at = source.find("fl_", at)) != std::string::npos;) {
    const std::size_t end = source.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    const std::string name = source.substr(at, end - at);
    const std::size_t line = source.rfind('\n', at) + 1;
    const std::string before = source.substr(line, at - line);
    const bool begins = !before.empty() && before[0] != ' ' && before[0] != '#';
    const bool first = begins && before.find("fl_") == std::string::npos && before.find('(') == std::string::npos;
    const bool type = before.starts_with("typedef struct");
    (first || type ? words.made : words.used).insert(name);
    at = end;
  }
  return words;
}

const std::string kRow =
    "%v = view %x {shape=[4096], strides=[1]} : view<f32, 1>\n%z = const {value=0} : i32\n%a = load %v, %z : "
    "tile<4096xf32>\n%e = exp %a : tile<4096xf32>\n%s = reduce %e {axis=0, op=add} : f32\nstore %v, %z, %s\n";

}  // namespace

TEST_CASE("opencl lanes: every function that a text calls is in it, and none more than once") {
  for (const char* vector : {"128", "256", "512"}) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      CAPTURE(seed);
      const Module module = load(make_random_module(seed).text);
      const std::string source = lower(module, parse_target(kTarget + ";vector=" + vector)).source;
      const Names words = names_of(source);
      for (const std::string& name : words.used) {
        CAPTURE(name);
        CHECK(words.made.count(name) == 1);
      }
    }
  }
  CHECK(opencl_lanes::functions_of("x = fl_load_g_f16_8(p) + fl_of_the_author(1);", 6).find("fl_decode_f16_8") !=
        std::string::npos);
  CHECK(opencl_lanes::functions_of("fl_of_the_author(1)", 6).empty());
}

TEST_CASE("opencl lanes: vectors are as wide as the target's") {
  const auto has = [](const std::string& source, const std::string& word) {
    return source.find(word) != std::string::npos;
  };
  for (const auto& [vector, type] : {std::pair{"128", "float4"}, {"256", "float8"}, {"512", "float16"}}) {
    const std::string source = lowered(kRow, kTarget + ";vector=" + vector, "%x: ptr<f32>").source;
    CHECK(has(source, fmt::format("const {} x_", type)));
    CHECK(has(source, "= exp(x_"));
    CHECK(has(source, "sum"));
    CHECK_FALSE(has(source, "double"));
    CHECK_FALSE(has(source, "cl_khr_fp64"));
  }
  CHECK(refused(kRow, kTarget + ";vector=1024", "%x: ptr<f32>") ==
        "target 'opencl-c;schedule=serial;vector=1024': vectors of OpenCL C have 128 to 512 bits here, not 1024");
}

TEST_CASE("opencl lanes: the launch record") {
  const Lowered made = lowered(kRow + "%c = gt %s, %s : i1\nassert %c {message=\"s\"}\n", kTarget, "%x: ptr<f32>");
  REQUIRE(made.kernels.size() == 1);
  CHECK(made.kernels[0].threads == 1);
  CHECK(made.kernels[0].shared_bytes == 0);
  CHECK(made.kernels[0].fails);
  CHECK(made.source.find(fmt::format("char scratch[{}]", made.kernels[0].scratch_bytes)) != std::string::npos);
  CHECK(made.source.find("__global float* v0, __global int* flagos_failure)") != std::string::npos);
  CHECK(made.source.find("reqd_work_group_size(1, 1, 1)") != std::string::npos);
  CHECK(made.source ==
        lowered(kRow + "%c = gt %s, %s : i1\nassert %c {message=\"s\"}\n", kTarget, "%x: ptr<f32>").source);
}

TEST_CASE("opencl lanes: what cannot be said is refused, so that another road is taken") {
  CHECK(refused("print %n {message=\"n\"}\n", kTarget + ";no=print", "%n: i32") ==
        "line 3, column 1: print: a kernel of this dialect has no way to print; kernel 'k'");
  CHECK(refused("print %n {message=\"n\"}\n", kTarget, "%n: i32") == "");
  const std::string f64 =
      "%v = view %x {shape=[4], strides=[1]} : view<f64, 1>\n%z = const {value=0} : i32\n%a = load "
      "%v, %z : tile<4xf64>\n%b = exp %a : tile<4xf64>\nstore %v, %z, %b\n";
  CHECK(refused(f64, kTarget + ";no=f64", "%x: ptr<f64>") ==
        "module of kernel 'k': it needs f64, which target 'opencl-c;schedule=serial;no=f64' lacks");
  CHECK(refused(f64, kTarget, "%x: ptr<f64>") == "");
  // Rounded once, by way of f64.
  const std::string narrow =
      "%v = view %x {shape=[4], strides=[1]} : view<f16, 1>\n%z = const {value=0} : i32\n%a = "
      "range : tile<4xi32>\n%b = cast %a : tile<4xf16>\nstore %v, %z, %b\n";
  CHECK(refused(narrow, kTarget + ";no=f64", "%x: ptr<f16>") ==
        "module of kernel 'k': it needs f64, which target 'opencl-c;schedule=serial;no=f64' lacks");
  const std::string atomic =
      "%v = view %x {shape=[4], strides=[1]} : view<i64, 1>\n%z = const {value=0} : i32\n%o = "
      "const {value=1} : i64\n%a = atomic_rmw %v, %z, %o {op=add} : i64\n";
  CHECK(refused(atomic, kTarget + ";no=atomic64", "%x: ptr<i64>") ==
        "module of kernel 'k': it needs atomic64, which target 'opencl-c;schedule=serial;no=atomic64' lacks");
  CHECK(refused(atomic, kTarget, "%x: ptr<i64>") == "");
  const std::string small = refused(kRow, kTarget + ";scratch=64", "%x: ptr<f32>");
  CHECK(small.find("bytes of scratch for a program; target 'opencl-c;schedule=serial;scratch=64' has 64") !=
        std::string::npos);
}
