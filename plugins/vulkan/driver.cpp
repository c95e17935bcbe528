#include "plugins/vulkan/driver.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/dynamic_library.hpp"

namespace flagos::vulkan {
namespace {

template <typename Function>
void need(Function& function, PFN_vkVoidFunction found, const char* name) {
  if (found == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "the Vulkan driver has no function {}", name);
  function = reinterpret_cast<Function>(found);
}

#if defined(__SANITIZE_ADDRESS__)
// The last instance takes the drivers with it, and what their own variables hold (128 bytes each time, lavapipe of Mesa
// 22.3) is then a leak without a name to suppress it by. An instance that lives on keeps them.
void keep_drivers(const Loader& loader) {
  if (loader.is_fake) return;
  static VkInstance kept;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  loader.vkCreateInstance(&info, nullptr, &kept);
}
#else
void keep_drivers(const Loader& /*loader*/) {}
#endif

std::unique_ptr<Loader> load(const std::string& path) {
  auto loader = std::make_unique<Loader>();
  loader->library = std::make_unique<DynamicLibrary>(path);
  const DynamicLibrary* const library = loader->library.get();
  loader->vkGetInstanceProcAddr =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(library->symbol("vkGetInstanceProcAddr"));
  try {
    library->symbol("flagos_fake_driver");
    loader->is_fake = true;
  } catch (const Error&) {  // a real loader does not have it
  }
#define FLAGOS_VULKAN_GLOBAL(name) \
  need(loader->name, loader->vkGetInstanceProcAddr(nullptr, #name), #name);
#define FLAGOS_VULKAN_INSTANCE(name)
#define FLAGOS_VULKAN_DEVICE(name)
#define FLAGOS_VULKAN_OPTIONAL(name)
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
  keep_drivers(*loader);
  return loader;
}

}  // namespace

const Loader& Loader::open(const std::string& path) {
  static auto& mutex = *new std::mutex;
  static auto& loaders = *new std::map<std::string, std::unique_ptr<Loader>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Loader>& loader = loaders[path];
  if (!loader) loader = load(path);
  return *loader;
}

InstanceFunctions::InstanceFunctions(const Loader& loader, VkInstance instance) {
#define FLAGOS_VULKAN_GLOBAL(name)
#define FLAGOS_VULKAN_INSTANCE(name) \
  need(name, loader.vkGetInstanceProcAddr(instance, #name), #name);
#define FLAGOS_VULKAN_DEVICE(name)
#define FLAGOS_VULKAN_OPTIONAL(name)
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
}

DeviceFunctions::DeviceFunctions(const InstanceFunctions& instance, VkDevice device) {
#define FLAGOS_VULKAN_GLOBAL(name)
#define FLAGOS_VULKAN_INSTANCE(name)
#define FLAGOS_VULKAN_DEVICE(name) need(name, instance.vkGetDeviceProcAddr(device, #name), #name);
#define FLAGOS_VULKAN_OPTIONAL(name) \
  name = reinterpret_cast<PFN_##name>(instance.vkGetDeviceProcAddr(device, #name));
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL
}

const char* result_name(VkResult result) noexcept {
  switch (result) {
#define FLAGOS_VULKAN_RESULT(name) \
  case name:                       \
    return #name;
    FLAGOS_VULKAN_RESULT(VK_SUCCESS)
    FLAGOS_VULKAN_RESULT(VK_NOT_READY)
    FLAGOS_VULKAN_RESULT(VK_TIMEOUT)
    FLAGOS_VULKAN_RESULT(VK_INCOMPLETE)
    FLAGOS_VULKAN_RESULT(VK_ERROR_OUT_OF_HOST_MEMORY)
    FLAGOS_VULKAN_RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    FLAGOS_VULKAN_RESULT(VK_ERROR_INITIALIZATION_FAILED)
    FLAGOS_VULKAN_RESULT(VK_ERROR_DEVICE_LOST)
    FLAGOS_VULKAN_RESULT(VK_ERROR_MEMORY_MAP_FAILED)
    FLAGOS_VULKAN_RESULT(VK_ERROR_LAYER_NOT_PRESENT)
    FLAGOS_VULKAN_RESULT(VK_ERROR_EXTENSION_NOT_PRESENT)
    FLAGOS_VULKAN_RESULT(VK_ERROR_FEATURE_NOT_PRESENT)
    FLAGOS_VULKAN_RESULT(VK_ERROR_INCOMPATIBLE_DRIVER)
    FLAGOS_VULKAN_RESULT(VK_ERROR_TOO_MANY_OBJECTS)
    FLAGOS_VULKAN_RESULT(VK_ERROR_FORMAT_NOT_SUPPORTED)
    FLAGOS_VULKAN_RESULT(VK_ERROR_FRAGMENTED_POOL)
    FLAGOS_VULKAN_RESULT(VK_ERROR_UNKNOWN)
    FLAGOS_VULKAN_RESULT(VK_ERROR_OUT_OF_POOL_MEMORY)
    FLAGOS_VULKAN_RESULT(VK_ERROR_INVALID_EXTERNAL_HANDLE)
    FLAGOS_VULKAN_RESULT(VK_ERROR_FRAGMENTATION)
    FLAGOS_VULKAN_RESULT(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS)
    FLAGOS_VULKAN_RESULT(VK_ERROR_INVALID_SHADER_NV)
#undef FLAGOS_VULKAN_RESULT
    default:
      return "VkResult";
  }
}

flagos_status_t status_of(VkResult result) noexcept {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_MEMORY_MAP_FAILED:
      return FLAGOS_STATUS_OUT_OF_HOST_MEMORY;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
    case VK_ERROR_DEVICE_LOST:
      return FLAGOS_STATUS_DEVICE_LOST;
    case VK_ERROR_LAYER_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_INCOMPATIBLE_DRIVER:
    case VK_ERROR_FORMAT_NOT_SUPPORTED:
      return FLAGOS_STATUS_UNSUPPORTED;
    case VK_ERROR_INITIALIZATION_FAILED:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_FRAGMENTATION:
      return FLAGOS_STATUS_OUT_OF_RESOURCES;
    default:
      return FLAGOS_STATUS_INTERNAL;
  }
}

void throw_result(VkResult result, const std::string& call) {
  throw_error(status_of(result), "{}: {} ({})", call, result_name(result),
              static_cast<int>(result));
}

Failure failure_of(VkResult result, const char* call) noexcept {
  Failure failure;
  guard([&] { throw_result(result, call); },
        [&](flagos_status_t status, const char* text) { failure = make_failure(status, text); });
  return failure;
}

}  // namespace flagos::vulkan
