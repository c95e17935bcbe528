// The reduction engine: a state of a few numbers for each line, from tiles of its elements; states of parts are merged in
// their order. Lines that are long and few are split over programs, whose states a second kernel merges.
#pragma once

#include <cmath>
#include <vector>

#include "ops/engine/lines.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

// Nothing is above (or below) it: what stands behind the end of a line.
inline tile::Operand neutral(DType dtype, bool largest) {
  if (is_floating(dtype)) return largest ? -HUGE_VAL : HUGE_VAL;
  if (dtype == DType::boolean || dtype == DType::u8) return largest ? 0LL : 255LL;
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  const auto most = static_cast<long long>((~std::uint64_t{0} >> 1) >> (64 - bits));
  return largest ? -most - 1 : most;
}

template <std::size_t N>
struct Reduction {
  using State = std::array<tile::Tile, N>;  // line tiles

  tile::DType dtype;           // that is computed in
  std::array<DType, N> state;  // as it is kept between kernels
  std::size_t outputs = 1;     // the first operands; then what is reduced
  std::function<State(LineKernel&, const tile::Tile& at)> chunk;
  std::function<State(const State&, const State&)> merge;  // a state, and that of what follows it
  // Stores the outputs. The last of the kernel's numbers is the length of a line.
  std::function<void(LineKernel&, const State&)> finish;
};

template <std::size_t N>
void reduce(Call& call, Lines& lines, const Key& key, const Reduction<N>& r) {
  using State = typename Reduction<N>::State;
  lines.number(static_cast<double>(lines.length()));
  const auto state_of_round = [&](LineKernel& l) {
    const State first = r.chunk(l, l.low);
    if (l.plan.whole) return first;
    const tile::Tile width = l.k.constant(tile::DType::i64, l.plan.width);
    return l.k.loop(l.low + width, l.high, width, first,
                    [&](const tile::Tile& at, const auto&... before) {
                      return r.merge(State{before...}, r.chunk(l, at));
                    });
  };
  const auto state_of = [&](LineKernel& l) {
    if (!l.plan.rounds) return state_of_round(l);
    l.enter_round(l.first_round());
    return l.k.loop(l.first_round() + 1, l.end_of_rounds(), l.k.constant(tile::DType::i64, 1),
                    state_of_round(l), [&](const tile::Tile& round, const auto&... before) {
                      l.enter_round(round);
                      return r.merge(State{before...}, state_of_round(l));
                    });
  };
  const std::int64_t splits = lines.splits();
  if (splits == 1)
    return lines.run(Key(key).add(0, 1), r.dtype, [&](LineKernel& l) { r.finish(l, state_of(l)); });

  std::list<Workspace> workspaces;
  std::vector<std::pair<flagos_address_t, DType>> states;
  for (const DType dtype : r.state) {
    workspaces.emplace_back(call.device(), call.stream(),
                            static_cast<std::uint64_t>(splits * lines.lines()) * size_of(dtype));
    states.emplace_back(workspaces.back().address(), dtype);
  }
  const std::int64_t parts =
      lines.run_split(Key(key).add(1, 1), r.dtype, splits, states, [&](LineKernel& l) {
        const State state = state_of(l);
        for (std::size_t i = 0; i < N; ++i) l.store_state(i, state[i]);
      });
  Lines merged = lines.of_states(r.outputs, states, parts);
  merged.run(Key(key).add(2, 2), r.dtype, [&](LineKernel& l) {
    const auto at_part = [&](const tile::Tile& part) {
      std::vector<tile::Tile> loaded;
      for (std::size_t i = 0; i < N; ++i)
        loaded.push_back(l.load(r.outputs + i, part, 0, computed_as(r.state[i])));
      return tile::detail::to_array<N>(loaded);
    };
    r.finish(l, l.k.loop(l.low + 1, l.high, l.k.constant(tile::DType::i64, 1), at_part(l.low),
                         [&](const tile::Tile& part, const auto&... before) {
                           return r.merge(State{before...}, at_part(part));
                         }));
  });
  lines.copy_back();
}

}  // namespace flagos::ops
