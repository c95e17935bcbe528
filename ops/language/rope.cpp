// Rotary position embedding: pairs of elements of a head turn by an angle that the position and the pair give.
#include "ops/engine/batch.hpp"
#include "ops/engine/product.hpp"
#include "ops/engine/walk.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// What one kernel turns: heads [tokens..., heads, depth], of which the first 2 * pairs elements. The same memory where it
// is in place.
struct Turn {
  Tensor in, out;
  Tensor positions;     // [tokens..., 1, 1], int
  Tensor cosine, sine;  // [rows, pairs]
  bool interleaved;     // a pair is two neighbours; else the two halves face each other
};

struct Variant {
  DType type, table, positions;
  bool serial = false, batched = false, interleaved = false, neighbours = false;
  int pairs = 16;  // of a tile; a power of two
  int heads() const { return std::max(1, (serial ? 4096 : 1024) / (2 * pairs)); }
};

// The first and the second elements of the pairs of a block of heads.
std::array<Tile, 2> load_pairs(Kernel& k, const Variant& v, const tile::View& x,
                               const std::vector<tile::Operand>& place, const Tile& head,
                               const Tile& pair, const Tile& pairs) {
  const int heads = v.heads();
  const tile::DType computed = computed_as(v.type);
  if (v.interleaved) {
    const auto both = split(load_block(k, x, joined(place, {head, pair, 0}), {heads, v.pairs, 2}));
    return {cast(both[0], computed), cast(both[1], computed)};
  }
  const Tile first = load_block(k, x, joined(place, {head, pair}), {heads, v.pairs});
  const Tile second = load_block(k, x, joined(place, {head, pairs + pair}), {heads, v.pairs});
  return {cast(first, computed), cast(second, computed)};
}

std::string turn_text(const Call& call, const Variant& v) {
  tile::Module module;
  const std::string name = call.op().name();
  module.kernel("ops_rope", {{"HEADS", v.heads()}, {"PAIRS", v.pairs}}, [&](Kernel& k) {
    // Neither is noalias: in place, both are the same.
    const auto from = k.pointer("x", stored_as(v.type)), to = k.pointer("out", stored_as(v.type));
    const auto by = k.pointer("positions", stored_as(v.positions), "readonly, noalias");
    const auto cosines = k.pointer("cosine", stored_as(v.table), "readonly"),
               sines = k.pointer("sine", stored_as(v.table), "readonly");
    const auto size = [&](const char* n) { return k.scalar(n, i64); };
    const Tile heads = size("heads"), pairs = size("pairs"), rows = size("rows");
    const Tile x_head = size("x_head"), x_unit = size("x_unit");
    const Tile out_head = size("out_head"), out_unit = size("out_unit");
    const Tile cos_row = size("cos_row"), cos_unit = size("cos_unit");
    const Tile sin_row = size("sin_row"), sin_unit = size("sin_unit");
    const Batch batch(k, v.batched, {"out", "x", "positions"});
    const int tall = v.heads();
    const Tile down = (heads + (tall - 1)) / tall, across = (pairs + (v.pairs - 1)) / v.pairs;
    const auto view = [&](const tile::Pointer& pointer, std::size_t operand, const Tile& head_step,
                          const Tile& unit, const Tile& count) {
      const tile::Extent one = v.neighbours ? tile::Extent(1) : tile::Extent(unit);
      if (!v.interleaved) return batch.view(k, pointer, operand, {heads, count}, {head_step, one});
      const tile::Extent two = v.neighbours ? tile::Extent(2) : tile::Extent(unit * 2);
      return batch.view(k, pointer, operand, {heads, pairs, 2}, {head_step, two, one});
    };
    for_each_block(k, batch.count() * down * across, [&](const Tile& block) {
      const std::vector<tile::Operand> place = batch.places(block / (down * across));
      const Tile head = block / across % down * tall, pair = block % across * v.pairs;
      const Tile at =
          cast(k.load(batch.view(k, by, 2, {1}, {1}), joined(place, {tile::Operand(0)})), i64);
      k.require((at >= 0) & (at < rows), name + ": a position is outside of the cache");
      const auto angle = [&](const tile::Pointer& pointer, const Tile& row_step, const Tile& unit) {
        return broadcast(
            cast(k.load(k.view(pointer, {rows, pairs}, {row_step, unit}), {at, pair}, {1, v.pairs}),
                 computed_as(v.type)),
            {tall, v.pairs});
      };
      const Tile c = angle(cosines, cos_row, cos_unit), s = angle(sines, sin_row, sin_unit);
      const tile::View x = view(from, 1, x_head, x_unit, pairs * 2);
      const auto [first, second] = load_pairs(k, v, x, place, head, pair, pairs);
      const Tile turned = cast(first * c - second * s, stored_as(v.type));
      const Tile other = cast(second * c + first * s, stored_as(v.type));
      // Views to write to end where the half does: a block of pairs may reach further.
      if (v.interleaved) {
        store_block(k, view(to, 0, out_head, out_unit, pairs), joined(place, {head, pair, 0}),
                    join(turned, other));
      } else {
        store_block(k, view(to, 0, out_head, out_unit, pairs), joined(place, {head, pair}), turned);
        store_block(k, view(to, 0, out_head, out_unit, pairs * 2),
                    joined(place, {head, pairs + pair}), other);
      }
    });
  });
  return module.text(false);
}

