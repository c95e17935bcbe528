// Operators made of the order of the elements along a dimension: sorting, the largest, the middle.
#include <bit>

#include "ops/engine/sort.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/indexing/lines.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// A scalar has one dimension with one element.
Tensor with_dimension(const Tensor& tensor) {
  return tensor.rank == 0 ? tensor.with_axis(0, 1, 1) : tensor;
}
// The first element along a dimension, repeated over the shape.
Tensor start_of(const Tensor& tensor, int dim, std::span<const std::int64_t> shape) {
  return tensor.narrowed(dim, 0, 1).expanded_to(shape);
}

void expect_input(const Call& call) { call.expect_dtype(0, call.op().dtypes()); }
void expect_indices(const Call& call, std::size_t place, std::span<const std::int64_t> shape) {
  call.expect_dtype(place, DType::i64);
  call.expect_shape(place, shape);
  call.expect_no_overlap(place, false);
}
void expect_values(const Call& call, std::size_t place, std::span<const std::int64_t> shape) {
  call.expect_same_dtype(place, 0);
  call.expect_shape(place, shape);
  call.expect_no_overlap(place, false);
}

// The elements of `input` that `order` names, and their places.
void take_in_order(const Call& call, const Tensor& input, int dim, const Tensor& order,
                   const Tensor& values, const Tensor& indices) {
  Walk walk(call, values.dims());
  const int to = walk.write(as_moved(values)), place = walk.write(indices);
  const int by = walk.read(order);
  const int from =
      walk.read(as_moved(start_of(input, dim, values.dims())), reach_below(input, dim));
  walk.number(input.strides[dim]);
  walk.run(call.key(), "take_in_order", [&](const Here& here) {
    const Tile at = cast(here.load(by), i64);
    here.store(place, at);
    here.store(to, here.gather(from, here.offset(from) + at * here.numbers[0]));
  });
}

void sort_into(Call& call, std::size_t dim_place, bool descending, std::size_t values) {
  expect_input(call);
  const Tensor input = with_dimension(call.tensor(0));
  const int dim = call.dim(dim_place, call.tensor(0).rank);
  expect_values(call, values, call.tensor(0).dims());
  expect_indices(call, values + 1, call.tensor(0).dims());
  if (input.elements() == 0 || run_native(call)) return;
  const Sorted sorted(call, input, dim, descending);
  take_in_order(call, input, dim, sorted.order(), with_dimension(call.tensor(values)),
                with_dimension(call.tensor(values + 1)));
}

void run_sort(Call& call) { sort_into(call, 1, call.flag(2), 3); }
void run_sort_stable(Call& call) { sort_into(call, 2, call.flag(3), 4); }

void argsort_into(Call& call, std::size_t dim_place, bool descending, std::size_t out) {
  expect_input(call);
  const int dim = call.dim(dim_place, call.tensor(0).rank);
  expect_indices(call, out, call.tensor(0).dims());
  if (call.tensor(0).elements() == 0 || run_native(call)) return;
  const Sorted sorted(call, with_dimension(call.tensor(0)), dim, descending);
  copy(call, with_dimension(call.tensor(out)), sorted.order());
}

void run_argsort(Call& call) { argsort_into(call, 1, call.flag(2), 3); }
void run_argsort_stable(Call& call) { argsort_into(call, 2, call.flag(3), 4); }

// input, k, dim, largest, sorted, values, indices. Of equal elements the first ones come, whether sorted is asked for or not.
void run_topk(Call& call) {
  expect_input(call);
  const Tensor input = with_dimension(call.tensor(0));
  const int dim = call.dim(2, call.tensor(0).rank);
  const std::int64_t k = call.integer(1);
  if (k < 0 || k > input.shape[dim])
    call.refuse(1, "is {}; dimension {} of input has {} elements", k, dim, input.shape[dim]);
  Tensor shape = call.tensor(0);
  if (shape.rank > 0) {
    shape.shape[dim] = k;
  } else if (k == 0) {
    call.refuse(1, "is 0; of a scalar it is 1");
  }
  expect_values(call, 5, shape.dims());
  expect_indices(call, 6, shape.dims());
  if (shape.elements() == 0 || run_native(call)) return;
  const Sorted sorted(call, input, dim, call.flag(3));
  take_in_order(call, input, dim, sorted.order().narrowed(dim, 0, k),
                with_dimension(call.tensor(5)), with_dimension(call.tensor(6)));
}

// ---- one element by its rank -----------------------------------------------------------------------------------------

// Which element of a line it is.
enum class Pick : std::uint8_t {
  given,          // by a number
  median,         // the lower one of the middle, and the first NaN where there is one
  median_not_nan  // of those that are no NaN, where there are any
};

