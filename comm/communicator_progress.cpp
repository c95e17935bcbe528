// Who carries operations out: the communicator's thread, or the caller when the others are there already.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/fence.hpp"
#include "base/guard.hpp"
#include "base/wait.hpp"
#include "comm/clock.hpp"
#include "comm/communicator.hpp"

namespace flagos::comm {
namespace {

// A caller finishes operations up to this size itself when the other ranks are there already: waking threads takes as long.
constexpr std::uint64_t here_bytes = 4 << 20;
// A rank that has missed the others comes as much later as it takes to wake its thread, and the caller by that.
constexpr std::uint64_t here_ns = 300'000;
constexpr std::uint32_t most_misses = 4;
constexpr std::uint64_t first_meeting = 16, rarest_meeting = 256;
constexpr std::uint64_t slow_yield_ns = 100'000;
constexpr std::uint32_t most_slow_yields = 64;

}  // namespace

// Where others have run for long, who sleeps and is woken gets its turn sooner than who gives way: for a while nobody does.
bool Communicator::may_yield() { return slow_yields_ == 0 || --slow_yields_ == 0; }

// The time then.
std::uint64_t Communicator::give_way() {
  const std::uint64_t start = now_ns();
  sched_yield();
  const std::uint64_t now = now_ns();
  if (now - start > slow_yield_ns) slow_yields_ = most_slow_yields;
  return now;
}

// ---- in the call -------------------------------------------------------------------------------------------------

// Tries to finish a small operation in the call itself, which saves waking a thread, if the other ranks are there.
Communicator::Here Communicator::try_here(Operation& operation) {
  if (operation.bytes > here_bytes || staging_.is_remote()) return Here::no;
  std::unique_lock engine(engine_mutex_, std::try_to_lock);
  // Nothing else may be under way or wait for its turn.
  if (!engine.owns_lock() || !execution_.is_done() ||
      outstanding_.load(std::memory_order_acquire) != 0 ||
      visitors_.load(std::memory_order_acquire) != 0 ||
      status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK)
    return Here::no;
  const std::uint64_t before = completed_.load(std::memory_order_relaxed);
  here_ = &operation;
  is_here_ = true;
  const std::uint64_t call = operation.value;
  const bool has_waited = wait_here(before, patience_here(call));
  is_here_ = false;
  if (std::exchange(here_, nullptr) != nullptr)
    return Here::no;  // another rank's request has failed
  const bool is_done = completed_.load(std::memory_order_relaxed) != before;
  if (!is_done) {
    outstanding_.fetch_add(1, std::memory_order_relaxed);
    if (++misses_ > most_misses && is_meeting(call))
      meeting_every_ = std::min(2 * meeting_every_, rarest_meeting);
    last_move_ns_ = now_ns();
    return Here::begun;
  }
  // Who comes last need not wait, and does not learn whether waiting pays.
  if (has_waited || is_meeting(call)) {
    misses_ = 0;
    meeting_every_ = first_meeting;
  }
  return Here::done;
}

// How long a call looks out for the others. Ranks that come at different times do not wait in vain each time, but meet again
// at calls that all of them count alike; where they do not, more and more rarely. All these numbers are powers of two, so that
// whoever waits more rarely meets those that wait more often.
std::uint64_t Communicator::patience_here(std::uint64_t call) const {
  return misses_ < most_misses || is_meeting(call) ? here_ns : 0;
}

// Whether the others were not there at once.
bool Communicator::wait_here(std::uint64_t before, std::uint64_t patience_ns) {
  static const std::uint32_t cores = std::thread::hardware_concurrency();
  const bool is_crowded = local_size_ > cores;
  std::uint64_t start = 0;
  std::uint32_t round = 0;
  for (; completed_.load(std::memory_order_relaxed) == before; ++round) {
    if (status_.load(std::memory_order_relaxed) != FLAGOS_STATUS_OK) break;
    if (step()) {
      start = 0;
      continue;
    }
    if (round >= 2 && patience_ns == 0) break;
    pause_processor();
    if (round % 32 != 31) continue;
    // The scheduler puts those that wake each other on one processor: the other rank may wait for just this one.
    const std::uint64_t now = is_crowded || may_yield() ? give_way() : now_ns();
    if (start == 0) start = now;
    if (now - start >= patience_ns) break;
  }
  return round > 2;
}

// ---- on the thread -----------------------------------------------------------------------------------------------

void Communicator::work() {
  std::unique_lock engine(engine_mutex_);
  std::uint32_t idle_rounds = 0;
  while (!stop_.load(std::memory_order_acquire)) {
    answer_questions();
    if (status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK) {
      finish_failure(engine);
      wait_for_work(idle_rounds = 1000, engine);
    } else if (step()) {
      tell_streams(engine);
      idle_rounds = 0;
      last_move_ns_ = now_ns();
    } else {
      wait_for_work(++idle_rounds, engine);
    }
  }
}

// Turns, then lets others run, then sleeps until somebody rings.
void Communicator::wait_for_work(std::uint32_t idle_rounds, std::unique_lock<std::mutex>& engine) {
  const bool is_busy = !execution_.is_done() || one_sided_.has_windows();
  if (is_busy && idle_rounds < 32) return pause_processor();
  if (is_busy && idle_rounds < 200 && may_yield()) {
    engine.unlock();
    give_way();
    engine.lock();
    return;
  }
  Bell& bell = segment_->head().bell;
  const std::uint32_t seen = bell.count.load(std::memory_order_acquire);
  // Who has nothing to do is woken by calls alone: other ranks need not pay for it.
  if (is_busy) bell.sleeping.store(1, std::memory_order_seq_cst);
  full_fence();
  const bool failed = status_.load(std::memory_order_acquire) != FLAGOS_STATUS_OK;
  if (failed || !step()) {
    std::uint64_t sleep_ns = 50'000'000;
    if (is_busy)
      sleep_ns = execution_.is_done() || execution_.waits_for() != rank_ ? 5'000'000 : 20'000;
    if (blame_.is_under_way()) sleep_ns = 1'000'000;
    if (stop_.load(std::memory_order_acquire)) sleep_ns = 0;
    engine.unlock();
    bell.wait(seen, sleep_ns);
    engine.lock();
    if (!failed) look_around();
  }
  bell.sleeping.store(0, std::memory_order_relaxed);
  tell_streams(engine);
}

// Whoever waits for the stream makes the next call at once, and then finds the engine free.
void Communicator::tell_streams(std::unique_lock<std::mutex>& engine) {
  const std::uint64_t value = std::exchange(signal_, 0);
  if (value == 0) return;
  engine.unlock();
  const flagos_status_t signalled = flagos_timeline_signal(timeline_, value);
  if (FLAGOS_STATUS_CLASS(signalled) != FLAGOS_STATUS_CLASS_ANSWER)
    fail(FLAGOS_STATUS_RANK_FAILED,
         fmt::format("rank {} cannot tell its streams: {}", rank_, flagos_last_error()));
  engine.lock();
}

bool Communicator::begin_next() {
  Operation* operation = std::exchange(here_, nullptr);
  if (operation == nullptr) {
    std::lock_guard lock(queue_mutex_);
    List& list = pending_.first != nullptr && pending_.first->ready.load(std::memory_order_acquire)
                     ? pending_
                     : reached_;
    operation = list.first;
    if (operation == nullptr) return false;
    list.pop();
  }
  // Operations of our own have numbers of their own: the caller counts its calls.
  constexpr std::uint64_t own_numbers = std::uint64_t{1} << 63;
  const bool is_internal = operation->value == 0 && !operation->recorded;
  if (operation->request.kind < Kind::exchange)
    operation->sequence = is_internal ? own_numbers + next_internal_++ : next_sequence_++;
  if (!is_here_) last_move_ns_ = now_ns();
  execution_.start(*operation, !is_here_);
  last_algorithm_.store(execution_.plan().algorithm, std::memory_order_relaxed);
  if (operation->stream_status != FLAGOS_STATUS_OK) {
    check_native();  // the plugin's part on that stream may be what failed
    throw_error(FLAGOS_STATUS_RANK_FAILED, "{}: the stream of rank {} has failed before it: {}",
                describe(*operation), rank_, flagos_status_get_name(operation->stream_status));
  }
  if (wants_plans()) print_plan(*operation);
  return true;
}

bool Communicator::step() {
  bool moved = false;
  const flagos_status_t status = guard(
      [&] {
        moved = one_sided_.serve();
        if (execution_.is_done()) {
          if (!begin_next()) return;
          moved = true;
        }
        Operation* const operation = execution_.operation();
        moved |= execution_.step();
        if (execution_.is_done()) complete(*operation);
      },
      [&](flagos_status_t failed, const char* text) {
        const bool is_ours = FLAGOS_STATUS_CLASS(failed) != FLAGOS_STATUS_CLASS_COMM;
        fail(is_ours ? FLAGOS_STATUS_RANK_FAILED : failed,
             is_ours ? fmt::format("{}: rank {} failed: {}", what_runs(), rank_, text) : text);
      });
  return moved || status != FLAGOS_STATUS_OK;
}

void Communicator::complete(Operation& operation) {
  // Only whoever holds the engine writes it.
  completed_.store(completed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (operation.recorded) {
    operation.runs.fetch_add(1, std::memory_order_release);
    operation.runs.notify_all();
    return;
  }
  if (is_here_) return;  // nobody else has seen it
  if (operation.value == 0) {
    internal_.fetch_add(1, std::memory_order_relaxed);
    operation.runs.fetch_add(1, std::memory_order_release);
  }
  signal_ = std::max(signal_, operation.value);
  {
    std::lock_guard lock(queue_mutex_);
    operation.next = std::exchange(free_, &operation);
  }
  if (outstanding_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_all();
}

void Communicator::print_plan(const Operation& operation) const {
  std::fprintf(stderr, "flagos comm: rank %u of %u: %s, %llu bytes: %s, %u phases\n", rank_, size_,
               describe(operation).c_str(), static_cast<unsigned long long>(operation.bytes),
               name_of(execution_.plan().algorithm),
               static_cast<unsigned>(execution_.plan().phases.size()));
}

void Communicator::print_topology(const Topology& topology) {
  const auto print = [](const char* name, const Link& link) {
    std::fprintf(stderr, "flagos comm: %s: %.2f us, %.2f us each further message, %.2f GB/s\n",
                 name, link.latency_s * 1e6, link.message_s * 1e6,
                 link.byte_s > 0 ? 1e-9 / link.byte_s : 0);
  };
  std::fprintf(stderr, "flagos comm: %u ranks on %u hosts\n", topology.size,
               static_cast<unsigned>(topology.clusters.size()));
  if (topology.largest_cluster() > 1) print("within a host", topology.local);
  if (topology.clusters.size() > 1) print("between hosts", topology.remote);
}

}  // namespace flagos::comm
