// Losses: a term for each element, or for each line of classes; all of them, their sum or their mean.
#include "ops/engine/reduction.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

using State1 = std::array<Tile, 1>;
using State2 = std::array<Tile, 2>;
enum Word : std::uint8_t { mean, sum, none };  // of the schemas: reduction=mean|sum|none

DType kept_as(tile::DType computed) {
  return computed == tile::DType::f64 ? DType::f64 : DType::f32;
}

// ---- of elements -----------------------------------------------------------------------------------------------------

struct Terms {
  const Tile &x, &y;              // input and target
  const Tile *weight, *positive;  // NULL when they are absent
  const std::vector<Tile>& numbers;
  bool flag;
};
using Term = Tile (*)(const Terms&);

struct TermPlaces {
  std::size_t weight, positive, word, number, flag, out;  // 0: the operator has none
};

void run_terms(Call& call, const TermPlaces& at, Term term) {
  call.expect_dtype(0, call.op().dtypes());
  std::vector<std::size_t> inputs{0, 1};
  for (const std::size_t i : {at.weight, at.positive})
    if (i != 0 && call.has(i)) inputs.push_back(i);
  Tensor shape = call.tensor(0);
  for (const std::size_t i : inputs) {
    call.expect_same_dtype(i, 0);
    try {
      shape = broadcast_shape(shape, call.tensor(i));
    } catch (const Error& error) {
      call.refuse(i, "does not fit: {}", error.what());
    }
  }
  const auto word = static_cast<Word>(call.word(at.word));
  call.expect_same_dtype(at.out, 0);
  call.expect_shape(at.out, word == none ? shape.dims() : std::span<const std::int64_t>());
  call.expect_no_overlap(at.out, word == none);
  if (shape.elements() == 0 ? word == none : run_native(call)) return;
  const bool weighted = at.weight != 0 && call.has(at.weight);
  const bool positive = at.positive != 0 && call.has(at.positive);
  const bool flag = at.flag != 0 && call.flag(at.flag);
  // All is one line, or the last axis where every term is kept: then there is work for many programs.
  const std::uint32_t all = (1U << shape.rank) - 1;
  const std::uint32_t along = word == none && shape.rank > 0 ? 1U << (shape.rank - 1) : all;
  LineOperands operands{{call.tensor(at.out).expanded_to(shape.dims()),
                         word == none ? Part::full : Part::line, true}};
  for (const std::size_t i : inputs) operands.push_back({call.tensor(i).expanded_to(shape.dims())});
  Lines lines(call, shape.dims(), along, operands);
  lines.number(at.number != 0 ? call.real(at.number) : 0);
  const tile::DType dtype = computed_as(call.tensor(0).dtype);
  const auto terms_at = [=](LineKernel& l, const Tile& place) {
    const Tile x = l.load(1, place), y = l.load(2, place);
    const Tile w = l.load(weighted ? 3 : 1, place);
    const Tile p = l.load(positive ? (weighted ? 4 : 3) : 1, place);
    return term({x, y, weighted ? &w : nullptr, positive ? &p : nullptr, l.numbers, flag});
  };
  Key key = call.key();
  key.add(word, 2).add(weighted, 1).add(positive, 1).add(flag, 1);
  if (word == none)
    return lines.run(key, dtype, [&](LineKernel& l) {
      l.each_chunk([&](const Tile& place) { l.store(0, place, terms_at(l, place)); });
    });
  reduce<1>(call, lines, key,
            {dtype,
             {kept_as(dtype)},
             1,
             [=](LineKernel& l, const Tile& place) {
               return carry(l.sum(where(l.inside(place), terms_at(l, place), 0.0)));
             },
             [](const State1& a, const State1& b) { return carry(a[0] + b[0]); },
             [=](LineKernel& l, const State1& state) {
               l.store_line(0, word == mean ? state[0] / l.numbers.back() : state[0]);
             }});
}

// Quadratic up to a distance of `width`, then straight.
Tile bent(const Tile& distance, const Tile& width) {
  return where(distance < width, 0.5 * distance * distance, width * (distance - 0.5 * width));
}

// ---- of classes ------------------------------------------------------------------------------------------------------

