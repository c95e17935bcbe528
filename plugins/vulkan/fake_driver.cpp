// A Vulkan loader that hands every call to the real one, lets the n-th fail instead, and counts what is
// created and destroyed. It can also pretend: more queues, a device without buffer device addresses.
// Used only where FLAGOS_VULKAN_DRIVER names it. Its variables:
//   FLAGOS_VULKAN_FAKE_QUEUES=N        the first family for compute work has so many queues
//   FLAGOS_VULKAN_FAKE_NO_ADDRESSES=1  no device has the feature bufferDeviceAddress
#include "plugins/vulkan/fake_driver.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/dynamic_library.hpp"

namespace {

std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> failing_call{0};  // 0: none
std::atomic<VkResult> failing_code{VK_ERROR_OUT_OF_HOST_MEMORY};
std::atomic<const char*> failed_function{""};
std::atomic<bool> is_lost{false};

std::mutex& queue_mutex() {
  static auto& mutex = *new std::mutex;
  return mutex;
}

// Live objects by the kind's name, and the most that there were.
struct Count {
  std::int64_t live = 0;
  std::int64_t most = 0;
};
struct Counts {
  std::mutex mutex;
  std::map<std::string, Count, std::less<>> of;
  void add(std::string_view kind, std::int64_t count) {
    const std::lock_guard lock(mutex);
    Count& counted = of[std::string(kind)];
    counted.live += count;
    counted.most = std::max(counted.most, counted.live);
  }
};
Counts& counts() {
  static auto& all = *new Counts;
  return all;
}

PFN_vkGetInstanceProcAddr real_loader() {
  static auto& library = *new flagos::DynamicLibrary("libvulkan.so.1");
  static const auto function =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(library.symbol("vkGetInstanceProcAddr"));
  return function;
}

std::uint32_t pretended_queues() {
  static const char* const text = std::getenv("FLAGOS_VULKAN_FAKE_QUEUES");
  return text == nullptr ? 0 : static_cast<std::uint32_t>(std::atoi(text));
}

bool hides_addresses() {
  static const char* const text = std::getenv("FLAGOS_VULKAN_FAKE_NO_ADDRESSES");
  return text != nullptr && std::strcmp(text, "1") == 0;
}

// What a lost device answers with.
constexpr bool tells_loss(std::string_view name) {
  return name == "vkQueueSubmit" || name == "vkDeviceWaitIdle" || name == "vkWaitSemaphores" ||
         name == "vkGetSemaphoreCounterValue";
}
// Whether a call can fail like that.
bool is_candidate(std::string_view name) {
  if (failing_code != VK_ERROR_DEVICE_LOST) return true;
  return tells_loss(name) || name == "vkCreateDevice";
}
bool is_due(const char* name) {
  if (!is_candidate(name) || ++calls != failing_call) return false;
  failed_function = name;
  return true;
}
// What is asked for may not be found; but what undoes things always is, and so are the extensions', which
// a driver need not have anyway.
bool is_missing(const char* name) {
  const std::string_view wanted = name;
  const bool may_be =
      !wanted.starts_with("vkDestroy") && !wanted.ends_with("EXT") && !wanted.ends_with("KHR");
  return may_be && failing_code == VK_ERROR_OUT_OF_HOST_MEMORY && is_due(name);
}
// Calls that the fake's queues, which are all one, must not make at the same time.
constexpr bool uses_queue(std::string_view name) {
  return name == "vkQueueSubmit" || name == "vkDeviceWaitIdle";
}
// "Buffer" of vkCreateBuffer and vkDestroyBuffer; "" for a call that makes nothing, or what goes with its
// pool.
constexpr std::string_view made_by(std::string_view name) {
  if (name == "vkCreateComputePipelines") return "Pipeline";
  if (name == "vkAllocateMemory") return "Memory";
  if (name.starts_with("vkCreate")) return name.substr(8);
  return {};
}
constexpr std::string_view ended_by(std::string_view name) {
  if (name == "vkFreeMemory") return "Memory";
  if (name.starts_with("vkDestroy")) return name.substr(9);
  return {};
}
constexpr bool has_out_handles(std::string_view name) {
  return name.starts_with("vkCreate") || name.starts_with("vkAllocate");
}

void lose_device();
std::atomic<VkDevice> last_device{nullptr};

template <typename Function, typename Name>
struct Forward;

template <typename Result, typename... Args, typename Name>
struct Forward<Result(VKAPI_PTR*)(Args...), Name> {
  using Function = Result(VKAPI_PTR*)(Args...);
  static constexpr std::string_view name = Name::text;
  inline static std::atomic<Function> real{nullptr};

