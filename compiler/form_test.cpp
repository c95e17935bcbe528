// The text form: round trip, the canonical spelling, versions, hashes, and what hostile text does.
#include <doctest/doctest.h>

#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

// One of everything, as the printer writes it.
constexpr std::string_view kCanonical = R"(flagos.tile 1.0

kernel @all(%x: ptr<f32> {readonly, noalias, align=16}, %y: ptr<i32>, %n: i32 {div=16, eq=32, range=[0, 64]}, %e: f64) constexpr(BM=16, name="a\"b") hints(hint.cpu.mr=6) {
  %0 = program_id {axis=0} : i32
  %1 = view %x, %n {shape=[?, 8], strides=[8, 1]} : view<f32, 2>
  %2 = const {value=0} : i32
  %3 = load %1, %0, %2 {pad=-inf, hint.dsa.buffers=2} : tile<4x8xf32>
  %4 = const {value=1.5} : tile<4x8xf32>
  %5 = fma %3, %4, %3 : tile<4x8xf32>
  %6 = reduce %5 {axis=1, op=max, nan=ignore} : tile<4xf32>
  %7, %8 = scan %5, %5 {axis=0, reverse} : tile<4x8xf32>, tile<4x8xf32> with (%9: f32, %10: f32, %11: f32, %12: f32) {
    %13 = add %9, %11 : f32
    %14 = mul %10, %12 {fast} : f32
    yield %13, %14
  }
  %15 = const {value=1} : i32
  %16, %17 = for %2, %n, %15, %6, %2 : tile<4xf32>, i32 do (%18: i32, %19: tile<4xf32>, %20: i32) {
    %21 = lt %18, %20 : i1
    %22 = if %21 : i32 then {
      yield %18
    } else {
      yield %20
    }
    if %21 then {
      print %20 {message="seen\n"}
      yield
    }
    yield %19, %22
  }
  %23 = while %17 : i32 test (%24: i32) {
    %25 = gt %24, %15 : i1
    yield %25
  } do (%26: i32) {
    %27 = div %26, %15 {mode=floor} : i32
    yield %27
  }
  %28 = extern %16 {name="gelu"} : tile<4xf32> with (%29: tile<4xf32>) {
    %30 = exp %29 : tile<4xf32>
    yield %30
  }
  %31 = view %y {shape=[64], strides=[1]} : view<i32, 1>
  %32 = range {start=3} : tile<4xi32>
  %33 = cast %28 {rounding=toward_zero, saturate} : tile<4xi32>
  %34 = atomic_rmw %31, %32, %33 {op=add, order=acq_rel} : tile<4xi32>
  %35, %36 = argreduce %34 {axis=0, op=max} : i32, i32
  %37 = trans %3 {perm=[1, 0]} : tile<8x4xf32>
  %38 = slice %37 {start=[2, 0]} : tile<4x4xf32>
}
)";

std::string body(const std::string& lines) {
  return "flagos.tile 1.0\nkernel @t(%p: ptr<f32>, %q: ptr<f32> {readonly}, %n: i32, %f: f32) {\n" + lines + "}\n";
}

}  // namespace

TEST_CASE("canonical text comes back as it was") {
  const Module module = load(kCanonical);
  CHECK(print(module) == kCanonical);
  CHECK(print_locations(module).empty());
}

TEST_CASE("the table names every operation once, and the text of each is found") {
  for (std::size_t i = 0; i < op_table().size(); ++i) CHECK(find_op(op_table()[i].name) == static_cast<OpCode>(i));
  CHECK_FALSE(find_op("for_"));
  CHECK(op_table().size() == 89);
}

