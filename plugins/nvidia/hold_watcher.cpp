#include "plugins/nvidia/hold_watcher.hpp"

#include "base/thread.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {

HoldWatcher::~HoldWatcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  signal_->notify_all();
  if (thread_.joinable()) thread_.join();
}

void HoldWatcher::add(Stream& stream) {
  const std::lock_guard lock(mutex_);
  streams_.reserve(streams_.size() + 1);
  if (!thread_.joinable()) thread_ = start_thread("flagos-nv-hold", {}, [this] { run(); });
  streams_.push_back(&stream);
}

void HoldWatcher::remove(Stream& stream) noexcept {
  std::unique_lock lock(mutex_);
  std::erase(streams_, &stream);
  left_.wait(lock, [&] { return current_ != &stream; });
}

void HoldWatcher::run() {
  for (;;) {
    const std::uint64_t seen = signal_->count();
    const bool holding = look();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    signal_->wait_change(
        seen, holding ? Deadline::Clock::now() + look_again : Deadline::Clock::time_point::max());
  }
}

bool HoldWatcher::look() {
  bool holding = false;
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    current_ = streams_[i];
    lock.unlock();
    holding = current_->advance() || holding;
    lock.lock();
    current_ = nullptr;
    left_.notify_all();
  }
  return holding;
}

}  // namespace flagos::nvidia