  static VKAPI_ATTR Result VKAPI_CALL call(Args... args) {
    if constexpr (std::is_same_v<Result, VkResult>) {
      return call_checked(args...);
    } else {
      note_end(args...);
      return real.load()(args...);
    }
  }

 private:
  static VkResult call_checked(Args... args) {
    if (is_due(Name::text)) return fail(args...);
    std::unique_lock lock(queue_mutex(), std::defer_lock);
    if (uses_queue(name)) lock.lock();
    if (tells_loss(name) && is_lost) return VK_ERROR_DEVICE_LOST;
    const VkResult result = real.load()(args...);
    if constexpr (!made_by(name).empty())
      if (result == VK_SUCCESS) counts().add(made_by(name), 1);
    return result;
  }
  static VkResult fail(Args... args) {
    const VkResult code = failing_code;
    if (code == VK_ERROR_DEVICE_LOST && tells_loss(name)) lose_device();
    // What a failed call leaves there is undefined.
    if constexpr (has_out_handles(name)) {
      auto& out = std::get<sizeof...(Args) - 1>(std::tie(args...));
      std::memset(out, 0xdb, sizeof(*out));
    }
    return code;
  }
  static void note_end(Args... args) {
    if constexpr (!ended_by(name).empty()) {
      const auto all = std::tie(args...);
      // vkDestroyInstance and vkDestroyDevice have the object first, the others their device.
      constexpr std::size_t place = sizeof...(Args) == 2 ? 0 : 1;
      if (std::get<place>(all) == VK_NULL_HANDLE) return;
      counts().add(ended_by(name), -1);
      if (name == "vkDestroyDevice") is_lost = false;
    }
  }
};

#define FLAGOS_VULKAN_NAME(name)               \
  struct Name_##name {                         \
    static constexpr const char* text = #name; \
  };
#define FLAGOS_VULKAN_GLOBAL(name) FLAGOS_VULKAN_NAME(name)
#define FLAGOS_VULKAN_INSTANCE(name) FLAGOS_VULKAN_NAME(name)
#define FLAGOS_VULKAN_DEVICE(name) FLAGOS_VULKAN_NAME(name)
#define FLAGOS_VULKAN_OPTIONAL(name) FLAGOS_VULKAN_NAME(name)
#include "plugins/vulkan/driver_symbols.inc"
#undef FLAGOS_VULKAN_GLOBAL
#undef FLAGOS_VULKAN_INSTANCE
#undef FLAGOS_VULKAN_DEVICE
#undef FLAGOS_VULKAN_OPTIONAL

#define FORWARD(name) Forward<PFN_##name, Name_##name>

// A device that is lost has stopped: what it was given is done, and it is given nothing more.
void lose_device() {
  const std::lock_guard lock(queue_mutex());
  is_lost = true;
  FORWARD(vkDeviceWaitIdle)::real.load()(last_device);
}

VKAPI_ATTR void VKAPI_CALL get_features(VkPhysicalDevice device,
                                        VkPhysicalDeviceFeatures2* features) {
  FORWARD(vkGetPhysicalDeviceFeatures2)::call(device, features);
  if (!hides_addresses()) return;
  for (auto* next = static_cast<VkBaseOutStructure*>(features->pNext); next != nullptr;
       next = next->pNext)
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES)
      reinterpret_cast<VkPhysicalDeviceVulkan12Features*>(next)->bufferDeviceAddress = VK_FALSE;
}

VKAPI_ATTR void VKAPI_CALL get_families(VkPhysicalDevice device, std::uint32_t* count,
                                        VkQueueFamilyProperties* families) {
  FORWARD(vkGetPhysicalDeviceQueueFamilyProperties)::call(device, count, families);
  if (families == nullptr || pretended_queues() == 0) return;
  for (std::uint32_t i = 0; i < *count; ++i)
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0)
      families[i].queueCount = pretended_queues();
}

VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
                                             const VkDeviceCreateInfo* info,
                                             const VkAllocationCallbacks* callbacks,
                                             VkDevice* device) {
  if (pretended_queues() == 0)
    return FORWARD(vkCreateDevice)::call(physical, info, callbacks, device);
  VkDeviceQueueCreateInfo queue = *info->pQueueCreateInfos;
  queue.queueCount = 1;
  VkDeviceCreateInfo changed = *info;
  changed.pQueueCreateInfos = &queue;
  return FORWARD(vkCreateDevice)::call(physical, &changed, callbacks, device);
}

