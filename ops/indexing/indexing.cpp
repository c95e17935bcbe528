// Reading and writing at places that an index or a mask names. Indices are checked on the device.
#include <limits>
#include <optional>

#include "ops/families.hpp"
#include "ops/indexing/lines.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
constexpr DTypes all = with_complex(everything);

// A scalar counts as a row of one.
Tensor with_dimension(const Tensor& tensor) {
  return tensor.rank == 0 ? tensor.with_axis(0, 1, 1) : tensor;
}
Tensor resized(const Tensor& tensor, std::span<const std::int64_t> shape) {
  Tensor out = tensor;
  std::copy(shape.begin(), shape.end(), out.shape.begin());
  return out;
}
// Along one axis of a shape, the others repeat.
Tensor along(const Tensor& row, int axis, std::span<const std::int64_t> shape) {
  Tensor out = Tensor::dense(row.address, row.dtype, shape);
  for (int i = 0; i < out.rank; ++i)
    out.strides[i] = i == axis && row.rank != 0 ? row.strides[0] : 0;
  return out;
}

std::string outside(const Call& call) {
  return call.op().name() + ": an index is outside of the dimension that it counts";
}

// The input of an operator that writes to a part of it, in the output, unless it is there already.
void bring_input(const Call& call, std::size_t in, std::size_t out) {
  call.expect_shape(out, call.tensor(in));
  call.expect_same_dtype(out, in);
  call.expect_no_overlap(out);
  const std::vector<Parameter>& parameters = call.op().schema().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (i != in && i != out && parameters[i].kind == Parameter::Kind::tensor)
      for (const Tensor& tensor :
           parameters[i].list ? call.tensors(i) : std::span(&call.tensor(i), 1))
        if (tensor.address == call.tensor(out).address && tensor.elements() != 0)
          call.refuse(i, "lies over a part of {}, which is written", parameters[out].name);
  if (call.tensor(out).address != call.tensor(in).address)
    copy(call, call.tensor(out), call.tensor(in));
}

// ---- reading ---------------------------------------------------------------------------------------------------------

// out[...] = source at the index along `axis`; everything of the shape of out.
void gather_along(const Call& call, const Tensor& out, const Tensor& index, const Tensor& source,
                  int axis) {
  Tensor lines = as_moved(resized(source, out.dims()));
  lines.strides[axis] = 0;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), by = walk.read(index);
  const int from = walk.read(lines, reach_below(source, axis));
  walk.number(source.strides[axis]).number(source.shape[axis]);
  walk.run(call.key(), "gather", [&](const Here& here) {
    const Tile at = cast(here.load(by), i64);
    here.require((at >= 0) & (at < here.numbers[1]), outside(call));
    here.store(to, here.gather(from, here.offset(from) + at * here.numbers[0]));
  });
}

void run_gather(Call& call) {
  const Tensor in = with_dimension(call.tensor(0)), index = with_dimension(call.tensor(2)),
               out = with_dimension(call.tensor(3));
  const int dim = call.dim(1, in.rank);
  if (index.rank != in.rank)
    call.refuse(2, "is of rank {}, and input of rank {}", index.rank, in.rank);
  for (int axis = 0; axis < in.rank; ++axis)
    if (axis != dim && index.shape[axis] > in.shape[axis])
      call.refuse(2, "of shape {} is larger than input of shape {} along dimension {}",
                  index.shape_text(), in.shape_text(), axis);
  call.expect_shape(3, call.tensor(2));
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3, false);
  gather_along(call, out, index, in, dim);
}

void run_index_select(Call& call) {
  const Tensor in = with_dimension(call.tensor(0)), out = with_dimension(call.tensor(3));
  const int dim = call.dim(1, in.rank);
  call.expect_rank(2, 0, 1);
  Tensor shape = in;
  shape.shape[dim] = call.tensor(2).elements();
  if (!same_shape(out.dims(), shape.dims()))
    call.refuse(3, "is of shape {}, and {} is needed", out.shape_text(), shape.shape_text());
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3, false);
  gather_along(call, out, along(call.tensor(2), dim, out.dims()), in, dim);
}

