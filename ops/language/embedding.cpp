// From numbers of tokens to rows of a table, and to rows with a single 1.
#include "ops/engine/walk.hpp"
#include "ops/language/language.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

std::string rows_text(const Call& call, DType moved, DType index, int width, bool neighbours) {
  tile::Module module;
  module.kernel("ops_take_rows", {{"WIDTH", width}}, [&](Kernel& k) {
    const auto from = k.pointer("table", stored_as(moved), "readonly, noalias");
    const auto by = k.pointer("index", stored_as(index), "readonly, noalias");
    const auto to = k.pointer("out", stored_as(moved), "noalias");
    const auto size = [&](const char* name) { return k.scalar(name, i64); };
    const Tile count = size("count"), rows = size("rows"), columns = size("columns");
    const Tile row_step = size("row_step"), column_step = size("column_step");
    const Tile divisor = size("divisor");
    for_each_block(k, count, [&](const Tile& place) {
      const Tile row = cast(k.load(k.view(by, {count}, {1}), {place}), i64) / divisor;
      k.require((row >= 0) & (row < rows),
                call.op().name() + ": an index is outside of the rows that there are");
      k.loop(k.constant(i64, 0), columns, k.constant(i64, width), [&](const Tile& column) {
        const tile::View table =
            k.view(from, {rows, columns},
                   {row_step, neighbours ? tile::Extent(1) : tile::Extent(column_step)});
        k.store(k.view(to, {count, columns}, {columns, 1}), {place, column},
                k.load(table, {row, column}, {1, width}));
      });
    });
  });
  return module.text(false);
}

void run_embedding(Call& call) {
  const Tensor &weight = call.tensor(0), &indices = call.tensor(1), &out = call.tensor(3);
  call.expect_rank(0, 2, 2);
  call.expect_rank(1, 0, max_rank - 1);
  const std::int64_t rows = weight.shape[0], padding = call.integer(2);
  // Says whose gradient stays 0; the row is read as any other.
  if (padding < -1 || padding >= rows)
    call.refuse(2, "is {}; weight has rows 0 to {}, and -1 stands for none", padding, rows - 1);
  std::vector<std::int64_t> shape(indices.dims().begin(), indices.dims().end());
  shape.push_back(weight.shape[1]);
  call.expect_shape(3, shape);
  call.expect_same_dtype(3, 0);
  call.expect_no_overlap(3, false);
  if (out.elements() == 0) return;
  if (rows == 0) call.refuse(1, "has {} indices into no rows", indices.elements());
  if (run_native(call)) return;
  const Dense index(call, indices);
  const Written target(call, out);
  take_rows(call, weight, index.tensor(), 1, target.tensor());
  target.finish();
}

void run_one_hot(Call& call) {
  const Tensor &input = call.tensor(0), &out = call.tensor(2);
  call.expect_rank(0, 0, max_rank - 1);
  call.expect_rank(2, input.rank + 1, input.rank + 1);
  // How many classes the numbers need is not read from the device: the output says it.
  const std::int64_t given = call.integer(1);
  const std::int64_t classes = given == -1 ? out.shape[input.rank] : given;
  if (classes < 0) call.refuse(1, "is {}; -1 stands for as many as out has columns", given);
  std::vector<std::int64_t> shape(input.dims().begin(), input.dims().end());
  shape.push_back(classes);
  call.expect_shape(2, shape);
  call.expect_dtype(2, everything);
  call.expect_no_overlap(2, false);
  if (classes == 0 && input.elements() != 0)
    call.refuse(1, "is 0, and input has {} elements", input.elements());
  Walk walk(call, out.dims());
  const int to = walk.write(out), from = walk.read(input.with_axis(input.rank, classes, 0)),
            column = walk.coordinate(input.rank);
  walk.number(classes);
  walk.run(call.key(), "one_hot", [&](const Here& here) {
    const Tile number = cast(here.load(from), i64);
    here.require((number >= 0) & (number < here.numbers[0]),
                 "one_hot: a number is outside of the classes");
    here.store(to, cast(number == here.offset(column), stored_as(out.dtype)));
  });
}

}  // namespace

void take_rows(const Call& call, const Tensor& table, const Tensor& index, std::int64_t divisor,
               const Tensor& out) {
  const std::int64_t count = index.elements(), columns = table.shape[1];
  if (count == 0 || columns == 0) return;
  const DType moved = moved_as(table.dtype);
  const bool neighbours = table.strides[1] == 1;
  int width = 64;
  while (width < columns && width < (call.device().is_serial() ? 2048 : 1024)) width *= 2;
  Key key = call.key();
  key.add(1, 4).add(static_cast<std::uint64_t>(moved), 4);
  key.add(static_cast<std::uint64_t>(index.dtype), 4);
  key.add(static_cast<std::uint64_t>(width), 12).add(neighbours, 1);
  Launch launch(call, call.device().kernel(key, [&] {
    return rows_text(call, moved, index.dtype, width, neighbours);
  }));
  launch.pointer(table.address).pointer(index.address).pointer(out.address);
  launch.integer(count).integer(table.shape[0]).integer(columns);
  launch.integer(table.strides[0]).integer(table.strides[1]).integer(divisor);
  launch.run(count);
}

void add_embedding(Table& table) {
  table.add("embedding(Tensor weight, Tensor:int indices, int padding_idx=-1, Tensor! out)",
            with_complex(everything), exact, run_embedding);
  table.add("one_hot(Tensor:int input, int num_classes=-1, Tensor! out)", everything, exact,
            run_one_hot);
}

}  // namespace flagos::ops
