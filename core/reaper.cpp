// The thread behind deferred releases.
#include "core/reaper.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/never_destroyed.hpp"
#include "base/thread.hpp"
#include "core/device.hpp"
#include "core/entry.hpp"

namespace flagos::core {

namespace {

class Reaper {
 public:
  void watch(Device& device);
  void forget(Device& device);
  void stop();

 private:
  void run();
  void look_at_all(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Ref<Device>> devices_;
  Device* current_ = nullptr;  // looked at, without the mutex
  std::uint64_t watches_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

// Never destroyed: the thread may run until the end of the process.
Reaper& reaper() {
  static NeverDestroyed<Reaper> the_reaper;
  return *the_reaper;
}

void Reaper::watch(Device& device) {
  std::lock_guard lock(mutex_);
  // A device whose last reference is gone runs its releases itself.
  if (!device.try_retain()) return;
  auto reference = Ref<Device>::adopt(&device);
  if (!thread_.joinable()) {
    stop_ = false;
    // Without a thread the releases run at later calls.
    if (guard([&] { thread_ = start_thread("flagos-reaper", {}, [this] { run(); }); },
              [](flagos_status_t, const char*) {}) != FLAGOS_STATUS_OK)
      return;
  }
  ++watches_;
  changed_.notify_all();
  if (std::none_of(devices_.begin(), devices_.end(), [&](const Ref<Device>& found) { return found.get() == &device; }))
    devices_.push_back(std::move(reference));
}

void Reaper::forget(Device& device) {
  std::unique_lock lock(mutex_);
  std::erase_if(devices_, [&](const Ref<Device>& found) { return found.get() == &device; });
  changed_.wait(lock, [&] { return current_ != &device; });
}

void Reaper::stop() {
  std::thread thread;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
    thread.swap(thread_);
  }
  if (!thread.joinable()) return;
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else {
    thread.join();
  }
}

// A release takes locks and may end objects, so each device is looked at without ours.
void Reaper::look_at_all(std::unique_lock<std::mutex>& lock) {
  for (std::size_t i = 0; i < devices_.size();) {
    Ref<Device> device = devices_[i];
    current_ = device.get();
    lock.unlock();
    device->releases().poll();
    lock.lock();
    // Whoever adds a release comes here afterwards: it is seen now, or watched anew.
    const auto found = std::find_if(devices_.begin(), devices_.end(),
                                    [&](const Ref<Device>& other) { return other.get() == device.get(); });
    if (found == devices_.end() || !device->releases().empty()) {
      ++i;
    } else {
      devices_.erase(found);
    }
    lock.unlock();
    device = {};  // perhaps the last one, and that closes the device
    lock.lock();
    current_ = nullptr;
    changed_.notify_all();
  }
}

void Reaper::run() {
  using std::chrono::microseconds;
  constexpr microseconds shortest{100};
  constexpr microseconds longest{20'000};
  microseconds pause = shortest;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !devices_.empty(); });
    if (stop_) return;
    const std::uint64_t seen = watches_;
    look_at_all(lock);
    if (devices_.empty() || watches_ != seen) {
      pause = shortest;
      continue;
    }
    changed_.wait_for(lock, pause, [&] { return stop_ || watches_ != seen; });
    pause = watches_ != seen ? shortest : std::min(pause * 2, longest);
  }
}

}  // namespace

void reaper_watch(Device& device) { reaper().watch(device); }
void reaper_forget(Device& device) { reaper().forget(device); }
void reaper_shutdown() { reaper().stop(); }

}  // namespace flagos::core
