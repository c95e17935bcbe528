// A plugin as core would open it, with a small host and short ways to say things; for the tests of plugins, which link one.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin);

namespace flagos::testing {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
using Config = std::map<std::string, std::string>;  // what core would find in the environment

// What core would be.
class TestHost {
 public:
  TestHost();
  const flagos_host_t& table() const { return table_; }
  std::string last_error();
  std::string log();  // all lines, each with a newline
  std::vector<flagos_record_t> take_records();
  int losses();  // how often a device was reported as lost

  Config config;

 private:
  flagos_host_t table_{};
  std::mutex mutex_;
  std::string error_;
  std::string log_;
  std::vector<flagos_record_t> records_;
  int losses_ = 0;
};

// An instance; devices are opened by whoever needs one.
class TestInstance {
 public:
  explicit TestInstance(Config config = {});
  ~TestInstance();
  TestInstance(const TestInstance&) = delete;
  TestInstance& operator=(const TestInstance&) = delete;

  std::uint32_t count() const;  // devices; 0 where it is not opened
  flagos_device_info_t info(std::uint32_t index) const;

  TestHost host;
  flagos_plugin_t api{};
  flagos_status_t opened = FLAGOS_STATUS_OK;
};

// A module that a test's kernels are in.
struct TestModule {
  const char* format = nullptr;
  std::vector<std::byte> image;
};

// The first device, open, with a module loaded. What it makes is destroyed with it.
class TestDevice : public TestInstance {
 public:
  TestDevice(Config config, const TestModule& module);
  ~TestDevice();

  flagos_plugin_device_t* get() const { return device_; }
  flagos_plugin_stream_t* stream(std::int32_t priority = 0);
  flagos_plugin_event_t* event(std::uint32_t flags = 0);
  flagos_plugin_kernel_t* kernel(const char* name);
  std::uint64_t alloc(std::uint64_t size_bytes,
                      flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE);  // zero
  template <typename Arguments>
  flagos_status_t launch(flagos_plugin_stream_t* stream, const char* name, const Arguments& arguments,
                         std::uint32_t grid = 1, std::uint32_t block = 1, std::uint32_t shared_bytes = 0) {
    return launch_bytes(stream, name, &arguments, sizeof(arguments), grid, block, shared_bytes);
  }
  flagos_status_t launch_bytes(flagos_plugin_stream_t* stream, const char* name, const void* arguments,
                               std::size_t size_bytes, std::uint32_t grid = 1, std::uint32_t block = 1,
                               std::uint32_t shared_bytes = 0);
  flagos_status_t load(const std::string& format, const void* data, std::size_t size_bytes,
                       flagos_plugin_module_t** out_module);
  flagos_status_t copy(flagos_plugin_stream_t* stream, std::uint64_t target, std::uint64_t source,
                       std::uint64_t size_bytes) {
    return api.memory->copy(stream, target, source, size_bytes);
  }
  flagos_status_t wait(flagos_plugin_stream_t* stream) { return api.stream->synchronize(stream, forever); }
  std::vector<std::uint32_t> read(flagos_plugin_stream_t* stream, std::uint64_t address, std::size_t count);

 private:
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_module_t* module_ = nullptr;
  std::vector<flagos_plugin_stream_t*> streams_;
  std::vector<flagos_plugin_event_t*> events_;
  std::vector<std::uint64_t> memory_;
  std::map<std::string, flagos_plugin_kernel_t*> kernels_;
};

flagos_launch_desc_t launch_desc(const void* arguments, std::size_t size_bytes, std::uint32_t grid = 1,
                                 std::uint32_t block = 1, std::uint32_t shared_bytes = 0);
flagos_module_desc_t module_desc(const char* format, const void* data, std::size_t size_bytes);
std::vector<std::byte> read_file(const char* path);

inline std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

}  // namespace flagos::testing
