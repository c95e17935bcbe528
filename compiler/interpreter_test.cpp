// Elementwise operations and conversions against plain C++, in all types, with edge values.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const std::vector<DType> kFloats = {DType::f16, DType::bf16, DType::f32, DType::f64, DType::f8e4m3, DType::f8e5m2};
const std::vector<DType> kInts = {DType::i8, DType::i16, DType::i32, DType::i64,
                                  DType::u8, DType::u16, DType::u32, DType::u64};

std::string tile(DType dtype, std::size_t count) { return fmt::format("tile<{}x{}>", count, info(dtype).name); }

std::uint64_t mask_of(DType dtype) { return ~std::uint64_t{0} >> (64 - info(dtype).bits); }

// Edge values of a type, and random ones.
Words samples(DType dtype, std::mt19937_64& random, std::size_t count) {
  Words words = is_float(dtype)
                    ? bits_of(dtype, {0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 3, 100, kInf, -kInf, kNan, 1e-3, -7.25})
                    : Words{0, 1, 2, 3, 7, 100, mask_of(dtype), mask_of(dtype) >> 1, (mask_of(dtype) >> 1) + 1};
  words.push_back(1);  // the smallest subnormal
  while (words.size() < count) {
    const std::uint64_t bits = random() & mask_of(dtype);
    // Half of the numbers near one, where operations are not all overflow.
    const double near = std::ldexp(static_cast<double>(random() % 4096) - 2048, -8);
    words.push_back(is_float(dtype) && random() % 2 == 0 ? encode_float(dtype, near) : bits);
  }
  words.resize(count);
  return words;
}

// Every pair of two lists.
std::pair<Words, Words> pairs(const Words& a, const Words& b) {
  std::pair<Words, Words> all;
  for (const std::uint64_t x : a)
    for (const std::uint64_t y : b) {
      all.first.push_back(x);
      all.second.push_back(y);
    }
  return all;
}

Words binary(const std::string& op, DType dtype, const Words& a, const Words& b, const std::string& attributes = "",
             DType out = DType::i1, bool truth = false) {
  return evaluate(op, {{tile(dtype, a.size()), a}, {tile(dtype, b.size()), b}}, {tile(truth ? out : dtype, a.size())},
                  attributes)[0];
}
Words unary(const std::string& op, DType dtype, const Words& a, const std::string& attributes = "") {
  return evaluate(op, {{tile(dtype, a.size()), a}}, {tile(dtype, a.size())}, attributes)[0];
}

// The code of a small type that is nearest to a number, found by looking at all of them.
std::uint64_t nearest(DType dtype, long double value) {
  static std::map<DType, std::vector<std::pair<long double, std::uint64_t>>> tables;
  std::vector<std::pair<long double, std::uint64_t>>& table = tables[dtype];
  if (table.empty()) {
    for (std::uint64_t bits = 0; bits <= mask_of(dtype) >> 1; ++bits)
      if (const double number = decode_float(dtype, bits); std::isfinite(number)) table.emplace_back(number, bits);
    // Behind the largest: where the next would be, which is infinity, or NaN.
    const std::size_t last = table.size() - 1;
    table.emplace_back(2 * table[last].first - table[last - 1].first, table[last].second + 1);
  }
  const bool negative = std::signbit(value);
  const long double magnitude = std::fabs(value);
  const std::uint64_t sign = negative ? (mask_of(dtype) >> 1) + 1 : 0;
  if (magnitude >= table.back().first) return sign | table.back().second;
  const auto above = std::lower_bound(table.begin(), table.end(), std::pair(magnitude, std::uint64_t{0}));
  if (above == table.begin()) return sign | above->second;
  const auto below = above - 1;
  const long double up = above->first - magnitude, down = magnitude - below->first;
  const bool take_above = up < down || (up == down && above->second % 2 == 0);
  return sign | (take_above ? above->second : below->second);
}

bool same(DType dtype, std::uint64_t a, std::uint64_t b) {
  if (is_float(dtype) && std::isnan(decode_float(dtype, a))) return std::isnan(decode_float(dtype, b));
  return a == b;
}

