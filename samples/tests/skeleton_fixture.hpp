// A host of the tests' own for the skeleton plugin, and its objects: what core is in real life.
#pragma once

#include <dlfcn.h>
#include <flagos_plugin.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace flagos::samples {

using Bytes = std::vector<std::uint8_t>;

struct Host {
  Host() {
    table.struct_size = sizeof(table);
    table.abi_version_min = FLAGOS_MAKE_VERSION(1, 0);
    table.abi_version_max = FLAGOS_ABI_VERSION;
    table.context = reinterpret_cast<flagos_host_context_t*>(this);
    table.set_error = [](flagos_host_context_t*, flagos_status_t status, const char* message) {
      last_status = status;
      text = message;
    };
  }
  flagos_host_t table{};
  static inline thread_local flagos_status_t last_status = FLAGOS_STATUS_OK;
  static inline thread_local std::string text;
};
inline flagos_plugin_open_t open_symbol() {
  static void* library = dlopen(FLAGOS_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  REQUIRE_MESSAGE(library != nullptr, dlerror());
  return reinterpret_cast<flagos_plugin_open_t>(dlsym(library, FLAGOS_PLUGIN_OPEN_SYMBOL));
}

inline Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

inline std::size_t entries(const char* folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// One instance with its device open; closes both.
struct Fixture {
  Fixture() {
    root.struct_size = sizeof(root);
    REQUIRE(open_symbol()(&host.table, &root) == FLAGOS_STATUS_OK);
    REQUIRE(root.device->open(root.instance, 0, &device) == FLAGOS_STATUS_OK);
  }
  ~Fixture() {
    root.device->close(device);
    root.close(root.instance);
  }
  flagos_plugin_stream_t* stream() {
    flagos_stream_desc_t desc{};
    desc.struct_size = sizeof(desc);
    flagos_plugin_stream_t* out = nullptr;
    REQUIRE(root.stream->create(device, &desc, &out) == FLAGOS_STATUS_OK);
    return out;
  }
  flagos_plugin_event_t* event(std::uint32_t flags = 0) {
    flagos_event_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.flags = flags;
    flagos_plugin_event_t* out = nullptr;
    REQUIRE(root.event->create(device, &desc, &out) == FLAGOS_STATUS_OK);
    return out;
  }
  flagos_status_t alloc(std::uint64_t size, flagos_address_t* out,
                        flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE,
                        std::uint64_t alignment = 256, std::uint64_t flags = 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = kind;
    desc.size_bytes = size;
    desc.alignment_bytes = alignment;
    desc.flags = flags;
    return root.memory->alloc(device, &desc, out);
  }
  flagos_status_t load(const void* data, std::size_t size, flagos_plugin_module_t** out) {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "elf-so";
    desc.data = data;
    desc.size_bytes = size;
    return root.module->load(device, &desc, out);
  }
  flagos_plugin_kernel_t* kernel(flagos_plugin_module_t* module, const char* name,
                                 flagos_status_t expected = FLAGOS_STATUS_OK) {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    flagos_plugin_kernel_t* out = nullptr;
    CHECK(root.module->get_kernel(module, &desc, &out) == expected);
    return out;
  }
  std::uint64_t free_bytes() {
    std::uint64_t free = 0, total = 0;
    REQUIRE(root.device->query_memory(device, &free, &total) == FLAGOS_STATUS_OK);
    CHECK(free <= total);
    return free;
  }

  Host host;
  flagos_plugin_t root{};
  flagos_plugin_device_t* device = nullptr;
};

struct Mark {
  flagos_address_t out;
  std::uint32_t value;
};

template <typename T>
flagos_address_t address(T* pointer) {
  return reinterpret_cast<flagos_address_t>(pointer);
}

// The kernels of skeleton_kernels.c, and launches of them.
struct Kernels : Fixture {
  Kernels() : image(read_file(FLAGOS_TEST_KERNELS)) {
    REQUIRE(load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  }
  ~Kernels() { root.module->unload(module); }
  flagos_status_t launch(flagos_plugin_stream_t* on, const char* name, const Mark* arguments,
                         std::uint32_t gx = 1, std::uint32_t gy = 1, std::uint32_t gz = 1,
                         std::uint32_t bx = 1, std::uint32_t shared = 0) {
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.grid[0] = gx, desc.grid[1] = gy, desc.grid[2] = gz;
    desc.block[0] = bx, desc.block[1] = 1, desc.block[2] = 1;
    desc.shared_bytes = shared;
    desc.argument_block = arguments;
    desc.argument_bytes = arguments ? sizeof(*arguments) : 0;
    return root.kernel->launch(on, kernel(module, name), &desc);
  }
  flagos_status_t wait(flagos_plugin_stream_t* on) {
    return root.stream->synchronize(on, FLAGOS_TIMEOUT_INFINITE);
  }
  Bytes image;
  flagos_plugin_module_t* module = nullptr;
};

}  // namespace flagos::samples
