// Writing where an index leads to along a dimension.
#include <limits>
#include <optional>

#include "ops/indexing/indexing.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
constexpr DTypes all = with_complex(everything);

struct Scattered {
  Tensor out, index, source;
  int dim;
};

// Checks of scatter and its kin: index within the shape of the input, apart from dim, and within src. Nothing where the
// device's own version runs.
std::optional<Scattered> start_scatter(Call& call, std::size_t source, std::size_t output) {
  const Tensor in = with_dimension(call.tensor(0)), index = with_dimension(call.tensor(2));
  const int dim = call.dim(1, in.rank);
  if (index.rank != in.rank)
    call.refuse(2, "is of rank {}, and input of rank {}", index.rank, in.rank);
  for (int axis = 0; axis < in.rank; ++axis)
    if (axis != dim && index.shape[axis] > in.shape[axis])
      call.refuse(2, "of shape {} is larger than input of shape {} along dimension {}",
                  index.shape_text(), in.shape_text(), axis);
  Scattered out{with_dimension(call.tensor(output)), index, index, dim};
  if (source != 0) {
    out.source = with_dimension(call.tensor(source));
    if (out.source.rank != in.rank)
      call.refuse(source, "is of rank {}, and input of rank {}", out.source.rank, in.rank);
    for (int axis = 0; axis < in.rank; ++axis)
      if (index.shape[axis] > out.source.shape[axis])
        call.refuse(2, "of shape {} is larger than src of shape {}", index.shape_text(),
                    out.source.shape_text());
    call.expect_same_dtype(source, 0);
    out.source = resized(out.source, index.dims());
  }
  if (runs_over(call, 0, output)) return std::nullopt;
  return out;
}

// Writes a number where the index leads to.
void scatter_number(const Call& call, const Tensor& out, const Tensor& index, int dim,
                    const Scalar& value) {
  Tensor lines = resized(out, index.dims());
  lines.strides[dim] = 0;
  Walk walk(call, index.dims());
  const int to = walk.write(lines, reach_below(out, dim)), by = walk.read(index);
  const tile::DType computed =
      out.dtype == DType::boolean ? tile::DType::u8 : computed_as(out.dtype);
  const auto whole = value.dtype == DType::f64 && !is_floating(out.dtype)
                         ? static_cast<std::int64_t>(value.real)
                         : value.integer;
  walk.number(computed, value.as_real(),
              out.dtype == DType::boolean ? value.as_real() != 0 : whole);
  walk.number(out.strides[dim]).number(out.shape[dim]);
  walk.run(call.key().add(3, 2), "scatter_number", [&](const Here& here) {
    const Tile at = cast(here.load(by), i64);
    here.require((at >= 0) & (at < here.numbers[2]), outside(call));
    here.scatter(to, here.offset(to) + at * here.numbers[1],
                 here.full(stored_as(out.dtype), cast(here.numbers[0], stored_as(out.dtype))));
  });
}

void run_scatter(Call& call) {
  const auto started = start_scatter(call, 3, 4);
  if (!started) return;
  const Scattered& s = *started;
  Tensor lines = as_moved(resized(s.out, s.index.dims()));
  lines.strides[s.dim] = 0;
  Walk walk(call, s.index.dims());
  const int to = walk.write(lines, reach_below(s.out, s.dim)), by = walk.read(s.index),
            from = walk.read(as_moved(s.source));
  walk.number(s.out.strides[s.dim]).number(s.out.shape[s.dim]);
  walk.run(call.key(), "scatter", [&](const Here& here) {
    const Tile at = cast(here.load(by), i64);
    here.require((at >= 0) & (at < here.numbers[1]), outside(call));
    here.scatter(to, here.offset(to) + at * here.numbers[0], here.load(from));
  });
}

void run_scatter_value(Call& call) {
  call.expect_dtype(0, everything);
  const auto started = start_scatter(call, 0, 4);
  if (!started) return;
  const Scattered& s = *started;
  scatter_number(call, s.out, s.index, s.dim, call.scalar(3));
}

