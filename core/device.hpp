// An open device: parent of streams, events, modules and memory; knows what of it lives and what is pending.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/address_map.hpp"
#include "core/attachments.hpp"
#include "core/object.hpp"
#include "core/plugin.hpp"
#include "core/release_queue.hpp"

namespace flagos::core {

class Marker;
class Profiler;
class Runtime;
class Stream;
class TileTable;
class TransferPort;

class Device : public Object {
 public:
  static constexpr Tag tag_of = Tag::device;

  // With `native` on a context of the caller's own.
  Device(Runtime& runtime, Plugin& plugin, std::uint32_t ordinal, const flagos_device_info_t& info,
         const flagos_native_t* native = nullptr, std::uint64_t flags = 0);
  ~Device() override;

  Runtime& runtime() const { return runtime_; }
  Plugin& plugin() const { return plugin_; }
  const Tables& tables() const { return tables_; }
  const flagos_device_info_t& info() const { return info_; }
  flagos_plugin_device_t* native() const { return native_; }

  flagos_support_t support(flagos_feature_t feature) const { return support_[static_cast<std::size_t>(feature)]; }
  // Throws UNSUPPORTED, naming device and feature, when it is absent.
  void require_feature(flagos_feature_t feature, const char* name) const;

  // ---- state ----
  flagos_status_t lost() const { return lost_.load(std::memory_order_acquire); }
  void throw_if_lost() const;
  void set_lost(flagos_status_t status, const std::string& text);  // wakes everybody
  void clear_lost() { lost_.store(FLAGOS_STATUS_OK, std::memory_order_release); }

  // Ends all children, for the end of the runtime: waits up to `timeout_ns` for their work, then cancels waits.
  void destroy_children(std::uint64_t timeout_ns);

  // ---- children; see Child ----
  void count(Tag tag, std::int64_t delta) {
    live_[static_cast<std::size_t>(tag)].fetch_add(delta, std::memory_order_relaxed);
  }
  std::string describe_children() const;  // "2 streams, 1 event", "" when there are none

  void attach(Stream* stream);
  void detach(Stream* stream);
  // Calls `function` for every live stream; each is kept while it runs.
  void for_each_stream(const std::function<void(Stream&)>& function);

  // ---- memory ----
  AddressMap& addresses() { return addresses_; }
  // Allocations and registrations of the application; segments of pools are not counted.
  void count_allocation(std::int64_t delta) { own_allocations_.fetch_add(delta, std::memory_order_relaxed); }
  // The device's address of registered host memory, 0 when there is none.
  // False when it is there already.
  bool add_registered(flagos_address_t pointer, flagos_address_t address);
  void remove_registered(flagos_address_t pointer);
  flagos_address_t registered_address(flagos_address_t pointer);
  // Throws INVALID_ARGUMENT for address 0, a range that wraps, or one that ends past its allocation.
  // In reserved addresses also where nothing is mapped, or the device has no such access.
  void check_range(flagos_address_t address, std::uint64_t size, const char* what,
                   flagos_memory_access_t access = FLAGOS_MEMORY_ACCESS_READ);

  // ---- releases that wait for pending work ----
  ReleaseQueue& releases() { return releases_; }

  // ---- copies between devices; see peer_copy.hpp ----
  // Work of another device's stream uses memory of this one until `marker` is done.
  void hold(std::shared_ptr<Marker> marker);
  std::vector<std::shared_ptr<Marker>> holds();
  std::unique_ptr<TransferPort> take_port();  // nullptr when none is idle
  void give_port(std::unique_ptr<TransferPort> port);

  // Waits for the work of all streams; TIMEOUT or OK, else the first bad status.
  flagos_status_t synchronize(std::uint64_t timeout_ns);

  // ---- portable kernels; see tile_program.hpp ----
  TileTable& tiles() { return *tiles_; }

  // ---- native operators; see operators.hpp ----
  const std::vector<flagos_operator_info_t>& operators() const { return operators_; }

  // ---- what libraries built on flagos keep here ----
  Attachments& attachments() { return attachments_; }

  std::atomic<Profiler*> profiler{nullptr};
  std::mutex profiler_mutex;

 private:
  void fill_support();
  bool allocates(flagos_memory_kind_t kind);
  bool fills_wide();

  Runtime& runtime_;
  Plugin& plugin_;
  const Tables& tables_;
  const flagos_device_info_t info_;
  flagos_plugin_device_t* native_ = nullptr;
  std::array<flagos_support_t, FLAGOS_FEATURE_COUNT> support_{};
  std::atomic<flagos_status_t> lost_{FLAGOS_STATUS_OK};
  std::array<std::atomic<std::int64_t>, tag_count> live_{};
  std::mutex streams_mutex_;
  std::vector<Stream*> streams_;
  AddressMap addresses_;
  std::map<flagos_address_t, flagos_address_t> registered_;  // by host pointer; under streams_mutex_
  std::atomic<std::int64_t> own_allocations_{0};
  std::vector<std::shared_ptr<Marker>> holds_;             // under streams_mutex_
  std::vector<std::unique_ptr<TransferPort>> idle_ports_;  // under streams_mutex_
  ReleaseQueue releases_;
  std::unique_ptr<TileTable> tiles_;
  std::vector<flagos_operator_info_t> operators_;
  Attachments attachments_;
};

// What belongs to a device: counted there while its handle is live, keeps the device itself alive.
class Child : public Object {
 public:
  Child(Tag tag, Device& device) : Object(tag), device_(&device) {}
  Device& device() const { return *device_; }
  const Tables& tables() const { return device_->tables(); }
  // The table's reference is kept until the work that was pending has passed: it may use the object.
  void retired() override;
  // Right after the handle has ended: wakes whoever waits on the object.
  virtual void on_destroy() {}

 private:
  Ref<Device> device_;
};

// Publishes a child: counts it and gives it a handle. The inverse is destroy_child.
template <typename Handle, typename T>
Handle* publish(Ref<T> child);
// Ends the handle, counts down, runs on_destroy (if T has it), and drops it. INVALID_HANDLE if another was faster.
template <typename T>
void destroy_child(T& child);

// Takes the allocation that starts at `base` out of the device's map, if `wanted` accepts it, and frees it when pending
// work has passed; see memory.cpp.
std::optional<Allocation> release_allocation(Device& device, flagos_address_t base,
                                             const std::function<bool(const Allocation&)>& wanted);

// Enters what the plugin has just allocated; takes it back if that fails.
void add_allocation(Device& device, const Allocation& allocation);

// Throws INVALID_ARGUMENT unless both belong to the same open device.
void check_same_device(const Device& expected, const Device& found, const char* what);
[[noreturn]] void throw_handle_gone(Tag tag);

}  // namespace flagos::core

#include "core/device_inline.hpp"
