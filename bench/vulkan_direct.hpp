// The Vulkan driver without us: what bench/vulkan.cpp compares with.
#pragma once

#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <flagos.h>
#include <vulkan/vulkan.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace flagos::bench {

#define CALL(name) reinterpret_cast<PFN_##name>(get_function_(instance_, #name))

// A queue that is there, a buffer pair that the host sees, and an empty kernel; ends the program on any error.
// The device and the queue are ours: those of another device have threads of their own in a driver for processors, and
// where the system puts them made 0.8 to 1.9 of what was the same work.
class DirectVulkan {
 public:
  DirectVulkan(const flagos_native_t& device, const flagos_native_t& queue,
               const std::vector<std::uint32_t>& code, std::uint64_t buffer_bytes)
      : instance_(handle<VkInstance>(device, 2)),
        device_(handle<VkDevice>(device, 0)),
        queue_(handle<VkQueue>(queue, 0)) {
    find_functions();
    CALL(vkGetPhysicalDeviceMemoryProperties)(handle<VkPhysicalDevice>(device, 1), &memory_);
    make_pipeline(code);
    VkCommandPoolCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    check(CALL(vkCreateCommandPool)(device_, &create, nullptr, &pool_), "vkCreateCommandPool");
    for (int i = 0; i < 2; ++i) make_buffer(buffer_bytes, i);
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo semaphore{};
    semaphore.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    semaphore.pNext = &type;
    check(CALL(vkCreateSemaphore)(device_, &semaphore, nullptr, &semaphore_), "vkCreateSemaphore");
    queue_submit_ = CALL(vkQueueSubmit);
    wait_semaphores_ = CALL(vkWaitSemaphores);
  }

  // Commands that are recorded once: so many dispatches, each behind a barrier as ours are.
  VkCommandBuffer record_dispatches(int count) {
    const VkCommandBuffer commands = begin();
    for (int i = 0; i < count; ++i) {
      barrier(commands);
      CALL(vkCmdBindPipeline)(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_);
      CALL(vkCmdDispatch)(commands, 1, 1, 1);
    }
    return end(commands);
  }
  VkCommandBuffer record_copy(std::uint64_t bytes) {
    const VkCommandBuffer commands = begin();
    barrier(commands);
    const VkBufferCopy region{0, 0, bytes};
    CALL(vkCmdCopyBuffer)(commands, buffers_[0], buffers_[1], 1, &region);
    return end(commands);
  }
  void submit(VkCommandBuffer commands) {
    ++value_;
    VkTimelineSemaphoreSubmitInfo timeline{};
    timeline.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    timeline.signalSemaphoreValueCount = 1;
    timeline.pSignalSemaphoreValues = &value_;
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.pNext = &timeline;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands;
    info.signalSemaphoreCount = 1;
    info.pSignalSemaphores = &semaphore_;
    check(queue_submit_(queue_, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
  }
  void wait() {
    VkSemaphoreWaitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    info.semaphoreCount = 1;
    info.pSemaphores = &semaphore_;
    info.pValues = &value_;
    check(wait_semaphores_(device_, &info, UINT64_MAX), "vkWaitSemaphores");
  }
  void* host(int index) const { return mapped_[index]; }

 private:
  static void check(VkResult result, const char* call) {
    if (result == VK_SUCCESS) return;
    std::fprintf(stderr, "%s: VkResult %d\n", call, static_cast<int>(result));
    std::exit(1);
  }

  template <typename Handle>
  static Handle handle(const flagos_native_t& native, std::uint32_t index) {
    return reinterpret_cast<Handle>(native.handles[index]);
  }

  void find_functions() {
    void* const library = dlopen("libvulkan.so.1", RTLD_NOW);
    if (library == nullptr) {
      std::fputs("no libvulkan.so.1\n", stderr);
      std::exit(1);
    }
    get_function_ =
        reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  }

  void make_pipeline(const std::vector<std::uint32_t>& code) {
    VkShaderModuleCreateInfo shader{};
    shader.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    shader.codeSize = code.size() * 4;
    shader.pCode = code.data();
    VkShaderModule module = VK_NULL_HANDLE;
    check(CALL(vkCreateShaderModule)(device_, &shader, nullptr, &module), "vkCreateShaderModule");
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    VkPipelineLayout made = VK_NULL_HANDLE;
    check(CALL(vkCreatePipelineLayout)(device_, &layout, nullptr, &made), "vkCreatePipelineLayout");
    VkComputePipelineCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    create.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    create.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    create.stage.module = module;
    create.stage.pName = "bench_empty";
    create.layout = made;
    check(CALL(vkCreateComputePipelines)(device_, VK_NULL_HANDLE, 1, &create, nullptr, &pipeline_),
          "vkCreateComputePipelines");
  }

  void make_buffer(std::uint64_t bytes, int index) {
    VkBufferCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    create.size = bytes;
    create.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    check(CALL(vkCreateBuffer)(device_, &create, nullptr, &buffers_[index]), "vkCreateBuffer");
    VkMemoryRequirements needs;
    CALL(vkGetBufferMemoryRequirements)(device_, buffers_[index], &needs);
    constexpr VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    allocate.allocationSize = needs.size;
    while ((needs.memoryTypeBits >> allocate.memoryTypeIndex & 1) == 0 ||
           (memory_.memoryTypes[allocate.memoryTypeIndex].propertyFlags & wanted) != wanted)
      if (++allocate.memoryTypeIndex == memory_.memoryTypeCount)
        check(VK_ERROR_OUT_OF_DEVICE_MEMORY, "no memory that the host sees");
    VkDeviceMemory memory = VK_NULL_HANDLE;
    check(CALL(vkAllocateMemory)(device_, &allocate, nullptr, &memory), "vkAllocateMemory");
    check(CALL(vkBindBufferMemory)(device_, buffers_[index], memory, 0), "vkBindBufferMemory");
    check(CALL(vkMapMemory)(device_, memory, 0, VK_WHOLE_SIZE, 0, &mapped_[index]), "vkMapMemory");
  }

  VkCommandBuffer begin() {
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool_;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    check(CALL(vkAllocateCommandBuffers)(device_, &allocate, &commands),
          "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
    check(CALL(vkBeginCommandBuffer)(commands, &begin), "vkBeginCommandBuffer");
    return commands;
  }
  void barrier(VkCommandBuffer commands) {
    VkMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = barrier.srcAccessMask | VK_ACCESS_SHADER_READ_BIT |
                            VK_ACCESS_UNIFORM_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
    constexpr VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    CALL(vkCmdPipelineBarrier)(commands, stages, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
  }
  VkCommandBuffer end(VkCommandBuffer commands) {
    check(CALL(vkEndCommandBuffer)(commands), "vkEndCommandBuffer");
    return commands;
  }
  PFN_vkGetInstanceProcAddr get_function_ = nullptr;
  PFN_vkQueueSubmit queue_submit_ = nullptr;
  PFN_vkWaitSemaphores wait_semaphores_ = nullptr;
  VkInstance instance_ = VK_NULL_HANDLE;
  VkDevice device_ = VK_NULL_HANDLE;
  VkPhysicalDeviceMemoryProperties memory_{};
  VkQueue queue_ = VK_NULL_HANDLE;
  VkPipeline pipeline_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkBuffer buffers_[2] = {};
  void* mapped_[2] = {};
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  std::uint64_t value_ = 0;
};

#undef CALL

}  // namespace flagos::bench
