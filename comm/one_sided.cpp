#include "comm/one_sided.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

// Header::phase of this lane; count is the window, sequence the place of the bytes.
enum : std::uint8_t { asking, answering };

flagos_memory_info_t memory_info(flagos_device_t* device, flagos_address_t address) {
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  expect(flagos_memory_get_info(device, address, &info));
  return info;
}

}  // namespace

OneSided::OneSided(std::uint32_t rank, std::vector<Peer>& peers, Staging& staging)
    : rank_(rank),
      peers_(peers),
      staging_(staging),
      confirmations_(peers.size()),
      answers_(peers.size()),
      signals_(peers.size()) {}

// ---- windows -----------------------------------------------------------------------------------------------------

flagos_comm_window_t OneSided::add_window(WindowPart own) {
  Window window;
  window.is_used = true;
  window.parts.resize(peers_.size());
  window.parts[rank_] = own;
  if (own.bytes != 0) {
    window.info = memory_info(staging_.device(), own.address);
    if (window.info.kind == FLAGOS_MEMORY_KIND_UNKNOWN)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "window_create: 0x{:x} is in no memory that was allocated or registered",
                  own.address);
    staging_.check_range(own.address, own.bytes, "window_create");
  }
  std::lock_guard lock(mutex_);
  std::size_t index = 0;
  while (index < windows_.size() && windows_[index].is_used) ++index;
  if (index == windows_.size()) windows_.emplace_back();
  windows_[index] = std::move(window);
  return static_cast<flagos_comm_window_t>(index + 1);
}

void OneSided::set_parts(flagos_comm_window_t window, const std::vector<WindowPart>& parts) {
  std::lock_guard lock(mutex_);
  windows_[window - 1].parts = parts;
}

void OneSided::remove_window(flagos_comm_window_t window) {
  std::lock_guard lock(mutex_);
  if (window == 0 || window > windows_.size() || !windows_[window - 1].is_used)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "there is no window {} of this communicator", window);
  windows_[window - 1] = Window{};
}

bool OneSided::has_windows() {
  std::lock_guard lock(mutex_);
  return std::any_of(windows_.begin(), windows_.end(),
                     [](const Window& window) { return window.is_used; });
}

void OneSided::check(const Request& request) {
  const char* const what = name_of(request.kind);
  if (request.root >= peers_.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: peer {} of {} ranks", what, request.root,
                peers_.size());
  if (request.kind != Kind::put && request.kind != Kind::get) return;
  std::lock_guard lock(mutex_);
  if (request.window == 0 || request.window > windows_.size() ||
      !windows_[request.window - 1].is_used)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "{}: there is no window {} of this communicator", what,
                request.window);
  const WindowPart& part = windows_[request.window - 1].parts[request.root];
  if (request.offset > part.bytes || request.count > part.bytes - request.offset)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{}: {} bytes at {} end past the {} bytes of rank {} in window {}", what,
                request.count, request.offset, part.bytes, request.root, request.window);
  const flagos_address_t own = request.kind == Kind::put ? request.source : request.target;
  if (request.count != 0 && own == 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: the address is 0 and there are {} bytes", what,
                request.count);
}

// Where another rank's bytes are or go; what it says is not believed.
flagos_address_t OneSided::address_in(const Header& header, const Peer& peer) {
  const char* const what = name_of(header.kind);
  flagos_memory_info_t registered{};
  WindowPart part;
  {
    std::lock_guard lock(mutex_);
    if (header.count == 0 || header.count > windows_.size() || !windows_[header.count - 1].is_used)
      throw_error(FLAGOS_STATUS_RANK_FAILED, "{} by rank {}: rank {} has destroyed window {}", what,
                  peer.rank, rank_, header.count);
    registered = windows_[header.count - 1].info;
    part = windows_[header.count - 1].parts[rank_];
  }
  if (header.sequence > part.bytes || header.bytes > part.bytes - header.sequence)
    throw_error(FLAGOS_STATUS_RANK_FAILED,
                "{} by rank {}: {} bytes at {} end past the {} bytes of rank {} in window {}", what,
                peer.rank, header.bytes, header.sequence, part.bytes, rank_, header.count);
  const flagos_memory_info_t now = memory_info(staging_.device(), part.address);
  if (now.kind != registered.kind || now.base != registered.base ||
      now.size_bytes != registered.size_bytes)
    throw_error(FLAGOS_STATUS_RANK_FAILED,
                "{} by rank {}: rank {} has freed its memory at 0x{:x} that is in window {}", what,
                peer.rank, rank_, part.address, header.count);
  return part.address + header.sequence;
}

// ---- for others --------------------------------------------------------------------------------------------------

bool OneSided::serve() {
  bool moved = false;
  for (Peer& peer : peers_)
    if (peer.in != nullptr) moved |= serve(peer);
  return moved;
}

