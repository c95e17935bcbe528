// The scan engine: running values along lines, such as sums of all elements so far. A state of a few numbers stands for
// some neighbours of a line, and two are merged. Lines that are long and few are split over programs: these first keep the
// states of their parts, and then begin with the states of the parts before. The order of merging is always the same.
#pragma once

#include <vector>

#include "ops/engine/lines.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

template <std::size_t N>
using Tiles = std::array<tile::Tile, N>;
// Associative; of tiles of one shape, of tiles and line tiles, or of scalars.
template <std::size_t N>
using Merge = std::function<Tiles<N>(const Tiles<N>&, const Tiles<N>&)>;

template <std::size_t N>
struct Scan {
  tile::DType dtype;                                                    // that is computed in
  std::array<tile::DType, N> types;                                     // of a state in a kernel
  std::array<DType, N> kept;                                            // and between kernels
  std::array<tile::Operand, N> nothing;                                 // the state of no elements
  std::function<Tiles<N>(LineKernel&, const tile::Tile& at)> elements;  // `nothing` behind the end
  Merge<N> merge;  // commutative too, since parts are merged in halves
  std::function<void(LineKernel&, const tile::Tile& at, const Tiles<N>&)> store;
  // Of a tile of rows, where there is a better way than merging one after the other.
  std::function<Tiles<N>(LineKernel&, const Tiles<N>&)> running;
};

namespace scans {

template <std::size_t N>
Tiles<N> full(LineKernel& l, const Scan<N>& s) {
  std::vector<tile::Tile> out;
  for (std::size_t i = 0; i < N; ++i)
    out.push_back(l.k.full(s.types[i], l.line_shape(), s.nothing[i]));
  return tile::detail::to_array<N>(out);
}

template <std::size_t N, typename F>
Tiles<N> each(const Tiles<N>& x, F function) {
  std::vector<tile::Tile> out;
  for (const tile::Tile& tile : x) out.push_back(function(tile));
  return tile::detail::to_array<N>(out);
}
template <std::size_t N>
Tiles<N> reshaped(const Tiles<N>& x, const std::vector<int>& shape) {
  return each(x, [&](const tile::Tile& tile) { return reshape(tile, shape); });
}
// Elements start, start + 1, ... of the last axis of tiles with two.
template <std::size_t N>
Tiles<N> part(const Tiles<N>& x, int start, int count) {
  return each(x, [&](const tile::Tile& tile) {
    return slice(tile, {0, start}, {tile.shape()[0], count});
  });
}
template <std::size_t N>
Tiles<N> concatenated(const std::vector<tile::Tile>& tiles, std::size_t first) {
  return tile::detail::to_array<N>({tiles.begin() + static_cast<std::ptrdiff_t>(first),
                                    tiles.begin() + static_cast<std::ptrdiff_t>(first + N)});
}

// Running states along the last axis of [rows, count].
template <std::size_t N>
Tiles<N> one_by_one(const Tiles<N>& x, const Merge<N>& merge) {
  return tile::scan(x, 1, [&](const std::vector<tile::Tile>& a, const std::vector<tile::Tile>& b) {
    return merge(concatenated<N>(a, 0), concatenated<N>(b, 0));
  });
}
// The same without the element itself.
template <std::size_t N>
Tiles<N> all_before(LineKernel& l, const Tiles<N>& x, const std::array<tile::Operand, N>& nothing,
                    const Merge<N>& merge) {
  // Pairs of what is before the last element, and of all.
  std::vector<tile::Tile> pairs;
  for (std::size_t i = 0; i < N; ++i)
    pairs.push_back(l.k.full(x[i].dtype(), x[i].shape(), nothing[i]));
  pairs.insert(pairs.end(), x.begin(), x.end());
  const auto scanned =
      tile::scan(tile::detail::to_array<2 * N>(pairs), 1,
                 [&](const std::vector<tile::Tile>& a, const std::vector<tile::Tile>& b) {
                   const Tiles<N> before = merge(concatenated<N>(a, N), concatenated<N>(b, 0));
                   const Tiles<N> all = merge(concatenated<N>(a, N), concatenated<N>(b, N));
                   std::vector<tile::Tile> both(before.begin(), before.end());
                   both.insert(both.end(), all.begin(), all.end());
                   return tile::detail::to_array<2 * N>(both);
                 });
  return concatenated<N>({scanned.begin(), scanned.end()}, 0);
}

// Running states of a tile of rows. On processors groups of some neighbours, which do not wait for each other, and then
// what is before each group.
template <std::size_t N>
Tiles<N> running(LineKernel& l, const Tiles<N>& x, const std::array<tile::Operand, N>& nothing,
                 const Merge<N>& merge) {
  constexpr int group = 16;
  const int rows = x[0].shape()[0], count = x[0].shape()[1];
  if (!l.plan.serial || count <= group) return one_by_one<N>(x, merge);
  const int groups = rows * count / group;
  const Tiles<N> within = one_by_one<N>(reshaped(x, {groups, group}), merge);
  const Tiles<N> totals = reshaped(part(within, group - 1, 1), {rows, count / group});
  const Tiles<N> before = reshaped(all_before<N>(l, totals, nothing, merge), {groups, 1});
  return reshaped(merge(before, within), {rows, count});
}

// The state of all elements of each line of a tile.
template <std::size_t N>
Tiles<N> total(LineKernel& l, Tiles<N> x, const Merge<N>& merge) {
  for (int count = l.plan.columns ? 1 : x[0].shape()[1]; count > 1; count /= 2)
    x = merge(part(x, 0, count / 2), part(x, count / 2, count / 2));
  return x;
}

}  // namespace scans

