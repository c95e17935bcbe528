// Opens a plugin file as core does, but without core: its tables are called directly, with a host
// of the suite's own.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace flagos::conformance {

// The services a plugin gets; counts what it takes.
class ProbeHost {
 public:
  ProbeHost();
  ProbeHost(const ProbeHost&) = delete;
  ProbeHost& operator=(const ProbeHost&) = delete;

  const flagos_host_t* table() const { return &table_; }
  void offer(std::uint32_t abi_min, std::uint32_t abi_max);
  // From here on every allocation after the next `count` fails; -1: none fails.
  void fail_after(std::int64_t count) { allowed_ = count; }
  std::int64_t live_allocations() const { return live_; }
  std::string last_error() const;

 private:
  static ProbeHost& of(flagos_host_context_t* context) {
    return *reinterpret_cast<ProbeHost*>(context);
  }
  static void set_error(flagos_host_context_t* context, flagos_status_t status, const char* text);
  static void* allocate(flagos_host_context_t* context, std::uint64_t size,
                        std::uint64_t alignment);
  static void deallocate(flagos_host_context_t* context, void* pointer);

  flagos_host_t table_{};
  std::atomic<std::int64_t> live_{0};
  std::atomic<std::int64_t> allowed_{-1};
  mutable std::mutex mutex_;
  std::string last_error_;
};

// The library, mapped with RTLD_NOW and RTLD_LOCAL.
class PluginLibrary {
 public:
  explicit PluginLibrary(const std::string& path);
  ~PluginLibrary();
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  const std::string& error() const { return error_; }  // "" when it is mapped and has its entry
  flagos_plugin_open_t open() const { return open_; }

 private:
  void* handle_ = nullptr;
  flagos_plugin_open_t open_ = nullptr;
  std::string error_;
};

// One instance. Closed in the destructor.
class PluginProbe {
 public:
  PluginProbe(const PluginLibrary& library, std::uint32_t abi_min = FLAGOS_ABI_VERSION,
              std::uint32_t abi_max = FLAGOS_ABI_VERSION);
  ~PluginProbe();
  PluginProbe(const PluginProbe&) = delete;
  PluginProbe& operator=(const PluginProbe&) = delete;

  flagos_status_t status() const { return status_; }
  const flagos_plugin_t& plugin() const { return plugin_; }
  ProbeHost& host() { return host_; }
  // Copies, fills and events on a device through the tables; "" when all of it was right.
  std::string smoke(std::uint32_t ordinal);

 private:
  ProbeHost host_;
  flagos_plugin_t plugin_{};
  flagos_status_t status_ = FLAGOS_STATUS_INTERNAL;
};

// A slot of a group, to go through all of them.
struct Slot {
  const char* group;
  const char* name;
  bool required;
  bool filled;
};
std::vector<Slot> slots_of(const flagos_plugin_t& plugin);
// Whether the slots of an optional group, or of a set that comes together, agree; the first that
// does not, or "".
std::string inconsistent_set(const flagos_plugin_t& plugin);
bool slot_filled(const std::vector<Slot>& slots, const std::string& group, const std::string& name);

}  // namespace flagos::conformance