void run_take(Call& call) {
  const Tensor &in = call.tensor(0), &index = call.tensor(1), &out = call.tensor(2);
  call.expect_shape(2, index);
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2, false);
  if (out.elements() == 0) return;
  if (in.elements() == 0) call.refuse(0, "has no elements to take");
  const Dense source(call, in);
  Tensor first = as_moved(source.tensor());
  first.rank = 0;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), by = walk.read(index), from = walk.read(first);
  walk.number(in.elements());
  walk.run(call.key(), "take", [&](const Here& here) {
    const Tile given = cast(here.load(by), i64);
    const Tile at = where(given < 0, given + here.numbers[0], given);
    here.require((at >= 0) & (at < here.numbers[0]),
                 "take: an index is outside of the elements of input");
    here.store(to, here.gather(from, at));
  });
}

// ---- several indices ---------------------------------------------------------------------------------------------------

constexpr std::size_t max_indices = 6;  // with two more operands

// Indices of the first dimensions of a tensor, broadcast together.
struct Places {
  Tensor shape;  // of the indices together
  Tensor whole;  // that, then the dimensions that have no index
  Tensor lines;  // the tensor over `whole`; where there are indices it does not move
  std::int64_t below = 0;
  std::vector<std::int64_t> strides, extents;

  Places(const Call& call, std::size_t argument, const Tensor& tensor) {
    const auto given = call.tensors(argument);
    if (given.empty()) call.refuse(argument, "is empty");
    if (given.size() > max_indices || static_cast<int>(given.size()) > tensor.rank)
      call.refuse(argument, "has {} tensors; {} are the most, and input has {} dimensions",
                  given.size(), max_indices, tensor.rank);
    shape.rank = 0;
    for (std::size_t i = 0; i < given.size(); ++i) {
      try {
        shape = broadcast_shape(shape, given[i]);
      } catch (const Error& error) {
        call.refuse(argument, "do not fit together: {}", error.what());
      }
      const int axis = static_cast<int>(i);
      strides.push_back(tensor.strides[axis]);
      extents.push_back(tensor.shape[axis]);
      below += reach_below(tensor, axis);
    }
    const int rest = tensor.rank - static_cast<int>(given.size());
    if (shape.rank + rest > max_rank)
      call.refuse(argument, "lead to a result of rank {}; {} is the most", shape.rank + rest,
                  max_rank);
    whole = Tensor::dense(0, tensor.dtype, shape.dims());
    lines = Tensor::dense(tensor.address, tensor.dtype, shape.dims());
    lines.strides.fill(0);
    for (int i = 0; i < rest; ++i) {
      const int axis = static_cast<int>(given.size()) + i;
      whole = whole.with_axis(whole.rank, tensor.shape[axis], 1);
      lines = lines.with_axis(lines.rank, tensor.shape[axis], tensor.strides[axis]);
    }
  }
  // The index as a tensor over `whole`.
  Tensor spread(const Tensor& index) const {
    Tensor out = index.expanded_to(shape.dims());
    for (int axis = shape.rank; axis < whole.rank; ++axis)
      out = out.with_axis(axis, whole.shape[axis], 0);
    return out;
  }
  // Adds the indices and what a kernel needs to know of them; `offset_of` gives the distance they make in it.
  std::vector<int> add_to(Walk& walk, std::span<const Tensor> indices) const {
    std::vector<int> operands;
    for (const Tensor& index : indices) operands.push_back(walk.read(spread(index)));
    for (std::size_t i = 0; i < indices.size(); ++i) walk.number(strides[i]).number(extents[i]);
    return operands;
  }
  static Tile offset_of(const Call& call, const Here& here, const std::vector<int>& operands) {
    std::optional<Tile> sum;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Tile given = cast(here.load(operands[i]), i64);
      const Tile at = where(given < 0, given + here.numbers[2 * i + 1], given);
      here.require((at >= 0) & (at < here.numbers[2 * i + 1]), outside(call));
      const Tile step = at * here.numbers[2 * i];
      sum = sum ? *sum + step : step;
    }
    return *sum;
  }
};

