// Markers in busy streams, and the releases that wait for them.
#include "core/release_queue.hpp"

#include <atomic>
#include <cstddef>
#include <iterator>
#include <new>
#include <thread>
#include <utility>

#include "base/guard.hpp"
#include "core/device.hpp"
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

bool ReleaseQueue::enqueue(std::function<void()>& action) {
  std::vector<std::shared_ptr<Marker>> markers;
  if (device_.lost() == FLAGOS_STATUS_OK) {
    markers = device_.holds();
    device_.for_each_stream([&](Stream& stream) {
      if (std::shared_ptr<Marker> marker = stream.mark()) markers.push_back(std::move(marker));
    });
  }
  if (markers.empty()) return false;
  std::lock_guard lock(mutex_);
  Entry& entry = entries_.emplace_back();
  entry.markers = std::move(markers);
  entry.action = std::move(action);
  return true;
}

void ReleaseQueue::add(std::function<void()> action) noexcept {
  poll();
  try {
    if (!enqueue(action)) return action();
  } catch (const std::exception&) {
    constexpr std::uint64_t patience_ns = 10'000'000'000;
    const auto waited = [&] { return device_.synchronize(patience_ns) != FLAGOS_STATUS_TIMEOUT; };
    bool passed = false;
    guard([&] { passed = waited(); }, [](flagos_status_t, const char*) {});
    if (passed) return action();
    alignas(std::function<void()>) std::byte room[sizeof(action)];
    ::new (room) std::function<void()>(std::move(action));  // never destroyed
    return;
  }
  guard([&] { reaper_watch(device_); }, [](flagos_status_t, const char*) {});  // else later calls look
}

void ReleaseQueue::poll() {
  if (std::unique_lock lock(mutex_, std::try_to_lock); lock.owns_lock()) run_ready(std::move(lock));
}

void ReleaseQueue::settle() {
  run_ready(std::unique_lock(mutex_));
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (running_ == 0) return;
    }
    std::this_thread::yield();
  }
}

void ReleaseQueue::run_ready(std::unique_lock<std::mutex> lock) {
  std::list<Entry> ready;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    std::erase_if(entry->markers, [](const std::shared_ptr<Marker>& marker) { return marker->done(); });
    if (entry->markers.empty()) ready.splice(ready.end(), entries_, entry);
    entry = next;
  }
  if (ready.empty()) return;
  const std::size_t count = ready.size();
  running_ += count;
  lock.unlock();
  for (const Entry& entry : ready) entry.action();
  ready.clear();
  // The actions still keep the device, and so this queue.
  lock.lock();
  running_ -= count;
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
    std::list<Entry> entries;
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
