#include "plugins/cpu/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/thread.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t spin_ns = 30'000;      // longer than from one launch to the next
constexpr std::uint64_t alone_ns = 15'000;     // below it a wake costs more than it gains
constexpr std::uint64_t stall_ns = 1'000'000;  // no task found a worker for so long: add one
constexpr std::uint64_t retire_ns = 1'000'000'000;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::uint64_t pieces_per_thread = 4;  // enough to even out blocks of unequal length

}  // namespace

void Worker::Free::operator()(void* memory) const noexcept { std::free(memory); }

void* Worker::scratch(std::size_t size_bytes) noexcept {
  if (size_bytes > scratch_size_) {
    // Large ones in huge pages: a program walks through all of it.
    const std::size_t page = size_bytes < huge_page ? 4096 : huge_page;
    const std::size_t rounded = (size_bytes + page - 1) & ~(page - 1);
    scratch_.reset(std::aligned_alloc(page, rounded));
    if (scratch_ && page == huge_page) madvise(scratch_.get(), rounded, MADV_HUGEPAGE);
    scratch_size_ = scratch_ ? rounded : 0;
  }
  return scratch_.get();
}

void TaskQueue::push(Task& task) noexcept {
  task.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &task;
  last_ = &task;
}

Task& TaskQueue::pop() noexcept {
  Task& task = *first_;
  first_ = task.next_;
  if (first_ == nullptr) last_ = nullptr;
  return task;
}

// One worker more than threads: a kernel that fills the machine leaves room for the copy of another
// stream.
ThreadPool::ThreadPool(const Host& host, Options options)
    : host_(host),
      options_(std::move(options)),
      processors_(options_.processors.empty() ? usable_processors() : options_.processors),
      base_workers_(options_.threads + 1),
      max_spinners_(std::max(1u, options_.threads - 1)) {
  jobs_.reserve(options_.max_workers + base_workers_);  // sharing a job must not allocate
  try {
    for (std::uint32_t i = 0; i < base_workers_; ++i) start_worker();
    watcher_ = start_thread(options_.name + "-watch", {}, [this] { watch(); });
  } catch (...) {
    // The destructor of a half-made object does not run, and threads must not outlive it.
    stopping_ = true;
    wake_epoch_.fetch_add(1);
    futex_wake(wake_epoch_, INT32_MAX);
    for (Worker& worker : workers_) worker.thread_.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);
    wake_epoch_.fetch_add(1);
  }
  futex_wake(wake_epoch_, INT32_MAX);
  watch_signal_.notify_all();
  watcher_.join();  // first: it starts workers
  for (Worker& worker : workers_) worker.thread_.join();
}

std::uint32_t ThreadPool::worker_count() {
  const std::lock_guard lock(mutex_);
  return live_workers_;
}

void ThreadPool::start_worker() {
  const std::lock_guard lock(mutex_);
  Worker& worker = workers_.emplace_back(*this);
  try {
    worker.thread_ =
        start_thread(options_.name, options_.processors, [this, &worker] { work(worker); });
  } catch (...) {
    workers_.pop_back();
    throw;
  }
  ++live_workers_;
}

// ---- tasks ------------------------------------------------------------------------------------

void ThreadPool::push(Task& task, std::uint32_t level) noexcept {
  std::uint32_t woken = 0;
  bool all_busy = false;
  {
    const std::lock_guard lock(mutex_);
    ready_[level].push(task);
    ready_count_.fetch_add(1);
    // A worker that stops spinning looks at ready_count_ afterwards: one of us sees the other.
    if (spinners_.load() == 0) {
      woken = claim_sleepers(1);
      all_busy = woken == 0;
    }
  }
  if (woken != 0) wake(woken);
  if (all_busy) request_growth();
}

Task* ThreadPool::pop_ready() noexcept {
  for (TaskQueue& queue : ready_) {
    if (queue.is_empty()) continue;
    ready_count_.fetch_sub(1);
    taken_.fetch_add(1, std::memory_order_relaxed);
    return &queue.pop();
  }
  return nullptr;
}

void ThreadPool::work(Worker& worker) noexcept {
  bool may_spin = true;
  while (Task* task = next_task(worker, may_spin)) may_spin = run_task(*task, worker);
}

