// An ordered queue of work. A stream that has work is held by exactly one: the pool's queue, a
// worker, a thread for host functions, or a list it is parked in; so its commands run one after the
// other without a lock.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "base/plugin_host.hpp"
#include "plugins/cpu/command.hpp"
#include "plugins/cpu/parking.hpp"
#include "plugins/cpu/thread_pool.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

class Device;

class Stream final : public Task, public Parked {
 public:
  // Ends with destroy(). Throws INVALID_ARGUMENT for a priority outside the range.
  static Stream& create(Device& device, std::int32_t priority);

  Device& device() const noexcept { return device_; }

  // Queues a command of type C with `extra_bytes` behind it; `fill` sets its members and must not
  // throw. Throws the failure of a poisoned stream.
  template <typename C, typename Fill>
  void submit(std::size_t extra_bytes, const Fill& fill);
  template <typename C, typename Fill>
  void submit(const Fill& fill) {
    submit<C>(0, fill);
  }
  void submit_launch(const Kernel& kernel, const LaunchShape& shape, const void* arguments,
                     std::size_t size_bytes);

  void throw_if_poisoned() const;
  Failure failure() const;  // NULL while healthy
  flagos_status_t synchronize(std::uint64_t timeout_ns);
  std::uint64_t submitted() const noexcept { return submitted_.load(); }
  // Whether the first `count` commands were done before the deadline; leaves failures aside.
  bool wait_for(std::uint64_t count, const Deadline& deadline) noexcept;
  void reset();
  void destroy() noexcept;
  // Poisons it and, where it waits for something that may never happen, ends the wait.
  void give_up(const Failure& failure) noexcept;

  void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() noexcept;

  // Takes the stream out of its list and queues it; with the lot's mutex held.
  void unpark() noexcept;
  // What it is parked for, where its list does not say.
  std::uint64_t parked_value = 0;     // of a timeline
  ValueCondition parked_condition{};  // of memory
  bool holds_graph = false;           // a run of a graph was begun, or given to it while parked

  // Task
  Outcome run(Worker& worker) noexcept override;
  bool has_work() const noexcept override {
    return completed_.load(std::memory_order_relaxed) != submitted_.load(std::memory_order_acquire);
  }
  bool release() noexcept override;
  void call_host() noexcept override;
  bool may_linger() noexcept override { return !std::exchange(woke_here_, false); }

 private:
  enum class Park { parked, ready, cancelled };

  Stream(Device& device, std::int32_t priority);
  ~Stream() override = default;
  std::uint64_t queued_time() const noexcept;
  void wait_for_room() noexcept;
  template <typename Done>
  bool spin_until_done(const Done& is_done) const noexcept;
  void await(std::uint64_t count) noexcept;
  static constexpr int not_running(int processor) noexcept {
    return processor < 0 ? processor : ~processor;
  }
  void schedule() noexcept;
  void poison(Failure failure) noexcept;
  void fail_kernel(Failure failure) noexcept;
  void finish(Command& command) noexcept;
  bool is_host_next() noexcept;

  // Run one command; false when the stream was parked or handed over and must not be touched any
  // more.
  bool execute(Command& command, Worker& worker) noexcept;
  bool execute_poisoned(Command& command, Worker& worker) noexcept;
  bool wait_record(const RecordRef& record) noexcept;
  bool wait_timeline(Timeline& timeline, std::uint64_t value) noexcept;
  bool wait_value(const ValueCondition& condition) noexcept;
  void signal_timeline(Timeline& timeline, std::uint64_t value) noexcept;
  void write_value(const WriteValueCommand& command) noexcept;
  bool hand_to_callbacks() noexcept;
  void run_mark(const MarkCommand& command) noexcept;
  bool run_graph(GraphCommand& command, Worker& worker) noexcept;
  bool run_node(GraphCommand& command, Worker& worker) noexcept;
  void call_host_node(GraphCommand& command) noexcept;
  void run_collective(Command& command) noexcept;
  template <typename TryPark>
  bool park(const TryPark& try_park) noexcept;
  void emit(flagos_record_kind_t kind, const char* name, std::uint64_t bytes,
            std::uint64_t queued_ns, std::uint64_t started_ns) const noexcept;

  Device& device_;
  const std::uint64_t id_;
  const std::uint32_t level_;
  // Read by every submission: away from what the holder writes all the time.
  std::atomic<flagos_status_t> poison_status_{FLAGOS_STATUS_OK};
  std::atomic<std::uint32_t> references_{1};

  // Producers.
  alignas(64) std::mutex submit_mutex_;
  std::atomic<std::uint64_t> submitted_{0};
  std::atomic<bool> scheduled_{false};  // somebody holds the stream
  std::uint64_t stalled_at_ = UINT64_MAX;
  CommandQueue queue_;

  // The holder; a host thread that waits reads the first two all the time.
  alignas(64) std::atomic<std::uint64_t> completed_{0};
  Signal signal_;
  std::atomic<std::uint64_t> awaited_{UINT64_MAX};  // the least count that a thread sleeps for
  std::atomic<int> processor_{INT_MIN};  // where it runs, or not_running(where it ran last)
  std::atomic<Job*> offer_{nullptr};     // what a thread that waits may help with
  alignas(64) std::size_t graph_step_ = 0;
  bool woke_here_ = false;         // a thread that waits for this processor
  std::uint64_t started_ns_ = 0;   // of the command that runs; 0 unless profiled
  std::uint64_t correlation_ = 0;  // of all commands between two marks; else each has its own
  bool is_cancelled_ = false;      // guarded by the lot's mutex: never park again
  bool is_given_up_ = false;       // as well: its device was lost
  mutable std::mutex poison_mutex_;
  Failure poison_;
};

template <typename C, typename Fill>
void Stream::submit(std::size_t extra_bytes, const Fill& fill) {
  const std::size_t size_bytes = CommandQueue::round_up(sizeof(C) + extra_bytes);
  {
    const std::lock_guard lock(submit_mutex_);
    if (poison_status_.load(std::memory_order_relaxed) != FLAGOS_STATUS_OK) throw_if_poisoned();
    if (queue_.needs_chunk(size_bytes)) wait_for_room();
    C* command = new (queue_.reserve(size_bytes)) C();
    command->type = C::command_type;
    command->size_bytes = static_cast<std::uint32_t>(size_bytes);
    command->queued_ns = queued_time();
    fill(*command);
    queue_.commit(size_bytes);
    submitted_.store(submitted_.load(std::memory_order_relaxed) + 1);
  }
  schedule();
}

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept;
void stream_destroy(flagos_plugin_stream_t* stream) noexcept;
void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept;
void stream_end_launch(flagos_plugin_stream_t* stream) noexcept;
flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept;
flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept;
flagos_status_t stream_launch_host(flagos_plugin_stream_t* stream, flagos_host_function_t function,
                                   void* user_data) noexcept;
flagos_status_t stream_write_value(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   std::uint64_t value, std::uint32_t size_bytes) noexcept;
flagos_status_t stream_wait_value(flagos_plugin_stream_t* stream, flagos_address_t source,
                                  std::uint64_t value, std::uint32_t size_bytes,
                                  flagos_compare_t compare) noexcept;
flagos_status_t stream_reset(flagos_plugin_stream_t* stream) noexcept;

}  // namespace flagos::cpu
