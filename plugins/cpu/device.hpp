// The plugin's instance and its devices: the host's processors in one piece, or split into
// FLAGOS_CPU_DEVICES.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/cpu/blas.hpp"
#include "plugins/cpu/callback_pool.hpp"
#include "plugins/cpu/child_compiler.hpp"
#include "plugins/cpu/event.hpp"
#include "plugins/cpu/memory.hpp"
#include "plugins/cpu/onednn.hpp"
#include "plugins/cpu/parking.hpp"
#include "plugins/cpu/thread_pool.hpp"
#include "plugins/cpu/value_poller.hpp"

namespace flagos::cpu {

class Stream;

constexpr std::int32_t priority_high = -2;
constexpr std::int32_t priority_low = 2;
static_assert(priority_low - priority_high + 1 == ThreadPool::level_count);

// What all devices of one flagos_plugin_open share.
class Instance {
 public:
  explicit Instance(const flagos_host_t& host);

  const Host& host() const noexcept { return host_; }
  std::uint32_t device_count() const noexcept { return device_count_; }
  void describe(std::uint32_t index, flagos_device_info_t& info) const;
  ThreadPool::Options pool_options(std::uint32_t index) const;
  MemoryAccount& memory(std::uint32_t index) noexcept { return accounts_[index]; }
  ChildCompiler& compiler() noexcept { return compiler_; }
  Blas& blas() noexcept { return blas_; }
  Onednn& onednn() noexcept { return onednn_; }
  // True once.
  bool first_interpreted() noexcept { return !has_interpreted_.exchange(true); }

  ParkLot lot;
  RecordPool records{lot};
  Signal timeline_signal;  // host waits for any timeline
  ValuePoller poller{lot};
  std::atomic<std::uint64_t> next_stream_id{1};

 private:
  const Host host_;
  ChildCompiler compiler_{host_};
  Blas blas_{host_};
  Onednn onednn_{host_};
  std::atomic<bool> has_interpreted_{false};
  std::uint32_t device_count_;
  std::uint32_t thread_limit_;
  std::vector<int> processors_;
  std::unique_ptr<MemoryAccount[]> accounts_;
};

// One open device.
class Device {
 public:
  Device(Instance& instance, std::uint32_t index);

  Instance& instance() const noexcept { return instance_; }
  const Host& host() const noexcept { return instance_.host(); }
  ThreadPool& pool() noexcept { return pool_; }
  CallbackPool& callbacks() noexcept { return callbacks_; }
  MemoryHeap& heap() noexcept { return heap_; }

  bool is_profiling() const noexcept { return profiling_.load(std::memory_order_relaxed); }
  void set_profiling(bool enabled) noexcept { profiling_.store(enabled); }

  void add(Stream& stream);
  void remove(Stream& stream) noexcept;
  flagos_status_t synchronize(std::uint64_t timeout_ns);

  // A kernel ended with DEVICE_LOST: the host is told once, and every stream gives up what it has.
  void lose(const Failure& failure) noexcept;
  bool is_lost() const noexcept { return lost_.load(); }
  void recover() noexcept { lost_.store(false); }

 private:
  Instance& instance_;
  MemoryHeap heap_;
  ThreadPool pool_;
  CallbackPool callbacks_;
  std::atomic<bool> profiling_{false};
  std::atomic<bool> lost_{false};
  std::mutex streams_mutex_;
  std::vector<Stream*> streams_;
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
flagos_status_t device_recover(flagos_plugin_device_t* device) noexcept;
flagos_status_t topology_get_link(flagos_plugin_instance_t* instance, std::uint32_t from_index,
                                  std::uint32_t to_index, flagos_link_info_t* out_info) noexcept;
flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept;
flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept;

}  // namespace flagos::cpu
