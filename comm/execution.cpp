#include "comm/execution.hpp"

#include <algorithm>
#include <cstring>

#include "base/copy.hpp"
#include "base/error.hpp"

namespace flagos::comm {

Execution::Execution(std::uint32_t rank, std::vector<Peer>& peers, Staging& staging,
                     OneSided& one_sided)
    : rank_(rank),
      peers_(peers),
      staging_(staging),
      one_sided_(one_sided),
      topology_(Topology::flat(rank, static_cast<std::uint32_t>(peers.size()))) {
  const std::size_t size = peers.size();
  cursors_.resize(size);
  sources_.resize(size);
  scales_.resize(size);
  last_of_peer_.resize(size);
  plan_.phases.reserve(16);
  plan_.sends.reserve(2 * size);
  plan_.targets.reserve(2 * size);
  plan_.receives.reserve(2 * size);
  plan_.sources.reserve(2 * size);
  plan_.copies.reserve(size);
  sends_.reserve(size);
  receives_.reserve(size);
  numbers_.reserve(2 * size);
}

void Execution::set_topology(Topology topology) {
  topology_ = std::move(topology);
  planned_ = {};
  // Not written before it is used: what no operation needs costs no memory.
  if (scratch_ == nullptr && topology_.size > 1)
    scratch_.reset(
        new std::byte[scratch_bytes + (topology_.clusters.size() > 1 ? widened_bytes : 0)]);
}

void Execution::check_memory() const {
  const Request& request = operation_->request;
  staging_.check_still_there(request.source_memory);
  staging_.check_still_there(request.target_memory);
  for (const Message& message : request.messages) staging_.check_still_there(message.memory);
}

// Programs make the same call over and over: the plan of the last one may serve again.
bool Execution::is_planned(const Operation& operation) {
  const Request& request = operation.request;
  Planned wanted;
  if (request.kind < Kind::exchange && !request.has_counts && request.taking_part.empty())
    wanted = {request.kind,   operation.reduction.kind, request.dtype, request.root,
              request.source, request.target,           request.count};
  const bool is_same = wanted.kind != Kind::none && wanted == planned_;
  planned_ = wanted;
  return is_same;
}

void Execution::start(Operation& operation, bool was_queued) {
  operation_ = &operation;
  if (was_queued) check_memory();
  if (is_one_sided(operation.request.kind)) {
    plan_.clear();
    planned_ = {};
    return one_sided_.start(operation);
  }
  if (!is_planned(operation))
    make_plan(operation, topology_, reinterpret_cast<std::uintptr_t>(scratch_.get()), plan_);
  numbers_.assign(plan_.targets.size(), 0);
  message_numbers_.clear();
  for (const Message& message : operation.request.messages) {
    Peer& peer = peers_[message.peer];
    message_numbers_.push_back(message.is_send ? peer.messages_sent++ : peer.messages_received++);
  }
  is_streaming_ = operation.bytes >= streaming_bytes;
  phase_ = first_send_ = first_receive_ = first_copy_ = 0;
  begin_phase();
}

void Execution::begin_phase() {
  const Phase& phase = plan_.phases[phase_];
  begin_sends(phase);
  begin_receives(phase);
  begin_reduction(phase.reduction);
  run_copies(phase);
}

void Execution::begin_sends(const Phase& phase) {
  sends_.assign(phase.sends, SendState{});
  std::fill(last_of_peer_.begin(), last_of_peer_.end(), -1);
  for (std::uint32_t i = 0; i < phase.sends; ++i) {
    const Send& send = plan_.sends[first_send_ + i];
    SendState& state = sends_[i];
    state.reached = send.bytes == 0 || staging_.reaches(send.address);
    state.is_small = state.reached && send.bytes <= inside_bytes;
    for (std::uint32_t t = 0; t < send.target_count; ++t) {
      const std::uint32_t peer = plan_.targets[send.first_target + t];
      if (!in_one_entry(send, state, peer)) state.has_chunks = true;
      state.previous = std::max(state.previous,
                                std::exchange(last_of_peer_[peer], static_cast<std::int32_t>(i)));
    }
  }
}

void Execution::begin_receives(const Phase& phase) {
  receives_.assign(phase.receives, ReceiveState{});
  std::fill(last_of_peer_.begin(), last_of_peer_.end(), -1);
  for (std::uint32_t i = 0; i < phase.receives; ++i) {
    const Receive& receive = plan_.receives[first_receive_ + i];
    receives_[i].reached = receive.bytes == 0 || staging_.reaches(receive.address);
    receives_[i].previous =
        std::exchange(last_of_peer_[receive.peer], static_cast<std::int32_t>(i));
  }
}

void Execution::convert(const LocalCopy& copy) const {
  const flagos_dtype_t dtype = operation_->request.dtype;
  const void* const source = host(copy.from);
  const std::uint32_t width = copy.conversion == widening ? dtype_bytes(dtype) : sizeof(float);
  reduce({dtype, copy.conversion, false}, 1, &source, nullptr, 1, host(copy.to),
         copy.bytes / width);
}

// What the caller gets.
void Execution::write(flagos_address_t target, const std::byte* source, std::uint64_t bytes) const {
  if (is_streaming_) {
    copy_streaming(host(target), source, bytes);
  } else {
    std::memcpy(host(target), source, bytes);
  }
}

void Execution::run_copies(const Phase& phase) {
  for (std::uint32_t i = 0; i < phase.copies; ++i) {
    const LocalCopy& copy = plan_.copies[first_copy_ + i];
    if (copy.conversion != 0) {
      convert(copy);
    } else if (staging_.reaches(copy.from) && staging_.reaches(copy.to)) {
      write(copy.to, host(copy.from), copy.bytes);
    } else {
      staging_.copy(copy.from, copy.to, copy.bytes);
    }
  }
}

bool Execution::step() {
  if (is_one_sided(operation_->request.kind)) {
    const bool moved = one_sided_.step();
    if (one_sided_.is_done()) operation_ = nullptr;
    return moved;
  }
  const Phase& phase = plan_.phases[phase_];
  bool moved = false;
  bool done = true;
  for (std::uint32_t i = 0; i < phase.sends; ++i) {
    SendState& state = sends_[i];
    if (state.is_done) continue;
    if (state.previous < 0 || sends_[state.previous].is_done)
      moved |= step_send(plan_.sends[first_send_ + i], state);
    done &= state.is_done;
  }
  for (std::uint32_t i = 0; i < phase.receives; ++i) {
    ReceiveState& state = receives_[i];
    if (state.is_done) continue;
    if (state.previous < 0 || receives_[state.previous].is_done)
      moved |= step_receive(plan_.receives[first_receive_ + i], state);
    done &= state.is_done;
  }
  if (!reduction_.is_done) moved |= step_reduction();
  if (!done || !reduction_.is_done || !staging_.is_settled()) return moved;
  first_send_ += phase.sends;
  first_receive_ += phase.receives;
  first_copy_ += phase.copies;
  if (++phase_ == plan_.phases.size()) {
    operation_ = nullptr;
  } else {
    begin_phase();
  }
  return true;
}

// ---- sends -------------------------------------------------------------------------------------------------------

bool Execution::in_one_entry(const Send& send, const SendState& state, std::uint32_t peer) const {
  return state.is_small || (state.reached && !send.buffered && peers_[peer].takes_pointers);
}

Header Execution::header_for(const Send& send, std::uint32_t) {
  const Request& request = operation_->request;
  Header header;
  header.kind = request.kind;
  header.bytes = send.bytes;
  header.phase = static_cast<std::uint8_t>(phase_ % 256);
  if (send.message >= 0) {
    const Message& message = request.messages[send.message];
    header.sequence = message_numbers_[send.message];
    header.count = message.count;
    header.dtype = message.dtype;
    return header;
  }
  header.sequence = operation_->sequence;
  header.count = request.has_counts ? 0 : request.count;
  header.dtype = request.dtype;
  header.reduction = operation_->reduction.kind;
  header.scale = send.partial ? 1 : operation_->scale;
  header.root = static_cast<std::int32_t>(request.root);
  return header;
}

// All of a send in one entry: in it, or as a pointer.
void Execution::write_entry(const Send& send, std::uint32_t target_index, Entry& entry) {
  entry.bytes = send.bytes;
  entry.header = header_for(send, plan_.targets[target_index]);
  if (send.bytes <= inside_bytes) {
    entry.place = Place::inside;
    if (send.bytes != 0) std::memcpy(entry.data.data(), host(send.address), send.bytes);
  } else {
    entry.place = Place::pointer;
    entry.where = send.address;
  }
}

bool Execution::step_send(const Send& send, SendState& state) {
  bool moved = false;
  for (; state.next_target < send.target_count; ++state.next_target) {
    const std::uint32_t index = send.first_target + state.next_target;
    Peer& peer = peers_[plan_.targets[index]];
    if (!in_one_entry(send, state, peer.rank)) continue;
    if (!peer.has_room()) break;
    write_entry(send, index, peer.next_out());
    numbers_[index] = peer.push();
    moved = true;
  }
  if (state.has_chunks && state.handed_over < send.bytes) moved |= step_chunks(send, state);
  state.is_done = is_sent(send, state);
  return moved || state.is_done;
}

bool Execution::fill_slots(const Send& send, SendState& state) {
  bool moved = false;
  while (state.filling_count < most_filling && state.fetched < send.bytes) {
    const int slot = staging_.take_outgoing();
    if (slot == Staging::none) break;
    const std::uint64_t bytes = std::min(Staging::slot_bytes, send.bytes - state.fetched);
    if (state.reached) {
      std::memcpy(staging_.data(slot), host(send.address + state.fetched), bytes);
    } else {
      staging_.fetch(slot, send.address + state.fetched, bytes);
    }
    state.filling[(state.filling_first + state.filling_count++) % most_filling] = {slot, bytes};
    state.fetched += bytes;
    moved = true;
    if (state.reached) break;  // hand this one over first
  }
  return moved;
}

// Through slots, which all targets read.
bool Execution::step_chunks(const Send& send, SendState& state) {
  bool moved = false;
  while (state.handed_over < send.bytes) {
    moved |= fill_slots(send, state);
    if (state.filling_count == 0) break;
    const SendState::Filling filling = state.filling[state.filling_first];
    if (!state.reached && !staging_.has_arrived(filling.slot)) break;
    bool has_room = true;
    for (std::uint32_t t = 0; t < send.target_count && has_room; ++t) {
      Peer& peer = peers_[plan_.targets[send.first_target + t]];
      has_room = in_one_entry(send, state, peer.rank) || peer.has_room();
    }
    if (!has_room) break;
    for (std::uint32_t t = 0; t < send.target_count; ++t) {
      const std::uint32_t index = send.first_target + t;
      Peer& peer = peers_[plan_.targets[index]];
      if (in_one_entry(send, state, peer.rank)) continue;
      Entry& entry = peer.next_out();
      entry.bytes = filling.bytes;
      entry.place = Place::slot;
      entry.where = staging_.offset(filling.slot);
      entry.header = header_for(send, peer.rank);
      staging_.lend(filling.slot, peer, peer.push());
    }
    state.handed_over += filling.bytes;
    state.filling_first = (state.filling_first + 1) % most_filling;
    --state.filling_count;
    moved = true;
  }
  return moved;
}

bool Execution::is_sent(const Send& send, const SendState& state) {
  if (state.next_target < send.target_count || (state.has_chunks && state.handed_over < send.bytes))
    return false;
  if (state.is_small) return true;
  for (std::uint32_t t = 0; t < send.target_count; ++t) {
    const std::uint32_t index = send.first_target + t;
    Peer& peer = peers_[plan_.targets[index]];
    if (in_one_entry(send, state, peer.rank) && !peer.is_consumed(numbers_[index])) return false;
  }
  return true;
}

// How many bytes of a region a send has read so far, so that they may be overwritten.
std::uint64_t Execution::gate_limit(std::int32_t gate, std::uint64_t otherwise) const {
  if (gate < 0) return otherwise;
  const SendState& state = sends_[gate];
  if (state.is_done) return otherwise;
  if (!state.has_chunks)
    return state.next_target == plan_.sends[first_send_ + gate].target_count ? otherwise : 0;
  return state.handed_over;
}

// ---- receives ----------------------------------------------------------------------------------------------------

const std::byte* Execution::data_of(const Entry& entry, const Peer& peer,
                                    std::uint64_t bytes) const {
  const std::byte* data = nullptr;
  switch (entry.place) {
    case Place::inside:
      data = bytes <= inside_bytes ? entry.data.data() : nullptr;
      break;
    case Place::slot:
      data = peer.segment->at(entry.where, bytes);
      break;
    case Place::pointer:
      data = peer.gives_pointers ? host(entry.where) : nullptr;
      break;
  }
  if (data == nullptr)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: rank {} sent {} bytes that are nowhere",
                describe(*operation_), peer.rank, bytes);
  return data;
}

