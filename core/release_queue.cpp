// Markers in busy streams, and the releases that wait for them.
#include "core/release_queue.hpp"

#include <atomic>
#include <thread>

#include "core/marker.hpp"
#include "core/reaper.hpp"
#include "core/stream.hpp"

namespace flagos::core {

Marker::Marker(Stream& stream) : tables_(stream.tables()), stream_(stream.keep_native()) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  if (tables_.event.create(stream.device().native(), &desc, &event_) != FLAGOS_STATUS_OK) {
    event_ = nullptr;
  } else if (tables_.event.record(event_, stream_.get()) != FLAGOS_STATUS_OK) {
    tables_.event.destroy(event_);
    event_ = nullptr;
  }
  if (event_ != nullptr) stream_.reset();
}

Marker::~Marker() {
  if (event_ != nullptr) tables_.event.destroy(event_);
}

bool Marker::done() {
  if (done_.load(std::memory_order_acquire)) return true;
  if (held_) return false;
  // Without an event (no memory for one) the whole stream must run dry. A poisoned stream uses nothing any more.
  const flagos_status_t status =
      event_ != nullptr ? tables_.event.synchronize(event_, 0) : tables_.stream.synchronize(stream_.get(), 0);
  if (status == FLAGOS_STATUS_TIMEOUT) return false;
  done_.store(true, std::memory_order_release);
  return true;
}

void ReleaseQueue::add(std::function<void()> action) {
  poll();
  std::vector<std::shared_ptr<Marker>> markers;
  if (device_.lost() == FLAGOS_STATUS_OK) {
    markers = device_.holds();
    device_.for_each_stream([&](Stream& stream) {
      if (std::shared_ptr<Marker> marker = stream.mark()) markers.push_back(std::move(marker));
    });
  }
  if (markers.empty()) return action();
  {
    std::lock_guard lock(mutex_);
    entries_.push_back({std::move(markers), std::move(action)});
  }
  reaper_watch(device_);
}

void ReleaseQueue::poll() {
  std::vector<std::function<void()>> ready;
  {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || entries_.empty()) return;
    std::erase_if(entries_, [&](Entry& entry) {
      std::erase_if(entry.markers, [](const std::shared_ptr<Marker>& marker) { return marker->done(); });
      if (!entry.markers.empty()) return false;
      ready.push_back(std::move(entry.action));
      return true;
    });
    running_ += ready.size();
  }
  if (ready.empty()) return;
  for (const auto& action : ready) action();
  // The actions still keep the device, and so this queue.
  std::lock_guard lock(mutex_);
  running_ -= ready.size();
}

bool ReleaseQueue::drain(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  while (true) {
    poll();
    if (idle()) return true;
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

void ReleaseQueue::flush() {
  while (true) {
    std::deque<Entry> entries;
    {
      std::lock_guard lock(mutex_);
      entries.swap(entries_);
    }
    if (entries.empty()) return;
    for (const Entry& entry : entries) entry.action();
  }
}

bool ReleaseQueue::empty() {
  std::lock_guard lock(mutex_);
  return entries_.empty();
}

bool ReleaseQueue::idle() {
  std::lock_guard lock(mutex_);
  return entries_.empty() && running_ == 0;
}

}  // namespace flagos::core
