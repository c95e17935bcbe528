// Shapes and copies: almost all of them are copies between views.
#include <cmath>

#include "ops/engine/copy.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr DTypes all = with_complex(everything);

Tensor flipped(const Tensor& tensor, int axis) {
  Tensor out = tensor;
  if (out.shape[axis] == 0) return out;
  out = out.narrowed(axis, out.shape[axis] - 1, out.shape[axis]);
  out.strides[axis] = -out.strides[axis];
  return out;
}

void expect_castable(const Call& call, std::size_t out, DType from) {
  if (!can_cast(from, call.tensor(out).dtype))
    call.refuse(out, "is of {}, which cannot take elements of {}",
                dtype_name(call.tensor(out).dtype), dtype_name(from));
}

// Of an output that moves elements of argument 0.
void expect_moved(const Call& call, std::size_t out) {
  call.expect_same_dtype(out, 0);
  call.expect_no_overlap(out, false);
}

void run_copy(Call& call) {
  try {
    static_cast<void>(call.tensor(0).expanded_to(call.tensor(1).dims()));
  } catch (const Error& error) {
    call.refuse(0, "does not fit: {}", error.what());
  }
  call.expect_no_overlap(1, call.tensor(0).dtype == call.tensor(1).dtype);
  if (call.tensor(1).elements() != 0 && run_native(call)) return;
  copy(call, call.tensor(1), call.tensor(0));
}

void run_contiguous(Call& call) {
  call.expect_shape(1, call.tensor(0));
  expect_moved(call, 1);
  if (!call.tensor(1).is_dense()) call.refuse(1, "is not dense in row-major order");
  if (call.tensor(1).elements() != 0 && run_native(call)) return;
  copy(call, call.tensor(1), call.tensor(0));
}

void run_cat(Call& call) {
  const auto tensors = call.tensors(0);
  const Tensor& out = call.tensor(2);
  if (tensors.empty()) call.refuse(0, "is empty");
  // A tensor of shape [0] is nothing, whatever the others are, as in ATen.
  const auto is_nothing = [](const Tensor& t) { return t.rank == 1 && t.shape[0] == 0; };
  const Tensor* first = nullptr;
  for (const Tensor& t : tensors)
    if (first == nullptr && !is_nothing(t)) first = &t;
  if (first == nullptr) first = &tensors[0];
  if (first->rank == 0)
    call.refuse(0, "holds a tensor without dimensions, which has nothing to be joined along");
  const int dim = call.dim(1, first->rank);
  Tensor shape = *first;
  shape.shape[dim] = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    if (is_nothing(t)) continue;
    bool fits = t.rank == shape.rank;
    for (int axis = 0; fits && axis < t.rank; ++axis)
      fits = axis == dim || t.shape[axis] == shape.shape[axis];
    if (!fits)
      call.refuse(0, "holds shapes {} and {}, which differ in more than dimension {}",
                  first->shape_text(), t.shape_text(), dim);
    shape.shape[dim] += t.shape[dim];
    expect_castable(call, 2, t.dtype);
  }
  call.expect_shape(2, shape.dims());
  call.expect_no_overlap(2, false);
  if (out.elements() != 0 && run_native(call)) return;
  std::int64_t at = 0;
  for (const Tensor& t : tensors) {
    if (is_nothing(t)) continue;
    copy(call, out.narrowed(dim, at, t.shape[dim]), t);
    at += t.shape[dim];
  }
}

void run_stack(Call& call) {
  const auto tensors = call.tensors(0);
  const Tensor& out = call.tensor(2);
  if (tensors.empty()) call.refuse(0, "is empty");
  if (tensors[0].rank == max_rank)
    call.refuse(0, "is of rank {}, and one more is too many", max_rank);
  const int dim = call.dim(1, tensors[0].rank + 1);
  for (const Tensor& t : tensors) {
    if (!same_shape(t.dims(), tensors[0].dims()))
      call.refuse(0, "holds shapes {} and {}, which differ", tensors[0].shape_text(),
                  t.shape_text());
    expect_castable(call, 2, t.dtype);
  }
  call.expect_shape(2,
                    tensors[0].with_axis(dim, static_cast<std::int64_t>(tensors.size()), 0).dims());
  call.expect_no_overlap(2, false);
  if (out.elements() != 0 && run_native(call)) return;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    copy(call, out.narrowed(dim, static_cast<std::int64_t>(i), 1).without_axis(dim), tensors[i]);
}

