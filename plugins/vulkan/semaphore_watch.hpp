// Completes records that follow semaphores of the caller's: one thread, which is there while there are any,
// waits for all of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <thread>
#include <vector>

#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/event.hpp"

namespace flagos::vulkan {

class Device;

class SemaphoreWatch {
 public:
  explicit SemaphoreWatch(Device& device) : device_(device) {}
  ~SemaphoreWatch();
  SemaphoreWatch(const SemaphoreWatch&) = delete;
  SemaphoreWatch& operator=(const SemaphoreWatch&) = delete;

  // Without the lock. The record's semaphore is looked at until it is reached or the event goes.
  void add(Event& event, RecordRef record);
  // When it returns, the event's semaphore is not looked at any more.
  void remove(Event& event) noexcept;

 private:
  struct Followed {
    Event* event;
    RecordRef record;
  };
  void start();
  void watch() noexcept;
  void complete_reached(std::uint64_t kicked) noexcept;
  void kick() noexcept;

  Device& device_;
  VkSemaphore kick_ = VK_NULL_HANDLE;  // signalled by us, so that the wait begins anew
  std::uint64_t kicks_ = 0;
  std::uint64_t seen_kicks_ = 0;  // by the thread, outside of any wait
  bool stopping_ = false;
  std::vector<Followed> followed_;
  std::condition_variable seen_;
  std::thread thread_;
};

}  // namespace flagos::vulkan
