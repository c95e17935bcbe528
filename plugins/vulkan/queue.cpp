#include "plugins/vulkan/queue.hpp"

#include <chrono>

#include "base/thread.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/stream.hpp"
#include "plugins/vulkan/timeline.hpp"

namespace flagos::vulkan {
namespace {

// So many answers a queue may owe, one each millisecond or more, before its device counts as lost.
constexpr std::uint32_t unanswered_limit = 1000;

bool is_out_of_memory(VkResult result) {
  return result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

}  // namespace

Queue::Queue(Device& device, std::uint32_t index) : device_(device), index_(index) {
  const DeviceFunctions& vk = device.vk();
  vk.vkGetDeviceQueue(device.handle(), device.physical().queue_family(), index, &handle_);
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  create.pNext = &type;
  check(vk.vkCreateSemaphore(device.handle(), &create, nullptr, &semaphore_), "vkCreateSemaphore");
  try {
    thread_ = start_thread("flagos-vulkan", {}, [this] { serve(); });
  } catch (...) {
    vk.vkDestroySemaphore(device.handle(), semaphore_, nullptr);
    throw;
  }
}

Queue::~Queue() {
  {
    const std::lock_guard lock(device_.instance().mutex);
    stopping_ = true;
  }
  service_.notify_all();
  thread_.join();
  in_flight_.clear();
  free_.clear();
  lost_.clear();
  device_.vk().vkDestroySemaphore(device_.handle(), semaphore_, nullptr);
}

std::unique_ptr<Batch> Queue::take() {
  if (free_.empty()) {
    // Room for all batches there may ever be: putting one back never allocates.
    free_.reserve(batch_count_ + 1);
    in_flight_.reserve(batch_count_ + 1);
    lost_.reserve(batch_count_ + 1);
    auto batch = std::make_unique<Batch>(device_);
    ++batch_count_;
    return batch;
  }
  std::unique_ptr<Batch> batch = std::move(free_.back());
  free_.pop_back();
  return batch;
}

void Queue::put_back(std::unique_ptr<Batch> batch) noexcept {
  if (free_.size() < free_limit) {
    free_.push_back(std::move(batch));
  } else {
    batch.reset();
    --batch_count_;
  }
}

void Queue::submit(std::unique_ptr<Batch>& batch) {
  const std::uint64_t value = submitted_ + 1;
  VkTimelineSemaphoreSubmitInfo timeline{};
  timeline.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
  timeline.signalSemaphoreValueCount = 1;
  timeline.pSignalSemaphoreValues = &value;
  const VkCommandBuffer commands = batch->commands();
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.pNext = &timeline;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  info.signalSemaphoreCount = 1;
  info.pSignalSemaphores = &semaphore_;
  check(device_.vk().vkQueueSubmit(handle_, 1, &info, VK_NULL_HANDLE),
        "vkQueueSubmit of {} commands", batch->command_count());
  submitted_ = value;
  batch->value = value;
  in_flight_.push_back(std::move(batch));
  if (attention_ != 0 && in_flight_.size() == 1) service_.notify_one();
}

void Queue::reap() noexcept {
  if (in_flight_.empty()) return;
  std::uint64_t reached = 0;
  const VkResult result =
      device_.vk().vkGetSemaphoreCounterValue(device_.handle(), semaphore_, &reached);
  if (result < VK_SUCCESS) {
    if (is_out_of_memory(result) && ++unanswered_ < unanswered_limit) return;
    device_.lose(failure_of(result, "vkGetSemaphoreCounterValue"));
    return;
  }
  unanswered_ = 0;
  std::size_t done = 0;
  while (done < in_flight_.size() && in_flight_[done]->value <= reached) ++done;
  for (std::size_t i = 0; i < done; ++i) {
    Batch& batch = *in_flight_[i];
    batch.owner->finish(batch);
    put_back(std::move(in_flight_[i]));
  }
  in_flight_.erase(in_flight_.begin(), in_flight_.begin() + static_cast<std::ptrdiff_t>(done));
}

void Queue::fail_all(const Failure& failure) noexcept {
  // Taken out first: what ends here may look at the queue again.
  std::vector<std::unique_ptr<Batch>> batches;
  batches.swap(in_flight_);
  for (std::unique_ptr<Batch>& batch : batches) {
    batch->owner->fail(*batch, failure);
    lost_.push_back(std::move(batch));
  }
}

VkResult Queue::wait_for(std::uint64_t value, std::uint64_t timeout_ns) const noexcept {
  VkSemaphoreWaitInfo wait{};
  wait.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
  wait.semaphoreCount = 1;
  wait.pSemaphores = &semaphore_;
  wait.pValues = &value;
  const VkResult result = device_.vk().vkWaitSemaphores(device_.handle(), &wait, timeout_ns);
  if (!is_out_of_memory(result)) return result;
  // The work goes on all the same: looked for again in a moment.
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return VK_TIMEOUT;
}

void Queue::attend() noexcept {
  if (attention_++ == 0 && !in_flight_.empty()) service_.notify_one();
}

void Queue::serve() noexcept {
  std::unique_lock lock(device_.instance().mutex);
  while (!stopping_) {
    if (attention_ == 0 || in_flight_.empty()) {
      service_.wait(lock);
      continue;
    }
    const std::uint64_t value = in_flight_.front()->value;
    lock.unlock();
    // Bounded, since a driver may forget its waiters when the device is lost.
    const VkResult result = wait_for(value, 1'000'000'000);
    lock.lock();
    if (result < VK_SUCCESS) device_.lose(failure_of(result, "vkWaitSemaphores"));
    reap();
    Stream::run_ready(device_.instance());
    lock.unlock();
    device_.deliver();
    lock.lock();
  }
}

}  // namespace flagos::vulkan
