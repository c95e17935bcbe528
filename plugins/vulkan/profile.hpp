// What a profiler is told of a stream: a record for every launch, copy, fill and host function, with times of the device.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <deque>

namespace flagos::vulkan {

class Batch;
class Device;
struct Command;

// A time stamp in a batch: an operation begins or ends there.
struct Stamp {
  std::uint64_t sequence;  // of the operation
  std::uint32_t query;     // UINT32_MAX: the device has no time stamps
  bool ends;
};

// All of it with the instance's lock held.
class Profile {
 public:
  explicit Profile(Device& device);

  // A command that is submitted now, behind `submitted` others: it is profiled or not from here on.
  void note(Command& command, std::uint64_t submitted) const noexcept;
  // What is submitted from one that begins to one that does not shares its correlation.
  void mark_launch(bool begins, std::uint64_t submitted) noexcept {
    launch_ = begins ? submitted + 1 : 0;
  }

  void begin(const Command& command);        // its first stamp is recorded
  void finish(const Batch& batch) noexcept;  // the batch is done: its stamps have times
  // An operation of the host's, on the host's clock.
  void emit_host(const Command& command, std::uint64_t started_ns, std::uint64_t ended_ns) noexcept;

 private:
  struct Operation {
    std::uint64_t sequence;
    flagos_record_t record;  // times on the device's clock
  };
  void emit(flagos_record_t& record) noexcept;

  Device& device_;
  const std::uint64_t stream_id_;
  std::uint64_t launch_ = 0;
  std::uint64_t last_ended_ns_ = 0;
  std::deque<Operation> begun_;
};

void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept;
void stream_end_launch(flagos_plugin_stream_t* stream) noexcept;
flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept;
flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept;

}  // namespace flagos::vulkan