void run_flip(Call& call) {
  Tensor in = call.tensor(0);
  call.expect_shape(2, in);
  expect_moved(call, 2);
  const std::uint32_t dims = call.integers(1).empty() ? 0 : call.dims(1, in.rank);
  if (in.elements() != 0 && run_native(call)) return;
  for (int axis = 0; axis < in.rank; ++axis)
    if (((dims >> axis) & 1U) != 0) in = flipped(in, axis);
  copy(call, call.tensor(2), in);
}

void copy_rolled(const Call& call, const Tensor& out, const Tensor& in,
                 std::span<const std::pair<int, std::int64_t>> shifts) {
  if (shifts.empty()) return copy(call, out, in);
  const auto [axis, shift] = shifts.front();
  const std::int64_t extent = in.shape[axis];
  const auto rest = shifts.subspan(1);
  copy_rolled(call, out.narrowed(axis, shift, extent - shift), in.narrowed(axis, 0, extent - shift),
              rest);
  if (shift != 0)
    copy_rolled(call, out.narrowed(axis, 0, shift), in.narrowed(axis, extent - shift, shift), rest);
}

void run_roll(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(3);
  const auto given = call.integers(1), dims = call.integers(2);
  call.expect_shape(3, in);
  expect_moved(call, 3);
  if (dims.empty() && given.size() != 1)
    call.refuse(1, "has {} numbers; without dims there is one", given.size());
  if (!dims.empty() && given.size() != dims.size())
    call.refuse(1, "has {} numbers, and dims has {}", given.size(), dims.size());
  if (!dims.empty()) static_cast<void>(call.dims(2, in.rank));
  if (in.elements() == 0 || run_native(call)) return;
  std::vector<std::pair<int, std::int64_t>> shifts;
  const auto shift_of = [](std::int64_t shift, std::int64_t extent) {
    return (shift % extent + extent) % extent;
  };
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const int axis = static_cast<int>(dims[i] < 0 ? dims[i] + std::max(in.rank, 1) : dims[i]);
    if (in.rank != 0) shifts.emplace_back(axis, shift_of(given[i], in.shape[axis]));
  }
  if (!dims.empty()) return copy_rolled(call, out, in, shifts);
  // As one row.
  const std::int64_t row[] = {in.elements()};
  const Dense source(call, in);
  const std::pair<int, std::int64_t> shift{0, shift_of(given[0], row[0])};
  if (out.is_dense())
    return copy_rolled(call, out.viewed_as(row), source.tensor().viewed_as(row), {&shift, 1});
  const Scratch result(call, out.dtype, out.dims());
  copy_rolled(call, result.tensor().viewed_as(row), source.tensor().viewed_as(row), {&shift, 1});
  copy(call, out, result.tensor());
}

void run_repeat(Call& call) {
  const Tensor& in = call.tensor(0);
  const Tensor& out = call.tensor(2);
  const auto repeats = call.integers(1);
  const int rank = static_cast<int>(repeats.size());
  if (rank < in.rank) call.refuse(1, "has {} numbers, and input has {} dimensions", rank, in.rank);
  std::vector<std::int64_t> once(static_cast<std::size_t>(rank), 1);
  for (int i = 0; i < in.rank; ++i)
    once[static_cast<std::size_t>(rank - in.rank + i)] = in.shape[i];
  std::vector<std::int64_t> shape = once;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (repeats[i] < 0) call.refuse(1, "repeats dimension {} {} times", i, repeats[i]);
    if (__builtin_mul_overflow(shape[i], repeats[i], &shape[i]))
      call.refuse(1, "makes dimension {} larger than 64 bits hold", i);
  }
  call.expect_shape(2, shape);
  expect_moved(call, 2);
  if (out.elements() == 0 || run_native(call)) return;
  Tensor target = out;
  Tensor source = in.expanded_to(once);
  // Each axis that repeats becomes two: which time, and where.
  int axis = 0;
  for (int i = 0; i < rank; ++i, ++axis) {
    if (repeats[i] == 1) continue;
    const std::int64_t extent = once[static_cast<std::size_t>(i)];
    if (extent == 1) {
      source.shape[axis] = repeats[i];
      source.strides[axis] = 0;
      continue;
    }
    if (target.rank == max_rank)
      call.refuse(1, "repeats so many dimensions that the copy needs more than {}", max_rank);
    target.shape[axis] = extent;
    target = target.with_axis(axis, repeats[i], target.strides[axis] * extent);
    source = source.with_axis(axis, repeats[i], 0);
    ++axis;
  }
  copy(call, target, source);
}

