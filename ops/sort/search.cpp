// Where numbers belong in sequences that are in order.
#include <bit>

#include "ops/engine/copy.hpp"
#include "ops/engine/walk.hpp"
#include "ops/families.hpp"
#include "ops/indexing/lines.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

struct Search {
  Tensor sequence;  // along its last axis; the others are those of input, or there are none
  Tensor input, out;
  const Tensor* sorter = nullptr;  // of the shape of sequence: its order
  bool right = false;              // behind equal elements
};

void search(const Call& call, const Search& s) {
  const int axis = s.sequence.rank - 1;
  const std::int64_t length = s.sequence.shape[axis];
  Walk walk(call, s.input.dims());
  // The first element of the sequence of each input.
  const auto starts = [&](const Tensor& tensor) {
    Tensor start = axis == 0 ? tensor.without_axis(0) : tensor;
    if (axis > 0) {
      start.shape[axis] = s.input.shape[axis];
      start.strides[axis] = 0;
    }
    return start;
  };
  const int to = walk.write(s.out), from = walk.read(s.input);
  const int by = walk.read(starts(s.sequence), reach_below(s.sequence, axis));
  const int through =
      s.sorter != nullptr ? walk.read(starts(*s.sorter), reach_below(*s.sorter, axis)) : -1;
  walk.number(length).number(s.sequence.strides[axis]);
  walk.number(std::bit_width(static_cast<std::uint64_t>(length)));
  walk.number(s.sorter != nullptr ? s.sorter->strides[axis] : 0);
  walk.run(call.key().add(s.right, 1).add(s.sorter != nullptr, 1), "search", [&](const Here& here) {
    const tile::DType computed = stored_as(s.input.dtype) < tile::DType::f16
                                     ? stored_as(s.input.dtype)
                                     : computed_as(s.input.dtype);
    const Tile x = cast(here.load(from), computed), start = here.offset(by);
    const auto found = here.k.loop(
        here.k.constant(i64, 0), here.numbers[2], here.k.constant(i64, 1),
        tile::carry(here.full(i64, 0), here.full(i64, here.numbers[0])),
        [&](const Tile&, const Tile& low, const Tile& high) {
          const Tile open = low < high, middle = (low + high) / 2;
          Tile place = middle;
          if (through >= 0) {
            place = cast(
                here.gather(through, here.offset(through) + middle * here.numbers[3], open), i64);
            const Tile valid = (place >= 0) & (place < here.numbers[0]);
            here.require(valid | !open,
                         call.op().name() + ": sorter has an index outside of the sequence");
            place = where(valid, place, 0);
          }
          const Tile theirs =
              cast(here.gather(by, start + place * here.numbers[1], open), computed);
          // So said that a NaN belongs at the end.
          const Tile stop = s.right ? theirs > x : theirs >= x;
          return tile::carry(where(open & !stop, middle + 1, low),
                             where(open & stop, middle, high));
        });
    here.store(to, cast(found[0], stored_as(s.out.dtype)));
  });
}

void expect_out(const Call& call, std::size_t input, std::size_t place, bool is_int32) {
  call.expect_dtype(place, is_int32 ? DType::i32 : DType::i64);
  call.expect_shape(place, call.tensor(input));
  call.expect_no_overlap(place, false);
}

// sorted_sequence, input, out_int32, right, side, sorter, out
void run_searchsorted(Call& call) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(1, 0);
  const Tensor &sequence = call.tensor(0), &input = call.tensor(1);
  call.expect_rank(0, 1, max_rank);
  if (sequence.rank > 1) {
    bool fits = input.rank == sequence.rank;
    for (int axis = 0; fits && axis + 1 < input.rank; ++axis)
      fits = input.shape[axis] == sequence.shape[axis];
    if (!fits)
      call.refuse(1,
                  "is of shape {}, and sorted_sequence of shape {}: all dimensions but the last "
                  "must be the same",
                  input.shape_text(), sequence.shape_text());
  }
  // none, left, right
  if (call.word(4) == 1 && call.flag(3)) call.refuse(4, "is 'left', and right is set");
  if (call.has(5)) call.expect_shape(5, sequence);
  expect_out(call, 1, 6, call.flag(2));
  if (input.elements() == 0 || run_native(call)) return;
  search(call, {sequence, input, call.tensor(6), call.has(5) ? &call.tensor(5) : nullptr,
                call.flag(3) || call.word(4) == 2});
}

// input, boundaries, out_int32, right, out
void run_bucketize(Call& call) {
  call.expect_dtype(0, call.op().dtypes());
  call.expect_same_dtype(1, 0);
  call.expect_rank(1, 1, 1);
  expect_out(call, 0, 4, call.flag(2));
  if (call.tensor(0).elements() == 0 || run_native(call)) return;
  search(call, {call.tensor(1), call.tensor(0), call.tensor(4), nullptr, call.flag(3)});
}

}  // namespace

void add_searches(Table& table) {
  table.add(
      "searchsorted(Tensor sorted_sequence, Tensor input, bool out_int32=0, bool right=0, str "
      "side=none|left|right, Tensor?:int sorter, Tensor! out)",
      numbers, exact, run_searchsorted);
  table.add(
      "bucketize(Tensor input, Tensor boundaries, bool out_int32=0, bool right=0, Tensor! out)",
      numbers, exact, run_bucketize);
}

}  // namespace flagos::ops
