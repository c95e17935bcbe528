// Failures: how they are found, told to the others and to the streams, and who is to blame.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "comm/clock.hpp"
#include "comm/communicator.hpp"

namespace flagos::comm {

flagos_status_t Communicator::status(std::string& out_text) {
  check_native();
  std::lock_guard lock(failure_mutex_);
  out_text = failure_text_;
  const flagos_status_t found = status_.load(std::memory_order_acquire);
  return found == FLAGOS_STATUS_OK && !is_open_.load(std::memory_order_acquire)
             ? FLAGOS_STATUS_NOT_READY
             : found;
}

// The first failure is kept, and told to the others through our segment.
void Communicator::fail(flagos_status_t status, const std::string& text) {
  {
    std::lock_guard lock(failure_mutex_);
    if (status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) return;
    failure_text_ = text;
    Failure& failure = segment_->head().failure;
    failure.status = status;
    std::snprintf(failure.text.data(), failure.text.size(), "%s", text.c_str());
    failure.state.store(Failure::set, std::memory_order_release);
    status_.store(status, std::memory_order_release);
  }
  for (Peer& peer : peers_)
    if (peer.segment != nullptr) peer.segment->head().bell.ring_always();
}

// On the communicator's thread: lets go of everything, waits until nobody reads our memory, then tells the streams.
void Communicator::finish_failure(std::unique_lock<std::mutex>& engine) {
  if (failure_finished_.load(std::memory_order_acquire)) {
    std::lock_guard lock(queue_mutex_);
    for (; reached_.first != nullptr; reached_.pop()) {
      reached_.first->runs.fetch_add(1, std::memory_order_release);
      reached_.first->runs.notify_all();
    }
    return;
  }
  if (any_native() != nullptr) any_native()->abort();
  Operation* const running = execution_.operation();
  execution_.drop();
  segment_->head().stopped.store(1, std::memory_order_release);
  for (Peer& peer : peers_)
    if (peer.segment != nullptr) peer.segment->head().bell.ring_always();
  engine.unlock();
  for (int i = 0; i < 900 && is_read_by_others(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  engine.lock();
  if (running != nullptr && running->recorded) {
    running->runs.fetch_add(1, std::memory_order_release);
    running->runs.notify_all();
  }
  flagos_timeline_fail(timeline_, status_.load(std::memory_order_acquire));
  failure_finished_.store(true, std::memory_order_release);
  idle_.notify_all();
}

bool Communicator::is_read_by_others() {
  const auto is_read = [](Peer& peer) {
    if (!peer.takes_pointers || peer.out == nullptr) return false;
    const SegmentHead& head = peer.segment->head();
    return head.stopped.load(std::memory_order_acquire) == 0 &&
           head.closed.load(std::memory_order_acquire) == 0 && !peer.is_consumed(peer.written);
  };
  return std::any_of(peers_.begin(), peers_.end(), is_read) ||
         std::any_of(one_sided_peers_.begin(), one_sided_peers_.end(), is_read);
}

std::string Communicator::what_runs() const {
  return execution_.is_done() ? "between operations" : describe(*execution_.operation());
}

void Communicator::abort(const std::string& text) {
  fail(FLAGOS_STATUS_COMM_ABORTED, text);
  for (int i = 0;
       i < 1000 && thread_.joinable() && !failure_finished_.load(std::memory_order_acquire); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Whether another rank has told that it gave up, and why. What is sent last may be stuck behind messages of an operation
// that waits, but not behind one-sided ones.
bool Communicator::look_at_peers(bool holds_engine) {
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    if (rank == rank_) continue;
    if (adopt_failure(peers_[rank].segment->head(), holds_engine) ||
        adopt_failure(one_sided_peers_[rank].segment->head(), holds_engine))
      return true;
  }
  return false;
}

bool Communicator::adopt_failure(SegmentHead& head, bool holds_engine) {
  const Failure& failure = head.failure;
  if (failure.state.load(std::memory_order_acquire) != Failure::set) return false;
  std::string text(failure.text.data(), strnlen(failure.text.data(), failure.text.size()));
  if (failure.lacks_operation && holds_engine) text = what_runs() + ": " + text;
  const bool is_known = FLAGOS_STATUS_CLASS(failure.status) == FLAGOS_STATUS_CLASS_COMM;
  fail(is_known ? failure.status : FLAGOS_STATUS_RANK_FAILED, text);
  return true;
}

// When nothing moves: has another rank failed, left or died, or is it overdue?
void Communicator::look_around() {
  if (look_at_peers(true)) return;
  check_native();
  look_for_dead_processes();
  if (execution_.is_done()) return;
  const std::uint32_t culprit = execution_.waits_for();
  const std::string what = describe(*execution_.operation());
  if (culprit != rank_ &&
      peers_[culprit].segment->head().closed.load(std::memory_order_acquire) != 0)
    return fail(FLAGOS_STATUS_RANK_FAILED,
                fmt::format("{}: rank {} has left the communicator", what, culprit));
  const std::uint64_t now = now_ns(), waited = now - last_move_ns_;
  if (waited < config_.timeout_ns) return blame_.drop();
  if (culprit == rank_)
    return fail(FLAGOS_STATUS_COMM_TIMEOUT,
                fmt::format("{}: the device of rank {} did not answer for {} ms", what, rank_,
                            waited / 1'000'000));
  if (!blame_.is_under_way()) blame_.begin(culprit, now);
  Blame::Verdict verdict;
  if (blame_.look(*execution_.operation(), now, verdict))
    fail(verdict.status, fmt::format("{}: rank {} waited {} ms for {}", what, rank_,
                                     waited / 1'000'000, verdict.text));
}

// What another rank asks when it has waited for too long.
void Communicator::answer_questions() {
  Questions& questions = segment_->head().questions;
  const std::uint32_t asked = questions.asked.load(std::memory_order_acquire);
  if (asked == questions.answered.load(std::memory_order_relaxed) ||
      status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
    return;
  questions.answer(asked, what_is_awaited());
  if (network_ != nullptr) network_->ring();
}

Answer Communicator::what_is_awaited() {
  Answer answer;
  answer.sequence = next_sequence_;
  if (!execution_.is_done()) {
    const Operation& operation = *execution_.operation();
    answer.awaited = execution_.waits_for();
    answer.state = answer.awaited == rank_ ? Answer::State::device : Answer::State::peer;
    answer.kind = operation.request.kind;
    if (answer.kind < Kind::exchange) answer.sequence = operation.sequence;
    return answer;
  }
  std::lock_guard lock(queue_mutex_);
  if (pending_.first != nullptr) answer.state = Answer::State::stream;
  return answer;
}

void Communicator::look_for_dead_processes() {
  for (Peer& peer : peers_) {
    if (peer.process < 0 || peer.segment->head().closed.load(std::memory_order_acquire) != 0)
      continue;
    pollfd descriptor{peer.process, POLLIN, 0};
    if (poll(&descriptor, 1, 0) <= 0) continue;
    return fail(FLAGOS_STATUS_RANK_FAILED,
                fmt::format("{}: rank {} (process {}) has died", what_runs(), peer.rank,
                            peer.segment->name().pid));
  }
}

}  // namespace flagos::comm