// Lines have the outputs first, then what is scanned.
template <std::size_t N>
void run_scan(Call& call, Lines& lines, const Key& key, const Scan<N>& s) {
  lines.shape_for_scan();
  const auto walk = [&](LineKernel& l, const Tiles<N>& start) {
    l.chunks(start, [&](const tile::Tile& at, const Tiles<N>& before) {
      const bool steps = l.plan.columns || l.plan.width == 1;
      const Tiles<N> x = s.elements(l, at);
      const Tiles<N> own = steps       ? x
                           : s.running ? s.running(l, x)
                                       : scans::running<N>(l, x, s.nothing, s.merge);
      const Tiles<N> now = s.merge(before, own);
      s.store(l, at, now);
      return steps ? now : scans::part(now, l.plan.width - 1, 1);
    });
  };
  const std::int64_t splits = lines.splits();
  if (splits == 1)
    return lines.run(Key(key).add(0, 2), s.dtype,
                     [&](LineKernel& l) { walk(l, scans::full(l, s)); });

  std::list<Workspace> workspaces;
  std::vector<std::pair<flagos_address_t, DType>> states;
  for (const DType dtype : s.kept) {
    workspaces.emplace_back(call.device(), call.stream(),
                            static_cast<std::uint64_t>(splits * lines.lines()) * size_of(dtype));
    states.emplace_back(workspaces.back().address(), dtype);
  }
  lines.run_split(Key(key).add(1, 2), s.dtype, splits, states, [&](LineKernel& l) {
    const Tiles<N> all =
        l.chunks(scans::full(l, s), [&](const tile::Tile& at, const Tiles<N>& before) {
          return s.merge(before, scans::total(l, s.elements(l, at), s.merge));
        });
    for (std::size_t i = 0; i < N; ++i) l.store_state(i, all[i]);
  });
  lines.run_split(Key(key).add(2, 2), s.dtype, splits, states, [&](LineKernel& l) {
    const tile::DType i64 = tile::DType::i64;
    const Tiles<N> start =
        l.k.loop(l.k.constant(i64, 0), l.part(), l.k.constant(i64, 1), scans::full(l, s),
                 [&](const tile::Tile& part, const auto&... before) {
                   std::vector<tile::Tile> kept;
                   for (std::size_t i = 0; i < N; ++i)
                     kept.push_back(l.load_state(i, part, s.types[i]));
                   return s.merge(Tiles<N>{before...}, tile::detail::to_array<N>(kept));
                 });
    walk(l, start);
  });
  lines.copy_back();
}

}  // namespace flagos::ops
