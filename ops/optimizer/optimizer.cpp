// Steps of optimisers over lists of tensors, in place, and the norm of all gradients.
#include <cmath>
#include <limits>
#include <optional>

#include "ops/engine/copy.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Tile;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_wide(DType dtype) { return dtype == DType::f64; }

// ---- what steps have in common ---------------------------------------------------------------------------------------

// The lists of one call: parameters first, then gradients and what the optimiser remembers.
class Step {
 public:
  // `lists`: the arguments that have a tensor for each parameter; `scale` and `found_inf` may be absent.
  Step(const Call& of_call, std::vector<std::size_t> lists, std::size_t scale,
       std::size_t found_inf)
      : call(of_call), lists_(std::move(lists)), scale_(scale), found_(found_inf) {
    for (const std::size_t i : {scale, found_inf})
      if (call.has(i)) {
        call.expect_dtype(i, DType::f32);
        if (call.tensor(i).elements() != 1)
          call.refuse(i, "is of shape {}; it takes one number", call.tensor(i).shape_text());
      }
    const auto self = call.tensors(0);
    for (const std::size_t list : lists_) {
      const auto given = call.tensors(list);
      if (given.size() != self.size())
        call.refuse(list, "has {} tensors, and self has {}", given.size(), self.size());
      for (std::size_t i = 0; i < given.size(); ++i) check(list, i);
    }
    if (call.has(scale)) divisor_ = call.tensor(scale);
    if (call.has(found_inf)) mark_left_out();
  }
  std::size_t count() const { return call.tensors(0).size(); }
  const Tensor& of(std::size_t list, std::size_t i) const { return call.tensors(list)[i]; }
  bool scaled() const { return call.has(scale_); }

  // Queues `body` for the tensors with number i: it gets what all lists hold, in the type that is computed in, and gives
  // what they hold then; the gradient divided by the scale first. `more`: numbers of one element that it gets behind.
  using Body = std::function<std::vector<Tile>(const Here&, const std::vector<Tile>&)>;
  void run(std::size_t i, Key key, const char* name, const std::vector<Tensor>& more,
           const std::vector<double>& numbers, const Body& body) const {
    const Tensor& self = of(0, i);
    const DType type = self.dtype;
    const tile::DType computed = computed_as(type);
    Walk walk(call, self.dims());
    std::vector<int> places, extra;
    std::vector<DType> types;
    for (const std::size_t list : lists_) {
      types.push_back(of(list, i).dtype);
      places.push_back(list == 1 && !scaled() ? walk.read(of(list, i)) : walk.write(of(list, i)));
    }
    const auto one_number = [&](const Tensor& tensor) {
      Tensor number = tensor;
      number.rank = 0;
      return walk.read(number);
    };
    for (const Tensor& tensor : more) extra.push_back(one_number(tensor));
    const int divisor = divisor_ ? one_number(*divisor_) : -1;
    for (const double number : numbers) walk.number(computed, number, 0);
    const bool may_leave_out = marked_ != nullptr;
    key.add(divisor >= 0, 1).add(may_leave_out, 1).add(scaled(), 1);
    walk.run(key, name, [&](const Here& here) {
      std::vector<Tile> before;
      for (std::size_t j = 0; j < places.size(); ++j)
        before.push_back(cast(to_computed(here.load(places[j]), types[j]), computed));
      std::vector<Tile> given = before;
      if (divisor >= 0) given[1] = given[1] / cast(here.load(divisor), computed);
      for (const int number : extra) given.push_back(cast(here.load(number), computed));
      std::vector<Tile> after = body(here, given);
      for (std::size_t j = 0; j < places.size(); ++j) {
        if (lists_[j] == 1 && !scaled()) continue;
        if (may_leave_out) after[j] = where(isnan(here.load(divisor)), before[j], after[j]);
        here.store(places[j], to_stored(after[j], types[j]));
      }
    });
  }

  const Call& call;

