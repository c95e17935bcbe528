#include "comm/plan.hpp"

#include <algorithm>

#include "comm/plan_maker.hpp"

namespace flagos::comm {

// ---- pieces ------------------------------------------------------------------------------------------------------

void PlanMaker::begin_phase() { plan_.phases.emplace_back(); }

void PlanMaker::send_to_each(flagos_address_t address, std::uint64_t bytes,
                             const std::vector<std::uint32_t>& ranks, bool partial, bool buffered) {
  Send send;
  send.address = address;
  send.bytes = bytes;
  send.first_target = static_cast<std::uint32_t>(plan_.targets.size());
  send.partial = partial;
  send.buffered = buffered;
  for (const std::uint32_t peer : ranks)
    if (peer != rank_) plan_.targets.push_back(peer);
  add_send(send);
}

void PlanMaker::send(flagos_address_t address, std::uint64_t bytes, std::uint32_t first,
                     std::uint32_t last, bool partial, bool buffered) {
  Send send;
  send.address = address;
  send.bytes = bytes;
  send.first_target = static_cast<std::uint32_t>(plan_.targets.size());
  send.partial = partial;
  send.buffered = buffered;
  // Each rank begins with another one, so that they do not all meet at one.
  for (std::uint32_t i = 0; i < last - first; ++i) {
    const std::uint32_t peer = first + (rank_ + i) % (last - first);
    if (peer != rank_) plan_.targets.push_back(peer);
  }
  add_send(send);
}

void PlanMaker::add_send(Send& send) {
  send.target_count = static_cast<std::uint32_t>(plan_.targets.size()) - send.first_target;
  if (send.target_count == 0) return;
  plan_.sends.push_back(send);
  ++phase().sends;
}

void PlanMaker::receive(flagos_address_t address, std::uint64_t bytes, std::uint32_t peer,
                        std::int32_t gate) {
  plan_.receives.push_back({address, bytes, peer, gate, -1});
  ++phase().receives;
}

void PlanMaker::copy_own(flagos_address_t from, flagos_address_t to, std::uint64_t bytes,
                         std::uint8_t conversion) {
  if (bytes == 0 || from == to) return;
  plan_.copies.push_back({from, to, bytes, conversion});
  ++phase().copies;
}

PlannedReduction& PlanMaker::begin_reduction(flagos_address_t own, flagos_address_t target,
                                             std::uint64_t bytes) {
  PlannedReduction& reduction = phase().reduction;
  reduction.first_source = static_cast<std::uint32_t>(plan_.sources.size());
  reduction.own = own;
  reduction.target = target;
  reduction.bytes = bytes;
  reduction.dtype = dtype_;
  reduction.divisor = size_;
  return reduction;
}

PlannedReduction& PlanMaker::reduce_range(std::uint32_t last, flagos_address_t own,
                                          flagos_address_t target, std::uint64_t bytes) {
  PlannedReduction& reduction = begin_reduction(own, target, bytes);
  for (std::uint32_t rank = 0; rank < last; ++rank) plan_.sources.push_back(rank);
  reduction.source_count = reduction.divisor = last;
  return reduction;
}

PlannedReduction& PlanMaker::reduce_over(const std::vector<std::uint32_t>& ranks,
                                         flagos_address_t own, flagos_address_t target,
                                         std::uint64_t bytes) {
  PlannedReduction& reduction = begin_reduction(own, target, bytes);
  plan_.sources.insert(plan_.sources.end(), ranks.begin(), ranks.end());
  reduction.source_count = static_cast<std::uint32_t>(ranks.size());
  return reduction;
}

PlannedReduction& PlanMaker::reduce_pair(std::uint32_t low, std::uint32_t high,
                                         flagos_address_t own, flagos_address_t target,
                                         std::uint64_t bytes) {
  PlannedReduction& reduction = begin_reduction(own, target, bytes);
  plan_.sources.push_back(low);
  plan_.sources.push_back(high);
  reduction.source_count = 2;
  return reduction;
}

// ---- direct ------------------------------------------------------------------------------------------------------

void PlanMaker::all_reduce_one_step() {
  begin_phase();
  send(source(), bytes(), 0, size_, false, true);
  reduce_range(size_, source(), target(), bytes()).gate = size_ > 1 ? 0 : -1;
}

void PlanMaker::all_reduce_slices() {
  begin_phase();
  const Slices slices{count_, size_, width_};
  for (std::uint32_t i = 1; i < size_; ++i) {
    const std::uint32_t peer = (rank_ + i) % size_;
    send_to(source(slices.start(peer) * width_), slices.size(peer) * width_, peer);
  }
  const std::uint64_t own = slices.start(rank_) * width_;
  const std::uint64_t own_bytes = slices.size(rank_) * width_;
  reduce_range(size_, source(own), target(own), own_bytes);
  begin_phase();
  send(target(own), own_bytes, 0, size_);
  for (std::uint32_t i = 1; i < size_; ++i) {
    const std::uint32_t peer = (rank_ + i) % size_;
    receive(target(slices.start(peer) * width_), slices.size(peer) * width_, peer);
  }
}

void PlanMaker::reduce() {
  if (rank_ == request_.root) {
    reduce_range(size_, source(), target(), bytes());
  } else {
    send_to(source(), bytes(), request_.root);
  }
}

void PlanMaker::reduce_scatter() {
  for (std::uint32_t i = 1; i < size_; ++i) {
    const std::uint32_t peer = (rank_ + i) % size_;
    send_to(source_block(peer), source_bytes(peer), peer);
  }
  reduce_range(size_, source_block(rank_), target(), source_bytes(rank_));
}

void PlanMaker::scan(std::uint32_t last) {
  const bool in_place = request_.source == request_.target;
  send(source(), bytes(), rank_ + 1, size_, false, in_place);
  if (last == 0) return;
  reduce_range(last, source(), target(), bytes()).gate = in_place && rank_ + 1 < size_ ? 0 : -1;
}

void PlanMaker::broadcast() {
  if (rank_ == request_.root) {
    send(target(), bytes(), 0, size_);
  } else {
    receive(target(), bytes(), request_.root);
  }
}

void PlanMaker::all_gather() {
  send(source(), target_bytes(rank_), 0, size_);
  copy_own(source(), target_block(rank_), target_bytes(rank_));
  for (std::uint32_t i = 1; i < size_; ++i) {
    const std::uint32_t peer = (rank_ + i) % size_;
    receive(target_block(peer), target_bytes(peer), peer);
  }
}

void PlanMaker::gather() {
  if (rank_ != request_.root) return send_to(source(), target_bytes(rank_), request_.root);
  copy_own(source(), target_block(rank_), target_bytes(rank_));
  for (std::uint32_t peer = 0; peer < size_; ++peer)
    if (peer != rank_) receive(target_block(peer), target_bytes(peer), peer);
}

void PlanMaker::scatter() {
  if (rank_ != request_.root) return receive(target(), source_bytes(rank_), request_.root);
  for (std::uint32_t peer = 0; peer < size_; ++peer)
    send_to(source_block(peer), source_bytes(peer), peer);
  copy_own(source_block(rank_), target(), source_bytes(rank_));
}

void PlanMaker::all_to_all() {
  const bool in_place = request_.source == request_.target;
  for (std::uint32_t i = 1; i < size_; ++i) {
    const std::uint32_t peer = (rank_ + i) % size_;
    send_to(source_block(peer), source_bytes(peer), peer, false, in_place);
    receive(target_block(peer), target_bytes(peer), peer,
            in_place ? static_cast<std::int32_t>(i - 1) : -1);
  }
  copy_own(source_block(rank_), target_block(rank_), target_bytes(rank_));
}

void PlanMaker::exchange() {
  for (std::size_t i = 0; i < request_.messages.size(); ++i) {
    const Message& message = request_.messages[i];
    const std::uint64_t bytes = message.count * dtype_bytes(message.dtype);
    if (message.peer == rank_) {
      if (!message.is_send) copy_from_self(i);
    } else if (message.is_send) {
      send_to(message.address, bytes, message.peer);
      plan_.sends.back().message = static_cast<std::int32_t>(i);
    } else {
      receive(message.address, bytes, message.peer);
      plan_.receives.back().message = static_cast<std::int32_t>(i);
    }
  }
}

// The k-th receive from this rank itself takes the k-th send to it; the group was checked for that.
void PlanMaker::copy_from_self(std::size_t index) {
  std::size_t before = 0;
  for (std::size_t i = 0; i < index; ++i)
    before += request_.messages[i].peer == rank_ && !request_.messages[i].is_send;
  for (const Message& send : request_.messages) {
    if (send.peer != rank_ || !send.is_send || before-- != 0) continue;
    return copy_own(send.address, request_.messages[index].address,
                    send.count * dtype_bytes(send.dtype));
  }
}

void PlanMaker::barrier() {
  send(0, 0, 0, size_);
  for (std::uint32_t i = 1; i < size_; ++i) receive(0, 0, (rank_ + i) % size_);
}

void PlanMaker::make_direct() {
  begin_phase();
  switch (request_.kind) {
    case Kind::reduce:
      return reduce();
    case Kind::reduce_scatter:
      return reduce_scatter();
    case Kind::scan:
      return scan(rank_ + 1);
    case Kind::exclusive_scan:
      return scan(rank_);
    case Kind::broadcast:
      return broadcast();
    case Kind::all_gather:
      return all_gather();
    case Kind::gather:
      return gather();
    case Kind::scatter:
      return scatter();
    case Kind::all_to_all:
      return all_to_all();
    case Kind::exchange:
      return exchange();
    default:
      return barrier();
  }
}

// ---- choice ------------------------------------------------------------------------------------------------------

void PlanMaker::make() {
  using Make = void (PlanMaker::*)();
  struct Way {
    Kind kind;
    Algorithm algorithm;
    Make make;
  };
  static constexpr Way ways[] = {
      {Kind::all_reduce, Algorithm::direct, &PlanMaker::all_reduce_one_step},
      {Kind::all_reduce, Algorithm::one_step, &PlanMaker::all_reduce_one_step},
      {Kind::all_reduce, Algorithm::slices, &PlanMaker::all_reduce_slices},
      {Kind::all_reduce, Algorithm::tree, &PlanMaker::all_reduce_tree},
      {Kind::all_reduce, Algorithm::ring, &PlanMaker::all_reduce_ring},
      {Kind::all_reduce, Algorithm::clusters, &PlanMaker::all_reduce_clusters},
      {Kind::reduce, Algorithm::slices, &PlanMaker::reduce_slices},
      {Kind::reduce, Algorithm::tree, &PlanMaker::reduce_tree},
      {Kind::reduce, Algorithm::clusters, &PlanMaker::reduce_clusters},
      {Kind::reduce_scatter, Algorithm::ring, &PlanMaker::reduce_scatter_ring},
      {Kind::reduce_scatter, Algorithm::clusters, &PlanMaker::reduce_scatter_clusters},
      {Kind::broadcast, Algorithm::slices, &PlanMaker::broadcast_slices},
      {Kind::broadcast, Algorithm::tree, &PlanMaker::broadcast_tree},
      {Kind::broadcast, Algorithm::clusters, &PlanMaker::broadcast_clusters},
      {Kind::all_gather, Algorithm::ring, &PlanMaker::all_gather_ring},
      {Kind::all_gather, Algorithm::clusters, &PlanMaker::all_gather_clusters},
      {Kind::barrier, Algorithm::tree, &PlanMaker::barrier_tree},
  };
  if (!request_.taking_part.empty()) return among_clusters();
  for (const Way& way : ways) {
    if (way.kind != request_.kind || way.algorithm != plan_.algorithm) continue;
    if (way.algorithm == Algorithm::clusters && is_widened_)
      return widened(request_.kind == Kind::reduce_scatter ? size_ : 1, way.make);
    return (this->*way.make)();
  }
  make_direct();
}

void Plan::clear() {
  algorithm = Algorithm::direct;
  phases.clear();
  sends.clear();
  targets.clear();
  receives.clear();
  sources.clear();
  copies.clear();
}

void make_plan(const Operation& operation, const Topology& topology, flagos_address_t scratch,
               Plan& plan) {
  plan.clear();
  plan.algorithm = operation.request.taking_part.empty() ? choose_algorithm(operation, topology)
                                                         : Algorithm::clusters;
  PlanMaker(operation, topology, scratch, plan).make();
}

}  // namespace flagos::comm
