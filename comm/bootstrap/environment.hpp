// What launchers say: which rank this process is, of how many, and where the others are.
#pragma once

#include "comm/bootstrap/rendezvous.hpp"

namespace flagos::comm {

struct RankPlace {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
};

// From the variables of flagos run, torchrun, Open MPI, PMI (MPICH, Intel MPI) and Slurm, the first that has both. Throws
// NOT_FOUND with what was looked for.
RankPlace place_from_environment();

// The invitation of FLAGOS_COMM_ID, else of the file FLAGOS_COMM_FILE, else of a file of this user that the job's id names.
// Rank 0 writes the file, the others wait for it.
Invitation invitation_from_environment(const RankPlace& place, const std::string& interface,
                                       std::uint64_t timeout_ns);

}  // namespace flagos::comm