// input, target, weight, reduction, ignore_index, and label_smoothing for cross_entropy, then out.
template <bool from_logits>
void run_classes(Call& call) {
  const std::size_t output = from_logits ? 6 : 5;
  const Tensor& input = call.tensor(0);
  call.expect_dtype(0, call.op().dtypes());
  call.expect_rank(0, 1, max_rank);
  call.expect_dtype(1, DType::i64);
  const int dim = input.rank == 1 ? 0 : 1;
  const Tensor lines_shape = input.without_axis(dim);
  call.expect_shape(1, lines_shape);
  const std::int64_t classes[] = {input.shape[dim]};
  if (call.has(2)) {
    call.expect_same_dtype(2, 0);
    call.expect_shape(2, classes);
  }
  const auto word = static_cast<Word>(call.word(3));
  const double smoothing = from_logits ? call.real(5) : 0;
  if (!(smoothing >= 0 && smoothing <= 1)) call.refuse(5, "is {}; 0 to 1 are allowed", smoothing);
  call.expect_same_dtype(output, 0);
  call.expect_shape(output, word == none ? lines_shape.dims() : std::span<const std::int64_t>());
  call.expect_no_overlap(output, false);
  const std::int64_t count = lines_shape.elements();
  if (word == none && count == 0) return;
  if (count != 0 && classes[0] == 0)
    call.refuse(0, "is of shape {}, without classes", input.shape_text());

  const tile::DType dtype = computed_as(input.dtype);
  const DType kept = kept_as(dtype);
  const bool weighted = call.has(2), smooth = smoothing != 0;
  const auto bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1)) * size_of(kept);
  const Workspace workspace(call.device(), call.stream(), 2 * bytes);
  Tensor losses = Tensor::dense(workspace.address(), kept, lines_shape.dims());
  Tensor weights = losses;
  weights.address += bytes;
  const auto per_line = [&](const Tensor& tensor) {
    return tensor.with_axis(dim, input.shape[dim], 0);
  };
  if (count != 0) {
    LineOperands operands{{per_line(word == none ? call.tensor(output) : losses), Part::line, true},
                          {per_line(weights), Part::line, true},
                          {input},
                          {per_line(call.tensor(1)), Part::line}};
    if (weighted) {
      Tensor weight = input;
      weight.address = call.tensor(2).address;
      weight.strides.fill(0);
      weight.strides[dim] = call.tensor(2).strides[0];
      operands.push_back({weight, Part::along});
    }
    Lines lines(call, input.dims(), 1U << dim, operands, Lines::row_major);
    lines.number(smoothing);
    lines.integer(call.integer(4));
    lines.run(call.key().add(0, 1).add(weighted, 1).add(smooth, 1), dtype, [&](LineKernel& l) {
      const Tile target = l.load_line(3, tile::DType::i64);
      const Tile ignored = target == l.integers[0];
      l.k.require(ignored | ((target >= 0) & (target < l.length)),
                  call.op().name() + ": a target is outside of the classes");
      Tile shift = l.line(0);
      if (from_logits) {
        const auto found = largest_and_sum(l, 2);
        shift = found[0] + log(found[1]);
      }
      const auto sums =
          l.chunks(carry(l.line(0), l.line(0), l.line(0)),
                   [&](const Tile& at, const std::array<Tile, 3>& s) {
                     const Tile place = expand(l.k.range(l.plan.width, tile::DType::i64) + at,
                                               l.plan.columns ? 1 : 0);
                     const Tile mine = place == target;
                     const Tile term = shift - l.load(2, at);
                     const Tile one = broadcast(l.line(1), l.tile_shape());
                     const Tile weight = weighted ? broadcast(l.load(4, at), l.tile_shape()) : one;
                     const Tile every =
                         smooth ? s[2] + l.sum(where(l.inside(at), weight * term, 0.0)) : s[2];
                     return carry(s[0] + l.sum(where(mine, weight * term, 0.0)),
                                  s[1] + l.sum(where(mine, weight, 0.0)), every);
                   });
      Tile loss = sums[0];
      if (smooth) loss = loss * (1.0 - l.numbers[0]) + sums[2] * (l.numbers[0] / l.count());
      l.store_line(0, where(ignored, 0.0, loss));
      l.store_line(1, where(ignored, 0.0, sums[1]));
    });
  }
  if (word == none) return;
  const std::int64_t flat[] = {count};
  losses = Tensor::dense(losses.address, kept, flat);
  weights = Tensor::dense(weights.address, kept, flat);
  Lines lines(call, flat, 1,
              {{call.tensor(output).expanded_to(flat), Part::line, true}, {losses}, {weights}});
  reduce<2>(call, lines, call.key().add(1, 1).add(word, 2),
            {dtype,
             {kept, kept},
             1,
             [](LineKernel& l, const Tile& at) {
               return carry(l.sum(l.load(1, at)), l.sum(l.load(2, at)));
             },
             [](const State2& a, const State2& b) { return carry(a[0] + b[0], a[1] + b[1]); },
             [=](LineKernel& l, const State2& state) {
               l.store_line(0, word == mean ? state[0] / state[1] : state[0]);
             }});
}

}  // namespace

