// An open device with a stream, an event, a kernel and two buffers: what the benchmarks call.
#pragma once

#include <flagos.h>
#include <flagos_plugin.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace flagos::bench {

inline void must(flagos_status_t status, const char* what) {
  if (status == FLAGOS_STATUS_OK) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, flagos_status_get_name(status), flagos_last_error());
  std::exit(1);
}

struct BenchDevice {
  // What to load the kernel from: a path, or else the image itself.
  BenchDevice(const std::vector<std::string>& plugins, const char* format, const std::string& path,
              const char* kernel_name, const std::string& image = "x") {
    flagos_runtime_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.abi_version = FLAGOS_ABI_VERSION;
    desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    must(flagos_runtime_create(&desc, &runtime), "flagos_runtime_create");
    for (const std::string& plugin : plugins)
      must(flagos_runtime_add_plugin(runtime, plugin.c_str()), plugin.c_str());
    must(flagos_device_open(runtime, 0, &device), "flagos_device_open");
    must(flagos_device_get_table(device, &table, &native_device), "flagos_device_get_table");
    must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
    must(flagos_event_create(device, nullptr, &event), "flagos_event_create");
    flagos_module_desc_t module_desc{};
    module_desc.struct_size = sizeof(module_desc);
    module_desc.format = format;
    if (path.empty()) {
      module_desc.data = image.data();
      module_desc.size_bytes = image.size();
    } else {
      module_desc.path = path.c_str();
    }
    must(flagos_module_load(device, &module_desc, &module), "flagos_module_load");
    kernel = get_kernel(kernel_name);
    must(flagos_stream_get_plugin_object(stream, &native_stream),
         "flagos_stream_get_plugin_object");
    must(flagos_event_get_plugin_object(event, &native_event), "flagos_event_get_plugin_object");
    must(flagos_kernel_get_plugin_object(kernel, &native_kernel),
         "flagos_kernel_get_plugin_object");
    target = alloc(1 << 20);
    source = alloc(1 << 20);
  }
  ~BenchDevice() { flagos_runtime_destroy(runtime); }
  BenchDevice(const BenchDevice&) = delete;
  BenchDevice& operator=(const BenchDevice&) = delete;

  flagos_kernel_t* get_kernel(const char* name) {
    flagos_kernel_desc_t kernel_desc{};
    kernel_desc.struct_size = sizeof(kernel_desc);
    kernel_desc.name = name;
    flagos_kernel_t* found = nullptr;
    must(flagos_module_get_kernel(module, &kernel_desc, &found), "flagos_module_get_kernel");
    return found;
  }

  flagos_address_t alloc(std::uint64_t size,
                         flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = kind;
    desc.size_bytes = size;
    flagos_address_t address = 0;
    must(flagos_memory_alloc(device, &desc, &address), "flagos_memory_alloc");
    return address;
  }

  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_event_t* event = nullptr;
  flagos_module_t* module = nullptr;
  flagos_kernel_t* kernel = nullptr;
  flagos_address_t target = 0;
  flagos_address_t source = 0;
  const flagos_plugin_t* table = nullptr;
  flagos_plugin_device_t* native_device = nullptr;
  flagos_plugin_stream_t* native_stream = nullptr;
  flagos_plugin_event_t* native_event = nullptr;
  flagos_plugin_kernel_t* native_kernel = nullptr;
};

// A launch of one block of one thread, with its argument block.
inline flagos_launch_desc_t launch_desc(const void* block, std::uint64_t bytes) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = block;
  desc.argument_bytes = bytes;
  return desc;
}

}  // namespace flagos::bench
