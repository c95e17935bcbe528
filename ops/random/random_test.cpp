// Random numbers: against Philox written plainly, as distributions, and bit for bit the same on every device.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <set>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t counter) {
  std::array<std::uint32_t, 4> x{static_cast<std::uint32_t>(counter),
                                 static_cast<std::uint32_t>(counter >> 32), 0, 0};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t even = std::uint64_t{0xD2511F53} * x[0],
                        odd = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(odd >> 32) ^ x[1] ^ key[0], static_cast<std::uint32_t>(odd),
         static_cast<std::uint32_t>(even >> 32) ^ x[3] ^ key[1], static_cast<std::uint32_t>(even)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return x;
}
std::uint32_t word(std::uint64_t seed, std::uint64_t offset, I i) {
  return philox(seed, offset + static_cast<std::uint64_t>(i / 4))[static_cast<std::size_t>(i % 4)];
}
std::uint64_t long_word(std::uint64_t seed, std::uint64_t offset, I i) {
  const auto w = philox(seed, offset + static_cast<std::uint64_t>(i / 2));
  const std::size_t at = static_cast<std::size_t>(i % 2) * 2;
  return static_cast<std::uint64_t>(w[at]) << 32 | w[at + 1];
}

// FNV-1a of the bytes of the elements.
std::uint64_t hash(const HostTensor& tensor) {
  std::uint64_t out = 0xcbf29ce484222325U;
  const unsigned char* const bytes = tensor.bytes().data() + tensor.offset_bytes();
  for (std::size_t i = 0; i < static_cast<std::size_t>(tensor.elements()) * size_of(tensor.dtype());
       ++i)
    out = (out ^ bytes[i]) * 0x100000001b3U;
  return out;
}

constexpr I seed_of = 0x123456789abcdef, offset_of = 1000;

struct Moments {
  double mean = 0, variance = 0, third = 0, fourth = 0;
  explicit Moments(const HostTensor& t) {
    const auto n = static_cast<double>(t.elements());
    for (I i = 0; i < t.elements(); ++i) mean += static_cast<double>(t.get(i)) / n;
    for (I i = 0; i < t.elements(); ++i) {
      const double d = static_cast<double>(t.get(i)) - mean;
      variance += d * d / n;
      third += d * d * d / n;
      fourth += d * d * d * d / n;
    }
  }
};

}  // namespace

TEST_CASE("random: uniform numbers are the upper bits of Philox, on every type and placement") {
  for (const DType dtype : types_of(floats))
    for (const Placement p : own_placements()) {
      HostTensor out(dtype, {67, 101}, p);
      const int digits = dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24;
      must_give("rand", {seed_of, offset_of, &out}, out, [&](const Shape& at) {
        const I i = number_of({67, 101}, at);
        if (dtype == DType::f64)
          return std::ldexp(static_cast<Number>(long_word(seed_of, offset_of, i) >> 11), -53);
        return std::ldexp(static_cast<Number>(word(seed_of, offset_of, i) >> (32 - digits)),
                          -digits);
      });
    }
  // Of as many digits as the numbers between 0 and 1, which these are made of.
  for (const DType dtype : types_of(floats)) {
    HostTensor unit(dtype, {3000}), out(dtype, {3000});
    must_call("rand", {seed_of, offset_of, &unit});
    must_give("uniform", {-2.0, 6.0, seed_of, offset_of, &out}, out,
              [&](const Shape& at) { return unit.get(at[0]) * 8 - 2; });
  }
}

