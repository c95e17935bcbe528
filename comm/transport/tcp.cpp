#include "comm/transport/tcp.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.hpp"
#include "base/thread.hpp"

namespace flagos::comm {
namespace {

constexpr std::uint64_t most_bytes = Segment::slot_bytes;
// A peer that goes says so on the socket, and its other connection may be seen to end before.
constexpr std::chrono::milliseconds goodbye_time{200};

}  // namespace

TcpTransport::TcpTransport(std::uint32_t rank, std::uint32_t size, std::shared_ptr<Segment> segment)
    : rank_(rank),
      size_(size),
      segment_(std::move(segment)),
      doorbell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (doorbell_ < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "eventfd: {}", std::strerror(errno));
}

std::shared_ptr<Segment> TcpTransport::add(std::uint32_t peer, Socket socket, std::uint32_t lane) {
  auto link = std::make_unique<Link>();
  link->peer = peer;
  link->socket = std::move(socket);
  link->stand_in = Segment::create(peer, size_);
  link->out = &segment_->ring(peer, lane);
  link->in = &link->stand_in->ring(rank_, lane);
  if (worker_ != nullptr) {
    link->ucx =
        std::make_unique<UcxLink>(*worker_, segment_, *link->out, link->stand_in, *link->in);
    const UcxLink::Label label = link->ucx->label();
    const auto* const bytes = reinterpret_cast<const std::byte*>(&label);
    link->address.assign(bytes, bytes + sizeof(label));
    link->address.insert(link->address.end(), worker_->address().begin(), worker_->address().end());
  }
  links_.push_back(std::move(link));
  return links_.back()->stand_in;
}

void TcpTransport::start() {
  thread_ = start_thread(fmt::format("flagos-tcp-{}", rank_), {}, [this] { run(); });
}

TcpTransport::~TcpTransport() {
  stop_.store(true, std::memory_order_release);
  ring();
  if (thread_.joinable()) thread_.join();
  links_.clear();  // before what they share
  close(doorbell_);
}

void TcpTransport::ring() const {
  const std::uint64_t one = 1;
  static_cast<void>(!write(doorbell_, &one, sizeof(one)));
}

void TcpTransport::run() {
  std::chrono::steady_clock::time_point end{};
  while (true) {
    const bool has_failed =
        segment_->head().failure.state.load(std::memory_order_acquire) == Failure::set;
    bool moved = worker_ != nullptr && worker_->progress();
    for (const auto& link : links_) {
      if (link->is_over) continue;
      if (has_failed) {
        if (link->ucx != nullptr) link->ucx->close();
        say_last(*link, FrameKind::failure);
      } else {
        moved |= pump_out(*link);
      }
      if (!link->is_over) moved |= pump_in(*link);
    }
    if (stop_.load(std::memory_order_acquire)) {
      if (end == std::chrono::steady_clock::time_point{})
        end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
      if (has_failed || is_flushed() || std::chrono::steady_clock::now() > end) break;
    }
    wait(moved);
  }
  for (const auto& link : links_) say_last(*link, FrameKind::goodbye);
}

bool TcpTransport::is_flushed() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& link) {
    if (link->ucx != nullptr) return link->is_over || link->ucx->is_flushed();
    return link->is_over || link->out->entries[link->out_read % Ring::entry_count].stamp.load(
                                std::memory_order_acquire) != link->out_read + 1;
  });
}

// ---- out ---------------------------------------------------------------------------------------------------------

