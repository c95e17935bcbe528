// Random numbers: Philox 4x32-10 with key = seed and counters from `offset` on, the same bits on every device. Whatever
// floating-point arithmetic there is, is made of additions and multiplications that round once (`strict`) and of exact
// conversions, and never of functions of the device.
//
// Elements are numbered in row-major order, however the output lies. Four elements share a counter, or two where one takes
// 64 bits, so a call that is followed by one with its offset higher by the number of elements never meets it.
#include <cmath>
#include <limits>

#include "ops/engine/copy.hpp"
#include "ops/engine/sort.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i32 = tile::DType::i32;
constexpr auto i64 = tile::DType::i64;
constexpr auto u64 = tile::DType::u64;

Tile add(const tile::Operand& a, const tile::Operand& b) { return strict(a + b); }
Tile multiply(const tile::Operand& a, const tile::Operand& b) { return strict(a * b); }

using Words = std::array<Tile, 4>;
// What becomes of the words of one counter: two or four tiles.
using Body = std::function<std::vector<Tile>(Kernel&, const Words&, const std::vector<Tile>& p)>;

struct Given {
  tile::DType computed;
  double real;
  std::int64_t integer;
};

// Elements one behind the other: the results of a counter, then those of the next.
Tile in_a_row(const std::vector<Tile>& parts) {
  const int count = parts[0].shape()[0] * static_cast<int>(parts.size());
  if (parts.size() == 2) return reshape(join(parts[0], parts[1]), {count});
  return reshape(join(join(parts[0], parts[2]), join(parts[1], parts[3])), {count});
}

// Fills `out` with what `body` makes; `which` tells the bodies of an operator apart.
void generate(const Call& call, const Tensor& target, std::int64_t seed, std::int64_t offset,
              int which, int per_counter, const std::vector<Given>& given, const Body& body) {
  const std::int64_t n = target.elements();
  if (n == 0) return;
  std::unique_ptr<Scratch> scratch;
  if (!target.is_dense()) scratch = std::make_unique<Scratch>(call, target.dtype, target.dims());
  const Tensor& out = scratch ? scratch->tensor() : target;
  const bool serial = call.device().is_serial();
  const int width = serial ? 2048 : 1024, counters = width / per_counter;
  Key key = call.key();
  key.add(static_cast<std::uint64_t>(which), 4)
      .add(static_cast<std::uint64_t>(out.dtype), 4)
      .add(serial, 1);
  flagos_kernel_t* const kernel = call.device().kernel(key, [&] {
    tile::Module module;
    module.kernel("ops_random", {{"WIDTH", width}}, [&](Kernel& k) {
      const auto to = k.pointer("out", stored_as(out.dtype), "noalias");
      const Tile key_of = k.scalar("seed", i64), first = k.scalar("offset", i64),
                 elements = k.scalar("n", i64);
      std::vector<Tile> p;
      for (std::size_t i = 0; i < given.size(); ++i)
        p.push_back(k.scalar(fmt::format("p{}", i), number_dtype(given[i].computed)));
      for_each_block(k, (elements + (width - 1)) / width, [&](const Tile& block) {
        const Tile at = cast(k.range(counters), i64) + (block * counters + first);
        const Words words = philox(key_of, at);
        k.store(k.view(to, {elements}, {1}), {block * width},
                to_stored(in_a_row(body(k, words, p)), out.dtype));
      });
    });
    return module.text(false);
  });
  Launch launch(call, kernel);
  launch.pointer(out.address).integer(seed).integer(offset).integer(n);
  for (const Given& number : given) launch.number(number.computed, number.real, number.integer);
  launch.run((n + width - 1) / width);
  if (scratch) copy(call, target, out);
}

// ---- from words to numbers -------------------------------------------------------------------------------------------

// How many bits of a word a uniform number of this type has, so that it stays below 1.
int digits_of(DType dtype) { return dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24; }

Tile long_word(const Tile& high, const Tile& low) {
  return (cast(high, u64) << 32) | cast(low, u64);
}

// The upper `digits` bits as a whole number of i32, or of i64 for 53.
Tile upper(const Tile& word, int digits) { return cast(word >> (32 - digits), i32); }
Tile upper53(const Tile& high, const Tile& low) { return cast(long_word(high, low) >> 11, i64); }

std::vector<Tile> unit_interval(DType dtype, const Words& w) {
  std::vector<Tile> out;
  if (dtype == DType::f64) {
    for (int i = 0; i < 4; i += 2)
      out.push_back(multiply(cast(upper53(w[i], w[i + 1]), tile::DType::f64), 0x1p-53));
    return out;
  }
  const int digits = digits_of(dtype);
  for (const Tile& word : w)
    out.push_back(multiply(cast(upper(word, digits), tile::DType::f32), std::ldexp(1.0, -digits)));
  return out;
}