 private:
  // What gradients are divided by, and NaN where the step is left out: one operand for both.
  void mark_left_out() {
    constexpr std::array<std::int64_t, 1> one{1};
    marked_ = std::make_unique<Scratch>(call, DType::f32, one);
    const auto number = [](Tensor tensor) {
      tensor.rank = 0;
      return tensor;
    };
    Walk walk(call, one);
    const int to = walk.write(marked_->tensor()), found = walk.read(number(call.tensor(found_)));
    const int given = divisor_ ? walk.read(number(*divisor_)) : -1;
    walk.run(call.key().add(3, 4).add(given >= 0, 1), "left_out", [&](const Here& here) {
      const Tile by = given >= 0 ? here.load(given) : here.full(tile::DType::f32, 1.0);
      here.store(to, where(here.load(found) == 1.0, std::nan(""), by));
    });
    divisor_ = marked_->tensor();
  }
  void check(std::size_t list, std::size_t i) const {
    const Tensor &self = of(0, i), &given = of(list, i);
    if (!floats.has(given.dtype))
      call.refuse(list, "holds a tensor of {}; allowed are {}", dtype_name(given.dtype),
                  floats.text());
    if (list == 1 && given.dtype != self.dtype)
      call.refuse(list, "holds a tensor of {}, and its parameter is of {}", dtype_name(given.dtype),
                  dtype_name(self.dtype));
    if (!same_shape(given.dims(), self.dims()))
      call.refuse(list, "holds a tensor of shape {}, and its parameter is of shape {}",
                  given.shape_text(), self.shape_text());
    for (const std::size_t other : lists_) {
      if (other == list) break;
      if (given.elements() != 0 && given.address == of(other, i).address)
        call.refuse(list, "holds tensor {} of {}, which is written too", i,
                    call.op().schema().parameters[other].name);
    }
  }

  std::vector<std::size_t> lists_;
  std::size_t scale_, found_;
  std::optional<Tensor> divisor_;
  std::unique_ptr<Scratch> marked_;
};

// ---- stochastic gradient descent -------------------------------------------------------------------------------------

void run_sgd(Call& call) {
  constexpr std::size_t buffers = 2, decay = 3, momentum = 4, lr = 5, dampening = 6, nesterov = 7,
                        maximize = 8, first = 9, scale = 10, found = 11;
  const bool remembers = call.real(momentum) != 0;
  if (call.flag(nesterov) && (!remembers || call.real(dampening) != 0))
    call.refuse(nesterov, "is set; it takes a momentum (here {}) and no dampening (here {})",
                call.real(momentum), call.real(dampening));
  if (!remembers && !call.tensors(buffers).empty())
    call.refuse(buffers, "has {} tensors, and momentum is 0", call.tensors(buffers).size());
  std::vector<std::size_t> lists{0, 1};
  if (remembers) lists.push_back(buffers);
  const Step step(call, lists, scale, found);
  Key key = call.key();
  key.add(2, 4).add(remembers, 1).add(call.flag(nesterov), 1).add(call.flag(maximize), 1);
  key.add(call.flag(first), 1);
  for (std::size_t i = 0; i < step.count(); ++i)
    step.run(i, key, "fused_sgd", {},
             {call.real(decay), call.real(momentum), call.real(lr), 1 - call.real(dampening)},
             [&](const Here& here, const std::vector<Tile>& x) {
               const auto& n = here.numbers;
               Tile change = (call.flag(maximize) ? -x[1] : x[1]) + x[0] * n[0];
               if (!remembers) return std::vector<Tile>{x[0] - change * n[2], x[1]};
               const Tile buffer = call.flag(first) ? change : x[2] * n[1] + change * n[3];
               change = call.flag(nesterov) ? change + buffer * n[1] : buffer;
               return std::vector<Tile>{x[0] - change * n[2], x[1], buffer};
             });
}

// ---- adam --------------------------------------------------------------------------------------------------------------

// 1 - beta^step for both betas, the root of the second: [2]. From the logarithm, so that no digits are lost near 1.
void correct(const Call& call, const Tensor& step, double beta1, double beta2, const Tensor& out) {
  const tile::DType computed = computed_as(out.dtype);
  Walk walk(call, std::array<std::int64_t, 1>{1});
  Tensor number = step, second = out.narrowed(0, 1, 1);
  number.rank = 0;
  const int first_at = walk.write(out.narrowed(0, 0, 1)), second_at = walk.write(second),
            from = walk.read(number);
  walk.number(computed, std::log(beta1), 0).number(computed, std::log(beta2), 0);
  walk.run(call.key().add(1, 4), "bias_correction", [&](const Here& here) {
    const Tile t = cast(to_computed(here.load(from), step.dtype), computed);
    here.store(first_at, -expm1(t * here.numbers[0]));
    here.store(second_at, sqrt(-expm1(t * here.numbers[1])));
  });
}

