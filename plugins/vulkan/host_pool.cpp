#include "plugins/vulkan/host_pool.hpp"

#include <fenv.h>

#include <algorithm>
#include <chrono>

#include "base/thread.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {
constexpr std::chrono::seconds retire_after(1);
}

// One thread is there from the start and stays: a host function never finds that none can be had.
HostPool::HostPool(Device& device) : device_(device) {
  const std::lock_guard lock(device.instance().mutex);
  start();
}

HostPool::~HostPool() {
  {
    const std::lock_guard lock(device_.instance().mutex);
    stopping_ = true;
  }
  wake_.notify_all();
  for (Thread& thread : threads_) thread.thread.join();
}

void HostPool::push(Stream& stream) noexcept {
  guard(
      [&] { queue_.push_back(&stream); },
      [&](flagos_status_t, const char* text) { device_.host().log(FLAGOS_LOG_LEVEL_ERROR, text); });
  if (queue_.size() > idle_ && live_ < thread_limit)
    guard([&] { start(); },
          [&](flagos_status_t, const char* text) {
            device_.host().log(FLAGOS_LOG_LEVEL_WARNING, text);
          });
  wake_.notify_one();
}

void HostPool::remove(Stream& stream) noexcept {
  queue_.erase(std::remove(queue_.begin(), queue_.end(), &stream), queue_.end());
}

void HostPool::start() {
  threads_.remove_if([](Thread& thread) {
    if (thread.has_retired) thread.thread.join();
    return thread.has_retired;
  });
  queue_.reserve(thread_limit);
  Thread& thread = threads_.emplace_back();
  try {
    thread.thread = start_thread("flagos-vk-host", {}, [this, &thread] { work(thread); });
  } catch (...) {
    threads_.pop_back();
    throw;
  }
  ++live_;
}

void HostPool::work(Thread& self) noexcept {
  std::unique_lock lock(device_.instance().mutex);
  for (;;) {
    if (!queue_.empty()) {
      Stream& stream = *queue_.front();
      queue_.erase(queue_.begin());
      fesetenv(FE_DFL_ENV);  // whatever the last host function left behind
      stream.run_host(lock);
      Stream::run_ready(device_.instance());
      lock.unlock();
      device_.deliver();
      lock.lock();
      continue;
    }
    if (stopping_) return;
    ++idle_;
    const bool woken = live_ > 1 ? wake_.wait_for(lock, retire_after) == std::cv_status::no_timeout
                                 : (wake_.wait(lock), true);
    --idle_;
    if (!woken && queue_.empty() && !stopping_ && live_ > 1) {
      --live_;
      self.has_retired = true;
      return;
    }
  }
}

}  // namespace flagos::vulkan