void run_index(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(2);
  const Places places(call, 1, in);
  call.expect_shape(2, places.whole.dims());
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2, false);
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), from = walk.read(as_moved(places.lines), places.below);
  const std::vector<int> by = places.add_to(walk, call.tensors(1));
  walk.run(call.key().add(by.size(), 4), "index", [&](const Here& here) {
    here.store(to, here.gather(from, here.offset(from) + Places::offset_of(call, here, by)));
  });
}

DType accumulated_as(DType dtype) { return half_floats.has(dtype) ? DType::f32 : dtype; }

// Updates of an output whose elements are 16-bit floats are added up in float32.
class Accumulator {
 public:
  Accumulator(const Call& call, const Tensor& out) : call_(call), out_(out) {
    if (accumulated_as(out.dtype) == out.dtype) return;
    scratch_.emplace(call, accumulated_as(out.dtype), out.dims());
    copy(call, scratch_->tensor(), out);
  }
  const Tensor& tensor() const { return scratch_ ? scratch_->tensor() : out_; }
  void finish() const {
    if (scratch_) copy(call_, out_, scratch_->tensor());
  }

 private:
  const Call& call_;
  Tensor out_;
  std::optional<Scratch> scratch_;
};

void run_index_put(Call& call) {
  const Tensor& values = call.tensor(2);
  const Places checked(call, 1, call.tensor(0));
  const Tensor& out = call.tensor(4);
  try {
    static_cast<void>(values.expanded_to(checked.whole.dims()));
  } catch (const Error& error) {
    call.refuse(2, "does not fit: {}", error.what());
  }
  call.expect_same_dtype(2, 0);
  if (call.flag(3)) call.expect_dtype(0, numbers);
  bring_input(call, 0, 4);
  if (checked.whole.elements() == 0) return;
  if (!call.flag(3)) {
    const Places places(call, 1, out);
    Walk walk(call, places.whole.dims());
    const int to = walk.write(as_moved(places.lines), places.below),
              from = walk.read(as_moved(values));
    const std::vector<int> by = places.add_to(walk, call.tensors(1));
    return walk.run(call.key().add(by.size(), 4), "index_put", [&](const Here& here) {
      here.scatter(to, here.offset(to) + Places::offset_of(call, here, by), here.load(from));
    });
  }
  const Accumulator sum(call, out);
  const Places places(call, 1, sum.tensor());
  // Where each index leads to, once; then the lines of what has no index.
  const Scratch offsets(call, DType::i64, places.shape.dims());
  Tensor head = Tensor::dense(0, DType::i64, places.shape.dims());
  {
    Walk walk(call, head.dims());
    const int to = walk.write(offsets.tensor());
    std::vector<int> by;
    for (const Tensor& index : call.tensors(1)) by.push_back(walk.read(index));
    for (std::size_t i = 0; i < by.size(); ++i)
      walk.number(places.strides[i]).number(places.extents[i]);
    walk.run(call.key().add(by.size(), 4).add(1, 1), "offsets",
             [&](const Here& here) { here.store(to, Places::offset_of(call, here, by)); });
  }
  const Dense source(call, values, places.whole.dims(), values.dtype);
  Updates updates;
  updates.length = places.shape.elements();
  updates.target = places.lines;
  updates.source = source.tensor();
  for (int i = 0; i < places.shape.rank; ++i) {
    updates.target = updates.target.without_axis(0);
    updates.source = updates.source.without_axis(0);
  }
  updates.source_step = updates.target.elements();
  updates.target_step = 1;
  updates.target_below = places.below;
  updates.index = offsets.tensor();
  updates.index.rank = 0;
  updates.index_step = 1;
  update_in_order(call, updates);
  sum.finish();
}

// ---- scatter -----------------------------------------------------------------------------------------------------------

struct Scattered {
  Tensor out, index, source;
  int dim;
};

