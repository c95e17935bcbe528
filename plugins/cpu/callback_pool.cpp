#include "plugins/cpu/callback_pool.hpp"

#include <fenv.h>

#include <utility>

#include "base/thread.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {
namespace {
constexpr std::uint64_t retire_ns = 1'000'000'000;
}

// One thread is there from the start and stays: a host function never finds that none can be had.
CallbackPool::CallbackPool(const Host& host, std::string name)
    : host_(host), name_(std::move(name)) {
  const std::lock_guard lock(mutex_);
  start();
}

CallbackPool::~CallbackPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    epoch_.fetch_add(1);
  }
  futex_wake(epoch_, INT32_MAX);
  for (Thread& thread : threads_) thread.thread.join();
}

void CallbackPool::push(Task& task) noexcept {
  std::unique_lock lock(mutex_);
  queue_.push(task);
  ++queued_;
  epoch_.fetch_add(1);
  if (queued_ > idle_ && live_ < thread_limit) entry(host_, [&] { start(); });
  lock.unlock();
  futex_wake(epoch_, 1);
}

void CallbackPool::start() {
  threads_.remove_if([](Thread& thread) {
    if (thread.has_retired) thread.thread.join();
    return thread.has_retired;
  });
  Thread& thread = threads_.emplace_back();
  try {
    thread.thread = start_thread(name_, {}, [this, &thread] { work(thread); });
  } catch (...) {
    threads_.pop_back();
    throw;
  }
  ++live_;
}

void CallbackPool::work(Thread& self) noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!queue_.is_empty()) {
      Task& task = queue_.pop();
      --queued_;
      lock.unlock();
      fesetenv(FE_DFL_ENV);  // whatever the last host function left behind
      task.call_host();
      lock.lock();
      continue;
    }
    if (stopping_) return;
    const Deadline deadline(live_ > 1 ? retire_ns : UINT64_MAX);
    const std::uint32_t epoch = epoch_.load();
    ++idle_;
    lock.unlock();
    futex_wait(epoch_, epoch, deadline);
    lock.lock();
    --idle_;
    if (queue_.is_empty() && !stopping_ && live_ > 1 && deadline.has_passed()) {
      --live_;
      self.has_retired = true;
      return;
    }
  }
}

}  // namespace flagos::cpu
