// What a rank does for an operation: phases of sends, receives and one reduction, all of a phase at once.
//
// All ranks' plans of an operation have the same number of phases, and a message is received in the phase in which it is
// sent. Who has nothing to do in a phase goes on to the next one. Each number of a result is computed once, or everywhere in
// the same order, so that results are the same on all ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/operation.hpp"
#include "comm/topology.hpp"

namespace flagos::comm {

// Memory of the host for partial results of a rank; larger buffers go through it in rounds.
inline constexpr std::uint64_t scratch_bytes = 1 << 20;
// Behind it, where there are several hosts: numbers of 8 and 16 bits, and as float32 before and after they are added.
inline constexpr std::uint64_t widened_elements = 1 << 20;
inline constexpr std::uint64_t widened_bytes = widened_elements * (2 + 4 + 4);

// The same bytes to one rank or to several.
struct Send {
  flagos_address_t address = 0;
  std::uint64_t bytes = 0;
  std::uint32_t first_target = 0;  // in Plan::targets
  std::uint32_t target_count = 0;
  bool buffered = false;      // what is sent may be overwritten before the others have read it
  bool partial = false;       // a partial result, no longer what the caller gave
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
  std::uint64_t bytes = 0;  // that are read
  std::uint8_t conversion =
      0;  // of the operation's dtype in scratch: `widening` or `narrowing`; 0: bytes as they are
};

// The reduction, in their order, over what some ranks send, and what this one has at `own` if it is among them.
struct PlannedReduction {
  std::uint32_t first_source = 0;  // in Plan::sources
  std::uint32_t source_count = 0;  // 0: no reduction
  flagos_address_t own = 0;
  flagos_address_t target = 0;
  std::uint64_t bytes = 0;
  std::int32_t gate = -1;
  flagos_dtype_t dtype = 0;  // of what is added
  bool own_is_partial = false;
  bool is_final = true;       // an average is divided then
  std::uint32_t divisor = 1;  // by how much
};

struct Phase {
  std::uint32_t sends = 0, receives = 0,
                copies = 0;  // how many of the plan's, one phase behind the other
  PlannedReduction reduction;
};

struct Plan {
  Algorithm algorithm = Algorithm::direct;
  std::vector<Phase> phases;
  std::vector<Send> sends;
  std::vector<std::uint32_t> targets;
  std::vector<Receive> receives;
  std::vector<std::uint32_t> sources;
  std::vector<LocalCopy> copies;

  void clear();
};

// `scratch` is scratch_bytes of this rank's memory, with several hosts and widened_bytes behind them.
void make_plan(const Operation& operation, const Topology& topology, flagos_address_t scratch,
               Plan& plan);

}  // namespace flagos::comm