// Checks of scatter and its kin: index within the shape of the input, apart from dim, and within src.
Scattered check_scatter(Call& call, std::size_t source, std::size_t output) {
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
  bring_input(call, 0, output);
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
  const Scattered s = check_scatter(call, 3, 4);
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
  const Scattered s = check_scatter(call, 0, 4);
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
  const Scattered s = check_scatter(call, 3, 4);
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
  const Scattered s = check_scatter(call, 3, 6);
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
  bring_input(call, 0, 5);
  if (source.elements() == 0) return;
  const Accumulator sum(call, with_dimension(call.tensor(5)));
  Updates updates = along_dim(sum.tensor(), along(call.tensor(2), dim, source.dims()), source, dim);
  updates.alpha = call.scalar(4);
  if (updates.alpha.dtype == DType::f64 && !is_floating(in.dtype))
    call.refuse(4, "is {}, and input is of {}", updates.alpha.real, dtype_name(in.dtype));
  update_in_order(call, updates);
  sum.finish();
}

void run_index_fill(Call& call) {
  const Tensor in = with_dimension(call.tensor(0));
  const int dim = call.dim(1, in.rank);
  call.expect_rank(2, 0, 1);
  bring_input(call, 0, 4);
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

// ---- masks -------------------------------------------------------------------------------------------------------------

void run_masked_fill(Call& call) {
  const Tensor& out = call.tensor(3);
  try {
    static_cast<void>(call.tensor(1).expanded_to(call.tensor(0).dims()));
  } catch (const Error& error) {
    call.refuse(1, "does not fit: {}", error.what());
  }
  call.expect_shape(3, call.tensor(0));
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3);
  const Scalar value = call.scalar(2);
  const auto run = [&](const Tensor& to_tensor, const Tensor& from_tensor, const Scalar& number) {
    const DType dtype = to_tensor.dtype;
    const tile::DType computed = dtype == DType::boolean ? tile::DType::u8 : computed_as(dtype);
    const auto whole = number.dtype == DType::f64 && !is_floating(dtype)
                           ? static_cast<std::int64_t>(number.real)
                           : number.integer;
    Walk walk(call, to_tensor.dims());
    const int to = walk.write(to_tensor), from = walk.read(from_tensor),
              mask = walk.read(call.tensor(1));
    walk.number(computed, number.as_real(),
                dtype == DType::boolean ? number.as_real() != 0 : whole);
    walk.run(call.key(), "masked_fill", [&](const Here& here) {
      here.store(to, where(here.load(mask) != 0,
                           here.full(stored_as(dtype), cast(here.numbers[0], stored_as(dtype))),
                           here.load(from)));
    });
  };
  if (out.dtype != DType::c64) return run(out, call.tensor(0), value);
  run(real_part(out), real_part(call.tensor(0)), value);
  run(imaginary_part(out), imaginary_part(call.tensor(0)), Scalar{});
}

void expect_count(const Call& call, std::size_t i) {
  call.expect_dtype(i, DType::i64);
  if (call.tensor(i).elements() != 1)
    call.refuse(i, "is of shape {}; it takes one number", call.tensor(i).shape_text());
  call.expect_no_overlap(i, false);
}

constexpr const char* too_many = ": there are more elements than the output holds";

void run_masked_select(Call& call) {
  const Tensor &in = call.tensor(0), &mask = call.tensor(1), &out = call.tensor(2);
  Tensor shape;
  try {
    shape = broadcast_shape(in, mask);
  } catch (const Error& error) {
    call.refuse(1, "does not fit: {}", error.what());
  }
  call.expect_rank(2, 1, 1);
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2, false);
  expect_count(call, 3);
  const Dense chosen(call, mask, shape.dims(), DType::boolean);
  const Positions positions(call, chosen.tensor(), &call.tensor(3));
  Tensor first = as_moved(out);
  first.rank = 0;
  Walk walk(call, shape.dims());
  const int by = walk.read(positions.tensor()), from = walk.read(as_moved(in)),
            wanted = walk.read(chosen.tensor());
  const int to = walk.write(first, reach_below(out, 0));
  walk.number(out.strides[0]).number(out.shape[0]);
  walk.run(call.key(), "masked_select", [&](const Here& here) {
    const Tile at = here.load(by), take = here.load(wanted) != 0;
    here.require((at < here.numbers[1]) | !take, call.op().name() + too_many);
    here.scatter(to, here.offset(to) + at * here.numbers[0], here.load(from), take);
  });
}