void add_losses(Table& table) {
  constexpr Bound bound = summed(4, 8);
  table.add(
      "cross_entropy(Tensor input, Tensor:int target, Tensor? weight, str "
      "reduction=mean|sum|none, int ignore_index=-100, float label_smoothing=0.0, Tensor! out)",
      floats, bound, run_classes<true>);
  table.add(
      "nll_loss(Tensor input, Tensor:int target, Tensor? weight, str "
      "reduction=mean|sum|none, int ignore_index=-100, Tensor! out)",
      floats, bound, run_classes<false>);
  table.add("mse_loss(Tensor input, Tensor target, str reduction=mean|sum|none, Tensor! out)",
            floats, bound, [](Call& call) {
              run_terms(call, {0, 0, 2, 0, 0, 3},
                        [](const Terms& a) { return (a.x - a.y) * (a.x - a.y); });
            });
  table.add("l1_loss(Tensor input, Tensor target, str reduction=mean|sum|none, Tensor! out)",
            floats, bound, [](Call& call) {
              run_terms(call, {0, 0, 2, 0, 0, 3}, [](const Terms& a) { return abs(a.x - a.y); });
            });
  table.add(
      "smooth_l1_loss(Tensor input, Tensor target, str reduction=mean|sum|none, float beta=1.0, "
      "Tensor! out)",
      floats, bound, [](Call& call) {
        if (!(call.real(3) >= 0)) call.refuse(3, "is {}; it must not be negative", call.real(3));
        run_terms(call, {0, 0, 2, 3, 0, 4}, [](const Terms& a) {
          const Tile distance = abs(a.x - a.y);
          // With a beta of 0 it is the distance.
          return where(distance < a.numbers[0], 0.5 * distance * distance / a.numbers[0],
                       distance - 0.5 * a.numbers[0]);
        });
      });
  table.add(
      "huber_loss(Tensor input, Tensor target, str reduction=mean|sum|none, float delta=1.0, "
      "Tensor! out)",
      floats, bound, [](Call& call) {
        if (!(call.real(3) > 0)) call.refuse(3, "is {}; it must be positive", call.real(3));
        run_terms(call, {0, 0, 2, 3, 0, 4},
                  [](const Terms& a) { return bent(abs(a.x - a.y), a.numbers[0]); });
      });
  table.add(
      "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight, Tensor? "
      "pos_weight, str reduction=mean|sum|none, Tensor! out)",
      floats, bound, [](Call& call) {
        run_terms(call, {2, 3, 4, 0, 0, 5}, [](const Terms& a) {
          const Tile rest = log1p(exp(-abs(a.x))) + max(-a.x, 0.0);
          const Tile loss =
              (1.0 - a.y) * a.x +
              (a.positive != nullptr ? (1.0 + (*a.positive - 1.0) * a.y) * rest : rest);
          return a.weight != nullptr ? loss * *a.weight : loss;
        });
      });
  table.add(
      "kl_div(Tensor input, Tensor target, str reduction=mean|sum|none, bool "
      "log_target=false, Tensor! out)",
      floats, bound, [](Call& call) {
        run_terms(call, {0, 0, 2, 0, 3, 4}, [](const Terms& a) {
          if (a.flag) return exp(a.y) * (a.y - a.x);
          return where(a.y == 0.0, 0.0, a.y * (log(a.y) - a.x));
        });
      });
}

}  // namespace flagos::ops
