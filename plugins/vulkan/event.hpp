// An event names the newest of its records; a record is one point of a stream and completes once.
// Waits hold on to the record they found, so that a later record of the same event does not concern
// them. All of it is guarded by the instance's lock.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

class Batch;
class Device;
class RecordPool;
class Stream;

class Record {
 public:
  bool is_done() const noexcept { return done_; }
  // Both are set once, before is_done().
  const Failure& failure() const noexcept { return failure_; }
  std::uint64_t time_ns() const noexcept { return time_ns_; }
  // Wakes the streams that are parked here; they run on with the next pump of their queue.
  void complete(const Failure& failure, std::uint64_t time_ns) noexcept;
  void park(Stream& stream) { parked_.push_back(&stream); }
  void unpark(Stream& stream) noexcept { std::erase(parked_, &stream); }
  bool has_parked() const noexcept { return !parked_.empty(); }

  Batch* batch = nullptr;  // where it is recorded, until it is done
  // The driver's own point that it completes with; none while it is held back.
  VkSemaphore semaphore = VK_NULL_HANDLE;
  std::uint64_t value = 0;
  bool has_timing = false;

 private:
  friend class RecordPool;
  friend class RecordRef;
  std::uint32_t references_ = 0;
  bool done_ = false;
  std::uint64_t time_ns_ = 0;
  Failure failure_;
  std::vector<Stream*> parked_;
  RecordPool* pool_ = nullptr;
  Record* next_free_ = nullptr;
};

// A counted reference to a record.
class RecordRef {
 public:
  RecordRef() = default;
  explicit RecordRef(Record* record) noexcept : record_(record) {
    if (record_ != nullptr) ++record_->references_;
  }
  RecordRef(const RecordRef& other) noexcept : RecordRef(other.record_) {}
  RecordRef(RecordRef&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  RecordRef& operator=(RecordRef other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~RecordRef();

  Record* operator->() const noexcept { return record_; }
  Record& operator*() const noexcept { return *record_; }
  explicit operator bool() const noexcept { return record_ != nullptr; }

 private:
  Record* record_ = nullptr;
};

// Records come back here and are used again: recording allocates only while the number in use
// grows.
class RecordPool {
 public:
  RecordRef take();

 private:
  friend class RecordRef;
  void give_back(Record& record) noexcept;
  static constexpr std::size_t block_size = 64;
  Record* free_ = nullptr;
  std::vector<std::unique_ptr<Record[]>> blocks_;
};

class Event {
 public:
  Event(Device& device, std::uint32_t flags) : device_(device), flags_(flags) {}
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Device& device() const noexcept { return device_; }
  // Counts as recorded, and completes with a semaphore of the caller's.
  void follow(VkSemaphore semaphore, std::uint64_t value, bool own);
  // The driver's point of the newest record; flushes what it is in.
  std::pair<VkSemaphore, std::uint64_t> native();
  bool has_timing() const noexcept { return (flags_ & FLAGOS_EVENT_FLAG_NO_TIMING) == 0; }
  const RecordRef& current() const noexcept { return current_; }  // with the lock held
  void record(Stream& stream);
  flagos_status_t synchronize(std::uint64_t timeout_ns);

 private:
  Device& device_;
  const std::uint32_t flags_;
  RecordRef current_;
  VkSemaphore own_semaphore_ = VK_NULL_HANDLE;  // of a wrapped event, destroyed with it
  bool is_following_ = false;
};

flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                             flagos_plugin_event_t** out_event) noexcept;
void event_destroy(flagos_plugin_event_t* event) noexcept;
flagos_status_t event_record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) noexcept;
flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept;
flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept;

}  // namespace flagos::vulkan
