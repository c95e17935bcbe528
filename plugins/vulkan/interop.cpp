#include "plugins/vulkan/interop.hpp"

#include <cstring>
#include <memory>

#include "base/native_object.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

// Whether the caller's VkPhysicalDevice, of whatever VkInstance, is this one.
bool is_same_device(const Instance& instance, const PhysicalDevice& physical,
                    const flagos_native_t& native) {
  const InstanceFunctions functions(instance.loader(), handle_at<VkInstance>(native, 2));
  VkPhysicalDeviceIDProperties id{};
  id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &id;
  functions.vkGetPhysicalDeviceProperties2(handle_at<VkPhysicalDevice>(native, 1), &properties);
  return std::memcmp(id.deviceUUID, physical.device_uuid(), VK_UUID_SIZE) == 0 &&
         properties.properties.deviceID == physical.properties().deviceID;
}

}  // namespace

flagos_status_t device_get_native(flagos_plugin_device_t* device,
                                  flagos_native_t* out_native) noexcept {
  const Device& self = from_c(device);
  show_native(
      *out_native, "VkDevice",
      {number_of(self.handle()), number_of(self.physical().handle()),
       number_of(self.driver_instance()), self.physical().queue_family(), self.queue_count()});
  return FLAGOS_STATUS_OK;
}

flagos_status_t stream_get_native(flagos_plugin_stream_t* stream,
                                  flagos_native_t* out_native) noexcept {
  const Stream& self = from_c(stream);
  show_native(*out_native, "VkQueue",
              {number_of(self.queue().handle()), self.device().physical().queue_family(),
               self.queue().index()});
  return FLAGOS_STATUS_OK;
}

flagos_status_t event_get_native(flagos_plugin_event_t* event,
                                 flagos_native_t* out_native) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] {
    const auto [semaphore, value] = self.native();
    show_native(*out_native, "VkSemaphore", {number_of(semaphore), value});
  });
}

flagos_status_t memory_get_native(flagos_plugin_device_t* device, flagos_address_t address,
                                  flagos_native_t* out_native) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    Lock lock(self);
    const Block* const block = self.heap().find(address);
    if (block == nullptr)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "no buffer has the address {:#x}", address);
    show_native(*out_native, "VkBuffer",
                {number_of(block->buffer()), number_of(block->memory()), number_of(self.handle()),
                 block->offset_of(address)});
  });
}

flagos_status_t device_wrap_native(flagos_plugin_instance_t* instance, std::uint32_t index,
                                   const flagos_native_t* native, std::uint64_t flags,
                                   flagos_plugin_device_t** out_device) noexcept {
  Instance& self = from_c(instance);
  return entry(self.host(), [&] {
    check_native(*native, "VkDevice", 5, {0, 1, 2, 4});
    const PhysicalDevice& physical = self.physical(index);
    if (!is_same_device(self, physical, *native))
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the VkDevice is of another device than {}",
                  physical.name());
    if (native->handles[3] != physical.queue_family())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a VkDevice with queues of family {}; the plugin uses family {} of {}",
                  native->handles[3], physical.queue_family(), physical.name());
    const Device::Native given{handle_at<VkDevice>(*native, 0), handle_at<VkInstance>(*native, 2),
                               static_cast<std::uint32_t>(native->handles[4]),
                               is_given_away(flags)};
    *out_device = to_c(std::make_unique<Device>(self, index, &given).release());
  });
}

// A VkQueue is never destroyed, so who owns it makes no difference.
flagos_status_t stream_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t, flagos_plugin_stream_t** out_stream) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, "VkQueue", 3, {0});
    Queue* const queue = self.find_queue(handle_at<VkQueue>(*native, 0));
    if (queue == nullptr)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "the VkQueue {:#x} is none of the {} queues of family {} of this device",
                  native->handles[0], self.queue_count(), self.physical().queue_family());
    Lock lock(self);
    if (self.is_lost()) throw Error(*self.loss());
    *out_stream = to_c(std::make_unique<Stream>(self, *queue).release());
  });
}

flagos_status_t event_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                  std::uint64_t flags, flagos_plugin_event_t** out_event) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, "VkSemaphore", 2, {0});
    auto event = std::make_unique<Event>(self, FLAGOS_EVENT_FLAG_NO_TIMING);
    event->follow(handle_at<VkSemaphore>(*native, 0), native->handles[1], is_given_away(flags));
    *out_event = to_c(event.release());
  });
}

flagos_status_t memory_wrap_native(flagos_plugin_device_t* device, const flagos_native_t* native,
                                   std::uint64_t size_bytes, std::uint64_t flags,
                                   flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    check_native(*native, "VkBuffer", 4, {0, 2});
    if (native->handles[2] != number_of(self.handle()))
      throw_error(
          FLAGOS_STATUS_INVALID_ARGUMENT,
          "the VkBuffer is of VkDevice {:#x}, this device is {:#x}: a buffer is used on its "
          "own only",
          native->handles[2], number_of(self.handle()));
    const Block::Native given{handle_at<VkBuffer>(*native, 0),
                              handle_at<VkDeviceMemory>(*native, 1), native->handles[3],
                              is_given_away(flags)};
    *out_address = self.heap().wrap(given, size_bytes);
  });
}

}  // namespace flagos::vulkan
