#include "comm/plan.hpp"

#include <algorithm>

namespace flagos::comm {
namespace {

// Up to here an operation takes one step in which everything goes to everybody.
constexpr std::uint64_t one_step_bytes = 16 << 10;

// A part of `count` elements for each rank, nearly equal; starts at multiples of a cache line where there are enough.
struct Slices {
  std::uint64_t count, parts, width;
  std::uint64_t start(std::uint32_t part) const {
    const std::uint64_t line = std::max<std::uint64_t>(64 / width, 1);
    if (count < line * parts) return count * part / parts;
    const std::uint64_t lines = count / line;
    return part == parts ? count : lines * part / parts * line;
  }
  std::uint64_t size(std::uint32_t part) const { return start(part + 1) - start(part); }
};

class Maker {
 public:
  Maker(const Operation& operation, const Shape& shape, Plan& plan)
      : request_(operation.request),
        rank_(shape.rank),
        size_(shape.size),
        width_(dtype_bytes(request_.dtype)),
        plan_(plan) {}

  void make() {
    begin_phase();
    switch (request_.kind) {
      case Kind::all_reduce:
        return all_reduce();
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

 private:
  void begin_phase() { plan_.phases[plan_.phase_count++] = Phase{}; }
  Phase& phase() { return plan_.phases[plan_.phase_count - 1]; }

  // To all ranks in [first, last) but this one.
  void send(flagos_address_t address, std::uint64_t bytes, std::uint32_t first, std::uint32_t last,
            bool buffered = false) {
    Send send;
    send.address = address;
    send.bytes = bytes;
    send.first_target = static_cast<std::uint32_t>(plan_.targets.size());
    send.buffered = buffered;
    // Each rank begins with another one, so that they do not all meet at one.
    for (std::uint32_t i = 0; i < last - first; ++i) {
      const std::uint32_t peer = first + (rank_ + i) % (last - first);
      if (peer == rank_) continue;
      plan_.targets.push_back(peer);
      ++send.target_count;
    }
    if (send.target_count == 0) return;
    plan_.sends.push_back(send);
    ++phase().sends;
  }
  void send_to(flagos_address_t address, std::uint64_t bytes, std::uint32_t peer,
               bool buffered = false) {
    if (peer != rank_) send(address, bytes, peer, peer + 1, buffered);
  }
  void receive(flagos_address_t address, std::uint64_t bytes, std::uint32_t peer,
               std::int32_t gate = -1) {
    plan_.receives.push_back({address, bytes, peer, gate, -1});
    ++phase().receives;
  }
  void copy_own(flagos_address_t from, flagos_address_t to, std::uint64_t bytes) {
    if (bytes == 0 || from == to) return;
    plan_.copies.push_back({from, to, bytes});
    ++phase().copies;
  }
  void reduce_own(std::uint32_t last, flagos_address_t own, flagos_address_t target,
                  std::uint64_t bytes, std::int32_t gate = -1) {
    phase().reduction = {true, last, own, target, bytes, gate};
  }
  flagos_address_t source(std::uint64_t offset = 0) const { return request_.source + offset; }
  flagos_address_t target(std::uint64_t offset = 0) const { return request_.target + offset; }

  void all_reduce() {
    const std::uint64_t bytes = request_.count * width_;
    if (bytes <= one_step_bytes || size_ == 1) {
      plan_.algorithm = "one step";
      send(source(), bytes, 0, size_, true);
      reduce_own(size_, source(), target(), bytes, size_ > 1 ? 0 : -1);
      return;
    }
    plan_.algorithm = "reduce slices, gather slices";
    const Slices slices{request_.count, size_, width_};
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      send_to(source(slices.start(peer) * width_), slices.size(peer) * width_, peer);
    }
    const std::uint64_t own = slices.start(rank_) * width_;
    const std::uint64_t own_bytes = slices.size(rank_) * width_;
    reduce_own(size_, source(own), target(own), own_bytes);
    begin_phase();
    send(target(own), own_bytes, 0, size_);
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      receive(target(slices.start(peer) * width_), slices.size(peer) * width_, peer);
    }
  }

  void reduce() {
    plan_.algorithm = "reduce at the root";
    const std::uint64_t bytes = request_.count * width_;
    if (rank_ == request_.root) {
      reduce_own(size_, source(), target(), bytes);
    } else {
      send_to(source(), bytes, request_.root);
    }
  }

