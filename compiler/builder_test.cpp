// The builder: what it writes is canonical and verified; what cannot be is refused with the author's line.
#include <doctest/doctest.h>

#include <flagos/tile.hpp>

#include "compiler/test_support.hpp"

using namespace flagos;
using tile::carry;
using tile::DType;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr DType f32 = DType::f32;
constexpr DType i32 = DType::i32;

std::string build(const std::function<void(Kernel&)>& kernel) {
  tile::Module module;
  module.kernel("t", {}, kernel);
  const std::string text = module.text();
  const compiler::Module loaded = compiler::test::load(text);
  CHECK(compiler::print(loaded) + compiler::print_locations(loaded) == text);
  return module.text(false);
}

std::string refusal(const std::function<void(Kernel&)>& kernel) {
  try {
    tile::Module().kernel("t", {}, kernel);
  } catch (const tile::BuildError& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("every operation that the builder offers is written as the verifier wants it") {
  const std::string text = build([](Kernel& k) {
    const auto p = k.pointer("p", f32, "readonly, align=16"), q = k.pointer("q", f32);
    const auto counts = k.pointer("counts", i32);
    const auto n = k.scalar("n", i32, "div=16");
    const auto vp = k.view(p, {n, 8}, {8, 1}), vq = k.view(q, {64}, {1});
    const auto vc = k.view(counts, {64}, {1});
    const auto x = k.load(vp, {k.program_id(0), 0}, {4, 8}, -1.5);
    const auto i = k.range(8, i32, 2) % 3 + k.num_programs(1);
    auto u = abs(exp(x)) + exp2(x) - log(x) * log2(x) / log1p(x) + expm1(x) + sqrt(x) + rsqrt(x) + rcp(x);
    u = u + sin(x) + cos(x) + tan(x) + asin(x) + acos(x) + atan(x) + atan2(x, 2) + sinh(x) + cosh(x) + tanh(x) + erf(x);
    u = pow(u, 2.0) + floor(x) + ceil(x) + trunc(x) + rint(x) + fma(x, x, 1) + clamp(-x, -1, 1);
    u = min(u, x, tile::Nan::ignore) + max(1.0, x) + where(isnan(x) | (isinf(x) & !(x == 1.0)), x, 0.0);
    const auto bits = ((i & 7) | (i ^ 3) | (~i << 1) | (i >> 1)) + mulhi(i, i) + floor_div(i, 3) + floor_rem(i, 3);
    const auto flags = cast((i != 1) ^ (i < 2) ^ (i <= 3) ^ (i > 4) ^ (i >= 5), i32);
    const auto moved = flip(trans(slice(reshape(broadcast(expand(i, 0), {4, 8}), {8, 4}), {0, 1}, {8, 2})), 0);
    const auto [gelu] = tile::call("gelu", carry(x), [](const Tile& a) { return carry(a * erf(a)); });
    const auto halves = split(join(i, bits));
    k.print("values", {n, halves[0], moved});
    k.require(all(i >= 0, 0), "a \"bad\" index");
    const auto total = sum(u + gelu, 1) + product(u, 1) + reduce_min(u, 1) + reduce_max(u, 1);
    const auto most = argmax(u, 1), least = argmin(u, 1);
    const auto pair = reduce(carry(u, x), 0, [](const std::vector<Tile>& a, const std::vector<Tile>& b) {
      return carry(a[0] + b[0], max(a[1], b[1]));
    });
    const auto running = scan(
        cumsum(x, 1, true), 0, [](const Tile& a, const Tile& b) { return a * 0.5 + b; }, true);
    const auto sorted = tile::sort(x, {u}, 1, true);
    const auto product_ = dot(x, trans(x), k.full(f32, {4, 4}, 0.0), true);
    const auto random = philox(cast(n, DType::i64), i);
    const auto scale = k.full(DType::u8, {4, 1}, 127),
               a8 = cast(k.full(f32, {4, 32}, 1.0), DType::f8e4m3, tile::Round::toward_zero, true);
    const auto scaled = dot_scaled(a8, scale, trans(a8), trans(scale), product_);
    const auto gathered = k.gather(vq, {i + bits + flags}) + k.gather(vq, {i}, i > 2, 7.0);
    k.scatter(vq, {i}, gathered + cast(random[0] >> 8, f32));
    k.scatter(vq, {i}, 1.0, i > 2);
    k.atomic("add", vc, {i}, tile::histogram(i, 8));
    const auto some = i > 1;
    k.atomic("max", vc, {i}, tile::histogram(i, some, 8), &some, tile::Order::acq_rel);
    const auto old = k.atomic_cas(vc, {i}, 1, 2);
    const auto looped = k.loop(0, n, 2, carry(total, pair[0]), [&](const Tile& at, const Tile& a, const Tile& b) {
      return carry(a + cast(at, f32), b * 2.0);
    });
    const auto [halved] = k.loop_while(
        carry(n), [](const Tile& v) { return v > 10; }, [](const Tile& v) { return carry(v / 2); });
    const auto [chosen] = k.branch(
        halved > 3, [&] { return carry(looped[0]); }, [&] { return carry(total * 0.0); });
    k.branch(halved > 4, [&] { k.store(vq, {0}, k.constant(f32, 1)); });
    k.loop(halved, 10, 1, [&](const Tile& at) { k.store(vq, {at}, 3); });
    k.store(vq, {n},
            chosen + sum(product_ + scaled, 0) + most[0] + cast(least[1], f32) +
                sum(bitcast(bitcast(running, i32), f32) + sorted[1], 1) + cast(sum(old, 0), f32) + sum(looped[1], 0) +
                pair[1].shape()[0]);
  });
  for (std::size_t i = 0; i < compiler::op_table().size(); ++i) {
    const std::string name(compiler::op_table()[i].name);
    CAPTURE(name);
    CHECK((has(text, " " + name + " ") || has(text, " " + name + "\n")));
  }
}

TEST_CASE("an operation may be marked fast, strict or with a hint, and a kernel with hints") {
  const std::string text = build([](Kernel& k) {
    k.hint("simt.threads", 128);
    k.hint("cpu.mr", 6);
    const auto v = k.view(k.pointer("p", f32), {8}, {1});
    const auto x = k.load(v, {0}, {8});
    const auto y = tile::strict(tile::strict(x * x) + tile::fast(exp(x)));
    k.store(v, {0}, tile::hint(y / tile::fast(x / 3.0), "cpu.unroll", 2));
  });
  CHECK(has(text, ") hints(hint.cpu.mr=6, hint.simt.threads=128) {"));
  CHECK(has(text, "mul %2, %2 {strict}"));
  CHECK(has(text, "exp %2 {fast}"));
  CHECK(has(text, "{hint.cpu.unroll=2}"));
  CHECK(text.find("exp") == text.rfind("exp"));
}

TEST_CASE("what is computed under a name may give several values, and philox has streams") {
  const std::string text = build([](Kernel& k) {
    const auto v = k.view(k.pointer("p", f32), {8}, {1});
    const auto x = k.load(v, {0}, {8});
    const auto both = tile::call("sincos", carry(x), [](const Tile& a) { return carry(sin(a), cos(a)); });
    const auto bits = philox(k.constant(DType::i64, 7), k.range(8), k.program_id(0));
    k.store(v, {0}, both[0] * both[1] + cast(bits[3] >> 8, f32));
  });
  CHECK(has(text, "= extern "));
  CHECK(has(text, "{name=\"sincos\"} : tile<8xf32>, tile<8xf32> with ("));
  CHECK(has(text, "philox %9, %10, %11 : tile<8xu32>"));
}

TEST_CASE("loads are written before a store that may change what they read, and in the order of operands") {
  const std::string text = build([](Kernel& k) {
    const auto v = k.view(k.pointer("p", f32), {8}, {1});
    const auto later = k.load(v, {1});
    k.store(v, {0}, k.load(v, {2}) - k.load(v, {3}));
    k.store(v, {4}, later);
  });
  const std::size_t one = text.find("load"), store = text.find("store");
  CHECK(one < store);
  CHECK(text.find("load", store) == std::string::npos);
  CHECK(has(text, "%1 = const {value=1} : i32\n  %2 = load %0, %1 : f32"));
}

TEST_CASE("an expression that uses its values many times is walked once") {
  // 2^60 ways from the end to the load.
  const std::string text = build([](Kernel& k) {
    const auto v = k.view(k.pointer("p", f32), {8}, {1});
    auto x = k.load(v, {1});
    for (int i = 0; i < 60; ++i) x = x * x;
    k.store(v, {0}, x);
  });
  CHECK(has(text, "%62 = mul %61, %61"));
}

TEST_CASE("a number takes the type that it meets, and constants are written once") {
  const std::string text = build([](Kernel& k) {
    const auto n = k.scalar("n", DType::i64);
    k.print("", {n + 1, n * 1, cast(n, f32) * 0.1, cast(n, DType::f64) * 0.1});
  });
  CHECK(has(text, "const {value=1} : i64"));
  CHECK(text.find("const {value=1} : i64") == text.rfind("const {value=1} : i64"));
  CHECK(has(text, "const {value=0.1} : f32"));
  CHECK(has(text, "const {value=0.1} : f64"));
}

TEST_CASE("an error names the author's line") {
  const auto starts = [](const std::string& text, int line) {
    return has(text, "builder_test.cpp:" + std::to_string(line) + ": ");
  };
  CHECK(starts(refusal([](Kernel& k) { k.range(4) + k.range(5); }), __LINE__));
  CHECK(has(refusal([](Kernel& k) { k.range(4) + k.range(5); }), "tile<4xi32> meets tile<5xi32>"));
  CHECK(has(refusal([](Kernel& k) { k.range(4) + 0.5; }), "a floating-point number meets integers"));
  CHECK(has(refusal([](Kernel& k) { k.range(4) + k.range(4, DType::i64); }), "cast one of them"));
  CHECK(has(refusal([](Kernel& k) { sum(k.range(4), 1); }), "axis 1 of tile<4xi32>"));
  CHECK(has(refusal([](Kernel& k) {
              dot(k.full(f32, {4, 2}, 0), k.full(f32, {4, 2}, 0), k.full(f32, {4, 2}, 0));
            }),
            "dot of tile<4x2xf32> and tile<4x2xf32>"));
  CHECK(has(refusal([](Kernel& k) {
              k.load(k.view(k.pointer("p", f32), {8}, {1}), {0, 0});
            }),
            "2 indices into view<f32, 1>"));
  CHECK(has(refusal([](Kernel& k) { k.store(k.view(k.pointer("p", f32), {8}, {1}), {0}, k.range(4)); }),
            "tile<4xi32> meets memory of f32"));
  CHECK(has(refusal([](Kernel& k) {
              std::vector<Tile> leaked;
              k.loop(0, 4, 1, [&](const Tile& i) { leaked.push_back(i + 1); });
              leaked[0] + 1;
            }),
            "used outside of the loop"));
  CHECK(has(refusal([](Kernel& k) {
              const auto outer = k.scalar("s", f32);
              reduce(k.full(f32, {4}, 0), 0, [&](const Tile& a, const Tile& b) { return a + b * outer; });
            }),
            "sees its own values only"));
  CHECK(has(refusal([](Kernel& k) {
              const auto outer = k.scalar("s", f32);
              tile::call("f", carry(outer), [&](const Tile& a) { return carry(a * outer); });
            }),
            "sees its own values only"));
  CHECK(has(refusal([](Kernel& k) { tile::fast(k.scalar("s", f32)); }), "such as fast(exp(x))"));
}