struct Seed {
  std::uint64_t value = std::random_device()();
  Seed() {
    if (const char* given = std::getenv("FLAGOS_TEST_SEED")) value = std::strtoull(given, nullptr, 10);
    MESSAGE("seed ", value);
  }
};

}  // namespace

TEST_CASE("small floating types: all codes, and rounding to the nearest even") {
  const Seed seed;
  std::mt19937_64 random(seed.value);
  for (const DType dtype : {DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
    CAPTURE(info(dtype).name);
    for (std::uint64_t bits = 0; bits <= mask_of(dtype); ++bits) {
      const double value = decode_float(dtype, bits);
      if (!std::isnan(value)) REQUIRE(encode_float(dtype, value) == bits);
    }
    for (int i = 0; i < 20'000; ++i) {
      const double value =
          std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())), static_cast<int>(random() % 100) - 100);
      CAPTURE(value);
      REQUIRE(encode_float(dtype, value) == nearest(dtype, value));
    }
  }
  CHECK(decode_float(DType::f16, 0x7bff) == 65504);
  CHECK(decode_float(DType::bf16, 0x3f80) == 1);
  CHECK(decode_float(DType::f8e4m3, 0x7e) == 448);
  CHECK(decode_float(DType::f8e5m2, 0x7b) == 57344);
  CHECK(std::isnan(decode_float(DType::f8e4m3, 0x7f)));
  CHECK(encode_float(DType::f8e4m3, 465) == 0x7f);
  CHECK(encode_float(DType::f8e4m3, 1e9, Rounding::nearest_even, true) == 0x7e);
  CHECK(encode_float(DType::f16, 65519.9) == 0x7bff);
  CHECK(encode_float(DType::f16, 65520) == 0x7c00);
  CHECK(encode_float(DType::f16, -1e9, Rounding::toward_zero) == 0xfbff);
  CHECK(encode_float(DType::f32, 1 + 0x1p-24 + 0x1p-30, Rounding::toward_zero) == 0x3f800000);
}

TEST_CASE("arithmetic of floating point") {
  const Seed seed;
  std::mt19937_64 random(seed.value);
  const std::map<std::string, std::function<long double(long double, long double)>> exact = {
      {"add", [](long double a, long double b) { return a + b; }},
      {"sub", [](long double a, long double b) { return a - b; }},
      {"mul", [](long double a, long double b) { return a * b; }},
  };
  for (const DType dtype : kFloats) {
    const Words in = samples(dtype, random, 48);
    const auto [a, b] = pairs(in, in);
    const std::vector<double> x = numbers_of(dtype, a), y = numbers_of(dtype, b);
    for (const auto& [name, f] : exact) {
      const Words out = binary(name, dtype, a, b);
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(fmt::format("{} {} {} {}", name, info(dtype).name, x[i], y[i]));
        std::uint64_t wanted = 0;
        if (dtype == DType::f64) {
          wanted = encode_float(dtype, name == "add" ? x[i] + y[i] : name == "sub" ? x[i] - y[i] : x[i] * y[i]);
        } else if (dtype == DType::f32) {
          const auto p = static_cast<float>(x[i]), q = static_cast<float>(y[i]);
          wanted = encode_float(dtype, name == "add" ? p + q : name == "sub" ? p - q : p * q);
        } else {
          const long double value = f(x[i], y[i]);
          wanted = std::isfinite(value) ? nearest(dtype, value) : encode_float(dtype, static_cast<double>(value));
        }
        REQUIRE(same(dtype, out[i], wanted));
      }
    }
  }
}

