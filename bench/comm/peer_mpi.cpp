// Collectives of an MPI, timed as flagos bench comm times ours; one line a size: bytes, mean us, least us, wrong results.
#include <mpi.h>

#include "bench/comm/peer.hpp"

using namespace flagos::bench;

namespace {

struct Job {
  const PeerSettings& settings;
  MPI_Datatype type;
  MPI_Op sum;
  int rank = 0, size = 0;

  void once(PeerBuffers& buffers, int count) const {
    const std::string& name = settings.operation;
    void* const source = buffers.source.data();
    void* const target = buffers.target.data();
    const int block = count / size;
    if (name == "all_reduce")
      MPI_Allreduce(source, target, count, type, sum, MPI_COMM_WORLD);
    else if (name == "all_gather")
      MPI_Allgather(source, block, type, target, block, type, MPI_COMM_WORLD);
    else if (name == "reduce_scatter")
      MPI_Reduce_scatter_block(source, target, block, type, sum, MPI_COMM_WORLD);
    else if (name == "all_to_all")
      MPI_Alltoall(source, block, type, target, block, type, MPI_COMM_WORLD);
    else
      MPI_Bcast(rank == 0 ? source : target, count, type, 0, MPI_COMM_WORLD);
  }
};

// MPI knows no bfloat16.
void add(void* in, void* result, int* count, MPI_Datatype*) {
  auto* const sums = static_cast<std::uint16_t*>(result);
  add_bfloat16(sums, sums, static_cast<const std::uint16_t*>(in), static_cast<std::size_t>(*count));
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const PeerSettings settings = PeerSettings::read(argc, argv);
  Job job{settings, settings.is_bfloat16 ? MPI_UINT16_T : MPI_FLOAT, MPI_SUM};
  if (settings.is_bfloat16) MPI_Op_create(add, 1, &job.sum);
  MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &job.size);
  for (std::uint64_t bytes = settings.smallest; bytes <= settings.largest;
       bytes = next_size(bytes, settings.factor, settings.largest)) {
    const int count = static_cast<int>(bytes / settings.width());
    PeerBuffers buffers(settings, static_cast<std::uint64_t>(count));
    job.once(buffers, count);
    const bool has_result =
        count / job.size > 0 && (settings.operation != "broadcast" || job.rank != 0);
    measure_peer(
        bytes, job.rank == 0, [&] { job.once(buffers, count); },
        [] { MPI_Barrier(MPI_COMM_WORLD); }, has_result ? buffers.wrong(job.size) : 0);
  }
  MPI_Finalize();
  return 0;
}
