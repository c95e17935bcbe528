#include "plugins/vulkan/kernel.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {

// A launch that was checked once; its arguments are its own.
class Prepared {
 public:
  Prepared(Kernel& kernel, const flagos_launch_desc_t& desc)
      : kernel_(kernel), pipeline_(kernel.pipeline(desc)) {
    std::copy_n(desc.grid, 3, grid_);
    const auto* bytes = static_cast<const std::byte*>(desc.argument_block);
    arguments_.assign(bytes, bytes + desc.argument_bytes);
  }
  Kernel& kernel() const noexcept { return kernel_; }
  Command command() const {
    Command command(Command::Type::launch);
    command.kernel = &kernel_;
    command.pipeline = &pipeline_;
    std::copy_n(grid_, 3, command.grid);
    command.arguments = arguments_.data();
    command.argument_bytes = static_cast<std::uint32_t>(arguments_.size());
    return command;
  }

 private:
  Kernel& kernel_;
  const Pipeline& pipeline_;
  std::uint32_t grid_[3];
  std::vector<std::byte> arguments_;
};

Kernel::Kernel(Device& device, VkShaderModule shader, SpirvKernel reflection)
    : device_(device), shader_(shader), reflection_(std::move(reflection)) {
  layout_ = {reflection_.block, reflection_.block_bytes, reflection_.status_offset,
             reflection_.address_offsets, reflection_.buffers};
  const std::size_t buffers = std::min<std::size_t>(
      KernelLayout::buffer_limit, device.physical().limits().maxPerStageDescriptorStorageBuffers);
  if (layout_.buffers.size() > buffers)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "kernel '{}' has {} buffers; {} takes {}", name(),
                layout_.buffers.size(), device.physical().name(), buffers);
  const std::uint32_t limit = reflection_.block == ArgumentBlock::push_constants
                                  ? device.physical().limits().maxPushConstantsSize
                                  : max_argument_bytes;
  if (reflection_.block_bytes > limit)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "kernel '{}' has {} bytes of arguments; {} takes {} as push constants and {} in a "
                "buffer at set 0, binding 0",
                name(), reflection_.block_bytes, device.physical().name(),
                device.physical().limits().maxPushConstantsSize, max_argument_bytes);
  try {
    make_layout();
  } catch (...) {
    release();
    throw;
  }
}

Kernel::~Kernel() { release(); }

void Kernel::release() noexcept {
  const DeviceFunctions& vk = device_.vk();
  for (const auto& pipeline : pipelines_)
    vk.vkDestroyPipeline(device_.handle(), pipeline->handle, nullptr);
  vk.vkDestroyPipelineLayout(device_.handle(), pipeline_layout_, nullptr);
  vk.vkDestroyDescriptorSetLayout(device_.handle(), set_layout_, nullptr);
}

VkDescriptorType Kernel::descriptor_type() const noexcept {
  return layout_.block == ArgumentBlock::uniform_buffer ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC
                                                        : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC;
}

void Kernel::make_layout() {
  const DeviceFunctions& vk = device_.vk();
  const VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, layout_.block_bytes};
  VkPipelineLayoutCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  const bool is_pushed = layout_.block == ArgumentBlock::push_constants;
  if (!is_pushed || !layout_.buffers.empty()) {
    std::vector<VkDescriptorSetLayoutBinding> bindings;
    const auto bind = [&](std::uint32_t binding, VkDescriptorType type) {
      bindings.push_back({binding, type, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
    };
    if (!is_pushed) bind(0, descriptor_type());
    for (const SpirvBuffer& buffer : layout_.buffers)
      bind(buffer.binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
    VkDescriptorSetLayoutCreateInfo set{};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.bindingCount = static_cast<std::uint32_t>(bindings.size());
    set.pBindings = bindings.data();
    check_made(vk.vkCreateDescriptorSetLayout(device_.handle(), &set, nullptr, &set_layout_),
               set_layout_, "vkCreateDescriptorSetLayout");
    create.setLayoutCount = 1;
    create.pSetLayouts = &set_layout_;
  }
  if (is_pushed && layout_.block_bytes != 0) {
    create.pushConstantRangeCount = 1;
    create.pPushConstantRanges = &range;
  }
  check_made(vk.vkCreatePipelineLayout(device_.handle(), &create, nullptr, &pipeline_layout_),
             pipeline_layout_, "vkCreatePipelineLayout");
}

std::uint32_t Kernel::max_block_threads() const noexcept {
  std::uint64_t threads = 1;
  for (const SpirvSize& size : reflection_.size)
    if (size.spec_id == SpirvSize::fixed) threads *= size.value;
  const std::uint32_t limit = device_.physical().limits().maxComputeWorkGroupInvocations;
  const bool is_fixed =
      std::all_of(std::begin(reflection_.size), std::end(reflection_.size),
                  [](const SpirvSize& s) { return s.spec_id == SpirvSize::fixed; });
  return is_fixed && threads < limit ? static_cast<std::uint32_t>(threads) : limit;
}

void Kernel::check_shape(const flagos_launch_desc_t& desc) const {
  for (std::size_t i = 0; i < 3; ++i) {
    const SpirvSize& size = reflection_.size[i];
    if (size.spec_id == SpirvSize::fixed && size.value != desc.block[i])
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "kernel '{}' was compiled for blocks of {} in dimension {}, {} was asked for",
                  name(), size.value, i, desc.block[i]);
  }
  const std::uint64_t shared = std::uint64_t{reflection_.static_shared_bytes} + desc.shared_bytes;
  if (shared > device_.physical().limits().maxComputeSharedMemorySize)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' has {} bytes of shared memory and {} were asked for; {} has {}",
                name(), reflection_.static_shared_bytes, desc.shared_bytes,
                device_.physical().name(), device_.physical().limits().maxComputeSharedMemorySize);
}

