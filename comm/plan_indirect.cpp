// Algorithms in which bytes go over other ranks than the one that needs them: slices, trees, rings, and clusters of ranks
// that are near to each other.
#include <algorithm>
#include <bit>

#include "comm/plan_maker.hpp"
#include "comm/segment.hpp"

namespace flagos::comm {
namespace {

std::uint32_t before(std::uint32_t rank, std::uint32_t steps, std::uint32_t size) {
  return (rank + 2 * size - steps) % size;
}

}  // namespace

// ---- slices ------------------------------------------------------------------------------------------------------

// The root gives each other rank a slice, which these give each other: the root sends everything once only.
void PlanMaker::broadcast_slices() {
  const std::uint32_t others = size_ - 1;
  const std::uint32_t distance = before(rank_, request_.root, size_);  // from the root
  in_rounds(elements_in(others * Segment::slot_bytes), [&](const Round& round) {
    const Slices slices{round.count, others, width_};
    const auto address = [&](std::uint32_t i) {
      return target((round.start + slices.start(i)) * width_);
    };
    const auto rank_with = [&](std::uint32_t i) { return (request_.root + 1 + i) % size_; };
    begin_phase();
    if (distance == 0) {
      for (std::uint32_t i = 0; i < others; ++i)
        send_to(address(i), slices.size(i) * width_, rank_with(i));
      begin_phase();
      return;
    }
    const std::uint32_t own = distance - 1;
    receive(address(own), slices.size(own) * width_, request_.root);
    begin_phase();
    for (std::uint32_t i = 1; i < others; ++i)
      send_to(address(own), slices.size(own) * width_, rank_with((own + i) % others));
    for (std::uint32_t i = 1; i < others; ++i) {
      const std::uint32_t other = before(own, i, others);
      receive(address(other), slices.size(other) * width_, rank_with(other));
    }
  });
}

// Each rank reduces a slice, and the root collects them.
void PlanMaker::reduce_slices() {
  const bool is_root = rank_ == request_.root;
  in_rounds(size_ * elements_in(scratch_bytes / 2), [&](const Round& round) {
    const Slices slices{round.count, size_, width_};
    const auto offset = [&](std::uint32_t i) { return (round.start + slices.start(i)) * width_; };
    begin_phase();
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      send_to(source(offset(peer)), slices.size(peer) * width_, peer);
    }
    const std::uint64_t own_bytes = slices.size(rank_) * width_;
    reduce_range(size_, source(offset(rank_)), is_root ? target(offset(rank_)) : scratch_,
                 own_bytes);
    begin_phase();
    if (!is_root) return send_to(scratch_, own_bytes, request_.root);
    for (std::uint32_t peer = 0; peer < size_; ++peer)
      if (peer != rank_) receive(target(offset(peer)), slices.size(peer) * width_, peer);
  });
}

// ---- trees -------------------------------------------------------------------------------------------------------

void PlanMaker::broadcast_tree() {
  const std::uint32_t distance = before(rank_, request_.root, size_);
  for (std::uint32_t d = std::bit_ceil(size_) / 2; d != 0; d /= 2) {
    begin_phase();
    if (distance % (2 * d) == 0 && distance + d < size_)
      send_to(target(), bytes(), (rank_ + d) % size_);
    else if (distance % (2 * d) == d)
      receive(target(), bytes(), before(rank_, d, size_));
  }
}

void PlanMaker::reduce_tree() {
  const std::uint32_t distance = before(rank_, request_.root, size_);
  const flagos_address_t result = distance == 0 ? target() : scratch_;
  flagos_address_t own = source();
  bool is_partial = false, is_sent = false;
  for (std::uint32_t d = 1; d < size_; d *= 2) {
    begin_phase();
    if (is_sent) continue;
    if ((distance & d) != 0) {
      send_to(own, bytes(), before(rank_, d, size_), is_partial);
      is_sent = true;
    } else if (distance + d < size_) {
      PlannedReduction& reduction = reduce_pair(rank_, (rank_ + d) % size_, own, result, bytes());
      reduction.own_is_partial = is_partial;
      reduction.is_final = distance == 0 && 2 * d >= size_;
      own = result;
      is_partial = true;
    }
  }
}