bool OneSided::serve(Peer& peer) {
  bool moved = false;
  for (const Entry* entry = peer.front(); entry != nullptr; entry = peer.front()) {
    if (!serve_entry(peer, *entry)) break;
    peer.pop();
    moved = true;
  }
  std::uint32_t& confirmations = confirmations_[peer.rank];
  while (confirmations != 0 && peer.has_room() && staging_.is_settled()) {
    send_empty(peer, Kind::put, answering);
    --confirmations;
    moved = true;
  }
  Outgoing& answer = answers_[peer.rank];
  if (answer.sent < answer.bytes) {
    Header header;
    header.kind = Kind::get;
    header.phase = answering;
    moved |= send_some(peer, answer, header);
  }
  return moved;
}

// False when there is no place for its bytes yet.
bool OneSided::serve_entry(Peer& peer, const Entry& entry) {
  const Header& header = entry.header;
  if (header.kind == Kind::signal) {
    ++signals_[peer.rank];
    return true;
  }
  if (header.kind == Kind::put && header.phase == asking) {
    Header place = header;
    place.bytes = entry.bytes;
    if (!write(entry, peer, address_in(place, peer))) return false;
    confirmations_[peer.rank] += header.reduction;  // the last part of it
    return true;
  }
  if (header.kind == Kind::get && header.phase == asking) {
    Outgoing& answer = answers_[peer.rank];
    if (answer.sent < answer.bytes)
      throw_error(FLAGOS_STATUS_RANK_FAILED, "rank {} asks for two things at once", peer.rank);
    answer = {};
    answer.address = address_in(header, peer);
    answer.bytes = header.bytes;
    answer.reached = staging_.reaches(answer.address);
    return true;
  }
  const bool is_expected = operation_ != nullptr && operation_->request.root == peer.rank &&
                           operation_->request.kind == header.kind && header.phase == answering;
  if (!is_expected)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "rank {} answers what was not asked ({})", peer.rank,
                name_of(header.kind));
  if (header.kind == Kind::put) return is_confirmed_ = true;
  const Request& request = operation_->request;
  if (header.sequence != received_ || entry.bytes > request.count - received_)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "get with rank {}: {} bytes at {} where {} were left",
                peer.rank, entry.bytes, header.sequence, request.count - received_);
  if (!write(entry, peer, request.target + received_)) return false;
  received_ += entry.bytes;
  return true;
}

bool OneSided::write(const Entry& entry, const Peer& peer, flagos_address_t target) {
  const std::uint64_t bytes = entry.bytes;
  const std::byte* data = nullptr;
  if (entry.place == Place::inside && bytes <= inside_bytes) data = entry.data.data();
  if (entry.place == Place::slot) data = peer.segment->at(entry.where, bytes);
  if (entry.place == Place::pointer && peer.gives_pointers) data = host(entry.where);
  if (data == nullptr || bytes > Staging::slot_bytes)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: rank {} sent {} bytes that are nowhere",
                name_of(entry.header.kind), peer.rank, bytes);
  if (staging_.reaches(target)) {
    std::memcpy(host(target), data, bytes);
    return true;
  }
  const int slot = staging_.take_incoming();
  if (slot == Staging::none) return false;
  std::memcpy(staging_.data(slot), data, bytes);
  staging_.store(slot, target, bytes);
  return true;
}

void OneSided::send_empty(Peer& peer, Kind kind, std::uint8_t phase) {
  Entry& entry = peer.next_out();
  entry.place = Place::inside;
  entry.bytes = 0;
  entry.header = Header{};
  entry.header.kind = kind;
  entry.header.phase = phase;
  peer.push();
}

// Brings the next pieces to slots while earlier ones are on their way.
void OneSided::fetch_ahead(Outgoing& outgoing) {
  while (outgoing.filling_count < Outgoing::most_filling && outgoing.fetched < outgoing.bytes) {
    const int slot = staging_.take_outgoing();
    if (slot == Staging::none) return;
    const std::uint64_t bytes = std::min(outgoing.bytes - outgoing.fetched, Staging::slot_bytes);
    staging_.fetch(slot, outgoing.address + outgoing.fetched, bytes);
    outgoing.fetched += bytes;
    outgoing.filling[outgoing.filling_count++] = slot;
  }
}

