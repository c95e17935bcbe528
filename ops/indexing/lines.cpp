#include "ops/indexing/lines.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
enum SharedKernel : std::uint32_t { kernel_update = 8, kernel_count, kernel_sum, kernel_place };

Tile combined(Update update, const Tile& old, const Tile& value) {
  switch (update) {
    case Update::add:
      return old + value;
    case Update::multiply:
      return old * value;
    case Update::least:
      return min(old, value);
    default:
      return max(old, value);
  }
}

}  // namespace

void update_in_order(const Call& call, const Updates& updates) {
  Walk walk(call, updates.target.dims());
  const DType type = updates.target.dtype, given = updates.source.dtype;
  const tile::DType computed = computed_as(type);
  const int target = walk.write(updates.target, updates.target_below);
  const int index = walk.read(updates.index,
                              std::min<std::int64_t>(0, (updates.length - 1) * updates.index_step));
  const int source = walk.read(
      updates.source, std::min<std::int64_t>(0, (updates.length - 1) * updates.source_step));
  walk.number(updates.length).number(updates.target_step).number(updates.index_step);
  walk.number(updates.source_step).number(updates.limit).number(updates.skipped);
  walk.number(computed, updates.alpha.as_real(), updates.alpha.integer);
  const bool checked = updates.limit != 0;
  Key key = Walk::shared_key(kernel_update);
  key.add(call.op().index(), 12).add(static_cast<std::uint64_t>(updates.update), 2).add(checked, 1);
  walk.run(key, "update", [&](const Here& here) {
    Kernel& k = here.k;
    const Tile to = here.offset(target), by = here.offset(index), from = here.offset(source);
    k.loop(k.constant(i64, 0), here.numbers[0], k.constant(i64, 1), [&](const Tile& j) {
      const Tile at = cast(here.gather(index, by + j * here.numbers[2]), i64);
      Tile wanted = here.inside;
      if (checked) {
        wanted = wanted & (at != here.numbers[5]);
        k.require(((at >= 0) & (at < here.numbers[4])) | !wanted,
                  call.op().name() + ": an index is outside of the dimension that it counts");
      }
      const Tile place = where(wanted, to + at * here.numbers[1], to);
      const Tile old = to_computed(here.gather(target, place), type);
      const Tile value =
          cast(to_computed(here.gather(source, from + j * here.numbers[3]), given), computed);
      here.scatter(
          target, place,
          to_stored(combined(updates.update, old, value * cast(here.numbers[6], computed)), type),
          wanted);
    });
  });
}

Positions::Positions(const Call& call, const Tensor& mask, const Tensor* count)
    : positions_(call, DType::i64, mask.dims()) {
  const std::int64_t n = mask.elements();
  const int chunk = call.device().is_serial() ? 4096 : 1024;
  const std::int64_t chunks = (n + chunk - 1) / chunk;
  const std::int64_t all[] = {chunks + 1};  // the last one takes the count when nobody wants it
  const Scratch sums(call, DType::i64, all);
  const flagos_address_t total =
      count != nullptr ? count->address
                       : sums.tensor().address + static_cast<std::uint64_t>(chunks) * 8;
  const auto load = [&](std::uint32_t which, auto build) {
    return call.device().kernel(Walk::shared_key(which).add(static_cast<std::uint64_t>(chunk), 16),
                                [&] {
                                  tile::Module module;
                                  module.kernel("ops_positions", {{"CHUNK", chunk}}, build);
                                  return module.text(false);
                                });
  };
  if (chunks > 0) {
    flagos_kernel_t* const counted = load(kernel_count, [&](Kernel& k) {
      const auto x = k.pointer("mask", tile::DType::u8, "readonly, noalias"),
                 sum_at = k.pointer("sums", i64, "noalias");
      const Tile elements = k.scalar("n", i64);
      const Tile blocks = (elements + (chunk - 1)) / chunk;
      for_each_block(k, blocks, [&](const Tile& block) {
        const Tile some = k.load(k.view(x, {elements}, {1}), {block * chunk}, {chunk});
        k.store(k.view(sum_at, {blocks}, {1}), {block},
                cast(sum(cast(some != 0, tile::DType::i32), 0), i64));
      });
    });
    Launch launch(call, counted);
    launch.pointer(mask.address).pointer(sums.tensor().address).integer(n).run(chunks);
  }
  // One program: as many sums as there are chunks are few.
  constexpr int width = 1024;
  flagos_kernel_t* const summed = load(kernel_sum, [&](Kernel& k) {
    const auto sum_at = k.pointer("sums", i64, "noalias"),
               total_at = k.pointer("total", i64, "noalias");
    const Tile blocks = k.scalar("chunks", i64);
    const tile::View view = k.view(sum_at, {blocks}, {1});
    const Tile found = k.loop(k.constant(i64, 0), blocks, k.constant(i64, width),
                              k.constant(i64, 0), [&](const Tile& at, const Tile& before) {
                                const Tile some = k.load(view, {at}, {width});
                                const Tile running = cumsum(some, 0);
                                k.store(view, {at}, running - some + before);
                                return before + sum(some, 0);
                              });
    k.store(k.view(total_at, {1}, {1}), {0}, found);
  });
  Launch(call, summed).pointer(sums.tensor().address).pointer(total).integer(chunks).run_grid(1);
  if (chunks == 0) return;
  flagos_kernel_t* const placed = load(kernel_place, [&](Kernel& k) {
    const auto x = k.pointer("mask", tile::DType::u8, "readonly, noalias"),
               sum_at = k.pointer("sums", i64, "readonly, noalias"),
               out = k.pointer("positions", i64, "noalias");
    const Tile elements = k.scalar("n", i64);
    const Tile blocks = (elements + (chunk - 1)) / chunk;
    for_each_block(k, blocks, [&](const Tile& block) {
      const Tile some =
          cast(k.load(k.view(x, {elements}, {1}), {block * chunk}, {chunk}) != 0, tile::DType::i32);
      const Tile before = k.load(k.view(sum_at, {blocks}, {1}), {block});
      k.store(k.view(out, {elements}, {1}), {block * chunk},
              cast(cumsum(some, 0) - some, i64) + before);
    });
  });
  Launch(call, placed)
      .pointer(mask.address)
      .pointer(sums.tensor().address)
      .pointer(tensor().address)
      .integer(n)
      .run(chunks);
}

}  // namespace flagos::ops
