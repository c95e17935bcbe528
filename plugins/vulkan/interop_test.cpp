#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/test_plugin.hpp"

namespace flagos::vulkan::test {
namespace {

constexpr std::uint64_t a_moment_ns = 1'000'000;

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof(desc);
  return desc;
}

// A program that uses the driver's own objects beside the plugin.
struct Program {
  explicit Program(TestDevice& given) : device(given) {
    REQUIRE(device.api.interop->get_native_device(device.get(), &native) == FLAGOS_STATUS_OK);
    handle = reinterpret_cast<VkDevice>(native.handles[0]);
    const Loader& loader = Loader::open("libvulkan.so.1");
    vk = DeviceFunctions(InstanceFunctions(loader, reinterpret_cast<VkInstance>(native.handles[2])),
                         handle);
  }
  VkSemaphore timeline_semaphore(std::uint64_t value) const {
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    type.initialValue = value;
    VkSemaphoreCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    create.pNext = &type;
    VkSemaphore semaphore = VK_NULL_HANDLE;
    REQUIRE(vk.vkCreateSemaphore(handle, &create, nullptr, &semaphore) == VK_SUCCESS);
    return semaphore;
  }
  void signal(VkSemaphore semaphore, std::uint64_t value) const {
    VkSemaphoreSignalInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
    info.semaphore = semaphore;
    info.value = value;
    REQUIRE(vk.vkSignalSemaphore(handle, &info) == VK_SUCCESS);
  }
  // A buffer with memory of its own, of type 0.
  flagos_native_t buffer(std::uint64_t size_bytes) const {
    VkBufferCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    create.size = size_bytes;
    create.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                   VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    VkBuffer made = VK_NULL_HANDLE;
    REQUIRE(vk.vkCreateBuffer(handle, &create, nullptr, &made) == VK_SUCCESS);
    VkMemoryRequirements needs;
    vk.vkGetBufferMemoryRequirements(handle, made, &needs);
    VkMemoryAllocateFlagsInfo flags{};
    flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
    flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    VkMemoryAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    allocate.pNext = &flags;
    allocate.allocationSize = needs.size;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    REQUIRE(vk.vkAllocateMemory(handle, &allocate, nullptr, &memory) == VK_SUCCESS);
    REQUIRE(vk.vkBindBufferMemory(handle, made, memory, 0) == VK_SUCCESS);
    flagos_native_t described = desc_of<flagos_native_t>();
    std::strcpy(described.type, "VkBuffer");
    described.handle_count = 4;
    described.handles[0] = reinterpret_cast<std::uint64_t>(made);
    described.handles[1] = reinterpret_cast<std::uint64_t>(memory);
    described.handles[2] = native.handles[0];
    return described;
  }

