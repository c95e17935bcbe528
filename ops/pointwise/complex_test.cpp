// Pointwise operators of complex64 against std::complex in long double.
#include <array>
#include <cmath>
#include <complex>
#include <cstring>
#include <functional>
#include <numbers>
#include <set>

#include "ops/engine/complex.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

using Z = std::complex<Number>;
using Numbers = std::vector<Z>;

std::size_t place_of(const HostTensor& tensor, I index) {
  const Shape at = coordinates(tensor.shape(), index);
  I place = 0;
  for (std::size_t i = 0; i < at.size(); ++i) place += at[i] * tensor.strides()[i];
  return static_cast<std::size_t>(static_cast<I>(tensor.offset_bytes()) + place * 8);
}
Z get(const HostTensor& tensor, I index) {
  if (tensor.dtype() != DType::c64) return tensor.get(index);
  float parts[2];
  std::memcpy(parts, tensor.bytes().data() + place_of(tensor, index), sizeof(parts));
  return {parts[0], parts[1]};
}
void set(HostTensor& tensor, I index, float re, float im) {
  const float parts[2] = {re, im};
  std::memcpy(tensor.bytes().data() + place_of(tensor, index), parts, sizeof(parts));
}

HostTensor random_numbers(const Shape& shape, Placement placement, std::mt19937_64& random,
                          float high = 3) {
  HostTensor out(DType::c64, shape, placement);
  std::uniform_real_distribution<float> part(-high, high);
  for (I i = 0; i < out.elements(); ++i) {
    const float re = part(random), im = part(random);
    // Zeros and numbers on the axes among them.
    set(out, i, i % 7 == 3 ? 0.0f : re, i % 11 == 5 ? 0.0f : im);
  }
  return out;
}

// Numbers that are far from what is wanted; `size` says what the units are of.
void compare_numbers(const HostTensor& out, const Numbers& wanted, const std::vector<Number>& size,
                     double units) {
  for (I i = 0; i < out.elements(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Z got = get(out, i);
    const Number most = std::max({size[at], std::abs(wanted[at]), Number{1e-30L}});
    INFO("element ", i, ": ", static_cast<double>(got.real()), " ", static_cast<double>(got.imag()),
         ", not ", static_cast<double>(wanted[at].real()), " ",
         static_cast<double>(wanted[at].imag()));
    CHECK(std::abs(got - wanted[at]) <= static_cast<Number>(units) * 0x1p-23L * most);
  }
}

struct Unary {
  const char* op;
  Z (*value)(const Z&);
};
const Unary unary[] = {
    {"neg", [](const Z& x) { return -x; }},
    {"sgn", [](const Z& x) { return x == Z() ? x : x / std::abs(x); }},
    {"square", [](const Z& x) { return x * x; }},
    {"sqrt", [](const Z& x) { return std::sqrt(x); }},
    {"exp", [](const Z& x) { return std::exp(x); }},
    {"sin", [](const Z& x) { return std::sin(x); }},
    {"cos", [](const Z& x) { return std::cos(x); }},
    {"tan", [](const Z& x) { return std::tan(x); }},
    {"sinh", [](const Z& x) { return std::sinh(x); }},
    {"cosh", [](const Z& x) { return std::cosh(x); }},
    {"tanh", [](const Z& x) { return std::tanh(x); }},
    {"log", [](const Z& x) { return std::log(x); }},
    {"reciprocal", [](const Z& x) { return Z(1) / x; }},
    {"rsqrt", [](const Z& x) { return Z(1) / std::sqrt(x); }},
    {"exp2", [](const Z& x) { return std::exp(x * std::numbers::ln2_v<Number>); }},
    {"expm1", [](const Z& x) { return std::exp(x) - Number{1}; }},
    {"log2", [](const Z& x) { return std::log(x) / std::numbers::ln2_v<Number>; }},
    {"log10", [](const Z& x) { return std::log(x) / std::numbers::ln10_v<Number>; }},
    {"log1p",
     [](const Z& x) {
       return std::abs(x) < 1e-9L ? x - x * x / Number{2} : std::log(Number{1} + x);
     }},
    {"asin", [](const Z& x) { return std::asin(x); }},
    {"acos", [](const Z& x) { return std::acos(x); }},
    {"atan", [](const Z& x) { return std::atan(x); }},
    {"asinh", [](const Z& x) { return std::asinh(x); }},
    {"acosh", [](const Z& x) { return std::acosh(x); }},
    {"atanh", [](const Z& x) { return std::atanh(x); }},
};

struct Binary {
  const char* op;
  Z (*value)(const Z&, const Z&);
  Number (*size)(const Z&, const Z&);
};
const Binary binary[] = {
    {"add", [](const Z& x, const Z& y) { return x + y * Number{2}; },
     [](const Z& x, const Z& y) { return std::abs(x) + 2 * std::abs(y); }},
    {"sub", [](const Z& x, const Z& y) { return x - y * Number{2}; },
     [](const Z& x, const Z& y) { return std::abs(x) + 2 * std::abs(y); }},
    {"rsub", [](const Z& x, const Z& y) { return y - x * Number{2}; },
     [](const Z& x, const Z& y) { return 2 * std::abs(x) + std::abs(y); }},
    {"mul", [](const Z& x, const Z& y) { return x * y; },
     [](const Z&, const Z&) { return Number{0}; }},
    {"div", [](const Z& x, const Z& y) { return x / y; },
     [](const Z&, const Z&) { return Number{0}; }},
};

}  // namespace

