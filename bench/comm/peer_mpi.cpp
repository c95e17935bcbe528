// Collectives of an MPI, timed as flagos bench comm times ours; one line a size: bytes, mean us, least us, wrong results.
#include <mpi.h>

#include <vector>

#include "bench/comm/peer.hpp"

using namespace flagos::bench;

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const PeerSettings settings = PeerSettings::read(argc, argv);
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (std::uint64_t bytes = settings.smallest; bytes <= settings.largest; bytes *= 8) {
    const int count = static_cast<int>(bytes / 4), block = count / size;
    std::vector<float> source(count + 1, 1), target(count + 1);
    const auto once = [&] {
      const std::string& name = settings.operation;
      if (name == "all_reduce")
        MPI_Allreduce(source.data(), target.data(), count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      else if (name == "all_gather")
        MPI_Allgather(source.data(), block, MPI_FLOAT, target.data(), block, MPI_FLOAT,
                      MPI_COMM_WORLD);
      else if (name == "reduce_scatter")
        MPI_Reduce_scatter_block(source.data(), target.data(), block, MPI_FLOAT, MPI_SUM,
                                 MPI_COMM_WORLD);
      else if (name == "all_to_all")
        MPI_Alltoall(source.data(), block, MPI_FLOAT, target.data(), block, MPI_FLOAT,
                     MPI_COMM_WORLD);
      else
        MPI_Bcast(rank == 0 ? source.data() : target.data(), count, MPI_FLOAT, 0, MPI_COMM_WORLD);
    };
    once();
    const bool sums = settings.operation == "all_reduce" || settings.operation == "reduce_scatter";
    const bool has_result = count / size > 0 && (settings.operation != "broadcast" || rank != 0);
    const std::uint64_t wrong = has_result && target[0] != (sums ? static_cast<float>(size) : 1);
    measure_peer(
        bytes, rank == 0, once, [] { MPI_Barrier(MPI_COMM_WORLD); }, wrong);
  }
  MPI_Finalize();
  return 0;
}