bool TcpTransport::pump_out(Link& link) {
  bool moved = false;
  while (!link.is_over) {
    if (link.is_control || (!link.has_out_frame && make_control(link))) {
      if (!send_frame(link, link.address.data())) break;
      if (link.out_frame.kind == FrameKind::address) link.address.clear();
      link.has_out_frame = link.is_control = false;
      moved = true;
      continue;
    }
    if (link.ucx != nullptr) return pump_ucx(link) || moved;
    const Entry& entry = link.out->entries[link.out_read % Ring::entry_count];
    if (entry.stamp.load(std::memory_order_acquire) != link.out_read + 1) break;
    if (!link.has_out_frame) {
      link.out_frame = Frame{};
      link.out_frame.header = entry.header;
      link.out_frame.bytes = std::min(entry.bytes - link.entry_sent, most_bytes);
      link.out_done = 0;
      link.has_out_frame = true;
    }
    const std::byte* data = entry.data.data();
    if (entry.place == Place::slot) data = segment_->at(entry.where, entry.bytes);
    if (entry.place == Place::pointer)
      data = reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(entry.where));
    if (!send_frame(link, data + link.entry_sent)) break;
    moved = true;
    link.has_out_frame = false;
    link.entry_sent += link.out_frame.bytes;
    if (link.entry_sent < entry.bytes) continue;
    link.entry_sent = 0;
    link.out->consumed.store(++link.out_read, std::memory_order_release);
    segment_->head().bell.ring();
  }
  return moved;
}

// Whether all of the frame has left.
bool TcpTransport::send_frame(Link& link, const std::byte* data) {
  const std::uint64_t total = sizeof(Frame) + link.out_frame.bytes;
  while (link.out_done < total) {
    iovec parts[2];
    std::size_t count = 0;
    if (link.out_done < sizeof(Frame))
      parts[count++] = {reinterpret_cast<std::byte*>(&link.out_frame) + link.out_done,
                        sizeof(Frame) - link.out_done};
    const std::uint64_t of_data =
        link.out_done - std::min<std::uint64_t>(link.out_done, sizeof(Frame));
    if (link.out_frame.bytes > of_data)
      parts[count++] = {const_cast<std::byte*>(data) + of_data, link.out_frame.bytes - of_data};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(link.socket.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      lose(link, std::strerror(errno));
      return false;
    }
    link.out_done += static_cast<std::uint64_t>(sent);
  }
  return true;
}

bool TcpTransport::pump_ucx(Link& link) {
  std::string why;
  const bool moved = link.ucx->pump(why);
  if (why.empty() || link.has_said_last) return moved;
  const std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  if (link.lost == std::chrono::steady_clock::time_point{}) link.lost = now;
  if (now - link.lost > goodbye_time) lose(link, why);
  return moved;
}

bool TcpTransport::make_address(Link& link) {
  if (link.address.empty()) return false;
  link.out_frame = Frame{};
  link.out_frame.kind = FrameKind::address;
  link.out_frame.bytes = link.address.size();
  link.out_done = 0;
  return link.has_out_frame = link.is_control = true;
}

bool TcpTransport::take_address(Link& link) {
  const std::uint64_t bytes = link.in_frame.bytes;
  UcxLink::Label label;
  if (link.ucx == nullptr || link.ucx->is_connected() || bytes <= sizeof(label)) return false;
  const std::byte* const data = place_for(link);
  std::memcpy(&label, data, sizeof(label));
  link.ucx->connect({data + sizeof(label), bytes - sizeof(label)}, label);
  return true;
}

// A question to the peer, or our answer to its last one, if there is either.
bool TcpTransport::make_control(Link& link) {
  if (make_address(link)) return true;
  const std::uint32_t asked = link.stand_in->head().questions.asked.load(std::memory_order_acquire);
  Answer answer;
  if (asked != link.asked) {
    link.out_frame = Frame{};
    link.out_frame.kind = FrameKind::question;
    link.out_frame.header.count = link.asked = asked;
  } else if (link.own_question != 0 && segment_->head().questions.read(link.own_question, answer)) {
    link.out_frame = Frame{};
    link.out_frame.kind = FrameKind::answer;
    Header& header = link.out_frame.header;
    header.count = link.peers_question;
    header.sequence = answer.sequence;
    header.root = static_cast<std::int32_t>(answer.awaited);
    header.kind = answer.kind;
    header.phase = static_cast<std::uint8_t>(answer.state);
    link.own_question = 0;
  } else {
    return false;
  }
  link.out_done = 0;
  return link.has_out_frame = link.is_control = true;
}