TEST_CASE("other spellings become canonical, and have the same hash") {
  const Module one = load(body("  %0 = const {value=1} : i32\n  %1 = range : tile<4xi32>\n"));
  const Module two = load(
      "// a comment\nflagos.tile   1.0\nkernel @t( %p:ptr<f32>, %q "
      ":ptr<f32>{readonly},%n:i32,%f:f32 )\n{\n"
      "%one = const{ value = 1 }:i32  // and another\n\n\t%two_ = range {start=0}: "
      "tile<4xi32>\r\n}\n");
  CHECK(print(one) == print(two));
  CHECK(hash(one) == hash(two));
  const auto with = [](const std::string& number) {
    return "flagos.tile 1.0\nkernel @t() constexpr(BM=" + number + ") hints(hint.x=" + number + ") {\n}\n";
  };
  CHECK(print(load(with("016"))).find("constexpr(BM=16) hints(hint.x=16)") != std::string::npos);
  CHECK(print(load(with("1.50"))).find("constexpr(BM=1.5) hints(hint.x=1.5)") != std::string::npos);
  CHECK(refusal(with("4x4")).find("'4x4' is no number") != std::string::npos);
  const Module three = load(body("  %0 = const {value=2} : i32\n  %1 = range : tile<4xi32>\n"));
  CHECK(hash(one) != hash(three));
  const Module sorted =
      load(body("%v = view %p {strides=[1], shape=[8]} : view<f32, 1>\n%o = const {value=0} : i32\n"
                "%x = load %v, %o {hint.b=1, hint.a=x, pad=0.50} : f32\n"));
  CHECK(print(sorted).find("{pad=0.5, hint.a=x, hint.b=1}") != std::string::npos);
}

TEST_CASE("the hash is SHA-256 of the canonical text without locations") {
  const std::string text = body("  %0 = const {value=1} : i32\n");
  const std::string located = text + "\nlocations\nfile \"dir/a.cpp\"\nat @t\n0:7\n";
  const Module module = load(located);
  CHECK(hash(module) == hash(load(text)));
  CHECK(print(module) + print_locations(module) ==
        "flagos.tile 1.0\n\n" + text.substr(text.find("kernel")) + "\nlocations\nfile \"dir/a.cpp\"\nat @t\n0:7\n");
}

TEST_CASE("numbers keep their bits") {
  const std::uint64_t seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    for (int round = 0; round < 500; ++round) {
      const std::uint64_t bits =
          encode_int(is_float(dtype) ? DType::u64 : dtype, random()) & (~std::uint64_t{0} >> (64 - info(dtype).bits));
      if (is_float(dtype) && decode_float(dtype, bits) != decode_float(dtype, bits)) continue;
      const std::string text = print_literal(dtype, bits);
      CAPTURE(text);
      CHECK(parse_literal(dtype, text) == bits);
    }
  }
  CHECK(print_literal(DType::f32, encode_float(DType::f32, 0.1)) == "0.1");
  CHECK(print_literal(DType::f64, encode_float(DType::f64, -1e300)) == "-1e+300");
  CHECK(print_literal(DType::f16, 0x7c00) == "inf");
  CHECK(print_literal(DType::f32, 0x80000000) == "-0.0");
  CHECK_FALSE(parse_literal(DType::i8, "128"));
  CHECK_FALSE(parse_literal(DType::u8, "-1"));
  CHECK_FALSE(parse_literal(DType::f32, "0x10"));
  CHECK_FALSE(parse_literal(DType::i32, "1.0"));
}

TEST_CASE("versions") {
  const auto with = [](const std::string& version, const std::string& line) {
    return "flagos.tile " + version + "\nkernel @t(%n: i32) {\n" + line + "\n}\n";
  };
  const std::string known = "%0 = neg %n : i32";
  CHECK(refusal(with("1.0", known)).empty());
  CHECK(refusal(with("1.7", known)).empty());
  CHECK(print(load(with("1.7", known + "  // hints may be new"))).starts_with("flagos.tile 1.0\n"));
  CHECK(refusal(with("1.7", "%0 = neg %n {hint.new=[1, 2]} : i32")).empty());
  CHECK(refusal(with("1.7", "%0 = warp %n : i32")) ==
        "line 3, column 6: operation 'warp' needs flagos.tile 1.7; this library reads up to 1.0");
  CHECK(refusal(with("1.7", "%0 = neg %n {saturating} : i32")) ==
        "line 3, column 6: neg: attribute 'saturating' needs flagos.tile 1.7; this library reads "
        "up to 1.0");
  CHECK(refusal(with("1.0", "%0 = warp %n : i32")) ==
        "line 3, column 6: operation 'warp' is not known in flagos.tile 1.0");
  CHECK(refusal(with("2.0", known)).find("this library reads 1.0 to 1.0") != std::string::npos);
  CHECK(refusal("flagos.tile x\n").find("a version is expected") != std::string::npos);
  try {
    load(with("1.1", "%0 = warp %n : i32"));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  }
}

