#include "plugins/vulkan/warm_up.hpp"

#include <cstdint>

#include "plugins/vulkan/device.hpp"

namespace flagos::vulkan {
namespace {

// SPIR-V 1.0: the entry point `k` with one thread, which returns at once.
constexpr std::uint32_t empty_kernel[] = {
    0x07230203, 0x00010000, 0,          5,          0,     // header: five ids
    0x00020011, 1,                                         // OpCapability Shader
    0x0003000e, 0,          1,                             // OpMemoryModel Logical GLSL450
    0x0004000f, 5,          1,          0x0000006b,        // OpEntryPoint GLCompute %1 "k"
    0x00060010, 1,          17,         1,          1, 1,  // OpExecutionMode %1 LocalSize 1 1 1
    0x00020013, 2,                                         // %2 = OpTypeVoid
    0x00030021, 3,          2,                             // %3 = OpTypeFunction %2
    0x00050036, 2,          1,          0,          3,     // %1 = OpFunction %2 None %3
    0x000200f8, 4,          0x000100fd, 0x00010038};       // OpLabel, OpReturn, OpFunctionEnd

// What one run needs; each is destroyed that was made.
class FirstRun {
 public:
  explicit FirstRun(const Device& device) : vk_(device.vk()), device_(device.handle()) {
    vk_.vkGetDeviceQueue(device_, device.physical().queue_family(), 0, &queue_);
    make_pipeline() && make_commands(device.physical().queue_family()) && run();
  }
  ~FirstRun() {
    vk_.vkDestroyCommandPool(device_, pool_, nullptr);
    vk_.vkDestroyPipeline(device_, pipeline_, nullptr);
    vk_.vkDestroyPipelineLayout(device_, layout_, nullptr);
    vk_.vkDestroyShaderModule(device_, shader_, nullptr);
  }
  FirstRun(const FirstRun&) = delete;
  FirstRun& operator=(const FirstRun&) = delete;

 private:
  template <typename Handle>
  static bool made(VkResult result, Handle& handle) {
    if (result != VK_SUCCESS) handle = VK_NULL_HANDLE;
    return result == VK_SUCCESS;
  }
  bool make_pipeline() {
    VkShaderModuleCreateInfo shader{};
    shader.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    shader.codeSize = sizeof(empty_kernel);
    shader.pCode = empty_kernel;
    if (!made(vk_.vkCreateShaderModule(device_, &shader, nullptr, &shader_), shader_)) return false;
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    if (!made(vk_.vkCreatePipelineLayout(device_, &layout, nullptr, &layout_), layout_))
      return false;
    VkComputePipelineCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    create.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    create.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    create.stage.module = shader_;
    create.stage.pName = "k";
    create.layout = layout_;
    return made(
        vk_.vkCreateComputePipelines(device_, VK_NULL_HANDLE, 1, &create, nullptr, &pipeline_),
        pipeline_);
  }

  bool make_commands(std::uint32_t queue_family) {
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.queueFamilyIndex = queue_family;
    if (!made(vk_.vkCreateCommandPool(device_, &pool, nullptr, &pool_), pool_)) return false;
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool_;
    allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    allocate.commandBufferCount = 1;
    if (vk_.vkAllocateCommandBuffers(device_, &allocate, &commands_) != VK_SUCCESS) return false;
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    if (vk_.vkBeginCommandBuffer(commands_, &begin) != VK_SUCCESS) return false;
    vk_.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_);
    vk_.vkCmdDispatch(commands_, 1, 1, 1);
    return vk_.vkEndCommandBuffer(commands_) == VK_SUCCESS;
  }

  bool run() {
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands_;
    if (vk_.vkQueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE) != VK_SUCCESS) return false;
    return vk_.vkDeviceWaitIdle(device_) == VK_SUCCESS;
  }

  const DeviceFunctions& vk_;
  const VkDevice device_;
  VkQueue queue_ = VK_NULL_HANDLE;
  VkShaderModule shader_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipeline pipeline_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
};

}  // namespace

void warm_up(const Device& device) noexcept { const FirstRun run(device); }

}  // namespace flagos::vulkan