// Recursive doubling: what two ranks have alike they exchange with two others, and so on. Ranks beyond a power of two give
// what they have to a neighbour first, and get the result from it.
void PlanMaker::all_reduce_tree() {
  const std::uint32_t taking_part = std::bit_floor(size_), extra = size_ - taking_part;
  const bool has_neighbour = rank_ < 2 * extra;
  const bool is_out = has_neighbour && rank_ % 2 == 1;
  const std::uint32_t place = has_neighbour ? rank_ / 2 : rank_ - extra;
  const auto rank_at = [&](std::uint32_t p) { return p < extra ? 2 * p : p + extra; };
  flagos_address_t own = source();
  bool is_partial = false;
  if (extra != 0) {
    begin_phase();
    if (is_out) {
      send_to(own, bytes(), rank_ - 1);
    } else if (has_neighbour) {
      reduce_pair(rank_, rank_ + 1, own, target(), bytes()).is_final = false;
      own = target();
      is_partial = true;
    }
  }
  for (std::uint32_t d = 1; d < taking_part; d *= 2) {
    begin_phase();
    if (is_out) continue;
    const std::uint32_t peer = rank_at(place ^ d);
    const bool is_overwritten = own == target();
    send_to(own, bytes(), peer, is_partial, is_overwritten);
    PlannedReduction& reduction =
        reduce_pair(std::min(rank_, peer), std::max(rank_, peer), own, target(), bytes());
    reduction.gate = is_overwritten ? 0 : -1;
    reduction.own_is_partial = is_partial;
    reduction.is_final = 2 * d == taking_part;
    own = target();
    is_partial = true;
  }
  if (extra == 0) return;
  begin_phase();
  if (is_out) {
    receive(target(), bytes(), rank_ - 1);
  } else if (has_neighbour) {
    send_to(target(), bytes(), rank_ + 1);
  }
}

void PlanMaker::barrier_tree() {
  for (std::uint32_t d = 1; d < size_; d *= 2) {
    begin_phase();
    send_to(0, 0, (rank_ + d) % size_);
    receive(0, 0, before(rank_, d, size_));
  }
}

// ---- rings -------------------------------------------------------------------------------------------------------

// Each slice goes round once and is reduced on the way, then it goes round again.
void PlanMaker::all_reduce_ring() {
  const Slices slices{count_, size_, width_};
  const std::uint32_t next = (rank_ + 1) % size_, previous = before(rank_, 1, size_);
  const auto offset = [&](std::uint32_t i) { return slices.start(i) * width_; };
  const auto length = [&](std::uint32_t i) { return slices.size(i) * width_; };
  for (std::uint32_t step = 0; step + 1 < size_; ++step) {
    begin_phase();
    const std::uint32_t out = before(rank_, step, size_), in = before(rank_, step + 1, size_);
    send_to(step == 0 ? source(offset(out)) : target(offset(out)), length(out), next, step != 0);
    reduce_pair(previous, rank_, source(offset(in)), target(offset(in)), length(in)).is_final =
        step + 2 == size_;
  }
  for (std::uint32_t step = 0; step + 1 < size_; ++step) {
    begin_phase();
    const std::uint32_t out = before(rank_ + 1, step, size_), in = before(rank_, step, size_);
    send_to(target(offset(out)), length(out), next);
    receive(target(offset(in)), length(in), previous);
  }
}

void PlanMaker::reduce_scatter_ring() {
  const std::uint32_t next = (rank_ + 1) % size_, previous = before(rank_, 1, size_);
  const flagos_address_t halves[2] = {scratch_, scratch_ + scratch_bytes / 2};
  in_rounds(elements_in(scratch_bytes / 2), [&](const Round& round) {
    const std::uint64_t length = round.count * width_;
    const auto own = [&](std::uint32_t block) {
      return source((block * count_ + round.start) * width_);
    };
    for (std::uint32_t step = 0; step + 1 < size_; ++step) {
      begin_phase();
      const std::uint32_t out = before(rank_, step + 1, size_), in = before(rank_, step + 2, size_);
      const bool is_last = step + 2 == size_;
      send_to(step == 0 ? own(out) : halves[(step + 1) % 2], length, next, step != 0);
      reduce_pair(previous, rank_, own(in),
                  is_last ? target(round.start * width_) : halves[step % 2], length)
          .is_final = is_last;
    }
  });
}

