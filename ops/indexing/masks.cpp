// Reading and writing where a mask holds, and where that is.
#include "ops/indexing/indexing.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr DTypes all = with_complex(everything);

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
  const Scalar value = out.dtype == DType::c64 ? call.any_scalar(2) : call.scalar(2);
  if (out.elements() != 0 && run_native(call)) return;
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
  run(imaginary_part(out), imaginary_part(call.tensor(0)), Scalar{DType::f64, 0, value.imaginary});
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
  if (shape.elements() != 0 && run_native(call)) return;
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
  if (out.elements() == 0 || run_native(call)) return;
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
  if (in.elements() != 0 && run_native(call)) return;
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
  if (in.elements() != 0 && run_native(call)) return;
  write_places(call, in, outputs, call.tensor(2));
}

}  // namespace

void add_masks(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
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
}

}  // namespace flagos::ops