// Whether the worker may spin afterwards.
bool ThreadPool::run_task(Task& task, Worker& worker) noexcept {
  // Whoever wakes a worker wakes one; it passes the wake on while tasks wait.
  if (ready_count_.load() != 0) wake_for_ready();
  for (;;) {
    if (task.run(worker) == Task::Outcome::gone) return true;
    const bool may_linger = task.may_linger();
    if (may_linger && linger(task)) continue;
    if (task.release()) return may_linger;
    // Work came at the last moment. Tasks that were pushed while this worker spun counted on it.
    if (ready_count_.load() != 0) wake_for_ready();
  }
}

// Spins until `task` has work again; false when another task or job came, or after a moment.
bool ThreadPool::linger(const Task& task) noexcept {
  if (spinners_.load(std::memory_order_relaxed) >= max_spinners_) return task.has_work();
  spinners_.fetch_add(1);
  bool has_work = false;
  spin([&] {
    return (has_work = task.has_work()) || job_count_.load(std::memory_order_relaxed) != 0;
  });
  spinners_.fetch_sub(1);
  if (has_work && ready_count_.load() != 0) wake_for_ready();
  return has_work;
}

// Until `ready()` or a task comes; false when a moment has passed.
template <typename Ready>
bool ThreadPool::spin(const Ready& ready) noexcept {
  return spin_until(
      [&] {
        return ready() || ready_count_.load(std::memory_order_relaxed) != 0 ||
               stopping_.load(std::memory_order_relaxed);
      },
      spin_ns);
}

// Whoever has a task or a job, with the mutex, sees every worker that will look for one without being woken: it counts as
// spinning until it holds the mutex itself.
Task* ThreadPool::next_task(Worker& worker, bool may_spin) noexcept {
  bool has_spun = !may_spin;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Task* task = pop_ready()) {
      lock.unlock();
      let_anywhere(worker, pthread_self());
      return task;
    }
    if (help(worker, lock)) {
      has_spun = false;
      continue;
    }
    if (stopping_) return nullptr;
    if (!has_spun && spinners_.load() < max_spinners_) {
      spinners_.fetch_add(1);
      const std::uint32_t known = jobs_published_.load();  // those have no room, and will have none
      lock.unlock();
      has_spun = !spin([&] { return jobs_published_.load(std::memory_order_relaxed) != known; });
      lock.lock();
      spinners_.fetch_sub(1);
      continue;
    }
    if (worker.avoided_ >= 0) {
      lock.unlock();
      let_anywhere(worker, pthread_self());
      lock.lock();
      continue;
    }
    if (!sleep(worker, lock)) {
      worker.has_retired_ = true;
      return nullptr;
    }
    has_spun = true;  // work that woke us is there now, or another worker took it
  }
}

// False when the worker is surplus and has had nothing to do for long.
bool ThreadPool::sleep(Worker& worker, std::unique_lock<std::mutex>& lock) noexcept {
  const bool surplus = live_workers_ > base_workers_;
  const Deadline deadline(surplus ? retire_ns : UINT64_MAX);
  const std::uint32_t epoch = wake_epoch_.load();
  ++sleepers_;
  worker.is_asleep_ = true;
  lock.unlock();
  futex_wait(wake_epoch_, epoch, deadline);
  const bool timed_out = deadline.has_passed();
  lock.lock();
  --sleepers_;
  worker.is_asleep_ = false;
  if (wakes_under_way_ != 0) --wakes_under_way_;
  if (!timed_out || ready_count_.load() != 0 || live_workers_ <= base_workers_ || stopping_)
    return true;
  --live_workers_;
  return false;
}

// Takes up to `wanted` sleepers that nobody has woken yet; the mutex is held.
std::uint32_t ThreadPool::claim_sleepers(std::uint32_t wanted) noexcept {
  const std::uint32_t free = sleepers_ > wakes_under_way_ ? sleepers_ - wakes_under_way_ : 0;
  const std::uint32_t count = std::min(free, wanted);
  wakes_under_way_ += count;
  if (count != 0) wake_epoch_.fetch_add(1);
  return count;
}

