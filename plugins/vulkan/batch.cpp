#include "plugins/vulkan/batch.hpp"

#include <cstring>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/timeline.hpp"

namespace flagos::vulkan {
namespace {

constexpr VkPipelineStageFlags work_stages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags accesses =
    writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_UNIFORM_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

}  // namespace

Batch::Batch(Device& device) : device_(device) {
  const DeviceFunctions& vk = device.vk();
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
  pool.queueFamilyIndex = device.physical().queue_family();
  check(vk.vkCreateCommandPool(device.handle(), &pool, nullptr, &pool_), "vkCreateCommandPool");
  VkCommandBufferAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocate.commandPool = pool_;
  allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocate.commandBufferCount = 1;
  const VkResult result = vk.vkAllocateCommandBuffers(device.handle(), &allocate, &commands_);
  if (result < VK_SUCCESS) {
    vk.vkDestroyCommandPool(device.handle(), pool_, nullptr);
    throw_result(result, "vkAllocateCommandBuffers");
  }
}

Batch::~Batch() {
  const DeviceFunctions& vk = device_.vk();
  vk.vkDestroyDescriptorPool(device_.handle(), descriptors_, nullptr);
  vk.vkDestroyDescriptorPool(device_.handle(), launch_sets_, nullptr);
  vk.vkDestroyQueryPool(device_.handle(), queries_, nullptr);
  vk.vkDestroyCommandPool(device_.handle(), pool_, nullptr);
}

void Batch::begin(Stream& stream) {
  const DeviceFunctions& vk = device_.vk();
  owner = &stream;
  value = 0;
  is_urgent = false;
  actions_.clear();
  stamps_.clear();
  command_count_ = 0;
  upload_used_ = 0;
  if (query_count_ != 0) vk.vkResetQueryPool(device_.handle(), queries_, 0, query_count_);
  query_count_ = 0;
  if (set_count_ != 0) vk.vkResetDescriptorPool(device_.handle(), launch_sets_, 0);
  set_count_ = 0;
  bound_count_ = 0;
  check(vk.vkResetCommandPool(device_.handle(), pool_, 0), "vkResetCommandPool");
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  check(vk.vkBeginCommandBuffer(commands_, &begin), "vkBeginCommandBuffer");
}

void Batch::barrier() noexcept {
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = writes;
  barrier.dstAccessMask = accesses;
  device_.vk().vkCmdPipelineBarrier(commands_, work_stages, work_stages, 0, 1, &barrier, 0, nullptr,
                                    0, nullptr);
}

void Batch::end() {
  if (query_count_ != 0) copy_times();
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = writes;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
  device_.vk().vkCmdPipelineBarrier(commands_, work_stages, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                    &barrier, 0, nullptr, 0, nullptr);
  check(device_.vk().vkEndCommandBuffer(commands_), "vkEndCommandBuffer");
}

void Batch::make_memory() {
  // Longer than what is handed out: a dynamic buffer of the largest block must end inside.
  memory_ = std::make_unique<Block>(device_, upload_bytes + max_argument_bytes,
                                    FLAGOS_MEMORY_KIND_PINNED);
}

Upload Batch::upload(std::uint64_t size_bytes) {
  if (!memory_) make_memory();
  const std::uint64_t offset = (upload_used_ + 255) / 256 * 256;
  upload_used_ = offset + size_bytes;
  return {memory_->host() + offset, memory_->buffer(), offset, memory_->device_address() + offset};
}

VkDescriptorSet Batch::argument_set(VkDescriptorType type, VkDescriptorSetLayout layout) {
  VkDescriptorSet& set = sets_[type == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC ? 0 : 1];
  if (set != VK_NULL_HANDLE) return set;
  const DeviceFunctions& vk = device_.vk();
  if (descriptors_ == VK_NULL_HANDLE) {
    const VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC, 1},
                                           {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC, 1}};
    VkDescriptorPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.maxSets = 2;
    pool.poolSizeCount = 2;
    pool.pPoolSizes = sizes;
    check_made(vk.vkCreateDescriptorPool(device_.handle(), &pool, nullptr, &descriptors_),
               descriptors_, "vkCreateDescriptorPool");
  }
  VkDescriptorSetAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  allocate.descriptorPool = descriptors_;
  allocate.descriptorSetCount = 1;
  allocate.pSetLayouts = &layout;
  if (!memory_) make_memory();
  VkDescriptorSet made = VK_NULL_HANDLE;
  check(vk.vkAllocateDescriptorSets(device_.handle(), &allocate, &made),
        "vkAllocateDescriptorSets");
  set = made;
  const VkDescriptorBufferInfo buffer{memory_->buffer(), 0, max_argument_bytes};
  VkWriteDescriptorSet write{};
  write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
  write.dstSet = set;
  write.descriptorCount = 1;
  write.descriptorType = type;
  write.pBufferInfo = &buffer;
  vk.vkUpdateDescriptorSets(device_.handle(), 1, &write, 0, nullptr);
  return set;
}

