// A pool of threads that grows on demand.
#include "core/callback_pool.hpp"

#include <exception>

#include "base/thread.hpp"

namespace flagos::core {

void CallbackPool::run(std::function<void()> function) {
  std::lock_guard lock(mutex_);
  if (idle_ <= functions_.size() && threads_.size() < max_threads) {
    try {
      threads_.reserve(threads_.size() + 1);  // a thread that runs must not be dropped
      threads_.push_back(start_thread("flagos-callback", {}, [this] { work(); }));
    } catch (const std::exception&) {
      if (threads_.empty()) throw;
    }
  }
  functions_.push_back(std::move(function));
  wake_.notify_one();
}

void CallbackPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stop_ || !functions_.empty(); });
    --idle_;
    if (functions_.empty()) return;
    std::function<void()> function = std::move(functions_.front());
    functions_.pop_front();
    lock.unlock();
    function();
    function = nullptr;
    lock.lock();
  }
}

void CallbackPool::stop() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    threads.swap(threads_);
    wake_.notify_all();
  }
  for (std::thread& thread : threads) {
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
  std::lock_guard lock(mutex_);
  stop_ = false;
}

}  // namespace flagos::core
