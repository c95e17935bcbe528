// An event names the newest of its records; a record is one point of a stream, an event of the driver's. Waits hold on to
// the record they found, so that a later record of the same event does not concern them.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/plugin_host.hpp"
#include "base/wait.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {

class Device;
class Stream;

// Events of the driver's are used again and again: making one costs as much as a launch.
class EventPool {
 public:
  EventPool(const Driver& driver, CUcontext context) : driver_(driver), context_(context) {}
  ~EventPool();
  EventPool(const EventPool&) = delete;
  EventPool& operator=(const EventPool&) = delete;

  CUevent take(bool is_timed);
  void give_back(CUevent event, bool is_timed) noexcept;

 private:
  const Driver& driver_;
  const CUcontext context_;
  std::mutex mutex_;
  std::vector<CUevent> free_[2];
};

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

class Record {
 public:
  enum class State {
    held,     // it is not in the driver's stream yet, see base/held_queue.hpp
    issued,   // it is
    dropped,  // it never will be: its stream has failed
  };
  // `event` is the caller's and stays so where `is_lent`.
  Record(Device& device, std::shared_ptr<Health> health, CUevent event, bool is_timed, bool is_lent,
         State state);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  void issue() noexcept { state_.store(State::issued, std::memory_order_release); }
  void drop() noexcept { state_.store(State::dropped, std::memory_order_release); }
  bool is_held() const noexcept { return state() == State::held; }
  bool is_issued() const noexcept { return state() == State::issued; }
  // Also where the device was lost: it will not come any more.
  bool is_done() const noexcept;
  // Why the work before it did not run; NULL when it did, or is not done.
  Failure failure() const;

  CUevent event() const noexcept { return event_; }  // NULL for one that was dropped at once
  bool is_timed() const noexcept { return is_timed_; }
  const Health* health() const noexcept { return health_.get(); }

 private:
  State state() const noexcept { return state_.load(std::memory_order_acquire); }

  Device& device_;
  const std::shared_ptr<Health> health_;
  const CUevent event_;
  const bool is_timed_;
  const bool is_lent_;
  std::atomic<State> state_;
};
using RecordRef = std::shared_ptr<Record>;

class Event {
 public:
  Event(Device& device, std::uint32_t flags) : device_(device), flags_(flags) {}
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Device& device() const noexcept { return device_; }
  bool has_timing() const noexcept { return (flags_ & FLAGOS_EVENT_FLAG_NO_TIMING) == 0; }
  // The newest record; none when never recorded.
  RecordRef current() const;
  void record(Stream& stream);
  // Counts as recorded, and completes with the caller's event; destroys that with itself where it is `given_away`.
  void follow(CUevent given, bool given_away);
  // What its last record completes with. Throws UNSUPPORTED while there is none.
  CUevent show() const;
  flagos_status_t synchronize(std::uint64_t timeout_ns);

 private:
  void bind(RecordRef record);

  Device& device_;
  const std::uint32_t flags_;
  CUevent given_ = nullptr;
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

}  // namespace flagos::nvidia