VkBuffer Batch::memory_buffer() {
  if (!memory_) make_memory();
  return memory_->buffer();
}

VkDescriptorSet Batch::launch_set(const Kernel& kernel,
                                  std::span<const VkDescriptorBufferInfo> buffers) {
  const DeviceFunctions& vk = device_.vk();
  if (launch_sets_ == VK_NULL_HANDLE) {
    const VkDescriptorPoolSize sizes[3] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, bound_limit},
                                           {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC, set_limit},
                                           {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC, set_limit}};
    VkDescriptorPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.maxSets = set_limit;
    pool.poolSizeCount = 3;
    pool.pPoolSizes = sizes;
    check_made(vk.vkCreateDescriptorPool(device_.handle(), &pool, nullptr, &launch_sets_),
               launch_sets_, "vkCreateDescriptorPool");
  }
  const VkDescriptorSetLayout layout = kernel.argument_set_layout();
  VkDescriptorSetAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  allocate.descriptorPool = launch_sets_;
  allocate.descriptorSetCount = 1;
  allocate.pSetLayouts = &layout;
  VkDescriptorSet set = VK_NULL_HANDLE;
  check(vk.vkAllocateDescriptorSets(device_.handle(), &allocate, &set), "vkAllocateDescriptorSets");
  ++set_count_;
  bound_count_ += buffers.size();
  VkWriteDescriptorSet writes[KernelLayout::buffer_limit + 1];
  std::uint32_t count = 0;
  const auto write = [&](std::uint32_t binding, VkDescriptorType type,
                         const VkDescriptorBufferInfo& buffer) {
    VkWriteDescriptorSet& one = writes[count++];
    one = {};
    one.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    one.dstSet = set;
    one.dstBinding = binding;
    one.descriptorCount = 1;
    one.descriptorType = type;
    one.pBufferInfo = &buffer;
  };
  const VkDescriptorBufferInfo arguments{memory_buffer(), 0, max_argument_bytes};
  if (kernel.layout().block != ArgumentBlock::push_constants)
    write(0, kernel.descriptor_type(), arguments);
  for (std::size_t i = 0; i < buffers.size(); ++i)
    write(kernel.layout().buffers[i].binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, buffers[i]);
  vk.vkUpdateDescriptorSets(device_.handle(), count, writes, 0, nullptr);
  return set;
}

std::uint32_t Batch::write_timestamp() {
  const DeviceFunctions& vk = device_.vk();
  if (queries_ == VK_NULL_HANDLE) {
    VkQueryPoolCreateInfo create{};
    create.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    create.queryType = VK_QUERY_TYPE_TIMESTAMP;
    create.queryCount = query_limit;
    check_made(vk.vkCreateQueryPool(device_.handle(), &create, nullptr, &queries_), queries_,
               "vkCreateQueryPool");
    vk.vkResetQueryPool(device_.handle(), queries_, 0, query_limit);
  }
  vk.vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries_, query_count_);
  return query_count_++;
}

void Batch::stamp(std::uint64_t sequence, bool ends) {
  const bool has_times = device_.physical().timestamp_bits() != 0;
  stamps_.push_back({sequence, has_times ? write_timestamp() : UINT32_MAX, ends});
}

// On the device's side: asking for them from the host waits until the whole device is idle on lavapipe.
void Batch::copy_times() {
  times_ = upload(query_limit * sizeof(std::uint64_t));
  device_.vk().vkCmdCopyQueryPoolResults(commands_, queries_, 0, query_count_, times_.buffer,
                                         times_.offset, sizeof(std::uint64_t),
                                         VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
}

std::uint64_t Batch::timestamp_ns(std::uint32_t query) const noexcept {
  std::uint64_t ticks = 0;
  std::memcpy(&ticks, times_.host + query * sizeof(ticks), sizeof(ticks));
  return static_cast<std::uint64_t>(static_cast<double>(ticks) *
                                    device_.physical().limits().timestampPeriod);
}

}  // namespace flagos::vulkan