  TestDevice& device;
  flagos_native_t native = desc_of<flagos_native_t>();
  VkDevice handle = VK_NULL_HANDLE;
  DeviceFunctions vk;
};

flagos_native_t semaphore_native(VkSemaphore semaphore, std::uint64_t value) {
  flagos_native_t native = desc_of<flagos_native_t>();
  std::strcpy(native.type, "VkSemaphore");
  native.handle_count = 2;
  native.handles[0] = reinterpret_cast<std::uint64_t>(semaphore);
  native.handles[1] = value;
  return native;
}

struct AddArguments {
  std::uint64_t target;
  std::uint32_t count;
  std::uint32_t more;
};

TEST_CASE("interop: an event completes with a semaphore of the program's") {
  TestDevice device;
  const Program program(device);
  flagos_plugin_stream_t* const stream = device.stream();
  const VkSemaphore semaphore = program.timeline_semaphore(3);
  const flagos_native_t reached = semaphore_native(semaphore, 3);
  const flagos_native_t later = semaphore_native(semaphore, 4);
  flagos_plugin_event_t* events[3] = {};
  REQUIRE(device.api.interop->wrap_native_event(device.get(), &reached, 0, &events[0]) ==
          FLAGOS_STATUS_OK);
  REQUIRE(device.api.interop->wrap_native_event(device.get(), &later, 0, &events[1]) ==
          FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(events[0], forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(events[1], a_moment_ns) == FLAGOS_STATUS_TIMEOUT);

  // Work of a stream waits for it as well.
  const std::uint64_t memory = device.alloc(4, FLAGOS_MEMORY_KIND_PINNED);
  auto* const word = reinterpret_cast<volatile std::uint32_t*>(memory);
  *word = 1;
  const AddArguments arguments{memory, 1, 6};
  REQUIRE(device.api.stream->wait_event(stream, events[1]) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_add", arguments, 1, 1) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, a_moment_ns) == FLAGOS_STATUS_TIMEOUT);
  CHECK(*word == 1);
  program.signal(semaphore, 4);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(*word == 7);
  CHECK(device.api.event->synchronize(events[1], forever) == FLAGOS_STATUS_OK);

  // One that is never reached can be destroyed, with its semaphore.
  const flagos_native_t never = semaphore_native(program.timeline_semaphore(0), 1);
  REQUIRE(device.api.interop->wrap_native_event(device.get(), &never, FLAGOS_WRAP_FLAG_OWN,
                                                &events[2]) == FLAGOS_STATUS_OK);
  for (flagos_plugin_event_t* event : events) device.api.event->destroy(event);
  program.vk.vkDestroySemaphore(program.handle, semaphore, nullptr);
}

TEST_CASE("interop: the program waits for a record by its semaphore") {
  TestDevice device;
  const Program program(device);
  flagos_plugin_stream_t* const stream = device.stream();
  for (const std::uint32_t flags : {0u, std::uint32_t{FLAGOS_EVENT_FLAG_NO_TIMING}}) {
    flagos_plugin_event_t* const event = device.event(flags);
    flagos_native_t native = desc_of<flagos_native_t>();
    CHECK(device.api.interop->get_native_event(event, &native) == FLAGOS_STATUS_UNSUPPORTED);
    const AddArguments arguments{device.alloc(1 << 20), 1 << 18, 6};
    REQUIRE(device.launch(stream, "test_add", arguments, 4096, 64) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.interop->get_native_event(event, &native) == FLAGOS_STATUS_OK);
    CHECK(std::string(native.type) == "VkSemaphore");
    const auto semaphore = reinterpret_cast<VkSemaphore>(native.handles[0]);
    VkSemaphoreWaitInfo wait{};
    wait.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    wait.semaphoreCount = 1;
    wait.pSemaphores = &semaphore;
    wait.pValues = &native.handles[1];
    CHECK(program.vk.vkWaitSemaphores(program.handle, &wait, UINT64_MAX) == VK_SUCCESS);
    CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_OK);
  }
}

TEST_CASE("interop: memory of the program's own, given away or not") {
  TestDevice device;
  const Program program(device);
  flagos_plugin_stream_t* const stream = device.stream();
  constexpr std::uint32_t count = 1000;
  for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{FLAGOS_WRAP_FLAG_OWN}}) {
    flagos_native_t native = program.buffer(count * 4 + 256);
    native.handles[3] = 256;
    flagos_address_t address = 0;
    REQUIRE(device.api.interop->wrap_native_memory(device.get(), &native, count * 4, flags,
                                                   &address) == FLAGOS_STATUS_OK);
    flagos_address_t again = 0;
    CHECK(device.api.interop->wrap_native_memory(device.get(), &native, count * 4, flags, &again) ==
          FLAGOS_STATUS_INVALID_ARGUMENT);
    flagos_native_t shown = desc_of<flagos_native_t>();
    REQUIRE(device.api.interop->get_native_memory(device.get(), address + 8, &shown) ==
            FLAGOS_STATUS_OK);
    CHECK(shown.handles[0] == native.handles[0]);
    CHECK(shown.handles[3] == 264);
    const std::vector<std::uint32_t> words(count, 5);
    std::vector<std::uint32_t> back(count);
    REQUIRE(device.copy(stream, address, address_of(words.data()), count * 4) == FLAGOS_STATUS_OK);
    const AddArguments arguments{address, count, 6};
    REQUIRE(device.launch(stream, "test_add", arguments, (count + 63) / 64, 64) ==
            FLAGOS_STATUS_OK);
    REQUIRE(device.copy(stream, address_of(back.data()), address, count * 4) == FLAGOS_STATUS_OK);
    REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
    CHECK(back == std::vector<std::uint32_t>(count, 11));
    device.api.memory->free(device.get(), address);
    if (flags != 0) continue;
    program.vk.vkDestroyBuffer(program.handle, reinterpret_cast<VkBuffer>(native.handles[0]),
                               nullptr);
    program.vk.vkFreeMemory(program.handle, reinterpret_cast<VkDeviceMemory>(native.handles[1]),
                            nullptr);
  }
  flagos_native_t foreign = program.buffer(256);
  foreign.handles[2] += 8;
  flagos_address_t address = 0;
  CHECK(device.api.interop->wrap_native_memory(device.get(), &foreign, 256, 0, &address) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("VkDevice") != std::string::npos);
  foreign.handles[2] -= 8;
  REQUIRE(device.api.interop->wrap_native_memory(device.get(), &foreign, 256, FLAGOS_WRAP_FLAG_OWN,
                                                 &address) == FLAGOS_STATUS_OK);
  device.api.memory->free(device.get(), address);
}