// c0 + x (c1 + x (c2 + ...)), rounded after every operation.
Tile polynomial(const Tile& x, const std::vector<double>& c) {
  Tile sum = x * 0.0 + c.back();
  bool first = true;
  for (std::size_t i = c.size() - 1; i-- > 0;) {
    sum = first ? add(multiply(x, c.back()), c[i]) : add(multiply(sum, x), c[i]);
    first = false;
  }
  return sum;
}

// Two normal numbers from two whole numbers of `digits` bits (24 for f32, 53 for f64), as Box and Muller do:
// r = sqrt(-2 ln((k + 1) / 2^digits)), then r cos and r sin of the angle l / 2^digits of a circle. All of it in additions
// and multiplications, so that every device comes to the same bits.
std::array<Tile, 2> box_muller(bool wide, const Tile& k, const Tile& l) {
  const tile::DType real = wide ? tile::DType::f64 : tile::DType::f32, whole = wide ? i64 : i32;
  const int digits = wide ? 53 : 24, mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127;
  // ln u: u = 2^e m with m between sqrt(1/2) and sqrt(2), ln m = 2 atanh(s) with s = (m - 1) / (m + 1).
  const Tile u = multiply(cast(k + 1, real), std::ldexp(1.0, -digits));
  const Tile bits = bitcast(u, whole);
  const Tile low_bits =
      (bits & ((1LL << mantissa) - 1)) | (static_cast<long long>(bias) << mantissa);
  const Tile m1 = bitcast(low_bits, real);
  const Tile large = m1 > 1.41421356237309504880;
  const Tile m = where(large, multiply(m1, 0.5), m1);
  const Tile e = cast((bits >> mantissa) - bias + cast(large, whole), real);
  const Tile sum = add(m, 1.0);
  // 1 / sum: a line that is right within 2 percent where sum is 1.7 to 2.42, then Newton's steps.
  Tile inverse = add(multiply(sum, -0.2427), 0.9927);
  for (int i = 0; i < (wide ? 4 : 3); ++i)
    inverse = multiply(inverse, add(multiply(multiply(sum, inverse), -1.0), 2.0));
  const Tile s = multiply(add(m, -1.0), inverse), square = multiply(s, s);
  std::vector<double> atanh_terms;
  for (int i = 0; i < (wide ? 12 : 6); ++i) atanh_terms.push_back(2.0 / (2 * i + 1));
  const Tile log_m = multiply(s, polynomial(square, atanh_terms));
  // ln 2 in two parts; the first has so few digits that its product with e is exact.
  const Tile log_u =
      add(multiply(e, wide ? 0x1.62e42fefa38p-1 : 0x1.62e4p-1),
          add(multiply(e, wide ? 0x1.ef35793c76730p-45 : 0x1.7f7d1cf79abcap-20), log_m));
  const Tile v = multiply(log_u, -2.0);
  // sqrt v = v / sqrt v; the bits of v give a first guess of 1 / sqrt v.
  Tile root =
      bitcast((bitcast(v, whole) >> 1) * -1 + (wide ? 0x5fe6eb50c7b537a9LL : 0x5f3759dfLL), real);
  for (int i = 0; i < (wide ? 5 : 4); ++i)
    root = multiply(root, add(multiply(multiply(multiply(v, -0.5), root), root), 1.5));
  const Tile radius = multiply(v, root);
  // The nearest quarter of the circle, and the angle from there.
  const Tile quarter = (l + (1LL << (digits - 3))) >> (digits - 2);
  const Tile rest = cast(l - (quarter << (digits - 2)), real);
  const Tile angle = multiply(rest, std::ldexp(6.28318530717958647693, -digits));
  const Tile angle2 = multiply(angle, angle);
  std::vector<double> sine_terms{1}, cosine_terms{1};
  for (int i = 1; i < (wide ? 10 : 6); ++i) {
    cosine_terms.push_back(-cosine_terms.back() / ((2 * i - 1) * (2 * i)));
    sine_terms.push_back(-sine_terms.back() / ((2 * i) * (2 * i + 1)));
  }
  const Tile sine = multiply(angle, polynomial(angle2, sine_terms));
  const Tile cosine = polynomial(angle2, cosine_terms);
  const Tile side = quarter & 3;
  const Tile odd = (side & 1) != 0;
  const Tile x = where(odd, sine, cosine), y = where(odd, cosine, sine);
  const Tile left = (side == 1) | (side == 2), below = side >= 2;
  return {multiply(radius, where(left, multiply(x, -1.0), x)),
          multiply(radius, where(below, multiply(y, -1.0), y))};
}

