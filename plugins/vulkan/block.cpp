#include "plugins/vulkan/block.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

#include <bit>
#include <cerrno>
#include <string>
#include <system_error>

#include "plugins/vulkan/device.hpp"

namespace flagos::vulkan {
namespace {

// Whether the host's own address space reaches so far at all.
constexpr std::uint64_t end_of_host_addresses = std::uint64_t{1} << 47;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// A descriptor for the driver to keep. A driver on the host's processors reads a header from it, and a
// duplicate shares its position with those of every other process: two that import at once would
// read past each other. So it is opened anew where the system can do that.
int descriptor_for_driver(const Device& device, int fd) {
  if (device.physical().is_software()) {
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    const int opened = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (opened >= 0) return opened;
  }
  const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the descriptor cannot be duplicated: {}",
                std::generic_category().message(errno));
  return duplicate;
}

}  // namespace

const char* kind_name(flagos_memory_kind_t kind) noexcept {
  return kind == FLAGOS_MEMORY_KIND_PINNED    ? "pinned"
         : kind == FLAGOS_MEMORY_KIND_MANAGED ? "managed"
                                              : "device";
}

Block::Block(Device& device, std::uint64_t size_bytes, flagos_memory_kind_t kind,
             const Sharing& sharing)
    : is_shared(sharing.is_shared), device_(device), size_bytes_(size_bytes), kind_(kind) {
  const MemoryTypes& types = device.physical().memory_types();
  const std::uint32_t type = sharing.fd >= 0                      ? sharing.memory_type
                             : kind == FLAGOS_MEMORY_KIND_PINNED  ? types.pinned
                             : kind == FLAGOS_MEMORY_KIND_MANAGED ? types.managed
                                                                  : types.device;
  try {
    create(type, sharing);
  } catch (...) {
    release();
    throw;
  }
}

Block::Block(Device& device, std::byte* pointer, std::uint64_t size_bytes)
    : device_(device), size_bytes_(size_bytes), kind_(FLAGOS_MEMORY_KIND_REGISTERED) {
  try {
    import(pointer);
  } catch (...) {
    release();
    throw;
  }
}

Block::Block(Device& device, const Native& native, std::uint64_t size_bytes)
    : device_(device),
      memory_(native.memory),
      buffer_(native.buffer),
      buffer_offset_(native.offset),
      buffer_bytes_(native.offset + size_bytes),
      size_bytes_(size_bytes),
      kind_(FLAGOS_MEMORY_KIND_DEVICE) {
  is_borrowed_ = true;  // make_address may throw: the caller's objects must stay
  if (device.physical().has_addresses()) {
    device_address_ = address_ = ask_address();
    // On the host's processors it is a host pointer, where something lies already.
    if (!device.physical().is_software()) reserve_host_range();
  } else {
    make_address();
  }
  is_borrowed_ = !native.own;
}

void Block::create_buffer(std::uint64_t size_bytes, const void* next) {
  VkBufferCreateInfo buffer{};
  buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  buffer.pNext = next;
  buffer.size = size_bytes;
  buffer.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                 VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
  if (device_.physical().has_addresses()) buffer.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  buffer_bytes_ = size_bytes;
  check_made(device_.vk().vkCreateBuffer(device_.handle(), &buffer, nullptr, &buffer_), buffer_,
             "vkCreateBuffer of {} bytes", size_bytes);
}

// The pages around the memory; what else lies in them is never touched.
void Block::import(std::byte* pointer) {
  const DeviceFunctions& vk = device_.vk();
  const VkDevice handle = device_.handle();
  const std::uint64_t page = device_.physical().host_pointer_alignment();
  constexpr VkExternalMemoryHandleTypeFlagBits type =
      VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  address_ = reinterpret_cast<std::uint64_t>(pointer);
  buffer_offset_ = address_ % page;
  const std::uint64_t bytes = round_up(buffer_offset_ + size_bytes_, page);
  VkImportMemoryHostPointerInfoEXT host{};
  host.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT;
  host.handleType = type;
  host.pHostPointer = pointer - buffer_offset_;

  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.handleTypes = type;
  create_buffer(bytes, &external);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(handle, buffer_, &needs);
  VkMemoryHostPointerPropertiesEXT properties{};
  properties.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT;
  check(vk.vkGetMemoryHostPointerPropertiesEXT(handle, type, host.pHostPointer, &properties),
        "vkGetMemoryHostPointerPropertiesEXT of {} bytes at {:#x}", size_bytes_, address_);
  const std::uint32_t types = needs.memoryTypeBits & properties.memoryTypeBits;
  if (types == 0 || needs.size > bytes)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the device cannot use {} bytes of the host at {:#x}",
                size_bytes_, address_);
  const std::uint32_t pinned = device_.physical().memory_types().pinned;
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.pNext = &host;
  flags.flags = device_.physical().has_addresses() ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT : 0;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.pNext = &flags;
  allocate.allocationSize = bytes;
  allocate.memoryTypeIndex =
      (types >> pinned & 1) != 0 ? pinned : static_cast<std::uint32_t>(std::countr_zero(types));
  check_made(vk.vkAllocateMemory(handle, &allocate, nullptr, &memory_), memory_,
             "vkAllocateMemory around {} bytes of the host at {:#x}", size_bytes_, address_);
  check(vk.vkBindBufferMemory(handle, buffer_, memory_, 0), "vkBindBufferMemory");
  device_address_ = device_.physical().has_addresses() ? ask_address() : address_;
  host_ = pointer;
}

