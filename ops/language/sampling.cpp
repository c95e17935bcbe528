// From logits to the next token: penalties, the most probable ones only, and the choice.
//
// Sums of probabilities are kept as whole numbers, which any order of adding makes the same. So the choice is the same on
// every device.
#include <limits>

#include "ops/engine/walk.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto f32 = tile::DType::f32;
constexpr auto i32 = tile::DType::i32;
constexpr auto i64 = tile::DType::i64;
constexpr auto u64 = tile::DType::u64;
constexpr double infinity = std::numeric_limits<double>::infinity();

// ---- penalties ---------------------------------------------------------------------------------------------------------

void run_penalties(Call& call) {
  const Tensor &logits = call.tensor(0), &penalties = call.tensor(3);
  call.expect_rank(0, 2, 2);
  call.expect_dtype(0, floats);
  call.expect_shape(1, logits);
  call.expect_shape(2, logits);
  call.expect_shape(3, logits.dims().first(1));
  call.expect_dtype(3, floats);
  call.expect_no_overlap(0, false);
  Walk walk(call, logits.dims());
  const int x = walk.write(logits), prompt = walk.read(call.tensor(1)),
            output = walk.read(call.tensor(2)),
            penalty = walk.read(penalties.with_axis(1, logits.shape[1], 0));
  walk.run(call.key(), "repetition_penalties", [&](const Here& here) {
    const Tile value = to_computed(here.load(x), logits.dtype);
    const Tile by = cast(to_computed(here.load(penalty), penalties.dtype), value.dtype());
    const Tile seen = (here.load(prompt) != 0) | (here.load(output) != 0);
    here.store(
        x, to_stored(where(seen, where(value > 0.0, value / by, value * by), value), logits.dtype));
  });
}

// ---- the most probable ones ------------------------------------------------------------------------------------------

// Probabilities in units of 2^-40. A sum of 2^22 of them is below 2^63.
constexpr double units = 0x1p40;
constexpr std::int64_t most_classes = std::int64_t{1} << 22;

// How a row is read: in float32, which is what tells classes apart. `logits`: probabilities are exp(x - largest), and what comes out are the logits with -inf for those
// that are left out; else x are probabilities, and one of them is drawn.
struct Variant {
  DType type;
  DType k_type, p_type;  // boolean: there is none
  bool logits = false;
  DType out = DType::i64;
  int width = 0;
  bool has_k() const { return k_type != DType::boolean; }
  bool has_p() const { return p_type != DType::boolean; }
};

class RowKernel {
 public:
  RowKernel(Kernel& kernel, const Variant& variant, const tile::View& in, const Tile& row_number,
            const Tile& class_count)
      : k(kernel), v(variant), view(in), row(row_number), classes(class_count), largest(row) {
    if (v.logits)
      largest = k.loop(
          zero(), classes, k.constant(i64, v.width), k.constant(f32, -infinity),
          [&](const Tile& at, const Tile& before) { return max(before, reduce_max(load(at), 0)); });
  }
  Tile zero() const { return k.constant(i64, 0); }
  Tile load(const Tile& at) const {
    return cast(
        reshape(k.load(view, {row, at}, {1, v.width}, v.logits ? -infinity : 0.0), {v.width}), f32);
  }
  Tile inside(const Tile& at) const { return cast(k.range(v.width), i64) + at < classes; }
  // Whole numbers in the order of the floating-point ones; -0 and 0 are one.
  Tile rank(const Tile& x) const {
    const Tile bits = bitcast(where(x == 0.0, 0.0, x), i32);
    return where(bits < 0, bits ^ 0x7fffffff, bits);
  }
  Tile weight(const Tile& x) const { return cast((v.logits ? exp(x - largest) : x) * units, i64); }
  // Sums `what(x, at)` over the row.
  template <typename F>
  Tile total(F what) const {
    return k.loop(zero(), classes, k.constant(i64, v.width), zero(),
                  [&](const Tile& at, const Tile& before) {
                    return before + sum(where(inside(at), what(load(at)), 0), 0);
                  });
  }
  // The highest rank `t` for which what ranks at or above it adds up to `wanted` or more; at least `low`. Bit by bit:
  // `what` is never negative, so the sum falls as t grows.
  template <typename F>
  Tile threshold(const Tile& low, const Tile& wanted, F what) const {
    const auto found = k.loop_while(
        carry(cast(low, i64), k.constant(i64, 0x7fffffffLL)),
        [&](const Tile& least, const Tile& most) { return least < most; },
        [&](const Tile& least, const Tile& most) {
          const Tile middle = least + (most - least + 1) / 2;
          const Tile level = cast(middle, i32);
          const Tile reached =
              total([&](const Tile& x) { return where(rank(x) >= level, what(x), 0); });
          const Tile enough = reached >= wanted;
          return carry(where(enough, middle, least), where(enough, most, middle - 1));
        });
    return cast(found[0], i32);
  }