TEST_CASE("division, remainder and fma of floating point") {
  const Words a = bits_of(DType::f32, {7, -7, 7, -7, 1, 0, -0.0, 5.5, kInf});
  const Words b = bits_of(DType::f32, {2, 2, -2, -2, 0, 0, 3, kInf, 2});
  const auto check = [&](const Words& out, const std::vector<double>& wanted) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      CAPTURE(i);
      CHECK(same(DType::f32, out[i], encode_float(DType::f32, wanted[i])));
    }
  };
  check(binary("div", DType::f32, a, b), {3.5, -3.5, -3.5, 3.5, kInf, kNan, -0.0, 0, kInf});
  check(binary("rem", DType::f32, a, b), {1, -1, 1, -1, kNan, kNan, -0.0, 5.5, kNan});
  check(binary("rem", DType::f32, a, b, "mode=floor"), {1, 1, -1, -1, kNan, kNan, 0, 5.5, kNan});
  // One rounding: 1 + 2^-12 squared loses its last bit when it is rounded before the sum.
  const double x = 1 + 0x1p-12;
  const auto fma = evaluate("fma",
                            {{"f32", bits_of(DType::f32, {x})},
                             {"f32", bits_of(DType::f32, {x})},
                             {"f32", bits_of(DType::f32, {-1 - 0x1p-11})}},
                            {"f32"});
  CHECK(decode_float(DType::f32, fma[0][0]) == 0x1p-24);
  const auto wrapped = evaluate("fma", {{"i8", {100}}, {"i8", {100}}, {"i8", {100}}}, {"i8"});
  CHECK(wrapped[0][0] == ((100 * 100 + 100) & 0xff));
}

TEST_CASE("min, max and clamp: NaN rules and signed zeros") {
  for (const DType dtype : kFloats) {
    const Words a = bits_of(dtype, {1, kNan, 2, kNan, 0.0, -0.0, -kInf});
    const Words b = bits_of(dtype, {2, 1, kNan, kNan, -0.0, 0.0, 3});
    const auto check = [&](const std::string& op, const std::string& nan, const std::vector<double>& wanted) {
      const Words out = binary(op, dtype, a, b, nan);
      const Words bits = bits_of(dtype, wanted);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        CAPTURE(fmt::format("{} {} {}", op, info(dtype).name, i));
        // f8e4m3 has no infinity.
        if (!(dtype == DType::f8e4m3 && i == 6)) CHECK(same(dtype, out[i], bits[i]));
      }
    };
    check("min", "", {1, kNan, kNan, kNan, -0.0, -0.0, -kInf});
    check("max", "", {2, kNan, kNan, kNan, 0.0, 0.0, 3});
    check("min", "nan=ignore", {1, 1, 2, kNan, -0.0, -0.0, -kInf});
    check("max", "nan=ignore", {2, 1, 2, kNan, 0.0, 0.0, 3});
  }
  const auto f32 = [](std::vector<double> v) { return Data{tile(DType::f32, v.size()), bits_of(DType::f32, v)}; };
  const Words out =
      evaluate("clamp", {f32({-5, 0.5, 5, kNan}), f32({-1, -1, -1, -1}), f32({1, 1, 1, 1})}, {"tile<4xf32>"})[0];
  CHECK(decode_float(DType::f32, out[0]) == -1);
  CHECK(decode_float(DType::f32, out[1]) == 0.5);
  CHECK(decode_float(DType::f32, out[2]) == 1);
  CHECK(std::isnan(decode_float(DType::f32, out[3])));
}