const Pipeline& Kernel::pipeline(const flagos_launch_desc_t& desc) {
  PipelineKey key{{desc.block[0], desc.block[1], desc.block[2]}, 0};
  // An array cannot be empty, and its elements may be up to 16 bytes.
  if (reflection_.has_dynamic_shared)
    key.shared_bytes = std::max((desc.shared_bytes + 15) / 16 * 16, 16u);
  const Pipeline* last = last_.load(std::memory_order_acquire);
  if (last != nullptr && last->key == key) return *last;
  check_shape(desc);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(pipelines_.begin(), pipelines_.end(),
                                  [&](const auto& pipeline) { return pipeline->key == key; });
  if (found == pipelines_.end()) {
    pipelines_.reserve(pipelines_.size() + 1);
    auto made = std::make_unique<Pipeline>(Pipeline{key, VK_NULL_HANDLE});
    made->handle = make_pipeline(key);
    pipelines_.push_back(std::move(made));
    last = pipelines_.back().get();
  } else {
    last = found->get();
  }
  last_.store(last, std::memory_order_release);
  return *last;
}

VkPipeline Kernel::make_pipeline(const PipelineKey& key) const {
  std::vector<VkSpecializationMapEntry> entries;
  std::vector<std::uint32_t> values;
  const auto set = [&](std::uint32_t id, std::uint32_t value) {
    if (std::any_of(entries.begin(), entries.end(),
                    [&](const auto& entry) { return entry.constantID == id; }))
      return;
    entries.push_back({id, static_cast<std::uint32_t>(values.size() * 4), 4});
    values.push_back(value);
  };
  for (std::size_t i = 0; i < 3; ++i)
    if (reflection_.size[i].spec_id != SpirvSize::fixed)
      set(reflection_.size[i].spec_id, key.block[i]);
  if (reflection_.has_dynamic_shared) set(shared_spec_id, key.shared_bytes);
  VkSpecializationInfo specialization{};
  specialization.mapEntryCount = static_cast<std::uint32_t>(entries.size());
  specialization.pMapEntries = entries.data();
  specialization.dataSize = values.size() * 4;
  specialization.pData = values.data();
  VkComputePipelineCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  create.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  create.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  create.stage.module = shader_;
  create.stage.pName = name().c_str();
  create.stage.pSpecializationInfo = &specialization;
  create.layout = pipeline_layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  check(device_.vk().vkCreateComputePipelines(device_.handle(), device_.pipelines().handle(), 1,
                                              &create, nullptr, &pipeline),
        "vkCreateComputePipelines of kernel '{}' for blocks of {}x{}x{}", name(), key.block[0],
        key.block[1], key.block[2]);
  device_.pipelines().note_created();
  return pipeline;
}

std::shared_ptr<const Error> kernel_failure(const char* name, std::int32_t word) noexcept {
  const bool is_error = FLAGOS_STATUS_CLASS(word) != FLAGOS_STATUS_CLASS_ANSWER;
  const flagos_status_t status = is_error ? word : FLAGOS_STATUS_EXECUTION_FAILED;
  Failure failure;
  guard(
      [&] {
        failure = std::make_shared<const Error>(
            status, fmt::format("kernel '{}' failed with status {:#010x}", name,
                                static_cast<std::uint32_t>(word)));
      },
      [&](flagos_status_t, const char* text) { failure = make_failure(status, text); });
  return failure;
}

flagos_status_t kernel_get_info(flagos_plugin_kernel_t* kernel,
                                flagos_kernel_info_t* out_info) noexcept {
  const Kernel& self = from_c(kernel);
  return entry(self.device().host(), [&] {
    out_info->flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
    std::strncpy(out_info->name, self.name().c_str(), sizeof(out_info->name) - 1);
    out_info->parameter_count = static_cast<std::uint32_t>(self.reflection().parameters.size());
    out_info->argument_bytes = self.reflection().argument_bytes;
    out_info->max_block_threads = self.max_block_threads();
    out_info->static_shared_bytes = self.reflection().static_shared_bytes;
  });
}

flagos_status_t kernel_get_parameter(flagos_plugin_kernel_t* kernel, std::uint32_t index,
                                     flagos_parameter_t* out_parameter) noexcept {
  *out_parameter = from_c(kernel).reflection().parameters[index];
  return FLAGOS_STATUS_OK;
}

flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Command command(Command::Type::launch);
    command.kernel = &from_c(kernel);
    command.pipeline = &from_c(kernel).pipeline(*desc);
    std::copy_n(desc->grid, 3, command.grid);
    command.arguments = static_cast<const std::byte*>(desc->argument_block);
    command.argument_bytes = static_cast<std::uint32_t>(desc->argument_bytes);
    Lock lock(self.device());
    self.submit(std::move(command));
  });
}

flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept {
  Kernel& self = from_c(kernel);
  return entry(self.device().host(),
               [&] { *out_prepared = to_c(std::make_unique<Prepared>(self, *desc).release()); });
}

flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept {
  Stream& self = from_c(stream);
  return entry(self.host(), [&] {
    Command command = from_c(prepared).command();
    Lock lock(self.device());
    self.submit(std::move(command));
  });
}

void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept {
  delete &from_c(prepared);
}

}  // namespace flagos::vulkan