TEST_CASE("pointwise: functions of complex numbers") {
  std::mt19937_64 random(seed());
  for (const Unary& row : unary) {
    CAPTURE(row.op);
    const std::set<std::string> poles = {"log", "log2", "log10", "reciprocal", "rsqrt"};
    const bool none_at_0 = poles.count(row.op) != 0;
    for (const Placement p : own_placements()) {
      HostTensor x = random_numbers({13, 17}, p, random), out(DType::c64, {13, 17}, p);
      if (none_at_0)
        for (I i = 0; i < x.elements(); ++i)
          if (get(x, i) == Z()) set(x, i, 1, 0);
      must_call(row.op, {&x, &out});
      Numbers wanted;
      for (I i = 0; i < x.elements(); ++i) wanted.push_back(row.value(get(x, i)));
      compare_numbers(out, wanted, std::vector<Number>(wanted.size()), find_complex(row.op)->units);
      // In place.
      must_call(row.op, {&x, &x});
      compare_numbers(x, wanted, std::vector<Number>(wanted.size()), find_complex(row.op)->units);
    }
  }
  HostTensor none(DType::c64, {0, 3}), x = random_numbers({50}, Placement::dense, random),
                                       length(DType::f32, {50});
  must_call("exp", {&none, &none});
  must_call("abs", {&x, &length});
  Numbers wanted;
  for (I i = 0; i < 50; ++i) wanted.emplace_back(std::abs(get(x, i)));
  compare_numbers(length, wanted, std::vector<Number>(50), find_complex("abs")->units);
}

TEST_CASE("pointwise: complex numbers that are large or small") {
  HostTensor x(DType::c64, {6}), out(DType::c64, {6});
  const float parts[6][2] = {{3e30f, 4e30f}, {3e-30f, -4e-30f}, {-50, 1},
                             {20, -2},       {1, 1e-6f},        {0, -1e20f}};
  for (I i = 0; i < 6; ++i) set(x, i, parts[i][0], parts[i][1]);
  for (const Unary& row : unary) {
    const std::string op = row.op;
    const std::set<std::string> tried = {"sqrt",  "tanh",  "log",   "reciprocal", "sgn",
                                         "log2",  "asin",  "acos",  "atan",       "asinh",
                                         "acosh", "atanh", "log10", "log1p",      "rsqrt"};
    if (tried.count(op) == 0) continue;
    CAPTURE(op);
    must_call(op, {&x, &out});
    Numbers wanted;
    for (I i = 0; i < 6; ++i) wanted.push_back(row.value(get(x, i)));
    if (op == "tanh") wanted[5] = get(out, 5);  // the tangent of 1e20
    compare_numbers(out, wanted, std::vector<Number>(6), find_complex(row.op)->units);
  }
}

