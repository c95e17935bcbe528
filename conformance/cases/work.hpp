// Small pieces of device work whose result depends on their order, and the waits and gates around
// them. Used by the cases on events, callbacks, timelines, launches, graphs and profiling.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

// How long a host wait may take before a case calls it a hang: a liveness bound, not a speed.
inline constexpr std::uint64_t patience_ns = 60'000'000'000;

// True as soon as `condition` holds, false when it does not within `seconds`.
bool eventually(const std::function<bool()>& condition, double seconds = 30);
void nap(double seconds);
// `quick` on a quick run, else `full`.
std::uint32_t repeats(Context& t, std::uint32_t full, std::uint32_t quick);

// An array of 32-bit words on the device, zero at the start, between canaries.
class Words {
 public:
  Words(Context& t, std::uint32_t count, std::uint32_t value = 0);
  std::uint32_t count() const { return count_; }
  std::uint64_t size_bytes() const { return std::uint64_t{count_} * 4; }
  flagos_address_t at(std::uint64_t index = 0) const { return buffer_.address(index * 4); }
  void write(const std::vector<std::uint32_t>& values);
  std::vector<std::uint32_t> read();
  std::uint32_t first() { return read().front(); }

 private:
  std::uint32_t count_;
  Buffer buffer_;
};

std::vector<std::uint32_t> random_words(Context& t, std::uint32_t count);
void equal_words(Context& t, const std::vector<std::uint32_t>& actual,
                 const std::vector<std::uint32_t>& expected, const std::string& what,
                 std::source_location where = std::source_location::current());

// One launch that covers `count` elements with one thread each.
struct Shape {
  Dim3 grid;
  Dim3 block;
};
Shape shape_for(Context& t, std::uint32_t count);

// Every word becomes word * multiply + add: two of them in the wrong order give another result.
void affine(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t multiply,
            std::uint32_t add);
// target[i] = target[i] * multiply + source[i]
void mix(Context& t, flagos_stream_t* stream, const Words& target, const Words& source,
         std::uint32_t multiply);
// Word `index` = value, by a kernel.
void store(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t index,
           std::uint32_t value);
// Works for a while (about `rounds` dependent multiplications), then word 0 = value.
void labour(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t rounds,
            std::uint32_t value);

bool stream_done(Context& t, flagos_stream_t* stream);  // flagos_stream_query
bool event_done(Context& t, flagos_event_t* event);     // flagos_event_query

// Queues a launch that fails with EXECUTION_FAILED; not_supported where the suite has no kernel
// that can.
void queue_failure(Context& t, flagos_stream_t* stream);

// Loses the device by a kernel, `tl_lose`. A format whose pack has it advertises by that that a loss can be made, on a
// chip as on what stands in for one; elsewhere these cases are not_supported.
void require_loss(Context& t);
void queue_loss(Context& t, flagos_stream_t* stream);
void lose_device(Context& t);  // on a stream of its own, and waits for it

// Drains the stream when a case ends, also by a failing check: what its callbacks touch must
// outlive them.
class Drain {
 public:
  explicit Drain(flagos_stream_t* stream) : stream_(stream) {}
  ~Drain() { flagos_stream_synchronize(stream_, 30'000'000'000); }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

 private:
  flagos_stream_t* stream_;
};

// Threads that are joined at the end. A body counts what is wrong; checks belong to the thread of
// the case.
class Team {
 public:
  ~Team() { join(); }
  void start(std::function<void()> body) { threads_.emplace_back(std::move(body)); }
  void join() {
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  std::vector<std::thread> threads_;
};

// The first status that is not OK, from many threads.
class FirstFailure {
 public:
  void note(flagos_status_t status) {
    flagos_status_t expected = FLAGOS_STATUS_OK;
    if (status != FLAGOS_STATUS_OK) first_.compare_exchange_strong(expected, status);
  }
  flagos_status_t status() const { return first_.load(); }

 private:
  std::atomic<flagos_status_t> first_{FLAGOS_STATUS_OK};
};

// A second open of the device under test: a context of its own. Closed in the destructor.
class OtherDevice {
 public:
  explicit OtherDevice(Context& t);
  ~OtherDevice() { flagos_device_close(device_); }
  OtherDevice(const OtherDevice&) = delete;
  OtherDevice& operator=(const OtherDevice&) = delete;
  operator flagos_device_t*() const { return device_; }

 private:
  flagos_device_t* device_ = nullptr;
};

}  // namespace flagos::conformance
