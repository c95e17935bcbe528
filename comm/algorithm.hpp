// The ways in which an operation may be done, and the choice between them.
#pragma once

#include <cstdint>
#include <string_view>

namespace flagos {
struct Reduction;
}

namespace flagos::comm {

struct Operation;
struct Topology;

enum class Algorithm : std::uint8_t {
  automatic,  // not one of them: the cheapest one
  direct,     // each rank gets what it needs from the rank that has it
  one_step,   // everything to everybody, each reduces
  slices,     // each rank has a slice of its own to reduce or to spread
  tree,       // log2 of the ranks in steps, each with one other rank
  ring,       // each rank has one neighbour to each side
  clusters,   // within each host, between hosts, within each host
};
inline constexpr std::uint8_t algorithm_count = 7;

const char* name_of(Algorithm algorithm);
// Throws when there is none of that name.
Algorithm algorithm_of(std::string_view name);

// Whether partial results must be wider than the dtype: sums of 8- and 16-bit floating point, which are rounded once.
bool needs_wide_partials(const Operation& operation);
// Whether partial results of its dtype may be added, in any order of the ranks.
bool may_add_partials(const Reduction& reduction);
// Whether the operation can be done so.
bool can_use(Algorithm algorithm, const Operation& operation, const Topology& topology);
// How long it takes, in seconds, by what the links have been measured to do.
double cost_of(Algorithm algorithm, const Operation& operation, const Topology& topology);
// The cheapest one; the forced one where the operation has it. The same on all ranks that agree on the operation.
Algorithm choose_algorithm(const Operation& operation, const Topology& topology);

}  // namespace flagos::comm