// Tells why we go. In the middle of a frame nothing can be said: the end of the connection must do.
void TcpTransport::say_last(Link& link, FrameKind kind) {
  if (link.has_said_last || link.is_over) return;
  link.has_said_last = true;
  // Who failed may free its memory as soon as this is seen.
  link.stand_in->head().stopped.store(1, std::memory_order_release);
  if (!link.has_out_frame || link.out_done == 0) {
    struct {
      Frame frame;
      std::int64_t status = 0;
      char text[504] = {};
    } last;
    last.frame.kind = kind;
    last.frame.bytes = sizeof(last) - sizeof(Frame);
    const Failure& failure = segment_->head().failure;
    if (kind == FrameKind::failure) {
      last.status = failure.status;
      std::memcpy(last.text, failure.text.data(), sizeof(last.text));
    }
    static_cast<void>(send(link.socket.fd(), &last, sizeof(last), MSG_NOSIGNAL | MSG_DONTWAIT));
  }
  shutdown(link.socket.fd(), SHUT_WR);
}

// ---- in ----------------------------------------------------------------------------------------------------------

// The connection is of no use any more.
void TcpTransport::lose(Link& link, const std::string& why) {
  link.is_over = true;
  SegmentHead& head = link.stand_in->head();
  head.stopped.store(1, std::memory_order_release);
  if (head.closed.load(std::memory_order_acquire) == 0) {
    Failure& failure = head.failure;
    failure.status = FLAGOS_STATUS_RANK_FAILED;
    failure.lacks_operation = true;
    std::snprintf(failure.text.data(), failure.text.size(),
                  "the connection to rank %u has ended: %s", link.peer, why.c_str());
    failure.state.store(Failure::set, std::memory_order_release);
  }
  segment_->head().bell.ring_always();
}

// Where the bytes of the frame that comes belong. By UCX the slots of entries are filled by others.
std::byte* TcpTransport::place_for(Link& link) {
  if (link.ucx != nullptr) return link.stand_in->slot(Ring::entry_count);
  Entry& entry = link.in->entries[link.in_written % Ring::entry_count];
  return link.in_frame.bytes <= inside_bytes
             ? entry.data.data()
             : link.stand_in->slot(link.in_written % Ring::entry_count);
}

// A ring that is full leaves the bytes in the socket, and so holds the sender back.
bool TcpTransport::has_room(const Link& link) {
  return link.ucx != nullptr ||
         link.in_written - link.in->consumed.load(std::memory_order_acquire) < Ring::entry_count;
}

bool TcpTransport::pump_in(Link& link) {
  bool moved = false;
  while (!link.is_over) {
    if (!has_room(link)) break;
    const bool in_head = link.in_done < sizeof(Frame);
    std::byte* target = reinterpret_cast<std::byte*>(&link.in_frame) + link.in_done;
    std::uint64_t wanted = sizeof(Frame) - link.in_done;
    if (!in_head) {
      target = place_for(link) + (link.in_done - sizeof(Frame));
      wanted = sizeof(Frame) + link.in_frame.bytes - link.in_done;
    }
    if (wanted != 0) {
      const ssize_t got = recv(link.socket.fd(), target, wanted, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        lose(link, got == 0 ? "it was closed at the other end" : std::strerror(errno));
        break;
      }
      moved = true;
      link.in_done += static_cast<std::uint64_t>(got);
    }
    if (link.in_done < sizeof(Frame)) continue;
    const Frame& frame = link.in_frame;
    if (in_head && (frame.magic != Frame::magic_value || frame.bytes > most_bytes)) {
      lose(link, fmt::format("it carries what is no frame ({} bytes)", frame.bytes));
      break;
    }
    if (link.in_done == sizeof(Frame) + frame.bytes && !take_frame(link)) break;
  }
  return moved;
}