void Block::create(std::uint32_t type, const Sharing& sharing) {
  const DeviceFunctions& vk = device_.vk();
  const VkDevice handle = device_.handle();
  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  create_buffer(size_bytes_, sharing.is_shared ? &external : nullptr);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(handle, buffer_, &needs);
  if ((needs.memoryTypeBits >> type & 1) == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "buffers cannot lie in memory type {} ({} memory)", type,
                kind_name(kind_));
  memory_type_ = type;
  allocate(needs.size, sharing);
  check(vk.vkBindBufferMemory(handle, buffer_, memory_, 0), "vkBindBufferMemory");
  const bool is_mapped =
      kind_ != FLAGOS_MEMORY_KIND_DEVICE || device_.physical().memory_types().is_device_mapped;
  if (is_mapped) {
    void* pointer = nullptr;
    check(vk.vkMapMemory(handle, memory_, 0, VK_WHOLE_SIZE, 0, &pointer), "vkMapMemory of {} bytes",
          size_bytes_);
    host_ = static_cast<std::byte*>(pointer);
  }
  if (device_.physical().has_addresses())
    take_address(is_mapped);
  else
    make_address();
}

void Block::allocate(std::uint64_t needed_bytes, const Sharing& sharing) {
  const DeviceFunctions& vk = device_.vk();
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.flags = device_.physical().has_addresses() ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT : 0;
  // Of shared memory some drivers want that it belongs to one buffer; then on both sides.
  VkMemoryDedicatedAllocateInfo dedicated{};
  dedicated.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO;
  dedicated.buffer = buffer_;
  VkExportMemoryAllocateInfo exported{};
  exported.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO;
  exported.pNext = &dedicated;
  exported.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkImportMemoryFdInfoKHR imported{};
  imported.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR;
  imported.pNext = &dedicated;
  imported.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.pNext = &flags;
  allocate.allocationSize = allocation_bytes_ = needed_bytes;
  allocate.memoryTypeIndex = memory_type_;
  if (sharing.fd >= 0) {
    if (needed_bytes > sharing.allocation_bytes)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "a buffer of {} bytes needs {}; {} were exported",
                  size_bytes_, needed_bytes, sharing.allocation_bytes);
    allocate.allocationSize = allocation_bytes_ = sharing.allocation_bytes;
    imported.fd = descriptor_for_driver(device_, sharing.fd);  // the driver's, once it has taken it
    flags.pNext = &imported;
  } else if (sharing.is_shared) {
    flags.pNext = &exported;
  }
  const VkResult result = vk.vkAllocateMemory(device_.handle(), &allocate, nullptr, &memory_);
  if (result >= VK_SUCCESS) return;
  memory_ = VK_NULL_HANDLE;
  if (sharing.fd >= 0) close(imported.fd);
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && kind_ == FLAGOS_MEMORY_KIND_PINNED)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "vkAllocateMemory of {} pinned bytes: {} ({})",
                needed_bytes, result_name(result), static_cast<int>(result));
  check(result, "vkAllocateMemory of {} bytes of {} memory", needed_bytes, kind_name(kind_));
}

std::uint64_t Block::ask_address() const noexcept {
  VkBufferDeviceAddressInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  info.buffer = buffer_;
  return device_.vk().vkGetBufferDeviceAddress(device_.handle(), &info) + buffer_offset_;
}

void Block::take_address(bool is_mapped) {
  device_address_ = ask_address();
  const bool host_addresses =
      kind_ != FLAGOS_MEMORY_KIND_DEVICE || (is_mapped && device_.physical().is_software());
  address_ = host_addresses ? reinterpret_cast<std::uint64_t>(host_) : device_address_;
  if (!host_addresses) reserve_host_range();
}

// The driver has none: where the host reaches the memory, and else a range that nothing else can have.
void Block::make_address() {
  if (host_ == nullptr) {
    reserved_ =
        mmap(nullptr, size_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved_ == MAP_FAILED) {
      reserved_ = nullptr;
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no range of {} addresses is left", size_bytes_);
    }
  }
  address_ = reinterpret_cast<std::uint64_t>(host_ != nullptr ? host_ : reserved_);
  device_address_ = address_;
}

void Block::reserve_host_range() {
  if (reinterpret_cast<std::uint64_t>(host_) == address_ || address_ >= end_of_host_addresses)
    return;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t first = address_ / page * page;
  const std::uint64_t bytes = round_up(address_ + size_bytes_, page) - first;
  void* wanted = reinterpret_cast<void*>(first);
  void* got = mmap(wanted, bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == MAP_FAILED && errno != EEXIST) return;  // nothing of the host can lie there
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, bytes);
    overlaps_host_ = true;
    return;
  }
  reserved_ = wanted;
}

void Block::release() noexcept {
  const DeviceFunctions& vk = device_.vk();
  if (!is_borrowed_) {
    vk.vkDestroyBuffer(device_.handle(), buffer_, nullptr);
    vk.vkFreeMemory(device_.handle(), memory_, nullptr);
  }
  if (reserved_ == nullptr) return;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uint64_t>(reserved_);
  munmap(reserved_, round_up(address_ + size_bytes_, page) - first);
}

Block::~Block() { release(); }

}  // namespace flagos::vulkan
