// The threads of a device. They run streams that have work, highest priority first, and share the
// blocks of large kernels and copies among them. Idle threads spin for a moment, since the next
// launch is usually microseconds away, and then sleep. When every thread is held up while streams
// wait, threads are added.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

class ThreadPool;

// One thread of the pool, with scratch memory for the shared memory of blocks.
class Worker {
 public:
  explicit Worker(ThreadPool& pool) : pool_(pool) {}

  ThreadPool& pool() const noexcept { return pool_; }
  // At least `size_bytes`, aligned to 64, kept for the next call. NULL when there is no memory.
  void* scratch(std::size_t size_bytes) noexcept;

 private:
  friend class ThreadPool;
  struct Free {
    void operator()(void* memory) const noexcept;
  };
  ThreadPool& pool_;
  std::thread thread_;
  std::unique_ptr<void, Free> scratch_;
  std::size_t scratch_size_ = 0;
  // Guarded by the pool's mutex.
  bool has_retired_ = false;  // the thread can be joined
  bool is_asleep_ = false;
  int avoided_ = -1;  // the processor that it is kept away from; others set it while it sleeps
};

// What the pool runs: a stream. Exactly one holder at a time: the ready queue, a worker, or a list
// it is parked in.
class Task {
 public:
  enum class Outcome {
    drained,  // no work is left; the worker still holds the task
    gone      // queued again, parked or handed over: the worker must not touch it any more
  };

  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  virtual Outcome run(Worker& worker) noexcept = 0;
  virtual bool has_work() const noexcept = 0;
  // Lets go of a drained task. False when work came meanwhile: then the caller still holds it.
  virtual bool release() noexcept = 0;
  // False when spinning on this processor would hold up a thread that the task has woken; asked
  // once.
  virtual bool may_linger() noexcept = 0;
  // Runs the host functions that are next, on a thread made for that, and passes the task on.
  virtual void call_host() noexcept = 0;

 protected:
  virtual ~Task() = default;

 private:
  friend class TaskQueue;
  Task* next_ = nullptr;
};

// First in, first out, through the tasks themselves.
class TaskQueue {
 public:
  bool is_empty() const noexcept { return first_ == nullptr; }
  void push(Task& task) noexcept;
  Task& pop() noexcept;

 private:
  Task* first_ = nullptr;
  Task* last_ = nullptr;
};

// A range of pieces that several threads run. Lives on the stack of the worker that shares it.
struct Job {
  static constexpr std::uint64_t max_total = UINT32_MAX;

  void (*body)(void* context, std::uint64_t first, std::uint64_t last, Worker& worker) = nullptr;
  void* context = nullptr;
  std::uint64_t total = 0;                  // at most max_total
  std::uint64_t expected_ns = 0;            // on one thread; 0: not known
  std::uint64_t most_at_once = UINT64_MAX;  // pieces that a thread takes in one go
  // The bodies are the plugin's own, so that a thread of the application may run some; it finds the
  // job here. NULL: none may.
  std::atomic<Job*>* offer = nullptr;
  bool wakes = true;  // workers; else only such a thread helps

  // What nobody has taken yet, as range() packs it: workers take from the front, threads of the
  // application from the end. So each finds in its cache what it had there the last time.
  std::atomic<std::uint64_t> left{0};
  std::atomic<std::uint32_t> active{0};  // helpers inside
  std::uint32_t helpers = 0;             // that ever joined; guarded by the pool's mutex
  int processor = -1;                    // where its owner ran when helpers were called
  bool has_woken = false;                // some of them slept

  static constexpr std::uint64_t range(std::uint64_t first, std::uint64_t end) noexcept {
    return first | end << 32;
  }
  static constexpr std::uint64_t count(std::uint64_t range) noexcept {
    return (range >> 32) - (range & UINT32_MAX);
  }
  bool is_taken() const noexcept { return count(left.load(std::memory_order_relaxed)) == 0; }
};

class ThreadPool {
 public:
  struct Options {
    std::string name;
    std::uint32_t threads = 1;    // that share one kernel
    std::vector<int> processors;  // where they run; empty: anywhere
    std::uint32_t max_workers = 64;
  };
  static constexpr std::uint32_t level_count = 5;

  ThreadPool(const Host& host, Options options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Queues a task that its caller holds; level 0 runs first.
  void push(Task& task, std::uint32_t level) noexcept;
  // Whether other tasks wait for a worker.
  bool has_waiting() const noexcept { return ready_count_.load(std::memory_order_relaxed) != 0; }
  // Runs all pieces of `job`, with the help of idle workers; returns when all are done.
  void share(Job& job, Worker& worker) noexcept;
  // Runs pieces of the job in `offer` on the calling thread, one of the application. False when
  // there is none, or no room for another thread.
  bool assist(const std::atomic<Job*>& offer, const Deadline& deadline) noexcept;

  std::uint32_t thread_count() const noexcept { return options_.threads; }
  std::uint32_t worker_count();

 private:
  void start_worker();
  void work(Worker& worker) noexcept;
  bool run_task(Task& task, Worker& worker) noexcept;
  bool linger(const Task& task) noexcept;
  template <typename Ready>
  bool spin(const Ready& ready) noexcept;
  Task* next_task(Worker& worker, bool may_spin) noexcept;
  Task* pop_ready() noexcept;
  bool help(Worker& worker, std::unique_lock<std::mutex>& lock) noexcept;
  bool sleep(Worker& worker, std::unique_lock<std::mutex>& lock) noexcept;
  void wake_for_ready() noexcept;
  std::uint32_t claim_sleepers(std::uint32_t wanted) noexcept;
  void wake(std::uint32_t count) noexcept;
  void keep_away(Worker& worker, pthread_t thread, int processor) const noexcept;
  void let_anywhere(Worker& worker, pthread_t thread) const noexcept;
  void request_growth() noexcept;
  void watch() noexcept;
  void grow() noexcept;
  bool claim(Job& job, std::uint64_t& first, std::uint64_t& last) const noexcept;
  static bool claim_last(Job& job, std::uint64_t& index) noexcept;
  bool run_alone(Job& job, Worker& worker) noexcept;
  void run_pieces(Job& job, Worker& worker) noexcept;
  bool has_room(const Job& job) const noexcept {
    return job.helpers + 1 < options_.threads && !job.is_taken();
  }
  void publish(Job& job) noexcept;
  void retract(Job& job) noexcept;
  void leave(Job& job) noexcept;

  const Host& host_;
  const Options options_;
  const std::vector<int> processors_;  // where workers may run
  const std::uint32_t base_workers_;
  const std::uint32_t max_spinners_;

  // Read without the mutex by workers that spin, written under it.
  std::atomic<std::uint32_t> ready_count_{0};
  std::atomic<std::uint32_t> job_count_{0};
  std::atomic<std::uint32_t> jobs_published_{0};  // ever
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<std::uint32_t> spinners_{0};
  std::atomic<std::uint32_t> wake_epoch_{0};  // what sleepers sleep on
  std::atomic<std::uint64_t> taken_{0};       // tasks that found a worker
  Signal job_done_;

  std::mutex mutex_;
  TaskQueue ready_[level_count];
  std::vector<Job*> jobs_;
  std::uint32_t sleepers_ = 0;
  std::uint32_t wakes_under_way_ = 0;
  std::uint32_t live_workers_ = 0;
  std::list<Worker> workers_;

  std::atomic<bool> growth_wanted_{false};
  Signal watch_signal_;
  std::thread watcher_;
};

}  // namespace flagos::cpu