VKAPI_ATTR void VKAPI_CALL get_queue(VkDevice device, std::uint32_t family, std::uint32_t index,
                                     VkQueue* queue) {
  last_device = device;
  FORWARD(vkGetDeviceQueue)::call(device, family, pretended_queues() == 0 ? index : 0, queue);
}

PFN_vkVoidFunction find(VkInstance instance, const char* name);
// The loader's entries serve every instance and every device; a lookup needs one that lives.
struct Instances {
  std::mutex mutex;
  std::vector<VkInstance> live;
};
Instances& instances() {
  static auto& all = *new Instances;
  return all;
}
VkInstance any_instance() {
  const std::lock_guard lock(instances().mutex);
  return instances().live.back();
}

VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo* info,
                                               const VkAllocationCallbacks* callbacks,
                                               VkInstance* instance) {
#if defined(__SANITIZE_ADDRESS__)
  static VkInstance kept;  // keeps the real driver, see keep_drivers in driver.cpp
  if (kept == nullptr) FORWARD(vkCreateInstance)::real.load()(info, callbacks, &kept);
#endif
  const VkResult result = FORWARD(vkCreateInstance)::call(info, callbacks, instance);
  const std::lock_guard lock(instances().mutex);
  if (result == VK_SUCCESS) instances().live.push_back(*instance);
  return result;
}

VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance instance,
                                            const VkAllocationCallbacks* callbacks) {
  std::unique_lock lock(instances().mutex);
  std::erase(instances().live, instance);
  lock.unlock();
  FORWARD(vkDestroyInstance)::call(instance, callbacks);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_function(VkDevice device, const char* name) {
  // What the device does not have must not be found through the loader either.
  if (FORWARD(vkGetDeviceProcAddr)::real.load()(device, name) == nullptr) return nullptr;
  if (is_missing(name)) return nullptr;
  return find(any_instance(), name);
}

template <typename Forwarder>
PFN_vkVoidFunction forwarder(VkInstance instance, const char* name, PFN_vkVoidFunction instead) {
  const PFN_vkVoidFunction found = real_loader()(instance, name);
  if (found == nullptr) return nullptr;
  Forwarder::real = reinterpret_cast<typename Forwarder::Function>(found);
  return instead;
}

PFN_vkVoidFunction find(VkInstance instance, const char* name) {
  const std::string_view wanted = name;
#define OWN(function, own) \
  if (wanted == #function) \
    return forwarder<FORWARD(function)>(instance, name, reinterpret_cast<PFN_vkVoidFunction>(own));
  OWN(vkCreateInstance, &create_instance)
  OWN(vkDestroyInstance, &destroy_instance)
  OWN(vkGetPhysicalDeviceFeatures2, &get_features)
  OWN(vkGetPhysicalDeviceQueueFamilyProperties, &get_families)
  OWN(vkCreateDevice, &create_device)
  OWN(vkGetDeviceQueue, &get_queue)
  OWN(vkGetDeviceProcAddr, &get_device_function)
#define FLAGOS_VULKAN_GLOBAL(function) OWN(function, &FORWARD(function)::call)
#define FLAGOS_VULKAN_INSTANCE(function) OWN(function, &FORWARD(function)::call)
#define FLAGOS_VULKAN_DEVICE(function) OWN(function, &FORWARD(function)::call)
#define FLAGOS_VULKAN_OPTIONAL(function) OWN(function, &FORWARD(function)::call)
#include "plugins/vulkan/driver_symbols.inc"
  return real_loader()(instance, name);
}

}  // namespace

FLAGOS_FAKE_API VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance,
                                                                               const char* name) {
  if (is_missing(name)) return nullptr;
  return find(instance, name);
}

void flagos_fake_driver() {}

std::uint64_t flagos_vulkan_fake_control(std::uint64_t n, VkResult code) {
  const std::lock_guard lock(counts().mutex);
  for (auto& [kind, count] : counts().of) count.most = count.live;
  failing_code = code;
  failing_call = n;
  failed_function = "";
  return calls.exchange(0);
}

const char* flagos_vulkan_fake_failed() { return failed_function; }

std::int64_t flagos_vulkan_fake_live(const char* kind) {
  const std::lock_guard lock(counts().mutex);
  std::int64_t live = 0;
  for (const auto& [name, count] : counts().of)
    if (*kind == '\0' || name == kind) live += count.live;
  return live;
}

std::int64_t flagos_vulkan_fake_most(const char* kind) {
  const std::lock_guard lock(counts().mutex);
  const auto found = counts().of.find(std::string_view(kind));
  return found == counts().of.end() ? 0 : found->second.most;
}