void ThreadPool::wake(std::uint32_t count) noexcept {
  futex_wake(wake_epoch_, static_cast<int>(count));
}

void ThreadPool::wake_for_ready() noexcept {
  std::uint32_t woken = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ready_count_.load() == 0 || spinners_.load() != 0) return;
    woken = claim_sleepers(1);
  }
  if (woken != 0)
    wake(woken);
  else
    request_growth();
}

// ---- where workers run ------------------------------------------------------------------------

// The system likes to run a woken thread where the one runs that wakes it. There a helper takes turns with the owner of its
// job, for as long as the other processors have anything else to do: a thread that spins for the answer is enough. So it is
// sent away as it wakes, and from there on the system may move it again.
void ThreadPool::keep_away(Worker& worker, pthread_t thread, int processor) const noexcept {
  if (worker.avoided_ == processor || processors_.size() < 2) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int other : processors_)
    if (other != processor) CPU_SET(other, &set);
  // A failure leaves it where it may run anyway: slower, not wrong.
  if (pthread_setaffinity_np(thread, sizeof(set), &set) == 0) worker.avoided_ = processor;
}

void ThreadPool::let_anywhere(Worker& worker, pthread_t thread) const noexcept {
  if (worker.avoided_ < 0) return;
  worker.avoided_ = -1;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors_) CPU_SET(processor, &set);
  pthread_setaffinity_np(thread, sizeof(set), &set);
}

// ---- growth -----------------------------------------------------------------------------------

void ThreadPool::request_growth() noexcept {
  if (!growth_wanted_.load(std::memory_order_relaxed) && !growth_wanted_.exchange(true))
    watch_signal_.notify_all();
}

// Kernels may block: spin on a flag that another stream will write. So a worker is added whenever
// tasks wait and none was taken for a while; streams then make progress as long as there are fewer
// blocked ones than workers.
void ThreadPool::watch() noexcept {
  const Deadline never(UINT64_MAX);
  while (!stopping_) {
    watch_signal_.wait([this] { return growth_wanted_.load() || stopping_.load(); }, never);
    const std::uint64_t taken = taken_.load();
    watch_signal_.wait([this] { return stopping_.load(); }, Deadline(stall_ns));
    growth_wanted_ = false;
    if (ready_count_.load() == 0) continue;
    growth_wanted_ = true;
    if (taken_.load() == taken) grow();
  }
}

void ThreadPool::grow() noexcept {
  {
    const std::lock_guard lock(mutex_);
    workers_.remove_if([](Worker& worker) {
      if (worker.has_retired_) worker.thread_.join();
      return worker.has_retired_;
    });
    if (live_workers_ >= std::max(options_.max_workers, base_workers_)) return;
  }
  entry(host_,
        [this] { start_worker(); });  // no thread to be had: the streams wait for those there are
}

// ---- jobs -------------------------------------------------------------------------------------

// Pieces get smaller towards the end, so that all threads finish together.
bool ThreadPool::claim(Job& job, std::uint64_t& first, std::uint64_t& last) const noexcept {
  std::uint64_t range = job.left.load(std::memory_order_relaxed);
  std::uint64_t rest;
  do {
    const std::uint64_t left = Job::count(range);
    if (left == 0) return false;
    const std::uint64_t share = left / (pieces_per_thread * options_.threads);
    first = range & UINT32_MAX;
    last = first + std::clamp<std::uint64_t>(share, 1, job.most_at_once);
    rest = Job::range(last, range >> 32);
  } while (!job.left.compare_exchange_weak(range, rest, std::memory_order_relaxed));
  return true;
}

// One piece only, since the caller has a deadline.
bool ThreadPool::claim_last(Job& job, std::uint64_t& index) noexcept {
  std::uint64_t range = job.left.load(std::memory_order_relaxed);
  do {
    if (Job::count(range) == 0) return false;
    index = (range >> 32) - 1;
  } while (!job.left.compare_exchange_weak(range, Job::range(range & UINT32_MAX, index),
                                           std::memory_order_relaxed));
  return true;
}