void Execution::check_header(const Header& found, const Peer& peer, std::uint64_t bytes,
                             std::int32_t message) const {
  const Request& request = operation_->request;
  const auto refuse = [&](const std::string& theirs, const std::string& ours) {
    throw_error(FLAGOS_STATUS_RANK_MISMATCH, "{}: rank {} has {}, rank {} has {}",
                describe(*operation_), peer.rank, theirs, rank_, ours);
  };
  const auto named = [](const Header& header) {
    return header.kind == Kind::exchange
               ? fmt::format("a send of {} {}", header.count, dtype_name(header.dtype))
               : fmt::format("{} #{}", name_of(header.kind), header.sequence);
  };
  const std::uint64_t sequence = message < 0 ? operation_->sequence : message_numbers_[message];
  const flagos_dtype_t dtype = message < 0 ? request.dtype : request.messages[message].dtype;
  const std::uint64_t count =
      message < 0 ? (request.has_counts ? 0 : request.count) : request.messages[message].count;
  if (found.kind != request.kind || found.sequence != sequence)
    refuse(named(found), describe(*operation_));
  if (found.dtype != dtype) refuse(dtype_name(found.dtype), dtype_name(dtype));
  if (found.count != count)
    refuse(fmt::format("count {}", found.count), fmt::format("count {}", count));
  if (message < 0 && found.reduction != operation_->reduction.kind)
    refuse(reduction_name(found.reduction), reduction_name(operation_->reduction.kind));
  if (message < 0 && found.root != static_cast<std::int32_t>(request.root))
    refuse(fmt::format("root {}", found.root), fmt::format("root {}", request.root));
  if (found.bytes != bytes)
    refuse(fmt::format("{} bytes for it", found.bytes), fmt::format("room for {}", bytes));
  if (found.phase != phase_ % 256)
    refuse(fmt::format("phase {}", found.phase), fmt::format("phase {}", phase_ % 256));
}

