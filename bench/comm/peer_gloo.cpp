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

#include "bench/comm/peer.hpp"

using namespace flagos::bench;

namespace {

template <typename T>
void once(const std::string& operation, const std::shared_ptr<gloo::Context>& context,
          PeerBuffers& buffers, std::size_t count) {
  T* const source = reinterpret_cast<T*>(buffers.source.data());
  T* const target = reinterpret_cast<T*>(buffers.target.data());
  const std::size_t block = count / static_cast<std::size_t>(context->size);
  if (operation == "all_reduce") {
    gloo::AllreduceOptions options(context);
    options.setInput(source, count);
    options.setOutput(target, count);
    options.setReduceFunction([](void* result, const void* a, const void* b, std::size_t n) {
      if constexpr (sizeof(T) == 2) {
        add_bfloat16(static_cast<T*>(result), static_cast<const T*>(a), static_cast<const T*>(b),
                     n);
      } else {
        gloo::sum<T>(result, a, b, n);
      }
    });
    gloo::allreduce(options);
  } else if (operation == "all_gather") {
    gloo::AllgatherOptions options(context);
    options.setInput(source, block);
    options.setOutput(target, block * static_cast<std::size_t>(context->size));
    gloo::allgather(options);
  } else if (operation == "all_to_all") {
    gloo::AlltoallOptions options(context);
    options.setInput(source, block * static_cast<std::size_t>(context->size));
    options.setOutput(target, block * static_cast<std::size_t>(context->size));
    gloo::alltoall(options);
  } else {
    gloo::BroadcastOptions options(context);
    options.setRoot(0);
    if (context->rank == 0) options.setInput(source, count);
    options.setOutput(target, count);
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
  if (settings.operation == "reduce_scatter") return 77;  // Gloo has none
  const int rank = number("OMPI_COMM_WORLD_RANK"), size = number("OMPI_COMM_WORLD_SIZE");
  gloo::transport::tcp::attr attributes;
  attributes.hostname = "127.0.0.1";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  gloo::rendezvous::FileStore store(settings.folder);
  auto context = std::make_shared<gloo::rendezvous::Context>(rank, size);
  context->connectFullMesh(store, device);
  for (std::uint64_t bytes = settings.smallest; bytes <= settings.largest;
       bytes = next_size(bytes, settings.factor, settings.largest)) {
    const std::size_t count = bytes / settings.width();
    if (settings.operation != "all_reduce" && settings.operation != "broadcast" &&
        count < static_cast<std::size_t>(size))
      continue;
    PeerBuffers buffers(settings, count);
    const auto run = [&] {
      settings.is_bfloat16 ? once<std::uint16_t>(settings.operation, context, buffers, count)
                           : once<float>(settings.operation, context, buffers, count);
    };
    run();
    measure_peer(
        bytes, rank == 0, run,
        [&] {
          gloo::BarrierOptions options(context);
          gloo::barrier(options);
        },
        buffers.wrong(size));
  }
  return 0;
}