void run_repeat_interleave(Call& call) {
  const Tensor& in = call.tensor(0);
  const Tensor& out = call.tensor(3);
  const std::int64_t repeats = call.integer(1);
  if (repeats < 0) call.refuse(1, "is {}", repeats);
  const std::int64_t row[] = {in.elements()};
  const bool flat = !call.has(2);
  const int dim = flat ? 0 : call.dim(2, in.rank);
  Tensor shape = flat ? Tensor::dense(0, in.dtype, row) : in;
  if (shape.rank == 0) shape = Tensor::dense(0, in.dtype, row);
  if (__builtin_mul_overflow(shape.shape[dim], repeats, &shape.shape[dim]))
    call.refuse(1, "is {}, which makes more elements than 64 bits count", repeats);
  call.expect_shape(3, shape.dims());
  expect_moved(call, 3);
  if (out.elements() == 0 || run_native(call)) return;
  const Dense dense(call, flat ? in : Tensor());
  const Tensor source = flat || in.rank == 0 ? (flat ? dense.tensor() : in).viewed_as(row) : in;
  if (source.rank == max_rank)
    call.refuse(0, "is of rank {}; {} is the most", max_rank, max_rank - 1);
  Tensor target = out;
  target.shape[dim] = source.shape[dim];
  target.strides[dim] = out.strides[dim] * repeats;
  copy(call, target.with_axis(dim + 1, repeats, out.strides[dim]),
       source.with_axis(dim + 1, repeats, 0));
}

// ---- pad -------------------------------------------------------------------------------------------------------------

struct Border {
  int axis;
  std::int64_t before, after;
};

void pad_constant(const Call& call, const std::vector<Border>& borders) {
  Tensor target = call.tensor(4), source = call.tensor(0);
  for (const Border& border : borders) {
    const int axis = border.axis;
    const std::int64_t extent = call.tensor(4).shape[axis];
    const std::int64_t before = std::min(std::max<std::int64_t>(border.before, 0), extent);
    const std::int64_t after = std::min(std::max<std::int64_t>(border.after, 0), extent - before);
    if (before > 0) fill(call, target.narrowed(axis, 0, before), call.scalar(3));
    if (after > 0) fill(call, target.narrowed(axis, extent - after, after), call.scalar(3));
    const std::int64_t cut = std::max<std::int64_t>(-border.before, 0);
    target = target.narrowed(axis, before, extent - before - after);
    source = source.narrowed(axis, cut, extent - before - after);
  }
  copy(call, target, source);
}

// The middle first; then axis by axis what lies beside it, from what is there already.
void pad_from_inside(const Call& call, const std::vector<Border>& borders, bool reflect) {
  Tensor middle = call.tensor(4);
  for (const Border& border : borders)
    middle = middle.narrowed(border.axis, border.before, call.tensor(0).shape[border.axis]);
  copy(call, middle, call.tensor(0));
  for (const Border& border : borders) {
    const int axis = border.axis;
    const std::int64_t extent = middle.shape[axis];
    const auto part = [&](std::int64_t start, std::int64_t count) {
      return middle.narrowed(axis, start, count);
    };
    if (reflect) {
      if (border.before > 0)
        copy(call, part(-border.before, border.before), flipped(part(1, border.before), axis));
      if (border.after > 0)
        copy(call, part(extent, border.after),
             flipped(part(extent - 1 - border.after, border.after), axis));
    } else {
      if (border.before > 0) copy(call, part(-border.before, border.before), part(0, 1));
      if (border.after > 0) copy(call, part(extent, border.after), part(extent - 1, 1));
    }
    middle = part(-border.before, border.before + extent + border.after);
  }
}

