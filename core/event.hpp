// An event, and the plugin's events behind it: one for good on the fast path, a fresh one for every record that core
// holds back, so that a wait keeps to the record it was bound to.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "core/device.hpp"

namespace flagos::core {

class Capture;
class SharedEvent;

// One event of the plugin. Destroyed through the release queue of its device.
class NativeEvent {
 public:
  NativeEvent(Device& device, const flagos_event_desc_t& desc);
  // Around an event of the plugin that exists: it is taken over.
  NativeEvent(Device& device, flagos_plugin_event_t* native);
  ~NativeEvent();
  NativeEvent(const NativeEvent&) = delete;
  NativeEvent& operator=(const NativeEvent&) = delete;

  Device& device() const { return *device_; }
  flagos_plugin_event_t* native() const { return native_; }
  // False while the record is held back in a soft queue.
  std::atomic<bool> issued{true};
  // Why the record never happened (its stream was poisoned or lost while holding it back).
  std::atomic<flagos_status_t> failed{FLAGOS_STATUS_OK};
  // The event's handle was destroyed: waits end with CANCELLED.
  std::atomic<bool> interrupted{false};
  // OK, TIMEOUT, or the status of the stream it was recorded on; 0 polls. Waits through held-back records too.
  flagos_status_t synchronize(std::uint64_t timeout_ns);

 private:
  static std::function<void()> release_of(Device& device, flagos_plugin_event_t* native);

  Ref<Device> device_;
  flagos_plugin_event_t* native_ = nullptr;
  std::function<void()> release_;  // made beforehand: the end of an event must not need memory
};

class Event : public Child {
 public:
  static constexpr Tag tag_of = Tag::event;

  // Rare states, bits of `rare`; 0 on the fast path.
  enum : std::uint32_t {
    held = 1,      // the last record is, or was, in a soft queue: `current` was swapped and may not be issued yet
    captured = 2,  // the last record is in a capture
    dead = 4,      // the handle was destroyed: waiters end with CANCELLED
    shared = 8,    // other processes know it: records and waits go through `shared_event`
  };

  Event(Device& device, const flagos_event_desc_t& desc);
  Event(Device& device, const flagos_event_desc_t& desc, std::shared_ptr<SharedEvent> shared_event);
  Event(Device& device, std::shared_ptr<NativeEvent> wrapped);
  ~Event() override;
  void on_destroy() override;

  const flagos_event_desc_t& desc() const { return desc_; }
  const std::shared_ptr<SharedEvent>& shared_event() const { return shared_event_; }
  std::uint32_t rare() const { return rare_.load(std::memory_order_acquire); }
  void set_rare(std::uint32_t bits) { rare_.fetch_or(bits, std::memory_order_acq_rel); }
  void clear_rare(std::uint32_t bits) { rare_.fetch_and(~bits, std::memory_order_acq_rel); }

  // Inside a read section.
  flagos_plugin_event_t* native() const { return native_.load(std::memory_order_acquire); }
  std::shared_ptr<NativeEvent> current();
  // A fresh plugin event, not issued yet, for a record that core holds back; earlier waits keep the old one.
  std::shared_ptr<NativeEvent> replace();

  // The capture that holds the last record, and its last nodes; see capture.cpp. Under `mutex`.
  std::mutex mutex;
  std::weak_ptr<Capture> capture;
  std::vector<std::uint64_t> captured_nodes;

 private:
  const flagos_event_desc_t desc_;
  const std::shared_ptr<SharedEvent> shared_event_;  // nullptr unless exportable
  std::atomic<std::uint32_t> rare_{0};
  std::atomic<flagos_plugin_event_t*> native_{nullptr};
  std::shared_ptr<NativeEvent> current_;  // under mutex
};

}  // namespace flagos::core
