// The plugin's instance with the devices that the loader has, and an open device.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/event.hpp"
#include "plugins/vulkan/host_pool.hpp"
#include "plugins/vulkan/memory.hpp"
#include "plugins/vulkan/physical_device.hpp"
#include "plugins/vulkan/pipeline_cache.hpp"
#include "plugins/vulkan/queue.hpp"

namespace flagos::vulkan {

class SemaphoreWatch;
class Stream;

// What all devices of one flagos_plugin_open share.
//
// One lock guards streams, queues, events and timelines of all devices: an event may be waited for
// by a stream of another device, and sections are short. Nothing waits for work with it held.
class Instance {
 public:
  explicit Instance(const flagos_host_t& host);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const Host& host() const noexcept { return host_; }
  const InstanceFunctions& functions() const noexcept { return functions_; }
  const Loader& loader() const noexcept { return *loader_; }
  VkInstance handle() const noexcept { return handle_; }
  std::uint32_t device_count() const noexcept {
    return static_cast<std::uint32_t>(devices_.size());
  }
  const PhysicalDevice& physical(std::uint32_t index) const { return *devices_[index]; }
  std::atomic<std::uint64_t>& used_bytes(std::uint32_t index) { return used_bytes_[index]; }
  void describe(std::uint32_t index, flagos_device_info_t& info) const;
  bool is_fake() const noexcept { return is_fake_; }
  bool shares_memory() const noexcept;  // every device does

  std::mutex mutex;
  // Something completed, failed or grew; notified only while `sleepers` is not 0.
  std::condition_variable changed;
  std::uint32_t sleepers = 0;
  RecordPool records;
  std::vector<Stream*> ready;  // they can go on, see Stream::run_ready
  std::atomic<std::uint64_t> next_stream_id{1};

  void notify() noexcept {
    if (sleepers != 0) changed.notify_all();
  }

 private:
  void open_loader();
  void find_devices();
  void find_groups(std::vector<std::unique_ptr<PhysicalDevice>>& devices) const;

  const Host host_;
  const Loader* loader_ = nullptr;
  VkInstance handle_ = VK_NULL_HANDLE;
  InstanceFunctions functions_;
  bool is_fake_ = false;
  std::vector<std::unique_ptr<PhysicalDevice>> devices_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> used_bytes_;
};

// One open device.
class Device {
 public:
  // A VkDevice of the caller's.
  struct Native {
    VkDevice device;
    VkInstance instance;
    std::uint32_t queue_count;
    bool own;
  };
  Device(Instance& instance, std::uint32_t index, const Native* native = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Instance& instance() const noexcept { return instance_; }
  const Host& host() const noexcept { return instance_.host(); }
  const PhysicalDevice& physical() const noexcept { return physical_; }
  const DeviceFunctions& vk() const noexcept { return vk_; }
  VkDevice handle() const noexcept { return handle_; }
  Heap& heap() noexcept { return *heap_; }
  HostPool& pool() noexcept { return *pool_; }
  SemaphoreWatch& semaphore_watch() noexcept { return *semaphore_watch_; }
  VkInstance driver_instance() const noexcept { return driver_instance_; }
  std::uint32_t queue_count() const noexcept { return static_cast<std::uint32_t>(queues_.size()); }
  // NULL when it is none of this device's.
  Queue* find_queue(VkQueue handle) const noexcept;
  PipelineCache& pipelines() noexcept { return *pipelines_; }
  // Copies go through memory that the host can reach, since it cannot reach the device's.
  bool needs_staging() const noexcept { return needs_staging_; }

  // With the lock held.
  Queue& choose_queue() noexcept;
  void add(Stream& stream) { streams_.push_back(&stream); }
  void remove(Stream& stream) noexcept;
  std::size_t stream_count() const noexcept { return streams_.size(); }
  bool is_lost() const noexcept { return lost_ != nullptr; }
  const Failure& loss() const noexcept { return lost_; }
  // Everything that is queued ends with DEVICE_LOST.
  void lose(const Failure& failure) noexcept;

  // What core reads until it says that it is done.
  void keep(const void* key, std::shared_ptr<const void> object);
  void let_go(const void* key) noexcept;

  // With the lock held.
  bool is_profiling() const noexcept { return is_profiling_; }
  // The device's time at a time of the host's, no later than it was.
  std::uint64_t device_ns(std::uint64_t host_ns) const noexcept {
    return host_ns + static_cast<std::uint64_t>(clock_offset_ns_);
  }
  // Without it: runs `body` on a stream of our own, for what core does not ask a stream to do. Where that throws, the stream
  // goes on as if nothing had been.
  template <typename Body>
  void run_internally(const Body& body) {
    const std::shared_ptr<Stream> stream = internal_stream();
    try {
      body(*stream);
    } catch (...) {
      mend(*stream);
      throw;
    }
  }
  // See profile.cpp. What the device's clock said between two times of the host's.
  struct Moment {
    std::uint64_t before_ns, device_ns, after_ns;
  };
  Moment look_at_clock();
  void set_profiling(bool enabled);

  // Without the lock: tells core of a loss, once.
  void deliver() noexcept;
  flagos_status_t synchronize(std::uint64_t timeout_ns);

  // Waits a moment for all devices that are open, at the exit of the process.
  static void pause_at_exit() noexcept;

 private:
  // A stream of our own, for what core does not ask a stream to do.
  struct Internal {
    std::shared_ptr<Stream> stream;
    void reset_under(Device& device) noexcept;
  };

  std::shared_ptr<Stream> internal_stream();
  static void mend(Stream& stream) noexcept;
  Moment look_well();
  void note_open() noexcept;
  void note_closed() noexcept;
  void create_device();
  void adopt_device(const Native& native);
  void destroy() noexcept;

  Instance& instance_;
  Device* next_open_ = nullptr;
  const PhysicalDevice& physical_;
  VkDevice handle_ = VK_NULL_HANDLE;
  DeviceFunctions vk_;
  VkInstance driver_instance_ = VK_NULL_HANDLE;
  bool is_borrowed_ = false;
  bool needs_staging_ = false;
  bool is_profiling_ = false;
  std::int64_t clock_offset_ns_ = 0;
  Failure lost_;
  std::atomic<bool> report_pending_{false};
  std::vector<Stream*> streams_;
  std::unique_ptr<Heap> heap_;
  std::unique_ptr<PipelineCache> pipelines_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::unique_ptr<HostPool> pool_;
  std::unique_ptr<SemaphoreWatch> semaphore_watch_;
  Internal internal_;
  std::mutex kept_mutex_;
  std::map<const void*, std::shared_ptr<const void>> kept_;
};

// The instance's lock, held for a call about `device`. At its end streams that can go on do, and what
// became known is told to core.
class Lock {
 public:
  explicit Lock(Device& device) : device_(device), lock_(device.instance().mutex) {}
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  void unlock() { lock_.unlock(); }
  void lock() { lock_.lock(); }
  std::unique_lock<std::mutex>& raw() noexcept { return lock_; }

 private:
  Device& device_;
  std::unique_lock<std::mutex> lock_;
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
flagos_status_t device_synchronize(flagos_plugin_device_t* device,
                                   std::uint64_t timeout_ns) noexcept;
flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept;

}  // namespace flagos::vulkan