TEST_CASE("pointwise: complex numbers with each other, with real ones, and with numbers") {
  std::mt19937_64 random(seed());
  for (const Binary& row : binary) {
    CAPTURE(row.op);
    const bool scaled = std::string(row.op) != "mul" && std::string(row.op) != "div";
    for (const bool mixed : {false, true}) {
      HostTensor x = random_numbers({9, 14}, Placement::transposed, random),
                 out(DType::c64, {9, 14});
      HostTensor y = random_numbers({14}, Placement::dense, random);
      if (mixed) y = HostTensor(DType::f32, {14}), y.fill([](I i) { return i - 4.5L; });
      for (I i = 0; i < 14; ++i)
        if (!mixed && get(y, i) == Z()) set(y, i, 1, 1);
      Arguments arguments{&x, &y};
      if (scaled) arguments.emplace_back(2.0);
      arguments.emplace_back(&out);
      must_call(row.op, arguments);
      Numbers wanted;
      std::vector<Number> size;
      for (I i = 0; i < x.elements(); ++i) {
        wanted.push_back(row.value(get(x, i), get(y, i % 14)));
        size.push_back(row.size(get(x, i), get(y, i % 14)));
      }
      compare_numbers(out, wanted, size, find_complex(row.op)->units);
    }
  }
  HostTensor x = random_numbers({40}, Placement::dense, random), y = x, out(DType::c64, {40}),
             same(DType::boolean, {40}), other(DType::boolean, {40}), mask(DType::boolean, {40}),
             real(DType::f32, {40});
  must_call("mul.Scalar", {&x, 3.0, &out});
  Numbers wanted;
  for (I i = 0; i < 40; ++i) wanted.push_back(get(x, i) * Number{3});
  compare_numbers(out, wanted, std::vector<Number>(40), 1);
  for (I i = 0; i < 40; i += 3) set(y, i, 9, static_cast<float>(get(x, i).imag()));
  for (I i = 1; i < 40; i += 3) set(y, i, static_cast<float>(get(x, i).real()), 9);
  must_call("eq", {&x, &y, &same});
  must_call("ne", {&x, &y, &other});
  mask.fill([](I i) { return i % 2; });
  must_call("where", {&mask, &x, &y, &out});
  for (I i = 0; i < 40; ++i) {
    CHECK((same.get(i) != 0) == (i % 3 == 2));
    CHECK((other.get(i) != 0) == (i % 3 != 2));
    CHECK(get(out, i) == get(i % 2 != 0 ? x : y, i));
  }
  must_refuse("mul", {&x, &y, &real},
              "mul: out is of float32, which cannot take results of complex64");
  must_refuse("maximum", {&x, &y, &out}, "leads to a computation in complex64");
}

TEST_CASE("pointwise: complex numbers with scalars, three of them, and what is not finite") {
  std::mt19937_64 random(seed());
  HostTensor x = random_numbers({60}, Placement::dense, random),
             y = random_numbers({60}, Placement::dense, random), z = y, out(DType::c64, {60}),
             truth(DType::boolean, {60});
  for (I i = 0; i < 60; ++i)
    if (get(z, i) == Z()) set(z, i, 1, 2);
  const auto check = [&](const std::string& op, Arguments arguments, auto value, auto size) {
    CAPTURE(op);
    arguments.emplace_back(&out);
    must_call(op, arguments);
    Numbers wanted;
    std::vector<Number> sizes;
    for (I i = 0; i < 60; ++i) {
      wanted.push_back(value(get(x, i), get(y, i), get(z, i)));
      sizes.push_back(size(get(x, i), get(y, i), get(z, i)));
    }
    compare_numbers(out, wanted, sizes, find_complex(op)->units);
  };
  const auto with_number = [](const Z& a, const Z&, const Z&) { return 2 * std::abs(a) + 3; };
  const auto none = [](const Z&, const Z&, const Z&) { return Number{0}; };
  check(
      "add.Scalar", {&x, 1.5, 2.0}, [](const Z& a, const Z&, const Z&) { return a + Number{3}; },
      with_number);
  check(
      "sub.Scalar", {&x, 1.5, 2.0}, [](const Z& a, const Z&, const Z&) { return a - Number{3}; },
      with_number);
  check(
      "rsub.Scalar", {&x, 1.5, 2.0},
      [](const Z& a, const Z&, const Z&) { return Number{1.5} - a * Number{2}; }, with_number);
  check(
      "div.Scalar", {&x, 3.0}, [](const Z& a, const Z&, const Z&) { return a / Number{3}; }, none);
  check(
      "addcmul", {&x, &y, &z, 0.5},
      [](const Z& a, const Z& b, const Z& c) { return a + b * c * Number{0.5}; },
      [](const Z& a, const Z& b, const Z& c) { return std::abs(a) + std::abs(b * c) / 2; });
  check(
      "addcdiv", {&x, &y, &z, 0.5},
      [](const Z& a, const Z& b, const Z& c) { return a + b / c * Number{0.5}; },
      [](const Z& a, const Z& b, const Z& c) { return std::abs(a) + std::abs(b / c) / 2; });
  const float inf = INFINITY, nan = NAN;
  const float parts[5][2] = {{2, 0}, {2, 1}, {nan, 1}, {1, -inf}, {inf, nan}};
  for (I i = 0; i < 60; ++i) set(x, i, parts[i % 5][0], parts[i % 5][1]);
  const auto check_truth = [&](const std::string& op, Arguments arguments,
                               std::array<bool, 5> wanted) {
    CAPTURE(op);
    arguments.emplace_back(&truth);
    must_call(op, arguments);
    for (I i = 0; i < 60; ++i)
      CHECK((truth.get(i) != 0) == wanted[static_cast<std::size_t>(i % 5)]);
  };
  check_truth("eq.Scalar", {&x, 2.0}, {true, false, false, false, false});
  check_truth("ne.Scalar", {&x, 2.0}, {false, true, true, true, true});
  check_truth("isnan", {&x}, {false, false, true, false, true});
  check_truth("isinf", {&x}, {false, false, false, true, true});
  check_truth("isfinite", {&x}, {true, true, false, false, false});
}

