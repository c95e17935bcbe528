// The functions of printed C++ against long double: their errors in units of the last place, and what they give at the
// edges. docs/tile.md has these bounds.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <string_view>

#include "compiler/child_compiler.hpp"
#include "compiler/simt_helpers.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

constexpr std::size_t kBlock = 1024;

struct Function {
  const char* name;
  double bound32, bound64;  // in units of the last place
  long double (*exact)(long double x, long double y);
  double low, high;  // where most of the arguments are from
  bool two = false;
};

const std::vector<Function>& functions() {
  using L = long double;
  static const std::vector<Function> all = {
      {"exp", 1.5, 1.5, [](L x, L) { return std::exp(x); }, -90, 90},
      {"exp2", 1.5, 1.5, [](L x, L) { return std::exp2(x); }, -150, 130},
      {"expm1", 1, 2, [](L x, L) { return std::expm1(x); }, -20, 90},
      {"log", 1.5, 1.5, [](L x, L) { return std::log(x); }, 0, 10},
      {"log2", 1, 2, [](L x, L) { return std::log2(x); }, 0, 10},
      {"log1p", 1, 3, [](L x, L) { return std::log1p(x); }, -1, 10},
      {"sin", 1, 1.5, [](L x, L) { return std::sin(x); }, -100, 100},
      {"cos", 1, 1.5, [](L x, L) { return std::cos(x); }, -100, 100},
      {"tan", 1, 2.5, [](L x, L) { return std::tan(x); }, -100, 100},
      {"asin", 1, 2, [](L x, L) { return std::asin(x); }, -1, 1},
      {"acos", 1, 2, [](L x, L) { return std::acos(x); }, -1, 1},
      {"atan", 1, 2, [](L x, L) { return std::atan(x); }, -10, 10},
      {"atan2", 1, 2.5, [](L x, L y) { return std::atan2(x, y); }, -10, 10, true},
      {"sinh", 1, 3, [](L x, L) { return std::sinh(x); }, -20, 20},
      {"cosh", 1, 2.5, [](L x, L) { return std::cosh(x); }, -20, 20},
      {"tanh", 2, 2.5, [](L x, L) { return std::tanh(x); }, -5, 5},
      {"erf", 1.5, 1.5, [](L x, L) { return std::erf(x); }, -4, 4},
      {"pow", 1, 2, [](L x, L y) { return std::pow(x, y); }, -40, 40, true},
      {"sqrt", 0.51, 0.51, [](L x, L) { return std::sqrt(x); }, 0, 100},
      {"rsqrt", 1.5, 1.5, [](L x, L) { return 1 / std::sqrt(x); }, 0, 100},
  };
  return all;
}

template <typename T>
double ulps(T got, long double wanted) {
  const auto rounded = static_cast<T>(wanted);
  if (std::isnan(got) || std::isnan(rounded)) return std::isnan(got) == std::isnan(rounded) ? 0 : HUGE_VAL;
  if (got == rounded) return std::signbit(got) == std::signbit(rounded) ? 0.5 : HUGE_VAL;
  constexpr int digits = std::numeric_limits<T>::digits;
  const T largest = std::numeric_limits<T>::max();
  // Infinity is one step behind the largest number.
  const long double value = std::isinf(got) ? std::copysign(std::ldexp(1.0L, std::numeric_limits<T>::max_exponent),
                                                            static_cast<long double>(got))
                                            : got;
  const long double target = std::isinf(wanted) ? std::copysign(static_cast<long double>(largest) * 2, wanted) : wanted;
  const int exponent = target == 0 ? std::numeric_limits<T>::min_exponent : std::ilogb(target) + 1;
  const int lowest = std::numeric_limits<T>::min_exponent - digits;
  return static_cast<double>(std::fabs(value - target) / std::ldexp(1.0L, std::max(exponent - digits, lowest)));
}

