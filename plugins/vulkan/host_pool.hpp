// Threads that run what a stream asks of the host: host functions and copies of ordinary host
// memory. A host function may block for as long as it likes, so a thread is added whenever all are
// busy, up to a limit, and leaves when it has been idle for a while.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <thread>
#include <vector>

namespace flagos::vulkan {

class Device;
class Stream;

// Guarded by the instance's lock.
class HostPool {
 public:
  // So many run at once; further ones wait for a thread.
  static constexpr std::uint32_t thread_limit = 512;

  explicit HostPool(Device& device);
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  // Calls stream.run_host() on a thread of the pool.
  void push(Stream& stream) noexcept;
  // Takes it out again, if no thread has it yet.
  void remove(Stream& stream) noexcept;

 private:
  struct Thread {
    std::thread thread;
    bool has_retired = false;
  };
  void start();
  void work(Thread& self) noexcept;

  Device& device_;
  std::vector<Stream*> queue_;
  std::uint32_t idle_ = 0;
  std::uint32_t live_ = 0;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::list<Thread> threads_;
};

}  // namespace flagos::vulkan