TEST_CASE("integers wrap") {
  const Seed seed;
  std::mt19937_64 random(seed.value);
  __extension__ using Wide = __int128;
  const auto floored = [](Wide a, Wide b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); };
  for (const DType dtype : kInts) {
    const int bits = info(dtype).bits;
    const auto wide = [&](std::uint64_t word) { return is_signed(dtype) ? Wide{decode_int(dtype, word)} : Wide{word}; };
    const std::vector<std::tuple<std::string, std::string, std::function<Wide(Wide, Wide)>>> ops = {
        {"add", "", [](Wide a, Wide b) { return a + b; }},
        {"sub", "", [](Wide a, Wide b) { return a - b; }},
        {"div", "", [](Wide a, Wide b) { return b == 0 ? 0 : a / b; }},
        {"div", "mode=floor", [&](Wide a, Wide b) { return b == 0 ? 0 : floored(a, b); }},
        {"rem", "", [](Wide a, Wide b) { return b == 0 ? a : a % b; }},
        {"rem", "mode=floor", [&](Wide a, Wide b) { return b == 0 ? a : a - floored(a, b) * b; }},
        {"min", "", [](Wide a, Wide b) { return std::min(a, b); }},
        {"max", "", [](Wide a, Wide b) { return std::max(a, b); }},
        {"and", "", [](Wide a, Wide b) { return a & b; }},
        {"or", "", [](Wide a, Wide b) { return a | b; }},
        {"xor", "", [](Wide a, Wide b) { return a ^ b; }},
        {"shl", "",
         [&](Wide a, Wide b) {
           return b < 0 || b >= bits ? 0 : static_cast<Wide>(static_cast<std::uint64_t>(a) << static_cast<int>(b));
         }},
        {"shr", "", [&](Wide a, Wide b) { return b < 0 || b >= bits ? (a < 0 ? -1 : 0) : a >> static_cast<int>(b); }},
        {"eq", "", [](Wide a, Wide b) { return a == b; }},
        {"ne", "", [](Wide a, Wide b) { return a != b; }},
        {"lt", "", [](Wide a, Wide b) { return a < b; }},
        {"le", "", [](Wide a, Wide b) { return a <= b; }},
        {"gt", "", [](Wide a, Wide b) { return a > b; }},
        {"ge", "", [](Wide a, Wide b) { return a >= b; }},
    };
    const Words in = samples(dtype, random, 40);
    const auto [a, b] = pairs(in, in);
    for (const auto& [name, attributes, f] : ops) {
      const bool truth = std::string("eq ne lt le gt ge").find(name) != std::string::npos;
      const Words out = binary(name, dtype, a, b, attributes, DType::i1, truth);
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(fmt::format("{} {} {} {} {}", name, attributes, info(dtype).name, decode_int(dtype, a[i]),
                            decode_int(dtype, b[i])));
        REQUIRE(out[i] == encode_int(truth ? DType::i1 : dtype, static_cast<std::uint64_t>(f(wide(a[i]), wide(b[i])))));
      }
    }
    __extension__ using UWide = unsigned __int128;
    const Words low = binary("mul", dtype, a, b), high = binary("mulhi", dtype, a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const UWide product =
          is_signed(dtype) ? static_cast<UWide>(wide(a[i]) * wide(b[i])) : static_cast<UWide>(a[i]) * b[i];
      REQUIRE(low[i] == encode_int(dtype, static_cast<std::uint64_t>(product)));
      REQUIRE(high[i] == encode_int(dtype, static_cast<std::uint64_t>(product >> bits)));
    }
    const Words negated = unary("neg", dtype, in), inverted = unary("not", dtype, in),
                absolute = unary("abs", dtype, in);
    for (std::size_t i = 0; i < in.size(); ++i) {
      CHECK(negated[i] == encode_int(dtype, 0 - in[i]));
      CHECK(inverted[i] == encode_int(dtype, ~in[i]));
      CHECK(absolute[i] == encode_int(dtype, wide(in[i]) < 0 ? 0 - in[i] : in[i]));
    }
  }
}

TEST_CASE("i1: logic, comparison, select") {
  const Data a{"tile<4xi1>", {0, 0, 1, 1}}, b{"tile<4xi1>", {0, 1, 0, 1}};
  CHECK(evaluate("and", {a, b}, {"tile<4xi1>"})[0] == Words{0, 0, 0, 1});
  CHECK(evaluate("or", {a, b}, {"tile<4xi1>"})[0] == Words{0, 1, 1, 1});
  CHECK(evaluate("xor", {a, b}, {"tile<4xi1>"})[0] == Words{0, 1, 1, 0});
  CHECK(evaluate("not", {a}, {"tile<4xi1>"})[0] == Words{1, 1, 0, 0});
  CHECK(evaluate("eq", {a, b}, {"tile<4xi1>"})[0] == Words{1, 0, 0, 1});
  CHECK(evaluate("select", {a, {"tile<4xi32>", {1, 2, 3, 4}}, {"tile<4xi32>", {5, 6, 7, 8}}}, {"tile<4xi32>"})[0] ==
        Words{5, 6, 3, 4});
  CHECK(evaluate("select", {{"i1", {1}}, {"tile<2xi8>", {1, 2}}, {"tile<2xi8>", {5, 6}}}, {"tile<2xi8>"})[0] ==
        Words{1, 2});
}