void turn(const Call& call, const Turn& t) {
  const int tokens = t.out.rank - 2;
  const std::int64_t heads = t.out.shape[tokens], pairs = t.cosine.shape[1];
  if (t.out.elements() == 0 || pairs == 0) return;
  const Tensor* const operands[] = {&t.out, &t.in, &t.positions};
  const BatchWalk batch(operands, 2);
  const auto unit = [&](const Tensor& tensor) { return tensor.strides[tokens + 1]; };
  Variant v{t.out.dtype, t.cosine.dtype, t.positions.dtype};
  v.serial = call.device().is_serial();
  v.batched = batch.batched();
  v.interleaved = t.interleaved;
  v.neighbours = unit(t.in) == 1 && unit(t.out) == 1;
  while (v.pairs < pairs && v.pairs < 128) v.pairs *= 2;
  Key key = call.key();
  key.add(2, 4).add(v.serial, 1).add(v.batched, 1).add(v.interleaved, 1).add(v.neighbours, 1);
  key.add(static_cast<std::uint64_t>(v.pairs), 8);
  for (const DType dtype : {v.type, v.table, v.positions})
    key.add(static_cast<std::uint64_t>(dtype), 4);
  Launch launch(call, call.device().kernel(key, [&] { return turn_text(call, v); }));
  launch.pointer(t.in.address).pointer(t.out.address).pointer(t.positions.address);
  launch.pointer(t.cosine.address).pointer(t.sine.address);
  launch.integer(heads).integer(pairs).integer(t.cosine.shape[0]);
  for (const Tensor* tensor : {&t.in, &t.out})
    launch.integer(tensor->strides[tokens]).integer(unit(*tensor));
  for (const Tensor* tensor : {&t.cosine, &t.sine})
    launch.integer(tensor->strides[0]).integer(tensor->strides[1]);
  batch.put(launch);
  const std::int64_t down = (heads + v.heads() - 1) / v.heads();
  batch.run(launch, batch.count() * down * ((pairs + v.pairs - 1) / v.pairs), {1, 0, 2});
}

// ---- in place, with a cache of cosines and sines ---------------------------------------------------------------------

// query or key as [tokens..., heads, depth]; the heads may be one axis with what they hold.
Tensor by_heads(const Call& call, std::size_t i, const Tensor& positions, std::int64_t depth) {
  const Tensor& given = call.tensor(i);
  const int tokens = positions.rank;
  call.expect_rank(i, tokens + 1, tokens + 2);
  if (!same_shape(given.dims().first(static_cast<std::size_t>(tokens)), positions.dims()))
    call.refuse(i, "is of shape {}, and positions of shape {}", given.shape_text(),
                positions.shape_text());
  const std::int64_t last = given.shape[given.rank - 1];
  if (given.rank == tokens + 2) {
    if (last != depth) call.refuse(i, "has heads of {} elements, and head_size is {}", last, depth);
    return given;
  }
  if (last % depth != 0)
    call.refuse(i, "has {} elements for each token, no multiple of head_size {}", last, depth);
  Tensor out = given.with_axis(tokens, last / depth, given.strides[tokens] * depth);
  out.shape[tokens + 1] = depth;
  return out;
}

Tensor spread_positions(const Tensor& positions) {
  return positions.with_axis(positions.rank, 1, 0).with_axis(positions.rank + 1, 1, 0);
}

void run_rope(Call& call) {
  constexpr std::size_t query = 1, key = 2, cache = 4;
  const Tensor &positions = call.tensor(0), &angles = call.tensor(cache);
  const std::int64_t depth = call.integer(3);
  call.expect_rank(0, 1, max_rank - 2);
  if (depth < 1) call.refuse(3, "is {}; 1 is the least", depth);
  call.expect_rank(cache, 2, 2);
  call.expect_dtype(cache, floats);
  const std::int64_t turned = angles.shape[1];
  if (turned % 2 != 0 || turned > depth)
    call.refuse(cache, "has rows of {} elements; an even number is needed, at most head_size {}",
                turned, depth);
  for (const std::size_t i : {query, key}) {
    if (!call.has(i)) continue;
    call.expect_dtype(i, floats);
    static_cast<void>(by_heads(call, i, positions, depth));
    for (const std::size_t read : {std::size_t{0}, cache}) expect_apart(call, read, i);
  }
  // Both may be parts of one tensor, side by side.
  if (call.has(key)) expect_apart(call, key, query);
  for (const std::size_t i : {query, key})
    if (call.has(i)) {
      const Tensor x = by_heads(call, i, positions, depth);
      turn(call, {x, x, spread_positions(positions), angles.narrowed(1, 0, turned / 2),
                  angles.narrowed(1, turned / 2, turned / 2), !call.flag(5)});
    }
}