std::vector<Tile> normals(DType dtype, const Words& w) {
  if (dtype == DType::f64) {
    const auto both = box_muller(true, upper53(w[0], w[1]), upper53(w[2], w[3]));
    return {both[0], both[1]};
  }
  const auto a = box_muller(false, upper(w[0], 24), upper(w[1], 24));
  const auto b = box_muller(false, upper(w[2], 24), upper(w[3], 24));
  return {a[0], a[1], b[0], b[1]};
}

// ---- operators -------------------------------------------------------------------------------------------------------

int per_counter(DType dtype) { return dtype == DType::f64 ? 2 : 4; }

// factor * x + shift, where x is uniform or normal.
void run_scaled(const Call& call, std::size_t seed, bool normal, double factor, double shift) {
  const Tensor& out = call.tensor(seed + 2);
  call.expect_dtype(seed + 2, floats);
  const tile::DType computed = computed_as(out.dtype);
  generate(call, out, call.integer(seed), call.integer(seed + 1), 0, per_counter(out.dtype),
           {{computed, factor, 0}, {computed, shift, 0}},
           [&](Kernel&, const Words& w, const std::vector<Tile>& p) {
             std::vector<Tile> values =
                 normal ? normals(out.dtype, w) : unit_interval(out.dtype, w);
             for (Tile& value : values) value = add(multiply(value, p[0]), p[1]);
             return values;
           });
}

void run_rand(Call& call) { run_scaled(call, 0, false, 1, 0); }
void run_randn(Call& call) { run_scaled(call, 0, true, 1, 0); }
void run_uniform(Call& call) {
  const double from = call.real(0), to = call.real(1);
  if (!(from <= to) || !std::isfinite(to - from)) call.refuse(1, "is {}, and from is {}", to, from);
  run_scaled(call, 2, false, to - from, from);
}
void run_normal(Call& call) {
  if (!(call.real(1) >= 0)) call.refuse(1, "is {}; 0 is the least", call.real(1));
  run_scaled(call, 2, true, call.real(1), call.real(0));
}

void run_randint(Call& call) {
  const std::int64_t low = call.integer(0), high = call.integer(1);
  const Tensor& out = call.tensor(4);
  call.expect_dtype(4, numbers);
  if (low >= high) call.refuse(1, "is {}, and low is {}: there is nothing between", high, low);
  if (is_integral(out.dtype) && out.dtype != DType::i64) {
    const int bits = static_cast<int>(size_of(out.dtype)) * 8;
    const bool is_unsigned = out.dtype == DType::u8;
    const std::int64_t least = is_unsigned ? 0 : -(1LL << (bits - 1)),
                       most = is_unsigned ? 255 : (1LL << (bits - 1)) - 1;
    if (low < least || high - 1 > most)
      call.refuse(4, "is of {}, which holds {} to {}", dtype_name(out.dtype), least, most);
  }
  const auto width =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low));
  generate(call, out, call.integer(2), call.integer(3), 0, 2, {{i64, 0, low}, {i64, 0, width}},
           [](Kernel&, const Words& w, const std::vector<Tile>& p) {
             std::vector<Tile> values;
             for (int i = 0; i < 4; i += 2) {
               const Tile word = long_word(w[i], w[i + 1]);
               values.push_back(cast(word % cast(p[1], u64), i64) + p[0]);
             }
             return values;
           });
}

// A uniform number in float32 for each element.
void uniform_for(const Call& call, const Tensor& out, std::int64_t seed, std::int64_t offset) {
  generate(call, out, seed, offset, 1, 4, {},
           [](Kernel&, const Words& w, const std::vector<Tile>&) {
             return unit_interval(DType::f32, w);
           });
}

void run_bernoulli(Call& call) {
  const Tensor &p = call.tensor(0), &out = call.tensor(3);
  call.expect_dtype(0, floats);
  call.expect_shape(3, p);
  call.expect_dtype(3, everything);
  call.expect_no_overlap(3, p.dtype == out.dtype);
  if (out.elements() == 0) return;
  const Scratch drawn(call, DType::f32, out.dims());
  uniform_for(call, drawn.tensor(), call.integer(1), call.integer(2));
  Walk walk(call, out.dims());
  const int to = walk.write(out), from = walk.read(p), by = walk.read(drawn.tensor());
  walk.run(call.key().add(2, 4), "bernoulli", [&](const Here& here) {
    const Tile chance = to_computed(here.load(from), p.dtype);
    here.require((chance >= 0.0) & (chance <= 1.0),
                 "bernoulli: a probability is not between 0 and 1");
    const Tile yes = cast(here.load(by), chance.dtype()) < chance;
    here.store(to, cast(yes, stored_as(out.dtype)));
  });
}