template <typename T>
std::vector<T> edges() {
  const T tiny = std::numeric_limits<T>::denorm_min(), least = std::numeric_limits<T>::min();
  std::vector<T> numbers;
  for (const T x : {T(0),
                    tiny,
                    tiny * 3,
                    least,
                    T(1e-20),
                    T(1e-5),
                    T(0.25),
                    T(0.5),
                    T(0.75),
                    T(1),
                    T(1.5),
                    T(2),
                    T(3),
                    T(4),
                    T(10),
                    T(88.5),
                    T(89),
                    T(104),
                    T(127.5),
                    T(128),
                    T(150),
                    T(709),
                    T(710),
                    T(745),
                    T(1023.5),
                    T(1024),
                    T(1075),
                    T(1e6),
                    T(1e9),
                    T(1e15),
                    T(1e22),
                    T(3e30),
                    std::numeric_limits<T>::max(),
                    std::numeric_limits<T>::infinity()}) {
    for (const T y : {x, std::nextafter(x, T(0)), std::nextafter(x, T(1))}) {
      numbers.push_back(y);
      numbers.push_back(-y);
    }
  }
  numbers.push_back(std::numeric_limits<T>::quiet_NaN());
  return numbers;
}

template <typename T>
void make_arguments(const Function& function, std::mt19937_64& random, std::vector<T>& x, std::vector<T>& y) {
  const std::vector<T> special = edges<T>();
  if (function.two) {
    for (const T a : special)
      for (const T b : special) {
        x.push_back(a);
        y.push_back(b);
      }
  } else {
    x = special;
  }
  std::uniform_real_distribution<double> some(function.low, function.high), scale(-30, 30);
  for (int i = 0; i < 40'000; ++i) {
    x.push_back(static_cast<T>(i % 3 == 0 ? std::copysign(std::exp2(scale(random)), some(random)) : some(random)));
    y.push_back(static_cast<T>(some(random)));
  }
  while (x.size() % kBlock != 0) x.push_back(T(1));
  y.resize(x.size(), T(1));
}

Module make_module() {
  std::string text = "flagos.tile 1.0\n";
  for (const Function& function : functions())
    for (const char* dtype : {"f32", "f64"})
      text +=
          fmt::format(R"(kernel @{0}_{1}(%x: ptr<{1}> {{readonly}}, %y: ptr<{1}> {{readonly}}, %z: ptr<{1}>, %n: i32) {{
%vx = view %x, %n {{shape=[?], strides=[1]}} : view<{1}, 1>
%vy = view %y, %n {{shape=[?], strides=[1]}} : view<{1}, 1>
%vz = view %z, %n {{shape=[?], strides=[1]}} : view<{1}, 1>
%p = program_id {{axis=0}} : i32
%b = const {{value={2}}} : i32
%at = mul %p, %b : i32
%a = load %vx, %at : tile<{2}x{1}>
{3}
%r = {0} %a{4} : tile<{2}x{1}>
store %vz, %at, %r
}}
)",
                      function.name, dtype, kBlock,
                      function.two ? fmt::format("%c = load %vy, %at : tile<{}x{}>", kBlock, dtype) : "",
                      function.two ? ", %c" : "");
  return load(text);
}

template <typename T, typename Run>
double worst_of(const Function& function, std::uint64_t seed, std::string& where, const Run& run) {
  std::mt19937_64 random(seed);
  std::vector<T> x, y;
  make_arguments(function, random, x, y);
  std::vector<T> z(x.size());
  run(x, y, z);
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(z[i], function.exact(x[i], y[i]));
    if (!(error > most)) continue;
    most = error;
    where = fmt::format("{}({}, {}) = {}", function.name, x[i], y[i], z[i]);
  }
  return most;
}

template <typename T>
double worst(const Function& function, const ChildLibrary& library, const Module& module, std::uint64_t seed,
             std::string& where) {
  const auto address = [](std::vector<T>& v) {
    return ArgumentValue{reinterpret_cast<std::uintptr_t>(v.data()), v.size() * sizeof(T)};
  };
  const std::string name = fmt::format("{}_{}", function.name, sizeof(T) == 4 ? "f32" : "f64");
  return worst_of<T>(function, seed, where, [&](std::vector<T>& x, std::vector<T>& y, std::vector<T>& z) {
    REQUIRE(library.run(name, {static_cast<std::uint32_t>(x.size() / kBlock), 1, 1}, module,
                        {address(x), address(y), address(z), {x.size(), 0}}) == "");
  });
}

