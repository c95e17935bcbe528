// What messages between the ranks cost, measured when a communicator is made.
#pragma once

#include <span>

#include "comm/topology.hpp"

namespace flagos::comm {

class Communicator;

// How ranks are grouped in hosts for algorithms: FLAGOS_COMM_HOST_RANKS lets so many consecutive ranks count as a host, for
// tests; 0: as they are.
std::uint32_t configured_host_ranks();
// FLAGOS_COMM_ALGORITHM
Algorithm configured_algorithm();

// Fills in the links of all ranks' topologies from the ranks of this process, whose calls must be made together: `mine` has
// all ranks of the communicator that are in it and have the same thread.
void measure_links(std::span<Communicator* const> mine, Topology& topology);

}  // namespace flagos::comm
