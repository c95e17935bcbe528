// Releases that wait until the work that was pending when they were asked for has passed: freed memory, destroyed
// events, unloaded modules. With nothing pending a release runs at once; else at a later call that looks at the device,
// or on the reaper's thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace flagos::core {

class Device;
class Marker;  // a point in one stream; see release_queue.cpp

class ReleaseQueue {
 public:
  explicit ReleaseQueue(Device& device) : device_(device) {}

  // Runs `action` once all work submitted so far to the device's streams has passed. `action` must not throw. Where no memory
  // is left to remember it, this waits for that work; what is then still in use is never released.
  void add(std::function<void()> action) noexcept;
  // Runs what is ready, unless another thread is looking.
  void poll();
  // The same, and waits for the other thread: afterwards nothing is left of work that had passed before the call.
  void settle();
  // Waits until all is done, also what other threads run; false when it is not in timeout_ns.
  bool drain(std::uint64_t timeout_ns);
  // Runs everything regardless: the device is lost or closing.
  void flush();
  bool empty();

 private:
  void run_ready(std::unique_lock<std::mutex> lock);
  bool idle();
  bool enqueue(std::function<void()>& action);  // false: nothing has to be waited for

  struct Entry {
    std::vector<std::shared_ptr<Marker>> markers;
    std::function<void()> action;
  };
  Device& device_;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::size_t running_ = 0;  // taken out, and not done yet
};

}  // namespace flagos::core
