// The device's clock: the driver tells times between two events only, so they are laid over the host's clock at one event,
// which is replaced now and then since distances are 32-bit floats.
#pragma once

#include <cstdint>
#include <mutex>

#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

class Device;

class Clock {
 public:
  explicit Clock(Device& device) : device_(device) {}
  ~Clock();
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  // In the device's context, all of these.
  void start();
  // One moment on both clocks.
  void get(std::uint64_t* out_device_ns, std::uint64_t* out_host_ns);
  // When a timed event that is complete was; 0 where the driver does not tell.
  std::uint64_t time_of(CUevent event) noexcept;

 private:
  void mark();

  Device& device_;
  std::mutex mutex_;
  CUevent base_ = nullptr;
  std::uint64_t base_ns_ = 0;
};

}  // namespace flagos::nvidia