// The next piece, where the entry says; false when it is not there yet.
bool OneSided::place_piece(Outgoing& outgoing, std::uint64_t bytes, Peer& peer, Entry& entry) {
  const flagos_address_t from = outgoing.address + outgoing.sent;
  if (outgoing.is_direct || (outgoing.reached && bytes <= inside_bytes)) {
    entry.place = outgoing.is_direct ? Place::pointer : Place::inside;
    entry.where = from;
    if (!outgoing.is_direct) std::memcpy(entry.data.data(), host(from), bytes);
    peer.push();
    return true;
  }
  int slot = Staging::none;
  if (outgoing.reached) {
    slot = staging_.take_outgoing();
    if (slot == Staging::none) return false;
    std::memcpy(staging_.data(slot), host(from), bytes);
  } else {
    if (outgoing.filling_count == 0 || !staging_.has_arrived(outgoing.filling[0])) return false;
    slot = outgoing.filling[0];
    std::copy(outgoing.filling + 1, outgoing.filling + outgoing.filling_count, outgoing.filling);
    --outgoing.filling_count;
  }
  entry.place = Place::slot;
  entry.where = staging_.offset(slot);
  staging_.lend(slot, peer, peer.push());
  return true;
}

// `header` is of the first byte; each part says where it begins.
bool OneSided::send_some(Peer& peer, Outgoing& outgoing, Header header) {
  bool moved = false;
  const std::uint64_t base = header.sequence;
  while (outgoing.sent < outgoing.bytes && peer.has_room()) {
    if (!outgoing.reached) fetch_ahead(outgoing);
    const std::uint64_t bytes = std::min(outgoing.bytes - outgoing.sent, Staging::slot_bytes);
    Entry& entry = peer.next_out();
    entry.bytes = bytes;
    entry.header = header;
    entry.header.bytes = bytes;
    entry.header.sequence = base + outgoing.sent;
    entry.header.reduction = outgoing.sent + bytes == outgoing.bytes;
    if (!place_piece(outgoing, bytes, peer, entry)) break;
    outgoing.sent += bytes;
    moved = true;
  }
  return moved;
}

// ---- for this rank -----------------------------------------------------------------------------------------------

void OneSided::start(Operation& operation) {
  operation_ = &operation;
  const Request& request = operation.request;
  is_asked_ = is_confirmed_ = false;
  received_ = 0;
  outgoing_ = {};
  if (request.kind != Kind::put || request.count == 0) return;
  outgoing_.address = request.source;
  outgoing_.bytes = request.count;
  outgoing_.reached = staging_.reaches(request.source);
  // What is got is not read so: its rank may free it, since it does not know that it is read.
  const Peer& peer = peers_[request.root];
  outgoing_.is_direct = outgoing_.reached && peer.takes_pointers && peer.gives_pointers &&
                        request.count > inside_bytes;
}

// With this rank itself: a copy, or a signal that is there at once.
bool OneSided::with_self() {
  const Request& request = operation_->request;
  Header header;
  header.kind = request.kind;
  header.count = request.window;
  header.sequence = request.offset;
  header.bytes = request.count;
  if (request.kind == Kind::signal) {
    ++signals_[rank_];
  } else if (!is_asked_ && request.count != 0) {
    const flagos_address_t there = address_in(header, peers_[rank_]);
    const bool is_put = request.kind == Kind::put;
    const flagos_address_t from = is_put ? request.source : there;
    const flagos_address_t to = is_put ? there : request.target;
    if (staging_.reaches(from) && staging_.reaches(to)) {
      std::memmove(host(to), host(from), request.count);
    } else {
      staging_.copy(from, to, request.count);
    }
    is_asked_ = true;
  }
  if (!staging_.is_settled()) return false;
  operation_ = nullptr;
  return true;
}

bool OneSided::step() {
  const Request& request = operation_->request;
  Peer& peer = peers_[request.root];
  if (request.kind == Kind::wait_signal) {
    if (signals_[request.root] < request.count) return false;
    signals_[request.root] -= request.count;
    operation_ = nullptr;
    return true;
  }
  if (request.root == rank_) return with_self();
  bool moved = false;
  bool done = false;
  switch (request.kind) {
    case Kind::signal:
      if (!peer.has_room()) return false;
      send_empty(peer, Kind::signal, asking);
      done = true;
      break;
    case Kind::put: {
      Header header;
      header.kind = Kind::put;
      header.count = request.window;
      header.sequence = request.offset;
      moved = send_some(peer, outgoing_, header);
      done = request.count == 0 || is_confirmed_;
      break;
    }
    default:
      if (!is_asked_ && request.count != 0 && peer.has_room()) {
        Entry& entry = peer.next_out();
        entry.place = Place::inside;
        entry.bytes = 0;
        entry.header = Header{};
        entry.header.kind = Kind::get;
        entry.header.count = request.window;
        entry.header.sequence = request.offset;
        entry.header.bytes = request.count;
        peer.push();
        is_asked_ = moved = true;
      }
      done = received_ == request.count && staging_.is_settled();
      break;
  }
  if (!done) return moved;
  operation_ = nullptr;
  return true;
}

}  // namespace flagos::comm
