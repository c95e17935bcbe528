// OpenCL kernels cannot fail, so a kernel may say that it did: a parameter `__global int*
// flagos_failure` gets the address of a word that is 0 before the launch. What the kernel leaves in
// it is read before anything behind the launch may run: until then a gate, a user event, holds the
// queue. A status in the word poisons the stream.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/event.hpp"
#include "plugins/opencl/wait.hpp"

namespace flagos::opencl {

class FailureGates;

// One launch whose report is not in yet.
struct FailureGate {
  FailureGates* gates;  // NULL once nobody is interested; guarded by `mutex`
  std::mutex mutex;
  cl_event user_event = nullptr;
  std::int32_t report = 0;  // the driver copies the word to here
  flagos_address_t word = 0;
  std::string kernel;
  std::atomic<std::uint64_t> callback{0};  // resolve, when the word was read
};

// The gates of a stream.
class FailureGates {
 public:
  FailureGates(const Driver& driver, std::shared_ptr<Health> health, std::shared_ptr<Signal> signal)
      : driver_(driver), health_(std::move(health)), signal_(std::move(signal)) {}
  ~FailureGates();
  FailureGates(const FailureGates&) = delete;
  FailureGates& operator=(const FailureGates&) = delete;

  // While the driver is told of a failure it goes through the events behind it; PoCL 3.1 crashes when one of them is
  // released meanwhile.
  bool is_failing() const noexcept { return failing_.load(std::memory_order_acquire) != 0; }
  // Nothing that is queued runs any more; PoCL 3.1 does not end every event behind a failed one.
  bool has_failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  bool is_open() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  std::shared_ptr<FailureGate> add(cl_context context, flagos_address_t word, std::string kernel);
  // Undoes add, for a launch that the driver refused.
  void drop(const std::shared_ptr<FailureGate>& gate) noexcept;
  // A record made while a gate was there: it completes even where the driver forgets it.
  void watch(const RecordRef& record);
  // On a thread of the driver, when the word was read.
  static void resolve(const std::shared_ptr<FailureGate>& gate, cl_int read_status) noexcept;

  // A word that no launch uses; 0 when there is none.
  flagos_address_t take_word() noexcept;
  void give_word(flagos_address_t word) noexcept;

 private:
  void judge(const std::shared_ptr<FailureGate>& gate, cl_int read_status) noexcept;
  void pass(const std::shared_ptr<FailureGate>& gate) noexcept;
  void fail() noexcept;

  const Driver& driver_;
  const std::shared_ptr<Health> health_;
  const std::shared_ptr<Signal> signal_;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> failing_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::vector<std::shared_ptr<FailureGate>> open_;
  std::vector<std::weak_ptr<Record>> records_;
  std::vector<flagos_address_t> words_;
};

}  // namespace flagos::opencl
