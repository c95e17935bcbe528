// How often numbers come. Each of some parts of the input counts for itself, in its order, and the parts are summed up: the
// result is the same every time.
#include "ops/engine/composite.hpp"
#include "ops/engine/copy.hpp"
#include "ops/engine/reduction.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/indexing/lines.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
// Rows of counters, and how large they are together.
constexpr std::int64_t most_parts = 256, most_counters = 1 << 22;

// out[i] = sum of the weights (of ones, where there are none) of the elements of `places` that are i. `places` is dense, of
// one axis; -1 is not counted.
void count(Call& call, const Tensor& places, const Tensor* weights, const Tensor& out) {
  const std::int64_t n = places.shape[0], bins = out.shape[0];
  const DType type = weights != nullptr ? weights->dtype : DType::i64;
  const std::int64_t parts = std::clamp<std::int64_t>(
      n / 64, 1, std::clamp<std::int64_t>(most_counters / bins, 1, most_parts));
  const std::int64_t each = n / parts, shape[] = {parts, bins}, one[] = {1};
  const Scratch counters(call, type, shape), ones(call, type, one);
  fill(call, counters.tensor(), Scalar{});
  fill(call, ones.tensor(), {DType::i64, 1, 1});
  const auto lines = [&](const Tensor& tensor, std::int64_t first, std::int64_t count_of_lines) {
    Tensor line = tensor.narrowed(0, first, 1);
    line.shape[0] = count_of_lines;
    line.strides[0] = each * tensor.strides[0];
    return line;
  };
  const auto update = [&](std::int64_t first, std::int64_t lines_of, std::int64_t length) {
    if (length == 0 || lines_of == 0) return;
    Updates updates;
    updates.target = counters.tensor().narrowed(1, 0, 1).without_axis(1).narrowed(0, 0, lines_of);
    updates.target_step = 1;
    updates.limit = bins;
    updates.skipped = -1;
    updates.index = lines(places, first, lines_of);
    updates.index_step = 1;
    updates.source = weights != nullptr ? lines(*weights, first, lines_of) : ones.tensor();
    updates.source_step = weights != nullptr ? weights->strides[0] : 0;
    if (weights == nullptr) updates.source = updates.source.expanded_to(updates.target.dims());
    updates.length = length;
    update_in_order(call, updates);
  };
  update(0, parts, each);
  update(each * parts, 1, n - each * parts);

  const Tensor total = out.with_axis(0, 1, 0).expanded_to(shape);
  Lines summed(call, shape, 1U, {{total, Part::line, true}, {counters.tensor()}});
  const tile::DType computed = type == DType::i64 ? i64 : computed_as(type);
  reduce<1>(call, summed, call.key().add(1, 1),
            {computed,
             {type},
             1,
             [](LineKernel& l, const Tile& at) { return tile::carry(l.sum(l.load(1, at))); },
             [](const std::array<Tile, 1>& a, const std::array<Tile, 1>& b) {
               return tile::carry(a[0] + b[0]);
             },
             [](LineKernel& l, const std::array<Tile, 1>& state) { l.store_line(0, state[0]); }});
}

