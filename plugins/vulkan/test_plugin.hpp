// The plugin as core would open it, with a small host and short ways to say things; for the tests.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin);

namespace flagos::vulkan::test {

using Config = std::map<std::string, std::string>;
constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

// What core would be.
class TestHost {
 public:
  TestHost();
  const flagos_host_t& table() const { return table_; }
  std::string last_error();
  std::string log();    // all lines
  int device_errors();  // how often a loss was reported
  std::vector<flagos_record_t> take_records();

  Config config;

 private:
  flagos_host_t table_{};
  std::mutex mutex_;
  std::string error_;
  std::string log_;
  int device_errors_ = 0;
  std::vector<flagos_record_t> records_;
};

// An instance of the plugin.
class TestPlugin {
 public:
  explicit TestPlugin(const Config& config = {});
  ~TestPlugin();
  TestPlugin(const TestPlugin&) = delete;
  TestPlugin& operator=(const TestPlugin&) = delete;
  std::uint32_t device_count();

  TestHost host;
  flagos_plugin_t api{};
};

// The first device, open, with the test kernels loaded. Without any device the test is skipped.
class TestDevice : public TestPlugin {
 public:
  explicit TestDevice(const Config& config = {});
  ~TestDevice();

  flagos_plugin_device_t* get() const { return device_; }
  flagos_plugin_stream_t* stream();                       // destroyed with the device
  flagos_plugin_event_t* event(std::uint32_t flags = 0);  // destroyed with the device
  flagos_plugin_kernel_t* kernel(const char* name);
  std::uint64_t alloc(std::uint64_t size_bytes,
                      flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE);  // freed with it
  template <typename Arguments>
  flagos_status_t launch(flagos_plugin_stream_t* stream, const char* name,
                         const Arguments& arguments, std::uint32_t grid, std::uint32_t block) {
    return launch_bytes(stream, name, &arguments, sizeof(arguments), grid, block);
  }
  flagos_status_t launch_bytes(flagos_plugin_stream_t* stream, const char* name,
                               const void* arguments, std::size_t size_bytes, std::uint32_t grid,
                               std::uint32_t block);
  flagos_status_t copy(flagos_plugin_stream_t* stream, std::uint64_t target, std::uint64_t source,
                       std::uint64_t size_bytes) {
    return api.memory->copy(stream, target, source, size_bytes);
  }
  flagos_status_t wait(flagos_plugin_stream_t* stream) {
    return api.stream->synchronize(stream, forever);
  }

 private:
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_module_t* module_ = nullptr;
  std::vector<flagos_plugin_stream_t*> streams_;
  std::vector<flagos_plugin_event_t*> events_;
  std::vector<std::uint64_t> memory_;
};

flagos_module_desc_t module_desc(const char* format, const std::vector<std::byte>& image);
std::vector<std::byte> test_spirv();
std::vector<std::byte> test_glsl();

inline std::uint64_t address_of(const void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

}  // namespace flagos::vulkan::test