// One element of each line; `indices` may be missing. Shapes have one element along the dimension.
void pick(Call& call, Pick which, const Tensor& input, int dim, std::int64_t rank,
          const Tensor& values, const Tensor* indices) {
  const Sorted sorted(call, input, dim, false);
  const std::int64_t length = input.shape[dim];
  Walk walk(call, values.dims());
  const int to = walk.write(values);
  const int place = indices != nullptr ? walk.write(*indices) : -1;
  const int by = walk.read(start_of(sorted.order(), dim, values.dims()));
  const int from = walk.read(start_of(input, dim, values.dims()), reach_below(input, dim));
  walk.number(rank).number(length).number(input.strides[dim]);
  walk.number(std::bit_width(static_cast<std::uint64_t>(length)));
  const bool may_be_nan = is_floating(input.dtype) && which != Pick::given;
  Key key = call.key();
  key.add(static_cast<std::uint64_t>(which), 2).add(indices != nullptr, 1);
  walk.run(key, "pick", [&](const Here& here) {
    const Tile first = here.offset(by), base = here.offset(from);
    const auto place_of = [&](const Tile& i) { return cast(here.gather(by, first + i), i64); };
    const auto element = [&](const Tile& at) {
      return here.gather(from, base + at * here.numbers[2]);
    };
    Tile at = here.full(i64, here.numbers[0]);
    if (may_be_nan) {
      const auto is_nan = [&](const Tile& i) {
        return isnan(cast(element(place_of(i)), computed_as(input.dtype)));
      };
      // NaN stand at the end: the first of them, or the length.
      const auto found =
          here.k.loop(here.k.constant(i64, 0), here.numbers[3], here.k.constant(i64, 1),
                      tile::carry(here.full(i64, 0), here.full(i64, here.numbers[1])),
                      [&](const Tile&, const Tile& low, const Tile& high) {
                        const Tile open = low < high, middle = where(open, (low + high) / 2, 0);
                        const Tile nan = is_nan(middle);
                        return tile::carry(where(open & !nan, middle + 1, low),
                                           where(open & nan, middle, high));
                      });
      at = which == Pick::median ? where(found[0] < here.numbers[1], found[0], at)
                                 : max(found[0] - 1, 0) / 2;
    }
    const Tile chosen = place_of(at);
    if (place >= 0) here.store(place, chosen);
    here.store(to, element(chosen));
  });
}

// input, [k], dim, keepdim, values, indices.
void pick_along(Call& call, Pick which, std::size_t dim_place) {
  expect_input(call);
  const Tensor& input = call.tensor(0);
  const int dim = call.dim(dim_place, input.rank);
  const bool keepdim = call.flag(dim_place + 1);
  const std::size_t values = dim_place + 2;
  Tensor shape = input;
  if (input.rank > 0) {
    shape.shape[dim] = 1;
    if (!keepdim) shape = shape.without_axis(dim);
  }
  expect_values(call, values, shape.dims());
  expect_indices(call, values + 1, shape.dims());
  const std::int64_t length = input.rank > 0 ? input.shape[dim] : 1;
  std::int64_t rank = (length - 1) / 2;
  if (which == Pick::given) {
    rank = call.integer(1) - 1;
    if (rank < 0 || rank >= length)
      call.refuse(1, "is {}; dimension {} of input has {} elements", rank + 1, dim, length);
  }
  if (shape.elements() == 0) return;
  if (length == 0)
    call.refuse(0, "is of shape {}: dimension {} has no elements, and no {}", input.shape_text(),
                dim, call.op().name());
  if (run_native(call)) return;
  const auto seen = [&](std::size_t place) {
    const Tensor& tensor = call.tensor(place);
    return input.rank == 0 ? with_dimension(tensor)
           : keepdim       ? tensor
                           : tensor.with_axis(dim, 1, 0);
  };
  const Tensor indices = seen(values + 1);
  pick(call, which, with_dimension(input), dim, rank, seen(values), &indices);
}

template <Pick which>
void run_median_dim(Call& call) {
  pick_along(call, which, 1);
}
void run_kthvalue(Call& call) { pick_along(call, Pick::given, 2); }

template <Pick which>
void run_median(Call& call) {
  expect_input(call);
  const Tensor& input = call.tensor(0);
  expect_values(call, 1, {});
  if (input.elements() == 0) {
    if (!is_floating(input.dtype))
      call.refuse(0, "has no elements, and {} no NaN", dtype_name(input.dtype));
    return fill(call, call.tensor(1), {DType::f64, 0, std::numeric_limits<double>::quiet_NaN()});
  }
  if (run_native(call)) return;
  const std::int64_t flat[] = {input.elements()};
  const Dense dense(call, input);
  pick(call, which, dense.tensor().viewed_as(flat), 0, (flat[0] - 1) / 2,
       with_dimension(call.tensor(1)), nullptr);
}

}  // namespace

void add_sorting(Table& table) {
  const auto row = [&](const char* schema, PlainOperator::Run run) {
    table.add(schema, everything, exact, run);
  };
  row("sort(Tensor input, int dim=-1, bool descending=0, Tensor! values, Tensor! indices)",
      run_sort);
  row("sort.stable(Tensor input, bool stable=1, int dim=-1, bool descending=0, Tensor! values, "
      "Tensor! "
      "indices)",
      run_sort_stable);
  row("argsort(Tensor input, int dim=-1, bool descending=0, Tensor! out)", run_argsort);
  row("argsort.stable(Tensor input, bool stable=1, int dim=-1, bool descending=0, Tensor! out)",
      run_argsort_stable);
  row("topk(Tensor input, int k, int dim=-1, bool largest=1, bool sorted=1, Tensor! values, "
      "Tensor! "
      "indices)",
      run_topk);
  row("kthvalue(Tensor input, int k, int dim=-1, bool keepdim=0, Tensor! values, Tensor! indices)",
      run_kthvalue);
  row("median(Tensor input, Tensor! out)", run_median<Pick::median>);
  row("median.dim(Tensor input, int dim, bool keepdim=0, Tensor! values, Tensor! indices)",
      run_median_dim<Pick::median>);
  row("nanmedian(Tensor input, Tensor! out)", run_median<Pick::median_not_nan>);
  row("nanmedian.dim(Tensor input, int dim, bool keepdim=0, Tensor! values, Tensor! indices)",
      run_median_dim<Pick::median_not_nan>);
}

}  // namespace flagos::ops
