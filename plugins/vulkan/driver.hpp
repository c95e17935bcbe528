// The Vulkan loader, opened at run time: its functions, and its result codes as Error.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <memory>
#include <string>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "base/plugin_host.hpp"

namespace flagos::vulkan {

// "VK_ERROR_DEVICE_LOST"; "VkResult" for one that we do not know.
const char* result_name(VkResult result) noexcept;
flagos_status_t status_of(VkResult result) noexcept;

// Throws what a failed call comes to: "vkAllocateMemory of 4096 bytes: VK_ERROR_... (-2)".
[[noreturn]] void throw_result(VkResult result, const std::string& call);

// The same as an error that is kept.
Failure failure_of(VkResult result, const char* call) noexcept;

inline void check(VkResult result, const char* call) {
  if (result < VK_SUCCESS) [[unlikely]]
    throw_result(result, call);
}
template <typename... Args>
void check(VkResult result, fmt::format_string<Args...> format, Args&&... args) {
  if (result < VK_SUCCESS) [[unlikely]]
    throw_result(result, fmt::format(format, std::forward<Args>(args)...));
}
// For calls that make an object: what a failed one leaves in `handle` is undefined.
template <typename Handle, typename... Args>
void check_made(VkResult result, Handle& handle, fmt::format_string<Args...> format,
                Args&&... args) {
  if (result < VK_SUCCESS) [[unlikely]] {
    handle = VK_NULL_HANDLE;
    throw_result(result, fmt::format(format, std::forward<Args>(args)...));
  }
}

// The loader's library, and what can be called without an object. It stays mapped until the process
// ends: drivers leave threads and exit handlers behind.
struct Loader {
  // Throws Error (NOT_FOUND) with the dynamic linker's words.
  static const Loader& open(const std::string& path);

  std::unique_ptr<DynamicLibrary> library;
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
#define FLAGOS_VULKAN_GLOBAL(name) PFN_##name name = nullptr;
#define FLAGOS_VULKAN_INSTANCE(name)
#define FLAGOS_VULKAN_DEVICE(name)
#define FLAGOS_VULKAN_OPTIONAL(name)
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
  bool is_fake = false;  // the fault sweep's stand-in, which forwards and fails
};

struct InstanceFunctions {
  InstanceFunctions() = default;
  InstanceFunctions(const Loader& loader, VkInstance instance);
#define FLAGOS_VULKAN_GLOBAL(name)
#define FLAGOS_VULKAN_INSTANCE(name) PFN_##name name = nullptr;
#define FLAGOS_VULKAN_DEVICE(name)
#define FLAGOS_VULKAN_OPTIONAL(name)
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
};

struct DeviceFunctions {
  DeviceFunctions() = default;
  DeviceFunctions(const InstanceFunctions& instance, VkDevice device);
#define FLAGOS_VULKAN_GLOBAL(name)
#define FLAGOS_VULKAN_INSTANCE(name)
#define FLAGOS_VULKAN_DEVICE(name) PFN_##name name = nullptr;
#define FLAGOS_VULKAN_OPTIONAL(name) PFN_##name name = nullptr;
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
};

}  // namespace flagos::vulkan
