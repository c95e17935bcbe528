// Looks after the streams of an instance that hold work back, on one thread, which is started when the first of them
// does. Driver calls are made here and not in callbacks of the driver, which may hold its locks.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "plugins/nvidia/wait.hpp"

namespace flagos::nvidia {

class Stream;

class HoldWatcher {
 public:
  HoldWatcher() = default;
  ~HoldWatcher();
  HoldWatcher(const HoldWatcher&) = delete;
  HoldWatcher& operator=(const HoldWatcher&) = delete;

  // Until remove. Throws OUT_OF_RESOURCES when there is no thread.
  void add(Stream& stream);
  // Returns when the thread is not at work on it.
  void remove(Stream& stream) noexcept;
  // To be given when something may have become possible; outlives the watcher, for callbacks of the driver.
  const std::shared_ptr<Signal>& signal() const noexcept { return signal_; }

 private:
  void run();
  // True when some stream still holds work back.
  bool look();

  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<Stream*> streams_;
  Stream* current_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace flagos::nvidia