TEST_CASE("each rule is kept, with a line and the values") {
  struct Case {
    std::string lines, reason;
  };
  const std::string view = "%v = view %p, %n {shape=[?], strides=[1]} : view<f32, 1>\n";
  const std::string t = "%t = const {value=1.0} : tile<4x8xf32>\n";
  const std::string i = "%i = range : tile<8xi32>\n";
  const std::vector<Case> cases = {
      {"%0 = add %n, %f : i32\n", "operand 1 is f32, operand 0 is i32"},
      {"%0 = add %n, %n : f32\n", "result 0 is f32; it must be i32"},
      {"%0 = exp %n : i32\n", "operand 0 is i32; it takes floating-point numbers"},
      {"%0 = and %f, %f : f32\n", "operand 0 is f32; it takes integers and i1"},
      {"%0 = add %n : i32\n", "it has 1 operands, and takes 2"},
      {"%0 = add %n, %missing : i32\n", "'%missing' is not defined before this line"},
      {"%0 = add %0, %n : i32\n", "'%0' is not defined before this line"},
      {"%0 = div %f, %f {mode=floor} : f32\n", "mode=floor is for integers"},
      {"%0 = neg %n : i32\n%0 = neg %n : i32\n", "'%0' is defined twice"},
      {"%0 = neg %p : ptr<f32>\n", "its result cannot be ptr<f32>"},
      {"%0 = lt %f, %f : f32\n", "result 0 is f32; it must be i1"},
      {"%0 = program_id {axis=3} : i32\n", "axis is 3; it is 0 to 2"},
      {"%0 = program_id : i32\n", "attribute 'axis' is missing"},
      {"%0 = program_id {axis=0, axis=1} : i32\n", "attribute 'axis' is given twice"},
      {"%0 = program_id {axis=0.5} : i32\n", "attribute 'axis' takes a 64-bit integer"},
      {"%0 = const {value=1.5} : i32\n", "attribute 'value' takes a value of type i32, not '1.5'"},
      {"%0 = const {value=300} : tile<2xi8>\n", "takes a value of type i8"},
      {"%0 = min %n, %n {nan=maybe} : i32\n", "attribute 'nan' is one of propagate, ignore"},
      {"%0 = range : tile<2x2xi32>\n", "a tile of integers with one axis"},
      {"%0 = full %f : tile<4xi32>\n", "operand 0 is f32; it must be i32"},
      {t + "%0 = cast %t : tile<4xi32>\n", "the shapes differ"},
      {"%0 = bitcast %f : f64\n", "the sizes differ"},
      {t + "%0 = select %n, %t, %t : tile<4x8xf32>\n", "operand 0 is i32; it must be i1 or tile<4x8xi1>"},
      {t + "%0 = expand %t {axis=3} : tile<4x8x1xf32>\n", "axis is 3; it is 0 to 2"},
      {t + "%0 = expand %t {axis=0} : tile<4x1x8xf32>\n", "result 0 is tile<4x1x8xf32>; it must be tile<1x4x8xf32>"},
      {t + "%0 = broadcast %t : tile<8x8xf32>\n", "tile<4x8xf32> cannot be broadcast to tile<8x8xf32>"},
      {t + "%0 = reshape %t : tile<31xf32>\n", "elements differ in number or type"},
      {t + "%0 = trans %t {perm=[0, 0]} : tile<4x4xf32>\n", "perm is no permutation of 0 to 1"},
      {t + "%0, %1 = split %t : tile<4xf32>, tile<4xf32>\n", "its last axis must have 2 elements"},
      {t + "%0 = slice %t {start=[1, 1]} : tile<4x2xf32>\n", "axis 0: 4 elements from 1 end past 4"},
      {t + "%0 = flip %t {axis=-1} : tile<4x8xf32>\n", "axis is -1; it is 0 to 1"},
      {t + "%0 = join %t, %f : tile<4x8x2xf32>\n", "operand 1 is f32; it must be tile<4x8xf32>"},
      {"%0 = view %p {shape=[?], strides=[1]} : view<f32, 1>\n", "it has 1 operands; shape and strides have 1 of '?'"},
      {"%0 = view %p {shape=[4, 4], strides=[1]} : view<f32, 2>\n", "strides has 1 values"},
      {"%0 = view %p {shape=[-4], strides=[1]} : view<f32, 1>\n", "extent -4 is below 0"},
      {"%0 = view %p {shape=[4], strides=[1]} : view<i32, 1>\n", "it makes view<i32, 1> of ptr<f32>"},
      {"%0 = view %n {shape=[4], strides=[1]} : view<i32, 1>\n", "operand 0 is i32; it takes a ptr"},
      {view + "%0 = load %v, %f : tile<4xf32>\n", "operand 1 is f32; an index is a scalar of i32 or i64"},
      {view + "%0 = load %v, %n, %n : tile<4xf32>\n", "it has 3 operands, and takes 2"},
      {view + "%0 = load %v, %n : tile<4x4xf32>\n", "tile<4x4xf32> does not fit view<f32, 1>"},
      {view + "%0 = load %v, %n : tile<4xf64>\n", "tile<4xf64> does not fit view<f32, 1>"},
      {view + "store %v, %n, %n\n", "i32 does not fit view<f32, 1>"},
      {"%v = view %q {shape=[4], strides=[1]} : view<f32, 1>\nstore %v, %n, %f\n",
       "it writes to argument %q, which is readonly"},
      {view + i + "%0 = gather %v, %i, %n : tile<8xf32>\n", "operand 2 is i32; it must be tile<8xi1>"},
      {view + i + "%0 = gather %v, %i : tile<4xf32>\n", "result 0 is tile<4xf32>; it must be tile<8xf32>"},
      {view + i + "scatter %v, %i, %f\n", "operand 2 is f32; it must be tile<8xf32>"},
      {view + "%0 = atomic_rmw %v, %n, %f {op=and} : f32\n", "there is no atomic and of f32"},
      {view + "%0 = atomic_cas %v, %n, %f, %f : f32\n", "there is no atomic cas of f32"},
      {t + "%0 = reduce %t {axis=2, op=add} : tile<4xf32>\n", "axis is 2; it is 0 to 1"},
      {t + "%0 = reduce %t {axis=0, op=add} : tile<4xf32>\n", "it must be tile<8xf32>"},
      {t + "%0 = reduce %t {axis=0, op=and} : tile<8xf32>\n", "op=and is for integers and i1"},
      {t + "%0 = reduce %t {axis=0} : tile<8xf32>\n", "op=region needs a region"},
      {t + "%0 = reduce %t {axis=0, op=add, nan=ignore} : tile<8xf32>\n",
       "attribute 'nan' is for min and max, not add"},
      {t + "%0 = reduce %t {axis=0} : tile<8xf32> with (%a: f32, %b: f32) {\nyield %f\n}\n",
       "sees its own values only"},
      {t + "%0 = reduce %t {axis=0} : tile<8xf32> with (%a: f32, %b: f32) {\nprint "
           "{message=\"x\"}\nyield %a\n}\n",
       "stands in a region that must have none"},
      {t + "%0 = reduce %t {axis=0} : tile<8xf32> with (%a: f32, %b: i32) {\nyield %a\n}\n",
       "the arguments of region 'with' are f32, i32; it must be f32, f32"},
      {t + "%0, %1 = argreduce %t {axis=0, op=min} : tile<8xf32>, tile<8xi64>\n", "it must be tile<8xi32>"},
      {t + "%0 = sort %t, %t {axis=0} : tile<4x8xf32>\n", "it has 2 operands and 1 results"},
      {t + "%0 = histogram %t : tile<4xi32>\n", "it takes integers"},
      {t + "%0 = dot %t, %t, %t : tile<4x8xf32>\n", "operand 1 is tile<4x8xf32>; it must be tile<8x8xf32>"},
      {i + "%0 = dot %i, %i, %i : tile<8xi32>\n", "it takes a tile of 2 or 3 axes"},
      {"%0, %1, %2, %3 = philox %f, %n : u32, u32, u32, u32\n", "a seed is an integer"},
      {"%0, %1 = philox %n, %n : u32, u32\n", "it has 2 results, and takes 4"},
      {"%0 = extern %f {name=\"x\"} : f32\n", "the region 'with' is missing"},
      {"for %n, %n, %n do (%k: i32) {\n}\n", "a region of it does not end with yield"},
      {"for %n, %n, %f do (%k: i32) {\nyield\n}\n", "operand 2 is f32; it must be i32"},
      {"for %n, %n, %n do (%k: i64) {\nyield\n}\n", "the arguments of region 'do' are i64; it must be i32"},
      {"%0 = for %n, %n, %n, %f : f32 do (%k: i32, %a: f32) {\nyield %k\n}\n",
       "region 'do' yields i32; it must be f32"},
      {"for %n, %n, %n do (%k: i32) {\nyield\n%0 = neg %k : i32\n}\n", "does not end with yield"},
      {"%0 = for %n, %n, %n, %f : f32 do (%k: i32, %a: f32) {\n%b = neg %0 : f32\nyield %b\n}\n",
       "is a result of the operation around this one"},
      {"for %n, %n, %n do (%k: i32) {\n%b = neg %k : i32\nyield\n}\n%c = neg %b : i32\n",
       "operand 0 is defined in another region"},
      {"%0 = if %n : i32 then {\nyield %n\n}\n", "operand 0 is i32; it must be i1"},
      {"%c = lt %n, %n : i1\n%0 = if %c : i32 then {\nyield %n\n}\n", "it has results, and so needs the region 'else'"},
      {"%c = lt %n, %n : i1\n%0 = if %c : i32 then {\nyield %n\n} else {\nyield %f\n}\n",
       "region 'else' yields f32; it must be i32"},
      {"%0 = while %n : i32 test (%a: i32) {\nyield %a\n} do (%b: i32) {\nyield %b\n}\n",
       "region 'test' yields i32; it must be i1"},
      {"yield\n", "a kernel's body yields nothing"},
      {"assert %n {message=\"m\"}\n", "operand 0 is i32; it takes i1"},
      {"%0 = const {value=0} : tile<0xi32>\n", "extent '0' is not 1 to 1048576"},
      {"%0 = const {value=0} : tile<1048576x2xi32>\n", "the tile has more than 1048576 elements"},
      {"%0 = const {value=0} : tile<99999999999999999999xi32>\n", "is not 1 to 1048576"},
      {"%0 = const {value=0} : tile<1x1x1x1x1x1x1xi32>\n", "the tile has more than 6 axes"},
      {"%0 = const {value=0} : tile<4xi33>\n", "'i33' is no element type"},
      {"%0 = const {value=0} : i33\n", "'i33' is no type"},
      {"%0 = neg %n : i32 %1 = neg %n : i32\n", "does not belong here"},
      {"%0 = neg %n : i32, i32\n", "1 results and 2 result types"},
      {"print {message=\"no end}\n", "the string does not end"},
      {"$\n", "'$' starts nothing here"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.lines);
    const std::string found = refusal(body(c.lines));
    CAPTURE(found);
    CHECK(found.starts_with("line "));
    CHECK(found.find(c.reason) != std::string::npos);
  }
}

