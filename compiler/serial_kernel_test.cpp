// A kernel as C++: its structs, what it prints, how it fails.
#include <doctest/doctest.h>
#include <flagos_cpu_kernel.h>

#include <cstddef>
#include <utility>

#include "compiler/child_compiler.hpp"
#include "compiler/print_gnu_cxx.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

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
