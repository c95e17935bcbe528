// A VkQueue of an open device, the timeline semaphore that tells how far it has come, and a thread
// that looks after work which nobody waits for.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "plugins/vulkan/batch.hpp"
#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

class Device;

// Guarded by the instance's lock, except for wait_for.
class Queue {
 public:
  Queue(Device& device, std::uint32_t index);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  std::unique_ptr<Batch> take();
  void put_back(std::unique_ptr<Batch> batch) noexcept;
  // On failure the batch is still the caller's.
  void submit(std::unique_ptr<Batch>& batch);
  // Completes what is done by now.
  void reap() noexcept;
  // Ends everything with a failure; the command buffers are not used again.
  void fail_all(const Failure& failure) noexcept;
  VkQueue handle() const noexcept { return handle_; }
  VkSemaphore semaphore() const noexcept { return semaphore_; }
  std::uint32_t index() const noexcept { return index_; }
  bool is_idle() const noexcept { return in_flight_.empty(); }
  std::uint64_t submitted() const noexcept { return submitted_; }

  // Without the lock: waits until the queue has come to `value`, at most so long. VK_TIMEOUT may come early.
  VkResult wait_for(std::uint64_t value, std::uint64_t timeout_ns) const noexcept;

  // A stream needs somebody to go on when a batch is done, or does no longer.
  void attend() noexcept;
  void leave() noexcept { --attention_; }

  std::uint32_t stream_count = 0;

 private:
  void serve() noexcept;

  Device& device_;
  const std::uint32_t index_;
  VkQueue handle_ = VK_NULL_HANDLE;
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  std::uint64_t submitted_ = 0;
  std::uint32_t unanswered_ = 0;
  std::vector<std::unique_ptr<Batch>> in_flight_;
  // So many are kept for the next commands; what a burst took beyond that is given back.
  static constexpr std::size_t free_limit = 64;
  std::vector<std::unique_ptr<Batch>> free_;
  std::size_t batch_count_ = 0;
  std::vector<std::unique_ptr<Batch>> lost_;
  std::uint32_t attention_ = 0;
  bool stopping_ = false;
  std::condition_variable service_;
  std::thread thread_;
};

}  // namespace flagos::vulkan