TEST_CASE("random: normal numbers follow from the uniform ones") {
  for (const DType dtype : types_of(floats)) {
    HostTensor out(dtype, {10001});
    must_call("randn", {seed_of, offset_of, &out});
    std::vector<Number> expected;
    for (I i = 0; i < out.elements(); ++i) {
      Number u, v;
      if (dtype == DType::f64) {
        u = std::ldexp(static_cast<Number>((long_word(seed_of, offset_of, i / 2 * 2) >> 11) + 1),
                       -53);
        v = std::ldexp(static_cast<Number>(long_word(seed_of, offset_of, i / 2 * 2 + 1) >> 11),
                       -53);
      } else {
        u = std::ldexp(static_cast<Number>((word(seed_of, offset_of, i / 2 * 2) >> 8) + 1), -24);
        v = std::ldexp(static_cast<Number>(word(seed_of, offset_of, i / 2 * 2 + 1) >> 8), -24);
      }
      const Number r = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi_v<Number> * v;
      expected.push_back(r * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
    }
    // Near u = 1 the logarithm is small, and is right to a few units of what it is made of; so is sin near 0.
    for (I i = 0; i < out.elements(); ++i) {
      const Number allowed = std::max(32 * ulp_at(dtype, expected[static_cast<std::size_t>(i)]),
                                      8 * ulp_at(dtype == DType::f64 ? DType::f64 : DType::f32, 1));
      REQUIRE(std::fabs(out.get(i) - expected[static_cast<std::size_t>(i)]) <= allowed);
    }
  }
}

TEST_CASE("random: the same bits on every device") {
  const auto bits = [](const char* op, DType dtype, Arguments arguments) {
    HostTensor out(dtype, {100003});
    arguments.emplace_back(&out);
    must_call(op, arguments);
    return hash(out);
  };
  if (wants(DType::f32)) {
    CHECK(bits("rand", DType::f32, {seed_of, offset_of}) == 0x41b9b1802927f7f7U);
    CHECK(bits("randn", DType::f32, {seed_of, offset_of}) == 0x4548f12e60051221U);
    CHECK(bits("uniform", DType::f32, {-0.3, 0.7, seed_of, offset_of}) == 0x962931e0e47da6a3U);
    CHECK(bits("normal", DType::f32, {-0.3, 0.7, seed_of, offset_of}) == 0x256f8942adb4bf27U);
    CHECK(bits("randint", DType::i32, {I{-1000}, I{123456}, seed_of, offset_of}) ==
          0x7bb8e8c6c434cf7dU);
    HostTensor out(DType::i64, {1000}), chosen(DType::i64, {500}), p(DType::f32, {37});
    must_call("randperm", {I{1000}, seed_of, offset_of, &out});
    CHECK(hash(out) == 0x54cc5b03223d70a9U);
    p.fill([](I i) { return static_cast<Number>((i * 7 % 11) / 10.0F); });
    must_call("multinomial", {&p, I{500}, true, seed_of, offset_of, &chosen});
    CHECK(hash(chosen) == 0x3a2b001826f1f536U);
  }
  if (wants(DType::f64) && Fixture::get().computes_in(DType::f64))
    CHECK(bits("randn", DType::f64, {seed_of, offset_of}) == 0x9cc8b8e5fb795bfaU);
}

TEST_CASE("random: another offset continues, another seed does not") {
  HostTensor a(DType::f32, {8000}), b(DType::f32, {4000}), c(DType::f32, {8000});
  must_call("rand", {I{5}, I{0}, &a});
  must_call("rand", {I{5}, I{1000}, &b});
  for (I i = 0; i < 4000; ++i) REQUIRE(a.get(i + 4000) == b.get(i));
  must_call("rand", {I{6}, I{0}, &c});
  I same = 0;
  for (I i = 0; i < 8000; ++i) same += static_cast<I>(a.get(i) == c.get(i));
  CHECK(same < 8);
}

TEST_CASE("random: distributions") {
  HostTensor u(DType::f32, {200000});
  must_call("rand", {I{11}, I{0}, &u});
  const Moments uniform(u);
  CHECK(std::fabs(uniform.mean - 0.5) < 0.004);
  CHECK(std::fabs(uniform.variance - 1.0 / 12) < 0.001);
  for (const DType dtype : types_of(floats)) {
    HostTensor z(dtype, {200000});
    must_call("normal", {3.0, 2.0, I{11}, I{0}, &z});
    const Moments normal(z);
    CHECK(std::fabs(normal.mean - 3) < 0.03);
    CHECK(std::fabs(normal.variance - 4) < 0.08);
    CHECK(std::fabs(normal.third) < 0.3);
    CHECK(std::fabs(normal.fourth - 48) < 2.5);
  }
}

TEST_CASE("random: whole numbers of every type") {
  for (const DType dtype : types_of(numbers)) {
    const I low = dtype == DType::u8 ? 3 : -4;
    HostTensor out(dtype, {3001});
    must_give("randint", {low, I{90}, seed_of, offset_of, &out}, out, [&](const Shape& at) {
      return static_cast<Number>(low) + static_cast<Number>(long_word(seed_of, offset_of, at[0]) %
                                                            static_cast<std::uint64_t>(90 - low));
    });
  }
}

TEST_CASE("random: bernoulli and dropout") {
  for (const DType dtype : types_of(floats)) {
    HostTensor p(dtype, {50, 40}), out(dtype, {50, 40}, Placement::transposed);
    p.fill([](I i) { return (i % 5) / 4.0L; });
    must_give("bernoulli", {&p, seed_of, offset_of, &out}, out, [&](const Shape& i) {
      return std::ldexp(static_cast<Number>(word(seed_of, offset_of, number_of({50, 40}, i)) >> 8),
                        -24) < at(p, i);
    });
    HostTensor x(dtype, {50, 40}), kept(dtype, {50, 40}), mask(DType::boolean, {50, 40});
    x.fill([](I i) { return i % 7 + 1; });
    must_give(
        "dropout", {&x, 0.75, true, seed_of, offset_of, &kept, &mask}, kept, [&](const Shape& i) {
          return std::ldexp(
                     static_cast<Number>(word(seed_of, offset_of, number_of({50, 40}, i)) >> 8),
                     -24) >= 0.75L
                     ? 4 * at(x, i)
                     : 0;
        });
    for (I i = 0; i < 2000; ++i) REQUIRE((mask.get(i) != 0) == (kept.get(i) != 0));
    must_give("dropout", {&x, 0.75, false, seed_of, offset_of, &kept, &mask}, kept,
              [&](const Shape& i) { return at(x, i); });
    must_give("dropout", {&x, 1.0, true, seed_of, offset_of, &kept, &mask}, kept,
              [&](const Shape&) { return 0; });
  }
}

TEST_CASE("random: permutations") {
  for (const DType dtype : {DType::i64, DType::i32}) {
    HostTensor out(dtype, {2000});
    must_call("randperm", {I{2000}, I{3}, I{0}, &out});
    std::set<Number> seen;
    I fixed = 0;
    for (I i = 0; i < 2000; ++i) {
      seen.insert(out.get(i));
      fixed += static_cast<I>(out.get(i) == i);
    }
    CHECK(seen.size() == 2000);
    CHECK(*seen.begin() == 0);
    CHECK(*seen.rbegin() == 1999);
    CHECK(fixed < 12);
  }
  HostTensor whole(DType::i64, {100});
  must_call("randperm", {I{100}, I{4}, I{0}, &whole});
  for (const DType dtype : types_of(numbers)) {
    HostTensor out(dtype, {100});
    must_call("randperm", {I{100}, I{4}, I{0}, &out});
    CHECK(out.values() == whole.values());
  }
  // All six of three elements come up.
  std::set<std::vector<Number>> orders;
  for (I seed = 0; seed < 60; ++seed) {
    HostTensor out(DType::i64, {3});
    must_call("randperm", {I{3}, seed, I{0}, &out});
    orders.insert(out.values());
  }
  CHECK(orders.size() == 6);
}

TEST_CASE("random: multinomial") {
  HostTensor p = HostTensor::of(DType::f32, {2, 4}, {1, 0, 3, 4, 0, 2, 0, 0}),
             out(DType::i64, {2, 20000}, Placement::transposed);
  must_call("multinomial", {&p, I{20000}, true, I{1}, I{0}, &out});
  I counts[4] = {};
  for (I i = 0; i < 20000; ++i) ++counts[static_cast<std::size_t>(out.get(i))];
  CHECK(counts[1] == 0);
  CHECK(std::abs(counts[0] - 2500) < 300);
  CHECK(std::abs(counts[2] - 7500) < 400);
  for (I i = 20000; i < 40000; ++i) REQUIRE(out.get(i) == 1);
  // The same choice of weights that every type holds.
  HostTensor wanted(DType::i64, {2, 50}), found(DType::i64, {2, 50});
  must_call("multinomial", {&p, I{50}, true, I{2}, I{0}, &wanted});
  for (const DType dtype : types_of(floats)) {
    HostTensor weights = HostTensor::of(dtype, {2, 4}, p.values());
    must_call("multinomial", {&weights, I{50}, true, I{2}, I{0}, &found});
    CHECK(found.values() == wanted.values());
  }
  HostTensor three(DType::i64, {3}), row = HostTensor::of(DType::f32, {4}, {1, 0, 3, 4});
  std::set<Number> first;
  for (I seed = 0; seed < 50; ++seed) {
    must_call("multinomial", {&row, I{3}, false, seed, I{0}, &three});
    std::vector<Number> drawn = three.values();
    first.insert(drawn[0]);
    std::sort(drawn.begin(), drawn.end());
    CHECK(drawn == std::vector<Number>{0, 2, 3});
  }
  CHECK(first.size() == 3);
}

TEST_CASE("random: nothing, and bad input") {
  HostTensor none(DType::f32, {0, 3}), x(DType::f32, {4}), whole(DType::i32, {4}),
      bytes(DType::u8, {4}), mask(DType::boolean, {4}), four(DType::i64, {4}),
      five(DType::i64, {5});
  x.fill([](I) { return 0.5L; });
  HostTensor y = x;
  must_call("rand", {I{1}, I{0}, &none});
  must_call("randn", {I{1}, I{0}, &none});
  must_refuse("rand", {I{1}, I{0}, &whole}, "rand: out is of int32");
  must_refuse("uniform", {2.0, 1.0, I{1}, I{0}, &x}, "uniform: to is 1, and from is 2");
  must_refuse("normal", {0.0, -1.0, I{1}, I{0}, &x}, "normal: std is -1");
  must_refuse("randint", {I{3}, I{3}, I{1}, I{0}, &whole}, "randint: high is 3, and low is 3");
  must_refuse("randint", {I{0}, I{257}, I{1}, I{0}, &bytes},
              "randint: out is of uint8, which holds 0 to 255");
  must_refuse("randperm", {I{-1}, I{1}, I{0}, &four}, "randperm: n is -1");
  must_refuse("randperm", {I{3}, I{1}, I{0}, &four},
              "randperm: out is of shape [4], and [3] is needed");
  must_refuse("dropout", {&x, 1.5, true, I{1}, I{0}, &y, &mask}, "dropout: p is 1.5");
  must_refuse("multinomial", {&x, I{5}, false, I{1}, I{0}, &five},
              "multinomial: num_samples is 5; without replacement 4");
  HostTensor bad = HostTensor::of(DType::f32, {4}, {1, -1, 1, 1}),
             zero = HostTensor::of(DType::f32, {4}, {0, 0, 0, 0});
  must_fail_on_device("multinomial", {&bad, I{4}, true, I{1}, I{0}, &four});
  must_fail_on_device("multinomial", {&zero, I{4}, true, I{1}, I{0}, &four});
  must_fail_on_device("bernoulli", {&bad, I{1}, I{0}, &y});
}
