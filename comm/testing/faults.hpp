// What goes wrong with a rank, when, and what the others do about it.
#pragma once

#include <string>

#include "comm/testing/lateness.hpp"
#include "comm/testing/world.hpp"

namespace flagos::comm::testing {

// kill: the process ends at once; stop: it stands still; corrupt: it writes at random into what it tells the others.
struct Fault {
  std::string action, phase;
  std::uint32_t victim = 0;

  // At once, by the victim.
  void happen() const;
  // On a thread of its own in a moment, while the caller goes on.
  void happen_soon() const;
};

// One rank of a communicator in which the fault happens. Does what the phase says over and over until it fails; then the
// survivors shrink, use the new communicator, and abort it. Prints a line with all times. 3 when all went as promised.
int run_with_fault(const Fault& fault, RankDevice& device, flagos_comm_t* comm,
                   const Lateness& lateness);

}  // namespace flagos::comm::testing