void run_dropout(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(5), &mask = call.tensor(6);
  const double p = call.real(1);
  call.expect_dtype(0, floats);
  call.expect_shape(5, in);
  call.expect_same_dtype(5, 0);
  call.expect_shape(6, in);
  call.expect_dtype(6, DType::boolean);
  call.expect_no_overlap(5);
  call.expect_no_overlap(6, false);
  if (!(p >= 0 && p <= 1)) call.refuse(1, "is {}; 0 to 1 are allowed", p);
  if (out.elements() == 0) return;
  if (!call.flag(2)) {
    if (out.address != in.address) copy(call, out, in);
    return fill(call, mask, Scalar{DType::i64, 1, 1});
  }
  const Scratch drawn(call, DType::f32, out.dims());
  uniform_for(call, drawn.tensor(), call.integer(3), call.integer(4));
  Walk walk(call, out.dims());
  const int to = walk.write(out), from = walk.read(in), by = walk.read(drawn.tensor()),
            kept = walk.write(mask);
  walk.number(tile::DType::f32, p, 0).number(computed_as(in.dtype), p < 1 ? 1 / (1 - p) : 0, 0);
  walk.run(call.key().add(2, 4), "dropout", [&](const Here& here) {
    const Tile x = to_computed(here.load(from), in.dtype);
    const Tile keep = here.load(by) >= here.full(tile::DType::f32, here.numbers[0]);
    here.store(kept, cast(keep, tile::DType::u8));
    here.store(to, to_stored(where(keep, x * here.numbers[1], 0.0), out.dtype));
  });
}

void run_randperm(Call& call) {
  const std::int64_t n = call.integer(0);
  const Tensor& out = call.tensor(3);
  if (n < 0) call.refuse(0, "is {}", n);
  call.expect_dtype(3, numbers);
  call.expect_shape(3, {&n, 1});
  if (n == 0) return;
  // The order of random numbers of 63 bits: of 2^20 of them two are equal once in 16 million calls.
  const Scratch drawn(call, DType::i64, out.dims());
  const auto two_of_a_counter = [](Kernel&, const Words& w, const std::vector<Tile>&) {
    return std::vector<Tile>{cast(long_word(w[0], w[1]) >> 1, i64),
                             cast(long_word(w[2], w[3]) >> 1, i64)};
  };
  generate(call, drawn.tensor(), call.integer(1), call.integer(2), 1, 2, {}, two_of_a_counter);
  const Sorted sorted(call, drawn.tensor(), 0, false);
  copy(call, out, sorted.order());
}

