#include "plugins/cpu/communicator.hpp"

#include <sched.h>

#include <algorithm>
#include <array>

#include "plugins/cpu/device.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t default_timeout_ns = 300'000'000'000;
constexpr std::uint64_t spin_ns = 20'000;
constexpr std::uint64_t nap_ns = 20'000'000;  // between two looks at the others
constexpr std::uint32_t split_operation = FLAGOS_COLLECTIVE_OPERATION_COUNT;

}  // namespace

const char* operation_name(flagos_collective_operation_t operation) noexcept {
  static constexpr std::array<const char*, split_operation + 1> names = {
      "all_reduce", "reduce",     "reduce_scatter", "broadcast", "all_gather", "gather",
      "scatter",    "all_to_all", "send",           "receive",   "split"};
  return names[static_cast<std::size_t>(operation)];
}

Communicator::Communicator(Device& device, const SegmentId& id, std::uint32_t rank,
                           std::uint32_t size, std::uint64_t timeout_ns)
    : device_(device),
      rank_(rank),
      size_(size),
      timeout_ns_(timeout_ns != 0 ? timeout_ns : default_timeout_ns),
      segment_(id, rank, size, Deadline(timeout_ns_)),
      sent_(size),
      received_(size),
      send_turn_(size),
      receive_turn_(size) {}

// ---- waiting ----------------------------------------------------------------------------------

void Communicator::wait(const std::string& what, const std::function<bool()>& is_ready,
                        const std::function<std::uint32_t()>& blamed) {
  const auto is_over = [&] { return is_ready() || segment_.has_failed(); };
  if (!spin_until(is_over, spin_ns)) {
    RankBell& bell = segment_.state(rank_).bell;
    const std::uint64_t since = now_ns();
    const RankBell::Sleeper sleeper(bell);
    while (!is_over()) {
      const std::uint32_t seen = bell.count.load();
      if (is_over()) break;
      bell.sleep(seen, nap_ns);
      if (is_over()) break;
      const std::uint32_t rank = blamed();
      // Whoever has left may have done its part just before.
      if (segment_.has_left(rank) && is_ready()) break;
      look_around(what, rank, since);
    }
  }
  // What was reached before the failure counts.
  if (!is_ready()) throw_failed();
}

// When nothing moves: has the rank that is waited for died or left, or is it overdue?
void Communicator::look_around(const std::string& what, std::uint32_t blamed,
                               std::uint64_t since_ns) {
  const std::uint64_t waited = now_ns() - since_ns;
  for (std::uint32_t i = 0; i < size_; ++i)
    if (segment_.is_dead(i) && !segment_.has_left(i))
      return segment_.fail(FLAGOS_STATUS_RANK_FAILED, fmt::format("{}: rank {} has died", what, i));
  if (blamed == rank_) return;  // what this one waits for has a timeout of its own
  if (segment_.has_left(blamed)) {
    segment_.fail(FLAGOS_STATUS_RANK_FAILED,
                  fmt::format("{}: rank {} has left the communicator", what, blamed));
  } else if (waited >= timeout_ns_) {
    segment_.fail(FLAGOS_STATUS_COMM_TIMEOUT, fmt::format("{}: rank {} waited {} ms for rank {}",
                                                          what, rank_, waited / 1'000'000, blamed));
  }
}

void Communicator::throw_failed() {
  throw_error(segment_.head().status, "{}", segment_.head().text.data());
}

Failure Communicator::guarded(const std::string& what, const std::function<void()>& body) noexcept {
  Failure failure;
  guard(body, [&](flagos_status_t status, const char* text) {
    if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_COMM) {
      failure = make_failure(status, text);
      return;
    }
    const std::string said = fmt::format("{}: rank {} failed: {}", what, rank_, text);
    segment_.fail(FLAGOS_STATUS_RANK_FAILED, said);
    failure = make_failure(FLAGOS_STATUS_RANK_FAILED, said.c_str());
  });
  return failure;
}

Communicator::Reading::Reading(Communicator& communicator, bool is_direct) noexcept {
  if (!is_direct) return;
  readers_ = &communicator.segment_.state(communicator.rank_).readers;
  readers_->fetch_add(1, std::memory_order_seq_cst);
  is_allowed_ = !communicator.segment_.has_failed();
}

Communicator::Reading::~Reading() {
  if (readers_ != nullptr) readers_->fetch_sub(1, std::memory_order_release);
}

// They look at the failure after they have said that they read, so all that read later see it.
void Communicator::wait_for_readers() noexcept {
  for (std::uint32_t i = 0; i < size_; ++i)
    while (i != rank_ && segment_.is_own_process(i) &&
           segment_.state(i).readers.load(std::memory_order_seq_cst) != 0)
      sched_yield();
}