bool Execution::step_receive(const Receive& receive, ReceiveState& state) {
  Peer& peer = peers_[receive.peer];
  bool moved = false;
  while (!state.is_done) {
    const Entry* const entry = peer.front();
    if (entry == nullptr) break;
    if (!state.has_begun) check_header(entry->header, peer, receive.bytes, receive.message);
    state.has_begun = true;
    const std::uint64_t size = entry->bytes;
    if (size > receive.bytes - (state.received - state.of_entry))
      throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: rank {} sent more than {} bytes",
                  describe(*operation_), peer.rank, receive.bytes);
    const std::uint64_t limit = gate_limit(receive.gate, receive.bytes);
    std::uint64_t bytes =
        std::min({size - state.of_entry, piece_bytes, limit - std::min(limit, state.received)});
    if (bytes == 0 && size != 0) break;
    if (bytes != 0) {
      const std::byte* const data = data_of(*entry, peer, size) + state.of_entry;
      if (state.reached) {
        write(receive.address + state.received, data, bytes);
      } else {
        const int slot = staging_.take_incoming();
        if (slot == Staging::none) break;
        bytes = std::min(bytes, Staging::slot_bytes);
        std::memcpy(staging_.data(slot), data, bytes);
        staging_.store(slot, receive.address + state.received, bytes);
      }
    }
    moved = true;
    state.received += bytes;
    state.of_entry += bytes;
    if (state.of_entry < size) {
      if (bytes == piece_bytes) break;
      continue;
    }
    peer.pop();
    state.of_entry = 0;
    state.is_done = state.received == receive.bytes;
  }
  return moved;
}