  Kernel& k;
  const Variant& v;
  tile::View view;
  Tile row, classes, largest;
};

std::string row_text(const Call& call, const Variant& v) {
  const std::string name = call.op().name();
  tile::Module module;
  module.kernel("ops_top_k_top_p", {{"WIDTH", v.width}}, [&](Kernel& k) {
    const auto from = k.pointer("x", stored_as(v.type), v.logits ? "" : "readonly");
    const auto ks = v.has_k() ? k.pointer("k", stored_as(v.k_type), "readonly, noalias") : from;
    const auto ps = v.has_p() ? k.pointer("p", stored_as(v.p_type), "readonly, noalias") : from;
    const auto to = k.pointer("out", stored_as(v.out));
    const auto size = [&](const char* n) { return k.scalar(n, i64); };
    const Tile rows = size("rows"), classes = size("classes");
    const Tile x_row = size("x_row"), x_unit = size("x_unit"), k_step = size("k_step"),
               p_step = size("p_step");
    const Tile out_row = size("out_row"), out_unit = size("out_unit");
    const Tile seed = size("seed"), offset = size("offset");
    for_each_block(k, rows, [&](const Tile& row) {
      const RowKernel line(k, v, k.view(from, {rows, classes}, {x_row, x_unit}), row, classes);
      if (!v.logits)
        k.loop(line.zero(), classes, k.constant(i64, v.width), [&](const Tile& at) {
          const Tile x = line.load(at);
          k.require((x >= 0.0) & (x <= 1.0), name + ": a probability is not between 0 and 1");
        });
      const auto one = [&](const Tile&) { return k.full(i64, {v.width}, 1); };
      const auto weight = [&](const Tile& x) { return line.weight(x); };
      Tile lowest = k.constant(i32, v.logits ? std::numeric_limits<std::int32_t>::min() : 0);
      if (v.has_k()) {
        // 0 and less, and as many as there are or more: all.
        const Tile given = cast(k.load(k.view(ks, {rows}, {k_step}), {row}), i64);
        const Tile wanted = where((given <= 0) | (given > classes), classes, given);
        lowest = line.threshold(lowest, wanted, one);
      }
      const auto kept = [&](const Tile& x) {
        return where(line.rank(x) >= lowest, line.weight(x), 0);
      };
      if (v.has_p()) {
        const Tile all = line.total(kept);
        const Tile p = cast(k.load(k.view(ps, {rows}, {p_step}), {row}), f32);
        k.require((p >= 0.0) & (p <= 1.0), name + ": an element of p is not between 0 and 1");
        // The part p of all, rounded up, in whole numbers: p has at most 24 digits that count here.
        const Tile digits = cast(p * 0x1p24, i64);
        const Tile part = (all >> 24) * digits + (((all & 0xffffff) * digits + 0xffffff) >> 24);
        const Tile found = line.threshold(lowest, max(part, 1), weight);
        lowest = where(p >= 1.0, lowest, found);
      }
      if (v.logits) {
        const tile::View out = k.view(to, {rows, classes}, {out_row, out_unit});
        k.loop(line.zero(), classes, k.constant(i64, v.width), [&](const Tile& at) {
          const Tile stored = reshape(k.load(line.view, {row, at}, {1, v.width}), {v.width});
          const Tile x = cast(stored, computed_as(v.type));
          const Tile chosen = (line.rank(cast(stored, f32)) >= lowest) | isnan(x);
          k.store(out, {row, at},
                  reshape(cast(where(chosen, x, -infinity), stored_as(v.out)), {1, v.width}));
        });
        return;
      }
      const Tile all = line.total(kept);
      k.require(all > 0, name + ": the probabilities of a row add up to 0");
      const auto words = philox(seed, row + offset);
      const Tile word = (cast(words[0], u64) << 32) | cast(words[1], u64);
      const Tile drawn = cast(word % cast(max(all, 1), u64), i64);
      // The first class at which the running sum passes what was drawn: so many running sums do not.
      const auto found =
          k.loop(line.zero(), classes, k.constant(i64, v.width), carry(line.zero(), line.zero()),
                 [&](const Tile& at, const Tile& before, const Tile& below) {
                   const Tile some = where(line.inside(at), kept(line.load(at)), 0);
                   const Tile running = cumsum(some, 0) + before;
                   const Tile passed = cast((running <= drawn) & line.inside(at), i64);
                   return carry(before + sum(some, 0), below + sum(passed, 0));
                 });
      k.store(k.view(to, {rows}, {out_row}), {row}, cast(found[1], stored_as(v.out)));
    });
  });
  return module.text(false);
}