// ---- to outputs, with tables of their own ------------------------------------------------------------------------------

void run_apply_rotary(Call& call) {
  constexpr std::size_t cosine = 2, sine = 3, positions = 4, outputs = 6;
  for (const std::size_t i : {cosine, sine}) {
    call.expect_rank(i, 2, 2);
    call.expect_dtype(i, floats);
  }
  call.expect_shape(sine, call.tensor(cosine));
  call.expect_same_dtype(sine, cosine);
  const std::int64_t pairs = call.tensor(cosine).shape[1];
  for (const std::size_t i : {0, 1}) {
    const Tensor& x = call.tensor(i);
    call.expect_dtype(i, floats);
    call.expect_rank(i, 3, 4);
    if (2 * pairs > x.shape[x.rank - 1])
      call.refuse(cosine, "has rows of {} elements, and {} has heads of {}: half is the most",
                  pairs, call.op().schema().parameters[i].name, x.shape[x.rank - 1]);
    call.expect_shape(outputs + i, x);
    call.expect_same_dtype(outputs + i, i);
    const Tensor& out = call.tensor(outputs + i);
    for (const std::size_t read : {std::size_t{0}, std::size_t{1}, cosine, sine, positions}) {
      const Tensor& in = call.tensor(read);
      const bool in_place = read == i && in.address == out.address && in.strides == out.strides;
      if (call.has(read) && !in_place) expect_apart(call, read, outputs + i);
    }
    if (!call.has(positions)) continue;
    if (!same_shape(x.dims().first(static_cast<std::size_t>(x.rank - 2)),
                    call.tensor(positions).dims()))
      call.refuse(positions, "is of shape {}, and {} of shape {}",
                  call.tensor(positions).shape_text(), call.op().schema().parameters[i].name,
                  x.shape_text());
  }
  expect_apart(call, outputs + 1, outputs);
  for (const std::size_t i : {0, 1}) {
    const Tensor &x = call.tensor(i), &out = call.tensor(outputs + i);
    const int tokens = x.rank - 2;
    const std::int64_t depth = x.shape[tokens + 1];
    if (out.elements() == 0) continue;
    // Without positions, tokens of a sequence stand where they are.
    std::unique_ptr<Scratch> counted;
    Tensor where_to_turn;
    if (call.has(positions)) {
      where_to_turn = call.tensor(positions);
    } else {
      const std::int64_t length = x.shape[tokens - 1];
      if (length > call.tensor(cosine).shape[0])
        call.refuse(i, "has {} tokens in a sequence, and cos has {} rows", length,
                    call.tensor(cosine).shape[0]);
      counted = std::make_unique<Scratch>(call, DType::i64, std::array{length});
      Walk walk(call, counted->tensor().dims());
      const int to = walk.write(counted->tensor()), number = walk.coordinate(0);
      walk.run(call.key().add(3, 4), "count",
               [&](const Here& here) { here.store(to, here.offset(number)); });
      where_to_turn =
          counted->tensor().expanded_to(x.dims().first(static_cast<std::size_t>(tokens)));
    }
    turn(call, {x, out, spread_positions(where_to_turn), call.tensor(cosine), call.tensor(sine),
                call.flag(5)});
    if (2 * pairs < depth && out.address != x.address)
      copy(call, out.narrowed(tokens + 1, 2 * pairs, depth - 2 * pairs),
           x.narrowed(tokens + 1, 2 * pairs, depth - 2 * pairs));
  }
}

}  // namespace

void add_rope(Table& table) {
  // Products of elements by cosines and sines of at most 1 are added: the terms may cancel.
  const Bound bound = summed(2, 1);
  table.add(
      "rope(Tensor:int positions, Tensor! query, Tensor!? key, int head_size, Tensor "
      "cos_sin_cache, bool is_neox=1)",
      floats, bound, run_rope);
  table.add(
      "apply_rotary_pos_emb(Tensor q, Tensor k, Tensor cos, Tensor sin, Tensor?:int position_ids, "
      "bool rotary_interleaved=0, Tensor! q_embed, Tensor! k_embed)",
      floats, bound, run_apply_rotary);
}

}  // namespace flagos::ops
