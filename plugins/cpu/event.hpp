// An event names the newest of its records; a record is one point of a stream and completes once.
// Waits hold on to the record they found, so that a later record of the same event does not concern
// them.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/cpu/parking.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

class Device;
class RecordPool;
class Stream;

class Record {
 public:
  bool is_done() const noexcept { return done_.load() != 0; }
  // Both are set once, before is_done().
  const Failure& failure() const noexcept { return failure_; }
  std::uint64_t time_ns() const noexcept { return time_ns_; }

  // True when a thread was woken on the caller's processor.
  bool complete(Failure failure) noexcept;
  bool wait(const Deadline& deadline, std::uint64_t spin_ns) noexcept;
  // Parks the stream unless the record is done; with the lot's mutex held.
  bool park(Parked& stream) noexcept;

 private:
  friend class RecordPool;
  friend class RecordRef;
  std::atomic<std::uint32_t> references_{0};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<std::uint32_t> has_parked_{0};
  std::uint64_t time_ns_ = 0;
  Failure failure_;
  Signal signal_;
  ParkList parked_;
  RecordPool* pool_ = nullptr;
  Record* next_free_ = nullptr;
};

// A counted reference to a record.
class RecordRef {
 public:
  RecordRef() = default;
  explicit RecordRef(Record* record) noexcept : record_(record) {
    if (record_ != nullptr) record_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  RecordRef(const RecordRef& other) noexcept : RecordRef(other.record_) {}
  RecordRef(RecordRef&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  RecordRef& operator=(RecordRef other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~RecordRef();

  Record* get() const noexcept { return record_; }
  Record* operator->() const noexcept { return record_; }
  explicit operator bool() const noexcept { return record_ != nullptr; }

 private:
  Record* record_ = nullptr;
};

// Records come back here and are used again: recording allocates only while the number in use
// grows.
class RecordPool {
 public:
  explicit RecordPool(ParkLot& lot) : lot_(lot) {}
  RecordPool(const RecordPool&) = delete;
  RecordPool& operator=(const RecordPool&) = delete;

  RecordRef take();

 private:
  friend class Record;
  friend class RecordRef;
  void give_back(Record& record) noexcept;

  static constexpr std::size_t block_size = 64;
  ParkLot& lot_;
  SpinLock lock_;
  Record* free_ = nullptr;
  std::vector<std::unique_ptr<Record[]>> blocks_;
};

class Event {
 public:
  Event(Device& device, std::uint32_t flags) : device_(device), flags_(flags) {}

  Device& device() const noexcept { return device_; }
  bool has_timing() const noexcept { return (flags_ & FLAGOS_EVENT_FLAG_NO_TIMING) == 0; }
  // The newest record; none when never recorded.
  RecordRef current() noexcept;
  void bind(RecordRef record) noexcept;
  void record(Stream& stream);
  flagos_status_t synchronize(std::uint64_t timeout_ns);

 private:
  Device& device_;
  const std::uint32_t flags_;
  SpinLock lock_;
  RecordRef current_;
};

flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                             flagos_plugin_event_t** out_event) noexcept;
void event_destroy(flagos_plugin_event_t* event) noexcept;
flagos_status_t event_record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) noexcept;
flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept;
flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept;

}  // namespace flagos::cpu