  void reduce_scatter() {
    plan_.algorithm = "reduce slices";
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      send_to(source(request_.source_offsets[peer] * width_), request_.source_counts[peer] * width_,
              peer);
    }
    reduce_own(size_, source(request_.source_offsets[rank_] * width_), target(),
               request_.source_counts[rank_] * width_);
  }

  // Over ranks [0, last).
  void scan(std::uint32_t last) {
    plan_.algorithm = "from all below";
    const std::uint64_t bytes = request_.count * width_;
    const bool in_place = request_.source == request_.target;
    send(source(), bytes, rank_ + 1, size_, in_place);
    if (last == 0) return;
    reduce_own(last, source(), target(), bytes, in_place && rank_ + 1 < size_ ? 0 : -1);
  }

  void broadcast() {
    plan_.algorithm = "from the root";
    const std::uint64_t bytes = request_.count * width_;
    if (rank_ == request_.root) {
      send(target(), bytes, 0, size_);
    } else {
      receive(target(), bytes, request_.root);
    }
  }

  void all_gather() {
    plan_.algorithm = "from each";
    const auto& counts = request_.target_counts;
    const auto& offsets = request_.target_offsets;
    send(source(), counts[rank_] * width_, 0, size_);
    copy_own(source(), target(offsets[rank_] * width_), counts[rank_] * width_);
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      receive(target(offsets[peer] * width_), counts[peer] * width_, peer);
    }
  }

  void gather() {
    plan_.algorithm = "from each";
    const auto& counts = request_.target_counts;
    const auto& offsets = request_.target_offsets;
    if (rank_ != request_.root) return send_to(source(), counts[rank_] * width_, request_.root);
    copy_own(source(), target(offsets[rank_] * width_), counts[rank_] * width_);
    for (std::uint32_t peer = 0; peer < size_; ++peer)
      if (peer != rank_) receive(target(offsets[peer] * width_), counts[peer] * width_, peer);
  }

  void scatter() {
    plan_.algorithm = "from the root";
    const auto& counts = request_.source_counts;
    const auto& offsets = request_.source_offsets;
    if (rank_ != request_.root) return receive(target(), counts[rank_] * width_, request_.root);
    for (std::uint32_t peer = 0; peer < size_; ++peer)
      send_to(source(offsets[peer] * width_), counts[peer] * width_, peer);
    copy_own(source(offsets[rank_] * width_), target(), counts[rank_] * width_);
  }

  void all_to_all() {
    plan_.algorithm = "from each";
    const bool in_place = request_.source == request_.target;
    for (std::uint32_t i = 1; i < size_; ++i) {
      const std::uint32_t peer = (rank_ + i) % size_;
      send_to(source(request_.source_offsets[peer] * width_), request_.source_counts[peer] * width_,
              peer, in_place);
      receive(target(request_.target_offsets[peer] * width_), request_.target_counts[peer] * width_,
              peer, in_place ? static_cast<std::int32_t>(i - 1) : -1);
    }
    copy_own(source(request_.source_offsets[rank_] * width_),
             target(request_.target_offsets[rank_] * width_),
             request_.target_counts[rank_] * width_);
  }

  void exchange() {
    plan_.algorithm = "direct";
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
  void copy_from_self(std::size_t index) {
    std::size_t before = 0;
    for (std::size_t i = 0; i < index; ++i)
      before += request_.messages[i].peer == rank_ && !request_.messages[i].is_send;
    for (const Message& send : request_.messages) {
      if (send.peer != rank_ || !send.is_send || before-- != 0) continue;
      return copy_own(send.address, request_.messages[index].address,
                      send.count * dtype_bytes(send.dtype));
    }
  }

  void barrier() {
    plan_.algorithm = "one step";
    send(0, 0, 0, size_, true);
    for (std::uint32_t i = 1; i < size_; ++i) receive(0, 0, (rank_ + i) % size_);
  }

  const Request& request_;
  const std::uint32_t rank_, size_;
  const std::uint64_t width_;
  Plan& plan_;
};

}  // namespace

void Plan::clear() {
  algorithm = "";
  phase_count = 0;
  sends.clear();
  targets.clear();
  receives.clear();
  copies.clear();
}

void make_plan(const Operation& operation, const Shape& shape, Plan& plan) {
  plan.clear();
  Maker(operation, shape, plan).make();
}

}  // namespace flagos::comm
