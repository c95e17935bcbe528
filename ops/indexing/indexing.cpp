// Reading at places that indices name, and writing where several do. Indices are checked on the device.
#include "ops/indexing/indexing.hpp"

#include <optional>

#include "ops/families.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
constexpr DTypes all = with_complex(everything);

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
  if (out.elements() != 0 && run_native(call)) return;
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
  if (out.elements() != 0 && run_native(call)) return;
  gather_along(call, out, along(call.tensor(2), dim, out.dims()), in, dim);
}

void run_take(Call& call) {
  const Tensor &in = call.tensor(0), &index = call.tensor(1), &out = call.tensor(2);
  call.expect_shape(2, index);
  call.expect_same_dtype(2, 0);
  call.expect_no_overlap(2, false);
  if (out.elements() == 0) return;
  if (in.elements() == 0) call.refuse(0, "has no elements to take");
  if (run_native(call)) return;
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
  if (out.elements() != 0 && run_native(call)) return;
  Walk walk(call, out.dims());
  const int to = walk.write(as_moved(out)), from = walk.read(as_moved(places.lines), places.below);
  const std::vector<int> by = places.add_to(walk, call.tensors(1));
  walk.run(call.key().add(by.size(), 4), "index", [&](const Here& here) {
    here.store(to, here.gather(from, here.offset(from) + Places::offset_of(call, here, by)));
  });
}

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
  if (runs_over(call, 0, 4)) return;
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

}  // namespace

bool runs_over(const Call& call, std::size_t in, std::size_t out) {
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
  if (call.tensor(out).elements() != 0 && run_native(call)) return true;
  if (call.tensor(out).address != call.tensor(in).address)
    copy(call, call.tensor(out), call.tensor(in));
  return false;
}

void add_indexing(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
  row("gather(Tensor input, int dim, Tensor:int index, Tensor! out)", all, run_gather);
  row("index_select(Tensor input, int dim, Tensor:int index, Tensor! out)", all, run_index_select);
  row("take(Tensor input, Tensor:int index, Tensor! out)", all, run_take);
  row("index.Tensor(Tensor input, Tensor[]:int indices, Tensor! out)", all, run_index);
  table.add(
      "index_put(Tensor input, Tensor[]:int indices, Tensor values, bool accumulate=0, Tensor! "
      "out)",
      all, summed(4), run_index_put);
  add_scatter(table);
  add_masks(table);
  add_parts(table);
}

}  // namespace flagos::ops