// Rows of `x` with limits of their own; seed and offset where one of each is drawn.
void run_rows(Call& call, std::size_t k, std::size_t p, std::size_t output, bool logits,
              std::int64_t seed, std::int64_t offset) {
  const Tensor &x = call.tensor(0), &out = call.tensor(output);
  const std::int64_t rows = x.shape[0], classes = x.shape[1];
  for (const std::size_t i : {k, p})
    if (call.has(i)) call.expect_shape(i, {&rows, 1});
  if (call.has(p)) call.expect_dtype(p, floats);
  if (rows == 0) return;
  if (classes == 0) {
    if (logits) return;
    call.refuse(0, "has no classes");
  }
  if (classes > most_classes)
    call.refuse(0, "has {} classes; {} are the most", classes, most_classes);
  Variant v{x.dtype, call.has(k) ? call.tensor(k).dtype : DType::boolean,
            call.has(p) ? call.tensor(p).dtype : DType::boolean};
  v.logits = logits;
  v.out = out.dtype;
  v.width = 128;
  const int most = call.device().is_serial() ? 4096 : 1024;
  while (v.width < classes && v.width < most) v.width *= 2;
  Key key = call.key();
  for (const DType dtype : {v.type, v.k_type, v.p_type, v.out})
    key.add(static_cast<std::uint64_t>(dtype), 4);
  key.add(static_cast<std::uint64_t>(v.width), 13);
  Launch launch(call, call.device().kernel(key, [&] { return row_text(call, v); }));
  launch.pointer(x.address);
  for (const std::size_t i : {k, p})
    if (call.has(i)) launch.pointer(call.tensor(i).address);
  launch.pointer(out.address).integer(rows).integer(classes);
  launch.integer(x.strides[0]).integer(x.strides[1]);
  for (const std::size_t i : {k, p}) launch.integer(call.has(i) ? call.tensor(i).strides[0] : 0);
  launch.integer(out.strides[0]).integer(logits ? out.strides[1] : 0);
  launch.integer(seed).integer(offset).run(rows);
}

void run_apply(Call& call) {
  call.expect_rank(0, 2, 2);
  call.expect_dtype(0, floats);
  call.expect_shape(3, call.tensor(0));
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3);
  if (!call.has(1) && !call.has(2)) {
    if (call.tensor(3).address != call.tensor(0).address)
      copy(call, call.tensor(3), call.tensor(0));
    return;
  }
  run_rows(call, 1, 2, 3, true, 0, 0);
}

void run_sample(Call& call) {
  call.expect_rank(0, 2, 2);
  call.expect_dtype(0, floats);
  call.expect_shape(5, call.tensor(0).dims().first(1));
  call.expect_dtype(5, indices);
  call.expect_no_overlap(5, false);
  run_rows(call, 1, 2, 5, false, call.integer(3), call.integer(4));
}

}  // namespace

void add_sampling(Table& table) {
  table.add(
      "apply_repetition_penalties(Tensor! logits, Tensor:bool prompt_mask, Tensor:bool "
      "output_mask, Tensor repetition_penalties)",
      floats, ulp(1), run_penalties);
  table.add("apply_top_k_top_p(Tensor logits, Tensor?:int k, Tensor? p, Tensor! out)", floats,
            exact, run_apply);
  table.add(
      "top_k_top_p_sampling_from_probs(Tensor probs, Tensor?:int top_k, Tensor? top_p, int seed, "
      "int offset=0, Tensor! out)",
      floats, exact, run_sample);
}

}  // namespace flagos::ops