TEST_CASE("interop: a device and a queue of the program's, used by both") {
  TestDevice device;
  const Program program(device);
  flagos_plugin_device_t* wrapped = nullptr;
  REQUIRE(device.api.interop->wrap_native_device(device.api.instance, 0, &program.native, 0,
                                                 &wrapped) == FLAGOS_STATUS_OK);
  flagos_native_t queue = desc_of<flagos_native_t>();
  REQUIRE(device.api.interop->get_native_stream(device.stream(), &queue) == FLAGOS_STATUS_OK);
  CHECK(std::string(queue.type) == "VkQueue");
  flagos_plugin_stream_t* stream = nullptr;
  REQUIRE(device.api.interop->wrap_native_stream(wrapped, &queue, 0, &stream) == FLAGOS_STATUS_OK);
  auto memory = desc_of<flagos_memory_desc_t>();
  memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory.size_bytes = 64;
  memory.alignment_bytes = 256;
  flagos_address_t address = 0;
  REQUIRE(device.api.memory->alloc(wrapped, &memory, &address) == FLAGOS_STATUS_OK);
  const std::vector<std::uint32_t> words(16, 77);
  std::vector<std::uint32_t> back(16);
  REQUIRE(device.copy(stream, address, address_of(words.data()), 64) == FLAGOS_STATUS_OK);
  REQUIRE(device.copy(stream, address_of(back.data()), address, 64) == FLAGOS_STATUS_OK);
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(back == words);
  device.api.stream->destroy(stream);
  device.api.memory->free(wrapped, address);
  queue.handles[0] += 8;
  CHECK(device.api.interop->wrap_native_stream(wrapped, &queue, 0, &stream) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  device.api.device->close(wrapped);

  // It was only lent.
  const AddArguments arguments{device.alloc(64), 16, 6};
  flagos_plugin_stream_t* const own = device.stream();
  CHECK(device.launch(own, "test_add", arguments, 1, 64) == FLAGOS_STATUS_OK);
  CHECK(device.wait(own) == FLAGOS_STATUS_OK);
}

TEST_CASE("interop: memory of the device in two openings, until its owner frees it") {
  TestDevice owner;
  TestDevice other;
  if (owner.api.interop->export_memory == nullptr) {
    MESSAGE("the driver shares no memory");
    return;
  }
  auto desc = desc_of<flagos_memory_desc_t>();
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 4000;
  desc.alignment_bytes = 256;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  flagos_address_t memory = 0;
  REQUIRE(owner.api.memory->alloc(owner.get(), &desc, &memory) == FLAGOS_STATUS_OK);
  flagos_plugin_external_t external{};
  const std::uint64_t plain = owner.alloc(4000);
  CHECK(owner.api.interop->export_memory(owner.get(), plain, &external) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  REQUIRE(owner.api.interop->export_memory(owner.get(), memory, &external) == FLAGOS_STATUS_OK);
  CHECK((fcntl(external.fd, F_GETFD) & FD_CLOEXEC) != 0);
  external.size_bytes = desc.size_bytes;

  flagos_address_t here = 0;
  flagos_address_t there = 0;
  REQUIRE(owner.api.interop->import_memory(owner.get(), &external, &here) == FLAGOS_STATUS_OK);
  REQUIRE(other.api.interop->import_memory(other.get(), &external, &there) == FLAGOS_STATUS_OK);
  CHECK(here != memory);
  const std::vector<std::uint32_t> words(1000, 9);
  std::vector<std::uint32_t> back(1000);
  flagos_plugin_stream_t* const stream = owner.stream();
  flagos_plugin_stream_t* const other_stream = other.stream();
  REQUIRE(owner.copy(stream, memory, address_of(words.data()), 4000) == FLAGOS_STATUS_OK);
  REQUIRE(owner.launch(stream, "test_add", AddArguments{here, 1000, 1}, 16, 64) ==
          FLAGOS_STATUS_OK);
  REQUIRE(owner.wait(stream) == FLAGOS_STATUS_OK);
  REQUIRE(other.launch(other_stream, "test_add", AddArguments{there, 1000, 5}, 16, 64) ==
          FLAGOS_STATUS_OK);
  REQUIRE(other.wait(other_stream) == FLAGOS_STATUS_OK);
  REQUIRE(owner.copy(stream, address_of(back.data()), memory, 4000) == FLAGOS_STATUS_OK);
  REQUIRE(owner.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(back == std::vector<std::uint32_t>(1000, 15));

  // What was imported stays; what comes later is told.
  owner.api.memory->free(owner.get(), memory);
  REQUIRE(other.copy(other_stream, address_of(back.data()), there, 4000) == FLAGOS_STATUS_OK);
  REQUIRE(other.wait(other_stream) == FLAGOS_STATUS_OK);
  CHECK(back == std::vector<std::uint32_t>(1000, 15));
  flagos_address_t late = 0;
  CHECK(other.api.interop->import_memory(other.get(), &external, &late) ==
        FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(other.host.last_error().find("freed") != std::string::npos);
  external.type = 7;
  CHECK(other.api.interop->import_memory(other.get(), &external, &late) ==
        FLAGOS_STATUS_UNSUPPORTED);
  owner.api.memory->free(owner.get(), here);
  other.api.memory->free(other.get(), there);
  close(external.fd);
}

}  // namespace
}  // namespace flagos::vulkan::test
