// Threads that run the host functions of streams whose plugin has none of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace flagos::core {

class CallbackPool {
 public:
  // When all are busy, further functions wait for one that returns.
  static constexpr std::size_t max_threads = 64;

  // Runs `function` soon, on a thread of the pool. Throws when there is none and none can be started.
  void run(std::function<void()> function);
  // Ends the threads after what they run.
  void stop();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> functions_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace flagos::core
