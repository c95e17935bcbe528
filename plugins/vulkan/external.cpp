#include "plugins/vulkan/external.hpp"

#include <fcntl.h>

#include <cstring>
#include <memory>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint32_t opaque_fd = 1;  // flagos_plugin_external_t::type

// What an importer must know beside the descriptor.
struct Shared {
  std::uint8_t device_uuid[VK_UUID_SIZE];
  std::uint8_t driver_uuid[VK_UUID_SIZE];
  std::uint64_t allocation_bytes;
  std::uint64_t buffer_bytes;
  std::uint64_t nonce;
  std::uint32_t memory_type;
  flagos_memory_kind_t kind;
};
static_assert(sizeof(Shared) <= sizeof(flagos_plugin_external_t::data));

void require_sharing(const Device& device) {
  if (device.vk().vkGetMemoryFdKHR == nullptr || !device.physical().shares_memory())
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{} has no VK_KHR_external_memory_fd for buffers",
                device.physical().name());
}

}  // namespace

flagos_status_t memory_export(flagos_plugin_device_t* device, flagos_address_t address,
                              flagos_plugin_external_t* out_external) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    require_sharing(self);
    const Block& block = self.heap().export_block(address);
    VkMemoryGetFdInfoKHR info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR;
    info.memory = block.memory();
    info.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
    int fd = -1;
    check(self.vk().vkGetMemoryFdKHR(self.handle(), &info, &fd), "vkGetMemoryFdKHR of {} bytes",
          block.size_bytes());
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    Shared shared{};
    std::memcpy(shared.device_uuid, self.physical().device_uuid(), VK_UUID_SIZE);
    std::memcpy(shared.driver_uuid, self.physical().driver_uuid(), VK_UUID_SIZE);
    shared.allocation_bytes = block.allocation_bytes();
    shared.buffer_bytes = block.size_bytes();
    shared.nonce = block.nonce;
    shared.memory_type = block.memory_type();
    shared.kind = block.kind();
    out_external->fd = fd;
    out_external->type = opaque_fd;
    out_external->size_bytes = block.size_bytes();
    std::memcpy(out_external->data, &shared, sizeof(shared));
  });
}

flagos_status_t memory_import(flagos_plugin_device_t* device,
                              const flagos_plugin_external_t* external,
                              flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    require_sharing(self);
    Shared shared;
    std::memcpy(&shared, external->data, sizeof(shared));
    const PhysicalDevice& physical = self.physical();
    if (external->type != opaque_fd ||
        std::memcmp(shared.device_uuid, physical.device_uuid(), VK_UUID_SIZE) != 0 ||
        std::memcmp(shared.driver_uuid, physical.driver_uuid(), VK_UUID_SIZE) != 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "the memory is of another device or driver than {}",
                  physical.name());
    Sharing sharing;
    sharing.is_shared = true;
    sharing.fd = external->fd;
    sharing.allocation_bytes = shared.allocation_bytes;
    sharing.memory_type = shared.memory_type;
    auto block = std::make_unique<Block>(self, shared.buffer_bytes, shared.kind, sharing);
    *out_address = self.heap().import_block(std::move(block), shared.nonce, external->size_bytes);
  });
}

}  // namespace flagos::vulkan