void run_pad(Call& call) {
  const Tensor& in = call.tensor(0);
  const auto pad = call.integers(1);
  const bool constant = call.word(2) == 0, reflect = call.word(2) == 1;
  if (pad.size() % 2 != 0 || static_cast<int>(pad.size() / 2) > in.rank)
    call.refuse(1, "has {} numbers; a tensor of rank {} takes two for each of its last dimensions",
                pad.size(), in.rank);
  std::vector<Border> borders;
  std::vector<std::int64_t> shape(in.dims().begin(), in.dims().end());
  for (std::size_t i = 0; i < pad.size(); i += 2) {
    const int axis = in.rank - 1 - static_cast<int>(i / 2);
    borders.push_back({axis, pad[i], pad[i + 1]});
    const std::int64_t extent = in.shape[axis];
    if (!constant && (pad[i] < 0 || pad[i + 1] < 0))
      call.refuse(1, "is negative, which only mode constant takes");
    if (reflect && (pad[i] >= extent || pad[i + 1] >= extent))
      call.refuse(1, "is {} and {} of dimension {}; mode reflect takes less than its {} elements",
                  pad[i], pad[i + 1], axis, extent);
    if (!constant && !reflect && extent == 0 && pad[i] + pad[i + 1] > 0)
      call.refuse(1, "repeats the edge of dimension {}, which has no elements", axis);
    std::int64_t& to = shape[static_cast<std::size_t>(axis)];
    if (__builtin_add_overflow(to, pad[i], &to) || __builtin_add_overflow(to, pad[i + 1], &to) ||
        to < 0)
      call.refuse(1, "is {} and {} of dimension {}, which has {} elements", pad[i], pad[i + 1],
                  axis, extent);
  }
  call.expect_shape(4, shape);
  expect_moved(call, 4);
  if (call.tensor(4).elements() == 0 || run_native(call)) return;
  if (constant) return pad_constant(call, borders);
  pad_from_inside(call, borders, reflect);
}

// ---- numbers ---------------------------------------------------------------------------------------------------------

// Only complex64 takes complex numbers.
void fill_with(const Call& call, std::size_t out, std::size_t value) {
  const Tensor& tensor = call.tensor(out);
  fill(call, tensor, tensor.dtype == DType::c64 ? call.any_scalar(value) : call.scalar(value));
}

void run_fill(Call& call) { fill_with(call, 1, 0); }

void run_full(Call& call) {
  call.expect_shape(2, call.integers(0));
  fill_with(call, 2, 1);
}

void run_eye(Call& call) {
  const std::int64_t n = call.integer(0), m = call.has(1) ? call.integer(1) : n;
  if (n < 0) call.refuse(0, "is {}", n);
  if (m < 0) call.refuse(1, "is {}", m);
  const std::int64_t shape[] = {n, m};
  call.expect_shape(2, shape);
  const Tensor& out = call.tensor(2);
  fill(call, out, Scalar{});
  Tensor diagonal = out.without_axis(1);
  diagonal.shape[0] = std::min(n, m);
  diagonal.strides[0] = out.strides[0] + out.strides[1];
  fill(call, diagonal, Scalar{DType::i64, 1, 1});
}

// from + i * step, of integers exactly; floating-point numbers come in two parts each, so that f32 does not lose them.
void write_progression(const Call& call, const Tensor& out, const Scalar& from,
                       const Scalar& step) {
  Walk walk(call, out.dims());
  const int to = walk.write(out), at = walk.row_major();
  const tile::DType computed = computed_as(out.dtype);
  const bool real = is_floating(out.dtype);
  const auto number = [&](const Scalar& value) {
    const double high =
        computed == tile::DType::f64 ? value.as_real() : static_cast<float>(value.as_real());
    const auto whole =
        value.dtype == DType::f64 ? static_cast<std::int64_t>(value.real) : value.integer;
    walk.number(computed, high, whole);
    if (real) walk.number(computed, std::isfinite(high) ? value.as_real() - high : 0, 0);
  };
  number(from);
  number(step);
  walk.run(call.key().add(0, 1), "progression", [&](const Here& here) {
    const Tile i = here.offset(at);
    if (!real)
      return here.store(to, cast(here.numbers[0] + i * here.numbers[1], stored_as(out.dtype)));
    const Tile x = cast(i, computed);
    const auto given = [&](std::size_t n) { return here.full(computed, here.numbers[n]); };
    here.store(to,
               cast(fma(x, given(2), given(0)) + fma(x, given(3), given(1)), stored_as(out.dtype)));
  });
}