std::uint64_t pick_seed() {
  const char* given = std::getenv("FLAGOS_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  MESSAGE("seed ", seed);
  return seed;
}

// What a printer for groups of threads defines, as far as functions of f64 ask for it.
constexpr std::string_view kGroupLanguage = R"(
typedef int i32;
typedef unsigned u32;
typedef long i64;
typedef unsigned long u64;
typedef double f64;
#define FN static
#define PRECISE
#define to_i32(x) ((i32)(x))
#define to_u32(x) ((u32)(x))
#define to_i64(x) ((i64)(x))
#define to_u64(x) ((u64)(x))
#define to_f64(x) ((f64)(x))
#define bits_f64(x) __builtin_bit_cast(u64, (f64)(x))
#define f64_bits(x) __builtin_bit_cast(f64, (u64)(x))
#define U64(high, low) ((u64)(high) << 32 | (u64)(low))
#define SQRT(x) __builtin_sqrt(x)
#define FLOOR(x) __builtin_floor(x)
)";

}  // namespace

TEST_CASE("functions of f64 for languages that have none are within the same bounds") {
  if (!has_child_compiler()) return;
  const std::uint64_t seed = pick_seed();
  std::set<std::string> names;
  std::string loops;
  for (const Function& function : functions()) {
    const std::string name = fmt::format("fl_{}_f64", function.name);
    if (!has_simt_helper(name)) continue;
    names.insert(name);
    loops += fmt::format(
        "extern \"C\" void all_{0}(const f64* x, const f64* y, f64* z, i64 n) {{ for (i64 i = 0; i < n; ++i) "
        "z[i] = {0}(x[i]{1}); }}\n",
        name, function.two ? ", y[i]" : "");
  }
  CHECK(names.size() == functions().size() - 1);  // all but the square root
  Lowered text;
  text.source = std::string(kGroupLanguage) + print_simt_helpers(names) + loops;
  text.options = {"-std=gnu++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared"};
  const ChildLibrary library(text);
  for (const Function& function : functions()) {
    const std::string name = fmt::format("fl_{}_f64", function.name);
    if (names.count(name) == 0) continue;
    const auto loop =
        reinterpret_cast<void (*)(const double*, const double*, double*, std::int64_t)>(library.find("all_" + name));
    std::string where;
    const double error = worst_of<double>(function, seed, where,
                                          [&](std::vector<double>& x, std::vector<double>& y, std::vector<double>& z) {
                                            loop(x.data(), y.data(), z.data(), static_cast<std::int64_t>(x.size()));
                                          });
    CAPTURE(where);
    CHECK(error <= function.bound64);
    if (std::getenv("FLAGOS_TEST_PRINT") != nullptr) MESSAGE(name, " ", error, " ", where);
  }
}

TEST_CASE("functions in C++ are within their bounds") {
  if (!has_child_compiler()) return;
  const std::uint64_t seed = pick_seed();
  const Module module = make_module();
  std::vector<std::string> targets = {host_target()};
  if (host_target() != "gnu-c++") targets.push_back("gnu-c++");
  for (const std::string& target : targets) {
    CAPTURE(target);
    const ChildLibrary library(lower(module, parse_target(target)));
    for (const Function& function : functions()) {
      std::string where;
      const double f32 = worst<float>(function, library, module, seed, where);
      CAPTURE(where);
      CHECK(f32 <= function.bound32);
      const double f64 = worst<double>(function, library, module, seed, where);
      CHECK(f64 <= function.bound64);
      if (std::getenv("FLAGOS_TEST_PRINT") != nullptr)
        MESSAGE(std::string(function.name), " ", f32, " ", f64, " ", where);
    }
  }
}