TEST_CASE("comparisons with NaN and signed zeros") {
  const Words a = bits_of(DType::f16, {kNan, 1, 0.0, kNan}), b = bits_of(DType::f16, {1, kNan, -0.0, kNan});
  const auto run = [&](const std::string& op) { return binary(op, DType::f16, a, b, "", DType::i1, true); };
  CHECK(run("eq") == Words{0, 0, 1, 0});
  CHECK(run("ne") == Words{1, 1, 0, 1});
  CHECK(run("lt") == Words{0, 0, 0, 0});
  CHECK(run("le") == Words{0, 0, 1, 0});
  CHECK(run("ge") == Words{0, 0, 1, 0});
}

TEST_CASE("functions are within half a unit in the last place, those of f64 within two") {
  const Seed seed;
  std::mt19937_64 random(seed.value);
  using L = long double;
  const std::map<std::string, std::function<L(L)>> functions = {{"exp", [](L x) { return std::exp(x); }},
                                                                {"exp2", [](L x) { return std::exp2(x); }},
                                                                {"log", [](L x) { return std::log(x); }},
                                                                {"log2", [](L x) { return std::log2(x); }},
                                                                {"log1p", [](L x) { return std::log1p(x); }},
                                                                {"expm1", [](L x) { return std::expm1(x); }},
                                                                {"sqrt", [](L x) { return std::sqrt(x); }},
                                                                {"rsqrt", [](L x) { return 1 / std::sqrt(x); }},
                                                                {"rcp", [](L x) { return 1 / x; }},
                                                                {"sin", [](L x) { return std::sin(x); }},
                                                                {"cos", [](L x) { return std::cos(x); }},
                                                                {"tan", [](L x) { return std::tan(x); }},
                                                                {"asin", [](L x) { return std::asin(x); }},
                                                                {"acos", [](L x) { return std::acos(x); }},
                                                                {"atan", [](L x) { return std::atan(x); }},
                                                                {"sinh", [](L x) { return std::sinh(x); }},
                                                                {"cosh", [](L x) { return std::cosh(x); }},
                                                                {"tanh", [](L x) { return std::tanh(x); }},
                                                                {"erf", [](L x) { return std::erf(x); }},
                                                                {"floor", [](L x) { return std::floor(x); }},
                                                                {"ceil", [](L x) { return std::ceil(x); }},
                                                                {"trunc", [](L x) { return std::trunc(x); }},
                                                                {"rint", [](L x) { return std::nearbyint(x); }},
                                                                {"neg", [](L x) { return -x; }},
                                                                {"abs", [](L x) { return std::fabs(x); }}};
  for (const DType dtype : kFloats) {
    const Words in = samples(dtype, random, 400);
    for (const auto& [name, f] : functions) {
      const Words out = unary(name, dtype, in);
      for (std::size_t i = 0; i < in.size(); ++i) {
        const double x = decode_float(dtype, in[i]), got = decode_float(dtype, out[i]);
        const L wanted = f(x);
        CAPTURE(fmt::format("{} {} of {:a}: {}", name, info(dtype).name, x, got));
        // That of f64 is the C library's, twice for what is made of two.
        const int width = std::array{10, 7, 23, 52, 3, 2}[static_cast<std::size_t>(
            std::find(kFloats.begin(), kFloats.end(), dtype) - kFloats.begin())];
        const std::uint64_t rounded = encode_float(dtype, static_cast<double>(wanted));
        if (same(dtype, out[i], rounded)) continue;
        REQUIRE(std::isfinite(got));
        REQUIRE(std::isfinite(decode_float(dtype, rounded)));
        const L unit = std::ldexp(1.0L, std::max(std::ilogb(got), -1022) - width);
        REQUIRE(std::fabs(got - wanted) <= (dtype == DType::f64 ? 2.0L : 0.5000001L) * unit);
      }
    }
  }
}

