// A pool of threads that grows on demand.
#include "core/callback_pool.hpp"

#include <signal.h>

#include <system_error>

#include "base/error.hpp"

namespace flagos::core {

std::thread start_thread(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (const std::system_error&) {
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!thread.joinable()) throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "a thread of flagos cannot be started");
  return thread;
}

void CallbackPool::run(std::function<void()> function) {
  std::lock_guard lock(mutex_);
  if (idle_ <= functions_.size() && threads_.size() < max_threads) {
    try {
      threads_.push_back(start_thread([this] { work(); }));
    } catch (const Error&) {
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
