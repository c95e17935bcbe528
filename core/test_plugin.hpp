// A plugin inside the test program: the required groups only unless told otherwise, one worker thread for a whole
// instance, and switches that make it hold its work or fail. For unit tests of core.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flagos::core::test {

// The tables of an instance. The optional groups from memory_pool on are absent unless a test fills one.
struct FakeTables {
  flagos_device_table_t device;
  flagos_memory_table_t memory;
  flagos_stream_table_t stream;
  flagos_event_table_t event;
  flagos_module_table_t module;
  flagos_kernel_table_t kernel;
  flagos_profiling_table_t profiling;
  flagos_interop_table_t interop;
  flagos_memory_pool_table_t memory_pool;
  flagos_timeline_table_t timeline;
  flagos_graph_table_t graph;
  flagos_topology_table_t topology;
};

// Read when an instance is opened.
struct FakeOptions {
  std::uint32_t device_count = 2;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  std::uint64_t capabilities = 0;  // beside the usual ones
  bool host_functions = false;     // stream.launch_host
  bool wide_fill = false;          // fill takes 8 and 16 bytes
  bool pinned = true;
  bool profiling = false;            // a record for every operation
  std::uint32_t foreign_memory = 0;  // bit per device: the host cannot use its addresses
  bool host_register = false;
  bool native = false;  // shows and wraps: a type "fake_<kind>" and the address of the object
  const char* name = "fake";
  const char* target = nullptr;  // a format that it compiles, such as "gnu-c++;isa=x86-64-v3"
  bool takes_tile = false;       // beside it, with a lower priority
  bool environment = false;      // the runtime reads variables
  const flagos_operators_table_t* operators = nullptr;
  const flagos_virtual_memory_table_t* virtual_memory = nullptr;
  const flagos_collective_table_t* collective = nullptr;
  // Other slots, and other words about the devices, than the usual ones.
  void (*change)(FakeTables& tables) = nullptr;
  void (*change_info)(flagos_device_info_t& info) = nullptr;
};

// Of the whole process; reset by Fake.
struct FakeControls {
  std::atomic<bool> hold{false};  // workers start nothing new
  std::atomic<bool> slow_free{false};
  std::atomic<std::uint64_t> frees_begun{0};
  // The next wait for a stream stops before it looks at it: asked for, reached, and free to go on with `none`.
  enum class Stop { none, wanted, reached };
  std::atomic<Stop> stop_wait{Stop::none};
  std::atomic<flagos_status_t> submit{0};       // what the next submission returns, once
  std::atomic<flagos_status_t> execute{0};      // what the next operation fails with, once
  std::atomic<std::uint64_t> execute_after{0};  // that many operations later
  std::atomic<flagos_status_t> lose{0};         // what the next operation reports the device lost with, once
  std::atomic<std::uint64_t> copies{0}, fills{0}, launches{0}, records{0}, waits{0}, allocs{0}, frees{0}, events{0},
      registered{0};
  // Compilations, and what the next ones return; modules; block and shared bytes of the last launch.
  std::atomic<std::uint64_t> compiles{0}, loads{0};
  std::atomic<flagos_status_t> compile{0}, load{0};
  std::atomic<std::int64_t> live_modules{0};
  std::atomic<std::uint32_t> block{0}, shared{0};
  const char* compiler = "fake compiler 1";
  std::atomic<std::int64_t> live_allocations{0}, live_events{0}, live_streams{0}, open_devices{0};
  void reset();
  std::vector<std::uint32_t> trail();  // what the kernel "append" was given, in order
};
FakeControls& fake();

// No call into flagos meanwhile. False only when it does not happen in a time in which everything would.
bool comes_true(const std::function<bool()>& condition);

// Queues work on a stream of the fake plugin, for tables that tests bring along.
flagos_status_t submit_fake(flagos_plugin_stream_t* stream, std::function<flagos_status_t()> work);

inline flagos_memory_desc_t exportable(flagos_memory_kind_t kind, std::uint64_t size_bytes) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  return desc;
}

// Fills in what a table that a test makes begins with.
template <typename Table>
Table& begin_table(Table& table) {
  table.struct_size = sizeof(Table);
  table.group_version = 1;
  return table;
}

void set_fake_options(const FakeOptions& options);
flagos_status_t open_fake(const flagos_host_t* host, flagos_plugin_t* out_plugin);

// A runtime with fake plugins ("fake", then "other" when two are asked for) and an open first device.
// Everything is destroyed, and the controls reset, at the end.
class Fake {
 public:
  explicit Fake(const FakeOptions& options = {}, int plugins = 1);
  ~Fake();
  Fake(const Fake&) = delete;
  Fake& operator=(const Fake&) = delete;

  flagos_runtime_t* runtime() const { return runtime_; }
  flagos_device_t* device() const { return device_; }
  flagos_device_t* open(std::uint32_t index);
  flagos_stream_t* stream(flagos_device_t* device = nullptr);
  flagos_event_t* event(flagos_device_t* device = nullptr);
  flagos_timeline_t* timeline(std::uint64_t value = 0, flagos_device_t* device = nullptr);
  flagos_address_t alloc(std::uint64_t size_bytes, flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE,
                         flagos_device_t* device = nullptr, std::uint64_t flags = 0);
  // "noop" (), "append" (uint32), "add" (address, uint32 count, uint32 value), "fail" ()
  flagos_kernel_t* kernel(const char* name);
  // One block of one thread of "append".
  flagos_status_t append(flagos_stream_t* stream, std::uint32_t value);
  flagos_status_t launch(flagos_stream_t* stream, const char* name);

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_module_t* module_ = nullptr;
};

}  // namespace flagos::core::test