Updates along_dim(const Tensor& target, const Tensor& index, const Tensor& source, int dim) {
  Updates updates;
  updates.target = resized(target, index.dims()).without_axis(dim);
  updates.target_step = target.strides[dim];
  updates.target_below = reach_below(target, dim);
  updates.limit = target.shape[dim];
  updates.index = index.without_axis(dim);
  updates.index_step = index.strides[dim];
  updates.source = source.without_axis(dim);
  updates.source_step = source.strides[dim];
  updates.length = index.shape[dim];
  return updates;
}

void run_scatter_add(Call& call) {
  call.expect_dtype(0, numbers);
  const auto started = start_scatter(call, 3, 4);
  if (!started) return;
  const Scattered& s = *started;
  if (s.index.elements() == 0) return;
  const Accumulator sum(call, s.out);
  update_in_order(call, along_dim(sum.tensor(), s.index, s.source, s.dim));
  sum.finish();
}

Scalar lowest_of(DType dtype, bool least) {
  if (is_floating(dtype)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return {DType::f64, 0, least ? -infinity : infinity};
  }
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  if (dtype == DType::u8) return {DType::i64, least ? 0 : 255, 0};
  const std::int64_t low = INT64_MIN >> (64 - bits);
  return {DType::i64, least ? low : ~low, 0};
}

void run_scatter_reduce(Call& call) {
  enum { sum_word, product_word, mean_word, most_word, least_word };
  const std::size_t word = call.word(4);
  const bool include_self = call.flag(5);
  call.expect_dtype(0, numbers);
  const auto started = start_scatter(call, 3, 6);
  if (!started) return;
  const Scattered& s = *started;
  if (s.index.elements() == 0) return;
  const Accumulator result(call, s.out);
  const Tensor& target = result.tensor();
  if (!include_self)
    scatter_number(call, target, s.index, s.dim,
                   word == most_word      ? lowest_of(target.dtype, true)
                   : word == least_word   ? lowest_of(target.dtype, false)
                   : word == product_word ? Scalar{DType::i64, 1, 1}
                                          : Scalar{});
  Updates updates = along_dim(target, s.index, s.source, s.dim);
  updates.update = word == product_word ? Update::multiply
                   : word == most_word  ? Update::most
                   : word == least_word ? Update::least
                                        : Update::add;
  update_in_order(call, updates);
  if (word == mean_word) {
    const Scratch counts(call, DType::i64, target.dims()), one(call, DType::i64, {});
    fill(call, one.tensor(), Scalar{DType::i64, 1, 1});
    fill(call, counts.tensor(), Scalar{DType::i64, include_self ? 1 : 0, 0});
    Tensor ones = one.tensor().expanded_to(s.index.dims());
    update_in_order(call, along_dim(counts.tensor(), s.index, ones, s.dim));
    Walk walk(call, target.dims());
    const int to = walk.write(target), count = walk.read(counts.tensor());
    walk.run(call.key().add(1, 2), "mean", [&](const Here& here) {
      const Tile total = to_computed(here.load(to), target.dtype);
      const Tile number = cast(max(here.load(count), 1), total.dtype());
      here.store(to,
                 to_stored(is_floating(target.dtype) ? total / number : floor_div(total, number),
                           target.dtype));
    });
  }
  result.finish();
}

void run_index_add(Call& call) {
  const Tensor in = with_dimension(call.tensor(0)), source = with_dimension(call.tensor(3));
  const int dim = call.dim(1, in.rank);
  call.expect_rank(2, 0, 1);
  call.expect_dtype(0, numbers);
  call.expect_same_dtype(3, 0);
  Tensor shape = in;
  shape.shape[dim] = call.tensor(2).elements();
  if (!same_shape(source.dims(), shape.dims()))
    call.refuse(3, "is of shape {}, and {} is needed", source.shape_text(), shape.shape_text());
  if (call.scalar(4).dtype == DType::f64 && !is_floating(in.dtype))
    call.refuse(4, "is {}, and input is of {}", call.scalar(4).real, dtype_name(in.dtype));
  if (runs_over(call, 0, 5)) return;
  if (source.elements() == 0) return;
  const Accumulator sum(call, with_dimension(call.tensor(5)));
  Updates updates = along_dim(sum.tensor(), along(call.tensor(2), dim, source.dims()), source, dim);
  updates.alpha = call.scalar(4);
  update_in_order(call, updates);
  sum.finish();
}