void run_arange(Call& call) {
  const Scalar start = call.scalar(0), end = call.scalar(1), step = call.scalar(2);
  call.expect_dtype(3, numbers);
  if (step.as_real() == 0) call.refuse(2, "is 0");
  const double extent = (end.as_real() - start.as_real()) / step.as_real();
  if (!std::isfinite(extent))
    call.refuse(1, "is {}, and start is {}: not a finite range", end.as_real(), start.as_real());
  if (extent < 0)
    call.refuse(1, "is {}, which is not reached from {} in steps of {}", end.as_real(),
                start.as_real(), step.as_real());
  std::int64_t count = static_cast<std::int64_t>(std::ceil(extent));
  if (start.dtype != DType::f64 && end.dtype != DType::f64 && step.dtype != DType::f64) {
    std::int64_t way = 0;
    if (__builtin_sub_overflow(end.integer, start.integer, &way))
      call.refuse(1, "is {}, too far from start for 64 bits", end.integer);
    count = way / step.integer + (way % step.integer != 0 ? 1 : 0);
  }
  call.expect_shape(3, {&count, 1});
  write_progression(call, call.tensor(3), start, step);
}

void run_linspace(Call& call) {
  const std::int64_t steps = call.integer(2);
  const Tensor& out = call.tensor(3);
  call.expect_dtype(3, floats);
  if (steps < 0) call.refuse(2, "is {}", steps);
  call.expect_shape(3, {&steps, 1});
  if (steps == 0) return;
  const Scalar start{DType::f64, 0, call.scalar(0).as_real()},
      end{DType::f64, 0, call.scalar(1).as_real()};
  const double step = steps > 1 ? (end.real - start.real) / static_cast<double>(steps - 1) : 0;
  // From both ends, so that both come out exactly.
  const std::int64_t half = steps == 1 ? 1 : steps / 2;
  write_progression(call, out.narrowed(0, 0, half), start, Scalar{DType::f64, 0, step});
  write_progression(call, flipped(out.narrowed(0, half, steps - half), 0), end,
                    Scalar{DType::f64, 0, -step});
}

}  // namespace

void add_shape(Table& table) {
  const auto row = [&](const char* schema, PlainOperator::Run run) {
    table.add(schema, all, exact, run);
  };
  row("copy(Tensor input, Tensor! out)", run_copy);
  row("contiguous(Tensor input, Tensor! out)", run_contiguous);
  row("cat(Tensor[] tensors, int dim=0, Tensor! out)", run_cat);
  row("stack(Tensor[] tensors, int dim=0, Tensor! out)", run_stack);
  row("flip(Tensor input, int[] dims, Tensor! out)", run_flip);
  row("roll(Tensor input, int[] shifts, int[] dims, Tensor! out)", run_roll);
  row("repeat(Tensor input, int[] repeats, Tensor! out)", run_repeat);
  row("repeat_interleave(Tensor input, int repeats, int? dim, Tensor! out)", run_repeat_interleave);
  row("pad(Tensor input, int[] pad, str mode=constant|reflect|replicate, Scalar value=0, Tensor! "
      "out)",
      run_pad);
  row("fill(Scalar value, Tensor! out)", run_fill);
  row("full(int[] size, Scalar fill_value, Tensor! out)", run_full);
  row("eye(int n, int? m, Tensor! out)", run_eye);
  // Of floating-point numbers, in units of the larger end.
  table.add("arange(Scalar start, Scalar end, Scalar step=1, Tensor! out)", numbers, ulp(2),
            run_arange);
  table.add("linspace(Scalar start, Scalar end, int steps, Tensor! out)", floats, ulp(2),
            run_linspace);
}

}  // namespace flagos::ops
