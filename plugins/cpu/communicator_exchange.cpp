// Sends and receives: all of a group proceed at once, those of one pair of ranks and one direction one after the other.
#include <algorithm>
#include <cstring>

#include "plugins/cpu/communicator.hpp"

namespace flagos::cpu {

// True when something moved. A failure is the segment's, and ends the wait.
bool Communicator::send(Message& message) {
  if (send_turn_[message.peer].load(std::memory_order_acquire) != message.number) return false;
  Channel& channel = segment_.channel(rank_, message.peer);
  const bool is_direct = segment_.is_own_process(message.peer);
  const std::uint64_t written = channel.written.load(std::memory_order_relaxed);
  const std::uint64_t read = channel.read.load(std::memory_order_acquire);
  if (message.is_begun && message.done == message.bytes) {
    // The buffer is the caller's again when the other side has it.
    if (is_direct && read != written) return false;
    message.is_over = true;
    send_turn_[message.peer].store(message.number + 1, std::memory_order_release);
    segment_.state(rank_).bell.ring();
    return true;
  }
  if (written - read == Channel::depth) return false;
  Piece& piece = channel.pieces[written % Channel::depth];
  const std::uint64_t left = message.bytes - message.done;
  piece.message_bytes = message.bytes;
  piece.bytes = is_direct ? left : std::min(left, RankSegment::piece_bytes);
  piece.address = is_direct ? reinterpret_cast<std::uint64_t>(message.data) : 0;
  if (!is_direct && piece.bytes != 0)
    std::memcpy(segment_.piece(rank_, message.peer, written), message.data + message.done,
                piece.bytes);
  message.is_begun = true;
  message.done += piece.bytes;
  channel.written.store(written + 1, std::memory_order_release);
  segment_.state(message.peer).bell.ring();
  return true;
}

bool Communicator::receive(Message& message) {
  if (receive_turn_[message.peer].load(std::memory_order_acquire) != message.number) return false;
  Channel& channel = segment_.channel(message.peer, rank_);
  const std::uint64_t read = channel.read.load(std::memory_order_relaxed);
  if (channel.written.load(std::memory_order_acquire) == read) return false;
  const Piece& piece = channel.pieces[read % Channel::depth];
  if (piece.message_bytes != message.bytes) {
    segment_.fail(FLAGOS_STATUS_RANK_MISMATCH,
                  fmt::format("receive: rank {} sends {} bytes, rank {} receives {}", message.peer,
                              piece.message_bytes, rank_, message.bytes));
    return false;
  }
  const bool is_direct = segment_.is_own_process(message.peer);
  const Reading reading(*this, is_direct);
  if (!reading.is_allowed()) return false;
  const auto* const from = is_direct ? reinterpret_cast<const std::byte*>(piece.address)
                                     : segment_.piece(message.peer, rank_, read);
  if (piece.bytes != 0) std::memcpy(message.data + message.done, from, piece.bytes);
  message.done += piece.bytes;
  message.is_over = message.done == message.bytes;
  channel.read.store(read + 1, std::memory_order_release);
  if (message.is_over)
    receive_turn_[message.peer].store(message.number + 1, std::memory_order_release);
  segment_.state(message.peer).bell.ring();
  segment_.state(rank_).bell.ring();
  return true;
}

Failure Communicator::exchange(std::span<Message> messages) noexcept {
  const std::string what = messages.size() > 1        ? "a group of sends and receives"
                           : messages.front().is_send ? "send"
                                                      : "receive";
  Failure failure = guarded(what, [&] {
    check();
    const Message* waiting = nullptr;
    const auto is_over = [&] {
      for (bool moved = true; moved;) {
        moved = false;
        waiting = nullptr;
        for (Message& message : messages) {
          if (message.is_over) continue;
          moved |= message.is_send ? send(message) : receive(message);
          if (!message.is_over && waiting == nullptr) waiting = &message;
        }
      }
      return waiting == nullptr;
    };
    wait(what, is_over, [&] { return waiting->peer; });
  });
  if (failure) wait_for_readers();
  return failure;
}

}  // namespace flagos::cpu
