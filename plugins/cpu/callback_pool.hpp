// Threads that run host functions of streams. A host function may block for as long as it likes, so
// these are not the workers: a thread is added whenever all are busy, up to a limit, and leaves
// when it has been idle for a while.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "base/plugin_host.hpp"
#include "plugins/cpu/thread_pool.hpp"

namespace flagos::cpu {

class CallbackPool {
 public:
  // So many host functions of a device run at once; further ones wait for a thread.
  static constexpr std::uint32_t thread_limit = 512;

  CallbackPool(const Host& host, std::string name);
  ~CallbackPool();
  CallbackPool(const CallbackPool&) = delete;
  CallbackPool& operator=(const CallbackPool&) = delete;

  // Calls task.call_host() on a thread of its own.
  void push(Task& task) noexcept;

 private:
  struct Thread {
    std::thread thread;
    bool has_retired = false;
  };
  void start();  // with the mutex held
  void work(Thread& self) noexcept;

  const Host& host_;
  const std::string name_;
  std::mutex mutex_;
  TaskQueue queue_;
  std::uint32_t queued_ = 0;
  std::uint32_t idle_ = 0;
  std::uint32_t live_ = 0;
  bool stopping_ = false;
  std::atomic<std::uint32_t> epoch_{0};
  std::list<Thread> threads_;
};

}  // namespace flagos::cpu