void run_multinomial(Call& call) {
  const Tensor &probs = call.tensor(0), &out = call.tensor(5);
  const std::int64_t samples = call.integer(1);
  const bool replacement = call.flag(2);
  call.expect_rank(0, 1, 2);
  call.expect_dtype(0, floats);
  call.expect_dtype(5, DType::i64);
  const std::int64_t classes = probs.shape[probs.rank - 1],
                     rows = probs.rank == 2 ? probs.shape[0] : 1;
  if (samples < 1) call.refuse(1, "is {}; 1 is the least", samples);
  if (!replacement && samples > classes)
    call.refuse(1, "is {}; without replacement {} are the most", samples, classes);
  Tensor shape = probs;
  shape.shape[shape.rank - 1] = samples;
  call.expect_shape(5, shape);
  call.expect_no_overlap(5, false);
  if (rows == 0) return;
  if (classes == 0) call.refuse(0, "has no classes");
  const bool wide = probs.dtype == DType::f64;
  const tile::DType real = wide ? tile::DType::f64 : tile::DType::f32;
  const Scratch weights(call, wide ? DType::f64 : DType::f32, probs.dims());
  copy(call, weights.tensor(), probs);
  std::unique_ptr<Scratch> scratch;
  if (!out.is_dense()) scratch = std::make_unique<Scratch>(call, DType::i64, out.dims());
  const Tensor& target = scratch ? scratch->tensor() : out;
  // A sample is the first class at which the running sum of the weights passes a uniform part of the whole sum.
  constexpr int lanes = 64;
  flagos_kernel_t* const kernel =
      call.device().kernel(call.key().add(wide, 1).add(replacement, 1), [&] {
        tile::Module module;
        module.kernel("ops_multinomial", {{"LANES", lanes}}, [&](Kernel& k) {
          const auto given = k.pointer("weights", real, "noalias"),
                     to = k.pointer("out", i64, "noalias");
          const Tile key_of = k.scalar("seed", i64), first = k.scalar("offset", i64),
                     all = k.scalar("rows", i64), count = k.scalar("classes", i64),
                     wanted = k.scalar("samples", i64);
          const tile::View weight = k.view(given, {all, count}, {count, 1}),
                           chosen = k.view(to, {all, wanted}, {wanted, 1});
          const Tile zero = k.constant(i64, 0), one = k.constant(i64, 1);
          const auto total_of = [&](const Tile& row) {
            return k.loop(zero, count, one, k.constant(real, 0.0),
                          [&](const Tile& j, const Tile& sum) {
                            return add(sum, k.load(weight, {row, j}));
                          });
          };
          const auto uniform = [&](const Words& w) {
            return wide ? multiply(cast(upper53(w[0], w[1]), real), 0x1p-53)
                        : multiply(cast(upper(w[0], 24), real), 0x1p-24);
          };
          for_each_block(k, all, [&](const Tile& row) {
            k.loop(zero, count, one, [&](const Tile& j) {
              const Tile w = k.load(weight, {row, j});
              k.require((w >= 0.0) & (w < std::numeric_limits<double>::infinity()),
                        "multinomial: a probability is negative, infinite or NaN");
            });
            if (replacement) {
              const Tile total = total_of(row);
              k.require(total > 0.0, "multinomial: the probabilities of a row add up to 0");
              k.loop(zero, wanted, k.constant(i64, lanes), [&](const Tile& at) {
                const Tile number = cast(k.range(lanes), i64) + (row * wanted + at + first);
                const Tile part = multiply(uniform(philox(key_of, number)), total);
                const auto found = k.loop(
                    zero, count, one, tile::carry(k.constant(real, 0.0), k.full(i64, {lanes}, 0)),
                    [&](const Tile& j, const Tile& sum, const Tile& below) {
                      const Tile next = add(sum, k.load(weight, {row, j}));
                      return tile::carry(next, below + cast(part >= next, i64));
                    });
                k.store(chosen, {row, at}, reshape(found[1], {1, lanes}));
              });
            } else {
              k.loop(zero, wanted, one, [&](const Tile& at) {
                const Tile total = total_of(row);
                k.require(total > 0.0,
                          "multinomial: a row has fewer probabilities above 0 than samples");
                const Tile part =
                    multiply(uniform(philox(key_of, row * wanted + at + first)), total);
                const auto found =
                    k.loop(zero, count, one, tile::carry(k.constant(real, 0.0), zero),
                           [&](const Tile& j, const Tile& sum, const Tile& below) {
                             const Tile next = add(sum, k.load(weight, {row, j}));
                             return tile::carry(next, below + cast(part >= next, i64));
                           });
                k.store(chosen, {row, at}, found[1]);
                k.store(weight, {row, found[1]}, 0.0);
              });
            }
          });
        });
        return module.text(false);
      });
  Launch launch(call, kernel);
  launch.pointer(weights.tensor().address)
      .pointer(target.address)
      .integer(call.integer(3))
      .integer(call.integer(4));
  launch.integer(rows).integer(classes).integer(samples).run(rows);
  if (scratch) copy(call, out, target);
}

}  // namespace

void add_random(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
  row("rand(int seed, int offset=0, Tensor! out)", floats, run_rand);
  row("randn(int seed, int offset=0, Tensor! out)", floats, run_randn);
  row("uniform(float from=0, float to=1, int seed, int offset=0, Tensor! out)", floats,
      run_uniform);
  row("normal(float mean=0, float std=1, int seed, int offset=0, Tensor! out)", floats, run_normal);
  row("bernoulli(Tensor p, int seed, int offset=0, Tensor! out)", floats, run_bernoulli);
  row("dropout(Tensor input, float p=0.5, bool train=1, int seed, int offset=0, Tensor! out, "
      "Tensor! mask)",
      floats, run_dropout);
  row("randint(int low=0, int high, int seed, int offset=0, Tensor! out)", numbers, run_randint);
  row("randperm(int n, int seed, int offset=0, Tensor! out)", numbers, run_randperm);
  row("multinomial(Tensor probs, int num_samples, bool replacement=0, int seed, int offset=0, "
      "Tensor! out)",
      floats, run_multinomial);
}

}  // namespace flagos::ops