void PlanMaker::all_gather_ring() {
  const std::uint32_t next = (rank_ + 1) % size_, previous = before(rank_, 1, size_);
  const auto block = [&](std::uint32_t rank) { return target(rank * bytes()); };
  for (std::uint32_t step = 0; step + 1 < size_; ++step) {
    begin_phase();
    if (step == 0) copy_own(source(), block(rank_), bytes());
    send_to(step == 0 ? source() : block(before(rank_, step, size_)), bytes(), next);
    receive(block(before(rank_, step + 1, size_)), bytes(), previous);
  }
}

// ---- clusters ----------------------------------------------------------------------------------------------------

// One rank of each other host gets everything, and hands it on.
void PlanMaker::broadcast_clusters() {
  const std::uint32_t home = topology_.cluster_of[request_.root];
  const auto leader_of = [&](std::uint32_t cluster) {
    const auto& ranks = topology_.clusters[cluster];
    return ranks[topology_.place_of[request_.root] % ranks.size()];
  };
  const std::uint32_t leader = leader_of(topology_.cluster_of[rank_]);
  in_rounds(elements_in(4 * Segment::slot_bytes), [&](const Round& round) {
    const flagos_address_t address = target(round.start * width_);
    const std::uint64_t length = round.count * width_;
    begin_phase();
    if (rank_ == request_.root) {
      for (std::uint32_t cluster = 0; cluster < topology_.clusters.size(); ++cluster)
        if (cluster != home) send_to(address, length, leader_of(cluster));
    } else if (rank_ == leader) {
      receive(address, length, request_.root);
    }
    begin_phase();
    if (rank_ == leader) {
      send_to_each(address, length, topology_.own_cluster());
    } else {
      receive(address, length, leader);
    }
  });
}

// One rank of each host reduces what the host has, and the root reduces that.
void PlanMaker::reduce_clusters() {
  const std::uint32_t home = topology_.cluster_of[request_.root];
  std::vector<std::uint32_t> leaders;
  for (const auto& cluster : topology_.clusters) leaders.push_back(cluster.front());
  leaders[home] = request_.root;
  const std::uint32_t leader = leaders[topology_.cluster_of[rank_]];
  in_rounds(elements_in(scratch_bytes), [&](const Round& round) {
    const std::uint64_t start = round.start * width_, length = round.count * width_;
    const flagos_address_t result = rank_ == request_.root ? target(start) : scratch_;
    begin_phase();
    if (rank_ == leader) {
      reduce_over(topology_.own_cluster(), source(start), result, length).is_final = false;
    } else {
      send_to(source(start), length, leader);
    }
    begin_phase();
    if (rank_ == request_.root) {
      reduce_over(leaders, result, result, length).own_is_partial = true;
    } else if (rank_ == leader) {
      send_to(result, length, request_.root, true);
    }
  });
}

