// A tensor with a part of it replaced, or cut to a triangle.
#include "ops/indexing/indexing.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr DTypes all = with_complex(everything);

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
  if (runs_over(call, 0, 4)) return;
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
  if (runs_over(call, 0, 6)) return;
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
  if (out.elements() != 0 && run_native(call)) return;
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

void add_parts(Table& table) {
  const auto row = [&](const char* schema, DTypes dtypes, PlainOperator::Run run) {
    table.add(schema, dtypes, exact, run);
  };
  row("select_scatter(Tensor input, Tensor src, int dim, int index, Tensor! out)", all,
      run_select_scatter);
  row("slice_scatter(Tensor input, Tensor src, int dim=0, int? start, int? end, int step=1, "
      "Tensor! out)",
      all, run_slice_scatter);
  row("tril(Tensor input, int diagonal=0, Tensor! out)", all, run_triangle<true>);
  row("triu(Tensor input, int diagonal=0, Tensor! out)", all, run_triangle<false>);
}

}  // namespace flagos::ops
