// The plugin's instance, which knows the driver's devices, and a device that was opened: the primary context, which the CUDA
// runtime and frameworks use too, or the caller's.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/plugin_host.hpp"
#include "base/watcher.hpp"
#include "plugins/nvidia/discovery.hpp"
#include "plugins/nvidia/driver.hpp"
#include "plugins/nvidia/event.hpp"
#include "plugins/nvidia/memory.hpp"

namespace flagos::nvidia {

class Clock;
class CublasLt;
class Nccl;
class Nvrtc;
class Products;

// What all devices of one flagos_plugin_open share.
class Instance {
 public:
  explicit Instance(const flagos_host_t& host);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const Host& host() const noexcept { return host_; }
  const Driver& driver() const noexcept { return *driver_; }
  const std::vector<DeviceDescription>& devices() const noexcept { return devices_; }
  Watcher& watcher() noexcept { return watcher_; }
  // NULL where there is none.
  const Nvrtc* nvrtc() const noexcept { return nvrtc_; }
  const Nccl* nccl() const noexcept { return nccl_; }
  const CublasLt* cublaslt() const noexcept { return cublaslt_; }

  std::atomic<std::uint64_t> next_stream_id{1};

 private:
  // NULL, and a line in the log, where there is none that works; throws when FLAGOS_NVIDIA_DRIVER names it.
  const Driver* open_driver();

  const Host host_;
  const Driver* driver_ = nullptr;
  const Nvrtc* nvrtc_ = nullptr;
  const Nccl* nccl_ = nullptr;
  const CublasLt* cublaslt_ = nullptr;
  std::vector<DeviceDescription> devices_;
  Watcher watcher_{"flagos-nv-watch"};
};

// One open device.
class Device {
 public:
  // `given`: a context of the caller's, which stays open as long as this; NULL: the primary one. With `owned` it is
  // destroyed with this.
  Device(Instance& instance, std::uint32_t index, CUcontext given = nullptr, bool owned = false);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Instance& instance() const noexcept { return instance_; }
  const Host& host() const noexcept { return instance_.host(); }
  const Driver& driver() const noexcept { return instance_.driver(); }
  const DeviceDescription& description() const noexcept { return description_; }
  CUdevice id() const noexcept { return description_.id; }
  CUcontext context() const noexcept { return context_; }
  bool is_primary() const noexcept { return is_primary_; }
  // For what the plugin itself has to do; never behind work of a stream.
  CUstream service_stream() const noexcept { return service_stream_; }
  Memory& memory() noexcept { return *memory_; }
  EventPool& events() noexcept { return *events_; }
  Clock& clock() noexcept { return *clock_; }
  Products& products() noexcept { return *products_; }  // where there is a cuBLASLt

  bool is_profiling() const noexcept { return profiling_.load(std::memory_order_relaxed); }
  void set_profiling(bool enabled);
  // Throws what `code` stands for; a context that is of no use any more is told to core, once.
  void check(CUresult code, const char* call) {
    if (code != CUDA_SUCCESS) [[unlikely]]
      fail(code, call);
  }
  [[noreturn]] void fail(CUresult code, const char* call);
  void report_lost(CUresult code, const char* call) noexcept;
  bool is_lost() const noexcept { return lost_.load(); }

  // Streams that are alive, for those that know one by its handle only.
  void add_stream(CUstream stream);
  void remove_stream(CUstream stream) noexcept;
  template <typename Use>
  CUresult with_stream(CUstream stream, const Use& use, bool* out_is_live) {
    const std::lock_guard lock(streams_mutex_);
    *out_is_live = streams_.count(stream) != 0;
    return *out_is_live ? use(stream) : CUDA_SUCCESS;
  }

  // What compile gave and nobody freed yet, by the address of its log.
  std::mutex compiled_mutex;
  std::unordered_map<const char*, std::shared_ptr<void>> compiled;
  std::string compiler_identity;

 private:
  void close() noexcept;

  Instance& instance_;
  const DeviceDescription& description_;
  CUcontext context_ = nullptr;
  const bool is_primary_;
  const bool is_owned_;
  CUstream service_stream_ = nullptr;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<EventPool> events_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Products> products_;
  std::mutex streams_mutex_;
  std::unordered_set<CUstream> streams_;
  std::atomic<bool> profiling_{false};
  std::atomic<bool> lost_{false};
};

// The body of an entry that calls the driver: in the device's context.
template <typename Body>
flagos_status_t device_entry(Device& device, Body&& body) noexcept {
  return entry(device.host(), [&] {
    const Current current(device.driver(), device.context());
    return body();
  });
}

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

}  // namespace flagos::nvidia
