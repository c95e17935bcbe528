// What the operators keep for an open device: its properties, kernels that are loaded, a pool for workspace.
#pragma once

#include <flagos.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/client.hpp"
namespace flagos::ops {

// Says which kernel is meant: the operator and everything that its text depends on. Exact, not a hash.
class Key {
 public:
  Key() = default;
  explicit Key(std::uint32_t operator_index) { add(operator_index, 12); }
  Key& add(std::uint64_t value, int bits);
  std::size_t hash() const { return (low_ * 0x9e3779b97f4a7c15U) ^ (high_ * 0xc2b2ae3d27d4eb4fU); }
  friend bool operator==(const Key&, const Key&) = default;

 private:
  std::uint64_t low_ = 0, high_ = 0;
  int used_ = 0;
};

class Device {
 public:
  // The device of a stream. Throws Error when there is none, or when it takes no portable kernels.
  static std::shared_ptr<Device> of(flagos_stream_t* stream);

  explicit Device(flagos_device_t* handle);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  flagos_device_t* handle() const { return handle_; }
  const flagos_device_info_t& info() const { return info_; }
  // Programs run one after the other on wide cores; else many at once, in threads.
  bool is_serial() const { return serial_; }
  // How many programs of a kernel keep the device busy.
  std::uint32_t programs() const { return programs_; }

  // Where the device lists its own version of an operator of ours.
  static constexpr std::uint32_t not_native = UINT32_MAX;
  std::uint32_t native_index(std::uint32_t op) const { return native_[op]; }
  // Never used again in the process, as addresses are.
  std::uint64_t number() const { return number_; }

  // The kernel of this key; `build` gives its text, which is compiled and loaded the first time.
  template <typename Build>
  flagos_kernel_t* kernel(const Key& key, Build&& build) {
    if (flagos_kernel_t* const found = find(key)) return found;
    return load(key, std::function<std::string()>(std::forward<Build>(build)));
  }

  // Memory that work on `stream` may use until it is freed on the same stream. While the stream is captured the memory
  // stays with the graph: it is kept until the device is closed.
  flagos_address_t alloc(flagos_stream_t* stream, std::uint64_t size_bytes, bool& out_captured);
  void free(flagos_stream_t* stream, flagos_address_t address, bool captured) noexcept;

 private:
  struct Node {
    Key key;
    Node* next;
    std::once_flag once;
    std::atomic<flagos_kernel_t*> kernel{nullptr};
  };
  static constexpr std::size_t slot_count = 1024;

  flagos_kernel_t* find(const Key& key) const {
    for (const Node* node = slots_[key.hash() % slot_count].load(std::memory_order_acquire); node;
         node = node->next)
      if (node->key == key) return node->kernel.load(std::memory_order_acquire);
    return nullptr;
  }
  flagos_kernel_t* load(const Key& key, const std::function<std::string()>& build);
  flagos_kernel_t* load_text(const std::string& text);
  static void release(flagos_device_t* device, void* attachment);
  void give_back();

  flagos_device_t* handle_;

  flagos_device_info_t info_{};
  bool serial_ = false;
  std::uint32_t programs_ = 1;
  std::atomic<bool> closed_{false};
  std::array<std::atomic<Node*>, slot_count> slots_{};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<flagos_module_t*> modules_;
  std::vector<flagos_address_t> captured_;
  std::atomic<flagos_memory_pool_t*> pool_{nullptr};
  const std::uint64_t number_;
  const std::vector<std::uint32_t> native_;  // by operator of ours
};

// Workspace of one call.
class Workspace {
 public:
  Workspace(Device& device, flagos_stream_t* stream, std::uint64_t size_bytes)
      : device_(device), stream_(stream), address_(device.alloc(stream, size_bytes, captured_)) {}
  ~Workspace() { device_.free(stream_, address_, captured_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  flagos_address_t address() const { return address_; }

 private:
  Device& device_;
  flagos_stream_t* stream_;
  bool captured_ = false;
  flagos_address_t address_;
};

}  // namespace flagos::ops
