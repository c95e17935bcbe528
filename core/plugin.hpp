// One opened plugin: its library, its completed tables, its devices. Belongs to a runtime.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct flagos_host_context_t {};  // the base of core's Plugin, so that the C name is complete

namespace flagos::core {

class Device;
class Runtime;

// The tables of a plugin with no slot missing: what the plugin left out returns UNSUPPORTED.
struct Tables {
  flagos_plugin_t root;  // points into the rest
  flagos_device_table_t device;
  flagos_memory_table_t memory;
  flagos_stream_table_t stream;
  flagos_event_table_t event;
  flagos_module_table_t module;
  flagos_kernel_table_t kernel;
  flagos_memory_pool_table_t memory_pool;
  flagos_timeline_table_t timeline;
  flagos_graph_table_t graph;
  flagos_profiling_table_t profiling;
  flagos_interop_table_t interop;
  flagos_topology_table_t topology;
  flagos_operators_table_t operators;
  flagos_virtual_memory_table_t virtual_memory;
  flagos_collective_table_t collective;
  // What the plugin itself filled.
  struct {
    bool synchronize, query_status, recover, copy_2d, update, host_register, prefetch, launch_host, write_value,
        wait_value, reset;
    bool kernel_names, global, log, binary, compile, compiler, occupancy, suggest_block, prepare;
    bool memory_pool, timeline, graph, profiling, topology, operators, virtual_memory, collective;
    bool copy_peer, export_memory, export_physical_memory, native_objects;
    bool communicator_abort, collective_groups;
    bool collectives[FLAGOS_COLLECTIVE_OPERATION_COUNT];
  } has;
};

// Throws Error (PLUGIN_PROTOCOL) that names the table and slot when a required one is missing or a table is short.
void complete_tables(const flagos_plugin_t& raw, Tables& tables);

class Plugin : public flagos_host_context_t {
 public:
  Plugin(Runtime& runtime, std::string path, bool environment);
  ~Plugin();  // closes the instance
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // Negotiates and opens through the library's symbol; throws Error.
  void open(flagos_plugin_open_t entry_point);
  void read_devices();  // throws Error when a device is nonsense

  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }
  std::string vendor() const;
  std::string version() const;
  std::uint32_t abi_version() const { return tables_.root.abi_version; }
  const Tables& tables() const { return tables_; }
  flagos_plugin_instance_t* instance() const { return tables_.root.instance; }
  const std::vector<flagos_device_info_t>& devices() const { return devices_; }

  // Open devices, so that report_device_error and emit_record find core's object.
  void attach(flagos_plugin_device_t* native, Device* device);
  void detach(flagos_plugin_device_t* native);

 private:
  friend struct HostServices;

  Runtime& runtime_;
  std::string path_;
  std::string name_;
  bool environment_;
  bool opened_ = false;
  flagos_host_t host_{};
  Tables tables_{};
  std::vector<flagos_device_info_t> devices_;
  std::mutex mutex_;
  std::map<flagos_plugin_device_t*, Device*> open_devices_;
  std::map<std::string, std::string> config_;  // what get_config returned; the texts must live until close
};

}  // namespace flagos::core
