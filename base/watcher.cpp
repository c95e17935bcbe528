#include "base/watcher.hpp"

#include "base/thread.hpp"

namespace flagos {

Watcher::~Watcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  signal_->notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::add(Watched& one) {
  const std::lock_guard lock(mutex_);
  watched_.reserve(watched_.size() + 1);
  if (!thread_.joinable()) thread_ = start_thread(name_, {}, [this] { run(); });
  watched_.push_back(&one);
}

void Watcher::remove(Watched& one) noexcept {
  std::unique_lock lock(mutex_);
  std::erase(watched_, &one);
  left_.wait(lock, [&] { return current_ != &one; });
  lock.unlock();
  signal_->notify_all();  // the thread may just have passed one that moved up
}

void Watcher::run() {
  for (;;) {
    const std::uint64_t seen = signal_->count();
    const bool looking = look();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    signal_->wait_change(seen, looking ? Deadline::Clock::now() + look_again : Deadline::Clock::time_point::max());
  }
}

bool Watcher::look() {
  bool looking = false;
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    current_ = watched_[i];
    lock.unlock();
    looking = current_->advance() || looking;
    lock.lock();
    current_ = nullptr;
    left_.notify_all();
  }
  return looking;
}

}  // namespace flagos