TEST_CASE("arguments and their facts") {
  const auto with = [](const std::string& argument) {
    return refusal("flagos.tile 1.0\nkernel @t(" + argument + ") {\n}\n");
  };
  CHECK(with("%p: ptr<bf16> {readonly, noalias, align=64}, %n: i64 {div=8, range=[-1, 5]}").empty());
  CHECK(with("%p: ptr<f32> {align=3}").find("align is 3, which is no power of two") != std::string::npos);
  CHECK(with("%n: i32 {div=0}").find("div is 0") != std::string::npos);
  CHECK(with("%n: i32 {range=[5, 1]}").find("range is not [lowest, highest]") != std::string::npos);
  CHECK(with("%n: i32 {eq=4294967296}").find("takes a value of type i32") != std::string::npos);
  CHECK(with("%n: i32 {readonly}").find("attribute 'readonly'") != std::string::npos);
  CHECK(with("%n: i8").find("an argument is a ptr, i32, i64, f32 or f64") != std::string::npos);
  CHECK(with("%n: tile<4xi32>").find("an argument is a ptr") != std::string::npos);
  CHECK(with("%0: i32").find("an argument's name starts with a letter") != std::string::npos);
  CHECK(with("%n: i32, %n: i32").find("defined twice") != std::string::npos);
}