void run_masked_scatter(Call& call) {
  const Tensor &in = call.tensor(0), &mask = call.tensor(1), &source = call.tensor(2),
               &out = call.tensor(3);
  try {
    static_cast<void>(mask.expanded_to(in.dims()));
  } catch (const Error& error) {
    call.refuse(1, "does not fit: {}", error.what());
  }
  call.expect_shape(3, in);
  call.expect_same_dtype(2, 0);
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3);
  if (out.elements() == 0) return;
  const Dense chosen(call, mask, in.dims(), DType::boolean), given(call, source);
  const Positions positions(call, chosen.tensor(), nullptr);
  Tensor first = as_moved(given.tensor());
  first.rank = 0;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), old = walk.read(as_moved(in)),
            wanted = walk.read(chosen.tensor()), by = walk.read(positions.tensor()),
            from = walk.read(first);
  walk.number(source.elements());
  walk.run(call.key(), "masked_scatter", [&](const Here& here) {
    const Tile at = here.load(by), take = here.load(wanted) != 0;
    here.require((at < here.numbers[0]) | !take,
                 "masked_scatter: the mask takes more elements than source has");
    const Tile place = where(take & here.inside & (at < here.numbers[0]), at, at * 0);
    here.store(to, where(take, here.gather(from, place), here.load(old)));
  });
}

// Writes the coordinates of the elements that are not 0: of axis i to `outputs[i]`, a row.
void write_places(const Call& call, const Tensor& in, std::span<const Tensor> outputs,
                  const Tensor& count) {
  const Dense truth(call, in, in.dims(), DType::boolean);
  const Positions positions(call, truth.tensor(), &count);
  for (int axis = 0; axis < static_cast<int>(outputs.size()); ++axis) {
    const Tensor& out = outputs[static_cast<std::size_t>(axis)];
    Tensor first = out;
    first.rank = 0;
    Walk walk(call, in.dims());
    const int by = walk.read(positions.tensor()), wanted = walk.read(truth.tensor());
    const int to = walk.write(first, reach_below(out, 0));
    const int coordinate = in.rank != 0 ? walk.coordinate(axis) : walk.row_major();
    walk.number(out.strides[0]).number(out.shape[0]);
    walk.run(call.key(), "places", [&](const Here& here) {
      const Tile at = here.load(by), take = here.load(wanted) != 0;
      here.require((at < here.numbers[1]) | !take, call.op().name() + too_many);
      here.scatter(to, here.offset(to) + at * here.numbers[0], here.offset(coordinate), take);
    });
  }
}

void run_nonzero(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(1);
  call.expect_dtype(1, DType::i64);
  call.expect_rank(1, 2, 2);
  if (out.shape[1] != in.rank)
    call.refuse(1, "is of shape {}; its second dimension must be {}, the rank of input",
                out.shape_text(), in.rank);
  call.expect_no_overlap(1, false);
  expect_count(call, 2);
  std::vector<Tensor> rows;
  for (int axis = 0; axis < in.rank; ++axis)
    rows.push_back(out.narrowed(1, axis, 1).without_axis(1));
  write_places(call, in, rows, call.tensor(2));
}

void run_where_condition(Call& call) {
  const Tensor& in = call.tensor(0);
  const auto outputs = call.tensors(1);
  if (static_cast<int>(outputs.size()) != std::max(in.rank, 1))
    call.refuse(1, "has {} tensors; one is needed for each of the {} dimensions of condition",
                outputs.size(), std::max(in.rank, 1));
  for (const Tensor& out : outputs)
    if (out.dtype != DType::i64 || out.rank != 1)
      call.refuse(1, "holds a tensor of {} and rank {}; int64 and rank 1 are needed",
                  dtype_name(out.dtype), out.rank);
  call.expect_no_overlap(1, false);
  expect_count(call, 2);
  write_places(call, in, outputs, call.tensor(2));
}

// ---- parts -------------------------------------------------------------------------------------------------------------

void run_select_scatter(Call& call) {
  const Tensor& in = call.tensor(0);
  call.expect_rank(0, 1, max_rank);
  const int dim = call.dim(2, in.rank);
  std::int64_t index = call.integer(3);
  if (index < -in.shape[dim] || index >= in.shape[dim])
    call.refuse(3, "is {}; dimension {} has {} elements", index, dim, in.shape[dim]);
  if (index < 0) index += in.shape[dim];
  call.expect_shape(1, in.without_axis(dim));
  call.expect_same_dtype(1, 0);
  bring_input(call, 0, 4);
  copy(call, call.tensor(4).narrowed(dim, index, 1).without_axis(dim), call.tensor(1));
}

