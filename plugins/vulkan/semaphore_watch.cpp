#include "plugins/vulkan/semaphore_watch.hpp"

#include "base/thread.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {

SemaphoreWatch::~SemaphoreWatch() {
  {
    const std::lock_guard lock(device_.instance().mutex);
    stopping_ = true;
    kick();
  }
  if (thread_.joinable()) thread_.join();
  device_.vk().vkDestroySemaphore(device_.handle(), kick_, nullptr);
}

void SemaphoreWatch::add(Event& event, RecordRef record) {
  Lock lock(device_);
  if (!thread_.joinable()) start();
  followed_.push_back({&event, std::move(record)});
  kick();
}

void SemaphoreWatch::remove(Event& event) noexcept {
  Lock lock(device_);
  for (Followed& followed : followed_)
    if (followed.event == &event)
      followed.record->complete(make_failure(FLAGOS_STATUS_CANCELLED, "the event was destroyed"),
                                0);
  std::erase_if(followed_, [&](const Followed& followed) { return followed.event == &event; });
  device_.instance().notify();
  kick();
  const std::uint64_t wanted = kicks_;
  while (seen_kicks_ < wanted) seen_.wait(lock.raw());
}

// With the lock held.
void SemaphoreWatch::start() {
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  create.pNext = &type;
  if (kick_ == VK_NULL_HANDLE)
    check_made(device_.vk().vkCreateSemaphore(device_.handle(), &create, nullptr, &kick_), kick_,
               "vkCreateSemaphore");
  thread_ = start_thread("flagos-vk-watch", {}, [this] { watch(); });
}

void SemaphoreWatch::kick() noexcept {
  if (kick_ == VK_NULL_HANDLE) return;
  VkSemaphoreSignalInfo signal{};
  signal.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
  signal.semaphore = kick_;
  signal.value = ++kicks_;
  device_.vk().vkSignalSemaphore(device_.handle(), &signal);
}

void SemaphoreWatch::complete_reached(std::uint64_t kicked) noexcept {
  seen_kicks_ = kicked;
  for (Followed& followed : followed_) {
    std::uint64_t reached = 0;
    const VkResult result = device_.vk().vkGetSemaphoreCounterValue(
        device_.handle(), followed.record->semaphore, &reached);
    if (result >= VK_SUCCESS && reached >= followed.record->value)
      followed.record->complete(nullptr, monotonic_ns());
    if (result == VK_ERROR_DEVICE_LOST)
      device_.lose(failure_of(result, "vkGetSemaphoreCounterValue"));
    if (device_.is_lost()) followed.record->complete(device_.loss(), 0);
  }
  std::erase_if(followed_, [](const Followed& followed) { return followed.record->is_done(); });
  device_.instance().notify();
  Stream::run_ready(device_.instance());
}

void SemaphoreWatch::watch() noexcept {
  std::vector<VkSemaphore> semaphores;
  std::vector<std::uint64_t> values;
  std::unique_lock lock(device_.instance().mutex);
  while (!stopping_) {
    const std::uint64_t kicked = kicks_;
    complete_reached(kicked);
    seen_.notify_all();
    bool is_complete = false;  // with everything that is followed
    guard(
        [&] {
          semaphores.assign({kick_});
          values.assign({kicked + 1});
          for (const Followed& followed : followed_) {
            semaphores.push_back(followed.record->semaphore);
            values.push_back(followed.record->value);
          }
          is_complete = true;
        },
        [&](flagos_status_t, const char* text) {
          device_.host().log(FLAGOS_LOG_LEVEL_WARNING, text);
        });
    VkSemaphoreWaitInfo wait{};
    wait.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    wait.flags = VK_SEMAPHORE_WAIT_ANY_BIT;
    wait.semaphoreCount = static_cast<std::uint32_t>(is_complete ? semaphores.size() : 0);
    wait.pSemaphores = semaphores.data();
    wait.pValues = values.data();
    lock.unlock();
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
    if (is_complete) result = device_.vk().vkWaitSemaphores(device_.handle(), &wait, 1'000'000'000);
    // A driver that cannot wait, or forgets its waiters when the device is lost.
    if (result < VK_SUCCESS) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    device_.deliver();
    lock.lock();
  }
}

}  // namespace flagos::vulkan