TEST_CASE("functions of two operands, isnan, isinf") {
  const Words y = bits_of(DType::f32, {0, 1, -1, 0.0, -0.0, 2}), x = bits_of(DType::f32, {1, 0, 0, -1, -1, 3});
  const Words angle = binary("atan2", DType::f32, y, x), power = binary("pow", DType::f32, y, x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double a = decode_float(DType::f32, y[i]), b = decode_float(DType::f32, x[i]);
    CHECK(angle[i] == encode_float(DType::f32, std::atan2(a, b)));
    CHECK(power[i] == encode_float(DType::f32, std::pow(a, b)));
  }
  for (const DType dtype : kFloats) {
    const Data in{tile(dtype, 4), bits_of(dtype, {1, kNan, kInf, -kInf})};
    const bool has_infinity = dtype != DType::f8e4m3;
    CHECK(evaluate("isnan", {in}, {"tile<4xi1>"})[0] == (has_infinity ? Words{0, 1, 0, 0} : Words{0, 1, 1, 1}));
    CHECK(evaluate("isinf", {in}, {"tile<4xi1>"})[0] == (has_infinity ? Words{0, 0, 1, 1} : Words{0, 0, 0, 0}));
  }
}

TEST_CASE("casts between all types") {
  const Seed seed;
  std::mt19937_64 random(seed.value);
  for (int f = 0; f < kDTypeCount; ++f) {
    for (int t = 0; t < kDTypeCount; ++t) {
      const auto from = static_cast<DType>(f), to = static_cast<DType>(t);
      Words in = from == DType::i1 ? Words{0, 1} : samples(from, random, 200);
      const Words out = evaluate("cast", {{tile(from, in.size()), in}}, {tile(to, in.size())})[0];
      for (std::size_t i = 0; i < in.size(); ++i) {
        const long double value = is_float(from)    ? static_cast<long double>(decode_float(from, in[i]))
                                  : is_signed(from) ? static_cast<long double>(decode_int(from, in[i]))
                                                    : static_cast<long double>(in[i]);
        CAPTURE(fmt::format("{} to {}: {}", info(from).name, info(to).name, static_cast<double>(value)));
        std::uint64_t wanted = 0;
        if (to == DType::i1) {
          wanted = value != 0 ? 1 : 0;
        } else if (is_float(to)) {
          if (to == DType::f64 || to == DType::f32)
            wanted = to == DType::f64 ? encode_float(to, static_cast<double>(value))
                                      : encode_float(to, static_cast<float>(value));
          else
            wanted = std::isfinite(value) ? nearest(to, value) : encode_float(to, static_cast<double>(value));
        } else if (is_float(from)) {
          const long double lowest = is_signed(to) ? -std::ldexp(1.0L, info(to).bits - 1) : 0;
          const long double highest = std::ldexp(1.0L, info(to).bits - (is_signed(to) ? 1 : 0)) - 1;
          const long double held = std::isnan(value) ? 0 : std::clamp(std::trunc(value), lowest, highest);
          wanted = encode_int(to, is_signed(to) ? static_cast<std::uint64_t>(static_cast<std::int64_t>(held))
                                                : static_cast<std::uint64_t>(held));
        } else {
          wanted = encode_int(to, static_cast<std::uint64_t>(decode_int(from, in[i])));
        }
        REQUIRE(same(to, out[i], wanted));
      }
    }
  }
  const auto cast = [](const std::string& from, std::uint64_t bits, const std::string& to, const std::string& how) {
    return evaluate("cast", {{from, {bits}}}, {to}, how)[0][0];
  };
  CHECK(cast("f32", encode_float(DType::f32, 1e9), "f8e4m3", "saturate") == 0x7e);
  CHECK(cast("f32", encode_float(DType::f32, 1e9), "f8e5m2", "") == 0x7c);
  CHECK(cast("f64", encode_float(DType::f64, 0.999999999), "f16", "rounding=toward_zero") == 0x3bff);
  CHECK(cast("i64", 0x4000000000000001, "f32", "rounding=toward_zero") == encode_float(DType::f32, 0x1p62));
  CHECK(cast("u64", ~std::uint64_t{0}, "f64", "rounding=toward_zero") ==
        encode_float(DType::f64, 0x1.fffffffffffffp63));
  CHECK(evaluate("bitcast", {{"f32", {0x7fc12345}}}, {"i32"})[0][0] == 0x7fc12345);
  CHECK(evaluate("bitcast", {{"tile<2xbf16>", {0x7f81, 3}}}, {"tile<2xu16>"})[0] == Words{0x7f81, 3});
}
