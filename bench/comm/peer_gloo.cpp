// Collectives of Gloo over TCP on loopback, timed as flagos bench comm times ours; lines as peer_mpi.cpp. mpirun starts it;
// ranks meet in FOLDER.
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <memory>
#include <vector>

#include "bench/comm/peer.hpp"

using namespace flagos::bench;

namespace {

void once(const std::string& operation, const std::shared_ptr<gloo::Context>& context,
          std::vector<float>& source, std::vector<float>& target, std::size_t count) {
  const std::size_t block = count / static_cast<std::size_t>(context->size);
  if (operation == "all_reduce") {
    gloo::AllreduceOptions options(context);
    options.setInput(source.data(), count);
    options.setOutput(target.data(), count);
    options.setReduceFunction([](void* result, const void* a, const void* b, std::size_t n) {
      gloo::sum<float>(result, a, b, n);
    });
    gloo::allreduce(options);
  } else if (operation == "all_gather") {
    gloo::AllgatherOptions options(context);
    options.setInput(source.data(), block);
    options.setOutput(target.data(), block * static_cast<std::size_t>(context->size));
    gloo::allgather(options);
  } else if (operation == "all_to_all") {
    gloo::AlltoallOptions options(context);
    options.setInput(source.data(), block * static_cast<std::size_t>(context->size));
    options.setOutput(target.data(), block * static_cast<std::size_t>(context->size));
    gloo::alltoall(options);
  } else {
    gloo::BroadcastOptions options(context);
    options.setRoot(0);
    if (context->rank == 0) options.setInput(source.data(), count);
    options.setOutput(target.data(), count);
    gloo::broadcast(options);
  }
}

int number(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::atoi(value) : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const PeerSettings settings = PeerSettings::read(argc, argv);
  if (settings.operation == "reduce_scatter" || argc < 5) return 77;
  const int rank = number("OMPI_COMM_WORLD_RANK"), size = number("OMPI_COMM_WORLD_SIZE");
  gloo::transport::tcp::attr attributes;
  attributes.hostname = "127.0.0.1";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  gloo::rendezvous::FileStore store(argv[4]);
  auto context = std::make_shared<gloo::rendezvous::Context>(rank, size);
  context->connectFullMesh(store, device);
  for (std::uint64_t bytes = settings.smallest; bytes <= settings.largest; bytes *= 8) {
    const std::size_t count = bytes / 4;
    if (settings.operation != "all_reduce" && settings.operation != "broadcast" &&
        count < static_cast<std::size_t>(size))
      continue;
    std::vector<float> source(count + 1, 1), target(count + 1);
    const auto run = [&] { once(settings.operation, context, source, target, count); };
    run();
    const bool sums = settings.operation == "all_reduce";
    const std::uint64_t wrong = target[0] != (sums ? static_cast<float>(size) : 1);
    measure_peer(
        bytes, rank == 0, run,
        [&] {
          gloo::BarrierOptions options(context);
          gloo::barrier(options);
        },
        wrong);
  }
  return 0;
}