// input, weights, minlength, out, count
void run_bincount(Call& call) {
  const Tensor &input = call.tensor(0), &out = call.tensor(3);
  call.expect_dtype(0, integers);
  call.expect_rank(0, 1, 1);
  const std::int64_t least = call.integer(2);
  if (least < 0) call.refuse(2, "is {}; 0 is the least", least);
  if (call.has(1)) {
    call.expect_dtype(1, DTypes(DType::f32) | DType::f64);
    call.expect_shape(1, input);
    call.expect_same_dtype(3, 1);
  } else {
    call.expect_dtype(3, DType::i64);
  }
  call.expect_rank(3, 1, 1);
  if (out.shape[0] < least)
    call.refuse(3, "is of shape {}, and minlength is {}", out.shape_text(), least);
  call.expect_no_overlap(3, false);
  call.expect_dtype(4, DType::i64);
  if (call.tensor(4).elements() != 1)
    call.refuse(4, "is of shape {}; it takes one number", call.tensor(4).shape_text());
  call.expect_no_overlap(4, false);
  if (input.elements() == 0) {
    fill(call, call.tensor(4), {DType::i64, least, static_cast<double>(least)});
    return fill(call, out, Scalar{});
  }
  if (out.elements() == 0) call.refuse(3, "has no elements, and input has {}", input.elements());

  const Scratch places(call, DType::i64, input.dims());
  {
    Walk walk(call, input.dims());
    const int to = walk.write(places.tensor()), from = walk.read(input);
    walk.number(out.shape[0]);
    walk.run(call.key().add(0, 1), "places", [&](const Here& here) {
      const Tile x = cast(here.load(from), i64);
      here.require(
          (x >= 0) & (x < here.numbers[0]),
          "bincount: an element is negative, or there are more bins than the output holds");
      here.store(to, x);
    });
  }
  // How many bins there are.
  const Scratch most(call, DType::i64, {});
  call_operator(call.stream(), "amax", {places.tensor(), most.tensor()});
  Walk walk(call, call.tensor(4).dims());
  const int to = walk.write(call.tensor(4)), from = walk.read(most.tensor());
  walk.number(least);
  walk.run(call.key().add(1, 1), "bins", [&](const Here& here) {
    here.store(to, max(here.load(from) + 1, here.full(i64, here.numbers[0])));
  });
  count(call, places.tensor(), call.has(1) ? &call.tensor(1) : nullptr, out);
}

// input, bins, min, max, out
void run_histc(Call& call) {
  const Tensor &input = call.tensor(0), &out = call.tensor(4);
  call.expect_dtype(0, call.op().dtypes());
  const std::int64_t bins = call.integer(1);
  if (bins < 1) call.refuse(1, "is {}; 1 is the least", bins);
  const double low = call.scalar(2).as_real(), high = call.scalar(3).as_real();
  if (!(low <= high)) call.refuse(3, "is {}, and min is {}", high, low);
  if (!(high - low < HUGE_VAL))
    call.refuse(3, "is {}, and min is {}: a finite range is needed", high, low);
  const std::int64_t shape[] = {bins};
  call.expect_shape(4, shape);
  call.expect_same_dtype(4, 0);
  call.expect_no_overlap(4, false);
  const std::int64_t n = input.elements();
  if (n == 0) return fill(call, out, Scalar{});

  const tile::DType computed = computed_as(input.dtype);
  const bool from_data = low == high;
  // The range, on the device: it may be that of the elements.
  const Scratch least(call, input.dtype, {}), most(call, input.dtype, {});
  if (from_data) {
    call_operator(call.stream(), "amin", {input, least.tensor()});
    call_operator(call.stream(), "amax", {input, most.tensor()});
  }
  const Scratch places(call, DType::i64, input.dims());
  Walk walk(call, input.dims());
  const int to = walk.write(places.tensor()), from = walk.read(input);
  const int first = walk.read(least.tensor()), last = walk.read(most.tensor());
  walk.number(bins).number(computed, low, 0).number(computed, high, 0);
  walk.run(call.key().add(from_data, 1), "bins", [&](const Here& here) {
    const Tile x = cast(here.load(from), computed);
    Tile start = here.full(computed, here.numbers[1]), end = here.full(computed, here.numbers[2]);
    if (from_data) {
      start = cast(here.load(first), computed);
      end = cast(here.load(last), computed);
      const Tile range = end - start;
      here.require(!(isnan(range) | isinf(range)),
                   "histc: the range of the elements is not finite");
      const Tile same = start == end;  // one value: a range around it
      start = where(same, start - 1.0, start);
      end = where(same, end + 1.0, end);
    }
    const Tile inside = (x >= start) & (x <= end);
    const Tile place =
        cast((x - start) * cast(here.full(i64, here.numbers[0]), computed) / (end - start), i64);
    here.store(to, where(inside, min(place, here.full(i64, here.numbers[0]) - 1), -1));
  });
  const std::int64_t flat[] = {n};
  count(call, places.tensor().viewed_as(flat), nullptr, out);
}

}  // namespace

void add_histograms(Table& table) {
  table.add("histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0, Tensor! out)", floats,
            exact, run_histc);
  table.add("bincount(Tensor input, Tensor? weights, int minlength=0, Tensor! out, Tensor! count)",
            integers, summed(4), run_bincount);
}

}  // namespace flagos::ops