TEST_CASE("an error names the author's file and line, and several are found at once") {
  const std::string text = body("%0 = neg %n : i32\n%1 = add %0, %f : i32\n%2 = exp %n : i32\n") +
                           "\nlocations\nfile \"kernels/rows.cpp\"\nat @t\n0:10 0:11 0:12\n";
  try {
    load(text);
    FAIL("accepted");
  } catch (const Refused& refused) {
    REQUIRE(refused.diagnostics().size() == 2);
    CHECK(std::string(refused.what()) ==
          "line 4, column 1 (kernels/rows.cpp:11): add: operand 1 is f32, operand 0 is i32");
    CHECK(refused.diagnostics()[1].file_line == 12);
  }
  CHECK(
      refusal(body("%0 = neg %n : i32\n%1 = add %0, %m : i32\n") + "\nlocations\nfile \"a.cpp\"\nat @t\n0:10 0:11\n") ==
      "line 4, column 14 (a.cpp:11): add: '%m' is not defined before this line");
  CHECK(refusal(body("") + "\nlocations\nfile \"a.cpp\"\nat @t\n1:10\n").find("names no line of a file above") !=
        std::string::npos);
}

TEST_CASE("limits") {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "for %n, %n, %n do (%k" + std::to_string(i) + ": i32) {\n";
  CHECK(refusal(body(deep)).find("regions are nested deeper than 48") != std::string::npos);
  std::string many;
  for (int i = 0; i < 200'001; ++i) many += "print {message=\"x\"}\n";
  CHECK(refusal(body(many)).find("more than 200000 operations") != std::string::npos);
  std::string wide = "print %n";
  for (int i = 0; i < 200; ++i) wide += ", %n";
  CHECK(refusal(body(wide + " {message=\"x\"}\n")).find("more than 128 operands") != std::string::npos);
  CHECK(refusal(std::string(std::size_t{17} << 20, ' ')).find("at most 16777216 are read") != std::string::npos);
  CHECK(
      refusal("flagos.tile 1.0\nkernel @a.b() {\n}\n").find("kernel 'a.b': its name may have letters, digits and _") !=
      std::string::npos);
  CHECK(refusal("flagos.tile 1.0\n").find("the module has no kernel") != std::string::npos);
  CHECK(refusal("flagos.tile 1.0\nkernel @a() {\n}\nkernel @a() {\n}\n").find("two kernels 'a'") != std::string::npos);
  CHECK(refusal("flagos.tile 1.0\nkernel @a() {\n").find("the text ends inside a region") != std::string::npos);
  CHECK(refusal("\xff\xfe").find("is not UTF-8") != std::string::npos);
  CHECK(refusal(std::string("flagos.tile 1.0\nkernel @a\0() {\n}\n", 34)).find("control character") !=
        std::string::npos);
}

TEST_CASE("every prefix of a module is refused or read, and nothing else happens") {
  int accepted = 0;
  for (std::size_t size = 0; size < kCanonical.size(); ++size) accepted += refusal(kCanonical.substr(0, size)).empty();
  CHECK(accepted <= 1);  // all but the last newline
}

TEST_CASE("mutated modules are refused with a line, or come back as they are read") {
  const char* given = std::getenv("FLAGOS_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  MESSAGE("seed ", seed);
  std::mt19937_64 random(seed);
  static constexpr std::string_view kPieces[] = {
      "%0", "%x",    "{",      "}",           "(",    ")",  ",",
      ":",  "=",     "\n",     "tile<4xf32>", "i32",  "-1", "999999999999999999999",
      "\"", "yield", "axis=0", "for",         "with", "[?]"};
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text(kCanonical);
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int edit = 0; edit < edits; ++edit) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.erase(at, 1 + random() % 12);
          break;
        case 1:
          text.insert(at, kPieces[random() % std::size(kPieces)]);
          break;
        case 2:
          text[at] = static_cast<char>(32 + random() % 95);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
      }
    }
    try {
      const Module module = load(text);
      ++accepted;
      const std::string printed = print(module);
      CHECK(print(load(printed)) == printed);
    } catch (const Refused& refused) {
      CHECK_FALSE(refused.diagnostics().front().reason.empty());
      CHECK(refused.diagnostics().front().line > 0);
    }
  }
  CHECK(accepted > 0);
}