void ThreadPool::run_pieces(Job& job, Worker& worker) noexcept {
  std::uint64_t first;
  std::uint64_t last;
  while (claim(job, first, last)) job.body(job.context, first, last, worker);
}

// A short job is done before a helper would have woken. True when it is done.
bool ThreadPool::run_alone(Job& job, Worker& worker) noexcept {
  const std::uint64_t end = now_ns() + alone_ns;
  std::uint64_t first;
  std::uint64_t last;
  while (claim(job, first, last)) {
    job.body(job.context, first, last, worker);
    if (now_ns() > end) return job.is_taken();
  }
  return true;
}

void ThreadPool::share(Job& job, Worker& worker) noexcept {
  if (job.total == 1 || options_.threads == 1) return job.body(job.context, 0, job.total, worker);
  job.left.store(Job::range(0, job.total), std::memory_order_relaxed);
  if (job.expected_ns != 0 && job.expected_ns < alone_ns && run_alone(job, worker)) return;
  publish(job);
  run_pieces(job, worker);
  retract(job);
  job_done_.wait([&job] { return job.active.load() == 0; }, Deadline(UINT64_MAX), spin_ns);
}

void ThreadPool::publish(Job& job) noexcept {
  job.processor = current_processor();
  std::uint32_t woken = 0;
  {
    const std::lock_guard lock(mutex_);
    if (job.offer != nullptr) job.offer->store(&job, std::memory_order_relaxed);
    if (!job.wakes) return;
    jobs_.push_back(&job);
    job_count_.fetch_add(1);
    jobs_published_.fetch_add(1);
    const std::uint32_t spinning = spinners_.load();
    const std::uint32_t wanted = options_.threads - 1;
    if (wanted > spinning) woken = claim_sleepers(wanted - spinning);
    job.has_woken = woken != 0;
    if (job.has_woken)  // which of them is not known
      for (Worker& worker : workers_)
        if (worker.is_asleep_) keep_away(worker, worker.thread_.native_handle(), job.processor);
  }
  if (woken != 0) wake(woken);
}

void ThreadPool::retract(Job& job) noexcept {
  const std::lock_guard lock(mutex_);
  if (job.offer != nullptr) job.offer->store(nullptr, std::memory_order_relaxed);
  if (!job.wakes) return;
  jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
  job_count_.fetch_sub(1);
  if (!job.has_woken) return;
  for (Worker& worker : workers_)
    if (worker.is_asleep_) let_anywhere(worker, worker.thread_.native_handle());
}

void ThreadPool::leave(Job& job) noexcept {
  job.active.fetch_sub(1);  // the job may be gone from here on
  job_done_.notify_all();
}

bool ThreadPool::help(Worker& worker, std::unique_lock<std::mutex>& lock) noexcept {
  const auto find = [this] {
    const auto found =
        std::find_if(jobs_.begin(), jobs_.end(), [this](const Job* job) { return has_room(*job); });
    return found != jobs_.end() ? *found : nullptr;
  };
  Job* job = find();
  if (job != nullptr && job->processor == current_processor()) {
    // Before it joins: where it goes others may keep it from running.
    lock.unlock();
    keep_away(worker, pthread_self(), current_processor());
    let_anywhere(worker, pthread_self());
    lock.lock();
    job = find();
  }
  if (job == nullptr) return false;
  ++job->helpers;
  job->active.fetch_add(1);  // before the mutex goes: its owner cannot leave now
  lock.unlock();
  let_anywhere(worker, pthread_self());
  run_pieces(*job, worker);
  spinners_.fetch_add(1);
  leave(*job);
  lock.lock();
  spinners_.fetch_sub(1);
  return true;
}

bool ThreadPool::assist(const std::atomic<Job*>& offer, const Deadline& deadline) noexcept {
  Job* job;
  {
    const std::lock_guard lock(mutex_);
    job = offer.load(std::memory_order_relaxed);
    if (job == nullptr || !has_room(*job)) return false;
    ++job->helpers;
    job->active.fetch_add(1);
  }
  Worker self(*this);
  std::uint64_t index;
  while (!deadline.has_passed() && claim_last(*job, index))
    job->body(job->context, index, index + 1, self);
  leave(*job);
  return true;
}

}  // namespace flagos::cpu