template <bool decoupled>
void run_adam(Call& call) {
  constexpr std::size_t mean = 2, square = 3, most = 4, steps = 5, lr = 6, beta1 = 7, beta2 = 8,
                        decay = 9, eps = 10, amsgrad = 11, maximize = 12, scale = 13, found = 14;
  for (const std::size_t i : {beta1, beta2})
    if (!(call.real(i) >= 0 && call.real(i) < 1))
      call.refuse(i, "is {}; 0 up to 1 are allowed", call.real(i));
  const bool keeps_most = call.flag(amsgrad);
  if (!keeps_most && !call.tensors(most).empty())
    call.refuse(most, "has {} tensors, and amsgrad is false", call.tensors(most).size());
  std::vector<std::size_t> lists{0, 1, mean, square};
  if (keeps_most) lists.push_back(most);
  const Step step(call, lists, scale, found);
  const auto counts = call.tensors(steps);
  if (counts.size() != step.count())
    call.refuse(steps, "has {} tensors, and self has {}", counts.size(), step.count());
  for (const Tensor& count : counts)
    if (count.elements() != 1 || !floats.has(count.dtype))
      call.refuse(steps, "holds a tensor of {} and shape {}; one floating-point number is needed",
                  dtype_name(count.dtype), count.shape_text());
  Key key = call.key();
  key.add(2, 4).add(keeps_most, 1).add(call.flag(maximize), 1);
  for (std::size_t i = 0; i < step.count(); ++i) {
    const Tensor& self = step.of(0, i);
    if (self.elements() == 0) continue;
    const Scratch correction(call, is_wide(self.dtype) ? DType::f64 : DType::f32,
                             std::array<std::int64_t, 1>{2});
    correct(call, counts[i], call.real(beta1), call.real(beta2), correction.tensor());
    step.run(i, key, "fused_adam",
             {correction.tensor().narrowed(0, 0, 1), correction.tensor().narrowed(0, 1, 1)},
             {call.real(lr), call.real(beta1), 1 - call.real(beta1), call.real(beta2),
              1 - call.real(beta2), call.real(decay), call.real(eps)},
             [&](const Here& here, const std::vector<Tile>& x) {
               const auto& n = here.numbers;
               Tile value = x[0], gradient = call.flag(maximize) ? -x[1] : x[1];
               if (decoupled) {
                 value = value - value * (n[0] * n[5]);
               } else {
                 gradient = gradient + value * n[5];
               }
               const Tile average = x[2] * n[1] + gradient * n[2];
               const Tile squares = x[3] * n[3] + gradient * gradient * n[4];
               const Tile largest = keeps_most ? max(x[4], squares) : squares;
               const std::size_t corrections = keeps_most ? 5 : 4;
               const Tile root = sqrt(largest) / x[corrections + 1] + n[6];
               const Tile next = value - n[0] / x[corrections] * (average / root);
               std::vector<Tile> out{next, x[1], average, squares};
               if (keeps_most) out.push_back(largest);
               return out;
             });
  }
}

// ---- the norm of all gradients ---------------------------------------------------------------------------------------

// Sums of |x|^p, or the largest |x| where p is infinite.
Reduction<1> powers(tile::DType computed, DType kept, double p, bool done) {
  using State = std::array<Tile, 1>;
  const auto power = [=](LineKernel& l, const Tile& at) {
    const Tile x = abs(l.load(1, at, 0, computed));
    if (done || p == 1 || p == infinity) return x;
    return p == 2 ? x * x : pow(x, l.numbers[0]);
  };
  return {computed,
          {kept},
          1,
          [=](LineKernel& l, const Tile& at) {
            return carry(p == infinity ? l.most(power(l, at)) : l.sum(power(l, at)));
          },
          [=](const State& a, const State& b) {
            return carry(p == infinity ? max(a[0], b[0]) : a[0] + b[0]);
          },
          [](LineKernel& l, const State& state) { l.store_line(0, state[0]); }};
}

// One number for all elements.
Tensor spread(const Tensor& number, std::span<const std::int64_t> shape) {
  Tensor one = number;
  one.rank = 0;
  return one.expanded_to(shape);
}

