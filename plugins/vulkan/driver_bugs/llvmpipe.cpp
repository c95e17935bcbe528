// Three faults of Mesa's llvmpipe (seen in 22.3.6), shown against the driver alone:
//
//  - all loops of a kernel together run at most 65535 rounds;
//  - a loop whose end depends on an atomic's result goes on while the unused lanes of the vector do not
//    want to end. Here that uses the rounds up, so that the loop behind it does not run;
//  - an int that was widened to an int64_t is less than no constant, and greater than all.
//
// The first two are why the suite's kernels that run until they are told have many blocks and share the
// first lane's word, the third is why to_i64(int) of compiler/print_glsl.cpp puts halves together. Ends
// with 0 when a fault is still there, 77 without a device of llvmpipe, and 1 when all are gone: then
// holding_grid(), the broadcast in WATCH and that function can go as well.
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <vulkan/vulkan.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

PFN_vkGetInstanceProcAddr get_function = nullptr;
VkInstance instance = VK_NULL_HANDLE;

#define CALL(name) reinterpret_cast<PFN_##name>(get_function(instance, #name))

void check(VkResult result, const char* call) {
  if (result == VK_SUCCESS) return;
  std::fprintf(stderr, "%s: VkResult %d\n", call, static_cast<int>(result));
  std::exit(2);
}

void open_loader() {
  void* const library = dlopen("libvulkan.so.1", RTLD_NOW);
  if (library == nullptr) {
    std::puts("no libvulkan.so.1");
    std::exit(77);
  }
  get_function =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.apiVersion = VK_API_VERSION_1_2;
  VkInstanceCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  create.pApplicationInfo = &application;
  if (CALL(vkCreateInstance)(&create, nullptr, &instance) != VK_SUCCESS) {
    std::puts("no Vulkan driver");
    std::exit(77);
  }
}

VkPhysicalDevice find_llvmpipe() {
  std::uint32_t count = 16;
  VkPhysicalDevice devices[16];
  if (CALL(vkEnumeratePhysicalDevices)(instance, &count, devices) >= VK_SUCCESS) {
    for (std::uint32_t i = 0; i < count; ++i) {
      VkPhysicalDeviceProperties properties;
      CALL(vkGetPhysicalDeviceProperties)(devices[i], &properties);
      if (std::strncmp(properties.deviceName, "llvmpipe", 8) == 0) return devices[i];
    }
  }
  std::puts("no device of llvmpipe");
  std::exit(77);
}

// Everything that one dispatch with one storage buffer needs. Nothing is destroyed: the process ends.
struct Machine {
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  std::uint32_t* words = nullptr;
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  VkDescriptorSet set = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkCommandPool pool = VK_NULL_HANDLE;

  explicit Machine(VkPhysicalDevice physical) {
    const float priority = 1;
    VkDeviceQueueCreateInfo queues{};
    queues.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queues.queueCount = 1;  // llvmpipe has one family, which does everything
    queues.pQueuePriorities = &priority;
    VkDeviceCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    create.queueCreateInfoCount = 1;
    create.pQueueCreateInfos = &queues;
    check(CALL(vkCreateDevice)(physical, &create, nullptr, &device), "vkCreateDevice");
    CALL(vkGetDeviceQueue)(device, 0, 0, &queue);
    make_buffer();
    make_set();
    VkCommandPoolCreateInfo commands{};
    commands.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    check(CALL(vkCreateCommandPool)(device, &commands, nullptr, &pool), "vkCreateCommandPool");
  }

