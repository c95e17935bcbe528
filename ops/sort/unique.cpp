// The different elements of a tensor. How many there are is known on the device only: outputs are as large as the caller
// thinks, and the kernel reports an error when there are more.
#include "ops/engine/sort.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/indexing/lines.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
enum Place : std::size_t { input, out, inverse, counts, count };

// The first of `tensor` of rank 1, to write from there.
Tensor first_of(const Tensor& tensor) { return tensor.without_axis(0); }

// Neighbours that are equal make a run; elements are walked in the order of `order`, or as they are.
template <bool sorted>
void run_unique(Call& call) {
  call.expect_dtype(input, call.op().dtypes());
  call.expect_same_dtype(out, input);
  call.expect_rank(out, 1, 1);
  call.expect_no_overlap(out, false);
  if (call.has(inverse)) {
    call.expect_dtype(inverse, DType::i64);
    call.expect_shape(inverse, call.tensor(input));
    call.expect_no_overlap(inverse, false);
  }
  if (call.has(counts)) {
    call.expect_dtype(counts, DType::i64);
    call.expect_shape(counts, call.tensor(out));
    call.expect_no_overlap(counts, false);
  }
  call.expect_dtype(count, DType::i64);
  if (call.tensor(count).elements() != 1)
    call.refuse(count, "is of shape {}; it takes one number", call.tensor(count).shape_text());
  call.expect_no_overlap(count, false);

  const std::int64_t n = call.tensor(input).elements();
  if (n == 0) return fill(call, call.tensor(count), Scalar{});
  const std::int64_t flat[] = {n}, one_more[] = {n + 1};
  const Dense dense(call, call.tensor(input));
  const Tensor x = dense.tensor().viewed_as(flat);
  const DType type = x.dtype;
  const Sorted* order = nullptr;
  std::deque<Sorted> sorting;
  if (sorted) order = &sorting.emplace_back(call, x, 0, false);

  // Which elements begin a run.
  const Scratch begins(call, DType::boolean, flat);
  const auto place_of = [&](Walk& walk) {
    return sorted ? walk.read(order->order()) : walk.row_major();
  };
  {
    Walk walk(call, flat);
    const int to = walk.write(begins.tensor()), by = place_of(walk), number = walk.row_major(),
              from = walk.read(first_of(x));
    walk.run(call.key().add(0, 2), "begins", [&](const Here& here) {
      const Tile i = here.offset(number), later = i > 0;
      const auto element = [&](const Tile& place) {
        const Tile stored = here.gather(from, here.offset(from) + place);
        return is_floating(type) ? cast(stored, computed_as(type)) : stored;
      };
      const Tile before =
          sorted ? cast(here.gather(by, here.offset(by) - 1, later), i64) : where(later, i - 1, 0);
      const Tile own = sorted ? cast(here.load(by), i64) : i;
      here.store(to, cast((element(own) != element(before)) | !later, tile::DType::u8));
    });
  }
  const Positions runs(call, begins.tensor(), &call.tensor(count));

  const bool counted = call.has(counts);
  const Scratch starts(call, DType::i64, one_more);
  const Tensor& values = call.tensor(out);
  {
    Walk walk(call, flat);
    const int to = walk.write(as_moved(first_of(values)), reach_below(values, 0));
    const int start = walk.write(first_of(starts.tensor()));
    const int by = place_of(walk), number = walk.row_major(),
              from = walk.read(as_moved(first_of(x)));
    const int run = walk.read(runs.tensor()), begin = walk.read(begins.tensor());
    walk.number(values.strides[0]).number(values.shape[0]).number(n);
    walk.run(call.key().add(1, 2), "runs", [&](const Here& here) {
      const Tile at = here.load(run), begun = here.load(begin) != 0, i = here.offset(number);
      const Tile place = sorted ? cast(here.load(by), i64) : i;
      here.require((at < here.numbers[1]) | !begun,
                   call.op().name() + ": there are more elements than the output holds");
      here.scatter(to, here.offset(to) + at * here.numbers[0],
                   here.gather(from, here.offset(from) + place), begun);
      here.scatter(start, here.offset(start) + at, i, begun);
      // Behind the last run.
      here.scatter(start, here.offset(start) + at + cast(begun, i64),
                   here.full(i64, here.numbers[2]), i == here.numbers[2] - 1);
    });
  }
  if (counted) {
    const Tensor& sizes = call.tensor(counts);
    Walk walk(call, flat);
    const int to = walk.write(first_of(sizes), reach_below(sizes, 0));
    const int run = walk.read(runs.tensor()), begin = walk.read(begins.tensor()),
              start = walk.read(first_of(starts.tensor()));
    walk.number(sizes.strides[0]).number(sizes.shape[0]);
    walk.run(call.key().add(2, 2), "run_sizes", [&](const Here& here) {
      const Tile at = here.load(run), wanted = (here.load(begin) != 0) & (at < here.numbers[1]);
      const Tile own = here.offset(start) + at;
      here.scatter(to, here.offset(to) + at * here.numbers[0],
                   here.gather(start, own + 1, wanted) - here.gather(start, own, wanted), wanted);
    });
  }
  if (call.has(inverse)) {
    const Tensor& target = call.tensor(inverse);
    std::deque<Scratch> scratch;
    if (!target.is_dense()) scratch.emplace_back(call, DType::i64, target.dims());
    const Tensor flat_target =
        (scratch.empty() ? target : scratch.front().tensor()).viewed_as(flat);
    Walk walk(call, flat);
    const int to = walk.write(first_of(flat_target)), by = place_of(walk),
              run = walk.read(runs.tensor()), begin = walk.read(begins.tensor());
    walk.run(call.key().add(3, 2), "run_numbers", [&](const Here& here) {
      const Tile place = sorted ? cast(here.load(by), i64) : here.offset(by);
      here.scatter(to, here.offset(to) + place,
                   here.load(run) + cast(here.load(begin) != 0, i64) - 1);
    });
    if (!scratch.empty()) copy(call, target, scratch.front().tensor());
  }
}

}  // namespace

void add_unique(Table& table) {
  table.add("unique(Tensor input, Tensor! out, Tensor!? inverse, Tensor!? counts, Tensor! count)",
            everything, exact, run_unique<true>);
  table.add(
      "unique_consecutive(Tensor input, Tensor! out, Tensor!? inverse, Tensor!? counts, Tensor! "
      "count)",
      everything, exact, run_unique<false>);
}

}  // namespace flagos::ops