void run_index_fill(Call& call) {
  const Tensor in = with_dimension(call.tensor(0));
  const int dim = call.dim(1, in.rank);
  call.expect_rank(2, 0, 1);
  if (runs_over(call, 0, 4)) return;
  const Tensor out = with_dimension(call.tensor(4));
  Tensor shape = out;
  shape.shape[dim] = call.tensor(2).elements();
  scatter_number(call, out, along(call.tensor(2), dim, shape.dims()), dim, call.scalar(3));
}

void run_embedding_backward(Call& call) {
  const Tensor &grad = call.tensor(0), &indices = call.tensor(1), &out = call.tensor(4);
  const std::int64_t count = call.integer(2);
  call.expect_dtype(0, floats);
  call.expect_rank(0, indices.rank + 1, indices.rank + 1);
  if (!same_shape({grad.shape.data(), static_cast<std::size_t>(indices.rank)}, indices.dims()))
    call.refuse(0, "is of shape {}, and indices of shape {}", grad.shape_text(),
                indices.shape_text());
  if (count < 0) call.refuse(2, "is {}", count);
  const std::int64_t width = grad.shape[indices.rank];
  const std::int64_t shape[] = {count, width};
  call.expect_shape(4, shape);
  call.expect_same_dtype(4, 0);
  call.expect_no_overlap(4, false);
  if (grad.elements() != 0 && count != 0 && run_native(call)) return;
  fill(call, out, Scalar{});
  if (grad.elements() == 0 || count == 0) {
    if (grad.elements() != 0) call.refuse(1, "has {} indices into no rows", indices.elements());
    return;
  }
  const std::int64_t rows[] = {indices.elements(), width};
  const Dense source(call, grad), index(call, indices);
  const Accumulator sum(call, out);
  Updates updates = along_dim(sum.tensor(), along(index.tensor().viewed_as({rows, 1}), 0, rows),
                              source.tensor().viewed_as(rows), 0);
  if (call.integer(3) >= 0) updates.skipped = call.integer(3);
  update_in_order(call, updates);
  sum.finish();
}

}  // namespace

void add_scatter(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
  const auto sums = [&](const char* schema, PlainOperator::Run run) {
    table.add(schema, numbers, summed(4), run);
  };
  // Of several elements that go to one place, one stays; operators that add do so in the order of the index.
  row("scatter(Tensor input, int dim, Tensor:int index, Tensor src, Tensor! out)", all,
      run_scatter);
  row("scatter.value(Tensor input, int dim, Tensor:int index, Scalar value, Tensor! out)",
      everything, run_scatter_value);
  sums("scatter_add(Tensor input, int dim, Tensor:int index, Tensor src, Tensor! out)",
       run_scatter_add);
  sums(
      "scatter_reduce(Tensor input, int dim, Tensor:int index, Tensor src, str "
      "reduce=sum|prod|mean|amax|amin, "
      "bool include_self=1, Tensor! out)",
      run_scatter_reduce);
  sums(
      "index_add(Tensor input, int dim, Tensor:int index, Tensor source, Scalar alpha=1, Tensor! "
      "out)",
      run_index_add);
  row("index_fill(Tensor input, int dim, Tensor:int index, Scalar value, Tensor! out)", everything,
      run_index_fill);
  table.add(
      "embedding_backward(Tensor grad_output, Tensor:int indices, int num_weights, int "
      "padding_idx=-1, Tensor! out)",
      floats, summed(4), run_embedding_backward);
}

}  // namespace flagos::ops