TEST_CASE("pointwise: powers of complex numbers") {
  std::mt19937_64 random(seed());
  HostTensor x = random_numbers({60}, Placement::dense, random, 2),
             y = random_numbers({60}, Placement::dense, random, 2), out(DType::c64, {60});
  for (I i = 0; i < 60; ++i)
    if (get(x, i) == Z()) set(x, i, 1, 2);
  const auto compare_powers = [&](const char* op, const std::function<Z(I)>& exponent) {
    CAPTURE(op);
    Numbers wanted;
    std::vector<Number> sizes;
    for (I i = 0; i < 60; ++i) {
      const Z at = exponent(i) * std::log(get(x, i));
      wanted.push_back(std::exp(at));
      sizes.push_back(std::abs(wanted.back()) * (1 + std::abs(at)));
    }
    compare_numbers(out, wanted, sizes, find_complex(op)->units);
  };
  must_call("pow", {&x, &y, &out});
  compare_powers("pow", [&](I i) { return get(y, i); });
  must_call("pow.Scalar", {&x, 2.5, &out});
  compare_powers("pow.Scalar", [](I) { return Z(2.5L); });
  // Of 0.
  HostTensor zero(DType::c64, {3}), to(DType::c64, {3}), found(DType::c64, {3});
  for (I i = 0; i < 3; ++i) set(zero, i, 0, 0);
  set(to, 0, 0, 0);
  set(to, 1, 2, 5);
  set(to, 2, 0.5f, 0);
  must_call("pow", {&zero, &to, &found});
  CHECK(get(found, 0) == Z(1));
  CHECK(get(found, 1) == Z(0));
  CHECK(get(found, 2) == Z(0));
}

TEST_CASE("pointwise: parts of complex numbers, and what real ones have of them") {
  std::mt19937_64 random(seed());
  HostTensor x = random_numbers({9, 14}, Placement::transposed, random),
             part(DType::f32, {9, 14}, Placement::sliced);
  set(x, 0, -2, 0.0f);
  set(x, 1, -2, -0.0f);
  const auto check_part = [&](const std::string& op, double units, Number (*value)(const Z&)) {
    CAPTURE(op);
    must_call(op, {&x, &part});
    Numbers wanted;
    for (I i = 0; i < x.elements(); ++i) wanted.emplace_back(value(get(x, i)));
    compare_numbers(part, wanted, std::vector<Number>(wanted.size()), units);
  };
  check_part("real", 0, [](const Z& z) { return z.real(); });
  check_part("imag", 0, [](const Z& z) { return z.imag(); });
  check_part("angle", find_complex("angle")->units, [](const Z& z) { return std::arg(z); });
  HostTensor real(DType::f32, {3}), out(DType::f32, {3});
  must_refuse("imag", {&real, &out}, "imag is possible in complex64");
  must_refuse("conj", {&x, &part}, "which cannot take results of complex64");
}