// As many ranks of each host as the smallest has reduce a slice each within the host; those with the same slice reduce and
// gather it between the hosts; then all of the host gather the slices.
void PlanMaker::all_reduce_clusters() {
  const auto& cluster = topology_.own_cluster();
  const std::uint32_t own_cluster = topology_.cluster_of[rank_], place = topology_.place_of[rank_];
  const std::uint32_t holders = topology_.smallest_cluster();
  const bool holds = place < holders;
  const Slices slices{count_, holders, width_};
  const auto offset = [&](std::uint32_t i) { return slices.start(i) * width_; };
  const auto length = [&](std::uint32_t i) { return slices.size(i) * width_; };
  begin_phase();
  for (std::uint32_t i = 0; i < holders; ++i) send_to(source(offset(i)), length(i), cluster[i]);
  if (holds)
    reduce_over(cluster, source(offset(place)), target(offset(place)), length(place)).is_final =
        false;
  begin_phase();
  const Slices parts{holds ? slices.size(place) : 0, topology_.clusters.size(), width_};
  std::vector<std::uint32_t> peers;
  for (const auto& other : topology_.clusters)
    if (holds) peers.push_back(other[place]);
  const auto part = [&](std::size_t i) {
    return target((slices.start(place) + parts.start(i)) * width_);
  };
  for (std::size_t i = 0; i < peers.size(); ++i)
    send_to(part(i), parts.size(i) * width_, peers[i], true);
  if (holds)
    reduce_over(peers, part(own_cluster), part(own_cluster), parts.size(own_cluster) * width_)
        .own_is_partial = true;
  begin_phase();
  if (holds) send_to_each(part(own_cluster), parts.size(own_cluster) * width_, peers);
  for (std::size_t i = 0; i < peers.size(); ++i)
    if (peers[i] != rank_) receive(part(i), parts.size(i) * width_, peers[i]);
  begin_phase();
  if (holds) send_to_each(target(offset(place)), length(place), cluster);
  for (std::uint32_t i = 0; i < holders; ++i)
    if (cluster[i] != rank_) receive(target(offset(i)), length(i), cluster[i]);
}

// In step j the ranks of a host reduce, within it, the blocks of the host j further on, one each in a pass, and send the results
// to the ranks whose blocks they are, which add them to what they have. All hosts make as many passes as the one that has the
// most blocks for each of its ranks.
void PlanMaker::reduce_scatter_clusters() {
  const auto& cluster = topology_.own_cluster();
  const std::uint32_t own_cluster = topology_.cluster_of[rank_], place = topology_.place_of[rank_];
  const auto hosts = static_cast<std::uint32_t>(topology_.clusters.size());
  in_rounds(elements_in(scratch_bytes), [&](const Round& round) {
    const std::uint64_t length = round.count * width_;
    const flagos_address_t result = target(round.start * width_);
    const auto block = [&](std::uint32_t rank) {
      return source((rank * count_ + round.start) * width_);
    };
    for (std::uint32_t step = 0; step < hosts; ++step) {
      const auto& served = topology_.clusters[(own_cluster + step) % hosts];
      const auto& serving = topology_.clusters[before(own_cluster, step, hosts)];
      for (std::uint32_t pass = 0; pass < topology_.passes_of(step); ++pass) {
        const std::size_t first = pass * cluster.size();
        const bool reduces = first + place < served.size();
        begin_phase();
        for (std::size_t i = 0; i < cluster.size() && first + i < served.size(); ++i)
          send_to(block(served[first + i]), length, cluster[i]);
        if (reduces)
          reduce_over(cluster, block(served[first + place]), step == 0 ? result : scratch_, length)
              .is_final = false;
        if (step == 0) continue;
        begin_phase();
        if (reduces) send_to(scratch_, length, served[first + place], true);
        if (place / serving.size() != pass) continue;
        PlannedReduction& sum =
            reduce_over({rank_, serving[place % serving.size()]}, result, result, length);
        sum.own_is_partial = true;
        sum.is_final = step + 1 == hosts;
      }
    }
  });
}

// Each block goes to one rank of each other host, where all hand on what they have got.
void PlanMaker::all_gather_clusters() {
  const auto& cluster = topology_.own_cluster();
  const std::uint32_t own_cluster = topology_.cluster_of[rank_], place = topology_.place_of[rank_];
  const auto block = [&](std::uint32_t rank) { return target(rank * bytes()); };
  // The ranks of other hosts whose blocks come to one place of ours.
  const auto arriving_at = [&](std::uint32_t at) {
    std::vector<std::uint32_t> ranks;
    for (std::uint32_t other = 0; other < topology_.clusters.size(); ++other)
      for (std::size_t i = at; other != own_cluster && i < topology_.clusters[other].size();
           i += cluster.size())
        ranks.push_back(topology_.clusters[other][i]);
    return ranks;
  };
  const std::vector<std::uint32_t> arriving = arriving_at(place);
  begin_phase();
  copy_own(source(), block(rank_), bytes());
  for (std::uint32_t other = 0; other < topology_.clusters.size(); ++other) {
    const auto& ranks = topology_.clusters[other];
    if (other != own_cluster) send_to(source(), bytes(), ranks[place % ranks.size()]);
  }
  for (const std::uint32_t rank : arriving) receive(block(rank), bytes(), rank);
  begin_phase();
  send_to_each(source(), bytes(), cluster);
  for (const std::uint32_t rank : arriving) send_to_each(block(rank), bytes(), cluster);
  for (const std::uint32_t peer : cluster) {
    if (peer == rank_) continue;
    receive(block(peer), bytes(), peer);
    for (const std::uint32_t rank : arriving_at(topology_.place_of[peer]))
      receive(block(rank), bytes(), peer);
  }
}

