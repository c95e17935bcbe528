// An ordered queue of work: one in-order command queue of the driver, and the events of what is
// pending in it, by which failures are found and times are told.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/event.hpp"
#include "plugins/opencl/failure_gate.hpp"
#include "plugins/opencl/host.hpp"
#include "plugins/opencl/memory.hpp"
#include "plugins/opencl/wait.hpp"

namespace flagos::opencl {

class Device;

// What a profiler shows of an operation. `name` outlives it: static, or a kernel's.
struct Operation {
  flagos_record_kind_t kind = FLAGOS_RECORD_KIND_OTHER;
  const char* name = "other";
  std::uint64_t size_bytes = 0;
};

// What a command is enqueued with: where, and behind what.
struct Submission {
  cl_command_queue queue;
  cl_uint wait_count;
  const cl_event* wait_list;  // NULL when wait_count is 0
};

class Stream {
 public:
  explicit Stream(Device& device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Device& device() const noexcept { return device_; }
  const Driver& driver() const noexcept { return driver_; }

  // Queues what `enqueue(submission, cl_event* out_event)` enqueues; it returns the driver's code,
  // and `out_event` is that of its last command. Throws the failure of a poisoned stream.
  template <typename Enqueue>
  void submit(const Operation& operation, const char* call, const Enqueue& enqueue) {
    const std::lock_guard lock(mutex_);
    submit_locked(operation, call, enqueue);
  }
  template <typename Enqueue>
  void submit_locked(const Operation& operation, const char* call, const Enqueue& enqueue);

  // A launch of a kernel that may report a failure: `enqueue(submission, out_event, word)` is given
  // the address of the word that the kernel reports it in.
  template <typename Enqueue>
  void submit_guarded(const Operation& operation, const char* call, const Enqueue& enqueue) {
    const std::lock_guard lock(mutex_);
    const std::shared_ptr<FailureGate> gate = open_gate(operation.name);
    guard_launch(gate, [&] {
      submit_locked(operation, call, [&](const Submission& submission, cl_event* out_event) {
        return enqueue(submission, out_event, gate->word);
      });
    });
  }

  RecordRef record();
  RecordRef failed_record() const;
  void wait_record(const RecordRef& record);
  flagos_status_t synchronize(std::uint64_t timeout_ns);

  // 1 MiB of device memory for copies in two steps; made at the first use.
  flagos_address_t scratch();
  static constexpr std::uint64_t scratch_bytes = 1 << 20;

  Failure failure() const noexcept { return health_->failure(); }

 private:
  struct ReleaseEvent {
    const Driver* driver;
    void operator()(cl_event event) const noexcept { driver->clReleaseEvent(event); }
  };
  using EventOwner = std::unique_ptr<std::remove_pointer_t<cl_event>, ReleaseEvent>;
  struct Pending {
    cl_event event;
    Operation operation;
    std::uint64_t number;
    bool is_profiled;
  };

  void make_room();
  void push(cl_event event, const Operation& operation) noexcept;
  // Takes what has ended out of the front; at most `limit`.
  void retire(std::size_t limit) noexcept;
  void finish(const Pending& pending, cl_int status) noexcept;
  void emit(const Pending& pending) const noexcept;
  cl_event newest() const noexcept;
  cl_event retained(cl_event event) const;
  [[noreturn]] void refuse(cl_int code, const char* call);
  // Has the signal given when `event` ends.
  void arm(cl_event event);
  std::shared_ptr<FailureGate> open_gate(const char* kernel);
  void guard_launch(const std::shared_ptr<FailureGate>& gate, const std::function<void()>& launch);

  Device& device_;
  const Driver& driver_;
  cl_command_queue queue_ = nullptr;
  const std::uint64_t id_;

  std::mutex mutex_;
  // A ring; its size is a power of two.
  std::vector<Pending> ring_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  std::uint64_t submitted_ = 0;
  std::uint64_t armed_ = 0;  // the number of the operation that has our callback
  std::uint64_t armed_callback_ = 0;
  flagos_address_t scratch_ = 0;
  std::vector<flagos_address_t> word_blocks_;

  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  const std::shared_ptr<Health> health_ = std::make_shared<Health>();
  FailureGates gates_;
};

template <typename Enqueue>
void Stream::submit_locked(const Operation& operation, const char* call, const Enqueue& enqueue) {
  health_->throw_if_poisoned();
  retire(2);
  make_room();
  // Behind a launch that may fail every command names the one before it, so that none runs when it
  // does; an in-order queue alone does not promise that.
  const cl_event previous = gates_.is_open() ? newest() : nullptr;
  const Submission submission{queue_, previous != nullptr ? 1u : 0u,
                              previous != nullptr ? &previous : nullptr};
  cl_event event = nullptr;
  const cl_int code = enqueue(submission, &event);
  if (code != CL_SUCCESS) [[unlikely]]
    refuse(code, call);
  push(event, operation);
  driver_.clFlush(queue_);
}

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept;
void stream_destroy(flagos_plugin_stream_t* stream) noexcept;
flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept;
flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept;

}  // namespace flagos::opencl
