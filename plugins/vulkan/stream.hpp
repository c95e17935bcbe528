// A stream: work in order, on a VkQueue that it may share.
//
// Work is recorded into the stream's open batch as soon as nothing before it is held back, and the
// batch goes to the driver when fewer than two of the stream are under way, when it is full, or when
// somebody waits; the queue's thread sees to it that it goes without a further call.
//
// A stream has at most in_flight_limit batches with the driver; further commands wait in its list, which
// costs a hundredth of a batch's memory.
//
// What must wait waits here, never in the driver: a stream that is parked on an event, a timeline or
// the host keeps its commands in a queue of its own, so that it blocks no other stream of the same
// VkQueue, can be failed at any time, and a wait may come before its signal.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <mutex>

#include "base/plugin_host.hpp"
#include "plugins/vulkan/batch.hpp"
#include "plugins/vulkan/command.hpp"
#include "plugins/vulkan/profile.hpp"
#include "plugins/vulkan/wait.hpp"

namespace flagos::vulkan {

class Device;
class Instance;
class Kernel;
class Lock;
class Queue;

class Stream {
 public:
  explicit Stream(Device& device);
  Stream(Device& device, Queue& queue);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Device& device() const noexcept { return device_; }
  const Host& host() const noexcept;

  // Without the lock.
  void copy(std::uint64_t target, std::uint64_t source, std::uint64_t bytes);
  void fill(std::uint64_t target, const void* pattern, std::uint32_t pattern_bytes,
            std::uint64_t bytes);
  flagos_status_t synchronize(std::uint64_t timeout_ns);
  void reset();

  // With the instance's lock held.
  void submit(Command&& command);  // throws the failure of a poisoned stream
  void mark_launch(bool begins) noexcept { profile_.mark_launch(begins, submitted_); }
  std::uint64_t submitted() const noexcept { return submitted_; }
  bool is_complete(std::uint64_t sequence) const noexcept { return completed_ >= sequence; }
  const Failure& failure() const noexcept { return failure_; }
  Queue& queue() const noexcept { return queue_; }
  void poison(const Failure& failure) noexcept;
  // What it is parked on has come: it goes on with run_ready().
  void unpark() noexcept;
  static void run_ready(Instance& instance) noexcept;
  void finish(Batch& batch) noexcept;                        // it is done
  void fail(Batch& batch, const Failure& failure) noexcept;  // it never will be
  void lose(const Failure& failure) noexcept;
  void flush() noexcept;  // gives the open batch to the driver
  void flush_open() noexcept {
    if (open_) flush();
  }
  void make_urgent(Batch& batch) noexcept;
  void run_host(std::unique_lock<std::mutex>& lock) noexcept;  // lets go of the lock meanwhile
  // Waits until `sequence` is done or the time is up; lets go of the lock meanwhile.
  bool wait_for(std::uint64_t sequence, const Deadline& deadline,
                std::unique_lock<std::mutex>& lock) noexcept;

 private:
  enum class Hold {
    none,
    draining,     // until the driver has done all of it
    full,         // until the driver has done some of its batches
    parked,       // on a record or a timeline
    host_queued,  // the first command is for the host
    host_running
  };

  bool is_idle() const noexcept { return in_flight_ == 0 && !open_; }
  bool run(Command& command);  // false: it must wait
  void skip(Command& command) noexcept;
  void pump() noexcept;
  void settle() noexcept;
  bool needs_service() const noexcept;
  bool is_idle_or_parked() const noexcept;
  void begin_wait(std::uint64_t copied_bytes) noexcept;
  void end_wait() noexcept;
  bool may_be_stolen() noexcept;
  bool drain() noexcept;
  void mark_ready() noexcept;
  void leave_park() noexcept;
  void complete_actions(Batch& batch, const Failure& failure) noexcept;

  // What a command needs room for in the open batch.
  struct Needs {
    std::uint64_t upload_bytes = 0;
    std::size_t buffers = 0;
    std::uint32_t queries = 0;
    bool is_stamp = false;  // nothing but a time stamp
  };
  Batch& open(const Needs& needs);
  Batch& open() { return open(Needs()); }
  void begin_profile(const Command& command);
  void end_profile(const Command& command);
  void bind_buffers(const Kernel& kernel, std::byte* block, VkDescriptorBufferInfo* infos) const;
  void record_launch(Command& command);
  bool run_copy(Command& command);
  bool run_fill(Command& command);
  void record_copy(const Block& target, std::uint64_t target_offset, const Block& source,
                   std::uint64_t source_offset, std::uint64_t bytes);
  void record_overlapping(const Block& block, std::uint64_t target_offset,
                          std::uint64_t source_offset, std::uint64_t bytes);
  void record_fill(const Block& block, std::uint64_t offset, const Command& command);
  bool run_wait(Command& command);
  void run_record(Command& command);
  void run_signal(Command& command);
  bool give_to_host() noexcept;
  void copy_on_host(std::unique_lock<std::mutex>& lock);
  void copy_staged(bool to_device, std::unique_lock<std::mutex>& lock);
  void fill_on_host(std::unique_lock<std::mutex>& lock);

  Device& device_;
  Queue& queue_;
  CommandQueue pending_;
  std::unique_ptr<Batch> open_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t urgent_in_flight_ = 0;
  Batch* newest_ = nullptr;       // in flight
  std::uint64_t last_value_ = 0;  // its place in the queue's timeline
  Hold hold_ = Hold::none;
  bool is_attended_ = false;
  bool is_in_pool_ = false;
  RecordRef parked_record_;
  std::shared_ptr<Timeline> parked_timeline_;
  bool is_ready_ = false;  // stands in the list of run_ready
  std::uint32_t waiters_ = 0;
  std::uint64_t waiter_bytes_ = 0;  // how much the most patient of them copies itself
  std::uint64_t submitted_ = 0;
  std::uint64_t executed_ = 0;
  std::uint64_t completed_ = 0;
  std::unique_ptr<Block> scratch_;  // for overlapping copies
  std::unique_ptr<Block> staging_;  // see copy_staged
  Profile profile_;
  Failure failure_;         // of what runs
  Failure submit_failure_;  // of what is submitted; reset() clears it first
};

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept;
void stream_destroy(flagos_plugin_stream_t* stream) noexcept;
flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept;
flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept;
flagos_status_t stream_launch_host(flagos_plugin_stream_t* stream, flagos_host_function_t function,
                                   void* user_data) noexcept;
flagos_status_t stream_reset(flagos_plugin_stream_t* stream) noexcept;

}  // namespace flagos::vulkan
