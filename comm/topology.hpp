// Where the ranks are and what it costs to reach them: what algorithms are chosen by. The same on all ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/algorithm.hpp"

namespace flagos::comm {

// What a message costs over one kind of connection.
struct Link {
  double latency_s = 0;  // until a small message has arrived
  double message_s = 0;  // each further message at the same time
  double byte_s = 0;     // each byte, when all ranks are busy
};

struct Topology {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
  std::vector<std::vector<std::uint32_t>> clusters;  // the ranks of each host, ascending
  std::vector<std::uint32_t> cluster_of;             // [size]
  std::vector<std::uint32_t> place_of;               // [size], in the cluster
  Link local, remote;                                // within a cluster, and between clusters
  Algorithm forced = Algorithm::automatic;           // where an operation has it

  // All ranks in one cluster; nothing has been measured.
  static Topology flat(std::uint32_t rank, std::uint32_t size) {
    return of_hosts(rank, std::vector<std::uint32_t>(size, 0));
  }
  // `host_of` is a number of each rank's host, in the order of their first ranks.
  static Topology of_hosts(std::uint32_t rank, const std::vector<std::uint32_t>& host_of) {
    Topology result;
    result.rank = rank;
    result.size = static_cast<std::uint32_t>(host_of.size());
    result.cluster_of = host_of;
    for (std::uint32_t i = 0; i < result.size; ++i) {
      if (host_of[i] == result.clusters.size()) result.clusters.emplace_back();
      std::vector<std::uint32_t>& cluster = result.clusters[host_of[i]];
      result.place_of.push_back(static_cast<std::uint32_t>(cluster.size()));
      cluster.push_back(i);
    }
    return result;
  }

  const std::vector<std::uint32_t>& own_cluster() const { return clusters[cluster_of[rank]]; }
  // Into how many parts the ranks of a host must be cut for those of the host `step` before it, at most.
  std::uint32_t passes_of(std::uint32_t step) const {
    std::size_t most = 1;
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const std::size_t ranks = clusters[i].size();
      const std::size_t parts = (clusters[(i + step) % clusters.size()].size() + ranks - 1) / ranks;
      most = parts > most ? parts : most;
    }
    return static_cast<std::uint32_t>(most);
  }
  std::uint32_t largest_cluster() const {
    std::size_t most = 0;
    for (const auto& cluster : clusters) most = cluster.size() > most ? cluster.size() : most;
    return static_cast<std::uint32_t>(most);
  }
  std::uint32_t smallest_cluster() const {
    std::size_t least = size;
    for (const auto& cluster : clusters) least = cluster.size() < least ? cluster.size() : least;
    return static_cast<std::uint32_t>(least);
  }
};

}  // namespace flagos::comm