// ---- between clusters of the plugins' own ------------------------------------------------------------------------

void PlanMaker::among_clusters() {
  const auto& ranks = request_.taking_part;
  const auto found = std::find(ranks.begin(), ranks.end(), rank_);
  const auto place = static_cast<std::size_t>(found - ranks.begin());
  const bool takes_part = found != ranks.end();
  begin_phase();
  if (request_.kind == Kind::broadcast) {
    if (rank_ == request_.root) {
      send_to_each(target(), bytes(), ranks);
    } else if (takes_part) {
      receive(target(), bytes(), request_.root);
    }
    return;
  }
  if (request_.kind == Kind::reduce) {
    if (rank_ == request_.root) {
      reduce_over(ranks, source(), target(), bytes()).own_is_partial = request_.is_of_cluster;
    } else if (takes_part) {
      send_to(source(), bytes(), request_.root, request_.is_of_cluster);
    }
    return;
  }
  const Slices slices{count_, ranks.size(), width_};
  const auto offset = [&](std::size_t i) { return slices.start(i) * width_; };
  const auto length = [&](std::size_t i) { return slices.size(i) * width_; };
  for (std::size_t i = 0; takes_part && i < ranks.size(); ++i)
    send_to(source(offset(i)), length(i), ranks[i], request_.is_of_cluster);
  if (takes_part)
    reduce_over(ranks, source(offset(place)), target(offset(place)), length(place)).own_is_partial =
        request_.is_of_cluster;
  begin_phase();
  if (takes_part) send_to_each(target(offset(place)), length(place), ranks);
  for (std::size_t i = 0; takes_part && i < ranks.size(); ++i)
    if (ranks[i] != rank_) receive(target(offset(i)), length(i), ranks[i]);
}

// ---- wide partial results ----------------------------------------------------------------------------------------

// What is added are the same numbers as float32, in memory of the host, so that results are rounded once.
void PlanMaker::widened(std::uint64_t blocks, Add add) {
  const flagos_address_t narrow = scratch_ + scratch_bytes;
  const flagos_address_t wide = narrow + 2 * widened_elements, sums = wide + 4 * widened_elements;
  const flagos_address_t source = source_, target = target_;
  const std::uint64_t count = count_, width = width_;
  const bool has_result = request_.kind != Kind::reduce || rank_ == request_.root;
  in_rounds(widened_elements / blocks, [&](const Round& round) {
    begin_phase();
    for (std::uint64_t i = 0; i < blocks; ++i)
      copy_own(source + (i * count + round.start) * width, narrow + i * round.count * width,
               round.count * width);
    begin_phase();
    copy_own(narrow, wide, blocks * round.count * width, widening);
    source_ = wide;
    target_ = sums;
    count_ = round.count;
    dtype_ = FLAGOS_DTYPE_FLOAT32;
    width_ = sizeof(float);
    (this->*add)();
    source_ = source;
    target_ = target;
    count_ = count;
    dtype_ = request_.dtype;
    width_ = width;
    begin_phase();
    if (has_result) copy_own(sums, narrow, round.count * sizeof(float), narrowing);
    begin_phase();
    if (has_result) copy_own(narrow, target + round.start * width, round.count * width);
  });
}

}  // namespace flagos::comm
