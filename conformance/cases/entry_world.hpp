// One live object of every type, and valid descs that refer to them: what a valid call is made of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

enum class Type : std::uint8_t {
  runtime,
  device,
  stream,
  event,
  module,
  blob,
  kernel,
  prepared,
  memory_pool,
  timeline,
  graph,
  graph_exec,
  profiler,
  communicator,
  physical_memory,
  count
};
inline constexpr std::size_t type_count = static_cast<std::size_t>(Type::count);
std::string name_of(Type type);
std::vector<Type> all_types();

// The handles of a world as plain values; 0 where the device has no such object.
using Handles = std::array<std::uint64_t, type_count>;

// Destroys an object of a type; kernels belong to their module and are left alone.
flagos_status_t destroy_object(Type type, std::uint64_t handle);

class World {
 public:
  // Opens the device of the case anew and makes one object of each type there.
  explicit World(Context& t);
  // The same in a runtime of the caller's.
  World(Context& t, flagos_runtime_t* runtime, std::uint32_t device_index);
  // No objects, only their former (or made-up) handles: every call must find them invalid.
  explicit World(const Handles& handles);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Destroys everything and says how that went.
  flagos_status_t close();

  const Handles& handles() const { return handles_; }
  std::uint64_t handle(Type type) const { return handles_[static_cast<std::size_t>(type)]; }
  flagos_runtime_t* runtime() const { return as<flagos_runtime_t>(Type::runtime); }
  flagos_device_t* device() const { return as<flagos_device_t>(Type::device); }
  flagos_stream_t* stream() const { return as<flagos_stream_t>(Type::stream); }
  flagos_event_t* event() const { return as<flagos_event_t>(Type::event); }
  flagos_module_t* module() const { return as<flagos_module_t>(Type::module); }
  flagos_kernel_t* kernel() const { return as<flagos_kernel_t>(Type::kernel); }
  flagos_memory_pool_t* pool() const { return as<flagos_memory_pool_t>(Type::memory_pool); }
  flagos_timeline_t* timeline() const { return as<flagos_timeline_t>(Type::timeline); }
  flagos_graph_t* graph() const { return as<flagos_graph_t>(Type::graph); }
  flagos_graph_exec_t* graph_exec() const { return as<flagos_graph_exec_t>(Type::graph_exec); }
  flagos_communicator_t* communicator() const {
    return as<flagos_communicator_t>(Type::communicator);
  }

  // Another live object of the type, the caller's to destroy; 0 where there is none.
  std::uint64_t make(Type type) const;
  // From here on a call that fails while something is made is no failure of the case, which may
  // have ended.
  void expect_nothing() { t_ = nullptr; }
  // A second open of the device, without a profiler.
  flagos_device_t* spare_device() const { return spare_device_; }
  std::uint32_t device_index() const { return device_index_; }
  std::string device_id() const { return device_id_; }
  const std::string& plugin_path() const { return plugin_path_; }
  bool live() const { return live_; }
  bool has(flagos_feature_t feature) const;

  // 4096 bytes of device memory; the lower half is what calls read, the upper half what they write.
  static constexpr std::uint64_t memory_size = 4096;
  flagos_address_t memory() const { return memory_; }
  flagos_address_t source() const { return memory_; }
  flagos_address_t target() const { return memory_ + 2048; }
  flagos_address_t zeros() const { return memory_ + 1024; }  // 64 bytes that stay zero
  flagos_graph_node_t node() const { return node_; }         // an EMPTY node of graph()
  // As much in the spare device.
  flagos_address_t spare_memory() const { return spare_memory_; }
  // What can be exported, and an export of it; 0 where the device cannot.
  flagos_address_t exportable_memory() const { return exportable_memory_; }
  flagos_event_t* exportable_event() const { return exportable_event_; }
  const flagos_external_t& external_memory() const { return external_memory_; }
  const flagos_external_t& external_event() const { return external_event_; }
  // Four units of reserved addresses, the first of them mapped; all zero where there are none.
  flagos_physical_memory_t* physical_memory() const {
    return as<flagos_physical_memory_t>(Type::physical_memory);
  }
  flagos_address_t reserved() const { return reserved_; }
  std::uint64_t unit() const { return unit_; }
  const flagos_external_t& external_physical() const { return external_physical_; }
  const std::vector<std::uint8_t>& image() const { return image_; }
  const std::string& image_format() const { return image_format_; }

  // A valid desc. What it points to lives as long as the world.
  void describe(flagos_runtime_desc_t& desc) const;
  void describe(flagos_memory_desc_t& desc) const;
  void describe(flagos_copy_2d_desc_t& desc) const;
  void describe(flagos_memory_pool_desc_t& desc) const;
  void describe(flagos_stream_desc_t& desc) const;
  void describe(flagos_event_desc_t& desc) const;
  void describe(flagos_module_desc_t& desc) const;
  void describe(flagos_kernel_desc_t& desc) const;
  void describe(flagos_launch_desc_t& desc) const;
  void describe(flagos_graph_node_desc_t& desc) const;
  void describe(flagos_kernel_node_desc_t& desc) const;
  void describe(flagos_copy_node_desc_t& desc) const;
  void describe(flagos_fill_node_desc_t& desc) const;
  void describe(flagos_host_node_desc_t& desc) const;
  void describe(flagos_event_node_desc_t& desc) const;
  void describe(flagos_child_node_desc_t& desc) const;
  void describe(flagos_profiler_desc_t& desc) const;
  void describe(flagos_tensor_t& tensor) const;
  void describe(flagos_operator_desc_t& desc) const;
  void describe(flagos_communicator_desc_t& desc) const;
  void describe(flagos_collective_desc_t& desc) const;
  void describe(flagos_physical_memory_desc_t& desc) const;
  template <class Desc>
  Desc valid() const {
    Desc desc{};
    describe(desc);
    return desc;
  }

  // Everything a failing call could have changed, as numbers and bytes.
  std::vector<std::uint64_t> snapshot() const;

 private:
  template <class Handle>
  Handle* as(Type type) const {
    return reinterpret_cast<Handle*>(handle(type));
  }
  void build();
  void build_memory();
  void build_exports();
  void close_exports();
  void build_virtual_memory();
  flagos_status_t close_virtual_memory();
  void made(flagos_status_t status, const char* what) const;
  void set(Type type, std::uint64_t handle) { handles_[static_cast<std::size_t>(type)] = handle; }
  std::uint64_t make_module() const;
  std::uint64_t make_prepared() const;
  std::uint64_t make_graph() const;
  std::uint64_t make_graph_exec() const;
  std::uint64_t make_communicator() const;

  Context* t_ = nullptr;
  bool live_ = false;
  Handles handles_{};
  std::uint32_t device_index_ = 0;
  std::string device_id_ = "none:0";
  std::string plugin_path_ = "none.so";
  flagos_device_t* spare_device_ = nullptr;
  flagos_address_t memory_ = 0x10000;
  flagos_address_t spare_memory_ = 0x10000;
  flagos_address_t exportable_memory_ = 0;
  flagos_event_t* exportable_event_ = nullptr;
  flagos_external_t external_memory_{};
  flagos_external_t external_event_{};
  flagos_address_t reserved_ = 0;
  std::uint64_t unit_ = 4096;
  std::uint64_t physical_flags_ = 0;
  flagos_external_t external_physical_{};
  flagos_graph_node_t node_ = 1;
  std::vector<std::uint8_t> image_;
  std::string image_format_ = "none";
  std::vector<flagos_argument_t> launch_arguments_;
  flagos_launch_desc_t node_launch_{};
};

}  // namespace flagos::conformance