void run_clip(Call& call) {
  constexpr std::size_t most = 1, order = 2, total = 3;
  const auto grads = call.tensors(0);
  const double p = call.real(order);
  if (!(p > 0)) call.refuse(order, "is {}; a number above 0, or infinity, is needed", p);
  if (!(call.real(most) >= 0)) call.refuse(most, "is {}; 0 is the least", call.real(most));
  const Tensor& out = call.tensor(total);
  if (out.elements() != 1)
    call.refuse(total, "is of shape {}; it takes one number", out.shape_text());
  call.expect_dtype(total, floats);
  bool wide = is_wide(out.dtype);
  for (const Tensor& grad : grads) {
    if (!floats.has(grad.dtype))
      call.refuse(0, "holds a tensor of {}; allowed are {}", dtype_name(grad.dtype), floats.text());
    wide = wide || is_wide(grad.dtype);
  }
  call.expect_no_overlap(total, false);
  if (grads.empty()) return fill(call, out, {});
  const DType kept = wide ? DType::f64 : DType::f32;
  const tile::DType computed = computed_as(kept);
  const auto count = static_cast<std::int64_t>(grads.size());
  const Scratch sums(call, kept, {&count, 1}), sum(call, kept, std::array<std::int64_t, 1>{1}),
      factor(call, kept, std::array<std::int64_t, 1>{1});
  const int kind = p == 1 ? 0 : p == 2 ? 1 : p == infinity ? 2 : 3;
  const auto add_up = [&](const Tensor& given, const Tensor& to, bool done) {
    // A number counts as a row of one.
    const Tensor in = given.rank == 0 ? given.with_axis(0, 1, 1) : given;
    const std::uint32_t all = (1U << in.rank) - 1;
    Lines lines(call, in.dims(), all, {{spread(to, in.dims()), Part::line, true}, {in}});
    lines.number(p);
    reduce(call, lines, call.key().add(done ? 1 : 2, 4).add(kind, 2).add(wide, 1),
           powers(computed, kept, p, done));
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const Tensor& grad = grads[static_cast<std::size_t>(i)];
    const Tensor place = sums.tensor().narrowed(0, i, 1);
    if (grad.elements() == 0) {
      fill(call, place, {});
    } else {
      add_up(grad, place, false);
    }
  }
  add_up(sums.tensor(), sum.tensor(), true);

  Walk walk(call, std::array<std::int64_t, 1>{1});
  const int norm_at = walk.write(spread(out, std::array<std::int64_t, 1>{1})),
            factor_at = walk.write(factor.tensor()), from = walk.read(sum.tensor());
  walk.number(computed, call.real(most), 0).number(computed, 1 / p, 0);
  walk.run(call.key().add(3, 4).add(kind, 2), "clip_factor", [&](const Here& here) {
    const Tile all = here.load(from);
    const Tile norm = kind == 1 ? sqrt(all) : kind == 3 ? pow(all, here.numbers[1]) : all;
    here.store(norm_at, cast(norm, stored_as(out.dtype)));
    here.store(factor_at, min(here.numbers[0] / (norm + 1e-6), 1.0));
  });
  for (const Tensor& grad : grads) {
    Walk scale(call, grad.dims());
    const int x = scale.write(grad), by = scale.read(spread(factor.tensor(), grad.dims()));
    scale.run(call.key().add(4, 4), "clip", [&](const Here& here) {
      const Tile value = to_computed(here.load(x), grad.dtype);
      here.store(x, to_stored(value * cast(here.load(by), value.dtype()), grad.dtype));
    });
  }
}

}  // namespace

void add_optimizers(Table& table) {
  const Bound bound = summed(8, 8);
  table.add(
      "fused_sgd(Tensor![] self, Tensor![] grads, Tensor![] momentum_buffer_list, float "
      "weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool "
      "is_first_step, Tensor? grad_scale, Tensor? found_inf)",
      floats, bound, run_sgd);
  table.add(
      "fused_adam(Tensor![] self, Tensor![] grads, Tensor![] exp_avgs, Tensor![] exp_avg_sqs, "
      "Tensor![] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, float "
      "weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale, Tensor? "
      "found_inf)",
      floats, bound, run_adam<false>);
  table.add(
      "fused_adamw(Tensor![] self, Tensor![] grads, Tensor![] exp_avgs, Tensor![] exp_avg_sqs, "
      "Tensor![] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, float "
      "weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale, Tensor? "
      "found_inf)",
      floats, bound, run_adam<true>);
  table.add(
      "clip_grad_norm(Tensor![] grads, float max_norm, float norm_type=2.0, Tensor! total_norm)",
      floats, bound, run_clip);
}

}  // namespace flagos::ops
