#include "comm/measure.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>

#include "base/error.hpp"
#include "comm/communicator.hpp"

namespace flagos::comm {
namespace {

constexpr std::uint64_t large_bytes = 1 << 20;
constexpr std::uint32_t burst = 8;
constexpr int repeats = 4;

// One rank's side of a measurement. Its bytes lie where those of operations will: on a device whose memory the host does not
// reach the way over slots is a part of what a message costs.
class Side {
 public:
  explicit Side(Communicator* of) : communicator(of) {
    if (has_host_addresses(communicator->device())) {
      memory_.resize(2 * large_bytes);
      out = reinterpret_cast<std::uintptr_t>(memory_.data());
    } else {
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof(desc);
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = 2 * large_bytes;
      expect(flagos_memory_alloc(communicator->device(), &desc, &out));
    }
    in = out + large_bytes;
  }
  ~Side() {
    if (memory_.empty()) flagos_memory_free(communicator->device(), out);
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  Communicator* communicator;
  flagos_address_t out = 0, in = 0;
  Request request;
  Communicator::Started started;

 private:
  std::vector<std::byte> memory_;
};

// All ranks send to the one `shift` places on among `ranks`, and receive from the one so far back.
void prepare(Side& side, const std::vector<std::uint32_t>& ranks, std::uint32_t shift,
             std::uint64_t bytes, std::uint32_t messages) {
  const auto size = static_cast<std::uint32_t>(ranks.size());
  const auto place = static_cast<std::uint32_t>(
      std::find(ranks.begin(), ranks.end(), side.communicator->rank()) - ranks.begin());
  side.request.clear();
  side.request.kind = Kind::exchange;
  for (std::uint32_t i = 0; i < messages; ++i) {
    const auto add = [&](bool is_send, std::uint32_t at, flagos_address_t address) {
      side.request.messages.push_back(
          {is_send, ranks[at % size], address, bytes, FLAGOS_DTYPE_UINT8, {}});
    };
    add(true, place + shift, side.out);
    add(false, place + size - shift, side.in);
  }
}

// The shortest time that the exchange takes the ranks of this process.
double time_exchange(std::deque<Side>& sides) {
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (Side& side : sides) side.started = side.communicator->start_now(side.request);
    for (Side& side : sides) side.communicator->wait_now(side.started);
    least = std::min(
        least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

Link measure(std::deque<Side>& sides, const Topology& topology, bool within_host) {
  std::vector<std::uint32_t> all(topology.size);
  for (std::uint32_t i = 0; i < topology.size; ++i) all[i] = i;
  const auto timed = [&](std::uint64_t bytes, std::uint32_t messages) {
    for (Side& side : sides) {
      const std::uint32_t cluster = topology.cluster_of[side.communicator->rank()];
      if (!within_host) {
        prepare(side, all, topology.largest_cluster(), bytes, messages);
      } else {
        prepare(side, topology.clusters[cluster], 1, bytes,
                topology.clusters[cluster].size() > 1 ? messages : 0);
      }
    }
    return time_exchange(sides);
  };
  Link link;
  link.latency_s = timed(8, 1);
  link.message_s = std::max(0.0, timed(8, burst) - link.latency_s) / (burst - 1);
  link.byte_s = std::max(0.0, timed(large_bytes, 1) - link.latency_s) / large_bytes;
  return link;
}

}  // namespace

std::uint32_t configured_host_ranks() {
  const char* const value = secure_getenv("FLAGOS_COMM_HOST_RANKS");
  if (value == nullptr) return 0;
  std::uint32_t ranks = 0;
  const char* const end = value + std::strlen(value);
  const auto [stop, error] = std::from_chars(value, end, ranks);
  if (error != std::errc() || stop != end || ranks == 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "FLAGOS_COMM_HOST_RANKS is '{}', not a number of ranks", value);
  return ranks;
}

Algorithm configured_algorithm() {
  const char* const value = secure_getenv("FLAGOS_COMM_ALGORITHM");
  return value == nullptr ? Algorithm::automatic : algorithm_of(value);
}

void measure_links(std::span<Communicator* const> mine, Topology& topology) {
  if (topology.size == 1) return;
  std::deque<Side> sides;
  for (Communicator* const communicator : mine) sides.emplace_back(communicator);
  if (topology.largest_cluster() > 1) topology.local = measure(sides, topology, true);
  if (topology.clusters.size() > 1) topology.remote = measure(sides, topology, false);
  if (topology.largest_cluster() == 1) topology.local = topology.remote;
}

}  // namespace flagos::comm
