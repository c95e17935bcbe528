// An event names the newest of its records; a record is one point of a stream, a marker in its
// queue. Waits hold on to the record they found, so that a later record of the same event does not
// concern them.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/wait.hpp"

namespace flagos::opencl {

class Device;
class Stream;

// Whether a stream is poisoned, and why. Outlives the stream, for the records that it left.
class Health {
 public:
  flagos_status_t status() const noexcept { return status_.load(std::memory_order_acquire); }
  Failure failure() const noexcept;  // NULL while healthy
  void throw_if_poisoned() const;
  // The first failure stays.
  void poison(flagos_status_t status, const char* text) noexcept;

 private:
  std::atomic<flagos_status_t> status_{FLAGOS_STATUS_OK};
  mutable std::mutex mutex_;
  Failure failure_;
};

class Record : public std::enable_shared_from_this<Record> {
 public:
  enum class State {
    held,     // its marker is not in the driver's queue yet, see base/held_queue.hpp
    issued,   // its marker is
    dropped,  // it never will be: its stream has failed
  };
  Record(const Driver& driver, cl_context context, std::shared_ptr<Health> health, State state)
      : driver_(driver), context_(context), health_(std::move(health)), state_(state) {}
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  // Takes the marker's event. Once, on one that is held.
  void issue(cl_event event) noexcept;
  void drop() noexcept;

  bool is_held() const noexcept { return state() == State::held; }
  // False where the driver does not tell; `out_error` says why.
  bool is_done(cl_int* out_error = nullptr) const noexcept {
    const State now = state();
    return now == State::dropped ||
           (now == State::issued && driver_.event_status(event_, out_error) <= CL_COMPLETE);
  }
  bool wait(const Deadline& deadline);
  // Why the work before it did not run; NULL when it did, or is not done.
  Failure failure() const;
  // On the device's clock; only when done. False where the driver does not tell.
  bool get_time(std::uint64_t* out_ns) const noexcept;

  cl_event event() const noexcept { return event_; }  // NULL unless it was issued
  cl_context context() const noexcept { return context_; }
  const Health* health() const noexcept { return health_.get(); }

  // Gives `signal` too when the record is done; at once when it is.
  void notify_when_done(std::shared_ptr<Signal> signal);

 private:
  State state() const noexcept { return state_.load(std::memory_order_acquire); }
  // Has the driver call, once somebody waits and there is an event.
  void arm() noexcept;
  void notify() noexcept;

  const Driver& driver_;
  const cl_context context_;
  const std::shared_ptr<Health> health_;
  cl_event event_ = nullptr;  // written before the state says so
  std::atomic<State> state_;
  Signal signal_;
  std::mutex mutex_;
  bool is_awaited_ = false;
  bool is_armed_ = false;
  std::uint64_t callback_ = 0;
  std::vector<std::shared_ptr<Signal>> signals_;
};
using RecordRef = std::shared_ptr<Record>;

class Event {
 public:
  Event(Device& device, std::uint32_t flags) : device_(device), flags_(flags) {}

  Device& device() const noexcept { return device_; }
  bool has_timing() const noexcept { return (flags_ & FLAGOS_EVENT_FLAG_NO_TIMING) == 0; }
  // The newest record; none when never recorded.
  RecordRef current() const;
  void record(Stream& stream);
  // Counts as recorded, and completes with the caller's event, which gets a reference of ours.
  void follow(cl_event given);
  // What its last record completes with. Throws UNSUPPORTED while there is none.
  cl_event show() const;
  flagos_status_t synchronize(std::uint64_t timeout_ns);

 private:
  void bind(RecordRef record);

  Device& device_;
  const std::uint32_t flags_;
  mutable std::mutex mutex_;
  RecordRef current_;
};

flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                             flagos_plugin_event_t** out_event) noexcept;
void event_destroy(flagos_plugin_event_t* event) noexcept;
flagos_status_t event_record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) noexcept;
flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept;
flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept;

}  // namespace flagos::opencl