void run_slice_scatter(Call& call) {
  const Tensor& in = call.tensor(0);
  call.expect_rank(0, 1, max_rank);
  const int dim = call.dim(2, in.rank);
  const std::int64_t extent = in.shape[dim], step = call.integer(5);
  if (step < 1) call.refuse(5, "is {}; 1 is the least", step);
  const auto place = [&](std::size_t i, std::int64_t otherwise) {
    if (!call.has(i)) return otherwise;
    const std::int64_t given = call.integer(i);
    return std::min(std::max<std::int64_t>(given < 0 ? given + extent : given, 0), extent);
  };
  const std::int64_t start = place(3, 0), end = std::max(place(4, extent), start);
  Tensor part = in;
  part.shape[dim] = (end - start) / step + ((end - start) % step != 0 ? 1 : 0);
  call.expect_shape(1, part);
  call.expect_same_dtype(1, 0);
  bring_input(call, 0, 6);
  Tensor target = call.tensor(6).narrowed(dim, start, part.shape[dim]);
  target.strides[dim] *= step;
  copy(call, target, call.tensor(1));
}

template <bool lower>
void run_triangle(Call& call) {
  const Tensor &in = call.tensor(0), &out = call.tensor(2);
  call.expect_rank(0, 2, max_rank);
  call.expect_shape(2, in);
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2);
  std::vector<std::int64_t> slope(static_cast<std::size_t>(in.rank));
  slope[slope.size() - 2] = -1;
  slope[slope.size() - 1] = 1;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), from = walk.read(as_moved(in)),
            diagonal = walk.linear(0, slope);
  walk.number(call.integer(1));
  walk.run(call.key(), "triangle", [&](const Here& here) {
    const Tile x = here.load(from), d = here.offset(diagonal);
    here.store(to, where(lower ? d <= here.numbers[0] : d >= here.numbers[0], x, 0));
  });
}

}  // namespace

void add_indexing(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
  const auto sums = [&](const char* schema, PlainOperator::Run run) {
    table.add(schema, numbers, summed(4), run);
  };
  row("gather(Tensor input, int dim, Tensor:int index, Tensor! out)", all, run_gather);
  row("index_select(Tensor input, int dim, Tensor:int index, Tensor! out)", all, run_index_select);
  row("take(Tensor input, Tensor:int index, Tensor! out)", all, run_take);
  row("index.Tensor(Tensor input, Tensor[]:int indices, Tensor! out)", all, run_index);
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
  table.add(
      "index_put(Tensor input, Tensor[]:int indices, Tensor values, bool accumulate=0, Tensor! "
      "out)",
      all, summed(4), run_index_put);
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
  row("masked_fill(Tensor input, Tensor:bool mask, Scalar value, Tensor! out)", all,
      run_masked_fill);
  // How many elements there are is known on the device only: `out` is as large as the caller thinks, the first `count`
  // elements of it are written, and the kernel reports an error when there are more.
  row("masked_select(Tensor input, Tensor:bool mask, Tensor! out, Tensor! count)", all,
      run_masked_select);
  row("masked_scatter(Tensor input, Tensor:bool mask, Tensor source, Tensor! out)", all,
      run_masked_scatter);
  row("nonzero(Tensor input, Tensor! out, Tensor! count)", all, run_nonzero);
  row("where.condition(Tensor condition, Tensor![] out, Tensor! count)", all, run_where_condition);
  row("select_scatter(Tensor input, Tensor src, int dim, int index, Tensor! out)", all,
      run_select_scatter);
  row("slice_scatter(Tensor input, Tensor src, int dim=0, int? start, int? end, int step=1, "
      "Tensor! out)",
      all, run_slice_scatter);
  row("tril(Tensor input, int diagonal=0, Tensor! out)", all, run_triangle<true>);
  row("triu(Tensor input, int diagonal=0, Tensor! out)", all, run_triangle<false>);
}

}  // namespace flagos::ops
