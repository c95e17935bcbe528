// Looks after what goes on in a plugin without a caller (streams that hold work back, say), on one thread, which is started
// when the first of them comes. Driver calls are made here and not in callbacks of a driver, which may hold its locks.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/wait.hpp"

namespace flagos {

class Watched {
 public:
  // True while it has to be looked at again.
  virtual bool advance() noexcept = 0;

 protected:
  ~Watched() = default;
};

class Watcher {
 public:
  // `name` is the thread's.
  explicit Watcher(const char* name) : name_(name) {}
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Until remove. Throws OUT_OF_RESOURCES when there is no thread.
  void add(Watched& one);
  // Returns when the thread is not at work on it.
  void remove(Watched& one) noexcept;
  // To be given when something may have become possible; outlives the watcher, for callbacks of the driver.
  const std::shared_ptr<Signal>& signal() const noexcept { return signal_; }

 private:
  void run();
  // True while some of them have to be looked at again.
  bool look();

  const char* const name_;
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<Watched*> watched_;
  Watched* current_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace flagos