  void make_buffer() {
    VkBufferCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    create.size = 256;
    create.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    check(CALL(vkCreateBuffer)(device, &create, nullptr, &buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    CALL(vkGetBufferMemoryRequirements)(device, buffer, &needs);
    VkMemoryAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    allocate.allocationSize = needs.size;  // llvmpipe has one type, which the host sees
    VkDeviceMemory memory;
    check(CALL(vkAllocateMemory)(device, &allocate, nullptr, &memory), "vkAllocateMemory");
    check(CALL(vkBindBufferMemory)(device, buffer, memory, 0), "vkBindBufferMemory");
    void* pointer = nullptr;
    check(CALL(vkMapMemory)(device, memory, 0, VK_WHOLE_SIZE, 0, &pointer), "vkMapMemory");
    words = static_cast<std::uint32_t*>(pointer);
  }

  void make_set() {
    const VkDescriptorSetLayoutBinding binding{0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
                                               VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    VkDescriptorSetLayoutCreateInfo sets{};
    sets.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    sets.bindingCount = 1;
    sets.pBindings = &binding;
    check(CALL(vkCreateDescriptorSetLayout)(device, &sets, nullptr, &set_layout),
          "vkCreateDescriptorSetLayout");
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
    VkDescriptorPoolCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    create.maxSets = 1;
    create.poolSizeCount = 1;
    create.pPoolSizes = &size;
    VkDescriptorPool descriptors;
    check(CALL(vkCreateDescriptorPool)(device, &create, nullptr, &descriptors),
          "vkCreateDescriptorPool");
    VkDescriptorSetAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocate.descriptorPool = descriptors;
    allocate.descriptorSetCount = 1;
    allocate.pSetLayouts = &set_layout;
    check(CALL(vkAllocateDescriptorSets)(device, &allocate, &set), "vkAllocateDescriptorSets");
    const VkDescriptorBufferInfo info{buffer, 0, VK_WHOLE_SIZE};
    VkWriteDescriptorSet write{};
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = set;
    write.descriptorCount = 1;
    write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    write.pBufferInfo = &info;
    CALL(vkUpdateDescriptorSets)(device, 1, &write, 0, nullptr);
    VkPipelineLayoutCreateInfo layouts{};
    layouts.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layouts.setLayoutCount = 1;
    layouts.pSetLayouts = &set_layout;
    check(CALL(vkCreatePipelineLayout)(device, &layouts, nullptr, &layout),
          "vkCreatePipelineLayout");
  }

  // What the kernel has counted.
  std::uint32_t run(VkShaderModule shader, const char* kernel) {
    VkComputePipelineCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    create.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    create.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    create.stage.module = shader;
    create.stage.pName = kernel;
    create.layout = layout;
    VkPipeline pipeline;
    check(CALL(vkCreateComputePipelines)(device, VK_NULL_HANDLE, 1, &create, nullptr, &pipeline),
          "vkCreateComputePipelines");
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands;
    check(CALL(vkAllocateCommandBuffers)(device, &allocate, &commands), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    check(CALL(vkBeginCommandBuffer)(commands, &begin), "vkBeginCommandBuffer");
    CALL(vkCmdBindPipeline)(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    CALL(vkCmdBindDescriptorSets)
    (commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, nullptr);
    CALL(vkCmdDispatch)(commands, 1, 1, 1);
    check(CALL(vkEndCommandBuffer)(commands), "vkEndCommandBuffer");
    words[0] = 0;
    words[1] = 1;
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    check(CALL(vkQueueSubmit)(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    check(CALL(vkQueueWaitIdle)(queue), "vkQueueWaitIdle");
    return words[0];
  }
};

VkShaderModule load(VkDevice device, const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::uint32_t> code(bytes.size() / 4);
  std::memcpy(code.data(), bytes.data(), code.size() * 4);
  VkShaderModuleCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  create.codeSize = code.size() * 4;
  create.pCode = code.data();
  VkShaderModule shader;
  check(CALL(vkCreateShaderModule)(device, &create, nullptr, &shader), "vkCreateShaderModule");
  return shader;
}

bool is_wrong(const char* kernel, std::uint32_t counted, std::uint32_t right) {
  std::printf("%s: %u, where %u is right: %s\n", kernel, counted, right,
              counted == right ? "right" : "the fault is still there");
  return counted != right;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s llvmpipe.spirv\n", argv[0]);
    return 2;
  }
  open_loader();
  Machine machine(find_llvmpipe());
  const VkShaderModule shader = load(machine.device, argv[1]);
  const bool cut = is_wrong("count_rounds", machine.run(shader, "count_rounds"), 100000);
  const bool idle = is_wrong("idle_lanes", machine.run(shader, "idle_lanes"), 1000);
  const bool wide = is_wrong("widened", machine.run(shader, "widened"), 1);
  return cut || idle || wide ? 0 : 1;
}
