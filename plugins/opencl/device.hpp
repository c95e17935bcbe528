// The plugin's instance, which knows the driver's devices, and a device that was opened: a context
// of its own, or the caller's.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/plugin_host.hpp"
#include "base/watcher.hpp"
#include "plugins/opencl/discovery.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/memory.hpp"

namespace flagos::opencl {

class ProgramCache;

// What all devices of one flagos_plugin_open share.
class Instance {
 public:
  explicit Instance(const flagos_host_t& host);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const Host& host() const noexcept { return host_; }
  const Driver& driver() const noexcept { return *driver_; }
  const std::vector<DeviceDescription>& devices() const noexcept { return devices_; }
  MemoryAccount& account(std::uint32_t index) noexcept { return accounts_[index]; }

  Watcher& watcher() noexcept { return watcher_; }

  std::atomic<std::uint64_t> next_stream_id{1};

 private:
  // NULL, and a line in the log, where there is none; throws when FLAGOS_OPENCL_DRIVER names it.
  const Driver* open_driver();

  const Host host_;
  const Driver* driver_ = nullptr;
  std::vector<DeviceDescription> devices_;
  std::unique_ptr<MemoryAccount[]> accounts_;
  Watcher watcher_{"flagos-ocl-hold"};
};

// One open device.
class Device {
 public:
  // `given`: a context of the caller's, which gets a reference of ours; NULL: one of our own.
  Device(Instance& instance, std::uint32_t index, cl_context given = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Instance& instance() const noexcept { return instance_; }
  const Host& host() const noexcept { return instance_.host(); }
  const Driver& driver() const noexcept { return instance_.driver(); }
  const DeviceDescription& description() const noexcept { return description_; }
  cl_device_id id() const noexcept { return description_.id; }
  cl_context context() const noexcept { return context_; }
  // For what the plugin itself has to do; never behind work of a stream.
  cl_command_queue service_queue() const noexcept { return queue_; }
  Memory& memory() noexcept { return *memory_; }
  ProgramCache& programs() noexcept { return *programs_; }

  bool is_profiling() const noexcept { return profiling_.load(std::memory_order_relaxed); }
  void set_profiling(bool enabled) noexcept { profiling_.store(enabled); }
  // Tells core once.
  void report_lost(const char* text) noexcept;
  bool is_lost() const noexcept { return lost_.load(); }
  // One moment on both clocks.
  void get_clock(std::uint64_t* out_device_ns, std::uint64_t* out_host_ns);

  // What compile gave and nobody freed yet, by the address of its log.
  std::mutex compiled_mutex;
  std::unordered_map<const char*, std::shared_ptr<void>> compiled;

 private:
  cl_context make_context() const;
  cl_context take_context(cl_context given) const;

  Instance& instance_;
  const DeviceDescription& description_;
  cl_context context_ = nullptr;
  cl_command_queue queue_ = nullptr;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<ProgramCache> programs_;
  std::atomic<bool> profiling_{false};
  std::atomic<bool> lost_{false};
};

void instance_close(flagos_plugin_instance_t* instance) noexcept;
flagos_status_t device_get_count(flagos_plugin_instance_t* instance,
                                 std::uint32_t* out_count) noexcept;
flagos_status_t device_get_info(flagos_plugin_instance_t* instance, std::uint32_t index,
                                flagos_device_info_t* out_info) noexcept;
flagos_status_t device_open(flagos_plugin_instance_t* instance, std::uint32_t index,
                            flagos_plugin_device_t** out_device) noexcept;
void device_close(flagos_plugin_device_t* device) noexcept;
flagos_status_t device_query_memory(flagos_plugin_device_t* device, std::uint64_t* out_free_bytes,
                                    std::uint64_t* out_total_bytes) noexcept;
flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept;
flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept;
flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept;

}  // namespace flagos::opencl
