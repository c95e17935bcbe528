// An ordered queue of work: one in-order command queue of the driver, and the events of what is
// pending in it, by which failures are found and times are told.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/held_queue.hpp"
#include "base/plugin_host.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/event.hpp"
#include "plugins/opencl/memory.hpp"
#include "plugins/opencl/wait.hpp"

namespace flagos::opencl {

// What a profiler shows of an operation. `name` outlives it: static, or a kernel's.
struct Operation {
  flagos_record_kind_t kind = FLAGOS_RECORD_KIND_OTHER;
  const char* name = "other";
  std::uint64_t size_bytes = 0;
  bool is_internal = false;  // not shown
  // What `name` points into. A command that has ended is taken note of later, when its kernel may be gone.
  std::shared_ptr<const std::string> owner = nullptr;
};

// Enqueues something; gives the driver's code, and in `out_event` the event of its last command. `word` is the address
// of the word for flagos_failure, 0 where there is none.
using Command =
    std::function<cl_int(cl_command_queue queue, cl_event* out_event, flagos_address_t word)>;

class Stream final : public Watched {
 public:
  // `given`: an in-order queue of the caller's, which gets a reference of ours; NULL: one of our own.
  explicit Stream(Device& device, cl_command_queue given = nullptr);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Device& device() const noexcept { return device_; }
  const Driver& driver() const noexcept { return driver_; }

  // Queues what `enqueue(queue, out_event, word)` enqueues, at once where that can be; else, later, what `keep()`
  // gives: a Command that owns all that it needs. Throws the failure of a poisoned stream.
  template <typename Enqueue, typename Keep>
  void submit(const Operation& operation, const char* call, const Enqueue& enqueue,
              const Keep& keep) {
    const std::lock_guard lock(mutex_);
    if (holds_back()) [[unlikely]] {
      hold_back(operation, call, keep());
    } else {
      submit_now(operation, call, enqueue);
    }
  }
  // `enqueue` owns what it needs.
  template <typename Enqueue>
  void submit(const Operation& operation, const char* call, const Enqueue& enqueue) {
    submit(operation, call, enqueue, [&] { return Command(enqueue); });
  }
  // A launch of a kernel that may report a failure, see base/held_queue.hpp.
  template <typename Enqueue, typename Keep>
  void submit_guarded(const Operation& operation, const char* call, const Enqueue& enqueue,
                      const Keep& keep) {
    const std::lock_guard lock(mutex_);
    prepare_hold();
    if (holds_back()) {
      hold_back_guarded(operation, call, keep());
    } else {
      launch_guarded(operation, call, enqueue);
      held_.count_launch();
    }
  }

  RecordRef record(bool is_timed);
  RecordRef failed_record() const;
  void wait_record(const RecordRef& record);
  flagos_status_t synchronize(std::uint64_t timeout_ns);

  // Hands on what nothing keeps back any more. True when something is still held back.
  bool advance() noexcept override;

  // 1 MiB of device memory for copies in two steps; made at the first use. With the stream's lock held.
  flagos_address_t scratch();
  static constexpr std::uint64_t scratch_bytes = 1 << 20;

  Failure failure() const noexcept { return health_->failure(); }
  // The queue that all work from here on goes to.
  cl_command_queue show_queue();
  // What is submitted from one that begins to one that does not counts as one submission in records.
  void mark_launch(bool begins);

 private:
  struct Pending {
    cl_event event;
    Operation operation;
    std::uint64_t correlation;  // 0 while nobody profiles
  };

  // All of these with the lock held.
  template <typename Enqueue>
  void submit_now(const Operation& operation, const char* call, const Enqueue& enqueue);
  cl_command_queue make_queue(cl_command_queue_properties properties) const;
  void take_queue(cl_command_queue given);
  void use_timed_queue();
  void make_room();
  void push(cl_event event, const Operation& operation) noexcept;
  // Takes what has ended out of the front; at most `limit`. Gives the code of a driver that does not tell.
  cl_int retire(std::size_t limit) noexcept;
  void finish(const Pending& pending, cl_int status) noexcept;
  void emit(const Pending& pending) const noexcept;
  cl_event newest() const noexcept;
  void track_rest() noexcept;
  [[noreturn]] void refuse(cl_int code, const char* call);
  // Has the signal given when `event` ends.
  void arm(cl_event event);
  void issue_record(Record& record, bool is_timed);
  void issue_wait(const Record& record);
  bool wait_held(std::unique_lock<std::mutex>& lock, const Deadline& deadline);
  bool wait_newest(std::unique_lock<std::mutex>& lock, const Deadline& deadline);

  // What is held back.
  bool holds_back() {
    if (!held_.is_holding()) [[likely]]
      return false;
    advance_held();
    health_->throw_if_poisoned();
    return held_.is_holding();
  }
  void prepare_hold();
  void hold_back(const Operation& operation, const char* call, Command command);
  void hold_back_guarded(const Operation& operation, const char* call, Command command);
  void launch_guarded(const Operation& operation, const char* call, const Command& command);
  flagos_address_t failure_word();
  void advance_held() noexcept;
  bool advance_once() noexcept;
  void read_report() noexcept;
  void issue(HeldWork<RecordRef> work) noexcept;

  Device& device_;
  const Driver& driver_;
  cl_command_queue queue_ = nullptr;
  cl_command_queue untimed_queue_ = nullptr;  // the first one, once there is a timed one
  bool has_times_ = false;                    // queue_ takes times
  bool is_lent_ = false;                      // queue_ is the caller's: there is no other
  const std::uint64_t id_;

  std::mutex mutex_;
  // A ring; its size is a power of two.
  std::vector<Pending> ring_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  std::uint64_t submitted_ = 0;
  std::uint64_t launch_ = 0;  // the correlation of all that is submitted now; 0: each its own
  std::uint64_t armed_ = 0;   // the number of the operation that has our callback
  std::uint64_t armed_callback_ = 0;
  Patience patience_;
  flagos_address_t scratch_ = 0;

  HeldQueue<RecordRef> held_;
  bool is_watched_ = false;
  flagos_address_t word_ = 0;             // the device's, for flagos_failure
  std::shared_ptr<std::int32_t> report_;  // what the driver copies it to
  Operation reporting_;                   // the launch behind which the gate is closed

  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  const std::shared_ptr<Health> health_ = std::make_shared<Health>();
};

template <typename Enqueue>
void Stream::submit_now(const Operation& operation, const char* call, const Enqueue& enqueue) {
  health_->throw_if_poisoned();
  // Asking for the state of an event costs as much as a good part of a launch: not at every one.
  if (count_ >= 64 && count_ % 32 == 0) retire(64);
  if (device_.is_profiling()) [[unlikely]]
    use_timed_queue();
  make_room();
  cl_event event = nullptr;
  const cl_int code = enqueue(queue_, &event, word_);
  if (code != CL_SUCCESS) [[unlikely]]
    refuse(code, call);
  push(event, operation);
  driver_.clFlush(queue_);
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

}  // namespace flagos::opencl