std::uint32_t Execution::waits_for() const {
  if (is_one_sided(operation_->request.kind)) return operation_->request.root;
  const Phase& phase = plan_.phases[phase_];
  if (!reduction_.is_done)
    for (std::uint32_t i = 0; i < phase.reduction.source_count; ++i) {
      const std::uint32_t peer = source_rank(phase.reduction, i);
      if (peer != rank_ && cursors_[i].available == 0 && peers_[peer].front() == nullptr)
        return peer;
    }
  if (!reduction_.is_done && reduction_.kernel != nullptr) return rank_;
  for (std::uint32_t i = 0; i < phase.receives; ++i)
    if (!receives_[i].is_done && peers_[plan_.receives[first_receive_ + i].peer].front() == nullptr)
      return plan_.receives[first_receive_ + i].peer;
  for (std::uint32_t i = 0; i < phase.sends; ++i) {
    if (sends_[i].is_done) continue;
    const Send& send = plan_.sends[first_send_ + i];
    for (std::uint32_t t = 0; t < send.target_count; ++t) {
      const Peer& peer = peers_[plan_.targets[send.first_target + t]];
      if (peer.out->consumed.load(std::memory_order_acquire) != peer.written) return peer.rank;
    }
  }
  // Slots that others have not read yet may be what is missing.
  if (!staging_.is_settled()) return rank_;
  for (const Peer& peer : peers_)
    if (peer.out != nullptr && peer.out->consumed.load(std::memory_order_acquire) != peer.written)
      return peer.rank;
  return rank_;
}

}  // namespace flagos::comm
