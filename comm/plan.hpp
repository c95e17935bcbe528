// What a rank does for an operation: phases of sends, receives and one reduction, all of a phase at once.
//
// Every algorithm is direct: each rank gets what it needs from the rank that has it. With reductions each rank reduces a
// slice of its own, over all ranks in their order, so that results are the same everywhere, and 16-bit floating point is
// rounded once. Small operations send everything to everybody and reduce everywhere: one step.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/operation.hpp"

namespace flagos::comm {

// The same bytes to one rank or to several.
struct Send {
  flagos_address_t address = 0;
  std::uint64_t bytes = 0;
  std::uint32_t first_target = 0;  // in Plan::targets
  std::uint32_t target_count = 0;
  bool buffered = false;      // what is sent may be overwritten before the others have read it
  std::int32_t message = -1;  // of an exchange
};

struct Receive {
  flagos_address_t address = 0;
  std::uint64_t bytes = 0;
  std::uint32_t peer = 0;
  std::int32_t gate = -1;  // may not write further than this send of the phase has read; -1: none
  std::int32_t message = -1;  // of an exchange
};

struct LocalCopy {
  flagos_address_t from = 0;
  flagos_address_t to = 0;
  std::uint64_t bytes = 0;
};

// The reduction over ranks [0, last), to which this rank gives what is at `own`, if it is one of them.
struct PlannedReduction {
  bool present = false;
  std::uint32_t last = 0;
  flagos_address_t own = 0;
  flagos_address_t target = 0;
  std::uint64_t bytes = 0;
  std::int32_t gate = -1;
};

struct Phase {
  std::uint32_t sends = 0, receives = 0,
                copies = 0;  // how many of the plan's, one phase behind the other
  PlannedReduction reduction;
};

struct Plan {
  static constexpr std::uint32_t most_phases = 2;

  const char* algorithm = "";
  std::uint32_t phase_count = 0;
  Phase phases[most_phases];
  std::vector<Send> sends;
  std::vector<std::uint32_t> targets;
  std::vector<Receive> receives;
  std::vector<LocalCopy> copies;

  void clear();
};

// Where the ranks are, for the cost of an algorithm.
struct Shape {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
};

void make_plan(const Operation& operation, const Shape& shape, Plan& plan);

}  // namespace flagos::comm