// ---- phases -----------------------------------------------------------------------------------

void Communicator::advance() noexcept {
  segment_.state(rank_).step.store(++step_, std::memory_order_release);
  for (std::uint32_t i = 0; i < size_; ++i)
    if (i != rank_) segment_.state(i).bell.ring();
}

void Communicator::wait_for_all(const std::string& what) {
  std::uint32_t slowest = rank_;
  const auto is_ready = [&] {
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (segment_.state(i).step.load(std::memory_order_acquire) >= step_) continue;
      slowest = i;
      return false;
    }
    return true;
  };
  wait(what, is_ready, [&] { return slowest; });
}

// When it is this operation's turn, tells what it is, and looks whether the others do the same.
void Communicator::begin(const Announcement& mine, std::uint64_t turn, const std::string& what) {
  wait(
      what, [&] { return turn_.load(std::memory_order_acquire) == turn; }, [&] { return rank_; });
  check();
  segment_.state(rank_).said[count_ % 2] = mine;
  advance();
  wait_for_all(what);
  check_agreement(what);
  ++count_;
}

void Communicator::check_agreement(const std::string& what) {
  const Announcement& mine = segment_.state(rank_).said[count_ % 2];
  for (std::uint32_t i = 0; i < size_; ++i) {
    const Announcement& other = segment_.state(i).said[count_ % 2];
    std::string found;
    if (other.operation != mine.operation) {
      found = operation_name(
          static_cast<flagos_collective_operation_t>(std::min(other.operation, split_operation)));
    } else if (other.count != mine.count) {
      found = fmt::format("{} elements instead of {}", other.count, mine.count);
    } else if (other.dtype != mine.dtype) {
      found = fmt::format("dtype {:#x} instead of {:#x}", other.dtype, mine.dtype);
    } else if (other.reduction != mine.reduction) {
      found = fmt::format("reduction {} instead of {}", other.reduction, mine.reduction);
    } else if (other.peer != mine.peer) {
      found = fmt::format("root {} instead of {}", other.peer, mine.peer);
    } else {
      continue;
    }
    segment_.fail(FLAGOS_STATUS_RANK_MISMATCH,
                  fmt::format("{}: rank {} and rank {} disagree: {}", what, rank_, i, found));
    throw_failed();
  }
}

// ---- ends -------------------------------------------------------------------------------------

void Communicator::skip(const char* what) noexcept {
  guarded(what, [&] {
    segment_.fail(FLAGOS_STATUS_RANK_FAILED,
                  fmt::format("{}: the stream of rank {} has failed before it", what, rank_));
  });
}

void Communicator::abort() noexcept {
  guarded("abort", [&] {
    segment_.fail(FLAGOS_STATUS_COMM_ABORTED,
                  fmt::format("rank {} aborted the communicator", rank_));
  });
}

void Communicator::check() {
  if (segment_.has_failed()) throw_failed();
}

flagos_status_t Communicator::status(std::string& text) {
  for (std::uint32_t i = 0; i < size_ && !segment_.has_failed(); ++i)
    if (segment_.is_dead(i) && !segment_.has_left(i))
      segment_.fail(FLAGOS_STATUS_RANK_FAILED,
                    fmt::format("between operations: rank {} has died", i));
  if (!segment_.has_failed()) return FLAGOS_STATUS_OK;
  text = segment_.head().text.data();
  return segment_.head().status;
}

// Each rank offers a name for the communicator that it would be the first of.
std::unique_ptr<Communicator> Communicator::split(std::int32_t color, std::int32_t key) {
  const std::uint64_t turn = take_turn();
  Announcement mine;
  mine.operation = split_operation;
  mine.color = color;
  mine.key = key;
  mine.id = make_segment_id();
  const std::string what = operation_name(split_operation);
  begin(mine, turn, what);
  const auto said = [&](std::uint32_t i) -> const Announcement& {
    return segment_.state(i).said[(count_ - 1) % 2];
  };
  std::vector<std::uint32_t> members;
  for (std::uint32_t i = 0; i < size_; ++i)
    if (said(i).color == color) members.push_back(i);
  std::stable_sort(members.begin(), members.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return said(a).key < said(b).key; });
  const SegmentId id = said(members.front()).id;
  turn_.store(turn + 1, std::memory_order_release);
  segment_.state(rank_).bell.ring();
  if (color == FLAGOS_COMMUNICATOR_COLOR_NONE) return nullptr;
  const auto place = std::find(members.begin(), members.end(), rank_) - members.begin();
  return std::make_unique<Communicator>(device_, id, static_cast<std::uint32_t>(place),
                                        static_cast<std::uint32_t>(members.size()), timeout_ns_);
}

}  // namespace flagos::cpu