// A question or an answer of the peer; false when the frame is neither.
bool TcpTransport::take_control(Link& link) {
  const Frame& frame = link.in_frame;
  if (frame.kind == FrameKind::address) return take_address(link);
  if (frame.bytes != 0) return false;
  if (frame.kind == FrameKind::question) {
    link.peers_question = static_cast<std::uint32_t>(frame.header.count);
    link.own_question = segment_->head().questions.ask();
  } else if (frame.kind == FrameKind::answer) {
    const Answer answer{static_cast<Answer::State>(frame.header.phase), frame.header.kind,
                        static_cast<std::uint32_t>(frame.header.root), frame.header.sequence};
    link.stand_in->head().questions.answer(static_cast<std::uint32_t>(frame.header.count), answer);
  } else {
    return false;
  }
  segment_->head().bell.ring_always();
  return true;
}

// A whole frame has come. False when it was the last one.
bool TcpTransport::take_frame(Link& link) {
  const Frame& frame = link.in_frame;
  std::byte* const data = place_for(link);
  link.in_done = 0;
  if (frame.kind == FrameKind::data && link.ucx == nullptr) {
    Entry& entry = link.in->entries[link.in_written % Ring::entry_count];
    entry.bytes = frame.bytes;
    entry.header = frame.header;
    entry.place = frame.bytes <= inside_bytes ? Place::inside : Place::slot;
    entry.where = link.stand_in->offset_of(data);
    entry.stamp.store(++link.in_written, std::memory_order_release);
    segment_->head().bell.ring();
    return true;
  }
  if (take_control(link)) return true;
  SegmentHead& head = link.stand_in->head();
  if (frame.kind == FrameKind::failure && frame.bytes == 512) {
    Failure& failure = head.failure;
    std::int64_t status = 0;
    std::memcpy(&status, data, sizeof(status));
    failure.status = static_cast<flagos_status_t>(status);
    std::memcpy(failure.text.data(), data + sizeof(status), failure.text.size());
    failure.text.back() = '\0';
    failure.state.store(Failure::set, std::memory_order_release);
  } else {
    head.closed.store(1, std::memory_order_release);
  }
  head.stopped.store(1, std::memory_order_release);
  link.is_over = true;
  segment_->head().bell.ring_always();
  return false;
}

void TcpTransport::wait(bool moved) {
  if (moved) return;
  std::vector<pollfd>& polled = polled_;
  polled.clear();
  polled.push_back({doorbell_, POLLIN, 0});
  sleeping_.store(1, std::memory_order_seq_cst);
  bool has_work = false;
  for (const auto& link : links_) {
    if (link->is_over) continue;
    short events = 0;
    if (has_room(*link)) events |= POLLIN;
    if (link->ucx != nullptr) has_work |= link->ucx->has_work();
    const bool has_entry =
        link->ucx == nullptr && link->out->entries[link->out_read % Ring::entry_count].stamp.load(
                                    std::memory_order_acquire) == link->out_read + 1;
    if (has_entry && !link->has_out_frame) has_work = true;  // it came just now
    if (link->has_out_frame && !link->has_said_last) events |= POLLOUT;
    polled.push_back({link->socket.fd(), events, 0});
  }
  if (worker_ != nullptr) {
    polled.push_back({worker_->descriptor(), POLLIN, 0});
    has_work |= !worker_->may_sleep();
  }
  const bool has_failed =
      segment_->head().failure.state.load(std::memory_order_acquire) == Failure::set;
  poll(polled.data(), polled.size(), has_work && !has_failed ? 0 : 50);
  sleeping_.store(0, std::memory_order_relaxed);
  std::uint64_t count = 0;
  static_cast<void>(!read(doorbell_, &count, sizeof(count)));
}

}  // namespace flagos::comm