TEST_CASE("pointwise: complex scalars") {
  std::mt19937_64 random(seed());
  const std::complex<float> c(1.5f, -0.75f), d(-2, 0.5f);
  const Z a(1.5L, -0.75L), b(-2, 0.5L);
  HostTensor x = random_numbers({60}, Placement::dense, random),
             y = random_numbers({60}, Placement::dense, random), real(DType::f32, {60}),
             out(DType::c64, {60});
  real.fill([](I i) { return (i % 9 - 4) / 2.0L; });
  const auto check = [&](const std::string& op, Arguments arguments,
                         const std::function<Z(const Z&, const Z&)>& value, Number size) {
    CAPTURE(op);
    arguments.emplace_back(&out);
    must_call(op, arguments);
    const HostTensor& first = **std::get_if<HostTensor*>(&arguments[0]);
    Numbers wanted;
    for (I i = 0; i < 60; ++i) wanted.push_back(value(get(first, i), get(y, i)));
    compare_numbers(out, wanted, std::vector<Number>(60, size), find_complex(op)->units);
  };
  for (HostTensor* const in : {&x, &real}) {  // a complex number makes the result complex
    check(
        "add.Scalar", {in, c, d}, [&](const Z& z, const Z&) { return z + a * b; }, 8);
    check(
        "sub.Scalar", {in, c, 2.0}, [&](const Z& z, const Z&) { return z - a * Number{2}; }, 8);
    check(
        "rsub.Scalar", {in, 2.0, c}, [&](const Z& z, const Z&) { return Number{2} - z * a; }, 10);
    check(
        "mul.Scalar", {in, c}, [&](const Z& z, const Z&) { return z * a; }, 0);
    check(
        "div.Scalar", {in, c}, [&](const Z& z, const Z&) { return z / a; }, 0);
    check(
        "add", {in, &y, c}, [&](const Z& z, const Z& w) { return z + w * a; }, 12);
    check(
        "lerp.Scalar", {in, &y, c}, [&](const Z& z, const Z& w) { return z + (w - z) * a; }, 16);
    check(
        "lerp.Scalar", {in, &y, 0.25},
        [&](const Z& z, const Z& w) { return z + (w - z) * Number{0.25L}; }, 8);
  }
  HostTensor weight = random_numbers({60}, Placement::dense, random, 1);
  must_call("lerp", {&x, &y, &weight, &out});
  Numbers wanted;
  for (I i = 0; i < 60; ++i) wanted.push_back(get(x, i) + (get(y, i) - get(x, i)) * get(weight, i));
  compare_numbers(out, wanted, std::vector<Number>(60, 16), find_complex("lerp")->units);

  HostTensor same(DType::boolean, {60}), mask(DType::boolean, {60});
  set(x, 3, 1.5f, -0.75f);
  must_call("eq.Scalar", {&x, c, &same});
  for (I i = 0; i < 60; ++i) CHECK((same.get(i) != 0) == (i == 3));
  must_call("fill", {c, &out});
  CHECK(get(out, 59) == a);
  mask.fill([](I i) { return i % 2; });
  must_call("masked_fill", {&x, &mask, d, &out});
  for (I i = 0; i < 60; ++i) CHECK(get(out, i) == (i % 2 != 0 ? b : get(x, i)));
  must_refuse("fill", {c, &real}, "is complex; a real number is needed");
  must_refuse("mul.Scalar", {&real, c, &real}, "which cannot take results of complex64");
  must_refuse("clamp", {&real, c, Argument(), &real}, "complex64");
}

TEST_CASE("pointwise: truth of complex numbers") {
  HostTensor x(DType::c64, {4}), y(DType::c64, {4}), out(DType::boolean, {4});
  for (I i = 0; i < 4; ++i) {
    set(x, i, 0, 0);
    set(y, i, 0, 0);
  }
  set(x, 1, 2, 0);
  set(x, 2, 0, 2);
  set(y, 2, 0, -1);
  set(y, 3, -1, 0);
  const auto check = [&](const std::string& op, const Arguments& arguments,
                         std::array<bool, 4> wanted) {
    CAPTURE(op);
    must_call(op, arguments);
    for (I i = 0; i < 4; ++i) CHECK((out.get(i) != 0) == wanted[static_cast<std::size_t>(i)]);
  };
  check("logical_not", {&x, &out}, {true, false, false, true});
  check("logical_and", {&x, &y, &out}, {false, false, true, false});
  check("logical_or", {&x, &y, &out}, {false, true, true, true});
  check("logical_xor", {&x, &y, &out}, {false, true, false, true});
}
